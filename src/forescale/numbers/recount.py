"""The compute-optimal size of a law that counts embeddings, in terms that do not: arrays in, arrays out.

The law falls with A/N_total^alpha + B/D^beta, where N_total = N + omega N^gamma (`forescale.numbers.embeddings`), and
compute is counted without embeddings too, C = 6 N D. With e = d log N_total / d log N the optimum at a budget satisfies

    alpha A e(N) N_total(N)^-alpha = beta B D^-beta,

so that, taken along N, everything is explicit: D from this line, C = 6 N D, and the local exponent

    d log N* / d log C = 1 / (1 + (alpha e - d log e / d log N) / beta).

It tends to beta / (beta + alpha gamma) where all parameters are embeddings and to beta / (alpha + beta) where none
are. Between the two it passes well above both: as models grow out of their embeddings, e rises, and each parameter
added buys more of N_total than the last.

Sizes and budgets are natural logs. ``powers`` are A, alpha, B, beta, arrays that broadcast against them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise

from forescale.numbers.embeddings import Embeddings

Array = NDArray[np.float64]
Powers = tuple[Any, Any, Any, Any]


def log_optimal_tokens(powers: Powers, counted: Embeddings, log_size: Any) -> Any:
    """Log D of the split that is optimal with N parameters besides embeddings."""
    A, alpha, B, beta = powers
    effect = np.log(alpha) + np.log(A) + np.log(counted.elasticity(log_size)) - alpha * counted.log_total(log_size)
    return (np.log(beta) + np.log(B) - effect) / beta


def log_compute(powers: Powers, counted: Embeddings, log_size: Any) -> Any:
    """Log C at which N parameters besides embeddings are optimal: ``C = 6 N D``."""
    return np.log(6.0) + log_size + log_optimal_tokens(powers, counted, log_size)


def local_exponent(powers: Powers, counted: Embeddings, log_size: Any) -> Any:
    """``d log N* / d log C`` where the optimum has N parameters besides embeddings."""
    _, alpha, _, beta = powers
    bend = alpha * counted.elasticity(log_size) - counted.log_elasticity_slope(log_size)
    return 1.0 / (1.0 + bend / beta)


def has_one_optimum(powers: Powers, counted: Embeddings) -> Any:
    """Whether every budget has one optimum, which is where compute rises with the optimal size.

    With u = omega N^(gamma - 1) that is ``beta (1 + u)(1 + gamma u) + alpha (1 + gamma u)^2 > (1 - gamma)^2 u`` for
    all u above zero: a quadratic in u. It fails only for small exponents, under 0.12 or so for 1/3.
    """
    _, alpha, _, beta = powers
    g = counted.gamma
    with np.errstate(invalid="ignore"):
        linear = beta * (1 + g) + 2 * alpha * g - (1 - g) ** 2
        lowest = linear + 2 * np.sqrt((beta * g + alpha * g**2) * (alpha + beta))
    return (alpha > 0) & (beta > 0) & (lowest > 0)


def log_optimal_size(powers: Powers, counted: Embeddings, log_budget: Any) -> Array:
    """Log N* at a budget, by the root of `log_compute`; NaN where it is not between one parameter and one token."""

    def excess(log_size: Any, log_budget: Any, *powers: Any) -> Any:
        return log_compute(powers, counted, log_size) - log_budget

    ends = (np.zeros_like(log_budget), log_budget - np.log(6.0))
    root = elementwise.find_root(excess, ends, args=(log_budget, *powers), tolerances={"xatol": 1e-12})
    return np.where(root.success, root.x, np.nan)


def log_size_near_limit(powers: Powers, counted: Embeddings, within: float) -> Array:
    """Log of the N from which on the local exponent is within so much of its limit, beta / (alpha + beta).

    The exponent is there where ``alpha e - d log e / d log N = k`` with ``k = beta (1 / (limit + within) - 1)``, a
    quadratic in u = omega N^(gamma - 1) again, whose smaller root is the larger N; ``-inf`` where it is always so
    near.
    """
    _, alpha, _, beta = powers
    g = counted.gamma
    k = beta / (beta / (alpha + beta) + within) - beta
    square, linear, constant = alpha * g**2 - k * g, 2 * alpha * g - (1 - g) ** 2 - k * (1 + g), alpha - k
    with np.errstate(invalid="ignore", divide="ignore"):
        u = 2 * constant / (-linear + np.sqrt(linear**2 - 4 * square * constant))
        log_size = (np.log(counted.omega) - np.log(u)) / (1 - g)
    return np.where(u > 0, log_size, -np.inf)


def slope(x: Any, y: Any) -> Array:
    """Least-squares slope of ``y`` on ``x`` along the last axis."""
    centred = x - np.mean(x, axis=-1, keepdims=True)
    return np.asarray(np.sum(centred * y, axis=-1) / np.sum(centred**2, axis=-1))
