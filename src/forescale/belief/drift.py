"""Drift: how far the law may wander from the truth beyond the data.

A posterior says how well the runs determine a law's parameters. It knows nothing of the law being a little wrong,
which the runs cannot show where there are none. So log loss is given a wander of its own outside the data,

    log L(x) = log law(x) + (bias + scale z) sqrt(d(x)),    z ~ Normal(0, 1),

with d the distance of x to the runs fitted, in decades: nothing among them, and beyond them a variance that grows as
that of a random walk does. One draw of bias, scale and z serves all points: if the law errs, it errs on one side.
Priors of bias and scale are learned from how wrong such extrapolations have been (``models/drift``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.belief.priors import Prior
from forescale.errors import ModelError

Array = NDArray[np.float64]

_ROUNDING = 1e-6  # decades: of a fitted run itself the distance is not quite zero


@dataclass(frozen=True)
class Drift:
    """Priors of the wander beyond the data.

    Attributes
    ----------
    bias : Prior
        Mean deviation of log loss from the law's at a distance of one decade: below zero where laws promise too
        little.
    scale : Prior
        Standard deviation about it, above zero.
    """

    bias: Prior
    scale: Prior

    def __post_init__(self) -> None:
        if not self.scale.positive:
            raise ModelError(f"the scale of a drift is above zero; {self.scale!r} may be below")

    def coefficients(self, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
        """Draws of ``bias + scale z``, the log loss beyond the law's at a distance of one decade."""
        size = int(np.prod(shape))
        bias, scale = self.bias.sample(size, rng), self.scale.sample(size, rng)
        return np.asarray((bias + scale * rng.standard_normal(size)).reshape(shape))


def growth(distance: Any) -> Array:
    """What a drift is multiplied by: the root of the distance."""
    return np.sqrt(np.asarray(distance, dtype=float))


def decades_outside(fitted: Mapping[str, Any], points: Mapping[str, Any], inputs: tuple[str, ...]) -> Array:
    """Distance of points to the convex hull of the fitted runs, in the space of log10 inputs.

    Parameters
    ----------
    fitted, points : mapping of str to array, shape (run,) and (point,)
        Inputs of the runs fitted and of those asked for.
    inputs : tuple of str
        Which of them count: those of the law.

    Returns
    -------
    array, shape (point,)
        Decades; 0 inside the hull. Beyond a ladder in the direction of ten times as many parameters and ten times as
        many tokens it is the square root of two.

    Notes
    -----
    With the runs x_i as seen from the point, ``min |sum_i w_i x_i|^2 + (sum_i w_i - 1)^2`` over weights that are not
    below zero is d^2 / (1 + d^2): a problem of non-negative least squares, which asks for no hull. Of runs on a line,
    or fewer than inputs, there would be none.

    References
    ----------
    Lawson and Hanson 1974, Solving Least Squares Problems, chapter 23, for the reduction.

    Examples
    --------
    >>> runs = {"n_params": np.array([1e7, 1e9]), "n_tokens": np.array([1e9, 1e9])}
    >>> decades_outside(runs, {"n_params": np.array([1e8, 1e9]), "n_tokens": np.array([1e9, 1e11])}, tuple(runs))
    array([0., 2.])
    """
    from scipy.optimize import nnls

    inside, asked = (np.log10([np.asarray(of[name], dtype=float) for name in inputs]) for of in (fitted, points))
    inside = np.unique(inside, axis=1)
    one, wanted = np.ones((1, inside.shape[1])), np.append(np.zeros(len(inputs)), 1.0)
    left = np.array([nnls(np.vstack([inside - point[:, None], one]), wanted)[1] for point in asked.T])
    distance = left / np.sqrt(1 - left**2)
    return np.where(distance > _ROUNDING, distance, 0.0)
