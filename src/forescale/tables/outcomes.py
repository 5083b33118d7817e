"""Outcomes: an immutable, validated table of what models got right; a row for each run and task."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forescale.errors import DataError
from forescale.frozen import FrozenTable
from forescale.tables.cells import MOST_LOSS, check_numbers, further, name_rows, numbers, show_rows, texts
from forescale.tables.intake import read_table, with_headers
from forescale.tables.outcome_columns import COLUMNS, NUMBERS, UNITS, fractions, recognise

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Outcomes(FrozenTable):
    """What models got right: loss, accuracy, items, chance and task of each run, checked once and never changed.

    `read` and `from_frame` recognise the columns of a stranger's table; this constructor takes columns that are
    already ours.

    Parameters
    ----------
    columns : mapping of str to array, shape (rows,)
        ``loss`` (nats per token, on one text for all rows), ``accuracy`` and ``chance`` (fractions), ``items`` (how
        many questions the accuracy is of), ``task``; optional ``run`` and further columns.
    name : str
        What the table is called in messages and plots.
    notes : tuple of str
        How the table came to be, a sentence each.

    Raises
    ------
    DataError
        If a column is missing, a number is none or not in its range, a run has a task twice, or one task has several
        chances.

    Examples
    --------
    >>> import pandas as pd
    >>> import forescale as fs
    >>> table = pd.DataFrame({"loss": [3.2, 2.9], "acc": ["31 %", "44 %"], "task": "arc", "chance": 0.25, "n": 2376})
    >>> fs.Outcomes.from_frame(table)
    Outcomes 'outcomes': 2 rows, 1 task; loss 2.9..3.2 nats; accuracy 0.31..0.44
    """

    name: str = "outcomes"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        FrozenTable.__post_init__(self)
        columns = dict(self.columns)
        missing = [name for name in (*NUMBERS, "task") if name not in columns]
        if missing:
            raise DataError(
                f"A table of outcomes needs {', '.join((*NUMBERS, 'task'))}; {self.name!r} lacks {', '.join(missing)}."
            )
        rows = [f"row {i}" for i in range(1, len(self) + 1)]
        for column in ("task", "run"):
            if column in columns:
                columns[column] = columns[column].astype(np.str_)
                _check_words(column, columns[column], rows)
        for column in NUMBERS:
            columns[column] = numbers(columns[column], column, rows)
        _check_ranges(columns, rows)
        _check_once(columns, rows)
        order = [column for column in COLUMNS if column in columns]
        object.__setattr__(self, "columns", {column: columns[column] for column in [*order, *columns]})
        FrozenTable.__post_init__(self)

    def __repr__(self) -> str:
        loss, accuracy = self.columns["loss"], self.columns["accuracy"]
        count = len(self.tasks)
        return (
            f"Outcomes {self.name!r}: {len(self)} rows, {count} task{'s' if count > 1 else ''}; loss {loss.min():.4g}.."
            f"{loss.max():.4g} nats; accuracy {accuracy.min():.3g}..{accuracy.max():.3g}"
        )

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in the order in which they come."""
        return tuple(dict.fromkeys(self.columns["task"].tolist()))

    @property
    def hits(self) -> Array:
        """How many items each run got right: accuracy times items, to the nearest whole number."""
        return np.asarray(np.round(self.columns["accuracy"] * self.columns["items"]))

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, name: str | None = None, **options: Any) -> Outcomes:
        """Read a table of outcomes from a .csv, .tsv or .parquet file.

        Parameters
        ----------
        path : path
            The file; text files are UTF-8 with one line of headers.
        name : str, optional
            What to call the table; the file's stem by default.
        **options
            As in `from_frame`.

        Raises
        ------
        DataError
            If the file cannot be read, or its table cannot be used; see `from_frame`.
        """
        return cls.from_frame(read_table(Path(path)), name=Path(path).stem if name is None else name, **options)

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        columns: Mapping[str, str | None] | None = None,
        unit: str | None = None,
        items: float | Mapping[str, float] | None = None,
        chance: float | Mapping[str, float] | None = None,
        name: str | None = None,
    ) -> Outcomes:
        """Take a table of outcomes from a DataFrame, under any usual headers.

        Parameters
        ----------
        frame : DataFrame
            A row for each run and task.
        columns : mapping of str to str or None, optional
            Our name to your header, where recognition needs help: ``{"loss": "loss_c4_val"}``. None leaves the column
            out.
        unit : {"fraction", "percent"}, optional
            What accuracy and chance are in. By default what the cells (``44 %``) or the header (``acc_pct``) say, else
            fractions, if none is above 1; a table that may be either is refused.
        items, chance : float or mapping of task to float, optional
            Instead of columns: how many items an accuracy is of, and what share of them guessing gets right (a
            fraction).
        name : str, optional
            What to call the table.

        Raises
        ------
        DataError
            If a header is ambiguous, a cell is missing or not a number, or the unit of accuracy cannot be told.
        """
        frame = with_headers(frame)
        if frame.empty:
            raise DataError("The table has no outcomes; it needs at least one row below its headers.")
        if unit not in (*UNITS, None):
            raise DataError(f"unit={unit!r} is not one of {', '.join(map(repr, UNITS))}.")
        found = recognise(list(frame.columns), dict(columns or {}))
        notes = ["Headers: " + ", ".join(f"{column} from {text!r}" for column, text in found.items()) + "."]
        rows = [f"row {i}" for i in range(1, len(frame) + 1)]
        out: dict[str, NDArray[Any]] = {}
        for column, text in found.items():
            title = f"{column} (header {text!r})"
            if column in ("run", "task"):
                out[column] = texts(frame[text])
            elif column in ("accuracy", "chance"):
                out[column], said = fractions(frame[text], title, text, unit, rows, column == "accuracy")
                notes += [said] if said else []
            else:
                out[column] = numbers(frame[text], title, rows)
        out.setdefault("task", np.full(len(frame), "task"))
        for column, given in (("items", items), ("chance", chance)):
            if given is not None:
                out[column] = _given(column, given, out["task"])
                notes.append(f"{column} is as given.")
            elif column not in out:
                raise DataError(
                    f"No column is recognised as {column} among the headers {', '.join(map(repr, frame.columns))}; say "
                    f"which one is, columns={{{column!r}: '...'}}, or give a number for all or one for each task by "
                    f"{column}=."
                )
        rest = frame.drop(columns=list(found.values()))
        extra = {str(label): further(rest[label]) for label in rest.columns if label not in COLUMNS}
        return cls({**out, **extra}, "outcomes" if name is None else name, tuple(notes))

    def _with(self, columns: Mapping[str, NDArray[Any]], note: str) -> Self:
        return replace(self, columns=columns, notes=(*self.notes, note))


def as_outcomes(outcomes: Outcomes | pd.DataFrame | str | Path) -> Outcomes:
    """A table of outcomes as people have it: read already, a DataFrame, or a file's path."""
    if isinstance(outcomes, Outcomes):
        return outcomes
    return Outcomes.from_frame(outcomes) if isinstance(outcomes, pd.DataFrame) else Outcomes.read(outcomes)


def _given(column: str, given: float | Mapping[str, float], task: NDArray[np.str_]) -> Array:
    if not isinstance(given, Mapping):
        return np.full(len(task), float(given))
    missing = [name for name in dict.fromkeys(task.tolist()) if name not in given]
    if missing:
        raise DataError(f"{column}= has no number for the tasks {', '.join(map(repr, missing))}.")
    return np.array([float(given[name]) for name in task.tolist()])


def _check_words(column: str, values: NDArray[np.str_], rows: list[str]) -> None:
    if (bad := values == "").any():
        raise DataError(
            f"Column {column}: {bad.sum()} missing: {name_rows(np.flatnonzero(bad), rows)}. Fill the cells."
        )


def _check_ranges(columns: Mapping[str, Array], rows: list[str]) -> None:
    check_numbers("loss", columns["loss"], rows, most=MOST_LOSS)
    check_numbers("items", columns["items"], rows)
    for column, wanted, bad in (
        ("items", "a whole number", columns["items"] != np.round(columns["items"])),
        ("accuracy", "between 0 and 1", ~((columns["accuracy"] >= 0) & (columns["accuracy"] <= 1))),
        ("chance", "at least 0 and below 1", ~((columns["chance"] >= 0) & (columns["chance"] < 1))),
    ):
        if bad.any():
            raise DataError(
                f"Column {column} must be {wanted} in every row: {show_rows(bad, rows, columns[column])}. Correct the "
                "cells, or take these rows out of the table."
            )


def _check_once(columns: Mapping[str, NDArray[Any]], rows: list[str]) -> None:
    """Refuse a run that has a task twice, and a task with several chances."""
    frame = pd.DataFrame({name: columns[name] for name in ("run", "task", "chance") if name in columns})
    if "run" in frame and (bad := frame.duplicated(["run", "task"], keep=False).to_numpy()).any():
        raise DataError(
            f"A run has each task once: {name_rows(np.flatnonzero(bad), rows)} have the run and the task of another "
            "row. Name the runs apart, or leave their names out with columns={'run': None}."
        )
    several = frame.groupby("task")["chance"].nunique()
    if (several > 1).any():
        raise DataError(f"A task has one chance; there are several of {', '.join(several.index[several > 1][:5])}.")
