"""Where the time of a first fit goes, and how long the next ones take.

Measured on the Hoffmann et al. runs with the card ``chinchilla`` and default settings, in a fresh process each, by
a stopwatch on the functions that ``forescale.fit`` calls:

import       forescale and the libraries that a fit loads
prior check  the prior predictive at the table's runs
build        the PyMC model, within compiling
compile      all that makes a sampler of a model, building included: once by forescale's quick path
             (``sampling._compile_centred``), once by nutpie's own (``sampling._compile_plain``)
sampling     4 chains of 500 + 1,000 steps, and the way back from the sampler's coordinates
diagnostics  R-hat, effective sample sizes, E-BFMI, and the check of the noise
first fit    the call of ``forescale.fit``, whole
process      from before the process starts until the first fit is done
second fit   the same call again with another seed, and the sampling in it; the median of nine
other table  the same for tables of other lengths (from all but one of the runs to about half): nothing is
             compiled again

PyTensor's compilation cache is warm: a process that is not counted fills it. Target: a second fit takes less than
1 s on two idle cores, and so does one of another table.

Run::

    python benchmarks/first_fit.py --json first_fit.json

What it showed: README.md beside this file.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Mapping
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

PATHS = ("quick", "plain")
PARTS = ("import", "prior check", "build", "compile", "sampling", "diagnostics", "first fit", "process")
LATER = ("second fit", "its sampling", "other table")


def child(task: Mapping[str, Any]) -> None:
    watch = Stopwatch()
    with watch.running("import"):
        import arviz_stats  # noqa: F401
        import numba  # noqa: F401
        import nutpie  # noqa: F401
        import pymc  # noqa: F401

        import forescale as fs
        from forescale.estimates import fit as fitting
        from forescale.sampling import nuts as sampling
    if task["path"] == "plain":
        sampling._compile_centred = lambda model, data: None
    watch.on(fitting, "_warn_outside_prior", "prior check")
    watch.on(fs.Model, "build", "build")
    watch.on(sampling, "_compile", "compile")
    watch.on(fitting, "sample", "sampling")
    watch.on(fitting, "diagnose", "diagnostics")
    watch.on(fitting, "_residual_scale_p", "diagnostics")

    runs = fs.load_dataset("hoffmann2022")
    _, first = seconds_of(lambda: fs.fit(runs, "chinchilla", random_seed=task["seed"], progress=False))
    parts = {**watch.seconds, "first fit": first}
    parts["sampling"] -= parts["compile"]
    finished = time.time()

    again, its_sampling, other = [], [], []
    compiled = watch.seconds["compile"]
    for i in range(task["later"]):
        watch.seconds["sampling"] = 0.0
        again.append(seconds_of(lambda i=i: fs.fit(runs, "chinchilla", random_seed=i, progress=False))[1])
        its_sampling.append(watch.seconds["sampling"])
        table = fs.Observations({name: values[: -1 - 13 * i] for name, values in runs.columns.items()})
        other.append(seconds_of(lambda i=i, table=table: fs.fit(table, "chinchilla", random_seed=i, progress=False))[1])
    if watch.seconds["compile"] > compiled:
        raise RuntimeError("a later fit of the same law was compiled again")
    later = {"second fit": again, "its sampling": its_sampling, "other table": other}
    hand_back({"parts": parts, "later": {name: middle(values) for name, values in later.items()}}, finished)


def main() -> None:
    arguments = parser(__doc__, repeats=5)
    given = arguments.parse_args()
    if given.child:
        child(json.loads(given.child))
        return
    load = load_average()
    paths, later = PATHS, 9
    if given.smoke:
        given.repeats, paths, later = 1, PATHS[:1], 1
        print("skipped: the plain path, and a compilation cache of its own (smoke)")

    found: dict[str, list[dict[str, float]]] = {path: [] for path in paths}
    with tempfile.TemporaryDirectory() as cache:
        flags = ",".join(filter(None, (os.environ.get("PYTENSOR_FLAGS"), f"base_compiledir={cache}")))
        environment = {} if given.smoke else {"PYTENSOR_FLAGS": flags}
        if not given.smoke:
            for path in paths:
                fresh(__file__, {"path": path, "seed": 0, "later": 1}, environment)
        for repeat in range(given.repeats):
            for path in paths:
                one = fresh(__file__, {"path": path, "seed": repeat, "later": later}, environment)
                found[path].append({**one["parts"], **one["later"], "process": one["wall"]})
                print(f"{repeat + 1}/{given.repeats} {path}: {found[path][-1]}", flush=True)

    print()
    print_table(
        ["seconds", *(f"{path} path" for path in paths)],
        [[part, *(spread(one.get(part, 0.0) for one in found[path]) for path in paths)] for part in (*PARTS, *LATER)],
    )
    if len(paths) > 1:
        ratio = middle(
            plain["compile"] / quick["compile"] for quick, plain in zip(found["quick"], found["plain"], strict=True)
        )
        print(f"\nthe plain path takes {ratio:.3g} times as long as the quick one to compile (median of pairs)")
    conclude(__file__, given, load, {"seconds": found})


if __name__ == "__main__":
    main()
