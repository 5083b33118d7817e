"""Simulation-based calibration: where a truth ranks among draws, and whether such ranks are uniform.

Draw parameters from the prior, a table from the model given them, and independent draws from the posterior given the
table: truth and draws then have one distribution, so that the number of draws below the truth is uniform on 0 to L.
This holds for every function of parameters and data. Ranks that are not uniform mean that something is wrong.

Two tests of uniformity look at different things. The first takes the empirical distribution function of n ranks at
each of its steps z_j = (j + 1) / (L + 1), where its count is Binomial(n, z_j), and asks how extreme its most extreme
step is, gamma = 2 min_j min(P(count <= seen), P(count >= seen)); the distribution of gamma is simulated. It sees ranks
that lean to a side, or crowd at the middle or the ends. The second is a chi-square of the histogram, which sees any
other unevenness.

References
----------
Talts et al. 2018 (arXiv:1804.06788) for the ranks; Säilynoja, Bürkner and Vehtari 2022 (arXiv:2103.10522), section 2,
for the simultaneous test of the distribution function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forescale.errors import DataError
from forescale.model import Model
from forescale.sampling import Draws, Settings, sample

Array = NDArray[Any]
#: Columns of a row beside its ranks.
ABOUT = ("r_hat", "ess", "divergences", "retried", "error")
R_HAT_MAX = 1.05  # of two short chains; 1.01 is for the thousands of draws of a fit that is read for its numbers
_FAR = 100  # the far point: so many times the largest of each input
_SIMULATED = 20_000  # sets of ranks that the distribution of gamma is simulated with: p-values down to 5e-5
_MOST_BINS, _LEAST_EXPECTED = 20, 5  # of the chi-square, whose distribution is only approximate for small counts


def spaced(total: int, kept: int) -> Array:
    """Indices of so many of ``total`` draws, evenly spaced: neighbours in a chain are not independent."""
    if not 1 <= kept <= total:
        raise DataError(f"{kept} draws are to be kept of {total}; keep fewer, or draw more")
    return (np.arange(kept) * total / kept).astype(int)


def ecdf_p(ranks: ArrayLike, places: int) -> float:
    """P-value of the distribution function of ranks.

    Parameters
    ----------
    ranks : array of int, shape (fit,)
        Each from 0 to ``places - 1``.
    places : int
        Number of ranks that are possible: one more than draws.

    Returns
    -------
    float
        Share of uniform sets of ranks that are as extreme at their most extreme step; at least 1 / 20,001.

    Examples
    --------
    >>> even = [place for place in range(20) for _ in range(10)]
    >>> round(ecdf_p(even, 20), 2), round(ecdf_p([rank // 2 for rank in even], 20), 4)
    (1.0, 0.0)
    """
    counts = _counts(ranks, places)
    fits = int(counts.sum())
    seen = _gamma(counts, _tails(fits, places))
    return float((1 + np.sum(_null(fits, places) <= seen)) / (1 + _SIMULATED))


def envelope(fits: int, places: int, prob: float) -> tuple[Array, Array, Array]:
    """Where the distribution function of uniform ranks stays throughout, with probability ``prob``.

    Parameters
    ----------
    fits, places : int
        Number of ranks, and of ranks that are possible.
    prob : float
        Probability that all of it lies inside; the p-value is below 1 - prob where it does not.

    Returns
    -------
    steps, lower, upper : array, shape (places - 1,)
        Steps z_j, and the least and greatest value of the distribution function there.
    """
    tails = _tails(fits, places)
    inside = 2 * tails >= np.quantile(_null(fits, places), 1 - prob, method="inverted_cdf")
    lower = inside.argmax(axis=1)
    upper = fits - inside[:, ::-1].argmax(axis=1)
    return np.arange(1, places) / places, lower / fits, upper / fits


def ecdf(ranks: ArrayLike, places: int) -> Array:
    """Share of ranks up to each step, shape (places - 1,)."""
    counts = _counts(ranks, places)
    shares: Array = counts.cumsum()[:-1] / counts.sum()
    return shares


def chi2_p(ranks: ArrayLike, places: int) -> float:
    """P-value of a chi-square in as many equal bins as have five ranks each, 20 at most; NaN where two have not."""
    from scipy.stats import chisquare

    counts = _counts(ranks, places)
    most = min(_MOST_BINS, int(counts.sum()) // _LEAST_EXPECTED)
    bins = max((size for size in range(2, most + 1) if places % size == 0), default=1)
    return float("nan") if bins == 1 else float(chisquare(counts.reshape(bins, -1).sum(axis=1)).pvalue)


def coverage(ranks: ArrayLike, places: int, prob: float) -> float:
    """Share of ranks in the middle ``prob`` of the places: how often central intervals held the truth."""
    position = (np.asarray(ranks) + 0.5) / places
    return float(np.mean(np.abs(position - 0.5) < prob / 2))


def _counts(ranks: ArrayLike, places: int) -> Array:
    given = np.asarray(ranks)
    if given.ndim != 1 or given.size == 0 or given.min() < 0 or given.max() >= places:
        raise DataError(f"ranks are whole numbers from 0 to {places - 1}, at least one; given were {ranks!r}")
    return np.bincount(given.astype(int), minlength=places)


@lru_cache(maxsize=64)
def _tails(fits: int, places: int) -> Array:
    """The smaller tail probability of each count, shape (places - 1, fits + 1)."""
    from scipy.stats import binom

    count, step = np.arange(fits + 1), np.arange(1, places)[:, None] / places
    smaller: Array = np.minimum(binom.cdf(count, fits, step), binom.sf(count - 1, fits, step))
    return smaller


def _gamma(counts: Array, tails: Array) -> Array:
    """The statistic of histograms of shape (..., places)."""
    upto = counts.cumsum(axis=-1)[..., :-1]
    most_extreme: Array = 2 * tails[np.arange(len(tails)), upto].min(axis=-1)
    return most_extreme


@lru_cache(maxsize=64)
def _null(fits: int, places: int) -> Array:
    """The statistic of uniform ranks, simulated; always with the same numbers, so that p-values can be repeated."""
    rng = np.random.default_rng(0)
    simulated = rng.multinomial(fits, np.full(places, 1 / places), size=_SIMULATED)
    found = _gamma(simulated, _tails(fits, places))
    found.flags.writeable = False
    return found


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
    with np.errstate(all="ignore"):
        mean = np.log(model.law(data, truth))
        scatter = model.noise.sample(truth, mean.shape, rng, data.get("log_loss_se", 0.0))
        data["observed_log_loss"] = mean + study.noise_factor * scatter
    if not np.isfinite(data["observed_log_loss"]).all():
        raise DataError(f"the prior has drawn losses beyond any number, with {dict(truth)}")
    # in the order of Model.data, which the compiled model relies on
    order = [*model.law.inputs, "observed_log_loss", "log_loss_se"]
    return {name: data[name] for name in order if name in data}


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
    error = data["observed_log_loss"] - np.log(model.law(data, law))
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
