"""A learning curve with its breaks: what was seen, the band averaged over the number of breaks, and where they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from numpy.typing import NDArray

from forescale.errors import DataError
from forescale.estimates.weighed_breaks import Breaks
from forescale.plots.drawing import BLUE, RUN, axes, finish, log_axis, mass, style
from forescale.tables.observations import Observations
from forescale.verbs.forecast import forecast

_BINS = 60  # of the posterior of places, over the whole axis


def plot_breaks(
    found: Breaks, ax: Axes | None = None, *, prob: float = 0.9, held: Observations | pd.DataFrame | None = None
) -> Axes:
    """Loss against size, with bands averaged over the number of breaks, and where breaks are.

    Parameters
    ----------
    found : Breaks
        Of `forescale.breaks`.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability mass of the equal-tailed bands.
    held : Observations or DataFrame, optional
        Runs that were held out, with the same input and a loss; the curve is drawn up to the largest, and otherwise to
        twice the largest run fitted.

    Returns
    -------
    Axes
        Runs fitted and held out, the median and both bands, and in the lowest fifth the posterior of the places of
        breaks, as high as a break is probable.

    Raises
    ------
    DataError
        If the runs held out lack the input or the loss, or prob is not between 0 and 1.

    Examples
    --------
    >>> import forescale as fs
    >>> curve = fs.load_dataset("google_nmt").where(family="Dec-only")
    >>> plot_breaks(fs.breaks(curve, size="n_examples", random_seed=1))  # doctest: +SKIP
    """
    (size,), runs = found.law.inputs, found.observations
    x = runs.column(size)
    further = pd.DataFrame({size: [], "loss": []}) if held is None else held
    table = further.table if isinstance(further, Observations) else further
    if missing := {size, "loss"} - set(table):
        raise DataError(f"runs held out want {size} and loss; there is no {', '.join(sorted(missing))}")
    largest = max(2 * x.max(), 1.1 * float(table[size].max()) if len(table) else 0.0)
    grid = np.geomspace(x.min() / 1.1, largest, 120)
    predicted = forecast(found, {size: grid}, random_seed=found.seed)
    ax = axes(ax)
    for kind, alpha in (("run", 0.18), ("mean", 0.3)):
        rows = predicted.table(prob, kind)
        label = f"{kind} ({'a new run: curve and noise' if kind == 'run' else 'the curve'}), {mass(prob)}"
        ax.fill_between(grid, rows["lower"], rows["upper"], color=BLUE, alpha=alpha, lw=0, label=label)
        if kind == "mean":
            ax.plot(grid, rows["median"], color=BLUE, lw=1.4, label="median")
    ax.plot(x, runs.column("loss"), **RUN | {"label": f"{len(runs)} runs fitted"})
    if len(table):
        color, _, marker = style(1)
        ax.plot(table[size], table["loss"], marker, color=color, ms=5, zorder=5, label=f"{len(table)} held out")
    ax.set(yscale="log", xlim=(grid[0], grid[-1]))
    log_axis(ax, "x", size)
    ax.set_ylabel("loss (nats per token)")
    ax.yaxis.set_major_formatter("{x:g}")
    ax.yaxis.set_minor_formatter("{x:g}")
    _draw_places(ax, found, grid)
    some = 1 - found.probability[0]
    return finish(ax, f"{found.name}: a break with probability {some:.2f}", loc="upper right")


def _draw_places(ax: Axes, found: Breaks, grid: NDArray[np.float64]) -> None:
    """Where breaks are, as steps in the lowest fifth of the figure."""
    count = found.posterior["breaks"].to_numpy().ravel()
    edges = np.linspace(np.log(grid[0]), np.log(grid[-1]), _BINS + 1)
    heights = np.zeros(_BINS)
    for i in range(1, max(found.probability) + 1):
        places = found.posterior[f"d_{i}"].to_numpy().ravel()[count >= i]
        heights += np.histogram(np.log(places), edges)[0] / len(count)
    scaled = 0.2 * (1 - found.probability[0]) * heights / max(heights.max(), 1e-12)
    color = style(2)[0]
    place: dict[str, Any] = {"zorder": 0, "transform": ax.get_xaxis_transform()}
    ax.stairs(scaled, np.exp(edges), color=color, alpha=0.5, fill=True, label="posterior of breaks' places", **place)
