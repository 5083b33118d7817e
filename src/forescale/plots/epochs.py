"""Training where different tokens are limited: how many epochs, and how many parameters, against compute."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from forescale.errors import DataError
from forescale.plots.drawing import BLUE, LABELS, axes, curve_band, finish_below, log_axis, panels, style
from forescale.units import format_quantity
from forescale.verbs.allocate import Allocation

_PANELS = {"epochs": "epochs D*/U", "n_params": "size N* (parameters)", "loss": "loss (nats per token)"}


def plot_epochs(
    allocation: Allocation, ax: Axes | None = None, *, without: Allocation | None = None, prob: float = 0.9
) -> Axes:
    """Epochs, size and loss of the best split against compute, where the number of different tokens is limited.

    Parameters
    ----------
    allocation : Allocation
        Of two budgets or more, made with ``unique_tokens``.
    ax : Axes, optional
        Where to draw, as panels within; a figure of its own by default.
    without : Allocation, optional
        The same budgets without that limit (``unique_tokens="inf"``, or by a law of new tokens alone), drawn as its
        median; its epochs are those that it would take of the limited tokens.
    prob : float
        Probability mass of the equal-tailed bands.

    Returns
    -------
    Axes
        With three panels, each against C in FLOPs.

    Raises
    ------
    DataError
        If the allocation is of tokens without limit, or of a single budget.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale import plots
    >>> source, budgets = fs.published("muennighoff2023"), ["1e20", "1e21", "1e22"]
    >>> capped, free = (fs.allocate(source, budgets, unique_tokens=tokens) for tokens in ("25B", "inf"))
    >>> ax = plots.plot_epochs(capped, without=free)
    >>> [panel.get_ylabel() for panel in ax.child_axes]
    ['epochs D*/U', 'size N* (parameters)', 'loss (nats per token)']
    """
    draws = allocation.draws
    if "epochs" not in draws or not float(draws["epochs"].max()) > 0:
        raise DataError(
            f"the allocation by {allocation.source} is of tokens without limit, and has no epochs to draw: "
            "allocate(..., unique_tokens='25B')"
        )
    if draws.sizes["budget"] < 2:
        raise DataError("epochs are drawn against compute: allocate two budgets or more")
    pool = float((draws["n_tokens"] / draws["epochs"]).median())
    ax = axes(ax, height=3.6, width=10.5)
    table = allocation.table(prob).sort_values("flops")
    for panel, quantity in zip(panels(ax, 1, 3, across=0.32, down=0)[0], _PANELS, strict=True):
        rows = table[table["quantity"] == quantity]
        panel.plot(rows["flops"], rows["median"], color=BLUE, lw=1.6, label=f"{format_quantity(pool)} different tokens")
        curve_band(panel, rows, "flops", draws, prob)
        if without is not None:
            color, dashes, _ = style(1)
            flops, line = _median(without, quantity, pool)
            panel.plot(flops, line, color=color, ls=dashes, lw=1.4, label="without limit")
        log_axis(panel, "x", "flops")
        if quantity != "loss":
            log_axis(panel, "y", quantity)
        panel.set(xlabel=LABELS["flops"], ylabel=_PANELS[quantity])
        panel.grid(which="major", color="0.9", lw=0.6)
        panel.spines[["top", "right"]].set_visible(False)
    handles, labels = panel.get_legend_handles_labels()
    heading = f"Best split by {allocation.source}, cost {allocation.cost}"
    return finish_below(ax, heading, handles=handles, labels=labels, ncols=3)


def _median(other: Allocation, quantity: str, pool: float) -> tuple[Any, Any]:
    """Budgets and medians; epochs as so many tokens over the pool."""
    draws = other.draws["n_tokens"] / pool if quantity == "epochs" else other.draws[quantity]
    order = np.argsort(other.draws["budget"].to_numpy())
    return other.draws["budget"].to_numpy()[order], draws.median(("chain", "draw")).to_numpy()[order]
