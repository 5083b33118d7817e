"""A task: a value that any process can do, and do again, and that never raises.

Whoever does tasks keeps the models that it has compiled, so that a model is compiled once a process
(``forescale.sampling.nuts``). Rows travel, and are kept, as JSON text, so that a table is the same wherever its tasks
were done.
"""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any, Protocol

import forescale
from forescale.errors import ForescaleError

_ONE_AT_A_TIME = threading.Lock()  # compiling and catching warnings are of a process, and a Dask worker has threads


class Job(Protocol):
    """What is to be done: it is pickled, and done in another process."""

    @property
    def key(self) -> str:
        """A hash of all that determines the rows, see `key_of`: equal keys, equal rows."""
        ...

    def run(self) -> Any:
        """Do it; the rows, of what JSON knows."""
        ...

    def failed(self, error: Exception) -> Any:
        """The rows if it cannot be done."""
        ...


class WorkerError(ForescaleError, RuntimeError):
    """Whoever did a task ended before the task did, or cannot be reached."""


#: Number of a task, and its rows as JSON text, or why nobody could do it.
type Outcome = tuple[int, str | Exception]


def perform(task: Job) -> str:
    """Do a task in this process; its rows as JSON text, whatever happens."""
    with _ONE_AT_A_TIME:
        try:
            return json.dumps(task.run())
        except (Exception, SystemExit) as error:  # whatever stops one task may not stop the others
            return json.dumps(task.failed(error if isinstance(error, Exception) else WorkerError(repr(error))))


def key_of(kind: str, **what: Any) -> str:
    """A hash of values that JSON knows, of what kind of task they are, and of the version of this package."""
    text = json.dumps([forescale.__version__, kind, what], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
