"""How the spread of a forecast goes with that of parameters: pure numerics, arrays in, arrays out.

``coordinates`` are draws of the parameters on a scale where their joint distribution is nearest to normal, of
shape (draw, parameter); a column may be constant. Everything here is of the draws as given: who cares about
forecasts that are not finite leaves their draws out.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations_with_replacement

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

#: Fewest draws for each term of a regression; with fewer there is no share.
_DRAWS_PER_TERM = 5
#: Range, relative to the largest value, up to which draws are one number computed in several ways.
_ROUNDING = 1e-12


def variance_shares(forecast: Array, coordinates: Array, subsets: Sequence[Sequence[int]]) -> Array:
    """Var(E[q | z]) / Var(q): the share of the variance of q that knowing z would remove.

    E[q | z] is the least-squares quadratic in the standardised z, with all products of two. The share is the
    adjusted R^2, ``1 - (RSS / (n - p)) / (TSS / (n - 1))`` with p terms, so that noise explains nothing on average;
    below zero it is zero. Where E[q | z] is no quadratic, it is a lower bound.

    Parameters
    ----------
    forecast : array, shape (draw, at)
        q; draws in which it is not finite are left out, column by column.
    coordinates : array, shape (draw, parameter)
        Draws of the parameters.
    subsets : sequence of sequences of int
        Which parameters are z.

    Returns
    -------
    ndarray, shape (subset, at)
        Between 0 and 1; NaN with fewer than five draws a term, or where q does not vary.
    """
    shares = np.full((len(subsets), forecast.shape[1]), np.nan)
    patterns, which = np.unique(np.isfinite(forecast), axis=1, return_inverse=True)
    for pattern, finite in enumerate(patterns.T):
        columns = np.flatnonzero(which == pattern)
        q = forecast[np.ix_(finite, columns)]
        for row, subset in enumerate(subsets):
            shares[row, columns] = _adjusted_r2(q, quadratic(coordinates[np.ix_(finite, subset)]))
    return shares


def quadratic(coordinates: Array) -> Array:
    """A constant, the standardised parameters and their products of two: (draw, term)."""
    z = standardised(coordinates)
    products = [z[:, i] * z[:, j] for i, j in combinations_with_replacement(range(z.shape[1]), 2)]
    return np.column_stack([np.ones(len(z)), z, *products])


def _adjusted_r2(q: Array, terms: Array) -> Array:
    draws = len(q)
    if draws < _DRAWS_PER_TERM * terms.shape[1]:
        return np.full(q.shape[1], np.nan)
    varies = standard_deviations(q) > 0
    deviations = q - q.mean(axis=0)
    fitted, _, rank, _ = np.linalg.lstsq(terms, deviations, rcond=None)
    unexplained = ((deviations - terms @ fitted) ** 2).sum(axis=0) / (draws - int(rank))
    total = (deviations**2).sum(axis=0) / (draws - 1)
    share = 1 - np.divide(unexplained, total, out=np.ones_like(total), where=varies)
    return np.where(varies, np.maximum(share, 0.0), np.nan)


def conditional_steps(coordinates: Array) -> Array:
    """By how much each parameter moves, as the draws have it, for a step of one in each.

    ``steps[j, i] = Cov(z_j, z_i) / Var(z_i)``: for normal draws the slope of E[z_j | z_i], whose remainder does
    not depend on z_i.

    Returns
    -------
    ndarray, shape (moved, parameter)
        Ones on the diagonal; a parameter that does not vary moves nothing else.
    """
    sd = standard_deviations(coordinates)
    steps = np.divide(correlations(coordinates) * sd[:, None], sd, out=np.zeros((len(sd), len(sd))), where=sd > 0)
    np.fill_diagonal(steps, 1.0)
    return steps


def correlations(coordinates: Array) -> Array:
    """Correlations of the parameters, of shape (parameter, parameter); zero with one that does not vary."""
    z = standardised(coordinates)
    return np.asarray(z.T @ z / max(1, len(z) - 1))


def standard_deviations(coordinates: Array) -> Array:
    """Standard deviation of each column, with n - 1; exactly zero where it varies by rounding only."""
    if len(coordinates) < 2:
        return np.zeros(coordinates.shape[1])
    varies = np.ptp(coordinates, axis=0) > _ROUNDING * np.abs(coordinates).max(axis=0)
    return np.where(varies, coordinates.std(axis=0, ddof=1), 0.0)


def standardised(coordinates: Array) -> Array:
    """Draws less their mean, over their standard deviation; zeros where they do not vary."""
    sd = standard_deviations(coordinates)
    centred = coordinates - coordinates.mean(axis=0) if len(coordinates) else coordinates
    return np.divide(centred, sd, out=np.zeros_like(centred), where=sd > 0)
