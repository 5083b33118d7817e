"""Who forecasts: a model, and what it has to beat, described in a few words that can be sent to another process.

The baselines are the Huber fit with its bootstrap, and a power law through the last run. Neither has a model of noise,
so the scatter of a new run is resampled from the residuals of the fitted ones, made larger by sqrt(n / (n - p)) for
the p parameters that were fitted to them.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forescale.cuts import Cut
from forescale.errors import DataError, ForescaleWarning, ModelError
from forescale.fit import fit
from forescale.forecast import forecast
from forescale.huber import huber_fit
from forescale.laws import Law
from forescale.model import Model
from forescale.observations import Observations
from forescale.sampling import Settings
from forescale.scoring import PROBS, coverage_name, mixture_log_density, score

Array = NDArray[np.float64]

#: What a model is set beside, unless asked otherwise.
BASELINES = ("huber", "last-point")
_SCORES = ["interval_score", "crps", "log_score", "bias"]
MEANS = [*map(coverage_name, PROBS), *_SCORES]
_WHERE = ["size", "runs_fitted", "span", "distance", "distance_n_params", "distance_n_tokens"]
_SAID = ["loss", "median", "lower", "upper", *MEANS, "pit"]
KEYS = ["table", "model", "cut"]
COLUMNS = [*KEYS, "run", *_WHERE, *_SAID, "notes", "error"]
_DRAWS = 4000  # of a new run by a baseline, about so many, whatever the number of replicates


class Predictive(NamedTuple):
    """What is said of held-out runs.

    Attributes
    ----------
    draws : array, shape (draw, point)
        Losses of new runs, nats per token.
    log_density : array, shape (point,), or None
        Log predictive density of log loss at the losses that came; None where it is known through draws only.
    """

    draws: Array
    log_density: Array | None


@dataclass(frozen=True)
class Forecaster:
    """A description of who forecasts.

    Attributes
    ----------
    name : str
        In tables.
    kind : {"fit", "huber", "last-point"}
        A model fitted by NUTS, the law of a model fitted by Huber loss, or a power law through the last run.
    card : str
        The text of the model's card; empty for a power law.
    """

    name: str
    kind: str
    card: str = ""

    def predict(
        self, fitted: Observations, held: Observations, size: str, settings: Settings, bootstrap: int, seed: int
    ) -> Predictive:
        """Fit some runs and forecast others.

        Parameters
        ----------
        fitted, held : Observations
            The runs fitted, and those forecast: losses of these enter the log density alone.
        size : str
            What a power law is in.
        settings : Settings
            Of the sampler.
        bootstrap : int
            Replicates of a baseline.
        seed : int
            Of all that is drawn.

        Raises
        ------
        ForescaleError
            If the fit is refused.
        """
        if self.kind == "last-point":
            return Predictive(last_point_draws(fitted, held, size, bootstrap, seed), None)
        model = Model.from_toml(self.card)
        if self.kind == "huber":
            return Predictive(huber_draws(fitted, held, model.law, bootstrap, seed), None)
        return _by_model(model, fitted, held, settings, seed)


def forecasters(models: Sequence[Model], baselines: Sequence[str]) -> list[Forecaster]:
    """Each model, the Huber fit of each of their laws, and the power law.

    Raises
    ------
    ModelError
        If two models have one name, there is none, or a baseline is unknown.
    """
    names = [model.name for model in models]
    if not names or len(set(names)) < len(names):
        raise ModelError(
            f"models need names of their own, and there must be one; given were {', '.join(names) or 'none'}"
        )
    if unknown := [name for name in baselines if name not in BASELINES]:
        raise ModelError(f"no baseline is called {unknown[0]!r}; there are {', '.join(BASELINES)}")
    made = [Forecaster(model.name, "fit", model.to_toml()) for model in models]
    if "huber" in baselines:
        laws = {(model.law.name, model.law.inputs): model for model in reversed(models)}
        first = [model for model in models if model in laws.values()]
        made += [Forecaster(f"huber {model.name}", "huber", model.to_toml()) for model in first]
    return made + [Forecaster(name, name) for name in baselines if name == "last-point"]


@dataclass(frozen=True)
class Task:
    """One fit to be scored: values only, so that any process can do it, and do it again."""

    runs: Observations
    table: str
    size: str
    forecaster: Forecaster
    cut: Cut
    settings: Settings
    bootstrap: int
    seed: int

    def own_seed(self, fitted: Observations) -> int:
        """A seed of who fits what: the same fit gives the same draws, whatever is held out or done beside it."""
        what = (self.seed, self.forecaster.name, self.forecaster.card, fitted.sha256)
        return int.from_bytes(hashlib.sha256(repr(what).encode()).digest()[:4], "big") >> 1


def run_task(task: Task) -> list[dict[str, Any]]:
    """Fit, forecast and score: a row of ``Backtest.points`` for each held-out run, or one that says what failed."""
    fitted, held = task.cut.split(task.runs)
    who, size = task.forecaster, task.size
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ForescaleWarning)
        try:
            said = who.predict(fitted, held, size, task.settings, task.bootstrap, task.own_seed(fitted))
            scores = score(held.column("loss"), *said)
        except Exception as error:  # whatever stops one fit may not stop the others; the row says what it was
            return [failure(task.table, who.name, task.cut.label, error)]
    columns: dict[str, Any] = {
        "run": held.labels("run"),
        "span": np.full(len(held), np.ptp(np.log10(fitted.column(size)))),
        "distance": _beyond(fitted, held, size),
        **{f"distance_{name}": _beyond(fitted, held, name) for name in ("n_params", "n_tokens")},
        "loss": held.column("loss"),
        **scores,
    }
    shared = {"table": task.table, "model": who.name, "cut": task.cut.label, "size": size, "runs_fitted": len(fitted)}
    shared |= {"notes": "; ".join(dict.fromkeys(str(warning.message) for warning in caught)), "error": ""}
    values = (column.tolist() for column in columns.values())
    return [shared | dict(zip(columns, row, strict=True)) for row in zip(*values, strict=True)]


def failure(table: str, model: str, cut: str, error: Exception) -> dict[str, Any]:
    """The row of a task that failed."""
    empty = dict.fromkeys((*_WHERE, *_SAID), np.nan) | {"size": "", "run": "", "notes": ""}
    return empty | {"table": table, "model": model, "cut": cut, "error": f"{type(error).__name__}: {error}"}


def _beyond(fitted: Observations, held: Observations, name: str) -> Array:
    """Decades beyond the largest fitted run, below zero inside; NaN where there is no such column."""
    if name not in fitted.columns:
        return np.full(len(held), np.nan)
    return np.asarray(np.log10(held.column(name)) - np.log10(fitted.column(name).max()))


def _by_model(model: Model, fitted: Observations, held: Observations, settings: Settings, seed: int) -> Predictive:
    """The posterior predictive of a fit, of kind ``run``, and its density as a mixture over draws of the noise."""
    found = fit(fitted, model, **settings.as_dict(), random_seed=seed, progress=False)
    said = forecast(found, held.table, random_seed=np.random.default_rng([seed, 1])).draws
    log_centre = np.log(_flat(said["mean"]))
    noise = {name: _flat(found.posterior[name])[:, None] for name in model.noise.parameters}
    log_se = held.column("loss_se") / np.exp(log_centre) if model.noise.needs_se else 0.0
    density = mixture_log_density(np.log(held.column("loss")), log_centre, model.noise, noise, log_se)
    return Predictive(_flat(said["run"]), density)


def _flat(draws: Any) -> Array:
    """Chains one after the other."""
    values = draws.transpose("chain", "draw", ...).to_numpy()
    return np.asarray(values.reshape(-1, *values.shape[2:]))


def huber_draws(fitted: Observations, held: Observations, law: Law, bootstrap: int, seed: int) -> Array:
    """Draws of loss from a bootstrap of the Huber fit.

    Parameters
    ----------
    fitted, held : Observations
        The runs fitted, and those forecast: of these only the law's inputs are read.
    law : Law
        The law.
    bootstrap : int
        Replicates, at least 2; each is a curve for as many draws as any other.
    seed : int
        Of the resampling of runs and of residuals.

    Returns
    -------
    array, shape (draw, point)
        Nats per token.

    Raises
    ------
    DataError, ModelError
        See `huber_fit`.
    """
    found = huber_fit(fitted, law, bootstrap=bootstrap, random_seed=seed)
    curve = law({name: fitted.column(name) for name in law.inputs}, found.estimate)
    residuals = np.log(fitted.column("loss")) - np.log(curve)
    refits = {name: found.posterior[name].to_numpy().reshape(-1, 1) for name in law.parameters}
    curves = law({name: held.column(name) for name in law.inputs}, refits)
    return _with_scatter(curves, residuals, len(law.parameters), seed)


def last_point_draws(fitted: Observations, held: Observations, size: str, bootstrap: int, seed: int) -> Array:
    """Draws of loss from ``L = L_last (x / x_last)^-a``, a power law of one size through the largest fitted run.

    The exponent a is that of least squares on log loss over the fitted runs, and of each of their resamples.

    Parameters
    ----------
    fitted, held : Observations
        The runs fitted, and those forecast: of these only the size is read.
    size : str
        The column x, such as flops. Of several largest runs, that with the lowest loss is the last.
    bootstrap : int
        Replicates, at least 2.
    seed : int
        Of the resampling of runs and of residuals.

    Returns
    -------
    array, shape (draw, point)
        Nats per token.

    Raises
    ------
    DataError
        If all fitted runs are of one size.
    """
    log_size, log_loss = np.log(fitted.column(size)), np.log(fitted.column("loss"))
    last = np.lexsort((log_loss, -log_size))[0]
    x, y = log_size - log_size[last], log_loss - log_loss[last]
    if not np.ptp(x) > 0:
        raise DataError(f"a power law in {size} needs runs of several sizes; those fitted of {fitted.name!r} have one")
    slope = (x @ y) / (x @ x)
    rows = np.random.default_rng(seed).integers(len(x), size=(bootstrap, len(x)))
    squares = (x[rows] ** 2).sum(axis=1)
    # a resample of the last run alone knows no slope, and takes that of all
    slopes = np.where(squares > 0, (x[rows] * y[rows]).sum(axis=1) / np.where(squares > 0, squares, 1.0), slope)
    beyond = np.log(held.column(size)) - log_size[last]
    others = np.arange(len(x)) != last  # the line passes through the last, which is no residual
    return _with_scatter(np.exp(log_loss[last] + slopes[:, None] * beyond), (y - slope * x)[others], 1, seed)


def _with_scatter(curves: Any, residuals: Array, parameters: int, seed: int) -> Array:
    """Several new runs about each curve (replicate, point)."""
    n = len(residuals)
    scale = np.sqrt(n / max(n - parameters, 1))
    repeated = np.repeat(curves, max(1, -(-_DRAWS // len(curves))), axis=0)
    scatter = np.random.default_rng([seed, 1]).choice(scale * residuals, size=repeated.shape)
    return np.asarray(repeated * np.exp(scatter))
