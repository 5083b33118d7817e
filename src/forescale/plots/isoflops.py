"""IsoFLOP valleys: loss against size at each budget, and where each valley is lowest."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import ListedColormap, LogNorm

from forescale.estimates.draws import interval_rows
from forescale.frontiers.frontier import Frontier
from forescale.frontiers.valley import get_shape, minima
from forescale.plots.drawing import axes, finish_below, log_axis, mass

_POINTS = 61  # sizes along a valley
_MARKERS = "os^Dv<>P"
_MINIMUM = ("n_params", "loss")
_TOLD = ("{runs} runs", "median valley", "mean (the valley's curve), {mass}", "minimum: N* and loss, {mass}")
_SHADES = ListedColormap(colormaps["viridis"](np.linspace(0, 0.8, 256)))  # its end is too pale for print


def plot_isoflops(frontier: Frontier, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """Loss against size at each budget of compute, with the valleys of approach 2 and their minima.

    Parameters
    ----------
    frontier : Frontier
        Of ``frontier(runs)``, by isoFLOP profiles.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability mass of the equal-tailed bands and intervals.

    Returns
    -------
    Axes
        Loss in nats per token against N. For each budget, in one colour: its runs, the median valley with its band
        along the budget's own line of compute (over the sizes that were run), and the minimum, with the intervals of
        N* and of the loss there, as in ``frontier.table``. A run's own compute may be a little off its budget's.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> plots.plot_isoflops(fs.frontier(fs.load_dataset("hoffmann2022"), random_seed=1))  # doctest: +SKIP
    """
    ax, runs = axes(ax, 5.2), frontier.groups.runs
    table = frontier.table(prob).set_index(["flops", "quantity"])
    budgets = frontier.draws["budget"].to_numpy()
    norm = LogNorm(budgets.min(), budgets.max())
    for index, flops in enumerate(budgets):
        shade, marker, own = _SHADES(norm(flops)), _MARKERS[index % len(_MARKERS)], runs[runs["budget"] == flops]
        sizes = np.geomspace(own["n_params"].min(), own["n_params"].max(), _POINTS)
        valley, best, loss = valleys(frontier, index, sizes, prob), *(table.loc[(flops, q)] for q in _MINIMUM)
        told = _TOLD if index == 0 else ("",) * len(_TOLD)  # the bar says which colour is which budget
        run, curve, band, low = (text.format(runs=len(runs), mass=mass(prob)) for text in told)
        ax.plot(own["n_params"], own["loss"], marker, ms=3.5, mfc="none", mew=0.7, color=shade, label=run)
        ax.plot(sizes, valley["median"], color=shade, lw=1.3, label=curve)
        ax.fill_between(sizes, valley["lower"], valley["upper"], color=shade, alpha=0.3, lw=0, label=band)
        bars: Any = {"xerr": _beside(best), "yerr": _beside(loss), "ecolor": "black", "elinewidth": 1.2, "capsize": 2.5}
        look: Any = {"marker": marker, "ms": 6, "mfc": shade, "mec": "white", "mew": 0.8, "ls": "", "zorder": 4}
        ax.errorbar(best["median"], loss["median"], **bars, **look, label=low)
    log_axis(ax, "x", "n_params")
    ax.set_ylabel("loss (nats per token)")
    bar = Colorbar(ax.inset_axes((1.03, 0, 0.03, 1)), ScalarMappable(norm, _SHADES))
    log_axis(bar.ax, "y", "flops")
    bar.ax.set_ylabel("budget C (FLOPs)")
    bar.ax.hlines(budgets, 0, 1, color="white", lw=0.8)
    return finish_below(ax, f"{frontier.name}: {frontier.shape} valleys, cost {frontier.cost.name}")


def valleys(frontier: Frontier, index: int, sizes: Any, prob: float) -> pd.DataFrame:
    """Median and band of the loss of sizes that spend one budget to the FLOP.

    Parameters
    ----------
    frontier : Frontier
        The posterior of the valleys.
    index : int
        Which budget.
    sizes : array, shape (size,)
        Parameters.
    prob : float
        Probability mass of the equal-tailed interval.

    Returns
    -------
    pandas.DataFrame
        A row per size: median, lower, upper (nats per token), prob, interval.
    """
    budgets = frontier.draws["budget"]
    log_flops = xr.DataArray(np.log(budgets.to_numpy()), dims="budget", coords={"budget": budgets.to_numpy()})
    lowest = {
        name: array.isel(budget=index) if "budget" in array.dims else array
        for name, array in minima(log_flops, frontier.posterior, frontier.cost).items()
    }
    log_sizes = xr.DataArray(np.log(sizes), dims="size")
    log_tokens = log_flops[index] - np.log(frontier.cost.flops_per_token(np.exp(log_sizes)))
    run = {"log_params": log_sizes, "log_tokens": log_tokens, "log_beyond": 0.0}
    loss = get_shape(frontier.shape).loss(run, lowest, frontier.posterior)
    return interval_rows(loss.transpose("chain", "draw", "size"), prob)


def _beside(row: Any) -> Any:
    """How far the ends of an interval are below and above its median, for an error bar."""
    return [[row["median"] - row["lower"]], [row["upper"] - row["median"]]]
