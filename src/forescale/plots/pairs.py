"""Draws of parameters against each other."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from forescale.errors import ModelError
from forescale.estimates.draws import check_prob
from forescale.estimates.fit import Fit
from forescale.plots.drawing import BLUE, axes, finish_below, panels
from forescale.plots.parameters import free_names, parameter_label
from forescale.units import format_quantity


def plot_pairs(fit: Fit, ax: Axes | None = None, *, names: Sequence[str] | None = None, prob: float = 0.9) -> Axes:
    """Draws of parameters against each other, by arviz-plots' ``plot_pair``.

    Parameters
    ----------
    fit : Fit
        The fit.
    ax : Axes, optional
        Whose place the panels take; a figure of its own by default.
    names : sequence of str, optional
        Variables of the posterior, two at least: by default those that the card's priors are on, with the effect
        ``A_effect`` at the reference in place of ``A``, which all but moves with its exponent.
    prob : float
        Probability mass inside the contours, regions of highest density of a smoothed density: of 4,000 draws those
        of 90 % hold about 92 %, of fewer draws more.

    Returns
    -------
    Axes
        The axes around the panels, which are its ``child_axes``, row by row: draws and contours below the diagonal,
        histograms on it, and above it each pair's rank correlation.

    Raises
    ------
    ModelError
        If a name is not in the posterior, or there are fewer than two.

    Notes
    -----
    ``plot_pair`` needs axes for each pair, cannot be given a single one, and makes a figure of its own through pyplot,
    whose state is global. Here it draws on panels within ``ax``.

    Examples
    --------
    >>> import forescale as fs
    >>> fit = fs.fit(fs.load_dataset("hoffmann2022"), random_seed=1)  # doctest: +SKIP
    >>> plot_pairs(fit, names=("alpha", "beta", "A", "B")).figure.savefig("pairs.png")  # doctest: +SKIP
    """
    from arviz_plots import plot_pair

    check_prob(prob)
    names = free_names(fit.model) if names is None else list(names)
    missing = [name for name in names if name not in fit.posterior]
    if missing or len(names) < 2:
        known = ", ".join(map(str, fit.posterior.data_vars))
        wrong = f"there is no {', '.join(missing)}" if missing else f"given were {', '.join(names) or 'none'}"
        raise ModelError(f"a pair plot takes two parameters of the posterior or more ({known}); {wrong}")
    count, draws = len(names), fit.posterior[names]
    side = max(5.0, 1.0 * count)
    ax = axes(ax, side, side)
    cells = panels(ax, count, count, across=0.08, down=0.08)
    many = draws.sizes["chain"] * draws.sizes["draw"]
    plot_pair(
        xr.DataTree.from_dict({"posterior": draws}),
        plot_matrix=_matrix(draws, cells),
        marginal_kind="hist",
        levels=[prob],
        visuals={
            "scatter": {"color": BLUE, "alpha": float(np.clip(200 / many, 0.05, 0.5)), "size": 3, "rasterized": True},
            "contour": {"color": "black", "linewidths": 0.9},
            "dist": {"color": BLUE, "width": 1.0},
            "xlabel": False,
            "ylabel": False,
            "remove_axis": False,
        },
    )
    _dress(cells, fit, names)
    handles = [
        Line2D([], [], color=BLUE, marker="o", ls="", ms=3, label=f"{many:,} posterior draws"),
        Line2D([], [], color="black", lw=0.9, label=f"{100 * prob:g} % highest-density region, smoothed"),
    ]
    return finish_below(
        ax, f"Pairs of parameters: {fit.name}", "above the diagonal: rank correlations", handles=handles
    )


def _matrix(draws: xr.Dataset, cells: list[list[Axes]]) -> Any:
    """Panels as arviz-plots' ``PlotMatrix``, which would make its own."""
    from arviz_plots.plot_matrix import PlotMatrix

    class Given(PlotMatrix):
        def _generate_viz_dt(self, **_: Any) -> xr.DataTree:
            names = list(draws.data_vars)
            targets = np.array(cells, dtype=object)
            figure = np.array(cells[0][0].get_figure(root=True), dtype=object)
            places = {"col_index": np.arange(len(names)), "row_index": np.arange(len(names))}
            of = {"var_name_x": ("col_index", names), "var_name_y": ("row_index", names)}
            return xr.DataTree(
                xr.Dataset({"figure": figure, "plot": (("row_index", "col_index"), targets)}, coords=places | of)
            )

    made: Any = Given
    return made(draws, ["__variable__"], backend="matplotlib")


def _dress(cells: list[list[Axes]], fit: Fit, names: Sequence[str]) -> None:
    """Limits and ticks that panels of a row and of a column share, labels outside, correlations above the diagonal."""
    from scipy.stats import spearmanr

    values = [fit.posterior[name].to_numpy().ravel() for name in names]
    for row, line in enumerate(cells):
        for column, cell in enumerate(line):
            last, first = row == len(names) - 1, column == 0
            cell.tick_params(labelsize=7, length=2.5, labelbottom=last, labelleft=first and row > 0)
            _few_ticks(cell.xaxis, values[column])
            if row == column:
                cell.set_yticks([])
            else:
                _few_ticks(cell.yaxis, values[row])
            if column > row:
                cell.set_axis_off()
                together = f"{spearmanr(values[row], values[column]).statistic:.2f}".replace("-", "−")
                cell.text(0.5, 0.5, together, ha="center", va="center", fontsize=8, transform=cell.transAxes)
            if last:
                cell.set_xlabel(fill(parameter_label(fit.model, names[column]), 14, break_long_words=False), fontsize=7)
            if first:
                cell.set_ylabel(names[row], fontsize=7)


def _few_ticks(axis: Any, values: Any) -> None:
    """All but a few outliers within the limits, and at most two ticks well inside them, away from those next door."""
    low, high = np.quantile(values, [0.001, 0.999])
    margin = 0.1 * (high - low)
    axis.set_view_interval(low - margin, high + margin, ignore=True)
    ticks = MaxNLocator(3, steps=[1, 2, 5, 10]).tick_values(low, high)
    inside = ticks[(low + margin < ticks) & (ticks < high - margin)]
    ends = [float(tick) for tick in inside[:: max(1, len(inside) - 1)]]
    axis.set_ticks(ends, [format_quantity(tick) for tick in ends])
