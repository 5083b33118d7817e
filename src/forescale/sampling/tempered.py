"""Draws from posteriors of several modes, and the evidence, by sequential Monte Carlo from prior to posterior.

Particles are drawn from the prior, and their likelihood is raised to powers from 0 to 1, each step weighting them,
drawing them anew by their weights and moving them by Metropolis steps along differences of two others. What data
explain in two ways, with nothing likely in between, keeps both, in proportion: chains stay in the one they start in,
and NUTS is rightly refused. The mean weights multiply to the evidence, the probability of the data under the model; how
far runs differ is its error, and particles that settle badly make it too low.

For models of ten parameters or so, whose curve costs little: densities are computed in NumPy for all particles at once.

References
----------
Del Moral, Doucet and Jasra 2006 (doi:10.1111/j.1467-9868.2006.00553.x); ter Braak 2006
(doi:10.1007/s11222-006-8769-1), for the differences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from forescale.belief.priors import Prior
from forescale.sampling.line import from_line, to_line

Array = NDArray[np.float64]
_KEPT = 0.5  # effective part of the particles that a step leaves
_MOVES, _LAST_MOVES = 10, 30  # Metropolis steps after each rise of the power, and at the posterior
_JUMPS = 0.1  # part of the steps that go the whole difference of two others, from mode to mode


@dataclass(frozen=True)
class Tempered:
    """What one run leaves.

    Attributes
    ----------
    free : dict of str to array, shape (draw,)
        Draws of what the priors are on, each as likely as the others, in no order.
    log_evidence : float
        Log probability (density) of the data under the model.
    """

    free: dict[str, Array]
    log_evidence: float


def temper_priors(
    priors: Mapping[str, Prior],
    log_likelihood: Callable[[Mapping[str, Array]], Array],
    draws: int,
    rng: np.random.Generator,
) -> Tempered:
    """Draw from the posterior of independent priors and a likelihood.

    Parameters
    ----------
    priors : mapping of str to Prior
        Of each parameter.
    log_likelihood : callable
        From draws of the parameters, shape (draw,) each, to the log probability (density) of the data, shape (draw,).
        Where it is not a number the likelihood is taken as zero.
    draws : int
        Number of particles.
    rng : Generator
        Randomness.

    Returns
    -------
    Tempered
        Draws and the evidence, of this one run; how far runs differ is their error.
    """

    def densities(z: Array) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):
            free, at_prior = from_line(priors, z)
            return _no_nan(at_prior), _no_nan(log_likelihood(free))

    z = to_line(priors, {name: prior.sample(draws, rng) for name, prior in priors.items()})
    at_prior, at_data = densities(z)
    power, log_evidence, stride = 0.0, 0.0, 1.0
    while power < 1:
        step = _next(at_data, 1 - power)
        log_weights = step * at_data
        log_evidence += float(logsumexp(log_weights) - np.log(draws))
        power += step
        chosen = _systematic(np.exp(log_weights - logsumexp(log_weights)), rng)
        z, at_prior, at_data = z[chosen], at_prior[chosen], at_data[chosen]
        others = z.copy()
        for _ in range(_LAST_MOVES if power >= 1 else _MOVES):
            there = z + _difference(others, stride, rng)
            prior_there, data_there = densities(there)
            gain = prior_there - at_prior + power * (data_there - at_data)
            moved = np.log(rng.uniform(size=draws)) < gain
            z[moved], at_prior[moved], at_data[moved] = there[moved], prior_there[moved], data_there[moved]
            stride *= float(np.exp(moved.mean() - 0.25))
    return Tempered(from_line(priors, z)[0], log_evidence)


def _no_nan(values: Array) -> Array:
    return np.where(np.isnan(values), -1e300, np.maximum(values, -1e300))


def _next(log_likelihood: Array, most: float) -> float:
    """The largest rise of the power that leaves ``_KEPT`` of the particles in effect."""

    def effective(step: float) -> float:
        weights = np.exp(step * (log_likelihood - log_likelihood.max()))
        return float(weights.sum() ** 2 / (weights @ weights)) / len(weights)

    if effective(most) >= _KEPT:
        return most
    low, high = 0.0, most
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if effective(middle) >= _KEPT else (low, middle)
    return max(low, 1e-12)


def _systematic(weights: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices drawn by weight, as evenly as can be."""
    at = (np.arange(len(weights)) + rng.uniform()) / len(weights)
    return np.minimum(np.searchsorted(np.cumsum(weights), at), len(weights) - 1)


def _difference(others: Array, stride: float, rng: np.random.Generator) -> Array:
    """A step for each particle: along the difference of two others, with a little scatter."""
    many, dimensions = others.shape
    one, two = rng.integers(many, size=(2, many))
    scale = np.where(rng.uniform(size=(many, 1)) < _JUMPS, 1.0, stride * 2.38 / np.sqrt(2 * dimensions))
    step: Array = scale * (others[one] - others[two]) + 1e-4 * rng.standard_normal((many, dimensions)) * others.std(
        axis=0
    )
    return step
