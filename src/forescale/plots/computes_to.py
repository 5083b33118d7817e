"""How probably a loss is reached, against compute."""

from __future__ import annotations

from textwrap import fill

import numpy as np
from matplotlib.axes import Axes

from forescale.decisions.compute_to import ComputeTo
from forescale.errors import DataError
from forescale.estimates.draws import check_spread
from forescale.plots.drawing import axes, finish_below, log_axis, style
from forescale.units import format_quantity

_POINTS = 300
_MOST = 6  # losses that can be told apart
_FAR = 0.99  # of the draws that get there at all: where the axis ends


def plot_compute_to(needed: ComputeTo, ax: Axes | None = None) -> Axes:
    """How probably compute is enough for a loss, a curve for each loss.

    Parameters
    ----------
    needed : ComputeTo
        Of one loss to six.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
        Probability against compute; the legend has the medians, and how probably a loss is out of reach.

    Raises
    ------
    DataError
        If there are more losses than can be told apart, or none is ever reached.
    ModelError
        If there is a single draw, which has no probabilities.

    Examples
    --------
    >>> import forescale as fs
    >>> plot_compute_to(fs.compute_to(fs.published("besiroglu2024"), [2.0, 1.9])).get_xlabel()
    'training compute C (FLOPs)'
    """
    check_spread(needed.source, needed.draws)
    compute = needed.draws["compute"].transpose("loss", "chain", "draw")
    if len(compute) > _MOST:
        raise DataError(f"{len(compute)} losses cannot be told apart; choose up to {_MOST} of them")
    finite = [each[np.isfinite(each)] for each in compute.to_numpy()]
    if not any(len(each) for each in finite):
        raise DataError(f"no loss is reached in any draw of {needed.source}; there is nothing to draw")
    ax = axes(ax)
    low = min(each.min() for each in finite if len(each)) / 2
    high = max(np.quantile(each, _FAR, method="inverted_cdf") for each in finite if len(each)) * 2
    grid = np.geomspace(low, high, _POINTS)
    table = needed.probability(grid)
    for place, (loss, never) in enumerate(zip(compute["loss"].to_numpy(), needed.never.to_numpy(), strict=True)):
        colour, dashes, _ = style(place)
        median = float(np.quantile(compute[place], 0.5, method="inverted_cdf"))
        told = "never" if np.isinf(median) else f"{format_quantity(median)} FLOPs"
        out = f", out of reach {100 * never:.3g} %" if never else ""
        chance = table["probability"].to_numpy()[place * _POINTS : (place + 1) * _POINTS]
        ax.plot(grid, chance, color=colour, ls=dashes, lw=1.5, label=f"{loss:.4g} nats: {told}{out}")
    log_axis(ax, "x", "flops")
    ax.set_xlim(low, high)
    ax.set_ylim(0, 1.03)
    ax.set_ylabel("probability (that it reaches the loss)")
    of = fill(f"Median of what the loss takes; {needed.kind} ({needed.told})", 60)
    return finish_below(ax, f"Compute to a loss, by {needed.source}", of)
