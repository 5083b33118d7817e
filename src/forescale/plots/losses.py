"""Loss of runs not yet trained, against compute."""

from __future__ import annotations

from dataclasses import replace
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes

from forescale.errors import DataError
from forescale.estimates.draws import Estimate, check_prob, is_single
from forescale.plots.drawing import BLUE, GREY, RUN, axes, finish_below, log_axis, mass, note, power_of_ten, style
from forescale.tables.observations import Observations
from forescale.units import cost_model, format_quantity, parse_quantity
from forescale.verbs.allocate import allocate
from forescale.verbs.forecast import Forecast, forecast

_GRID = 61  # budgets along a frontier
_REPEATS = 8  # draws of the noise for each posterior draw, so that edges of bands are smooth


def plot_loss(
    fit: Estimate,
    ax: Axes | None = None,
    *,
    compute: float | str | tuple[float | str, float | str] = 1e26,
    held_out: Observations | None = None,
    prob: float = 0.9,
) -> Axes:
    """Loss of compute-optimal runs against compute, from the smallest run on, far beyond the data if asked.

    Parameters
    ----------
    fit : Estimate
        A fit of a law of flops, or of n_params and n_tokens: they are split at the median of N*, C = 6ND. A published
        estimate or a bootstrap will do as well: neither has a band of kind ``run``, and a single draw has none.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    compute : float, str or pair of them
        Where the curve ends, in FLOPs; or where it begins and ends, which an estimate without runs needs.
    held_out : Observations, optional
        Runs that were not fitted, such as dearer ones that came later. Where runs have a split of their own, each has
        a line from end to end of its own band of kind ``run`` (``mean`` where there is no other).
    prob : float
        Probability mass of the equal-tailed bands.

    Returns
    -------
    Axes
        Loss in nats per token against compute in FLOPs: the median and the bands ``mean`` and ``run`` of ``forecast``,
        the runs fitted and those held out, and a line where the data end.

    Raises
    ------
    DataError
        If the curve has no beginning, or ends before it, a table of runs has no compute, or prob is no probability.
    ModelError
        If the law has other inputs.

    Examples
    --------
    >>> import forescale as fs
    >>> ax = plot_loss(fs.published("besiroglu2024"), compute=("1e19", "1e26"))
    >>> ax.get_xlabel(), ax.get_ylabel()
    ('training compute C (FLOPs)', 'loss (nats per token)')
    """
    check_prob(prob)
    observed: Observations | None = getattr(fit, "observations", None)
    flops = np.geomspace(*_range(compute, observed), _GRID)
    bands = _smooth(fit, optimal_runs(fit, flops))
    split = fit.law.inputs != ("flops",)

    ax = axes(ax, 5.2)
    if observed is not None:
        told = f"{len(observed)} runs fitted" + (", each at its own split" if split else "")
        ax.plot(observed.column("flops"), observed.column("loss"), **RUN, label=told)
    single = is_single(fit.posterior)
    told = "the law's curve, a single estimate without bands" if single else "median of the law's curve"
    ax.plot(flops, bands.table(prob, "mean")["median"], color=BLUE, lw=1.2, label=told)
    shades = {} if single else {"mean": 0.55, "run": 0.25}
    for kind in (kind for kind in bands.kinds if kind in shades):
        band = bands.table(prob, kind)
        told = fill(f"{kind} ({bands.kinds[kind]}), {mass(prob)}", 86)
        ax.fill_between(flops, band["lower"], band["upper"], color=BLUE, alpha=shades[kind], lw=0, label=told)
    if held_out is not None:
        _draw_held_out(ax, fit, held_out, prob, split and not single)

    log_axis(ax, "x", "flops")
    if observed is not None:
        _mark_end(ax, float(observed.column("flops").max()))
    ax.set_ylabel("loss (nats per token)")
    return finish_below(ax, f"Loss{' of compute-optimal runs' if split else ''}: {fit.name}", ncols=1)


def _range(compute: Any, observed: Observations | None) -> tuple[float, float]:
    """Where the curve begins and ends, in FLOPs."""
    if isinstance(compute, tuple):
        start, end = map(parse_quantity, compute)
        if not 0 < start < end:
            raise DataError(f"compute goes from less to more, say (1e18, 1e26), not {compute!r}")
        return start, end
    if observed is None:
        raise DataError("an estimate without runs needs to be told where the curve begins: compute=(1e18, 1e26), say")
    start, end = float(observed.column("flops").min()), parse_quantity(compute)
    if not end > start:
        least, given = format_quantity(start), format_quantity(end)
        raise DataError(f"compute must exceed the {least} FLOPs of the smallest run; it is {given}")
    return start, end


def optimal_runs(fit: Estimate, flops: Any) -> pd.DataFrame:
    """Make runs along the frontier: N is the median of N*, D what the budget then pays for."""
    if fit.law.inputs == ("flops",):
        return pd.DataFrame({"flops": flops})
    split = allocate(fit, flops)
    n_params = split.draws["n_params"].median(("chain", "draw")).to_numpy()
    return pd.DataFrame({"n_params": n_params, "n_tokens": cost_model(split.cost).n_tokens(flops, n_params)})


def _smooth(fit: Estimate, points: pd.DataFrame) -> Forecast:
    """Forecast with several draws of the noise for each of the posterior; the same each time."""
    rng = np.random.default_rng(0)
    several = [forecast(fit, points, random_seed=rng) for _ in range(_REPEATS if fit.noise is not None else 1)]
    return replace(several[0], draws=xr.concat([each.draws for each in several], "draw"))


def _mark_end(ax: Axes, end: float) -> None:
    """Line where the fitted data end, and words beside it where there is room."""
    ax.axvline(end, color=GREY, lw=1, ls=(0, (4, 3)))
    low, high = np.log(ax.get_xlim())
    side, offset = ("right", -5) if np.log(end) > low + 0.7 * (high - low) else ("left", 5)
    told, at = f"fitted data end here,\n{power_of_ten(end)} FLOPs", (end, 0.02)
    note(ax, told, at, (offset, 0), xycoords=ax.get_xaxis_transform(), color=GREY, ha=side)


def _draw_held_out(ax: Axes, fit: Estimate, runs: Observations, prob: float, own_bands: bool) -> None:
    """Runs that were not fitted, and what was forecast of each at its own split."""
    color, _, marker = style(1)
    flops, words = runs.column("flops"), f"{len(runs)} runs held out"
    if own_bands:
        names = [*fit.law.inputs, *(["loss_se"] if fit.noise is not None and fit.noise.needs_se else [])]
        bands = _smooth(fit, pd.DataFrame({name: runs.column(name) for name in names}))
        kind = list(bands.kinds)[-1]
        ends = bands.table(prob, kind)
        words += f", each with the {kind} band at its own split"
        ax.vlines(flops, ends["lower"], ends["upper"], color=color, lw=1, alpha=0.5)
    ax.plot(flops, runs.column("loss"), marker, ms=4, color=color, mec="white", mew=0.6, label=words)
