"""Which sizes are nearly best, and what some plans reach and waste."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from matplotlib.axes import Axes

from forescale.decisions.near_optimal import NearOptimal
from forescale.decisions.plans import PlanRanking
from forescale.errors import DataError
from forescale.estimates.draws import check_prob, check_spread, is_single
from forescale.plots.drawing import BLUE, GREY, axes, finish_below, log_axis, mass, note, style
from forescale.units import format_quantity
from forescale.verbs.forecast import CURVE

_POINTS = 240  # sizes along a curve
_MOST = 6  # budgets that can be told apart
_WORDS = {
    "loss": "loss (nats per token)",
    "extra_loss": "loss above the best split (nats per token)",
    "wasted_compute": "compute wasted (% of what the plan spends)",
}


def plot_near_optimal(near: NearOptimal, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """How probably each size is nearly best, a curve for each budget.

    Parameters
    ----------
    near : NearOptimal
        Of one budget to six.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        A probability that is marked by a line; the legend has the sizes above it.

    Returns
    -------
    Axes
        Probability against size, with a mark at the median N* of each budget.

    Raises
    ------
    DataError
        If there are more budgets than can be told apart.
    ModelError
        If there is a single draw, which has no probabilities.

    Examples
    --------
    >>> import forescale as fs
    >>> plot_near_optimal(fs.near_optimal(fs.published("besiroglu2024"), "5.76e23")).get_xlabel()
    'model size N (parameters)'
    """
    check_spread(near.source, near.draws)
    if near.draws.sizes["budget"] > _MOST:
        raise DataError(f"{near.draws.sizes['budget']} budgets cannot be told apart; choose up to {_MOST} of them")
    ax, share = axes(ax), check_prob(prob)
    for place, sure in enumerate(near.sure(share).to_dict("records")):
        one = replace(near, draws=near.draws.isel(budget=[place]))
        low, high = float(one.draws["smallest"].min()), float(one.draws["largest"].max())
        sizes = np.geomspace(low / 1.02, high * 1.02, _POINTS)
        colour, dashes, marker = style(place)
        span = " to ".join(format_quantity(sure[end]) for end in ("smallest", "largest"))
        told = "none" if sure["smallest"] != sure["smallest"] else span
        label = f"{format_quantity(sure['flops'])} FLOPs: {told}"
        chance = one.probability(sizes)["probability"].to_numpy()
        ax.plot(sizes, chance, color=colour, ls=dashes, lw=1.5, label=label)
        ax.plot(sure["best"], one.probability(sure["best"])["probability"], color=colour, marker=marker, ms=5, ls="")
    ax.axhline(share, color=GREY, lw=0.8, ls=":")
    log_axis(ax, "x", "n_params")
    ax.set_ylabel(f"probability (loss within {100 * near.slack:.3g} % of the least)")
    ax.set_ylim(0, 1.03)
    title = f"Sizes that are so with {100 * share:g} % probability; a mark is the median N*"
    return finish_below(ax, f"Nearly best sizes, by {near.source} (mean: {CURVE})", title)


def plot_plans(
    ranking: PlanRanking, ax: Axes | None = None, *, quantity: str = "wasted_compute", prob: float = 0.9
) -> Axes:
    """What each plan reaches or wastes, the best on top.

    Parameters
    ----------
    ranking : PlanRanking
        Of one plan or more.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    quantity : {"wasted_compute", "extra_loss", "loss"}
        What is shown of each plan.
    prob : float
        Probability mass of the equal-tailed interval.

    Returns
    -------
    Axes
        A line per plan with its median and interval; beside it the probability that it is the best of all.

    Raises
    ------
    DataError
        If there is no such quantity.

    Examples
    --------
    >>> import forescale as fs
    >>> plans = {"Chinchilla": ("70B", "1.4T"), "Gopher": ("280B", "300B")}
    >>> plot_plans(fs.rank_plans(fs.published("besiroglu2024"), plans)).get_xlabel()
    'compute wasted (% of what the plan spends)'
    """
    if quantity not in _WORDS:
        raise DataError(f"a plan has no {quantity!r}; there are {', '.join(_WORDS)}")
    rows = ranking.table(prob).query("quantity == @quantity")
    ax = axes(ax, height=1.6 + 0.45 * len(rows))
    ends = abs(rows[["lower", "upper"]].to_numpy().T - rows["median"].to_numpy())
    places = np.arange(len(rows))[::-1]
    single = is_single(ranking.draws)
    label = "the law's curve" if single else f"mean ({CURVE}), median and {mass(prob)}"
    ax.errorbar(rows["median"], places, xerr=None if single else ends, fmt="o", ms=5, color=BLUE, label=label)
    names = [
        f"{row['plan']}\n{format_quantity(row['n_params'])}, {format_quantity(row['n_tokens'])} tokens"
        for row in rows.to_dict("records")
    ]
    ax.set_yticks(places, names)
    ax.set_ylim(-0.6, len(rows) - 0.4)
    if not single:
        for place, middle, chance in zip(places, rows["median"], rows["best"], strict=True):
            note(ax, f"best: {chance:.2f}", (middle, place), (0, 7), ha="center")
    ax.set_xlabel(_WORDS[quantity])
    ax.margins(x=0.12)
    if quantity != "loss":
        ax.set_xlim(left=min(0.0, ax.get_xlim()[0]))
    by = ranking.by.replace("_", " ")
    title = None if single else f"best: probability of the least {by} of all"
    return finish_below(ax, f"Plans by {by}, by {ranking.source}", title)
