"""What a model has to beat: the Huber fit with its bootstrap, and a power law through the last run.

A model of families has to beat its own law fitted to each family by itself, too. Of the two here, neither has a model
of noise, so the scatter of a new run is resampled from the residuals of the fitted ones, made larger by
sqrt(n / (n - p)) for the p parameters that were fitted to them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.errors import DataError
from forescale.estimates.huber import huber_fit
from forescale.laws import Law
from forescale.tables.observations import Observations

Array = NDArray[np.float64]

#: What a model is set beside, unless asked otherwise.
BASELINES = ("huber", "last-point", "separate")
_DRAWS = 4000  # of a new run by a baseline, about so many, whatever the number of replicates


def huber_draws(fitted: Observations, held: Observations, law: Law, bootstrap: int, seed: int) -> Array:
    """Draws of loss from a bootstrap of the Huber fit.

    Parameters
    ----------
    fitted, held : Observations
        The runs fitted, and those forecast: of these only the law's inputs are read.
    law : Law
        The law.
    bootstrap : int
        Replicates, at least 2; each is a curve for as many draws as any other.
    seed : int
        Of the resampling of runs and of residuals.

    Returns
    -------
    array, shape (draw, point)
        Nats per token.

    Raises
    ------
    DataError, ModelError
        See `huber_fit`.
    """
    found = huber_fit(fitted, law, bootstrap=bootstrap, random_seed=seed)
    curve = law({name: fitted.column(name) for name in law.inputs}, found.estimate)
    residuals = np.log(fitted.column("loss")) - np.log(curve)
    refits = {name: found.posterior[name].to_numpy().reshape(-1, 1) for name in law.parameters}
    curves = law({name: held.column(name) for name in law.inputs}, refits)
    return _with_scatter(curves, residuals, len(law.parameters), seed)


def last_point_draws(fitted: Observations, held: Observations, size: str, bootstrap: int, seed: int) -> Array:
    """Draws of loss from ``L = L_last (x / x_last)^-a``, a power law of one size through the largest fitted run.

    The exponent a is that of least squares on log loss over the fitted runs, and of each of their resamples.

    Parameters
    ----------
    fitted, held : Observations
        The runs fitted, and those forecast: of these only the size is read.
    size : str
        The column x, such as flops. Of several largest runs, that with the lowest loss is the last.
    bootstrap : int
        Replicates, at least 2.
    seed : int
        Of the resampling of runs and of residuals.

    Returns
    -------
    array, shape (draw, point)
        Nats per token.

    Raises
    ------
    DataError
        If all fitted runs are of one size.
    """
    log_size, log_loss = np.log(fitted.column(size)), np.log(fitted.column("loss"))
    last = np.lexsort((log_loss, -log_size))[0]
    x, y = log_size - log_size[last], log_loss - log_loss[last]
    if not np.ptp(x) > 0:
        raise DataError(f"a power law in {size} needs runs of several sizes; those fitted of {fitted.name!r} have one")
    slope = (x @ y) / (x @ x)
    rows = np.random.default_rng(seed).integers(len(x), size=(bootstrap, len(x)))
    squares = (x[rows] ** 2).sum(axis=1)
    # a resample of the last run alone knows no slope, and takes that of all
    slopes = np.where(squares > 0, (x[rows] * y[rows]).sum(axis=1) / np.where(squares > 0, squares, 1.0), slope)
    beyond = np.log(held.column(size)) - log_size[last]
    others = np.arange(len(x)) != last  # the line passes through the last, which is no residual
    return _with_scatter(np.exp(log_loss[last] + slopes[:, None] * beyond), (y - slope * x)[others], 1, seed)


def _with_scatter(curves: Any, residuals: Array, parameters: int, seed: int) -> Array:
    """Several new runs about each curve (replicate, point)."""
    n = len(residuals)
    scale = np.sqrt(n / max(n - parameters, 1))
    repeated = np.repeat(curves, max(1, -(-_DRAWS // len(curves))), axis=0)
    scatter = np.random.default_rng([seed, 1]).choice(scale * residuals, size=repeated.shape)
    return np.asarray(repeated * np.exp(scatter))
