"""Loss of routed models against the number of experts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

from forescale.errors import DataError
from forescale.estimates.draws import Estimate, band, is_single
from forescale.plots.drawing import axes, finish_below, mass, style
from forescale.tables.observations import Observations
from forescale.units import format_quantity, parse_quantity
from forescale.verbs.forecast import CURVE, forecast
from forescale.verbs.routing import routing_cutoff

_CURVES = 6  # as many as can be told apart
_GRID = 41


def plot_routing(
    source: Estimate,
    ax: Axes | None = None,
    *,
    n_params: Sequence[float | str] | None = None,
    n_experts: tuple[float, float] = (1, 512),
    prob: float = 0.9,
) -> Axes:
    """Loss against experts, a curve for each dense size, and the size beyond which more experts do not help.

    Parameters
    ----------
    source : Estimate
        A fit or a published estimate of the law ``routed``.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    n_params : sequence of float or str, shape (size,), optional
        Dense sizes, at most six; of a fit those of its runs, evenly chosen if there are more.
    n_experts : (float, float)
        Fewest and most experts in each routed layer.
    prob : float
        Probability mass of the equal-tailed bands.

    Returns
    -------
    Axes
        Loss in nats per token against experts, both on log scales: curves flatten towards the cutoff, which the
        heading states, and runs of a fit are points.

    Raises
    ------
    DataError
        If there are no sizes or more than six, or experts do not go from one or more to more.
    ModelError
        If the law is another.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> ax = plots.plot_routing(fs.published("clark2022_sbase"), n_params=["15M", "370M", "1.3B", "1T"])
    >>> ax.get_title(loc="left").splitlines()[-1]
    'more experts stop helping at N = 1T'
    """
    cutoff = routing_cutoff(source)
    fewest, most = n_experts
    if not 1 <= fewest < most:
        raise DataError(f"n_experts goes from fewest to most, 1 or more, such as (1, 512), not {n_experts!r}")
    observed: Observations | None = getattr(source, "observations", None)
    sizes = _sizes(n_params, observed)
    experts, ax, single = np.geomspace(fewest, most, _GRID), axes(ax, 5.2), is_single(source.posterior)
    for index, size in enumerate(sizes):
        color, dashes, marker = style(index)
        rows = forecast(source, n_params=size, n_experts=experts).table(prob, "mean")
        ax.plot(experts, rows["median"], color=color, ls=dashes, lw=1.4, label=f"N = {format_quantity(size)}")
        if not single:
            ax.fill_between(experts, rows["lower"], rows["upper"], color=color, alpha=0.2, lw=0)
        if observed is not None:
            here = observed.column("n_params") == size
            at = observed.column("n_experts")[here], observed.column("loss")[here]
            ax.plot(*at, marker, ms=4, color=color, mec="white", mew=0.6)
    ax.set(xscale="log", yscale="log", xlabel="experts in each routed layer", ylabel="loss (nats per token)")
    ax.xaxis.set_major_locator(LogLocator(base=2))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    told = "" if single else f", mean ({CURVE}), {mass(prob)}"
    stops = f"more experts stop helping at N = {band(cutoff.draws['n_params'], format_quantity)}"
    return finish_below(ax, f"Routed models: {source.name}{told}\n{stops}", ncols=3)


def _sizes(given: Sequence[float | str] | None, observed: Observations | None) -> list[float]:
    if given is None and observed is None:
        raise DataError("an estimate without runs needs to be told which sizes: n_params=['15M', '1.3B'], say")
    if given is None and observed is not None:
        known = np.unique(observed.column("n_params"))
        return [float(known[i]) for i in np.unique(np.linspace(0, len(known) - 1, _CURVES).round().astype(int))]
    sizes = [parse_quantity(size) for size in given or ()]
    if not 0 < len(sizes) <= _CURVES:
        raise DataError(f"{len(sizes)} sizes cannot be told apart in a figure; give one to {_CURVES} by n_params=")
    return sizes
