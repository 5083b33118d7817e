"""Which header of a stranger's table of outcomes is which of our columns, and whether a share is in percent."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forescale.errors import DataError
from forescale.tables.cells import name_rows, numbers, show_rows
from forescale.tables.columns import Header

Array = NDArray[np.float64]

#: Our columns; chance and items may be given by arguments instead, task and run may be absent.
NUMBERS = ("loss", "accuracy", "items", "chance")
COLUMNS = ("run", "task", *NUMBERS)
_ALIASES = {
    "accuracy": "accuracy acc score exactmatch em percentcorrect top1accuracy top1",
    "items": "items nitems numitems n nexamples numexamples examples questions nquestions nsamples",
    "chance": "chance randombaseline randomchance baseline chancelevel guess random",
    "task": "task tasks benchmark taskname eval evaluation",
    "run": "run runname runid name id model modelname modelid",
}
UNITS = ("fraction", "percent")
_PERCENT = re.compile(r"(pct|percent|percentage|%)\W*$", re.IGNORECASE)


def recognise(headers: list[str], wanted: dict[str, str | None]) -> dict[str, str]:
    """Which header is which of our columns."""
    for column, text in wanted.items():
        if column not in COLUMNS or (text is not None and text not in headers):
            raise DataError(
                f"columns= maps {', '.join(COLUMNS)} to headers; {column!r}: {text!r} does not: the headers are "
                f"{', '.join(map(repr, headers))}."
            )
    found: dict[str, str] = {}
    for column in COLUMNS:
        if column in wanted:
            if (text := wanted[column]) is not None:
                found[column] = text
            continue
        candidates = [text for text in headers if text not in wanted.values() and _stands_for(Header(text), column)]
        candidates = [text for text in candidates if text == column] or candidates
        if len(candidates) > 1:
            raise DataError(
                f"The headers {' and '.join(map(repr, candidates))} can all be {column}; say which one is, for example "
                f"columns={{{column!r}: {candidates[0]!r}}}."
            )
        if candidates:
            found[column] = candidates[0]
        elif column in ("loss", "accuracy"):
            raise DataError(
                f"No column is recognised as {column} among the headers {', '.join(map(repr, headers))}; say which one "
                f"is, columns={{{column!r}: '...'}}."
            )
    return found


def _stands_for(header: Header, column: str) -> bool:
    if column == "loss":
        return header.canonical == "loss" and header.loss_units in ((), ("nats",))
    key = re.sub(r"(pct|percent|percentage|fraction)$", "", header.key) or header.key
    return key in _ALIASES[column].split()


def fractions(
    cells: pd.Series[Any], title: str, header: str, unit: str | None, rows: list[str], telling: bool
) -> tuple[Array, str]:
    """Read shares, in percent or fractions; what was done, if anything.

    Raises
    ------
    DataError
        If the unit cannot be told. A chance of zero is the same in both, so only what is ``telling`` must be told.
    """
    words = [str(cell).strip() for cell in cells]
    signed = np.array([word.endswith("%") for word in words])
    bare = [word.rstrip("% ") if sign else cell for word, sign, cell in zip(words, signed, cells, strict=True)]
    values = numbers(bare, title, rows)
    if signed.any() and not signed.all():
        raise DataError(
            f"Column {title}: some cells have a percent sign and some have none, such as "
            f"{name_rows(np.flatnonzero(~signed), rows)}. Write all in one way."
        )
    most, says = float(np.nanmax(values, initial=0.0)), bool(_PERCENT.search(header))
    if unit is None and says and 0 < most <= 1 and not signed.any():
        raise DataError(
            f"Column {title}: the header says percent, and no number is above 1 (the largest is {most:g}). Say which "
            "by unit='percent' or unit='fraction'."
        )
    if unit is None and not (signed.any() or says) and most > 1:
        raise DataError(
            f"Column {title}: above 1, so no fraction: {show_rows(values > 1, rows, values)}. If the table is in "
            "percent, pass unit='percent'."
        )
    percent = signed.any() or unit == "percent" or (unit is None and says) or (not telling and says and most > 1)
    return (values / 100, f"{title} is read as percent.") if percent else (values, "")
