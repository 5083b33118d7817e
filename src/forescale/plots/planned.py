"""One budget on one page: what to train, what to expect, what could go wrong, and which small runs first."""

from __future__ import annotations

from textwrap import shorten
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from forescale.decisions.near_optimal import NearOptimal
from forescale.decisions.plan import MISSED, Plan
from forescale.estimates.draws import interval_rows
from forescale.plots.drawing import BLUE, GREY, axes, finish_below, log_axis, mass, panels, style
from forescale.units import format_quantity

_POINTS, _BINS = 120, 40
_TAIL = 0.01  # of the draws on either side that a histogram leaves out


def plot_plan(plan: Plan, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """A plan in four panels.

    Parameters
    ----------
    plan : Plan
        Of `plan`.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability mass of the equal-tailed intervals.

    Returns
    -------
    Axes
        With four panels in it. What to train: how probably each size is nearly best, and the interval of N*. What to
        expect: the loss of the planned run, of the law's curve and of a new run. What could go wrong: the compute that
        a model of half or twice the size wastes. Which small runs first: the variance of log N* that candidates, and
        the batch so far, would leave.

    Examples
    --------
    >>> import forescale as fs
    >>> plot_plan(fs.plan(fs.load_fit("fit.nc"), "1e24"))  # doctest: +SKIP
    """
    ax = axes(ax, height=7.6, width=9.6)
    (train, expect), (wrong, first) = panels(ax, 2, 2, across=0.24, down=0.42)
    _train(train, plan, prob)
    _expect(expect, plan, prob)
    _wrong(wrong, plan, prob)
    _first(first, plan)
    for panel, heading in zip((train, expect, wrong, first), _HEADINGS, strict=True):
        panel.set_title(heading.format(decades=plan.decades), loc="left", fontsize=9)
        panel.grid(which="major", color="0.9", lw=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
        panel.tick_params(labelsize=8)
        panel.xaxis.label.set_fontsize(8)
        panel.yaxis.label.set_fontsize(8)
    ax.plot([], [], color=BLUE, lw=1.6, label="mean (the law's curve)")
    color, dashes, _ = style(1)
    ax.plot([], [], color=color, ls=dashes, lw=1.6, label=f"run ({plan.expected.kinds['run']})")
    ax.plot([], [], color=GREY, ls=":", label="the run that is planned")
    ax.plot([], [], color=BLUE, lw=1.6, marker="o", ms=4, label=f"median and {mass(prob)} interval")
    size, tokens = (format_quantity(plan.run[name]) for name in ("n_params", "n_tokens"))
    heading = f"A plan for {format_quantity(plan.flops)} FLOPs: {size} parameters on {tokens} tokens, by {plan.source}"
    finish_below(ax, "", ncols=2)
    ax.set_title(shorten(heading, 120, placeholder=" ..."), loc="left", fontsize=10, pad=24)
    return ax


_HEADINGS = (
    "What to train",
    "What to expect, {decades:.1f} decades beyond the runs fitted",
    "What could go wrong: missing the size",
    "Which small runs first",
)


def _interval(panel: Axes, draws: Any, at: float, prob: float, colour: str = BLUE) -> None:
    """A median and an interval, lying at a height."""
    row = interval_rows(draws, prob).iloc[0]
    panel.plot([row["lower"], row["upper"]], [at, at], color=colour, lw=1.6)
    panel.plot(row["median"], at, ls="", marker="o", ms=4, color=colour)


def _train(panel: Axes, plan: Plan, prob: float) -> None:
    near: NearOptimal = plan.near
    low, high = float(near.draws["smallest"].min()), float(near.draws["largest"].max())
    sizes = np.geomspace(low / 1.02, high * 1.02, _POINTS)
    panel.plot(sizes, near.probability(sizes)["probability"], color=BLUE, lw=1.6)
    panel.axvline(plan.run["n_params"], color=GREY, ls=":", lw=1)
    _interval(panel, plan.split.draws["n_params"].squeeze("budget"), 0.04, prob)
    log_axis(panel, "x", "n_params")
    panel.set(ylabel=f"probability (loss within {100 * near.slack:.3g} % of the least)", ylim=(0, 1.03))


def _expect(panel: Axes, plan: Plan, prob: float) -> None:
    for place, kind in enumerate(plan.expected.kinds):
        colour, dashes, _ = style(place)
        losses = plan.expected.draws[kind].to_numpy().ravel()
        ends = np.quantile(losses, [_TAIL, 1 - _TAIL])
        told: dict[str, Any] = {"bins": _BINS, "range": tuple(ends), "density": True}
        panel.hist(losses, **told, histtype="step", color=colour, ls=dashes, lw=1.4)
    top = panel.get_ylim()[1]
    for place, kind in enumerate(plan.expected.kinds):
        draws = plan.expected.draws[kind].squeeze("point")
        _interval(panel, draws, (1.14 - 0.07 * place) * top, prob, style(place)[0])
    panel.set(
        xlabel="loss of the planned run (nats per token)", ylabel="density of draws (per nat)", ylim=(0, 1.2 * top)
    )


def _wrong(panel: Axes, plan: Plan, prob: float) -> None:
    sizes = [f"{factor:g} N*, {format_quantity(factor * plan.run['n_params'])}" for factor in MISSED]
    for place in range(len(MISSED)):
        _interval(panel, plan.missed.draws["wasted_compute"].isel(budget=place), place, prob)
    panel.set_yticks(range(len(MISSED)), sizes)
    panel.set(xlabel="compute wasted (% of the budget)", ylim=(-0.6, len(MISSED) - 0.4))
    panel.set_xlim(left=0)


def _first(panel: Axes, plan: Plan) -> None:
    found = plan.first
    colour, dashes, marker = style(2)
    panel.plot(found.runs["flops"], 100 * found.runs["remaining"], ls="", marker="o", ms=3, c=BLUE, label="one run")
    steps = {"ls": dashes, "marker": marker, "ms": 4, "c": colour, "mfc": "none", "label": "together, so far"}
    panel.plot(found.batch["total_flops"], 100 * found.batch["remaining"], **steps)
    log_axis(panel, "x", "flops")
    panel.set(xlabel="compute of the small runs (FLOPs)", ylim=(0, 103))
    panel.set_ylabel(f"variance of {found.scale} left (%)")
    panel.legend(fontsize=8, loc="lower left", framealpha=1, edgecolor="0.8")
