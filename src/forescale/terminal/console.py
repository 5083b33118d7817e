"""What the command line prints: tables for people in 80 columns, JSON and CSV for scripts."""

from __future__ import annotations

import json
import math
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import xarray as xr
from rich import box
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from forescale.estimates.draws import INTERVAL_KIND, is_single
from forescale.estimates.fit import Fit
from forescale.laws import Law
from forescale.tables.observations import Observations
from forescale.units import format_quantity
from forescale.verbs.allocate import Allocation
from forescale.verbs.forecast import CURVE, Forecast

Shown = list[RenderableType]


class Drawn(Protocol):
    """A result with draws."""

    @property
    def draws(self) -> xr.Dataset:
        """Draws, dims chain and draw first."""
        ...


Row = Mapping[Any, Any]

_EXAMPLES = {"n_params": "70B", "n_tokens": "1.4T", "flops": "5.76e23", "unique_tokens": "1T"}


@dataclass(frozen=True)
class Output:
    """How a command answers: with tables by default, or with one JSON or CSV document on stdout."""

    as_json: bool = False
    as_csv: bool = False
    quiet: bool = False

    def say(self, *parts: RenderableType) -> None:
        """Print what goes with an answer: on stderr if the answer is a document, and not if quiet."""
        if not self.quiet:
            _print(sys.stderr if self.as_json or self.as_csv else sys.stdout, parts)

    def answer(self, shown: Iterable[RenderableType], document: Row, rows: pd.DataFrame | None = None) -> None:
        """Print ``shown`` for a person, ``rows`` as CSV, or ``document`` and the rows as JSON.

        The document states prob and interval once, and not in every row.
        """
        if self.as_csv and rows is not None:
            rows.to_csv(sys.stdout, index=False)
        elif self.as_json:
            if rows is not None:
                rows = rows.drop(columns=["prob", "interval"], errors="ignore")
                document = {**document, "rows": rows.to_dict("records")}
            print(json.dumps(_plain(document), indent=2, allow_nan=False))
        else:
            _print(sys.stdout, shown)


def _print(stream: Any, parts: Iterable[RenderableType]) -> None:
    console = Console(file=stream, highlight=False, markup=False, emoji=False)
    console.width = max(console.width, 80)  # in less, numbers would be broken in two
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    lines = [line.rstrip() for line in captured.get().splitlines()]
    # a table ends with an empty line, and what follows may begin with one
    kept = [line for line, before in zip(lines, [*" ", *lines], strict=False) if line or before]
    print("\n".join(kept), file=stream)


def _plain(value: Any) -> Any:
    """Make of a value what JSON knows: numbers in full precision, null for what is not finite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | None) else str(value)


def number(value: float, digits: int = 4) -> str:
    """Write a number with so many significant digits, or as an integer if it has more and less than six."""
    if 10 ** (digits - 1) <= abs(value) < 1e5:
        return f"{value:.0f}"
    mantissa, _, power = f"{value:#.{digits}g}".partition("e")
    return f"{mantissa}e{int(power)}" if power else mantissa.rstrip(".")


def percent(share: float) -> str:
    """Write a share: ``90 %``."""
    return f"{100 * share:.4g} %"


def heading(text: str) -> Text:
    """Set a line in bold, where there is bold."""
    return Text(text, style="bold")


def bullets(lines: Iterable[str]) -> Table:
    """List sentences."""
    grid = Table.grid(padding=(0, 1))
    for line in lines:
        grid.add_row(Text("  -"), Text(line))
    return grid


def read(runs: Observations) -> Shown:
    """Say what was read, and what was taken for what."""
    return [f"Read {runs!r}".replace("Observations ", "", 1), bullets(runs.notes)]


def table(headers: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> Table:
    """Set cells of text under headers, the first ``left`` columns flush left and the others flush right."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for index, header in enumerate(headers):
        made.add_column(header, justify="left" if index < left else "right", overflow="fold")
    for row in rows:
        made.add_row(*map(Text, row))
    return made


def caption(prob: float, *sentences: str) -> Text:
    """Say what the ends of the intervals in a table are, and more."""
    return Text(" ".join([f"lower, upper: {percent(prob)} {INTERVAL_KIND} interval.", *sentences]))


def bracket(row: Row, write: Callable[[float], str]) -> str:
    """Write a median and, below it, its interval, where that has a width."""
    middle, low, high = (write(row[end]) for end in ("median", "lower", "upper"))
    return middle if math.isclose(row["lower"], row["upper"], rel_tol=1e-9) else f"{middle}\n[{low}, {high}]"


def by_quantity(rows: pd.DataFrame, key: str) -> Iterator[tuple[Any, dict[str, Row]]]:
    """Take a table apart that has a row per entry and quantity: each entry under ``key``, and its rows by quantity."""
    for name, part in rows.groupby(key, sort=False):
        yield name, {row["quantity"]: row for row in part.to_dict("records")}


def no_band(source: str) -> Text:
    """Say why a table has no bands."""
    return Text(f"No bands: no usable uncertainty of {source} is known. These are points on the law's curve.")


# Fits.


def fit_rows(fit: Fit, prob: float) -> pd.DataFrame:
    """Take the summary of a fit, parameters in a column."""
    return fit.summary(prob).rename_axis("parameter").reset_index()


def fit_table(fit: Fit, prob: float) -> Shown:
    """Show the posterior in the papers' names, and the verdict of the diagnostics."""
    cells = [
        [
            row["parameter"],
            *(number(row[name]) for name in ("median", "lower", "upper")),
            number(row["sd"], 2),
            f"{row['r_hat']:.3f}",
            *(f"{row[name]:.0f}" for name in ("ess_bulk", "ess_tail")),
        ]
        for row in fit_rows(fit, prob).to_dict("records")
    ]
    headers = ["parameter", "median", "lower", "upper", "sd", "R-hat", "bulk ESS", "tail ESS"]
    verdict = repr(fit.diagnostics)
    return [table(headers, cells), caption(prob), Text(verdict[:1].upper() + verdict[1:])]


def fit_document(fit: Fit, prob: float) -> dict[str, Any]:
    """Collect what made a fit, and how it converged."""
    checks = ("passed", "failures", "divergences", "e_bfmi", "tree_depth_share", "residual_scale_p")
    return {
        "prob": prob,
        "interval": INTERVAL_KIND,
        "model": fit.model.name,
        "runs": len(fit.observations),
        "data_sha256": fit.observations.sha256,
        "notes": fit.observations.notes,
        "seed": fit.seed,
        "settings": fit.settings.as_dict(),
        "diagnostics": {name: getattr(fit.diagnostics, name) for name in checks},
    }


def next_commands(path: Path, law: Law, again: Sequence[str]) -> Shown:
    """Commands that make sense with a new fit, ready to be copied; ``again`` are the words that name its runs."""
    name = shlex.quote(str(path))
    lines = [f"forescale forecast {name} --at {','.join(_EXAMPLES.get(entry, '1B') for entry in law.inputs)}"]
    if set(law.inputs) == {"n_params", "n_tokens"}:
        lines.append(f"forescale allocate {name} --compute {_EXAMPLES['flops']}")
        lines.append(f"forescale report {name}")
    elif set(law.inputs) == {"n_params", "n_tokens", "unique_tokens"}:
        lines.append(f"forescale allocate {name} --compute {_EXAMPLES['flops']} --unique-tokens 1T")
    lines.append(f"forescale backtest {shlex.join(again)} --results scores.jsonl")
    lines.append(f"forescale show {name}")
    return [Text("Next:"), *(Text(f"  {line}", no_wrap=True, overflow="ignore") for line in lines)]


# Forecasts and allocations.


def bands(result: Drawn, prob: float) -> dict[str, Any]:
    """Say what the bands of a result are, and of how many draws: those of a single one have no width."""
    sizes = result.draws.sizes
    return {"prob": prob, "interval": INTERVAL_KIND, "draws": sizes["chain"] * sizes["draw"]}


def forecast_table(forecast: Forecast, rows: pd.DataFrame, prob: float) -> Shown:
    """Show bands of loss at points; points alone where there is a single draw."""
    single, inputs = is_single(forecast.draws), [str(name) for name in forecast.points]
    ends = ["median"] if single else ["median", "lower", "upper"]
    cells = [
        [*(format_quantity(row[name]) for name in inputs), row["kind"], *(number(row[name]) for name in ends)]
        for row in rows.to_dict("records")
    ]
    kinds = [f"{kind}: {forecast.kinds[kind]}." for kind in rows["kind"].unique()]
    return [
        heading(f"Loss in nats per token by {forecast.source}"),
        table([*inputs, "band", *ends], cells, left=0),
        no_band(forecast.source) if single else caption(prob, *kinds),
    ]


def allocation_rows(allocation: Allocation, prob: float) -> pd.DataFrame:
    """Join the split of each budget and the exponents, whose flops are NaN if they hold at any budget."""
    exponents = allocation.exponent_table(prob).rename(columns={"exponent": "quantity"})
    return pd.concat([allocation.table(prob), exponents], ignore_index=True)


def allocation_table(allocation: Allocation, prob: float) -> Shown:
    """Show the split of each budget, and the exponents of the optimum."""
    single, rows = is_single(allocation.draws), allocation_rows(allocation, prob)
    is_exponent = rows["quantity"].isin(["a", "b"])
    bounded = rows[rows["bound_share"] > 0].drop_duplicates("flops").to_dict("records")
    moved = [f"{percent(row['bound_share'])} of draws at {format_quantity(row['flops'])}" for row in bounded]
    interval = f"Median and, in brackets, the {percent(prob)} {INTERVAL_KIND} interval."
    headers = ["FLOPs", "n_params", "n_tokens", "tokens/param", "loss (nats)"]
    headers += ["epochs"] if "epochs" in allocation.draws else []
    return [
        heading(f"Compute-optimal split by {allocation.source}, cost {allocation.cost}"),
        table(headers, _by_budget(rows[~is_exponent], single)),
        *([Text(f"A bound moved the split in {', '.join(moved)} FLOPs.")] if moved else []),
        heading("Exponents of the split without bounds: n_params ~ C^a, n_tokens ~ C^b"),
        table(["FLOPs", "a", "b"], _by_budget(rows[is_exponent], single)),
        no_band(allocation.source) if single else Text(f"{interval} Band mean: {CURVE}, without discrepancy or noise."),
    ]


def _by_budget(rows: pd.DataFrame, single: bool) -> Iterator[list[str]]:
    """Lay out in a line per budget what is in the table a row per budget and quantity."""
    writers: dict[str, Callable[[float], str]] = {"loss": number, "a": "{:.3f}".format, "b": "{:.3f}".format}

    def band(row: Row) -> str:
        write = writers.get(row["quantity"], format_quantity)
        return write(row["median"]) + ("" if single else f"\n[{write(row['lower'])}, {write(row['upper'])}]")

    for entries in batched(rows.to_dict("records"), rows["quantity"].nunique()):
        flops = entries[0]["flops"]
        yield ["any" if np.isnan(flops) else format_quantity(flops), *map(band, entries)]
