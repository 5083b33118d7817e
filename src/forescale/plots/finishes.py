"""The loss of a run under way: what was seen, and the band of what is to come."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from forescale.errors import DataError
from forescale.plots.drawing import BLUE, GREY, RUN, axes, finish, mass, style
from forescale.verbs.finish import Finish


def plot_finish(found: Finish, ax: Axes | None = None, *, prob: float = 0.9, final: float | None = None) -> Axes:
    """Loss against steps, seen and to come, with the learning rate below.

    Parameters
    ----------
    found : Finish
        Of `forescale.finish`, at two steps to come or more.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability mass of the equal-tailed bands.
    final : float, optional
        The final loss that came, nats per token, where it is known.

    Returns
    -------
    Axes
        Checkpoints seen, the points that were fitted, the median and both bands, and the schedule as a grey area.

    Raises
    ------
    DataError
        If only the last step was asked for.

    Examples
    --------
    >>> import forescale as fs
    >>> found = fs.finish("curve.csv", "cosine:24000,warmup=2000", random_seed=1)  # doctest: +SKIP
    >>> plot_finish(found)  # doctest: +SKIP
    """
    if found.draws.sizes["step"] < 2:
        raise DataError("a curve to come has two steps or more: leave out at=, or give several")
    ax = axes(ax)
    plan, runs = found.schedule, found.fit.observations
    after = found.seen[found.seen["step"] >= plan.warmup]
    ax.plot(after["step"], after["loss"], color="0.2", lw=1, label="seen")
    ax.plot(runs.column("step"), runs.column("loss"), **RUN | {"label": "points fitted"})
    for kind, alpha in (("run", 0.18), ("mean", 0.3)):
        rows = found.table(prob, kind)
        what = "the law's curve" if kind == "mean" else "this run: curve and noise"
        label = f"{kind} ({what}), {mass(prob)}"
        ax.fill_between(rows["step"], rows["lower"], rows["upper"], color=BLUE, alpha=alpha, lw=0, label=label)
        if kind == "mean":
            ax.plot(rows["step"], rows["median"], color=BLUE, lw=1.5, label="median")
    if final is not None:
        color, _, marker = style(1)
        ax.plot(plan.steps, final, marker, color=color, ms=6, clip_on=False, zorder=5, label=f"came: {final:.3f}")
    ax.axvline(found.last_seen, color=GREY, lw=1, ls=(0, (4, 3)))
    _draw_rates(ax, found)
    ax.set(xlabel="step", ylabel="loss (nats per token)", xlim=(0, plan.steps))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    return finish(ax, f"Loss of {found.source}, seen to step {found.last_seen:,} of {plan.steps:,}", loc="upper right")


def _draw_rates(ax: Axes, found: Finish) -> None:
    """The learning rate as an area in the lowest fifth of the figure."""
    step = np.unique(np.linspace(1, found.schedule.steps, 500).astype(int))
    height = 0.2 * found.schedule.rate(step) / found.schedule.peak
    place: dict[str, Any] = {"zorder": 0, "transform": ax.get_xaxis_transform()}
    ax.fill_between(step, 0, height, color="0.88", lw=0, label="learning rate, to scale", **place)
