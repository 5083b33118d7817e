"""Sizes at which, or over which, a card's priors are read.

Most cards have a size for each input. A law that is *judged over* a range (``law.judged_over``) has the two ends of
one, and a fit puts those of its runs there: what the card believes of a range it believes of that of the runs, so
that it serves tables of any scale. It looks at sizes, never at losses. Such a law is the same in any unit, and in any
power, of its input, so that what is judged means the same whatever the range, and one compiled model serves every
table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from forescale.errors import ModelError
from forescale.units import format_quantity

if TYPE_CHECKING:
    from forescale.belief.model import Model
    from forescale.tables.observations import Observations

#: A size, or the two ends of a range.
Size = float | tuple[float, float]


def as_size(what: str, value: Any, *, over: bool) -> Size:
    """A size above zero, or, where a law is judged over a range, its two ends.

    Raises
    ------
    ModelError
        If it is not; ``what`` is named.
    """
    ends = list(value) if isinstance(value, list | tuple) else [value]
    numbers = all(isinstance(end, int | float) and np.isfinite(end) and end > 0 for end in ends)
    if over:
        if not (numbers and len(ends) == 2 and ends[0] < ends[1]):
            raise ModelError(f"{what} must be a range, such as [1e8, 1e11], not {value!r}")
        return float(ends[0]), float(ends[1])
    if not (numbers and ends[0] is value):
        raise ModelError(f"{what} must be a number above zero, not {value!r}")
    return float(value)


def in_words(size: Size) -> str:
    """Such as ``2B``, or ``100M to 100B``."""
    return " to ".join(map(format_quantity, size)) if isinstance(size, tuple) else format_quantity(size)


def at_runs(model: Model, runs: Observations | Mapping[str, Any]) -> Model:
    """The model as it is fitted to runs: with their ranges of sizes, where its law is judged over such.

    Parameters
    ----------
    model : Model
        Any model; one whose law is not judged over a range is returned as it is.
    runs : Observations or mapping of str to array, shape (run,)
        The runs to be fitted, or the law's inputs at them; of a forecast, those that are not held out.

    Returns
    -------
    Model
        What a `Fit` holds.
    """
    if not model.law.judged_over:
        return model
    sizes = {name: runs[name] if isinstance(runs, Mapping) else runs.column(name) for name in model.reference}
    return replace(model, reference={name: (float(np.min(x)), float(np.max(x))) for name, x in sizes.items()})


def in_units_of_range(model: Model, data: Mapping[str, Any]) -> tuple[Model, dict[str, Any]]:
    """The same posterior of what priors are on, with every range from 1/e to e, of a law judged over ranges."""
    if not model.law.judged_over:
        return model, dict(data)
    scaled, unit = dict(data), (float(np.exp(-1)), float(np.exp(1)))
    for name, ends in model.reference.items():
        low, high = np.log(ends)
        scaled[name] = np.exp((2 * np.log(data[name]) - low - high) / (high - low))
    return replace(model, reference=dict.fromkeys(model.reference, unit)), scaled
