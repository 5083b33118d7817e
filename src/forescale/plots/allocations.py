"""The compute-optimal split against compute, beside other estimates and real models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from forescale.allocate import Allocation
from forescale.errors import DataError
from forescale.forecast import CURVE
from forescale.plots.drawing import BLUE, GREY, axes, finish, log_axis, mass, note, style
from forescale.units import cost_model, format_quantity

#: Models that were trained, by name: parameters and tokens (Hoffmann et al. 2022, arXiv:2203.15556, table 1).
TRAINED = MappingProxyType({"Chinchilla": (70e9, 1.4e12), "Gopher": (280e9, 300e9), "GPT-3": (175e9, 300e9)})


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


def _sizes(allocation: Allocation, prob: float) -> pd.DataFrame:
    table = allocation.table(prob).query("quantity == 'n_params'").sort_values("flops")
    if len(table) < 2:
        raise DataError(
            f"the allocation by {allocation.source} has one budget, and a curve needs two or more, say "
            "allocate(fit, numpy.geomspace(1e20, 1e27, 29))"
        )
    return table
