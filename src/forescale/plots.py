"""Figures of results, but for backtests (``forescale.backtest_plots``).

Each function draws on the axes it is given, or on a figure of its own, and returns the axes; ``save_figure``
writes them. Nothing is shown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forescale.allocate import Allocation, allocate
from forescale.drawing import BLUE, GREY, axes, finish, log_axis, mass, note, power_of_ten, style
from forescale.draws import check_prob
from forescale.errors import DataError, FileError
from forescale.files import write_whole
from forescale.fit import Fit, residuals
from forescale.forecast import CURVE, forecast
from forescale.units import cost_model, format_quantity, parse_quantity

#: Models that were trained, by name: parameters and tokens (Hoffmann et al. 2022, arXiv:2203.15556, table 1).
TRAINED = MappingProxyType({"Chinchilla": (70e9, 1.4e12), "Gopher": (280e9, 300e9), "GPT-3": (175e9, 300e9)})

_RUN: dict[str, Any] = {"ls": "", "lw": 0.6, "marker": "o", "ms": 3.5, "mfc": "none", "mew": 0.7, "c": "0.2"}
_GRID = 61  # budgets along a frontier
_REPEATS = 50  # draws of the noise for each posterior draw


def plot_fit(fit: Fit, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """Residuals of the runs and the band of the noise, in percent of loss.

    A residual is ``100 (loss / law - 1)``, its median over the posterior. Where each run's standard error is
    known, the band is of the scatter beyond it, and the points carry it as bars.

    Parameters
    ----------
    fit : Fit
        The fit.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability mass of the equal-tailed band.

    Returns
    -------
    Axes
        Residuals against compute, or against the law's first input in a table without compute.
    """
    ax = axes(ax)
    runs, data = fit.observations, fit.model.data(fit.observations)
    against = "flops" if "flops" in runs.columns else fit.law.inputs[0]
    residual = _percent(residuals(fit.model, data, fit.posterior).median(("chain", "draw")).to_numpy())
    bars = _percent(data["log_loss_se"]) if fit.noise.needs_se else None

    tail = (1 - check_prob(prob)) / 2
    scale = {name: fit.posterior[name].to_numpy()[..., None] for name in fit.noise.parameters}
    sizes = (fit.posterior.sizes["chain"], fit.posterior.sizes["draw"], _REPEATS)
    scatter = fit.noise.sample(scale, sizes, np.random.default_rng(fit.seed))
    low, high = _percent(np.quantile(scatter, [tail, 1 - tail]))
    beyond, with_se = (" beyond s.e.", " ± s.e.") if fit.noise.needs_se else ("", "")

    ax.axhspan(low, high, color=BLUE, alpha=0.2, lw=0, label=f"run (noise{beyond}), {mass(prob)}")
    ax.axhline(0, color=BLUE, lw=1.2, label="the law's curve")
    ax.errorbar(runs.column(against), residual, bars, label=f"{len(runs)} runs{with_se}", **_RUN)
    log_axis(ax, "x", against)
    ax.set_ylabel("residual, loss above the law (% of loss)")
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top + 0.15 * (top - bottom))  # room for the legend above the points
    return finish(ax, f"Residuals: {fit.name}", loc="upper left", ncols=3)


def plot_loss(fit: Fit, ax: Axes | None = None, *, compute: float | str = 1e26, prob: float = 0.9) -> Axes:
    """Loss of compute-optimal runs against compute, from the smallest run on, far beyond the data if asked.

    Parameters
    ----------
    fit : Fit
        A fit of a law of flops, or of n_params and n_tokens: they are split at the median of N*, C = 6ND.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    compute : float or str
        Where the curve ends, in FLOPs.
    prob : float
        Probability mass of the equal-tailed bands.

    Returns
    -------
    Axes
        Loss against compute: the median and the bands ``mean`` and ``run`` of ``forecast``, the runs
        observed, and a line where the data end.

    Raises
    ------
    DataError
        If compute does not exceed the smallest run, or the table of runs has no compute.
    ModelError
        If the law has other inputs.
    """
    observed = fit.observations.column("flops")
    end = parse_quantity(compute)
    if not end > observed.min():
        least, given = format_quantity(observed.min()), format_quantity(end)
        raise DataError(f"compute must exceed the {least} FLOPs of the smallest run; it is {given}")
    flops = np.geomspace(observed.min(), end, _GRID)
    bands = forecast(fit, _optimal_runs(fit, flops), random_seed=fit.seed)
    middle = bands.table(prob, "mean")["median"]
    split = fit.law.inputs != ("flops",)

    ax = axes(ax)
    told = f"{len(observed)} runs" + (", each at its own split" if split else "")
    ax.plot(observed, fit.observations.column("loss"), **_RUN, label=told)
    ax.plot(flops, middle, color=BLUE, lw=1.2, label="median of the law's curve")
    for kind, alpha in (("mean", 0.55), ("run", 0.25)):
        band = bands.table(prob, kind)
        told = f"{kind} ({bands.kinds[kind]}), {mass(prob)}"
        ax.fill_between(flops, band["lower"], band["upper"], color=BLUE, alpha=alpha, lw=0, label=told)

    ax.axvline(observed.max(), color=GREY, lw=1, ls=(0, (4, 3)))
    told, at = f"data end here,\n{power_of_ten(observed.max())} FLOPs", (observed.max(), 0.02)
    note(ax, told, at, (5, 0), xycoords=ax.get_xaxis_transform(), color=GREY)
    log_axis(ax, "x", "flops")
    ax.set_ylabel("loss (nats per token)")
    return finish(ax, f"Loss{' of compute-optimal runs' if split else ''}: {fit.name}", loc="upper right")


def plot_allocation(
    allocation: Allocation,
    ax: Axes | None = None,
    *,
    others: Sequence[Allocation] = (),
    marks: Mapping[str, tuple[float, float]] = TRAINED,
    prob: float = 0.9,
) -> Axes:
    """Compute-optimal model size against compute.

    Parameters
    ----------
    allocation : Allocation
        Drawn with its band; of two budgets or more, along which the curve runs.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    others : sequence of Allocation
        Further estimates, drawn as their medians.
    marks : mapping of str to (n_params, n_tokens)
        Models to mark, at the compute that the allocation's cost model counts for them.
    prob : float
        Probability mass of the equal-tailed band.

    Returns
    -------
    Axes
        N* against C.

    Raises
    ------
    DataError
        If an allocation has a single budget.
    """
    first, *rest = (_sizes(each, prob) for each in (allocation, *others))
    flops, ax = first["flops"], axes(ax)
    ax.plot(flops, first["median"], color=BLUE, lw=1.6, label=f"{allocation.source}, median")
    if allocation.draws.sizes["chain"] * allocation.draws.sizes["draw"] > 1:
        told = f"mean ({CURVE}), {mass(prob)}"
        ax.fill_between(flops, first["lower"], first["upper"], color=BLUE, alpha=0.25, lw=0, label=told)
    for index, (other, curve) in enumerate(zip(others, rest, strict=True), start=1):
        color, dashes, _ = style(index)
        ax.plot(curve["flops"], curve["median"], color=color, ls=dashes, lw=1.4, label=other.source)

    cost = cost_model(allocation.cost)
    at = {name: (cost.flops(*sizes), sizes[0]) for name, sizes in marks.items()}
    for point in at.values():
        ax.plot(*point, "D", ms=5, color="black", mec="white", mew=0.8, zorder=3)
    log_axis(ax, "x", "flops")
    log_axis(ax, "y", "n_params")
    low, high = np.log(ax.get_ylim())
    for name, point in at.items():
        (flop, size), text = np.log(point), f"{name} {format_quantity(point[1])}"
        if size > np.interp(flop, np.log(flops), np.log(first["median"])):
            note(ax, text, point, (-5, 1), ha="right")
        elif size - low > 0.3 * (high - low):  # out of the curves, to where there is room
            leader = {"arrowstyle": "-", "color": GREY, "lw": 0.7, "shrinkB": 4}
            note(ax, text, point, (28, -55), arrowprops=leader)
        else:
            note(ax, text, point, (5, -3))
    ax.set_ylabel("compute-optimal size N* (parameters)")
    return finish(ax, f"Compute-optimal size, cost {allocation.cost}", loc="upper left")


def save_figure(figure: Axes | Figure, path: str | Path) -> Path:
    """Write a figure, whole or not at all; the suffix of the path says in which format.

    Parameters
    ----------
    figure : Axes or Figure
        The figure, or any axes on it.
    path : str or Path
        A file to make or replace: .png (at 200 dots per inch), .pdf, .svg and what else matplotlib writes.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    FileError
        If the suffix names no format that matplotlib writes.
    """
    whole: Any = figure.get_figure(root=True)
    path = Path(path)
    formats = sorted(whole.canvas.get_supported_filetypes())
    if path.suffix.removeprefix(".").lower() not in formats:
        raise FileError(f"{path}: a figure is written as one of {', '.join(formats)}; the suffix says which")
    return write_whole(path, lambda beside: whole.savefig(beside, dpi=200))


def _optimal_runs(fit: Fit, flops: Any) -> pd.DataFrame:
    """Make runs along the frontier: N is the median of N*, D what the budget then pays for."""
    if fit.law.inputs == ("flops",):
        return pd.DataFrame({"flops": flops})
    split = allocate(fit, flops)
    n_params = split.draws["n_params"].median(("chain", "draw")).to_numpy()
    return pd.DataFrame({"n_params": n_params, "n_tokens": cost_model(split.cost).n_tokens(flops, n_params)})


def _sizes(allocation: Allocation, prob: float) -> pd.DataFrame:
    table = allocation.table(prob).query("quantity == 'n_params'").sort_values("flops")
    if len(table) < 2:
        raise DataError(
            f"the allocation by {allocation.source} has one budget, and a curve needs two or more, say "
            "allocate(fit, numpy.geomspace(1e20, 1e27, 29))"
        )
    return table


def _percent(log_ratio: Any) -> Any:
    return 100 * np.expm1(log_ratio)
