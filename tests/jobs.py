"""Jobs that cost nothing, to see who does them and how often; imported by the processes that do them."""

import json
import os
import signal
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from forescale.work.task import key_of
from forescale.work.workers import run_all


class Sealed(Exception):  # noqa: N818
    """An error that cannot be pickled."""

    def __reduce__(self):
        raise TypeError("sealed")


@dataclass(frozen=True)
class Note:
    """Writes its number into a log, then behaves."""

    number: int
    log: str
    does: str = "answer"
    seconds: float = 0.0

    @property
    def key(self):
        return key_of("note", number=self.number, does=self.does)

    def run(self):
        time.sleep(self.seconds)
        done = times_done(self.log)
        with open(self.log, "a") as log:
            log.write(f"{self.number} {os.getpid()}\n")
        match self.does:
            case "answer":
                return [{"number": self.number, "third": self.number / 3, "nan": float("nan"), "inf": -float("inf")}]
            case "raise":
                raise Sealed("no answer")
            case "exit":
                sys.exit(3)
            case "nonsense":
                return {"number": object()}
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "die once" if not done[self.number]:
                os.kill(os.getpid(), signal.SIGKILL)
        return [{"number": self.number}]

    def failed(self, error):
        return [{"number": self.number, "error": f"{type(error).__name__}: {error}"}]


def hears_interrupts():
    """In a child before it starts: a shell that runs the tests in the background has told it to ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def times_done(log):
    """How often each number stands in a log."""
    path = Path(log)
    return Counter(int(line.split()[0]) for line in path.read_text().splitlines()) if path.exists() else Counter()


def pids(log):
    """Who wrote into a log."""
    return {int(line.split()[1]) for line in Path(log).read_text().splitlines()}


def lines(results):
    """Whole lines of a file of results, after the first."""
    text = Path(results).read_text() if Path(results).exists() else ""
    return [json.loads(line) for line in text.splitlines(keepends=True)[1:] if line.endswith("\n")]


def notes(log, count=40, **given):
    """So many that answer."""
    return [Note(number, str(log), **given) for number in range(count)]


@contextmanager
def two_dask_workers(**config):
    """A client of two workers of one thread, in processes, which are there again whatever is done to them.

    What restarts a worker gives up on one that dies as it starts; the cluster makes another as soon as it is asked.
    """
    import dask
    import distributed

    config = {"distributed.logging.distributed": "critical", "distributed.deploy.lost-worker-timeout": "10s", **config}
    with (
        dask.config.set(config),
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster) as client,
    ):
        over = threading.Event()

        def keep():
            while not over.wait(1):
                cluster.scale(2)

        keeper = threading.Thread(target=keep)
        keeper.start()
        try:
            yield client
        finally:
            over.set()
            keeper.join()


if __name__ == "__main__":  # a driver to be killed: LOG, RESULTS and perhaps the address of a scheduler
    log, results, *address = sys.argv[1:]
    if address:
        from distributed import Client

        run_all(notes(log, seconds=0.05), "notes", client=Client(address[0]), results=results, progress=False)
    else:
        run_all(notes(log, seconds=0.05), "notes", workers=2, results=results, progress=False)
