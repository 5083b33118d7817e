"""Parameters with and without embeddings: the two ways in which papers count N."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from forescale.errors import DataError


@dataclass(frozen=True)
class Embeddings:
    """How many parameters the embeddings add: ``N_total = N + omega N^gamma``, N counting no embeddings.

    The table of embeddings has vocabulary x d_model entries, and at a fixed shape N is 12 n_layer d_model^2, so
    that d_model, and with it the table, grows as N^(1/3): fast in the smallest models, where nearly all
    parameters are embeddings, and out of sight in the largest.

    Parameters
    ----------
    omega : float
        Embedding parameters of a model of one other parameter, above zero.
    gamma : float
        Their exponent in N, between 0 and 1.

    Raises
    ------
    DataError
        If omega is not above zero or gamma not between 0 and 1.

    Notes
    -----
    The default is what Pearce & Song 2024 (arXiv:2406.12907) compute with, 47491 and 1/3: a vocabulary of 32,000
    and an aspect ratio of 39.2, from the list of Hoffmann et al.'s models. They print 0.34 for an exponent left
    free. All methods are plain arithmetic: floats, NumPy and xarray go through alike.

    Examples
    --------
    >>> counted = Embeddings()
    >>> f"{counted.n_total(1e6):.3g} {counted.n_total(1e9):.3g}"
    '5.75e+06 1.05e+09'
    """

    omega: float = 47491.0
    gamma: float = 1 / 3

    def __post_init__(self) -> None:
        if not (0 < self.omega < math.inf and 0 < self.gamma < 1):
            raise DataError(
                "embeddings add omega N^gamma parameters with omega above zero and gamma between 0 and 1; got "
                f"omega={self.omega!r}, gamma={self.gamma!r}"
            )

    @classmethod
    def of_shape(cls, vocabulary: float, aspect_ratio: float) -> Self:
        """Embeddings of models of one shape: ``omega = vocabulary (aspect_ratio / 12)^(1/3)``, gamma 1/3.

        Parameters
        ----------
        vocabulary : float
            Rows of the table: tokens, with positions if they are learned, twice if the head is not tied.
        aspect_ratio : float
            Width over depth, ``d_model / n_layer``: ``N = 12 n_layer d_model^2 = 12 d_model^3 / aspect_ratio``.
        """
        if not (vocabulary > 0 and aspect_ratio > 0):
            raise DataError(f"vocabulary and aspect_ratio are above zero; got {vocabulary!r} and {aspect_ratio!r}")
        return cls(vocabulary * (aspect_ratio / 12.0) ** (1 / 3), 1 / 3)

    def ratio(self, log_size: Any) -> Any:
        """Embedding parameters for each other parameter, ``u = omega N^(gamma - 1)``, at the log of N."""
        return np.exp(math.log(self.omega) + (self.gamma - 1.0) * log_size)

    def n_total(self, n_params: Any) -> Any:
        """All parameters: ``N + omega N^gamma``."""
        return n_params + self.omega * n_params**self.gamma

    def log_total(self, log_size: Any) -> Any:
        """Log of all parameters, at the log of N: ``log N + log(1 + u)``."""
        return log_size + np.log1p(self.ratio(log_size))

    def elasticity(self, log_size: Any) -> Any:
        """``e = d log N_total / d log N = (1 + gamma u) / (1 + u)``, from gamma in small models to 1 in large."""
        u = self.ratio(log_size)
        return (1.0 + self.gamma * u) / (1.0 + u)

    def log_elasticity_slope(self, log_size: Any) -> Any:
        """``d log e / d log N = (1 - gamma)^2 u / ((1 + u) (1 + gamma u))``, at most ``(1 - sqrt(gamma))^2``."""
        u = self.ratio(log_size)
        return (1.0 - self.gamma) ** 2 * u / ((1.0 + u) * (1.0 + self.gamma * u))

    def __str__(self) -> str:
        return f"N_total = N + {self.omega:.6g} N^{self.gamma:.3g}"
