"""fit() -> Fit: the work, and its outcome."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.catalog import DEFAULT_MODEL, load_model
from forescale.belief.model import Model
from forescale.belief.noise import Noise
from forescale.belief.references import at_runs
from forescale.errors import ConvergenceError, ForescaleWarning
from forescale.estimates.draws import check_prob
from forescale.laws import Law
from forescale.sampling.diagnostics import Diagnostics, diagnose
from forescale.sampling.nuts import Settings, sample
from forescale.seeds import as_seed
from forescale.tables.observations import Observations, as_observations

# Streams of random numbers for what a fit does besides sampling, so that each can be redone alone.
_PRIOR_CHECK, _RESIDUAL_CHECK, PREDICTIVE = 1, 2, 3
_CHECKED = 200_000  # residuals (draws x runs) that the check of the noise looks at, if that is 100 draws


@dataclass(frozen=True, eq=False)
class Fit:
    """A posterior, with everything that made it.

    Attributes
    ----------
    model : Model
        The law, its priors and its noise.
    observations : Observations
        The runs it was fitted to.
    posterior : xarray.Dataset
        Draws of every parameter under its printed name (and of effects at the reference, ``A_effect``), dims
        ("chain", "draw").
    sample_stats : xarray.Dataset
        The sampler's own statistics, same dims.
    seed : int
        With the settings, it gives the same draws again.
    settings : Settings
        Draws, tuning, chains, target acceptance.
    diagnostics : Diagnostics
        Convergence and the check of the noise.
    """

    model: Model
    observations: Observations
    posterior: xr.Dataset
    sample_stats: xr.Dataset
    seed: int
    settings: Settings
    diagnostics: Diagnostics = field(repr=False)

    @property
    def name(self) -> str:
        """The model and the table."""
        return f"{self.model.name} on {self.observations.name}"

    @property
    def law(self) -> Law:
        """The law."""
        return self.model.law

    @property
    def noise(self) -> Noise:
        """How log loss scatters about the law."""
        return self.model.noise

    def departure(self, points: Mapping[str, Any]) -> xr.DataArray | None:
        """Draws of the model's discrepancy at points: how far log loss is from the law's, beside noise.

        Parameters
        ----------
        points : mapping of str to array, shape (point,)
            The law's inputs by name.

        Returns
        -------
        xarray.DataArray or None
            Dims ("chain", "draw", "point"); None without a discrepancy. The same each time: forecasts err together.
        """
        fitted = {name: self.observations.column(name) for name in self.law.inputs}
        shape = (self.posterior.sizes["chain"], self.posterior.sizes["draw"])
        part = self.model.discrepancy
        drawn = part.draws(fitted, points, self.law.inputs, self.posterior, shape, self.seed)
        dims, told = ("chain", "draw", "point"), {"discrepancy": str(part)}
        return None if drawn is None else xr.DataArray(drawn, dims=dims, attrs=told)

    @cached_property
    def tree(self) -> xr.DataTree:
        """An ArviZ DataTree: posterior, prior, predictive, likelihood, sampler statistics and data.

        The pointwise groups are made when first asked for; see ``forescale.estimates.archive``.
        """
        from forescale.estimates.archive import to_tree

        return to_tree(self)

    def save(self, path: str | Path) -> Path:
        """Write everything to one NetCDF file, whole or not at all; ``load_fit`` reads it."""
        from forescale.estimates.archive import save

        return save(self, path)

    def summary(self, prob: float = 0.9) -> pd.DataFrame:
        """Posterior of each printed parameter.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per parameter: mean, sd, median, lower, upper, prob, interval, r_hat, ess_bulk, ess_tail.
        """
        from forescale.estimates.draws import INTERVAL_KIND

        tail = (1 - check_prob(prob)) / 2
        draws = self.posterior[list(self.model.parameters)].stack(sample=("chain", "draw")).to_dataframe()
        draws = draws[list(self.model.parameters)]
        low, middle, high = (draws.quantile(q) for q in (tail, 0.5, 1 - tail))
        columns = {"mean": draws.mean(), "sd": draws.std(), "median": middle, "lower": low, "upper": high}
        table = pd.DataFrame(columns).assign(prob=prob, interval=INTERVAL_KIND)
        return table.join(self.diagnostics.table)

    def __repr__(self) -> str:
        rows = self.summary().drop(columns=["prob", "interval"]).to_string(float_format=lambda v: f"{v:.4g}")
        return (
            f"Fit of {self.name}: {len(self.observations)} runs, {self.settings.chains} x {self.settings.draws} "
            f"draws, seed {self.seed}\n{rows}\n(lower, upper: 90 % equal-tailed)\n{self.diagnostics!r}"
        )


def fit(
    runs: Observations | pd.DataFrame | str | Path,
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    target_accept: float = 0.9,
    thin: int = 1,
    retry: bool = True,
    random_seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> Fit:
    """Fit a model to a table of runs with NUTS.

    Parameters
    ----------
    runs : Observations, DataFrame or path
        Training runs; losses in nats per token.
    model : str, path or Model
        A model card by name or path, or a model. The default forecasts best of those there are
        (benchmarks/README.md); "chinchilla" is the law of Hoffmann et al. (2022).
    draws, tune, chains : int
        Draws kept and tuning steps of each chain, number of chains.
    target_accept : float
        Mean acceptance that the step size is tuned to.
    thin : int
        Each chain makes ``thin`` times the draws, and keeps every ``thin``-th.
    retry : bool
        Whether a fit whose diagnostics fail is run once more before it is refused: with a target acceptance of 0.97,
        three times the tuning, and four times the draws, of which every fourth is kept.
    random_seed : int, Generator or None
        Seed; the same seed gives the same draws with the same machine and versions, but for the first fit of a law
        ever made there: code compiled just now rounds otherwise in the last bit than cached code. It is recorded.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal or a notebook.

    Returns
    -------
    Fit
        A fit whose diagnostics pass.

    Raises
    ------
    DataError, ModelError
        If the table cannot support the model; if there is no such model.
    ConvergenceError
        If the diagnostics fail; it carries the fit.

    Warns
    -----
    ForescaleWarning
        If losses lie outside what the priors allow, inputs move together, or residuals are not as the noise claims.

    References
    ----------
    Hoffman and Gelman 2014, arXiv:1111.4246, for NUTS; Vehtari et al. 2021, arXiv:1903.08008, for R-hat and ESS.

    Examples
    --------
    >>> import forescale as fs
    >>> fit = fs.fit(fs.load_dataset("hoffmann2022"), random_seed=1)  # doctest: +SKIP
    """
    settings = Settings(draws, tune, chains, target_accept, thin)
    observations, model = as_observations(runs), load_model(model)
    for note in model.check(observations):
        warnings.warn(note, ForescaleWarning, stacklevel=2)
    model = at_runs(model, observations)
    data, seed = model.data(observations), as_seed(random_seed)
    _warn_outside_prior(model, observations, data, seed)

    result = _fit_once(model, observations, data, seed, settings, progress)
    if retry and not result.diagnostics.passed:
        result = _fit_once(model, observations, data, seed, settings.careful(), progress)
    if not result.diagnostics.passed:
        raise ConvergenceError(
            f"the fit of {result.name} did not converge: {'; '.join(result.diagnostics.failures)}. "
            "Try more draws or tuning (draws=, tune=), tighter priors, or a law with fewer parameters; "
            "the error's .fit holds the draws for inspection",
            result,
        )
    if result.diagnostics.noise_misfit:
        warnings.warn(
            f"residuals of {result.name} are not of the scale that noise {model.noise.kind!r} claims "
            f"(posterior predictive p = {result.diagnostics.residual_scale_p:.3f}): "
            "bands for a new run may be too wide or too narrow",
            ForescaleWarning,
            stacklevel=2,
        )
    return result


def _fit_once(
    model: Model,
    observations: Observations,
    data: Mapping[str, Any],
    seed: int,
    settings: Settings,
    progress: bool | None,
) -> Fit:
    drawn = sample(model, data, settings, seed, progress=progress)
    p = _residual_scale_p(model, data, drawn.posterior, np.random.default_rng([seed, _RESIDUAL_CHECK]))
    checked = diagnose(drawn.posterior, drawn.sample_stats, p)
    return Fit(model, observations, drawn.posterior, drawn.sample_stats, seed, settings, checked)


def residuals(model: Model, data: Mapping[str, Any], posterior: xr.Dataset) -> xr.DataArray:
    """Log loss minus ``model.log_curve``, dims ("chain", "draw", "run"), under draws of the posterior."""
    labelled = {name: xr.DataArray(values, dims="run") for name, values in data.items()}
    error: xr.DataArray = labelled["observed_log_loss"] - model.log_curve(labelled, posterior)
    return error.transpose("chain", "draw", "run")


def thinned(posterior: xr.Dataset, runs: int, most: int) -> xr.Dataset:
    """Every k-th draw, the least k with at most ``most`` values for ``runs`` runs."""
    values = posterior.sizes["chain"] * posterior.sizes["draw"] * runs
    return posterior.isel(draw=slice(None, None, max(1, -(-values // most))))


def _residual_scale_p(model: Model, data: Mapping[str, Any], posterior: xr.Dataset, rng: np.random.Generator) -> float:
    """P(median absolute residual of a replicated table > that of the table), over at least 100 posterior draws."""
    runs = len(data["observed_log_loss"])
    few = thinned(posterior, runs, max(_CHECKED, 100 * runs))
    observed = residuals(model, data, few)
    noise = {name: few[name].values[..., None] for name in model.noise.parameters}
    replicated = model.noise.sample(noise, observed.shape, rng, data.get("log_loss_se", 0.0))
    median = [np.median(np.abs(error), axis=-1) for error in (observed.values, replicated)]
    return float(np.mean(median[1] > median[0]))


def _spread(count: int, most: int) -> Any:
    """At most so many of ``count`` rows, evenly spread."""
    return np.linspace(0, count - 1, min(count, most)).astype(int)


def _warn_outside_prior(model: Model, observations: Observations, data: Mapping[str, Any], seed: int) -> None:
    """Warn of losses outside the central 99.8 % of the prior predictive (of at most 200 of the runs)."""
    rows = _spread(len(observations), 200)
    points = {name: data[name][rows] for name in model.law.inputs}
    rng = np.random.default_rng([seed, _PRIOR_CHECK])
    allowed = model.prior_predictive(points, draws=1000, random_seed=rng)["run"]
    low, high = allowed.quantile([0.001, 0.999], dim=("chain", "draw")).values
    loss = np.exp(data["observed_log_loss"][rows])
    outside = (loss < low) | (loss > high)
    if outside.any():
        names = observations.table["run"].to_numpy()[rows][outside]
        shown = ", ".join(map(str, names[:5])) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        first = int(np.flatnonzero(outside)[0])
        warnings.warn(
            f"losses of {outside.sum()} of {len(rows)} runs lie outside what the priors of model {model.name!r} "
            f"allow ({shown}; e.g. {loss[first]:.3g} nats where 99.8 % of the prior predictive lies in "
            f"{low[first]:.3g} to {high[first]:.3g}): check the unit of the loss, or change the priors",
            ForescaleWarning,
            stacklevel=3,
        )
