"""Families: the parameters of each, fitted together and by itself."""

from __future__ import annotations

from matplotlib.axes import Axes

from forescale.estimates.draws import interval_rows
from forescale.families.family import Families
from forescale.families.shrinkage import Shrinkage
from forescale.plots.drawing import BLUE, GREY, axes, finish_below, mass, panels, style
from forescale.plots.parameters import parameter_label


def plot_families(result: Shrinkage | Families, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """Each family's parameters: of the fit together, of its own fit, and those of a family not seen.

    Parameters
    ----------
    result : Shrinkage or Families
        `shrinkage` has a fit of each family by itself beside that of all together.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability mass of the equal-tailed intervals and of the band.

    Returns
    -------
    Axes
        A panel for each parameter that differs, a line for each family.

    Examples
    --------
    >>> import forescale as fs
    >>> families = fs.fit_families(fs.load_dataset("pile_families"), "power_n", random_seed=1)  # doctest: +SKIP
    >>> plot_families(fs.shrinkage(families))  # doctest: +SKIP
    """
    families = result.families if isinstance(result, Shrinkage) else result
    own = result.own if isinstance(result, Shrinkage) else {}
    names, labels = families.varied, list(families)
    ax = axes(ax, height=1.6 + 0.36 * len(labels), width=1.8 + 2.3 * len(names))
    (row,) = panels(ax, 1, len(names), across=0.08, down=0.0)
    for panel, name in zip(row, names, strict=True):
        band = interval_rows(families.new.posterior[name], prob).iloc[0]
        panel.axvspan(band["lower"], band["upper"], color=GREY, alpha=0.18, lw=0)
        for place, label in enumerate(labels):
            both = ((own.get(label), 0.14, 1), (families[label], -0.14 if own else 0.0, 0))
            for estimate, shift, which in both:
                if estimate is not None:
                    ends = interval_rows(estimate.posterior[name], prob).iloc[0]
                    color, _, marker = style(which)
                    panel.plot([ends["lower"], ends["upper"]], [place + shift] * 2, color=color, lw=1.6)
                    panel.plot(ends["median"], place + shift, ls="", marker=marker, color=color, ms=4.5)
        panel.set(xlabel=parameter_label(families.model, name), ylim=(len(labels) - 0.5, -0.5))
        panel.set_yticks(range(len(labels)), labels if panel is row[0] else [""] * len(labels))
        panel.tick_params(labelsize=8)
        panel.xaxis.label.set_fontsize(8)
        panel.grid(axis="x", color="0.9", lw=0.6)
        panel.set_axisbelow(True)
        panel.spines[["top", "right"]].set_visible(False)
    ax.plot([], [], color=BLUE, lw=1.6, marker=style(0)[2], ms=4.5, label="families together")
    if own:
        ax.plot([], [], color=style(1)[0], lw=1.6, marker=style(1)[2], ms=4.5, label="each by itself")
    ax.fill_between([], [], color=GREY, alpha=0.18, lw=0, label="a family not seen")
    return finish_below(ax, f"Families by {families.name}", f"medians and {mass(prob)} intervals", ncols=3)
