"""Tasks on a Dask cluster."""

from __future__ import annotations

import warnings
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from forescale.errors import ForescaleWarning
from forescale.work.task import Job, Outcome, WorkerError, perform

if TYPE_CHECKING:
    from distributed import Client

_PATIENCE = 5  # seconds that a scheduler has to answer


@contextmanager
def connected(address: str | None) -> Iterator[Client | None]:
    """A client of the scheduler at an address, such as tcp://host:8786; None of none.

    Raises
    ------
    WorkerError
        If nobody answers, or dask.distributed is not installed.
    """
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise WorkerError("a scheduler wants dask.distributed: pip install 'forescale[cluster]'") from None
    try:
        client = Client(address, timeout=_PATIENCE)
    except (OSError, ValueError) as error:
        raise WorkerError(
            f"no Dask scheduler answers at {address}; `dask scheduler` starts one and prints its address, such as "
            "tcp://10.0.0.1:8786"
        ) from error
    with client:
        yield client


def on_cluster(tasks: Sequence[Job], client: Client) -> Generator[Outcome]:
    """Outcomes as they come, by the workers of a cluster; tasks that are not wanted any more are cancelled.

    The scheduler does a task again if its worker ends, and gives it up if several have (``allowed-failures``), together
    with whatever else they had to do at the time. So what it gave up is tried once more, by itself.

    Raises
    ------
    WorkerError
        If the scheduler goes away.
    """
    from distributed import KilledWorker

    if tasks and not client.nthreads():
        warnings.warn("the Dask scheduler has no workers yet: waiting for one", ForescaleWarning, stacklevel=2)
    suspects = []
    with closing(_sent(dict(enumerate(tasks)), client)) as outcomes:
        for index, outcome in outcomes:
            if isinstance(outcome, KilledWorker):
                suspects.append(index)
            else:
                yield index, outcome
    for suspect in suspects:
        with closing(_sent({suspect: tasks[suspect]}, client)) as outcomes:
            for index, outcome in outcomes:
                killed = isinstance(outcome, KilledWorker)
                yield index, WorkerError("every worker that did it ended: is memory short?") if killed else outcome


def _sent(tasks: Mapping[int, Job], client: Client) -> Generator[Outcome]:
    from distributed import CancelledError, as_completed

    futures = {client.submit(perform, task, pure=False): index for index, task in tasks.items()}
    try:
        # not with_results: an answer that is lost with its worker on the way here would never come
        for future in as_completed(list(futures), loop=client.loop):
            try:
                outcome = future.result()
            except (CancelledError, OSError) as error:
                raise WorkerError(
                    f"the Dask scheduler is gone, or has dropped the tasks; {len(futures)} were left. With a file of "
                    "results, the next call begins where this one ended"
                ) from error
            except Exception as error:
                outcome = error
            yield futures.pop(future), outcome
    finally:
        if futures and client.status == "running":
            client.cancel(list(futures))
