"""Numbers as a report writes them: sizes with three digits, bands with their probability, shares in percent."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import xarray as xr

from forescale.estimates.draws import interval_rows
from forescale.units import format_quantity

Write = Callable[[float], str]
_SHARE = re.compile(r"(?<=\d) %")
_EXPONENT = re.compile(r"e\+?(-?)0*(?=\d)")

loss: Write = "{:.3f}".format
exponent: Write = "{:.3f}".format
size: Write = format_quantity


def number(value: float) -> str:
    """Write a number with three significant digits, whole from a hundred on: ``0.33``, ``1240``, ``4.6e-5``."""
    if 100 <= abs(value) < 1e6:
        return f"{value:.0f}"
    return _EXPONENT.sub(r"e\1", f"{value:.3g}")


def percent(share: float) -> str:
    """Write a share, and do not break the line in it: ``90 %``."""
    return f"{100 * share:.3g}\u00a0%"


def times(ratio: float) -> str:
    """Write a factor: ``480``, ``2.5``."""
    return f"{ratio:,.0f}" if ratio >= 9.95 else f"{ratio:.2g}"


def count(number: int, what: str) -> str:
    """Write ``1 run``, ``2 runs``."""
    return f"{number:,} {what}{'s' * (number != 1)}"


def listed(names: Iterable[str]) -> str:
    """Write ``a, b and c``."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last


def sentence(text: str) -> str:
    """Begin with a capital and end with a full stop."""
    return stopped(f"{text[:1].upper()}{text[1:]}")


def stopped(text: str) -> str:
    """End with a full stop, and keep shares in one piece."""
    text = _SHARE.sub("\u00a0%", " ".join(text.split()))
    return f"{text}{'' if text.endswith(('.', '!', '?')) else '.'}"


def price(value: float) -> str:
    """Write a small quantity with two significant digits: ``0.0068``, ``4.6e-5``."""
    return _EXPONENT.sub(r"e\1", f"{value:.2g}")


def row_of(draws: xr.DataArray, prob: float) -> Any:
    """Median and interval of one quantity."""
    return interval_rows(draws, prob).iloc[0]


def bracket(row: Any, write: Write) -> str:
    """Write ``71.3B [59.9B, 84.9B]``, or the median alone where there is no spread."""
    middle, low, high = (write(row[end]) for end in ("median", "lower", "upper"))
    return middle if row["lower"] == row["upper"] else f"{middle} [{low}, {high}]"


def spoken(row: Any, write: Write, unit: str, prob: float) -> str:
    """Write ``71.3B parameters, 90 % 59.9B to 84.9B``, or the median alone where there is no spread."""
    middle, low, high = (write(row[end]) for end in ("median", "lower", "upper"))
    return f"{middle} {unit}" + ("" if row["lower"] == row["upper"] else f", {percent(prob)} {low} to {high}")
