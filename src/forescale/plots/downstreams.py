"""Accuracy against loss, forecasts of it against compute, and what a metric makes of one smooth rise."""

from __future__ import annotations

from textwrap import fill
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from forescale.accuracy.downstream import AVERAGE, downstream
from forescale.accuracy.link_fit import LinkFit
from forescale.accuracy.weighed_links import BEFOREHAND, Emergence
from forescale.errors import DataError
from forescale.estimates.draws import Estimate, check_prob, interval_rows
from forescale.laws.links import ceiling
from forescale.numbers.budgets import positive
from forescale.plots.drawing import BLUE, GREY, RUN, axes, finish_below, log_axis, mass, panels, style
from forescale.plots.losses import optimal_runs

_GRID = 61
_BEYOND = 0.4  # nats by which a curve goes on below the lowest loss


def plot_link(
    links: LinkFit, ax: Axes | None = None, *, task: str | None = None, prob: float = 0.9, to_loss: float | None = None
) -> Axes:
    """Accuracy of a task against loss, from high loss to low.

    Parameters
    ----------
    links : LinkFit
        The fit.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    task : str, optional
        Which task; needed where there are several.
    prob : float
        Probability mass of the equal-tailed bands.
    to_loss : float, optional
        Where the curve ends, nats per token; 0.4 below the lowest loss by default.

    Returns
    -------
    Axes
        The runs, the median and the band of the link's curve, chance, the band of the ceiling, and a line where the
        runs end.

    Raises
    ------
    DataError
        If there is no such task, or none is named of several.

    Examples
    --------
    >>> import forescale as fs
    >>> ax = plot_link(fs.fit_link("evals.csv"), task="arc_easy")  # doctest: +SKIP
    """
    check_prob(prob)
    if task is None and len(links.tasks) == 1:
        (task,) = links.tasks
    if task not in links.tasks:
        raise DataError(f"task= names one of {', '.join(links.tasks)}; got {task!r}")
    runs = links.outcomes.where(task=task)
    here = links.posterior.sel(task=[task])
    lowest, chance = float(here["lowest_loss"].item()), float(here["chance"].item())
    loss = np.linspace(float(runs.column("loss").max()), lowest - _BEYOND if to_loss is None else to_loss, _GRID)
    curve = interval_rows(links.accuracy(loss).sel(task=task), prob)
    top = interval_rows(ceiling(here, chance).transpose("chain", "draw", "task"), prob)

    ax = axes(ax)
    ax.plot(runs.column("loss"), runs.column("accuracy"), **RUN, label=f"{len(runs)} runs")
    ax.plot(loss, curve["median"], color=BLUE, lw=1.3, label="median of the link's curve")
    ax.fill_between(loss, curve["lower"], curve["upper"], color=BLUE, alpha=0.25, lw=0, label=f"its band, {mass(prob)}")
    color, *_ = style(2)
    ax.axhspan(top["lower"][0], top["upper"][0], color=color, alpha=0.12, lw=0, label=f"ceiling, {mass(prob)}")
    ax.axhline(chance, color="0.2", lw=1, ls=(0, (1, 2)), label=f"chance, {chance:g}")
    ax.axvline(lowest, color=GREY, lw=1, ls=(0, (4, 3)), label=f"lowest loss of the runs, {lowest:.3g}")
    ax.set(xlabel="loss (nats per token), falling", ylabel="accuracy", ylim=(-0.02, 1.02))
    ax.set_xlim(loss[0], loss[-1])
    return finish_below(ax, f"{task}: {links.name}")


def plot_downstream(
    links: LinkFit,
    source: Estimate,
    ax: Axes | None = None,
    *,
    compute: tuple[float | str, float | str] = (1e20, 1e25),
    task: str | None = None,
    prob: float = 0.9,
) -> Axes:
    """Accuracy of compute-optimal runs against compute.

    Parameters
    ----------
    links : LinkFit
        How accuracy follows loss.
    source : Estimate
        How loss follows n_params and n_tokens, or compute alone.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    compute : pair of float or str
        Where the curve begins and ends, in FLOPs.
    task : str, optional
        Which task; the mean over tasks by default, where there are several.
    prob : float
        Probability mass of the equal-tailed bands.

    Returns
    -------
    Axes
        The median and the bands ``mean`` and ``run`` of `downstream`, N split at the median of N*, C = 6ND.

    Raises
    ------
    DataError
        If there is no such task.
    ModelError
        If the law has other inputs.

    Examples
    --------
    >>> import forescale as fs
    >>> links = fs.fit_link("evals.csv")  # doctest: +SKIP
    >>> ax = plot_downstream(links, fs.published("besiroglu2024"), task="arc_easy")  # doctest: +SKIP
    """
    if task is not None and task not in links.tasks:
        raise DataError(f"task= names one of {', '.join(links.tasks)}, or none for their mean; got {task!r}")
    start, end = (float(positive("compute", bound)[0]) for bound in compute)
    flops = np.geomspace(start, end, _GRID)
    found = downstream(links, source, optimal_runs(source, flops), random_seed=0)
    task = found.tasks[0] if task is None and len(found.tasks) == 1 else task
    draws = found.average if task is None else found.draws.sel(task=task)

    ax = axes(ax)
    for index, kind in enumerate(map(str, draws.data_vars)):
        rows = interval_rows(draws[kind].transpose("chain", "draw", "point"), prob)
        if kind == "mean":
            ax.plot(flops, rows["median"], color=BLUE, lw=1.3, label="median")
        told = fill(f"{kind} ({found.kinds[kind]}), {mass(prob)}", 80)
        ax.fill_between(flops, rows["lower"], rows["upper"], color=BLUE, alpha=(0.4, 0.18)[index], lw=0, label=told)
    for one in links.tasks if task is None else [task]:
        ax.axhline(float(links.posterior["chance"].sel(task=one)), color="0.2", lw=0.8, ls=(0, (1, 2)))
    log_axis(ax, "x", "flops")
    ax.set(ylabel="accuracy", ylim=(-0.02, 1.02))
    return finish_below(ax, f"{task or AVERAGE} of compute-optimal runs (dots: chance)", ncols=1)


def plot_emergence(found: Emergence, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """One smooth rise in two metrics, side by side: by token, and by whole answers.

    Parameters
    ----------
    found : Emergence
        Of a task.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability mass of the equal-tailed bands.

    Returns
    -------
    Axes
        Left: the share of tokens that smooth links have right, and the median of links with a break. Right: the same to
        the power of the answer's tokens, with the runs.

    Raises
    ------
    DataError
        If prob is no probability.

    Examples
    --------
    >>> import forescale as fs
    >>> ax = plot_emergence(fs.emergence("exact_match.csv", answer_tokens=5))  # doctest: +SKIP
    """
    check_prob(prob)
    ax = axes(ax, width=8.0)
    (left, right), *_ = panels(ax, 1, 2, across=0.22, down=0.2)
    runs = found.runs
    loss = np.linspace(runs["loss"].max(), runs["loss"].min(), _GRID)
    curves = found.curves(loss)
    tokens = found.answer_tokens
    heads = {"token": "share of tokens right", "answer": f"accuracy: all of {tokens} tokens right"}
    color, dashes, _ = style(1)
    for panel, (kind, head) in zip((left, right), heads.items(), strict=True):
        rows = interval_rows(curves[kind], prob)
        panel.plot(loss, rows["median"], color=BLUE, lw=1.3, label="smooth links, median")
        panel.fill_between(loss, rows["lower"], rows["upper"], color=BLUE, alpha=0.25, lw=0, label=mass(prob))
        broken = curves[f"broken_{kind}"].median(("chain", "draw"))
        panel.plot(loss, broken, color=color, ls=dashes, lw=1.2, label="links with a break, median")
        panel.set(xlabel="loss (nats per token), falling", ylabel=head, ylim=(-0.02, 1.02))
        panel.set_xlim(loss[0], loss[-1])
        panel.grid(color="0.9", lw=0.6)
    right.plot(runs["loss"], runs["accuracy"], **RUN, label=f"{len(runs)} runs")
    handles: Any = right.get_legend_handles_labels()
    heading = f"{found.task}: probability of a break {found.probability:.2f}, {BEFOREHAND} beforehand"
    finish_below(ax, heading, handles=handles[0], labels=handles[1])
    return ax
