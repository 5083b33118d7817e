"""How the cheapest model shifts, and what it saves, with the tokens that it serves."""

from __future__ import annotations

from matplotlib.axes import Axes

from forescale.decisions.serve import Serving
from forescale.errors import DataError
from forescale.plots.drawing import BLUE, axes, curve_band, finish_below, log_axis

_WORDS = {
    "saving": "saved (% of the cost of training and serving)",
    "n_params": "model size N (parameters)",
    "n_tokens": "training data D (tokens)",
    "smaller": "size (share of the one cheapest to train)",
    "longer": "training data (times those of the one cheapest to train)",
}


def plot_serving(serving: Serving, ax: Axes | None = None, *, quantity: str = "saving", prob: float = 0.9) -> Axes:
    """What serving changes, against the tokens served.

    Parameters
    ----------
    serving : Serving
        Of two demands or more, along which the curve runs.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    quantity : {"saving", "n_params", "n_tokens", "smaller", "longer"}
        What is shown of the model that is cheapest over its life.
    prob : float
        Probability mass of the equal-tailed band.

    Returns
    -------
    Axes
        The median and the band.

    Raises
    ------
    DataError
        If there is no such quantity, or a single demand.

    Examples
    --------
    >>> import forescale as fs
    >>> found = fs.serve(fs.published("besiroglu2024"), ["1T", "10T", "100T"], compute="5.76e23")
    >>> plot_serving(found).get_ylabel()
    'saved (% of the cost of training and serving)'
    """
    if quantity not in _WORDS:
        raise DataError(f"serving has no {quantity!r} to draw; there are {', '.join(_WORDS)}")
    table = serving.table(prob).query("quantity == @quantity").sort_values("demand")
    if len(table) < 2:
        raise DataError("one demand is a point, and a curve needs two or more, say numpy.geomspace(1e11, 1e15, 30)")
    ax = axes(ax)
    ax.plot(table["demand"], table["median"], color=BLUE, lw=1.5, label="median")
    curve_band(ax, table, "demand", serving.draws, prob)
    log_axis(ax, "x", "tokens served over the life of the model (tokens)")
    if quantity in ("n_params", "n_tokens"):
        log_axis(ax, "y", quantity)
    ax.set_ylabel(_WORDS[quantity])
    if quantity in ("saving", "smaller", "longer"):
        ax.set_ylim(bottom=0)
    return finish_below(ax, f"Served at {serving.quality}, by {serving.source}")
