"""The tasks of a backtest: who forecasts which runs from which, described by values that can be sent anywhere."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forescale.belief.catalog import load_model
from forescale.belief.model import Model
from forescale.belief.noise import Noise
from forescale.checking.baselines import BASELINES, huber_draws, last_point_draws
from forescale.checking.scoring import PROBS, coverage_name, mixture_log_density, score
from forescale.errors import DataError, ForescaleWarning, ModelError
from forescale.estimates.draws import Estimate
from forescale.estimates.fit import fit
from forescale.families.fit import FAMILY, TARGET_ACCEPT, fit_families
from forescale.laws.own_laws import SentLaw, send
from forescale.sampling.nuts import Settings
from forescale.tables.columns import INPUTS
from forescale.tables.cuts import Cut
from forescale.tables.observations import Observations
from forescale.verbs.forecast import forecast
from forescale.work.task import key_of

Array = NDArray[np.float64]
Runs = Observations | pd.DataFrame | str | Path

_SCORES = ["interval_score", "crps", "log_score", "bias"]
MEANS = [*map(coverage_name, PROBS), *_SCORES]
_WHERE = ["size", "runs_fitted", "span", "distance", "distance_n_params", "distance_n_tokens"]
_SAID = ["loss", "median", "lower", "upper", *MEANS, "pit"]
KEYS = ["table", "model", "cut"]
COLUMNS = [*KEYS, "run", *_WHERE, *_SAID, "notes", "error"]


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
    kind : {"fit", "separate", "huber", "last-point"}
        A model fitted by NUTS, of families together if it says how they differ; the same to each family by itself; the
        law of a model fitted by Huber loss; or a power law through the last run.
    card : str
        The text of the model's card; empty for a power law.
    law : SentLaw
        The law that the card names, if it is not the package's.
    """

    name: str
    kind: str
    card: str = ""
    law: SentLaw = field(default_factory=SentLaw)

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
        self.law.register()
        model = Model.from_toml(self.card)
        if self.kind == "huber":
            return Predictive(huber_draws(fitted, held, model.law, bootstrap, seed), None)
        if self.kind == "separate" or model.families:
            return _by_families(model, fitted, held, settings, seed, together=self.kind == "fit")
        found = fit(fitted, model, **settings.as_dict(), random_seed=seed, progress=False)
        return _said(found, found.noise, held, seed)


def forecasters(models: Sequence[Model], baselines: Sequence[str]) -> list[Forecaster]:
    """Each model, those of families also without their likeness, the Huber fit of each of their laws, the power law.

    Of a law whose terms are coupled the Huber fit is of Hoffmann et al.'s, which couples none: what people fit.

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
    made = [Forecaster(model.name, "fit", model.to_toml(), send(model.law)) for model in models]
    if "separate" in baselines:
        apart = [model for model in models if model.families]
        cards = {model.name: model.with_families().to_toml() for model in apart}
        made += [
            Forecaster(f"separate {model.name}", "separate", cards[model.name], send(model.law)) for model in apart
        ]
    if "huber" in baselines:
        usual: dict[Any, Model] = {}
        for model in models:
            one = load_model("chinchilla") if model.law.coupling else model
            usual.setdefault((one.law.name, one.law.inputs), one)
        made += [Forecaster(f"huber {one.name}", "huber", one.to_toml(), send(one.law)) for one in usual.values()]
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

    @property
    def key(self) -> str:
        """A hash of all that determines the rows."""
        runs, who = self.runs, self.forecaster
        return key_of(
            "backtest",
            runs=[runs.sha256, runs.name, runs.counts_embeddings],
            table=self.table,
            size=self.size,
            forecaster=[who.name, who.kind, who.card, who.law.code],
            cut=[self.cut.label, self.cut.fitted],
            settings=self.settings.as_dict(),
            bootstrap=self.bootstrap,
            seed=self.seed,
        )

    def run(self) -> list[dict[str, Any]]:
        """The rows; see `run_task`."""
        return run_task(self)

    def failed(self, error: Exception) -> list[dict[str, Any]]:
        """The row that says what failed."""
        return [failure(self.table, self.forecaster.name, self.cut.label, error)]


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
            return task.failed(error)
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


def _by_families(
    model: Model, fitted: Observations, held: Observations, settings: Settings, seed: int, *, together: bool
) -> Predictive:
    """The posterior predictive of each family held out: fitted with the others, or by itself."""
    how: dict[str, Any] = {**settings.as_dict(), "random_seed": seed, "progress": False}
    shorter = {"target_accept": max(settings.target_accept, TARGET_ACCEPT)}
    families = fit_families(fitted, model, **(how | shorter)) if together else None
    of, parts = held.labels(FAMILY), {}
    for label in np.unique(of):
        if families is None:
            found: Any = fit(fitted.where(family=label), model, **how)
        else:
            found = families[label] if label in families.labels else families.new
        parts[label] = _said(found, model.noise, held.where(family=label), seed)
    draws = np.empty((len(next(iter(parts.values())).draws), len(held)))
    density = np.empty(len(held))
    for label, part in parts.items():
        draws[:, of == label], density[of == label] = part
    return Predictive(draws, density)


def _said(found: Estimate, noise: Noise, held: Observations, seed: int) -> Predictive:
    """The posterior predictive of an estimate, of kind ``run``, and its density as a mixture over draws of noise."""
    said = forecast(found, held.table, random_seed=np.random.default_rng([seed, 1])).draws
    log_centre = np.log(_flat(said["mean"]))
    points = {name: held.column(name) for name in found.law.inputs}
    if found.departure is not None and (departure := found.departure(points)) is not None:
        log_centre = log_centre + _flat(departure)
    parameters = {name: _flat(found.posterior[name])[:, None] for name in noise.parameters}
    log_se = held.column("loss_se") / np.exp(log_centre) if noise.needs_se else 0.0
    density = mixture_log_density(np.log(held.column("loss")), log_centre, noise, parameters, log_se)
    return Predictive(_flat(said["run"]), density)


def _flat(draws: xr.DataArray) -> Array:
    """Chains one after the other."""
    values = draws.transpose("chain", "draw", ...).to_numpy()
    return np.asarray(values.reshape(-1, *values.shape[2:]))


# Of tables


def size_of(runs: Observations, by: str, model: Model) -> str:
    """The column that distances are of: compute where it is known, else what is cut, else what a law takes."""
    known = [name for name in ("flops", by, *model.law.inputs) if name in runs.columns]
    numbers = [name for name in known if runs.columns[name].dtype.kind == "f" and (runs.columns[name] > 0).all()]
    if not numbers:
        raise DataError(f"{runs.name!r} has no size to measure distances by: none of {', '.join(INPUTS)} or {by}")
    return numbers[0]


def unlike(runs: Runs, others: Sequence[str]) -> str:
    """The name of a table, numbered if another has it."""
    name = Path(runs).stem if isinstance(runs, str | Path) else getattr(runs, "name", "runs")
    numbered = (f"{name} #{i}" for i in range(2, len(others) + 3))
    return name if name not in others else next(new for new in numbered if new not in others)
