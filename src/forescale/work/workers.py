"""Many tasks, each done once: in this process, in processes of this machine, or on a Dask cluster."""

from __future__ import annotations

import json
from collections.abc import Generator, Sequence
from contextlib import closing, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forescale.errors import DataError
from forescale.progress import watched
from forescale.seeds import as_seed
from forescale.work.cluster import on_cluster
from forescale.work.processes import in_processes
from forescale.work.results import open_results
from forescale.work.task import Job, Outcome, perform

if TYPE_CHECKING:
    import numpy as np
    from distributed import Client


def run_all(
    tasks: Sequence[Job],
    what: str,
    *,
    workers: int | None = None,
    client: Client | None = None,
    results: str | Path | None = None,
    progress: bool | None = None,
) -> list[Any]:
    """Do tasks, wherever, in whatever order.

    Parameters
    ----------
    tasks : sequence of Job
        Those of equal keys are done once.
    what : str
        Says what is done, beside the progress bar.
    workers : int, optional
        Processes of this machine, by default one for each core that this process may use; 1 is this process alone.
    client : dask.distributed.Client, optional
        A cluster, instead.
    results : path, optional
        A file that the rows of each task are written to as soon as it is done. What is there is not done again.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal.

    Returns
    -------
    list
        Rows of each task, in the order of the tasks. Those of a task that could not be done, for it ended whoever
        tried, are not written to ``results``: the next call tries again.

    Raises
    ------
    DataError
        If there is no such number of workers, or no such client, or both are given.
    FileError
        If ``results`` is a file of something else, or cannot be written.
    WorkerError
        If the cluster is lost.
    """
    _check(workers, client)
    keys = [task.key for task in tasks]
    with nullcontext() if results is None else open_results(results) as kept:
        rows: dict[str, Any] = {} if kept is None else {key: kept.rows[key] for key in keys if key in kept.rows}
        left = {key: task for key, task in zip(keys, tasks, strict=True) if key not in rows}
        names, todo = list(left), list(left.values())
        with closing(_outcomes(todo, workers, client)) as outcomes:
            for index, outcome in watched(outcomes, what, progress, total=len(rows) + len(todo), done=len(rows)):
                if isinstance(outcome, Exception):
                    rows[names[index]] = todo[index].failed(outcome)
                    continue
                if kept is not None:
                    kept.add(names[index], outcome)
                rows[names[index]] = json.loads(outcome)
    return [rows[key] for key in keys]


def seed_to_keep(random_seed: int | np.random.Generator | None, results: str | Path | None) -> int:
    """The seed as a number, drawn if none is given.

    Raises
    ------
    DataError
        If none is given and results are kept: a later call would draw another, and have to do everything again.
    """
    if results is not None and random_seed is None:
        raise DataError("a file of results is of use only to a call with the same seed: give random_seed= as well")
    return as_seed(random_seed)


def _check(workers: int | None, client: Client | None) -> None:
    if workers is not None and (client is not None or workers < 1):
        raise DataError(
            f"workers is a number of processes of this machine, at least 1, and goes without a client; given were "
            f"workers={workers!r}, client={client!r}"
        )
    if client is not None and (not hasattr(client, "nthreads") or client.asynchronous):
        raise DataError(f"client is a dask.distributed.Client that is not asynchronous; given was {client!r}")


def _outcomes(tasks: Sequence[Job], workers: int | None, client: Client | None) -> Generator[Outcome]:
    if client is not None:
        return on_cluster(tasks, client)
    from loky import cpu_count

    processes = min(len(tasks), cpu_count() if workers is None else workers)
    if processes > 1:
        return in_processes(tasks, processes)
    return ((index, perform(task)) for index, task in enumerate(tasks))
