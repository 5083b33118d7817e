"""A structured deviation: a smooth departure of log loss from the law, learned with it.

    log L(x) = log law(x) + f(x),    f ~ Gaussian process(0, amplitude^2 k),    k = Matern 5/2 of distance / length,

with distances in decades between runs in log10 of the law's inputs; of parameters and tokens these are, turned by 45
degrees, log C and log N/D. Fitted is the part of f that a few of the runs determine: those chosen one after the other
where the process is least known from the runs already chosen (a pivoted Cholesky decomposition). What they leave open
at a point comes back as scatter of its own when the point is forecast: far from all runs it is all of f.

References
----------
Kennedy and O'Hagan 2001, doi:10.1111/1467-9868.00294, section 4.2, for the discrepancy of a model as a Gaussian
process; Fine and Scheinberg 2001 (JMLR 2, 243-264) for the decomposition; Quinonero-Candela and Rasmussen 2005 (JMLR
6, 1939-1959), section 5, for a process seen through some of its points.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.belief.priors import Prior
from forescale.errors import ModelError
from forescale.laws import Named

Array = NDArray[np.float64]

AMPLITUDE = "deviation"  # the name of its prior
_TIED = 1e-9  # variances this close are equal, so that rounding does not choose the runs
_KNOWN = 1e-6  # a run of which less than this share of the variance is open adds nothing


@dataclass(frozen=True)
class Structured:
    """What is believed of a smooth deviation.

    Attributes
    ----------
    amplitude : Prior
        Of its standard deviation, on log loss: 0.01 is one percent of loss.
    length : float
        Decades over which it changes.
    rank : int
        Number of runs, at most, that it is learned at.
    """

    amplitude: Prior
    length: float = 1.0
    rank: int = 16

    def __post_init__(self) -> None:
        if not self.amplitude.positive:
            raise ModelError(f"the amplitude of a deviation is above zero; {self.amplitude!r} may be below")
        if isinstance(self.length, bool) or not (np.isfinite(self.length) and self.length > 0):
            raise ModelError(f"the length of a deviation is a number of decades above zero, not {self.length!r}")
        if isinstance(self.rank, bool) or not isinstance(self.rank, int) or not 1 <= self.rank <= 100:
            raise ModelError(f"the rank of a deviation is a number of runs from 1 to 100, not {self.rank!r}")

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the rows of ``features``, as data of a model."""
        return tuple(f"feature_{i:02d}" for i in range(1, self.rank + 1))

    @property
    def weights(self) -> tuple[str, ...]:
        """Names of the standard normal variables that the deviation is made of."""
        return tuple(f"{AMPLITUDE}_{i:02d}" for i in range(1, self.rank + 1))

    def priors(self) -> dict[str, Prior]:
        """What is drawn: the amplitude, and a standard normal weight for each run that it is learned at."""
        return {AMPLITUDE: self.amplitude} | dict.fromkeys(self.weights, Prior("normal", mu=0.0, sigma=1.0))

    def deviation(self, features: Iterable[Any], values: Named) -> Any:
        """What is learned of f, ``amplitude sum_i weight_i feature_i``, on NumPy, xarray or PyTensor values."""
        return values[AMPLITUDE] * sum(values[name] * row for name, row in zip(self.weights, features, strict=True))

    def features(self, fitted: Array, points: Array) -> Array:
        """What each weight is multiplied by at each point, for an amplitude of one.

        Parameters
        ----------
        fitted, points : array, shape (run, input) and (point, input)
            Log10 of the law's inputs, of the runs fitted and of the points.

        Returns
        -------
        array, shape (rank, point)
            Of a table with fewer distinct runs than the rank, the last rows are zero.
        """
        chosen = self._chosen(fitted)
        root = np.linalg.cholesky(self._correlation(chosen, chosen))
        rows = np.linalg.solve(root, self._correlation(chosen, points))
        return np.concatenate([rows, np.zeros((self.rank - len(rows), len(points)))])

    def left_open(self, fitted: Array, points: Array, values: Mapping[str, Array], rng: np.random.Generator) -> Array:
        """Draws of what the weights leave open of f at points, jointly.

        Parameters
        ----------
        fitted, points : array, shape (run, input) and (point, input)
            As for `features`.
        values : mapping of str to array, shape (..., 1)
            Draws of the amplitude.
        rng : Generator
            Where they come from.

        Returns
        -------
        array, shape (..., point)
        """
        known = self.features(fitted, points)
        variances, axes = np.linalg.eigh(self._correlation(points, points) - known.T @ known)
        root = axes * np.sqrt(np.maximum(variances, 0.0))  # rounding may leave a variance just below zero
        amplitude = np.asarray(values[AMPLITUDE])
        return np.asarray(amplitude * (rng.standard_normal((*amplitude.shape[:-1], len(points))) @ root.T))

    def missed(self, fitted: Array) -> float:
        """Share of the process's variance at the runs that the weights leave open."""
        known = self.features(fitted, fitted)
        return float(1 - (known**2).sum(axis=0).mean())

    def _chosen(self, fitted: Array) -> Array:
        """Runs that the deviation is learned at: each the one least known from those before."""
        left = np.ones(len(fitted))
        rows = np.zeros((0, len(fitted)))
        chosen: list[int] = []
        while len(chosen) < min(self.rank, len(fitted)) and left.max() > _KNOWN:
            new = int(np.argmax(left > left.max() - _TIED))
            row = (self._correlation(fitted[[new]], fitted)[0] - rows[:, new] @ rows) / np.sqrt(left[new])
            rows, left = np.vstack([rows, row]), np.maximum(left - row**2, 0.0)
            chosen.append(new)
        return fitted[chosen]

    def _correlation(self, one: Array, other: Array) -> Array:
        """Matern 5/2: shape (len(one), len(other))."""
        squares = ((one[:, None, :] - other[None, :, :]) ** 2).sum(axis=-1)
        r = np.sqrt(5.0 * squares) / self.length
        return np.asarray((1 + r + r**2 / 3) * np.exp(-r))
