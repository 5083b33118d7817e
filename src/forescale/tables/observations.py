"""Observations: an immutable, validated table of training runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forescale.errors import DataError
from forescale.frozen import FrozenTable, stacked
from forescale.tables.cells import MOST_LOSS, check_numbers, check_texts, numbers
from forescale.tables.columns import CANONICAL, INPUTS, NUMBERS, TEXTS
from forescale.tables.intake import read_table, tidy
from forescale.tables.support import check_supports
from forescale.units import CostModel, format_quantity


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Observations(FrozenTable):
    """Training runs: sizes and losses, checked once and never changed.

    `read` and `from_frame` recognise the columns of a stranger's table; this constructor takes columns that
    are already ours.

    Parameters
    ----------
    columns : mapping of str to array, shape (runs,)
        ``loss`` (nats per token) and at least one numeric input: ``n_params``, ``n_tokens`` (counts),
        ``flops`` or any other. Optional: ``loss_se`` (nats per token), ``family``, ``run`` (names, all
        different; made up when absent) and further columns.
    name : str
        What the table is called in messages and plots.
    counts_embeddings : bool, optional
        Whether n_params counts embedding parameters; None when unknown.
    notes : tuple of str
        How the table came to be, a sentence each.

    Raises
    ------
    DataError
        If a column is missing, ragged, not positive and finite where it must be, or if run names repeat.

    Examples
    --------
    >>> import pandas as pd
    >>> import forescale as fs
    >>> table = pd.DataFrame({"params": ["70M", "1B"], "tokens": ["1.4B", "20B"], "loss": [4.1, 2.9]})
    >>> runs = fs.Observations.from_frame(table)
    >>> runs.column("flops").tolist()
    [5.88e+17, 1.2e+20]
    """

    name: str = "runs"
    counts_embeddings: bool | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        FrozenTable.__post_init__(self)
        if self.counts_embeddings not in (True, False, None):
            raise DataError(f"counts_embeddings must be True, False or None; got {self.counts_embeddings!r}.")
        columns, notes = dict(self.columns), tuple(self.notes)
        if "run" not in columns:
            width = max(3, len(str(len(self))))
            columns["run"] = np.array([f"run-{i:0{width}}" for i in range(1, len(self) + 1)])
            notes += (f"Runs are numbered, {columns['run'][0]} to {columns['run'][-1]}: no column names them.",)
        for column in TEXTS:
            if column in columns:
                columns[column] = columns[column].astype(np.str_)
                check_texts(column, columns[column], [f"row {i}" for i in range(1, len(self) + 1)])
        labels = [f"run {run!r}" for run in columns["run"].tolist()]
        for column in NUMBERS:
            if column in columns:
                columns[column] = numbers(columns[column], column, labels)
                check_numbers(column, columns[column], labels, most=MOST_LOSS if column == "loss" else np.inf)
        if "loss" not in columns or not _numeric_inputs(columns):
            raise DataError(
                f"A table of runs needs loss and at least one numeric input, such as n_params, n_tokens or "
                f"flops; {self.name!r} has {', '.join(columns)}."
            )
        order = [column for column in CANONICAL if column in columns]
        object.__setattr__(self, "columns", {column: columns[column] for column in [*order, *columns]})
        object.__setattr__(self, "notes", notes)
        FrozenTable.__post_init__(self)

    def __repr__(self) -> str:
        numeric = {name: self.columns[name] for name in _numeric_inputs(self.columns)}
        sizes = {name: values for name, values in numeric.items() if name in INPUTS}
        varying = {name: values for name, values in numeric.items() if 0 < values.min() < values.max()}
        parts = [
            f"{len(self)} runs",
            *(f"{name} {_range(values)}" for name, values in (sizes or varying).items()),
        ]
        loss = self.columns["loss"]
        return f"Observations {self.name!r}: {'; '.join(parts)}; loss {loss.min():.4g}..{loss.max():.4g} nats"

    @classmethod
    def read(
        cls,
        path: str | os.PathLike[str],
        *,
        columns: Mapping[str, str | None] | None = None,
        loss_unit: str = "nats",
        bytes_per_token: float | None = None,
        counts_embeddings: bool | None = None,
        flops_tolerance: float = 0.1,
        cost: str | CostModel = "6ND",
        name: str | None = None,
    ) -> Observations:
        """Read a table of runs from a .csv, .tsv or .parquet file.

        Parameters
        ----------
        path : path
            The file; text files are UTF-8 with one line of headers.
        columns, loss_unit, bytes_per_token, counts_embeddings, flops_tolerance, cost
            As in `from_frame`.
        name : str, optional
            What to call the table; the file's stem by default.

        Raises
        ------
        DataError
            If the file cannot be read, or its table cannot be used; see `from_frame`.
        """
        return cls.from_frame(
            read_table(Path(path)),
            columns=columns,
            loss_unit=loss_unit,
            bytes_per_token=bytes_per_token,
            counts_embeddings=counts_embeddings,
            flops_tolerance=flops_tolerance,
            cost=cost,
            name=Path(path).stem if name is None else name,
        )

    @classmethod
    def from_frame(
        cls,
        frame: pd.DataFrame,
        *,
        columns: Mapping[str, str | None] | None = None,
        loss_unit: str = "nats",
        bytes_per_token: float | None = None,
        counts_embeddings: bool | None = None,
        flops_tolerance: float = 0.1,
        cost: str | CostModel = "6ND",
        name: str | None = None,
    ) -> Observations:
        """Take a table of runs from a DataFrame, under any usual headers.

        Parameters
        ----------
        frame : DataFrame
            One run per row. Cells may be numbers or text such as ``70B``.
        columns : mapping of str to str or None, optional
            Our name to your header, where recognition needs help: ``{"n_params": "Model Size"}``. None leaves
            the column out: ``{"flops": None}``.
        loss_unit : {"nats", "bits", "bits-per-byte", "perplexity"}
            The unit of loss and loss_se in the table, per token or per byte; both become nats per token.
        bytes_per_token : float, optional
            Mean bytes in a token; goes with ``loss_unit="bits-per-byte"`` and only with it.
        counts_embeddings : bool, optional
            Whether n_params counts embedding parameters.
        flops_tolerance : float
            Relative difference allowed between flops and the cost model, when the table has all three sizes.
        cost : str or CostModel
            The cost model that derives the third of n_params, n_tokens and flops from the other two.
        name : str, optional
            What to call the table.

        Raises
        ------
        DataError
            If a header is ambiguous, a cell is missing, not a number, or not positive, if run names
            repeat, if the loss seems to be in another unit, or if the sizes contradict the cost model.
        """
        tidied, notes = tidy(
            frame,
            columns=columns,
            loss_unit=loss_unit,
            bytes_per_token=bytes_per_token,
            flops_tolerance=flops_tolerance,
            cost=cost,
        )
        return cls(tidied, "runs" if name is None else name, counts_embeddings, tuple(notes))

    @classmethod
    def concat(
        cls, tables: Sequence[Observations], *, name: str | None = None, mixed_counting: bool = False
    ) -> Observations:
        """Join tables, one below the other.

        Run names that repeat across tables are prefixed with the table's name. Further columns that a
        table lacks are NaN, or empty text, there.

        Parameters
        ----------
        tables : sequence of Observations
            At least one, all with the same of our columns.
        name : str, optional
            What to call the result; the names joined with ``+`` by default.
        mixed_counting : bool
            Whether tables may be joined that differ in, or do not all state, how n_params counts embeddings.

        Raises
        ------
        DataError
            If the tables differ in their columns or, unless `mixed_counting`, in counts_embeddings.
        """
        if not tables:
            raise DataError("concat needs at least one table.")
        counting = {table.counts_embeddings for table in tables}
        if len(counting) > 1 and not mixed_counting:
            stated = ", ".join(f"{table.name}: {table.counts_embeddings}" for table in tables)
            raise DataError(
                f"The tables differ in counts_embeddings ({stated}): their n_params mean different things. "
                f"Recount n_params in one of them, or pass mixed_counting=True."
            )
        ours = [[column for column in CANONICAL if column in table.columns] for table in tables]
        for table, has in zip(tables, ours, strict=True):
            if has != ours[0]:
                raise DataError(
                    f"The tables differ in their columns: {tables[0].name!r} has {', '.join(ours[0])} and "
                    f"{table.name!r} has {', '.join(has)}. When reading, leave out what is not in both, "
                    f"for example columns={{'loss_se': None}}."
                )
        columns = stacked(tables)
        notes = [f"{table.name}: {note}" for table in tables for note in table.notes]
        if len(np.unique(columns["run"])) < len(columns["run"]):
            columns["run"] = np.array([f"{t.name}/{run}" for t in tables for run in t.labels("run")])
            notes.append("Run names repeat across the tables, and are prefixed with the names of the tables.")
        return cls(
            columns,
            "+".join(table.name for table in tables) if name is None else name,
            counting.pop() if len(counting) == 1 else None,
            tuple(notes),
        )

    def _with(self, columns: Mapping[str, NDArray[Any]], note: str) -> Self:
        return replace(self, columns=columns, notes=(*self.notes, note))

    def check_supports(
        self,
        inputs: Sequence[str],
        n_parameters: int,
        needs_loss_se: bool = False,
        may_stay: Sequence[str] = (),
    ) -> tuple[str, ...]:
        """Check that these runs can inform a law with these inputs and so many parameters.

        Parameters
        ----------
        inputs : sequence of str
            The columns that the law takes.
        n_parameters : int
            How many parameters are to be estimated.
        needs_loss_se : bool
            Whether the noise needs a standard error for every run.
        may_stay : sequence of str
            Inputs that may be the same in all runs.

        Returns
        -------
        tuple of str
            Warnings: inputs that move together, so that their exponents cannot be told apart.

        Raises
        ------
        DataError
            If an input or a needed loss_se is absent, an input is not a positive number in every run or
            (unless it may stay) the same in all runs, or there are fewer runs than parameters.
        """
        return check_supports(self, inputs, n_parameters, needs_loss_se, may_stay)


def as_observations(runs: Observations | pd.DataFrame | str | Path) -> Observations:
    """A table of runs as people have it: read already, a DataFrame, or a file's path."""
    if isinstance(runs, Observations):
        return runs
    return Observations.from_frame(runs) if isinstance(runs, pd.DataFrame) else Observations.read(runs)


def _numeric_inputs(columns: Mapping[str, NDArray[Any]]) -> list[str]:
    numeric = [name for name, values in columns.items() if values.dtype.kind == "f"]
    return [name for name in numeric if name not in ("loss", "loss_se")]


def _range(values: NDArray[np.float64]) -> str:
    return f"{format_quantity(values.min())}..{format_quantity(values.max())}"
