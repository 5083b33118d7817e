"""Candidate runs, and what each would tell."""

from __future__ import annotations

from matplotlib.axes import Axes

from forescale.decisions.next_runs import NextRuns
from forescale.plots.drawing import BLUE, axes, finish, log_axis, style
from forescale.verbs.attribution import written


def plot_next_runs(found: NextRuns, ax: Axes | None = None) -> Axes:
    """Variance of the forecast that is expected to be left, by the compute of a run, or of the batch so far.

    Parameters
    ----------
    found : NextRuns
        Of `next_runs`.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
        A point per candidate, and the steps of the batch.

    Examples
    --------
    >>> import forescale as fs
    >>> grid = {"n_params": ["100M", "1B", "10B"], "n_tokens": ["20B", "20B", "20B"]}
    >>> found = fs.next_runs(fs.published("besiroglu2024"), grid, "n_params", compute="1e24", scatter=0.01, runs=2)
    >>> plot_next_runs(found).get_ylabel()
    'variance of log N* expected to be left (%)'
    """
    ax = axes(ax)
    colour, dashes, marker = style(1)
    ax.plot(found.runs["flops"], 100 * found.runs["remaining"], ls="", marker="o", ms=4, c=BLUE, label="one run")
    steps = {"ls": dashes, "marker": marker, "ms": 5, "c": colour, "mfc": "none", "label": "batch, so far"}
    ax.plot(found.batch["total_flops"], 100 * found.batch["remaining"], **steps)
    log_axis(ax, "x", "flops")
    ax.set_ylim(0, 103)
    ax.set_ylabel(f"variance of {found.scale} expected to be left (%)")
    heading = f"What runs would tell, by {found.source}"
    return finish(ax, f"{heading}\nat {written(found.target, 0)}", loc="best")
