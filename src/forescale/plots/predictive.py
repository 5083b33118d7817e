"""Whether tables that the fit would make look like the table it was made from, and each run like its forecast."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from scipy.stats import norm

from forescale.estimates.draws import check_prob
from forescale.estimates.fit import Fit, residuals, thinned
from forescale.plots.drawing import BLUE, RUN, axes, finish_below
from forescale.plots.pits import pit_axes, pit_band, pit_line
from forescale.plots.residuals import percent_of

_TABLES, _VALUES = 1000, 4_000_000  # the fewest replicated tables, and at most so many values if that is more tables
_UNRELIABLE = 0.5  # Pareto k above which forescale.checking.loo refits a run


def plot_predictive(fit: Fit, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """Posterior predictive check of the loss: residuals of the runs in order, beside those of replicated tables.

    For each posterior draw, the residuals ``log L_i - log law_i`` of the table, and those of a table replicated from
    the noise of that draw, are put in order. A quantile plot shows all that may be wrong with a scatter, and where: a
    line that is too steep is of noise wider than the fit's, one bent at its ends of other tails, one above the band
    on the right alone of a few runs that came out worse than any law and noise allow. Where along the ladder
    residuals are is for `plot_residuals`. The runs have been seen by the fit that judges them here;
    `plot_loo_pit` judges each by the others.

    Parameters
    ----------
    fit : Fit
        The fit.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Share of the replicated tables that lie inside the band with all their runs: it is simultaneous, equal-tailed
        at each rank and as wide as that takes.

    Returns
    -------
    Axes
        Residuals in percent of loss, posterior median for each rank, against standard normal quantiles
        ``z_j = Phi^-1((j - 1/2) / n)``.

    Raises
    ------
    DataError
        If prob is not between 0 and 1.

    References
    ----------
    Gelman, Meng and Stern 1996, Statistica Sinica 6:733 (checks of realised discrepancies); Aldor-Noiman et al. 2013,
    The American Statistician 67:249 (simultaneous bands of quantile plots).

    Examples
    --------
    >>> import forescale as fs
    >>> fit = fs.fit(fs.load_dataset("hoffmann2022"), random_seed=1)  # doctest: +SKIP
    >>> plot_predictive(fit).figure.savefig("predictive.png")  # doctest: +SKIP
    """
    check_prob(prob)
    data, runs = fit.model.data(fit.observations), len(fit.observations)
    few = thinned(fit.posterior, runs, max(_VALUES, _TABLES * runs))
    noise = {name: few[name].to_numpy()[..., None] for name in fit.noise.parameters}
    shape, rng = (few.sizes["chain"], few.sizes["draw"], runs), np.random.default_rng(fit.seed)
    replicated = fit.noise.sample(noise, shape, rng, data.get("log_loss_se", 0.0))
    seen, made = (np.sort(each.reshape(-1, runs)) for each in (residuals(fit.model, data, few).to_numpy(), replicated))
    # heavy tails have draws beyond any picture
    observed, lower, upper = map(percent_of, (np.median(seen, axis=0), *np.clip(_all_within(made, prob), -2, 2)))
    outside = int(((observed < lower) | (observed > upper)).sum())

    ax = axes(ax, 4.8)
    at = norm.ppf((np.arange(runs) + 0.5) / runs)
    told = f"run (noise), {100 * prob:g} % simultaneous:\n{100 * prob:g} % of replicated tables lie wholly inside"
    ax.fill_between(at, lower, upper, color=BLUE, alpha=0.25, lw=0, label=told)
    ax.plot(at, np.median(percent_of(made), axis=0), color=BLUE, lw=1.2, label="median of replicated tables")
    ax.plot(at, observed, **RUN, label=f"{runs} runs, {outside} outside the band")
    inner = (at > -1.7) & (at < 1.7)  # the outermost ranks of heavy tails reach far beyond all runs
    low, high = min(observed.min(), lower[inner].min()), max(observed.max(), upper[inner].max())
    pad = 0.15 * (high - low)
    ax.set(ylim=(low - pad, high + pad), ylabel="residual, loss above the law (% of loss)")
    ax.set_xlabel("rank of the run, as a standard normal quantile (standard deviations)")
    return finish_below(ax, f"Posterior predictive check: {fit.name}")


def plot_loo_pit(fit: Fit, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """Where each run came in the forecast that the other runs make of it.

    The LOO-PIT ``p_i = P(L_rep <= L_i | all runs but i)`` is uniform if law and noise are right. Drawn is the share
    of runs with a PIT up to each place, less the uniform share. A line below zero on the left and above on the right
    is of noise that the fit makes too wide; the other way round, too narrow; below zero throughout, of losses forecast
    too low.

    Parameters
    ----------
    fit : Fit
        The fit.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability that all of the line stays inside the band (`forescale.numbers.uniformity.envelope`) if PITs are
        uniform and independent.

    Returns
    -------
    Axes
        The line in percent of runs, and the simultaneous band.

    Raises
    ------
    DataError
        If prob is not between 0 and 1.

    Notes
    -----
    PITs of one table hang together by the parameters that they share, which ties the line to zero: the band is too
    wide rather than too narrow. Of linear fits with Normal noise that are right, 5 % leave a band of 90 % with 240
    runs and 7 parameters, 2 % with 12 runs and 6. Runs are left out by importance sampling; the legend counts those
    whose Pareto k is above 0.5, of which the estimate is rough. Drift plays no part: it is of what lies beyond the
    data.

    References
    ----------
    Gelfand, Dey and Chang 1992 (PITs of runs left out); Vehtari, Gelman and Gabry 2017, arXiv:1507.04544 (by
    importance sampling); Säilynoja, Bürkner and Vehtari 2022, arXiv:2103.10522 (the band).

    Examples
    --------
    >>> import forescale as fs
    >>> fit = fs.fit(fs.load_dataset("hoffmann2022"), random_seed=1)  # doctest: +SKIP
    >>> plot_loo_pit(fit).figure.savefig("loo_pit.png")  # doctest: +SKIP
    """
    check_prob(prob)
    pits, k = _left_out(fit)
    rough = int((~(k <= _UNRELIABLE)).sum())
    ax = axes(ax)
    told = f"{100 * prob:g} % simultaneous: {100 * prob:g} % of lines\nlie wholly inside, if runs are independent"
    wide = pit_band(ax, len(pits), prob, "0.85", told)
    told = f"{len(pits)} runs, each forecast by the others (LOO)"
    far = pit_line(ax, pits, told + (f",\n{rough} of them roughly (Pareto k above {_UNRELIABLE:g})" if rough else ""))
    pit_axes(ax, "runs", max(wide, far))
    return finish_below(ax, f"LOO-PIT: {fit.name}")


def _left_out(fit: Fit) -> tuple[Any, Any]:
    """PIT of each run under the others, and the Pareto k of leaving it out, by ArviZ."""
    import arviz_stats

    draws = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    ess = arviz_stats.ess(fit.posterior, method="mean")
    efficiency = float(np.mean([ess[name] for name in ess.data_vars])) / draws
    predicted, seen = (fit.tree[group]["log_loss"] for group in ("posterior_predictive", "observed_data"))
    density = fit.tree["log_likelihood"]["log_loss"]
    pits, k = predicted.azstats.loo_pit(
        y_obs=seen, log_ratios=-density, r_eff=efficiency, sample_dims=["chain", "draw"]
    )
    return pits.to_numpy(), k.to_numpy()


def _all_within(tables: Any, prob: float) -> Any:
    """Lower and upper ends, shape (2, rank), between which this share of the tables lie with all their ranks.

    At each rank as many tables are below as above: the band is equal-tailed there.
    """
    order = tables.argsort(axis=0).argsort(axis=0)
    from_end = np.minimum(order, len(tables) - 1 - order).min(axis=1)  # of each table, where it is most extreme
    cut = int(np.quantile(from_end, 1 - prob, method="inverted_cdf"))
    ordered = np.sort(tables, axis=0)
    return np.stack([ordered[cut], ordered[-1 - cut]])
