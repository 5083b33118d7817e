"""Where two trends contradict each other, and how that point hangs on their exponents."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, MaxNLocator

from forescale.errors import DataError
from forescale.estimates.draws import interval_rows
from forescale.estimates.trends import PARAMETERS, SCALES, Trends, log_crossing
from forescale.plots.drawing import BLUE, axes, finish_below, log_axis, mass, panels, style
from forescale.units import format_quantity
from forescale.verbs.contradiction import Contradiction

_GRID = 81  # points along a curve
_SHOWN = 600  # points of a cloud, evenly spaced among the draws
_BEFORE, _BEYOND = 10.0, 30.0  # by what factor the view is wider than the unit of compute and nearly all crossings
_FAR = 1e4  # times the unit of compute, where the view ends if nothing crosses
_MOST = 1e32  # FLOPs at which it ends at the latest: a crossing may be nearly never
_AROUND = 0.1  # how far about an exponent of a single draw, relatively
#: What each exponent is of.
EXPONENTS = {"alpha_C": "alpha_C, of L(C)", "alpha_D": "alpha_D, of L(D)", "b": "b, of D(C)"}


def plot_contradiction(contradiction: Contradiction, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """The two trends L(C) and L(D(C)) as bands, and the cloud of the points where they cross.

    Parameters
    ----------
    contradiction : Contradiction
        Of three trends; see ``forescale.contradiction``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability mass of the equal-tailed bands and intervals.

    Returns
    -------
    Axes
        Loss in nats per token against compute in FLOPs (C_min, where the trends are of that): the medians of
        ``L(C) = (C_c / C)^alpha_C`` and of ``L(D(C)) = (D_c / D(C))^alpha_D`` with their bands; for at most 600
        draws, evenly spaced, the point where its two curves cross; and the medians of C* and L* with their intervals,
        as in ``contradiction.table``. The legend says of all draws how many cross beyond the view, and how many never
        do. Trends of a single draw have no bands.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> ax = plots.plot_contradiction(fs.contradiction(fs.published_trends("kaplan2020")))
    >>> ax.get_ylabel()
    'loss (nats per token)'
    """
    trends, draws = contradiction.trends, contradiction.draws
    finite = draws["flops"].to_numpy()[np.isfinite(draws["flops"])]
    last = np.quantile(finite, 0.95) * _BEYOND if finite.size else trends.unit * _FAR
    flops = np.geomspace(trends.unit / _BEFORE, max(min(last, _MOST), 2 * trends.unit), _GRID)
    ax, several = axes(ax, 5.0), draws["flops"].size > 1
    for index, (name, loss) in enumerate(_curves(trends, flops).items()):
        color, dashes, _ = style(index)
        band = interval_rows(loss, prob)
        ax.plot(flops, band["median"], color=color, ls=dashes, lw=1.6, label=f"{name}, median")
        if several:
            told = f"mean (the curve {name}), {mass(prob)}"
            ax.fill_between(flops, band["lower"], band["upper"], color=color, alpha=0.25, lw=0, label=told)
    ax.set(xscale="log", yscale="log", xlim=flops[[0, -1]])
    if several:
        beyond = float(((draws["flops"] > flops[-1]) & np.isfinite(draws["flops"])).mean())
        told = f"crossings by draw; {100 * beyond:.2g} % beyond, {100 * contradiction.never:.2g} % never"
        _cloud(ax, draws["flops"], draws["loss"].where(draws["flops"] <= flops[-1]), label=told)
    _mark_point(ax, contradiction, prob, several)
    log_axis(ax, "x", "flops")
    log_axis(ax, "y", "loss")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.0)))
    ax.set_ylabel("loss (nats per token)")
    return finish_below(ax, f"Contradiction of L(C) and L(D(C)): {contradiction.source}")


def plot_crossing_exponents(
    contradiction: Contradiction, ax: Axes | None = None, *, held: str | None = None, prob: float = 0.9
) -> Axes:
    """C* against each exponent, a panel each: alpha_C, alpha_D and b.

    Parameters
    ----------
    contradiction : Contradiction
        Of three trends; see ``forescale.contradiction``.
    ax : Axes, optional
        The place for the three panels, which are insets of it; a figure of its own by default.
    held : {"scale", "pivot"}, optional
        What stays of a trend while its exponent moves along the curve, as in ``contradiction.elasticities``: its scale
        (C_c, D_c, D_1), or its value where it is best known. By default the latter, where that is stated for all.
    prob : float
        Probability mass of the equal-tailed interval of each exponent.

    Returns
    -------
    Axes
        Those given, whose ``child_axes`` are the panels: C* in FLOPs on a common axis against the exponent; a point for
        each of at most 600 draws, evenly spaced; C* as the exponent alone moves, the other parameters at their medians;
        and the exponent's interval. The curve runs out of view where there is nearly no crossing.

    Raises
    ------
    DataError
        If ``held`` is neither, or a pivot that the trends do not state.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> ax = plots.plot_crossing_exponents(fs.contradiction(fs.published_trends("kaplan2020")))
    >>> [panel.get_xlabel() for panel in ax.child_axes]
    ['alpha_C, of L(C)', 'alpha_D, of L(D)', 'b, of D(C)']
    """
    trends, flops = contradiction.trends, contradiction.draws["flops"]
    kinds = ("scale", "pivot") if set(EXPONENTS) <= set(trends.pivots) else ("scale",)
    held = held or kinds[-1]
    if held not in kinds:
        raise DataError(f"what is held of the trends of {trends.name} is one of {', '.join(kinds)}, not {held!r}")
    middle = {name: float(trends.posterior[name].median()) for name in PARAMETERS}
    low, high = np.minimum(np.quantile(flops, [0.01, 0.99], method="inverted_cdf"), _MOST)
    ax = axes(ax, 4.2)
    drawn = panels(ax, 1, len(EXPONENTS), across=0.13, down=0)[0]
    for panel, (name, label) in zip(drawn, EXPONENTS.items(), strict=True):
        draws = trends.posterior[name]
        start, end = draws.quantile([0.001, 0.999]).to_numpy()
        beside = 0.15 * (end - start) if flops.size > 1 else _AROUND * start
        values = np.linspace(start - beside, end + beside, _GRID)
        if flops.size > 1:
            band = interval_rows(draws, prob).iloc[0]
            panel.axvspan(band["lower"], band["upper"], color=BLUE, alpha=0.15, lw=0, label=f"exponent, {mass(prob)}")
            _cloud(panel, draws, flops, label="draws")
        with np.errstate(over="ignore"):
            curve = np.exp(log_crossing({**middle, **_moved(middle, name, values, trends, held)}, trends.unit))
        panel.plot(values, curve, color=BLUE, lw=1.6, label=f"C*, other parameters at their medians, {held} held")
        panel.set(yscale="log", ylim=(low / 5, high * 5), xlim=values[[0, -1]])
        log_axis(panel, "y", "flops")
        panel.tick_params(labelleft=panel is drawn[0], labelsize=8)
        panel.set(xlabel=label, ylabel="C* (FLOPs)" if panel is drawn[0] else "")
        panel.xaxis.set_major_locator(MaxNLocator(3, prune="both"))
        panel.grid(which="major", color="0.9", lw=0.6)
        panel.set_axisbelow(True)
    handles, _ = drawn[0].get_legend_handles_labels()
    return finish_below(ax, f"C* against each exponent: {contradiction.source}", handles=handles)


def _curves(trends: Trends, flops: Any) -> dict[str, xr.DataArray]:
    """Draws of the loss of both trends at computes: dims chain, draw and compute."""
    p, log_c = trends.posterior, xr.DataArray(np.log(flops), dims="compute")
    log_tokens = np.log(p["D_1"]) + p["b"] * (log_c - np.log(trends.unit))
    losses = {
        "L(C)": np.exp(p["alpha_C"] * (np.log(p["C_c"]) - log_c)),
        "L(D(C))": np.exp(p["alpha_D"] * (np.log(p["D_c"]) - log_tokens)),
    }
    return {name: loss.transpose("chain", "draw", "compute") for name, loss in losses.items()}


def _moved(middle: Any, name: str, values: Any, trends: Trends, held: str) -> dict[str, Any]:
    """An exponent at other values, with the scale that goes with it where the trend stays at its pivot."""
    if held == "scale":
        return {name: values}
    scale, pivot = SCALES[name], trends.pivots[name]
    if name == "b":
        return {name: values, scale: middle[scale] * (pivot / trends.unit) ** (middle[name] - values)}
    return {name: values, scale: pivot * (middle[scale] / pivot) ** (middle[name] / values)}


def _cloud(ax: Axes, across: xr.DataArray, up: xr.DataArray, label: str) -> None:
    x, y = (values.transpose("chain", "draw").to_numpy().ravel() for values in (across, up))
    few = np.unique(np.linspace(0, x.size - 1, _SHOWN).round().astype(int))
    ax.plot(x[few], y[few], ls="", marker=".", ms=4, mew=0, color="0.15", alpha=0.45, label=label, zorder=1.5)


def _mark_point(ax: Axes, contradiction: Contradiction, prob: float, several: bool) -> None:
    """The medians of C* and L*, and their intervals as far as the view goes."""
    table = contradiction.table(prob).set_index("quantity")[["median", "lower", "upper"]]
    (c, c_low, c_high), (loss, low, high) = table.loc[["flops", "loss"]].to_numpy()
    if not np.isfinite(c):
        return
    c_high = min(c_high, ax.get_xlim()[1])
    told = f"C* {format_quantity(c)} FLOPs, L* {loss:.3g}" + (f", {mass(prob)}" if several else "")
    bars: Any = {"xerr": [[c - c_low], [c_high - c]], "yerr": [[loss - low], [high - loss]]} if several else {}
    look: Any = {"marker": "D", "ms": 6, "color": "black", "mec": "white", "mew": 0.8, "ecolor": "black"}
    ax.errorbar(c, loss, **bars, **look, ls="", elinewidth=1.3, capsize=3, zorder=4, label=told)
