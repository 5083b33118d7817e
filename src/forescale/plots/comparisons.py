"""Two laws of one table: where their forecasts part, and which runs tell them apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from forescale.checking.compare import Comparison
from forescale.errors import DataError
from forescale.estimates.draws import is_single
from forescale.plots.drawing import GREY, axes, finish_below, log_axis, mass, note, power_of_ten, style
from forescale.verbs.allocate import allocate
from forescale.verbs.forecast import CURVE

_GRID = 61  # budgets along a curve
#: What can be drawn of the optimal splits, with the words for its axis.
QUANTITIES = {
    "loss": "loss at its own optimal split (nats per token)",
    "n_params": "compute-optimal size N* (parameters)",
    "n_tokens": "compute-optimal data D* (tokens)",
    "tokens_per_param": "D*/N* (tokens per parameter)",
}


def plot_divergence(
    comparison: Comparison, ax: Axes | None = None, *, quantity: str = "loss", prob: float = 0.9
) -> Axes:
    """What each law says of compute-optimal training, as bands that part as compute grows.

    Parameters
    ----------
    comparison : Comparison
        With two laws of n_params and n_tokens or more.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    quantity : {"loss", "n_params", "n_tokens", "tokens_per_param"}
        Of each law's own optimal split of a budget: the law's curve there, N*, D* or D*/N*.
    prob : float
        Probability mass of the equal-tailed bands.

    Returns
    -------
    Axes
        The quantity against compute in FLOPs, from the smallest run or budget of the comparison to its ``until=``:
        for each law the median and the band of kind mean, and a line where the compute of the runs ends. Of two laws,
        where these bands do not meet is shaded; for sizes and data that is what ``comparison.separation`` says, up
        to the spacing of budgets.

    Raises
    ------
    DataError
        If there is no such quantity, or fewer than two laws split compute.
    ModelError
        If draws of a law have no optimum; see ``allocate``.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> both = fs.published("besiroglu2024"), fs.published("hoffmann2022")
    >>> found = fs.compare(*both, runs=fs.load_dataset("hoffmann2022"))
    >>> plots.plot_divergence(found, quantity="n_params").get_ylabel()
    'compute-optimal size N* (parameters)'
    """
    if quantity not in QUANTITIES:
        raise DataError(f"laws are drawn apart in one of {', '.join(QUANTITIES)}, not in {quantity!r}")
    splits = comparison.disagreement
    if len(splits.sources) < 2:
        raise DataError(
            f"of {', '.join(comparison.sources)} fewer than two are laws of n_params and n_tokens, and only such laws "
            "split compute; compare fits of two of them"
        )
    flops, ax, bands = np.geomspace(*splits.between, _GRID), axes(ax, 5.0), []
    for index, (name, source) in enumerate(splits.sources.items()):
        color, dashes, _ = style(index)
        band = allocate(source, flops, cost=splits.cost).table(prob).query("quantity == @quantity")
        bands.append(band)
        ax.plot(flops, band["median"], color=color, ls=dashes, lw=1.6, label=f"{name}, median")
        if not is_single(source.posterior):
            told = f"{name}, mean ({CURVE}), {mass(prob)}"
            ax.fill_between(flops, band["lower"], band["upper"], color=color, alpha=0.3, lw=0, label=told)
    if len(bands) == 2:
        apart, across = _apart(*bands), ax.get_xaxis_transform()
        told = "the two bands do not meet"
        ax.fill_between(flops, 0, 1, where=apart, transform=across, color="0.93", lw=0, zorder=0, label=told)
    seen = float(splits.cost.flops(*(comparison.runs.column(name) for name in ("n_params", "n_tokens"))).max())
    ax.axvline(seen, color=GREY, lw=1, ls=(0, (4, 3)))
    told, at = f"runs end here,\n{power_of_ten(seen)} FLOPs", (seen, 0.02)
    note(ax, told, at, (5, 0), xycoords=ax.get_xaxis_transform(), color=GREY)
    log_axis(ax, "x", "flops")
    if quantity != "loss":
        log_axis(ax, "y", quantity)
    ax.set_ylabel(QUANTITIES[quantity])
    return finish_below(
        ax, f"Compute-optimal training by law, cost {splits.cost.name}: {comparison.runs.name}", ncols=1
    )


def plot_loo_differences(
    comparison: Comparison, ax: Axes | None = None, *, first: str | None = None, second: str | None = None
) -> Axes:
    """By which runs one fit predicts better than another: differences of log predictive density, run by run.

    Parameters
    ----------
    comparison : Comparison
        With two scored fits or more.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    first, second : str, optional
        Which fits, by their names in ``comparison.scores``; by default the best, and the next best.

    Returns
    -------
    Axes
        For each run, ``elpd_i`` of the first less that of the second, in nats, each by the draws of a fit without the
        run, against compute in FLOPs (or the first input of the law, in a table without compute). Above zero the first
        predicts the run better. The legend gives the sum and its standard error, as in ``comparison.scores``; runs that
        one of the two was fitted again without are marked.

    Raises
    ------
    DataError
        If two fits with scores are not there, or are not called so.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> runs = fs.load_dataset("hoffmann2022")
    >>> fits = [fs.fit(runs, card, random_seed=1) for card in ("chinchilla", "kaplan")]  # doctest: +SKIP
    >>> plots.plot_loo_differences(fs.compare(*fits))  # doctest: +SKIP
    """
    best, next_best = _pair(comparison, first, second)
    one, other = comparison.predictive[best], comparison.predictive[next_best]
    difference = (one.runs["elpd"] - other.runs["elpd"]).to_numpy()
    refitted = (one.runs["refitted"] | other.runs["refitted"]).to_numpy()
    runs = comparison.runs
    against = "flops" if "flops" in runs.columns else comparison.sources[best].law.inputs[0]
    at, ax = runs.column(against), axes(ax, 4.8)
    for side, (name, worse) in enumerate(((best, next_best), (next_best, best))):
        color, _, marker = style(side)
        here = difference > 0 if side == 0 else difference <= 0
        ax.vlines(at[here], 0, difference[here], color=color, lw=0.6, alpha=0.5)
        told = f"{here.sum()} of {len(at)} runs better by {name} than by {worse}"
        ax.plot(at[here], difference[here], marker, ms=4, color=color, mfc="none", mew=0.9, label=told)
    if refitted.any():
        marked: Any = {"marker": "x", "ls": "", "ms": 5, "color": "black", "mew": 0.9}
        ax.plot(at[refitted], difference[refitted], **marked, label=f"{refitted.sum()} of these by fitting again")
    total, se = one.above(other)
    ax.axhline(0, color="black", lw=0.8)
    log_axis(ax, "x", against)
    ax.set_ylabel(f"elpd of run, {best} less {next_best} (nats)")
    told = f"sum of differences {total:.1f} ± {se:.1f} nats (standard error)"
    return finish_below(ax, f"Leave-one-out by run: {runs.name}", told, ncols=1)


def _apart(first: pd.DataFrame, second: pd.DataFrame) -> Any:
    """Where two bands have nothing in common."""
    (low, high), (lower, upper) = (band[["lower", "upper"]].to_numpy().T for band in (first, second))
    return (low > upper) | (lower > high)


def _pair(comparison: Comparison, first: str | None, second: str | None) -> tuple[str, str]:
    """The two fits asked about."""
    ranked = sorted(comparison.predictive, key=lambda name: -comparison.predictive[name].elpd)
    named = [name for name in (first, second) if name is not None]
    rest = iter([name for name in ranked if name not in named])
    found = [name or next(rest, None) for name in (first, second)]
    if None in found or found[0] == found[1] or not set(found) <= set(ranked):
        raise DataError(
            f"a difference is of two fits that have scores, here {' and '.join(ranked) or 'none'}; asked was for "
            f"{first or 'the best'} and {second or 'the next best'}"
        )
    return str(found[0]), str(found[1])
