"""Fits a minute by one and by two workers: processes of this machine, and a Dask cluster on it.

Each way does the same fits: card ``chinchilla`` on the larger part of the Hoffmann runs, each with a seed of its own,
4 chains of 1,000 draws after 500 of tuning. First each worker does two of them that do not count, which compile the
model; then so many that do. So the figures are of long work; what a worker costs before its first fit is a column of
its own, with the compilation cache of this machine filled.

Chains sample in threads, so that one process alone keeps several cores at work: that is the first way. In the others
there is a core for each worker, which on Linux is all that it may use, and the ratio is of two workers to one.

The ways take turns, so that other work on the machine slows all alike.

Run::

    python benchmarks/workers.py --json workers.json

What it showed: README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from measure import conclude, load_average, parser, print_table, spread

ALL_CORES = "this process, all cores"
WAYS = {ALL_CORES: 1, "1 process": 1, "2 processes": 2, "1 on a cluster": 1, "2 on a cluster": 2}
SMOKE = ("1 process", "2 processes")  # a cluster starts for a minute, and tests see that it works
BASES = {"2 processes": "1 process", "2 on a cluster": "1 on a cluster"}


def main() -> None:
    arguments = parser(__doc__, repeats=3)
    arguments.add_argument("--fits", type=int, default=24, help="that count, of each way; default: %(default)s")
    given = arguments.parse_args()
    if given.smoke:
        given.repeats, given.fits = 1, 2
    load = load_average()
    ways = {way: workers for way, workers in WAYS.items() if not given.smoke or way in SMOKE}
    measured = [once(ways, given, repeat) for repeat in range(given.repeats)]

    rows = []
    for way in ways:
        rates = [found[way]["fits_per_minute"] for found in measured]
        starts = [found[way]["first_seconds"] for found in measured]
        ratio = ""
        if base := BASES.get(way):
            ratio = spread(found[way]["fits_per_minute"] / found[base]["fits_per_minute"] for found in measured)
        rows.append([way, spread(rates), ratio, spread(starts)])
    print_table(["way", "fits a minute", "two to one", "s to the first"], rows)
    conclude(__file__, given, load, {"fits": given.fits, "measured": measured})


def once(ways: dict[str, int], given: argparse.Namespace, repeat: int) -> dict[str, dict[str, float]]:
    """Each way once."""
    found = {}
    for way, workers in ways.items():
        with confined(None if way == ALL_CORES else workers):
            found[way] = rate(way, given.fits, repeat)
    return found


@contextmanager
def confined(cores: int | None) -> Iterator[None]:
    """Leave so many cores to this process and those that it starts, where the system can."""
    if cores is None or not hasattr(os, "sched_setaffinity"):
        yield
        return
    every = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(every)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, every)


def rate(way: str, fits: int, repeat: int) -> dict[str, float]:
    """Fits a minute of a way, and the seconds before its first fit is done."""
    from forescale.work.cluster import on_cluster
    from forescale.work.processes import in_processes
    from forescale.work.task import perform

    workers = WAYS[way]
    warm, counted = tasks(2 * workers, 1000 * repeat), tasks(fits, 1000 * repeat + 500)
    with ExitStack() as stack:
        began = time.perf_counter()
        if way == ALL_CORES:
            outcomes: Iterator[Any] = ((i, perform(task)) for i, task in enumerate([*warm, *counted]))
        elif "cluster" in way:
            from distributed import Client, LocalCluster

            cluster = LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=":0")
            client = stack.enter_context(Client(stack.enter_context(cluster)))
            outcomes = on_cluster([*warm, *counted], client)
        else:
            outcomes = in_processes([*warm, *counted], workers)
        times = []
        for _, outcome in outcomes:
            if isinstance(outcome, Exception) or '"error": ""' not in outcome:
                raise SystemExit(f"{way}: a fit failed: {outcome}")
            times.append(time.perf_counter())
    # from the last of the fits that do not count to the last of all
    return {"fits_per_minute": 60 * fits / (times[-1] - times[len(warm) - 1]), "first_seconds": times[0] - began}


def tasks(count: int, seed: int) -> list[Any]:
    """So many fits of the same runs, which differ in their seeds."""
    import forescale as fs
    from forescale.checking.tasks import Task, forecasters
    from forescale.sampling.nuts import Settings
    from forescale.tables.cuts import make_cuts

    runs = fs.load_dataset("hoffmann2022")
    (cut,) = make_cuts(runs, "flops", 1e21)
    (who,) = forecasters([fs.load_model("chinchilla")], [])
    return [Task(runs, "hoffmann", "flops", who, cut, Settings(), 2, seed + i) for i in range(count)]


if __name__ == "__main__":
    main()
