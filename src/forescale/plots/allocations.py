"""The compute-optimal split against compute, beside other estimates, printed rules and real models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

from forescale.errors import DataError
from forescale.estimates.draws import is_single
from forescale.numbers.rules import PowerRule
from forescale.plots.drawing import BLUE, GREY, axes, finish, finish_below, log_axis, mass, note, style
from forescale.units import CostModel, cost_model, format_quantity
from forescale.verbs.allocate import Allocation
from forescale.verbs.forecast import CURVE

#: Models that were trained, by name: parameters and tokens (Hoffmann et al. 2022, arXiv:2203.15556, table 1).
TRAINED = MappingProxyType({"Chinchilla": (70e9, 1.4e12), "Gopher": (280e9, 300e9), "GPT-3": (175e9, 300e9)})
#: What can be drawn, with the words for its axis and for the heading.
QUANTITIES = {
    "n_params": ("compute-optimal size N* (parameters)", "Compute-optimal size"),
    "n_tokens": ("compute-optimal data D* (tokens)", "Compute-optimal data"),
    "tokens_per_param": ("D*/N* (tokens per parameter)", "Compute-optimal tokens per parameter"),
}
_LETTER, _LINE = 4.6, 9.0  # width of a letter and height of a line of a label, in typographic points
#: Where a name may stand beside its point: typographic points to the right and up, and which of its ends is there.
_PLACES: tuple[tuple[float, float, Any], ...] = tuple(
    (sign * away, up, side)
    for away, ups in ((6, (-3, 6, -11)), (12, (-20, 16)), (24, (-34, 28)), (36, (-52, 44)))
    for up in ups
    for sign, side in ((1, "left"), (-1, "right"))
)
_FAR = 12  # from which on a line leads to the point
_COVERED, _CROSSED = 1000, 30  # how far, in points, a name goes to keep off another, and off a curve


def plot_allocation(
    allocation: Allocation,
    ax: Axes | None = None,
    *,
    quantity: str = "n_params",
    others: Sequence[Allocation] = (),
    rules: Mapping[str, PowerRule] = MappingProxyType({}),
    marks: Mapping[str, tuple[float, float]] = TRAINED,
    prob: float = 0.9,
) -> Axes:
    """Compute-optimal size, data or their ratio against compute.

    Parameters
    ----------
    allocation : Allocation
        Drawn with its band; of two budgets or more, along which the curve runs.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    quantity : {"n_params", "n_tokens", "tokens_per_param"}
        N*, D* or D*/N*.
    others : sequence of Allocation
        Further estimates, drawn as their medians.
    rules : mapping of str to PowerRule
        Rules for ``n_params`` or ``n_tokens`` of compute by the name for the legend, such as
        ``published("kaplan2020").rules["n_params"]``; the rest of a split is what the allocation's cost model then
        pays for. A rule of ``min_flops`` takes the budget for C_min.
    marks : mapping of str to (n_params, n_tokens)
        Models to mark, at the compute that the allocation's cost model counts for them: those of `TRAINED`, and of
        one's own as ``{**TRAINED, "ours": (7e9, 2e12)}``.
    prob : float
        Probability mass of the equal-tailed band.

    Returns
    -------
    Axes
        The quantity against C in FLOPs.

    Raises
    ------
    DataError
        If there is no such quantity, an allocation has a single budget, or a rule is not one for a budget.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> budgets, kaplan = ["1e20", "1e23", "1e26"], fs.published("kaplan2020")
    >>> split = fs.allocate(fs.published("besiroglu2024"), budgets)
    >>> rules = {"Kaplan et al. 2020, rule": kaplan.rules["n_params"]}
    >>> ax = plots.plot_allocation(split, quantity="n_tokens", others=[fs.allocate(kaplan, budgets)], rules=rules)
    >>> ax.get_ylabel()
    'compute-optimal data D* (tokens)'
    """
    if quantity not in QUANTITIES:
        raise DataError(f"an allocation is drawn as one of {', '.join(QUANTITIES)}, not as {quantity!r}")
    (label, heading), cost = QUANTITIES[quantity], cost_model(allocation.cost)
    first, *rest = (_rows(each, quantity, prob) for each in (allocation, *others))
    flops, ax = first["flops"].to_numpy(), axes(ax)
    ax.plot(flops, first["median"], color=BLUE, lw=1.6, label=f"{allocation.source}, median")
    if not is_single(allocation.draws):
        told = f"mean ({CURVE}), {mass(prob)}"
        ax.fill_between(flops, first["lower"], first["upper"], color=BLUE, alpha=0.25, lw=0, label=told)
    lines: dict[str, tuple[Any, Any]] = {
        other.source: (curve["flops"], curve["median"]) for other, curve in zip(others, rest, strict=True)
    }
    lines |= {name: (flops, _by_rule(name, rule, cost, flops)[quantity]) for name, rule in rules.items()}
    for index, (name, line) in enumerate(lines.items(), start=1):
        color, dashes, _ = style(index)
        ax.plot(*line, color=color, ls=dashes, lw=1.4, label=name)

    curves = [np.column_stack(line.get_data()) for line in ax.lines]
    curves += [np.column_stack([flops, first[end]]) for end in ("lower", "upper")]
    at = {name: (cost.flops(*sizes), _split(*sizes)[quantity]) for name, sizes in marks.items()}
    for point in at.values():
        ax.plot(*point, "D", ms=5, color="black", mec="white", mew=0.8, zorder=3)
    log_axis(ax, "x", "flops")
    log_axis(ax, "y", quantity)
    ax.set_ylabel(label)
    heading = f"{heading}, cost {allocation.cost}"
    if quantity == "tokens_per_param":  # no corner is free of curves
        finish_below(ax, heading)
    else:
        finish(ax, heading, loc="upper left")
    _name_points(ax, at, curves)
    return ax


def _rows(allocation: Allocation, quantity: str, prob: float) -> pd.DataFrame:
    table = allocation.table(prob).query("quantity == @quantity").sort_values("flops")
    if len(table) < 2:
        raise DataError(
            f"the allocation by {allocation.source} has one budget, and a curve needs two or more, say "
            "allocate(fit, numpy.geomspace(1e20, 1e27, 29))"
        )
    return table


def _split(n_params: Any, n_tokens: Any) -> dict[str, Any]:
    return {"n_params": n_params, "n_tokens": n_tokens, "tokens_per_param": n_tokens / n_params}


def _by_rule(name: str, rule: PowerRule, cost: CostModel, flops: Any) -> dict[str, Any]:
    """What a rule makes of budgets."""
    if rule.of not in {"flops", "min_flops"} or rule.gives not in {"n_params", "n_tokens"}:
        raise DataError(f"rule {name!r} is {rule}; a line needs n_params or n_tokens of flops or min_flops")
    given = rule(flops)
    if rule.gives == "n_params":
        return _split(given, cost.n_tokens(flops, given))
    return _split(cost.n_params(flops, given), given)


def _name_points(ax: Axes, points: Mapping[str, tuple[float, float]], curves: Sequence[Any]) -> None:
    """Name points, each as near as can be without covering other points, names or, if there is room, curves.

    Widths are estimated from letters, so that nothing has to be rendered.
    """
    figure: Any = ax.get_figure(root=True)
    unit = 72 / figure.dpi
    ends = [unit * ax.transData.transform(curve) for curve in curves]
    inked = [np.array([spot for pair in pairwise(end) for spot in np.linspace(*pair, 20)]) for end in ends]
    at = {name: unit * ax.transData.transform(point) for name, point in points.items()}
    taken = [Bbox.from_extents(x - 4, y - 4, x + 4, y + 4) for x, y in at.values()]
    for name, (x, y) in at.items():
        text = f"{name} {format_quantity(points[name][1])}"
        width, found = _LETTER * len(text), []
        for right, up, side in _PLACES:
            box = Bbox.from_bounds(x + right - (width if side == "right" else 0), y + up, width, _LINE)
            crossed = sum(box.count_contains(curve) > 0 for curve in inked)
            price = abs(right) + abs(up) + _COVERED * sum(map(box.overlaps, taken)) + _CROSSED * crossed
            found.append((price, (right, up), side, box))
        _, offset, side, box = min(found, key=lambda place: place[0])
        taken.append(box)
        leader = {"arrowstyle": "-", "color": GREY, "lw": 0.7, "shrinkA": 0, "shrinkB": 4}
        note(ax, text, points[name], offset, ha=side, arrowprops=leader if abs(offset[0]) >= _FAR else None)
