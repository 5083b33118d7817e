"""Loss over sizes and data, and the compute-optimal way through it."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from forescale.errors import DataError
from forescale.estimates.draws import Estimate, is_single
from forescale.estimates.fit import thinned
from forescale.numbers.budgets import Quantity, positive
from forescale.plots.drawing import BLUE, GREY, RUN, axes, finish_below, log_axis, mass, note, power_of_ten
from forescale.tables.observations import Observations
from forescale.units import CostModel, cost_model
from forescale.verbs.allocate import allocate
from forescale.verbs.forecast import CURVE

_BUDGETS, _GRID = 41, 81  # budgets along the frontier; sizes, and as many amounts of data, under the contours
_LEVELS = 9
_MOST = 5_000_000  # losses (draws x grid) behind the median, 40 MB
_LEAST, _ROOM = 1e18, 2.0  # FLOPs from which on an estimate without runs is drawn; by what factor the view is wider


def plot_contours(
    source: Estimate,
    ax: Axes | None = None,
    *,
    compute: Quantity = 1e26,
    cost: str | CostModel = "6ND",
    prob: float = 0.9,
) -> Axes:
    """Contours of loss over N and D, with the compute-optimal split and its band.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap, of a law of n_params and n_tokens.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    compute : float or str
        Where the frontier ends, in FLOPs. It starts at the smallest run, or at 1e18 where there are no runs.
    cost : str or CostModel
        What training costs, as in ``allocate``.
    prob : float
        Probability mass of the equal-tailed band.

    Returns
    -------
    Axes
        D against N: contours of the median of the law's curve in nats per token, at losses that the frontier reaches
        at even steps of log compute, rounded; the median N* of each budget with the D that it then pays for, and the
        band of N* along the line of that budget; such lines, of one compute each; and the runs of a fit. An estimate of
        a single draw has no band.

    Raises
    ------
    DataError
        If compute does not exceed that at the start.
    ModelError
        If the law has other inputs, or no optimum; see ``allocate``.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> ax = plots.plot_contours(fs.published("besiroglu2024"), compute="1e25")
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('model size N (parameters)', 'training data D (tokens)')
    """
    costs, end = cost_model(cost), float(positive("compute", compute)[0])
    runs: Observations | None = getattr(source, "observations", None)
    seen = {name: runs.column(name) if runs else np.array([]) for name in ("n_params", "n_tokens")}
    start = float(np.min(costs.flops(**seen), initial=np.inf)) if runs else _LEAST
    if not end > start:
        raise DataError(f"compute is where the frontier ends, and must exceed the {start:.3g} FLOPs where it starts")
    flops = np.geomspace(start, end, _BUDGETS)
    table = allocate(source, flops, cost=costs).table(prob)
    sizes = table[table["quantity"] == "n_params"].reset_index(drop=True)
    tokens = {name: costs.n_tokens(flops, sizes[name]) for name in ("median", "lower", "upper")}
    best_loss = table.loc[table["quantity"] == "loss", "median"].to_numpy()

    across = _view(seen["n_params"], sizes[["lower", "upper"]])
    up = _view(seen["n_tokens"], tokens["lower"], tokens["upper"])
    ax = axes(ax, 5.2)
    ax.set(xscale="log", yscale="log", xlim=across[[0, -1]], ylim=up[[0, -1]])
    log_axis(ax, "x", "n_params")
    log_axis(ax, "y", "n_tokens")
    _budget_lines(ax, costs, across, up)
    loss = _median_loss(source, across, up)
    levels = np.unique(np.round(best_loss[:: -(-_BUDGETS // _LEVELS)], 2))
    drawn = ax.contour(across, up, loss, levels, colors="0.25", linewidths=0.9)
    for text in ax.clabel(drawn, fmt="%.2f", fontsize=8):
        text.set_path_effects([withStroke(linewidth=2.5, foreground="white")])
    ax.plot([], [], color="0.25", lw=0.9, label="loss (nats per token), median")
    if runs:
        ax.plot(seen["n_params"], seen["n_tokens"], **RUN, label=f"{len(runs)} runs")
    ax.plot(sizes["median"], tokens["median"], color=BLUE, lw=1.8, label="compute-optimal split, median")
    if not is_single(source.posterior):
        around = [np.concatenate([each["lower"], each["upper"][::-1]]) for each in (sizes, tokens)]
        ax.fill(*around, color=BLUE, alpha=0.3, lw=0, label=f"mean ({CURVE}), {mass(prob)} in N*")
    return finish_below(ax, f"Loss over size and data: {source.name}, cost {costs.name}")


def _view(*values: Any) -> Any:
    """A grid in logs from the least to the most of all values, and a little beyond."""
    all_values = np.concatenate([np.ravel(each) for each in values])
    return np.geomspace(all_values.min() / _ROOM, all_values.max() * _ROOM, _GRID)


def _median_loss(source: Estimate, n_params: Any, n_tokens: Any) -> Any:
    """Median of the law's curve, of shape (token, size)."""
    at = {"n_params": xr.DataArray(n_params, dims="size"), "n_tokens": xr.DataArray(n_tokens, dims="token")}
    few = thinned(source.posterior, len(n_params) * len(n_tokens), _MOST)
    return source.law(at, few).median(("chain", "draw")).transpose("token", "size").to_numpy()


def _budget_lines(ax: Axes, cost: CostModel, across: Any, up: Any) -> None:
    """Lines of one compute each, every two decades, named where they come into view on the left or above."""
    least, most = (np.log10(cost.flops(across[end], up[end])) for end in (0, -1))
    for index, flops in enumerate(10.0 ** np.arange(np.ceil(least), most, 2)):
        told = "equal compute (FLOPs)" if index == 0 else None
        ax.plot(across, cost.n_tokens(flops, across), color=GREY, lw=0.8, ls=(0, (1, 2)), zorder=1, label=told)
        left = max(across[0], cost.n_params(flops, up[-1]))
        if left < across[-1] / 2:
            top = min(up[-1], cost.n_tokens(flops, left))
            note(
                ax,
                power_of_ten(float(flops)),
                (left, top),
                (8, -7),
                color=GREY,
                va="top" if top == up[-1] else "center",
            )
