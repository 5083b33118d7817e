"""The price of a plan against compute."""

from __future__ import annotations

from matplotlib.axes import Axes

from forescale.errors import DataError
from forescale.plots.drawing import BLUE, axes, curve_band, finish, log_axis
from forescale.verbs.regret import Regret

_WORDS = {
    "wasted_compute": "compute wasted (% of the budget)",
    "extra_loss": "loss above the best split (nats per token)",
}


def plot_regret(regret: Regret, ax: Axes | None = None, *, quantity: str = "wasted_compute", prob: float = 0.9) -> Axes:
    """What it costs to follow a plan and not the best split, against compute.

    Parameters
    ----------
    regret : Regret
        Of two budgets or more, along which the curve runs.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    quantity : {"wasted_compute", "extra_loss"}
        Compute that the best split saves at the plan's loss, or the loss that it saves at the plan's compute.
    prob : float
        Probability mass of the equal-tailed band.

    Returns
    -------
    Axes
        The median and the band; the plan is in the title.

    Raises
    ------
    DataError
        If there is no such quantity, or a single budget.

    Examples
    --------
    >>> import forescale as fs
    >>> plan = fs.regret(fs.published("besiroglu2024"), [1e21, 1e24, 1e27], tokens_per_param=20)
    >>> plot_regret(plan).get_ylabel()
    'compute wasted (% of the budget)'
    """
    if quantity not in _WORDS:
        raise DataError(f"a plan has no price called {quantity!r}; there are {' and '.join(_WORDS)}")
    table = regret.table(prob).query("quantity == @quantity").sort_values("flops")
    if len(table) < 2:
        raise DataError(
            f"the regret of {regret.plan} has one budget, and a curve needs two or more, say "
            "regret(fit, numpy.geomspace(1e20, 1e27, 29), ...)"
        )
    ax = axes(ax)
    ax.plot(table["flops"], table["median"], color=BLUE, lw=1.5, label="median")
    curve_band(ax, table, "flops", regret.draws, prob)
    log_axis(ax, "x", "flops")
    ax.set_ylabel(_WORDS[quantity])
    ax.set_ylim(bottom=0)
    return finish(ax, f"Price of {regret.plan}, by {regret.source}", loc="best")
