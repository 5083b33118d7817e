"""Simulation-based calibration: where a truth ranks among draws, and whether such ranks are uniform.

Draw parameters from the prior, a table from the model given them, and independent draws from the posterior given the
table: truth and draws then have one distribution, so that the number of draws below the truth is uniform on 0 to L.
This holds for every function of parameters and data. Ranks that are not uniform mean that something is wrong.

Whether they are is asked of ``forescale.numbers.uniformity``.

References
----------
Talts et al. 2018 (arXiv:1804.06788).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.belief.model import Model
from forescale.errors import DataError
from forescale.numbers.uniformity import spaced
from forescale.sampling.nuts import Draws, Settings, sample

Array = NDArray[Any]
#: Columns of a row beside its ranks.
ABOUT = ("r_hat", "ess", "divergences", "retried", "error")
R_HAT_MAX = 1.05  # of two short chains; 1.01 is for the thousands of draws of a fit that is read for its numbers
_FAR = 100  # the far point: so many times the largest of each input


@dataclass(frozen=True, eq=False)
class Study:
    """What all tasks of a calibration share: text and numbers only, small enough to send anywhere.

    Attributes
    ----------
    card, truth : str
        The model card that tables are fitted with, and that whose prior truths are drawn from.
    design : mapping of str to tuple of float
        The law's inputs at each run, and log_loss_se where the noise needs one.
    settings : Settings
        Of the sampler.
    kept : int
        Draws that the truth is ranked among.
    noise_factor : float
        What simulated noise is multiplied by.
    seed : int
        Of everything.
    """

    card: str
    truth: str
    design: Mapping[str, tuple[float, ...]] = field(repr=False)
    settings: Settings
    kept: int
    noise_factor: float
    seed: int


def rank_row(study: Study, fit: int) -> dict[str, Any]:
    """Simulate table number ``fit`` of a study, fit it, and rank the truth.

    Returns
    -------
    dict
        fit, a rank for each quantity, r_hat, ess, divergences, retried, error. Whatever goes wrong is the error
        of the row and not an exception: one bad table is not the end of hundreds.
    """
    row = {"fit": fit, "r_hat": np.nan, "ess": np.nan, "divergences": 0, "retried": False, "error": ""}
    try:
        return row | _ranked(study, np.random.default_rng([study.seed, fit]))
    except Exception as error:
        return row | {"error": f"{type(error).__name__}: {error}"}


def _ranked(study: Study, rng: np.random.Generator) -> dict[str, Any]:
    model = _model(study.card)
    truth = {str(name): value.item() for name, value in _model(study.truth).sample_prior(1, rng).items()}
    data = _simulate(model, study, truth, rng)
    seed = int(rng.integers(2**31))
    found: dict[str, Any] = {}
    for settings in (study.settings, study.settings.careful()):
        drawn = sample(model, data, settings, seed, progress=False)
        values = _quantities(model, truth, drawn, data, rng)
        found = _checked(values, drawn, study) | {"retried": settings is not study.settings}
        if not found["error"]:
            break
    at = 1 + spaced(study.settings.draws * study.settings.chains, study.kept)
    return {name: int((value[at] < value[0]).sum()) for name, value in values.items()} | found


def _simulate(model: Model, study: Study, truth: Mapping[str, float], rng: np.random.Generator) -> dict[str, Any]:
    """What the likelihood sees of a table that the model makes at the design, given its parameters."""
    data = {name: np.array(values) for name, values in study.design.items()}
    data |= model.discrepancy.features(data, model.law.inputs)
    with np.errstate(all="ignore"):
        mean = model.log_curve(data, truth)
        scatter = model.noise.sample(truth, mean.shape, rng, data.get("log_loss_se", 0.0))
        data["observed_log_loss"] = mean + study.noise_factor * scatter
    if not np.isfinite(data["observed_log_loss"]).all():
        raise DataError(f"the prior has drawn losses beyond any number, with {dict(truth)}")
    # in the order of Model.data, which the compiled model relies on
    first = [name for name in (*model.law.inputs, "observed_log_loss", "log_loss_se") if name in data]
    return {name: data.pop(name) for name in first} | data


def _quantities(
    model: Model, truth: Mapping[str, float], drawn: Draws, data: Mapping[str, Any], rng: np.random.Generator
) -> dict[str, Array]:
    """What is ranked, by name: the truth's value, then that of each draw, chain after chain."""
    values = {
        name: np.concatenate([[truth[name]], drawn.posterior[name].to_numpy().ravel()])[:, None] for name in truth
    }
    law = {name: values[name] for name in model.law.parameters}
    noise = {name: values[name] for name in model.noise.parameters}
    far = {name: _FAR * data[name].max() for name in model.law.inputs}
    error = data["observed_log_loss"] - model.log_curve(data, values)
    far_loss = np.log(model.law(far, law))
    further = {
        "log_likelihood": model.noise.logpdf(error, noise, data.get("log_loss_se", 0.0)).sum(axis=1),
        "far_loss": far_loss[:, 0],
        "far_run": (far_loss + model.noise.sample(noise, far_loss.shape, rng))[:, 0],
    }
    return {name: values[name][:, 0] for name in model.free_priors()} | further


def _checked(values: Mapping[str, Array], drawn: Draws, study: Study) -> dict[str, Any]:
    """R-hat, effective draws and divergences of a fit, and why its ranks are not to be used, if so."""
    from arviz_stats.base import array_stats

    shape = (-1, drawn.posterior.sizes["chain"], drawn.posterior.sizes["draw"])
    # a new run is its loss and fresh noise, so that it mixes where the loss does, and may be infinite
    together = np.reshape([value[1:] for name, value in values.items() if name != "far_run"], shape)
    r_hat = float(array_stats.rhat(together, chain_axis=1, draw_axis=2).max())
    ess = float(array_stats.ess(together, chain_axis=1, draw_axis=2).min())
    divergences = int(drawn.sample_stats["diverging"].sum())
    failures = {
        f"R-hat {r_hat:.3f}": not r_hat <= R_HAT_MAX,
        f"{ess:.0f} effective draws for {study.kept}": not ess >= study.kept,
        f"{divergences} divergent transitions": divergences > 0,
    }
    error = ", ".join(text for text, failed in failures.items() if failed)
    return {"r_hat": r_hat, "ess": ess, "divergences": divergences, "error": error}


@lru_cache(maxsize=32)
def _model(card: str) -> Model:
    return Model.from_toml(card)
