"""What the benchmarks share: fresh processes, a stopwatch for parts of a fit, medians, and the results file.

Nothing is measured here. The module imports the standard library only, so that the process that starts the
measured ones stays small and their memory is their own.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

BESIDE = Path(__file__).parent / "beside.json"  # read by the documentation
_LIBRARIES = ("forescale", "pymc", "pytensor", "numba", "nutpie", "numpyro", "jax", "numpy", "arviz")


@dataclass(frozen=True)
class Beside:
    """A number of ours beside a published one.

    ``law`` is the name of a law, ``table`` says what was fitted, ``published`` is as printed and ``source`` says where;
    ``median``, ``lower`` and ``upper`` are of our posterior, a 90 % equal-tailed interval, or ``median`` alone where
    there is none. ``note`` says what a reader must know who compares them.
    """

    law: str
    table: str
    runs: int
    quantity: str
    published: float | str
    source: str
    median: float
    lower: float | None = None
    upper: float | None = None
    note: str = ""


def parser(documentation: str, repeats: int) -> argparse.ArgumentParser:
    """Arguments that every benchmark takes; the first line of its documentation describes it."""
    arguments = argparse.ArgumentParser(description=documentation.splitlines()[0])
    arguments.add_argument("--smoke", action="store_true", help="tiny sizes: does it still work?")
    arguments.add_argument("--json", type=Path, metavar="PATH", help="also write every result to this file")
    arguments.add_argument("--keep", action="store_true", help="keep numbers beside published ones in beside.json")
    arguments.add_argument("--repeats", type=int, default=repeats, help="default: %(default)s")
    arguments.add_argument("--child", help=argparse.SUPPRESS)  # set in the processes that are measured
    return arguments


def fresh(script: str, task: Mapping[str, Any], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Run ``script --child task`` in a process of its own; what it hands to ``hand_back``, and its wall time.

    ``wall`` runs from before the process starts until it hands its result back.
    """
    command = [sys.executable, script, "--child", json.dumps(task)]
    started = time.time()
    done = subprocess.run(
        command, env={**os.environ, **(environment or {})}, stdout=subprocess.PIPE, text=True, check=True
    )
    result = json.loads(done.stdout.splitlines()[-1])
    return {"wall": result.pop("finished") - started, **result}


def hand_back(result: Mapping[str, Any], finished: float | None = None) -> None:
    """Give the parent a result; ``finished`` is when its work was done (``time.time()``), now by default."""
    print(json.dumps({"finished": finished or time.time(), **result}), flush=True)


class Stopwatch:
    """Seconds spent in functions, each by a label; a function inside another counts for both."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def on(self, owner: Any, function: str, label: str) -> None:
        """Time every call of ``owner.function`` from now on."""
        original = getattr(owner, function)

        @functools.wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.running(label):
                return original(*args, **kwargs)

        setattr(owner, function, timed)

    @contextmanager
    def running(self, label: str) -> Iterator[None]:
        """Time a block."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[label] += time.perf_counter() - begun


def seconds_of(function: Callable[[], Any]) -> tuple[Any, float]:
    """What a function returns, and how long it took."""
    begun = time.perf_counter()
    value = function()
    return value, time.perf_counter() - begun


def middle(values: Iterable[float]) -> float:
    """The median."""
    return statistics.median(values)


def spread(values: Iterable[float]) -> str:
    """The median, and the least and greatest value where there are several."""
    found = sorted(values)
    if len(found) == 1:
        return f"{found[0]:.3g}"
    return f"{middle(found):.3g} [{found[0]:.3g}, {found[-1]:.3g}]"


def print_table(head: list[str], rows: list[list[str]]) -> None:
    """Print columns, aligned, as Markdown."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


def load_average() -> list[float]:
    """Of the last 1, 5 and 15 minutes; includes the benchmark itself."""
    return [round(value, 2) for value in os.getloadavg()]


def conclude(
    script: str,
    arguments: argparse.Namespace,
    load: list[float],
    results: Mapping[str, Any],
    beside: Sequence[Beside] = (),
) -> None:
    """Say on what and how often this was measured; write the results, and those beside published ones, where asked."""
    where = {
        "benchmark": Path(script).name,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "smoke": arguments.smoke,
        "repeats": arguments.repeats,
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "python": platform.python_version(),
        "load_before": load,
        "load_after": load_average(),
        "versions": {name: found for name in _LIBRARIES if (found := _version(name))},
    }
    print(
        f"\n{arguments.repeats} repeats, medians [least, greatest]; {where['cores']} cores ({where['machine']}), "
        f"load average over 1 min {load[0]} before and {where['load_after'][0]} after"
    )
    if arguments.json:
        arguments.json.write_text(json.dumps({**where, **results}, indent=2) + "\n", encoding="utf-8")
    if beside and arguments.keep and not arguments.smoke:
        kept = json.loads(BESIDE.read_text(encoding="utf-8")) if BESIDE.is_file() else {}
        kept[where["benchmark"]] = {"date": where["date"][:10], "rows": [asdict(row) for row in beside]}
        BESIDE.write_text(json.dumps(dict(sorted(kept.items())), indent=1) + "\n", encoding="utf-8")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
