"""Whether the runs scatter about the law as the noise says."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from forescale.estimates.draws import check_prob
from forescale.estimates.fit import Fit, residuals
from forescale.plots.drawing import BLUE, RUN, axes, finish, log_axis, mass

_REPEATS = 50  # draws of the noise for each posterior draw


def plot_residuals(fit: Fit, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """Residuals of the runs and the band of the noise, in percent of loss.

    A residual is ``100 (loss / law - 1)``, its median over the posterior; of a model with a structured deviation, law
    and deviation together. Where each run's standard error is known, the band is of the scatter beyond it, and the
    points carry it as bars.

    Parameters
    ----------
    fit : Fit
        The fit.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability mass of the equal-tailed band.

    Returns
    -------
    Axes
        Residuals against compute, or against the law's first input in a table without compute.

    Raises
    ------
    DataError
        If prob is not between 0 and 1.

    Examples
    --------
    >>> import forescale as fs
    >>> fit = fs.fit(fs.load_dataset("hoffmann2022"), random_seed=1)  # doctest: +SKIP
    >>> plot_residuals(fit).figure.savefig("residuals.png")  # doctest: +SKIP
    """
    ax = axes(ax)
    runs, data = fit.observations, fit.model.data(fit.observations)
    against = "flops" if "flops" in runs.columns else fit.law.inputs[0]
    residual = percent_of(residuals(fit.model, data, fit.posterior).median(("chain", "draw")).to_numpy())
    bars = percent_of(data["log_loss_se"]) if fit.noise.needs_se else None

    tail = (1 - check_prob(prob)) / 2
    scale = {name: fit.posterior[name].to_numpy()[..., None] for name in fit.noise.parameters}
    sizes = (fit.posterior.sizes["chain"], fit.posterior.sizes["draw"], _REPEATS)
    scatter = fit.noise.sample(scale, sizes, np.random.default_rng(fit.seed))
    low, high = percent_of(np.quantile(scatter, [tail, 1 - tail]))
    beyond, with_se = (" beyond s.e.", " ± s.e.") if fit.noise.needs_se else ("", "")

    ax.axhspan(low, high, color=BLUE, alpha=0.2, lw=0, label=f"run (noise{beyond}), {mass(prob)}")
    curve = "the law's curve" + (" and deviation" if fit.model.discrepancy.structured else "")
    ax.axhline(0, color=BLUE, lw=1.2, label=curve)
    ax.errorbar(runs.column(against), residual, bars, label=f"{len(runs)} runs{with_se}", **RUN)
    log_axis(ax, "x", against)
    ax.set_ylabel("residual, loss above the law (% of loss)")
    bottom, top = ax.get_ylim()
    ax.set_ylim(bottom, top + 0.15 * (top - bottom))  # room for the legend above the points
    return finish(ax, f"Residuals: {fit.name}", loc="upper left", ncols=3)


def percent_of(log_ratio: Any) -> Any:
    """Log loss above the law's, in percent of loss."""
    return 100 * np.expm1(log_ratio)
