"""Distribution functions of PITs, less the uniform one, and the bands in which all of one stays.

The PIT of a forecast is the share of it that lies below the loss that came, uniform for a calibrated forecaster.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from forescale.numbers.uniformity import ecdf, envelope
from forescale.plots.drawing import BLUE, GREY, note

_PLACES = 100  # steps of a distribution function
_STEPS = np.arange(1, _PLACES) / _PLACES
_ENDS = np.concatenate([[0.0], _STEPS, [1.0]])


def pit_band(ax: Axes, count: int, prob: float, color: str, told: str) -> float:
    """Where the whole line of so many independent uniform PITs stays with probability ``prob``; how far that is."""
    _, lower, upper = envelope(count, _PLACES, prob)
    low, high = _whole(lower - _STEPS), _whole(upper - _STEPS)
    ax.fill_between(_ENDS, low, high, color=color, lw=0, label=told)
    return float(np.abs([low, high]).max())


def pit_line(ax: Axes, pits: Any, told: str, *, color: str = BLUE, dashes: Any = "solid") -> float:
    """Share of PITs up to each step, less the step, in percent; how far that goes from zero."""
    places = np.minimum((np.asarray(pits) * _PLACES).astype(int), _PLACES - 1)
    line = _whole(ecdf(places, _PLACES) - _STEPS)
    ax.plot(_ENDS, line, color=color, ls=dashes, lw=1.5, label=told)
    return float(np.abs(line).max())


def pit_axes(ax: Axes, what: str, most: float) -> None:
    """Axes of shares of what is forecast, up to ``most`` percent, and what a line off zero says."""
    ax.axhline(0, color=GREY, lw=0.8)
    for height, words in ((0.96, "losses forecast too high"), (0.04, "losses forecast too low")):
        note(ax, words, (1, height), (-6, 0), xycoords="axes fraction", ha="right", va="center", color=GREY)
    ax.set(xlim=(0, 1), ylim=(-1.1 * most, 1.1 * most))
    ax.set(xlabel="PIT (share of the forecast below the loss that came)", ylabel=f"{what} up to it, less uniform (%)")


def _whole(difference: Any) -> Any:
    """In percent, and with both ends, where distribution functions agree."""
    return np.concatenate([[0.0], 100 * difference, [0.0]])
