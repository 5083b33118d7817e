"""How much compute a recipe is worth, against compute."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from forescale.decisions.compute_gain import ComputeGain
from forescale.errors import DataError
from forescale.plots.drawing import BLUE, GREY, axes, curve_band, finish, log_axis


def plot_gain(gain: ComputeGain, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """The compute-equivalent gain of a recipe, against compute.

    Parameters
    ----------
    gain : ComputeGain
        Of two budgets or more, along which the curve runs.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability mass of the equal-tailed band.

    Returns
    -------
    Axes
        Median and band, and the line of no gain; the curve ends where the new recipe never reaches the old one's loss.

    Raises
    ------
    DataError
        If there is a single budget.

    Examples
    --------
    >>> import forescale as fs
    >>> old, new = fs.published("gadre2024_redpajama"), fs.published("gadre2024_c4")
    >>> plot_gain(fs.compute_gain(old, new, [1e19, 1e20, 1e21])).get_ylabel()
    'gain: times less compute'
    """
    table = gain.table(prob).query("quantity == 'gain'").replace([0.0, np.inf], np.nan)
    if len(table) < 2:
        raise DataError("a curve of gains needs two budgets or more, say compute=numpy.geomspace(1e20, 1e25, 21)")
    ax = axes(ax)
    ax.plot(table["flops"], table["median"], color=BLUE, lw=1.5, label="median")
    curve_band(ax, table, "flops", gain.draws, prob)
    ax.axhline(1, color=GREY, lw=1, ls=(0, (4, 2)), label="no gain")
    log_axis(ax, "x", "flops")
    log_axis(ax, "y", "gain: times less compute")
    return finish(ax, f"What {gain.new} saves against {gain.old}", loc="best")
