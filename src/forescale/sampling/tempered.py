"""Draws of posteriors that chains do not cross: particles from prior to posterior, moved until they stay as they are.

Where data leave room for one explanation or for another and little between, NUTS diverges or stays where it began, and
is rightly refused. Here particles are drawn from the prior, and their likelihood is raised to powers from 0 to 1. Each
step draws them anew by their weights and moves them by Metropolis steps, by turns along differences of two others and
to draws from a Student-t laid over all. At the posterior they are moved five times as long, and kept midway and at the
end: a run whose halves differ, as split R-hat tells, has not come to rest.

For posteriors of ten parameters or so, whose density costs little for all particles at once. The weights multiply to
the evidence as well, which is too low where particles lag behind their power; `bridge` makes it of the draws.

References
----------
Del Moral, Doucet and Jasra 2006 (doi:10.1111/j.1467-9868.2006.00553.x); ter Braak 2006
(doi:10.1007/s11222-006-8769-1), for the differences.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from forescale.sampling.bridge import StudentT

Array = NDArray[np.float64]
Prior = Callable[[int, np.random.Generator], Array]
Densities = Callable[[Array], tuple[Array, Array]]
_KEPT = 0.5  # effective part of the particles that a step leaves
_JUMPS = 0.1  # part of the differences that are gone in full
_ACCEPT = 0.25  # part of the steps along differences that are taken
_LAST = 5  # times as many moves at the posterior as at each power before it


def temper(
    densities: Densities, prior: Prior, apart: int, particles: int, moves: int, rng: np.random.Generator
) -> Array:
    """Draw from the posterior of a prior and a likelihood.

    Parameters
    ----------
    densities : callable
        From points on the line, shape (draw, parameter), to the log of the prior density and of the likelihood, shape
        (draw,) each; where one is not a number it is taken as zero.
    prior : callable
        From how many, and randomness, to draws of the prior, shape (draw, parameter).
    apart : int
        From which parameter on each is independent of all others beforehand.
    particles, moves : int
        Number of particles, and of Metropolis steps after each rise of the power; five times as many at the posterior.
    rng : Generator
        Randomness.

    Returns
    -------
    array, shape (2 particles, parameter)
        Draws of this one run, those midway through the last moves first.
    """

    def quietly(z: Array) -> tuple[Array, Array]:
        with np.errstate(all="ignore"):
            at_prior, at_data = densities(z)
        return _number(at_prior), _number(at_data)

    z, power, stride, kept = prior(particles, rng), 0.0, 1.0, []
    at_prior, at_data = quietly(z)
    while power < 1:
        step = _next(at_data, 1 - power)
        chosen = _systematic(step * at_data, rng)
        z, at_prior, at_data, power = z[chosen], at_prior[chosen], at_data[chosen], power + step
        for some in [_LAST * moves // 2] * 2 if power >= 1 else [moves]:
            over, others = StudentT.over(z), z
            for i in range(some):
                there, gain = z, np.zeros(particles)
                if i % 3 == 0:
                    there = z + _difference(others, stride, rng)
                elif i % 3 == 1:
                    there = over.sample(particles, rng)
                    gain = over.logpdf(z) - over.logpdf(there)
                else:
                    one = np.arange(z.shape[1]) == rng.integers(apart, z.shape[1], size=(particles, 1))
                    there = np.where(one, prior(particles, rng), z)
                prior_there, data_there = quietly(there)
                gain += power * (data_there - at_data) + (0.0 if i % 3 == 2 else prior_there - at_prior)
                moved = np.log(rng.uniform(size=particles)) < gain
                z, at_prior = np.where(moved[:, None], there, z), np.where(moved, prior_there, at_prior)
                at_data = np.where(moved, data_there, at_data)
                stride *= float(np.exp(moved.mean() - _ACCEPT)) if i % 3 == 0 else 1.0
            kept.append(z)
    return np.concatenate(kept[-2:])


def _number(values: Array) -> Array:
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


def _systematic(log_weights: Array, rng: np.random.Generator) -> NDArray[np.intp]:
    """Indices drawn by weight, as evenly as can be."""
    weights = np.exp(log_weights - logsumexp(log_weights))
    at = (np.arange(len(weights)) + rng.uniform()) / len(weights)
    return np.minimum(np.searchsorted(np.cumsum(weights), at), len(weights) - 1)


def _difference(others: Array, stride: float, rng: np.random.Generator) -> Array:
    """A step for each particle: along the difference of two others, with a little scatter."""
    many, dimensions = others.shape
    one, two = rng.integers(many, size=(2, many))
    scale = np.where(rng.uniform(size=(many, 1)) < _JUMPS, 1.0, stride * 2.38 / np.sqrt(2 * dimensions))
    scatter = 1e-4 * rng.standard_normal((many, dimensions)) * others.std(axis=0)
    return np.asarray(scale * (others[one] - others[two]) + scatter)
