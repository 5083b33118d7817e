"""A run left out of a fit, by fitting the others: a task for any process."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forescale.belief.model import Model
from forescale.errors import DataError, ForescaleWarning
from forescale.estimates.fit import Fit, fit, residuals
from forescale.laws.own_laws import SentLaw, send
from forescale.sampling.nuts import Settings
from forescale.tables.observations import Observations
from forescale.work.task import key_of

_REFIT = 5  # a stream of random numbers, beside those of estimates.fit and estimates.archive


@dataclass(frozen=True)
class LeftOut:
    """A fit of a table without one run, and how well it predicts that run.

    Attributes
    ----------
    card : str
        The text of the model's card.
    law : SentLaw
        The law that it names, if it is not the package's.
    runs : Observations
        The whole table.
    index : int
        Which run is left out.
    settings, seed
        Of the fit of all runs; the refit's own seed follows from it.
    """

    card: str
    law: SentLaw
    runs: Observations
    index: int
    settings: Settings
    seed: int

    @property
    def key(self) -> str:
        """A hash of all that determines the answer."""
        runs = [self.runs.sha256, self.runs.name]
        what = {"card": self.card, "law": self.law.code, "runs": runs, "index": self.index}
        return key_of("left out", **what, settings=self.settings.as_dict(), seed=self.seed)

    def run(self) -> dict[str, Any]:
        """The elpd of the run and its mcse; see `refit`."""
        self.law.register()
        elpd, mcse = self.refit()
        return {"elpd": elpd, "mcse": mcse}

    def failed(self, error: Exception) -> dict[str, Any]:
        """Why there are none."""
        return {"error": f"without {self.runs.labels('run')[self.index]}: {type(error).__name__}: {error}"}

    def refit(self) -> tuple[float, float]:
        """Log predictive density of the run under a fit of the others, and its Monte Carlo standard error.

        Raises
        ------
        DataError
            If the others cannot support the model.
        ConvergenceError
            If the fit does not converge.
        """
        import arviz_stats

        runs, name, model = self.runs, str(self.runs.labels("run")[self.index]), Model.from_toml(self.card)
        others = replace(runs.where(np.arange(len(runs)) != self.index), name=f"{runs.name} without {name}")
        seed = np.random.default_rng([self.seed, _REFIT, self.index])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ForescaleWarning)  # the fit of all runs has given them
            try:
                without = fit(others, model, **self.settings.as_dict(), random_seed=seed, progress=False)
            except DataError as error:
                whose = f"{model.name} on {runs.name}"
                raise DataError(f"run {name!r} cannot be left out of the fit of {whose}: {error}") from error
        density = _log_density_unseen(without, runs.where(np.arange(len(runs)) == self.index))
        relative = np.exp(density - density.max())
        elpd = float(np.log(relative.mean()) + density.max())
        return elpd, float(arviz_stats.mcse(relative) / relative.mean())


def left_out(source: Fit, index: int) -> LeftOut:
    """Describe the refit of a fit without one of its runs."""
    model = source.model
    return LeftOut(model.to_toml(), send(model.law), source.observations, index, source.settings, source.seed)


def log_density(model: Model, runs: Observations, posterior: xr.Dataset, rows: NDArray[Any]) -> xr.DataArray:
    """Log density of the log loss of some of the runs, dims ("chain", "draw", "run")."""
    data = {name: values[rows] for name, values in model.data(runs).items()}
    error = residuals(model, data, posterior)
    noise = {name: posterior[name].to_numpy()[..., None] for name in model.noise.parameters}
    return error.copy(data=model.noise.logpdf(error.to_numpy(), noise, data.get("log_loss_se", 0.0)))


def _log_density_unseen(fit: Fit, run: Observations) -> xr.DataArray:
    """Log density of the log loss of a run that the fit has not seen, dims ("chain", "draw").

    A structured deviation is drawn there. A drift is not: importance sampling leaves it out as well, and what is
    compared are laws.
    """
    bare = replace(fit.model.discrepancy, drift=None)
    inputs = {name: run.column(name) for name in fit.law.inputs}
    departure = replace(fit, model=fit.model.with_discrepancy(bare)).departure(inputs)
    centre = np.log(fit.law({name: float(value[0]) for name, value in inputs.items()}, fit.posterior))
    centre = centre if departure is None else centre + departure.isel(point=0)
    noise = {name: fit.posterior[name].to_numpy() for name in fit.noise.parameters}
    log_se = run.column("loss_se") / run.column("loss") if fit.noise.needs_se else 0.0
    error: xr.DataArray = np.log(float(run.column("loss")[0])) - centre
    return error.copy(data=fit.noise.logpdf(error.to_numpy(), noise, log_se))
