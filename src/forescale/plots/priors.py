"""What the runs taught: each parameter before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from forescale.estimates.draws import check_prob, interval_rows
from forescale.estimates.fit import Fit
from forescale.plots.drawing import BLUE, axes, finish_below, mass, panels
from forescale.plots.parameters import free_names, parameter_label
from forescale.units import format_quantity

_COLUMNS = 3
_BINS, _SEEN = 40, 100  # bars of a posterior, and of the narrowest that can be seen in a panel
_PRIOR_DRAWS = 10_000  # from which the picture's range is taken; the density itself is exact
_PRIOR: dict[str, Any] = {"color": "black", "ls": (0, (4, 2)), "lw": 1.2}
_POSTERIOR: dict[str, Any] = {"color": BLUE, "alpha": 0.55}


def plot_priors(fit: Fit, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """Prior and posterior of each parameter, in a panel of its own.

    Parameters are those that the card's priors are on: an effect at the reference, ``A_effect``, in place of ``A``.
    Those above zero have a logarithmic axis, and densities per unit of its logarithm. Prior and posterior are each
    drawn as high as the panel: where a posterior is much narrower than the prior, the runs decide. The weights of a
    structured deviation are left out, as is a drift, of which the runs say nothing.

    Parameters
    ----------
    fit : Fit
        The fit.
    ax : Axes, optional
        Whose place the panels take; a figure of its own by default.
    prob : float
        Probability mass of the posterior's equal-tailed interval, written below each panel after the median.

    Returns
    -------
    Axes
        The axes around the panels, which are its ``child_axes``, in the order of law, noise and deviation.

    Raises
    ------
    DataError
        If prob is not between 0 and 1.

    Examples
    --------
    >>> import forescale as fs
    >>> fit = fs.fit(fs.load_dataset("hoffmann2022"), random_seed=1)  # doctest: +SKIP
    >>> plot_priors(fit).figure.savefig("priors.png")  # doctest: +SKIP
    """
    check_prob(prob)
    names, priors = free_names(fit.model), fit.model.free_priors()
    rows = -(-len(names) // _COLUMNS)
    ax = axes(ax, 1.2 + 1.5 * rows)
    cells = [cell for row in panels(ax, rows, _COLUMNS, across=0.12, down=0.65) for cell in row]
    rng = np.random.default_rng(0)  # the same range each time
    for name, cell in zip(names, cells, strict=False):
        prior, after = priors[name], fit.posterior[name].to_numpy().ravel()
        before = np.quantile(prior.sample(_PRIOR_DRAWS, rng), [0.005, 0.995])
        low, high = min(before[0], after.min()), max(before[1], after.max())
        space = np.geomspace if prior.positive else np.linspace
        at = space(low, high, 400)
        density = np.exp(prior.logpdf(at)) * (at if prior.positive else 1.0)
        cell.stairs(*_bars(after, low, high, prior.positive), fill=True, **_POSTERIOR)
        cell.plot(at, density / density.max(), **_PRIOR)
        middle, lower, upper = interval_rows(fit.posterior[name], prob)[["median", "lower", "upper"]].to_numpy()[0]
        cell.plot([lower, upper], [0, 0], color="black", lw=3, solid_capstyle="butt", clip_on=False)
        told = f"{format_quantity(middle)} [{format_quantity(lower)}, {format_quantity(upper)}]"
        cell.set(xlim=(low, high), ylim=(0, 1.08), yticks=[])
        _scale(cell, prior.positive)
        cell.set_xlabel(f"{parameter_label(fit.model, name)}\n{told}", fontsize=8, labelpad=2)
        cell.spines[["top", "right", "left"]].set_visible(False)
    for cell in cells[len(names) :]:
        cell.remove()
    handles = [
        Line2D([], [], **_PRIOR, label="prior density, scaled to its peak"),
        Patch(**_POSTERIOR, lw=0, label="posterior density, scaled to its peak"),
        Line2D([], [], color="black", lw=3, label=f"posterior, {mass(prob)};\nbelow: median [interval]"),
    ]
    return finish_below(ax, f"Prior and posterior: {fit.name}", handles=handles)


def _bars(draws: Any, low: float, high: float, logarithmic: bool) -> tuple[Any, Any]:
    """Heights of a histogram, the highest one, and its edges; of bars wide enough to be seen in the panel."""
    write, read = (np.log, np.exp) if logarithmic else (np.asarray, np.asarray)
    first, last = write(draws.min()), write(draws.max())
    width = max((last - first) / _BINS, (write(high) - write(low)) / _SEEN)
    bars = max(1, int(np.ceil((last - first) / width - 1e-9)))
    middle = (first + last) / 2
    edges = middle + width * (np.arange(bars + 1) - bars / 2)
    counts, _ = np.histogram(np.clip(write(draws), edges[0], edges[-1]), edges)
    return counts / counts.max(), read(edges)


def _scale(cell: Axes, logarithmic: bool) -> None:
    """A few ticks that read as people write them."""
    low, high = cell.get_xlim()
    if logarithmic:
        cell.set_xscale("log")
        wide = high > 100 * low
        cell.xaxis.set_major_locator(LogLocator(subs=(1.0,) if wide else (1.0, 2.0, 5.0), numticks=5))
        cell.xaxis.set_minor_formatter(NullFormatter())
        cell.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_quantity(value)))
    else:
        cell.xaxis.set_major_locator(MaxNLocator(4))
    cell.tick_params(labelsize=7.5)
