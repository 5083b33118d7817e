"""A file of results: a line for each finished task, written as it finishes, that outlives whoever writes it.

The first line says what the file is. Each further line is a JSON object of a task's key, which is a hash of all that
determines its rows, and the rows. JSON is Python's, which also writes NaN and Infinity, and every digit of a float.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from forescale.errors import FileError

FORMAT, VERSION = "forescale results", 1
_HEADER = json.dumps({"format": FORMAT, "version": VERSION}).encode() + b"\n"


class Results:
    """What a file holds, and a way to add to it; see `open_results`.

    Attributes
    ----------
    rows : dict of str to list or dict
        Of each finished task, by its key.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor
        self.rows: dict[str, Any] = {}
        whole = 0
        lines = _read(path, descriptor).splitlines(keepends=True)
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):  # torn: whoever wrote it was stopped in the middle
                break
            if number == 1:
                _check_header(path, line)
            else:
                self._take(number, line)
            whole += len(line)
        if lines and not whole and not _HEADER.startswith(lines[0]):
            raise _foreign(path)
        os.ftruncate(descriptor, whole)  # not before all of it is known to be ours
        if not whole:
            self._write(_HEADER)

    def _take(self, number: int, line: bytes) -> None:
        try:
            entry = json.loads(line)
            self.rows.setdefault(entry["key"], entry["rows"])
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(
                f"{self._path}: line {number} is no result; delete that line, or choose another file"
            ) from error

    def add(self, key: str, rows: str) -> None:
        """Write the rows of a task, as JSON text: when this returns they are on disk."""
        self._write(f'{{"key": {json.dumps(key)}, "rows": {rows}}}\n'.encode())

    def _write(self, line: bytes) -> None:
        try:
            if os.write(self._descriptor, line) != len(line):  # in one piece, so that lines of others cannot cut it
                raise OSError("no space is left")
            os.fsync(self._descriptor)
        except OSError as error:
            raise FileError(f"{self._path}: results cannot be written: {error.strerror or error}") from error


@contextmanager
def open_results(path: str | Path) -> Iterator[Results]:
    """Open a file of results, or begin one.

    A last line that was torn by a crash is dropped, and its task is one that has not finished.

    Parameters
    ----------
    path : str or Path
        The file. One call at a time may write to it.

    Raises
    ------
    FileError
        If it is something else, which is then left as it is, or cannot be read and written.
    """
    path = Path(path)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0), 0o666)
    except OSError as error:
        raise FileError(f"{path}: results cannot be kept there: {error.strerror or error}") from error
    try:
        yield Results(path, descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path, descriptor: int) -> bytes:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        raise _foreign(path)
    with os.fdopen(os.dup(descriptor), "rb") as stream:
        return stream.read()


def _check_header(path: Path, line: bytes) -> None:
    try:
        header = json.loads(line)
        known = header["format"] == FORMAT
        version = header["version"]
    except (ValueError, KeyError, TypeError):
        raise _foreign(path) from None
    if not known:
        raise _foreign(path)
    if version != VERSION:
        raise FileError(
            f"{path}: results of version {version}; this forescale reads version {VERSION}: choose another file"
        )


def _foreign(path: Path) -> FileError:
    return FileError(f"{path} is something else than forescale's results, and is left as it is; choose another file")
