"""Frozen forecasts, and what came."""

from __future__ import annotations

from matplotlib.axes import Axes

from forescale.checking.score_frozen import FrozenScores
from forescale.checking.scoring import SCORED
from forescale.estimates.draws import INTERVAL_KIND
from forescale.plots.drawing import BLUE, axes, finish_below


def plot_frozen(scores: FrozenScores, ax: Axes | None = None) -> Axes:
    """Each observed run's loss beside its frozen band, in percent of the frozen median.

    Parameters
    ----------
    scores : FrozenScores
        Of `score_frozen`.
    ax : Axes, optional
        Where to draw; a figure of its own by default.

    Returns
    -------
    Axes
        A line per run: the band and what came; those outside are filled.

    Examples
    --------
    >>> import forescale as fs
    >>> frozen = fs.freeze(fs.published("besiroglu2024"), n_params="70B", n_tokens="1.4T", kind="mean")
    >>> plot_frozen(fs.score_frozen(frozen, 1.97)).get_xlabel()
    'loss above the frozen median (%)'
    """
    table = scores.table()
    ax = axes(ax, height=1.8 + 0.3 * len(table))
    places = range(len(table))[::-1]
    low, high, came = (100 * (table[name] / table["median"] - 1) for name in ("lower", "upper", "loss"))
    told = f"frozen band of kind {scores.kind}, {100 * SCORED:g} % {INTERVAL_KIND}"
    ax.hlines(places, low, high, color=BLUE, alpha=0.35, lw=7, label=told)
    ax.axvline(0, color=BLUE, lw=1.2)
    inside = table[f"covered_{100 * SCORED:g}"] > 0
    for these, fill, label in ((inside, "white", "observed, inside"), (~inside, "black", "observed, outside")):
        if these.any():
            rows = [place for place, this in zip(places, these, strict=True) if this]
            ax.plot(came[these], rows, ls="", marker="o", ms=5, c="black", mfc=fill, label=label)
    ax.set_yticks(list(places), table["run"])
    ax.set_ylim(-0.7, len(table) - 0.3)
    ax.set_xlabel("loss above the frozen median (%)")
    held = f"{inside.sum()} of {len(table)} inside {100 * SCORED:g} % bands"
    return finish_below(ax, f"Frozen forecasts: {held}")
