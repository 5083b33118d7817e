"""What a forecast hangs on: elasticities and variance shares against compute, and changes at one budget.

Exponents come first. A coefficient that all but moves with its exponent (A with alpha) has the exponent's share over
again, so that it gets no line of its own among the shares, and its bar says with which exponent it moves.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from forescale.errors import DataError
from forescale.estimates.draws import is_single
from forescale.numbers.budgets import Quantity
from forescale.plots.drawing import BLUE, GREY, axes, finish_below, log_axis, mass, plain_log_ticks, style
from forescale.verbs.attribution import place_of, rows_at, scale_of, written
from forescale.verbs.forecast import CURVE
from forescale.verbs.sensitivity import OTHERS, Sensitivity
from forescale.verbs.targets import PLAIN

#: Measures of `Sensitivity.elasticities`, with what each is of a forecast and a parameter.
MEASURES = {"elasticity": "d log {of} / d log parameter", "semi_elasticity": "d log10 {of} / d exponent"}
#: Units of forecasts that are told as they are; others are told as a factor.
_UNITS = {"loss": "nats per token", "a": "no unit"}
#: How the two bars of a parameter are told, by what the others do.
_BARS = {
    "conditioned": ("others moving with it", {"color": BLUE, "alpha": 0.85}),
    "held": ("others held", {"facecolor": "white", "edgecolor": "#D55E00", "hatch": "////"}),
}
_LINES = 6  # that can be told apart
_HEIGHT = 0.36  # of a bar, where a parameter has 1


def plot_elasticities(
    sensitivity: Sensitivity, ax: Axes | None = None, *, measure: str = "elasticity", prob: float = 0.9
) -> Axes:
    """Elasticities of a forecast against compute, exponents first.

    Parameters
    ----------
    sensitivity : Sensitivity
        Of two budgets or more.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    measure : {"elasticity", "semi_elasticity"}
        ``d log q / d log theta`` of every parameter, or ``d log10 q / d theta`` of the exponents; see ``sensitivity``.
    prob : float
        Probability mass of the equal-tailed bands.

    Returns
    -------
    Axes
        The measure, which has no unit, against compute in FLOPs: for each parameter the median and the band over
        draws, all other parameters fixed. A single draw has no bands.

    Raises
    ------
    DataError
        If there is no such measure, or the forecast was not asked at two budgets or more.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> found = fs.sensitivity(fs.published("besiroglu2024"), "n_params", compute=["1e21", "1e26"])
    >>> plots.plot_elasticities(found).get_ylabel()
    'elasticity, d log N* / d log parameter'
    """
    if measure not in MEASURES:
        raise DataError(f"the slopes of a forecast are told as {' or '.join(MEASURES)}, not as {measure!r}")
    target = sensitivity.target
    table = _by_compute(sensitivity, sensitivity.elasticities(prob)).query("measure == @measure")
    ax, several = axes(ax), not is_single(sensitivity.draws)
    names = [name for name in _exponents_first(sensitivity) if name in set(table["parameter"])]
    for index, name in enumerate(names):
        color, dashes, _ = style(index)
        rows = table[table["parameter"] == name]
        ax.plot(rows["flops"], rows["median"], color=color, ls=dashes, lw=1.6, label=f"{name}, median")
        if several:
            told = f"mean ({CURVE}), {mass(prob)}" if index == 0 else None
            ax.fill_between(rows["flops"], rows["lower"], rows["upper"], color=color, alpha=0.25, lw=0, label=told)
    ax.axhline(0, color=GREY, lw=0.8)
    log_axis(ax, "x", "flops")
    ax.set_ylabel(f"{measure.replace('_', '-')}, {MEASURES[measure].format(of=target.label)}")
    return finish_below(ax, f"What {target.label} hangs on: {sensitivity.source}", ncols=3)


def plot_shares(sensitivity: Sensitivity, ax: Axes | None = None) -> Axes:
    """Shares of a forecast's posterior variance against compute, exponents first.

    Parameters
    ----------
    sensitivity : Sensitivity
        Of two budgets or more, by an estimate with many draws.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
        In percent, against compute in FLOPs, how much of the variance would go once parameters were known: each
        parameter alone, but for those that move with an exponent; the pairs that lead at most
        budgets, as far as lines can be told apart; and all. Where a
        quadratic cannot be trusted with the variance, that of the forecast's rank, and the axis says so. Shares of
        correlated parameters do not sum to 100 %.

    Raises
    ------
    DataError
        If the forecast was not asked at two budgets or more, or shares are not known: a single draw has no spread.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> found = fs.sensitivity(fs.published("besiroglu2024"), "n_params", compute=["1e21", "1e26"])
    >>> ax = plots.plot_shares(found)
    >>> [line.get_label() for line in ax.lines]
    ['alpha', 'beta', 'E', 'alpha and beta', 'all']
    """
    target, told = sensitivity.target, sensitivity.attribution
    places = range(len(target.at))
    measures = [told.measure(place) for place in places]
    rows = [told.at(place).assign(value=told.at(place)[how]) for place, how in zip(places, measures, strict=True)]
    table = _by_compute(sensitivity, pd.concat(rows))
    leading = [known for known, _ in Counter(n for place in places for n, _ in told.leading(place)).most_common()]
    if not leading:
        raise DataError(
            f"the spread of {target.label} by {sensitivity.source} is not known: too few draws, or all alike"
        )
    alone = [name for name in _exponents_first(sensitivity) if name not in told.stand_ins]
    pairs = [known for known in leading if " and " in known][: max(1, _LINES - len(alone))]
    ax = axes(ax)
    for index, known in enumerate([*alone, *pairs, *({"all"} & set(table["known"]))]):
        color, dashes, marker = style(index)
        line = table[table["known"] == known]
        look: dict[str, Any] = {"color": "0.5", "ls": "solid", "lw": 3, "alpha": 0.6} if known == "all" else {}
        look = look or {"color": color, "ls": dashes, "lw": 1.6, "marker": marker, "ms": 4}
        ax.plot(line["flops"], 100 * line["value"], **look, label=known)
    log_axis(ax, "x", "flops")
    ax.set_ylim(-4, 104)
    ax.yaxis.set_major_formatter(PercentFormatter(decimals=0, symbol=" %"))
    of = scale_of(target) + (" (of its rank, where its tail is heavy)" if "rank_share" in measures else "")
    ax.set_ylabel(f"share of the posterior\nvariance of {of} (%)")
    heading = f"Whose spread {target.label} has: {sensitivity.source}"
    return finish_below(ax, heading, "once known; shares do not sum to 100 %", ncols=4)


def plot_tornado(
    sensitivity: Sensitivity,
    ax: Axes | None = None,
    *,
    prob: float = 0.9,
    flops: Quantity | None = None,
    **inputs: Quantity,
) -> Axes:
    """What one posterior standard deviation more of each parameter makes of a forecast, at one place.

    Parameters
    ----------
    sensitivity : Sensitivity
        By an estimate with many draws.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability mass of the equal-tailed intervals.
    flops : float or str, optional
        One of the budgets asked about; the last by default.
    **inputs : float or str
        Instead, the inputs of one of the runs asked about.

    Returns
    -------
    Axes
        For each parameter that varies, exponents first and then by size, two bars: the median change with the other
        parameters moving with it, as the posterior ties them, and with the others held; and their intervals over draws.
        A factor for a size, a ratio or a compute; nats per token for a loss. The standard deviations are beside the
        names, of the log for parameters such as A.

    Raises
    ------
    DataError
        If this was not asked about, or the estimate is a single draw.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> found = fs.sensitivity(fs.published("besiroglu2024"), "n_params", compute=["1e21", "1e26"])
    >>> plots.plot_tornado(found, flops="1e26").get_xlabel()
    'change of N* for one sd more (factor)'
    """
    target = sensitivity.target
    given = inputs if flops is None else {"flops": flops, **inputs}
    place = place_of(target, given) if given else len(target.at) - 1
    if is_single(sensitivity.draws):
        raise DataError(f"{sensitivity.source} is a single draw: its parameters have no standard deviation to move by")
    changes = rows_at(target, sensitivity.changes(prob), place).set_index(["others", "parameter"])
    plain, ends = target.of in PLAIN, ["median", "lower", "upper"]
    values = changes[ends] if plain else 10 ** changes[ends]
    order = _by_size(sensitivity, changes.xs("conditioned").query("step > 0")["median"])
    ax, none = axes(ax, 1.8 + 0.5 * len(order)), 0.0 if plain else 1.0
    heights = np.arange(len(order))[::-1]
    for side, how in zip((0.5, -0.5), reversed(OTHERS), strict=True):
        rows, (told, look) = values.xs(how).loc[order], _BARS[how]
        bars = [rows["median"] - rows["lower"], rows["upper"] - rows["median"]]
        at = heights + side * _HEIGHT
        ax.barh(at, rows["median"] - none, _HEIGHT, none, label=f"{told}, median; {mass(prob)}", **look)  # type: ignore[arg-type]
        ax.errorbar(rows["median"], at, xerr=bars, ls="", color="black", elinewidth=1, capsize=2)
    ax.axvline(none, color="black", lw=0.8)
    steps = changes["step"].xs("held")
    ax.set_yticks(heights, [_named(sensitivity, name, float(steps[name])) for name in order])
    if plain:
        ax.xaxis.set_major_locator(MaxNLocator(5))
    else:
        ax.set_xscale("log")
        plain_log_ticks(ax)
    unit = _UNITS.get(target.of, "factor")
    ax.set_xlabel(f"change of {target.label} for one sd more ({unit})")
    where = f" at {written(target, place)}" if len(target.at.columns) else ""
    told = "kind mean: without discrepancy or noise; sd: posterior standard deviation"
    return finish_below(ax, f"Change of {target.label}{where}: {sensitivity.source}", told, ncols=1)


def _by_compute(sensitivity: Sensitivity, table: pd.DataFrame) -> pd.DataFrame:
    """A table of budgets, in their order."""
    if "flops" not in table or len(sensitivity.target.at) < 2:
        raise DataError(
            f"{sensitivity.target.label} was not asked at two budgets or more, so there is nothing to draw against "
            "compute; sensitivity(fit, compute=[...]) does, and plot_tornado draws one place"
        )
    return table.sort_values("flops", kind="stable")


def _exponents_first(sensitivity: Sensitivity) -> list[str]:
    target = sensitivity.target
    return [*target.exponents, *(name for name in target.parameters if name not in target.exponents)]


def _by_size(sensitivity: Sensitivity, changes: pd.Series) -> list[str]:
    """Exponents, the one that changes most first, and then the other parameters likewise."""
    target = sensitivity.target
    return sorted(map(str, changes.index), key=lambda name: (name not in target.exponents, -abs(changes[name])))


def _named(sensitivity: Sensitivity, name: str, step: float) -> str:
    """A parameter with its standard deviation and, where it has one, the exponent that it moves with."""
    log = "log " if name in sensitivity.target.scales else ""
    exponent = sensitivity.attribution.stand_ins.get(name)
    return f"{log}{name}, sd {step:.2g}" + (f"\n(moves with {exponent})" if exponent else "")
