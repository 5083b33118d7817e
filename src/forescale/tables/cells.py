"""Cells to numbers and text, and the checks that name the column, the rows and the remedy."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forescale.errors import DataError
from forescale.units import parse_quantity

#: Nats of a uniform guess among a million tokens: no vocabulary is larger, so no run does worse.
MOST_LOSS = math.log(1e6)

_MISSING = {"", "na", "n/a", "nan", "<na>", "null", "none", "-"}


def numbers(cells: Iterable[Any], title: str, labels: Sequence[str]) -> NDArray[np.float64]:
    """Read cells such as ``7e10``, ``70B`` or ``1,000``; a missing cell is NaN, other text is refused."""
    array = np.asarray(cells)
    if array.dtype.kind in "iuf":
        return array.astype(np.float64)
    values = np.full(len(labels), math.nan)
    bad: dict[int, str] = {}
    for i, cell in enumerate(cells):
        if not _is_missing(cell):
            try:
                values[i] = parse_quantity(cell if isinstance(cell, Real) else str(cell))
            except DataError:
                bad[i] = repr(str(cell)) if isinstance(cell, str) else str(cell)
    if bad:
        raise DataError(
            f"Column {title}: not finite numbers: {name_rows(bad, labels, bad)}. "
            f"Write numbers such as 7e10, 70B or 1,000, with a point as the decimal mark."
        )
    return values


def texts(cells: pd.Series[Any]) -> NDArray[np.str_]:
    """Read cells as text; a missing cell is empty, a whole number has no ``.0``."""
    blank = pd.isna(cells)
    plain = ["" if gone else int(cell) if _is_whole(cell) else cell for cell, gone in zip(cells, blank, strict=True)]
    return np.array([str(cell).strip() for cell in plain], dtype=np.str_)


def further(cells: pd.Series[Any]) -> NDArray[Any]:
    """Read a further column: numbers (true and false as 1 and 0) if all its cells are, else text."""
    said = {text.lower() for text in texts(cells).tolist()}
    if said <= {"true", "false"}:
        return np.array([text.lower() == "true" for text in texts(cells).tolist()], dtype=np.float64)
    try:
        values = numbers(cells, "", [""] * len(cells))
    except DataError:
        return texts(cells)
    return texts(cells) if np.isnan(values).all() else values


def check_numbers(
    column: str,
    values: NDArray[np.float64],
    labels: Sequence[str],
    title: str | None = None,
    most: float = math.inf,
) -> None:
    """Refuse missing, infinite, zero and negative numbers, and those above `most`.

    Raises
    ------
    DataError
        With the column, the rows, the values and what to try.
    """
    title = title or column
    if (bad := np.isnan(values)).any():
        reading = title != column and column != "loss"
        without = f", or leave the column out with columns={{{column!r}: None}}" if reading else ""
        raise DataError(
            f"Column {title}: {bad.sum()} missing: {name_rows(np.flatnonzero(bad), labels)}. "
            f"Fill the cells, or take these runs out of the table{without}."
        )
    for bad, wanted in ((np.isinf(values), "finite"), (values <= 0, "above zero")):
        if bad.any():
            raise DataError(
                f"Column {title} must be {wanted} in every run: {show_rows(bad, labels, values)}. "
                f"Correct the cells, or take these runs out of the table."
            )
    if (bad := values > most).any():
        raise DataError(
            f"Column {title}: above {most:.1f} nats, the loss of a uniform guess among a million tokens: "
            f"{show_rows(bad, labels, values)}. Is it a perplexity? Then pass loss_unit='perplexity'; "
            f"if a run diverged, take it out of the table."
        )


def refuse_words(cells: pd.DataFrame) -> None:
    """Refuse a table whose first row has words where all others have none: units, or a second line of headers.

    Raises
    ------
    DataError
        With the words and what to do.
    """
    words = cells.map(lambda cell: isinstance(cell, str) and not _is_missing(cell) and cell.strip()[0].isalpha())
    if len(cells) > 1 and words.iloc[0].all() and not words.iloc[1:].any(axis=None):
        raise DataError(
            f"Row 1 has words where the others have numbers: {', '.join(map(repr, cells.iloc[0]))}. Is it a line of "
            "units? Delete it, and say units in the headers, such as 'tokens (B)'."
        )


def check_texts(column: str, values: NDArray[np.str_], labels: Sequence[str]) -> None:
    """Refuse empty cells in a column of labels, and run names that occur twice."""
    if (bad := values == "").any():
        raise DataError(
            f"Column {column}: {bad.sum()} missing: {name_rows(np.flatnonzero(bad), labels)}. "
            f"Fill the cells, or leave the column out with columns={{{column!r}: None}}."
        )
    names, counts = np.unique(values, return_counts=True)
    if column == "run" and (counts > 1).any():
        where = {name: name_rows(np.flatnonzero(values == name), labels) for name in names[counts > 1].tolist()}
        shown = "; ".join(f"{name!r} in {rows}" for name, rows in list(where.items())[:5])
        more = f" ... and {len(where) - 5} more" if len(where) > 5 else ""
        raise DataError(
            f"Column run: names must differ, but {shown}{more}. Rename these runs, number them with "
            f"columns={{'run': None}}, or, if it names groups, pass it as columns={{'family': '...'}}."
        )


def name_rows(
    rows: Sequence[int] | NDArray[np.intp] | Mapping[int, object],
    labels: Sequence[str],
    values: Mapping[int, str] | None = None,
) -> str:
    """Name rows in a message, at most five of them: ``row 2 ('abc'), row 7 ('x') ... and 12 more``."""
    shown = [labels[i] + (f" ({values[i]})" if values is not None else "") for i in list(rows)[:5]]
    return ", ".join(shown) + (f" ... and {len(rows) - 5} more" if len(rows) > 5 else "")


def show_rows(bad: NDArray[np.bool_], labels: Sequence[str], values: NDArray[np.float64]) -> str:
    """Name the rows where `bad` holds, each with its value."""
    rows = {int(i): f"{values[i]:g}" for i in np.flatnonzero(bad)}
    return name_rows(rows, labels, rows)


def _is_missing(cell: object) -> bool:
    if isinstance(cell, str):
        return cell.strip().lower() in _MISSING
    return cell is None or cell is pd.NA or cell is pd.NaT or (isinstance(cell, Real) and math.isnan(cell))


def _is_whole(cell: object) -> bool:
    return isinstance(cell, Real) and not isinstance(cell, bool) and float(cell).is_integer()
