"""Loss of runs not yet trained, against compute."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from forescale.allocate import allocate
from forescale.errors import DataError
from forescale.fit import Fit
from forescale.forecast import forecast
from forescale.plots.drawing import BLUE, GREY, RUN, axes, finish, log_axis, mass, note, power_of_ten
from forescale.units import cost_model, format_quantity, parse_quantity

_GRID = 61  # budgets along a frontier


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
    ax.plot(observed, fit.observations.column("loss"), **RUN, label=told)
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


def _optimal_runs(fit: Fit, flops: Any) -> pd.DataFrame:
    """Make runs along the frontier: N is the median of N*, D what the budget then pays for."""
    if fit.law.inputs == ("flops",):
        return pd.DataFrame({"flops": flops})
    split = allocate(fit, flops)
    n_params = split.draws["n_params"].median(("chain", "draw")).to_numpy()
    return pd.DataFrame({"n_params": n_params, "n_tokens": cost_model(split.cost).n_tokens(flops, n_params)})
