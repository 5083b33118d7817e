"""What more compute buys, against compute."""

from __future__ import annotations

from matplotlib.axes import Axes

from forescale.decisions.returns import BEST, QUANTITIES, RATIO, ReturnsToScale
from forescale.errors import DataError
from forescale.estimates.draws import is_single
from forescale.plots.drawing import axes, finish_below, log_axis, mass, style
from forescale.verbs.forecast import CURVE

_WORDS = {
    "gain": "loss taken off (nats per token)",
    "percent": "loss taken off (%)",
    "reducible_percent": "loss above the floor taken off (%)",
    "elasticity": "elasticity of loss, -d ln L / d ln x",
    "reducible_elasticity": "elasticity of loss above the floor, -d ln (L - E) / d ln x",
}

_MORE = {"n_params": "parameters N", "n_tokens": "tokens D", BEST: "compute C, best split"}


def plot_returns(returns: ReturnsToScale, ax: Axes | None = None, *, quantity: str = "gain", prob: float = 0.9) -> Axes:
    """What so many times more buys at the best splits, against compute.

    Parameters
    ----------
    returns : ReturnsToScale
        Of two budgets or more (``compute=``), along which the curves run.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    quantity : {"gain", "percent", "reducible_percent", "elasticity", "reducible_elasticity"}
        What to draw.
    prob : float
        Probability mass of the equal-tailed bands.

    Returns
    -------
    Axes
        A median and a band for each input of the law, and for compute along the best splits.

    Raises
    ------
    DataError
        If there is no such quantity, or the returns are not of two budgets or more.

    Examples
    --------
    >>> import forescale as fs
    >>> found = fs.returns(fs.published("besiroglu2024"), compute=[1e21, 1e24, 1e27])
    >>> plot_returns(found).get_ylabel()
    'loss taken off (nats per token)'
    """
    if quantity not in returns.quantities:
        known = ", ".join(name for name in QUANTITIES if name in returns.quantities)
        raise DataError(f"there is no {quantity!r} to draw; there are {known}")
    table = returns.table(prob)
    if "flops" not in table or table["flops"].nunique() < 2:
        raise DataError(
            "curves of returns run along budgets, of which there must be two or more, say "
            "returns(fit, compute=numpy.geomspace(1e20, 1e27, 29))"
        )
    ax = axes(ax)
    table = table[(table["quantity"] == quantity) & (table["more"] != RATIO)].sort_values("flops", kind="stable")
    for index, (way, rows) in enumerate(table.groupby("more", sort=False)):
        colour, dashes, _ = style(index)
        ax.plot(rows["flops"], rows["median"], color=colour, ls=dashes, lw=1.5, label=_MORE.get(str(way), str(way)))
        if not is_single(returns.draws):
            ax.fill_between(rows["flops"], rows["lower"], rows["upper"], color=colour, alpha=0.2, lw=0)
    log_axis(ax, "x", "flops")
    ax.set_ylabel(_WORDS[quantity])
    ax.set_ylim(bottom=0)
    told = "" if is_single(returns.draws) else f"; bands: mean ({CURVE}), {mass(prob)}"
    times = "" if "elasticity" in quantity else f"{returns.factor:g} times "
    return finish_below(ax, f"What {times}more buys, by {returns.source}", f"{times}more{told}")
