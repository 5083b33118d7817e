"""Tasks in processes of this machine.

By loky, whose processes are fresh interpreters: unlike forked ones they share no threads with this one, and unlike
multiprocessing's they do not run the user's script again, which then needs no ``if __name__ == "__main__"``.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from typing import Any

from forescale.work.task import Job, Outcome, WorkerError, perform

TRIES = 3  # of a task whose process ends before it does
# Matrices here are small: threads of BLAS that wait for each other cost much and gain nothing. Chains may have threads:
# measured, two processes on two cores do as many fits a minute whether each samples its chains in one thread or in two.
_ENVIRONMENT = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
# loky would replace a process, and lose the models that it has compiled, when these take 300 MB beyond its first task.
_ENVIRONMENT["LOKY_MAX_MEMORY_LEAK_SIZE"] = "1e15"


def in_processes(tasks: Sequence[Job], count: int) -> Generator[Outcome]:
    """Outcomes as they come, by so many processes, which end with the iterator.

    A task is done again, up to `TRIES` times, if its process ends; those in other processes do not notice.
    """
    processes = [_Process() for _ in range(count)]
    idle, waiting = list(processes), deque((index, 1) for index in range(len(tasks)))
    running: dict[Future[str], tuple[_Process, int, int]] = {}
    try:
        while waiting or running:
            while idle and waiting:
                process, (index, attempt) = idle.pop(), waiting.popleft()
                running[process.submit(tasks[index])] = process, index, attempt
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                process, index, attempt = running.pop(future)
                idle.append(process)
                error = future.exception()
                if error is None:
                    yield index, future.result()
                elif isinstance(error, BrokenExecutor) and attempt < TRIES:
                    waiting.appendleft((index, attempt + 1))
                else:
                    yield index, _told(error)
    finally:
        for process in processes:
            process.end()


class _Process:
    """One process, made anew when it has ended. It has an executor of its own: so it is known whose end it was."""

    def __init__(self) -> None:
        self._executor = _executor()

    def submit(self, task: Job) -> Future[str]:
        try:
            future: Future[str] = self._executor.submit(perform, task)
        except BrokenExecutor:  # it ended in its last task, or since
            self.end()
            self._executor = _executor()
            future = self._executor.submit(perform, task)
        return future

    def end(self) -> None:
        self._executor.shutdown(kill_workers=True)


def _executor() -> Any:
    from loky import ProcessPoolExecutor

    return ProcessPoolExecutor(1, initializer=_begin, initargs=(os.getpid(),), env=_ENVIRONMENT)


def _begin(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when it has ended, even by a kill."""

    def follow() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.getppid() == parent:
        threading.Thread(target=follow, daemon=True).start()


def _told(error: BaseException) -> Exception:
    """Why a task has no rows, in a few words."""
    if not isinstance(error, BrokenExecutor):
        return error if isinstance(error, Exception) else WorkerError(repr(error))
    codes = str(error).partition("exit codes of the workers are ")[2].partition("\n")[0]
    return WorkerError(f"{TRIES} processes ended before it did{f' ({codes})' if codes else ''}: is memory short?")
