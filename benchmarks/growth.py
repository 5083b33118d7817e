"""How the time and the memory of a fit grow with the number of runs.

Measured for tables simulated from the chinchilla law, by a fresh process for each, with the card ``chinchilla`` and
default settings:

sampling     4 chains of 500 + 1,000 steps, compilation excluded
diagnostics  R-hat, effective sample sizes, E-BFMI, the check of the noise, and that of the priors before
fit          ``forescale.fit`` without compilation
save         ``Fit.save``: the pointwise groups (log likelihood, posterior predictive) are built and written
memory       greatest resident memory of the process after the fit, and after saving; that of a process that has
             imported and compiled only is what the smallest table shows

The exponent of growth is the slope of log time on log number of runs, from each size to the next and from the first
to the last: 1 is linear.

Run::

    python benchmarks/growth.py --json growth.json

What it showed: README.md beside this file.
"""

from __future__ import annotations

import json
import math
import resource
import sys
import tempfile
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from measure import (
    Stopwatch,
    conclude,
    fresh,
    hand_back,
    load_average,
    middle,
    parser,
    print_table,
    seconds_of,
    spread,
)

SIZES = (50, 500, 5_000, 50_000)
TRUTH = {"E": 1.8, "A": 480.0, "B": 2100.0, "alpha": 0.35, "beta": 0.37}
SIGMA, NU = 0.005, 4.0  # of the scatter of log loss
COLUMNS = ("sampling", "diagnostics", "fit", "save", "memory after fit", "memory after save", "file")


def simulated(count: int) -> Any:
    import numpy as np

    import forescale as fs

    rng = np.random.default_rng(30)
    sizes = {"n_params": 10 ** rng.uniform(7.5, 10.2, count), "n_tokens": 10 ** rng.uniform(8.5, 11.5, count)}
    loss = fs.load_model("chinchilla").law(sizes, TRUTH) * np.exp(SIGMA * rng.standard_t(NU, count))
    return fs.Observations({**sizes, "loss": loss})


def peak_memory() -> float:
    """Greatest resident memory of this process so far, in MB.

    On Linux it starts from that of the process which started this one, so that one has to be small.
    """
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def child(task: Mapping[str, Any]) -> None:
    import nutpie  # noqa: F401  (so that importing it does not count as sampling)

    import forescale as fs
    from forescale.estimates import fit as fitting
    from forescale.sampling import nuts as sampling

    runs = simulated(task["count"])
    watch = Stopwatch()
    watch.on(sampling, "_compile", "compile")
    watch.on(fitting, "sample", "sampling")
    for name in ("diagnose", "_residual_scale_p", "_warn_outside_prior"):
        watch.on(fitting, name, "diagnostics")
    fit, whole = seconds_of(
        lambda: fs.fit(runs, "chinchilla", random_seed=task["seed"], draws=task["draws"], progress=False)
    )
    seconds = watch.seconds
    result = {
        "sampling": seconds["sampling"] - seconds["compile"],
        "diagnostics": seconds["diagnostics"],
        "fit": whole - seconds["compile"],
        "memory after fit": peak_memory(),
        "steps": float(fit.sample_stats["n_steps"].mean()),
        "tune": fit.settings.tune,
    }
    with tempfile.TemporaryDirectory() as folder:
        path, result["save"] = seconds_of(lambda: fit.save(Path(folder) / "fit.nc"))
        result |= {"memory after save": peak_memory(), "file": path.stat().st_size / 1e6}
    hand_back(result)


def main() -> None:
    arguments = parser(__doc__, repeats=5)
    arguments.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="numbers of runs")
    given = arguments.parse_args()
    if given.child:
        child(json.loads(given.child))
        return
    load = load_average()
    sizes, draws = sorted(given.sizes), 1000
    if given.smoke:
        given.repeats, sizes, draws = 1, [50, 500], 500
        print("skipped: tables of more than 500 runs; 500 draws a chain (smoke)")

    found: dict[int, list[dict[str, float]]] = {count: [] for count in sizes}
    for repeat in range(given.repeats):
        for count in sizes:
            found[count].append(fresh(__file__, {"count": count, "seed": repeat, "draws": draws}))
            print(f"{repeat + 1}/{given.repeats} {count} runs: {found[count][-1]}", flush=True)

    print()
    print_table(
        ["runs", "sampling s", "diagnostics s", "fit s", "save s", "MB after fit", "MB after save", "file MB"],
        [[f"{count:,}", *(spread(one[c] for one in found[count]) for c in COLUMNS)] for count in sizes],
    )
    exponents: dict[str, dict[str, float]] = {}
    steps = list(pairwise(sizes)) + ([(sizes[0], sizes[-1])] if len(sizes) > 2 else [])
    for few, many in steps:
        ratio = {c: middle(one[c] for one in found[many]) / middle(one[c] for one in found[few]) for c in COLUMNS}
        exponents[f"{few:,} to {many:,}"] = {c: math.log(ratio[c]) / math.log(many / few) for c in COLUMNS}
    print("\nexponents of growth:")
    print_table(
        ["runs", "sampling", "diagnostics", "fit", "save"],
        [[step, *(f"{value[c]:.2f}" for c in COLUMNS[:4])] for step, value in exponents.items()],
    )
    conclude(__file__, given, load, {"found": found, "exponents": exponents})


if __name__ == "__main__":
    main()
