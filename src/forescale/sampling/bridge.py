"""The evidence of a model from draws of its posterior: bridge sampling.

The evidence, the probability density of the data under the model with its priors averaged over, weighs models against
each other. A Student-t is laid over draws, where each parameter runs from minus to plus infinity; the evidence is what
makes the draws and draws from the t agree on how likely either is, by the optimal bridge between them. Each chain is
held against a t laid over the others, so that how far chains differ is the error.

For models of ten parameters or so, whose curve costs little, and whose posterior has one mode.

References
----------
Meng and Wong 1996 (Statistica Sinica 6, 831), equation 4.1; Gronau et al. 2017 (doi:10.1016/j.jmp.2017.09.005).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.special import expit, gammaln, logsumexp

from forescale.belief.model import Model

Array = NDArray[np.float64]
_NU = 5.0  # degrees of freedom of the t: its tails must be the heavier
_MORE = 4  # draws from the t, for each of the posterior
_STEPS = 100  # of the fixed point, which converges in ten or so


def log_evidence(model: Model, data: Mapping[str, Any], posterior: xr.Dataset, rng: np.random.Generator) -> Array:
    """Log probability density of the log losses under a model, by each chain of its posterior.

    Parameters
    ----------
    model : Model
        The model, its law as it was fitted to these data.
    data : mapping of str to array, shape (run,)
        What the likelihood sees: ``model.data(observations)``.
    posterior : xarray.Dataset
        Draws of what its priors are on, dims ("chain", "draw"); of two chains or more.
    rng : Generator
        Randomness.

    Returns
    -------
    array, shape (chain,)
        Estimates that differ by their Monte Carlo error.
    """
    log_density, chains = _density(model, data), _to_line(model, posterior)
    others = [np.concatenate(np.delete(chains, i, axis=0)) for i in range(len(chains))]
    return np.array([_bridge(log_density, chain, of, rng) for chain, of in zip(chains, others, strict=True)])


def _bridge(log_density: Callable[[Array], Array], draws: Array, others: Array, rng: np.random.Generator) -> float:
    """The log normalising constant of a density from draws of it, and a t laid over others."""
    n, dimensions = draws.shape
    k, centre = _MORE * n, np.median(others, axis=0)
    root = np.linalg.cholesky(np.cov(others.T).reshape(dimensions, dimensions))
    constant = gammaln((_NU + dimensions) / 2) - gammaln(_NU / 2) - dimensions / 2 * np.log(_NU * np.pi)

    def log_t(z: Array) -> Array:
        distance = (np.linalg.solve(root, (z - centre).T) ** 2).sum(axis=0)
        density: Array = constant - np.log(np.diag(root)).sum() - (_NU + dimensions) / 2 * np.log1p(distance / _NU)
        return density

    normal, scale = rng.standard_normal((k, dimensions)), np.sqrt(rng.chisquare(_NU, (k, 1)) / _NU)
    drawn = centre + normal @ root.T / scale
    ratio_there, ratio_here = (log_density(z) - log_t(z) for z in (drawn, draws))
    share, found = np.log([n / (n + k), k / (n + k)]), float(np.median(ratio_here))
    for _ in range(_STEPS):
        above = ratio_there - np.logaddexp(share[0] + ratio_there, share[1] + found)
        below = -np.logaddexp(share[0] + ratio_here, share[1] + found)
        found = float(logsumexp(above) - np.log(k) - logsumexp(below) + np.log(n))
    return found


def _density(model: Model, data: Mapping[str, Any]) -> Callable[[Array], Array]:
    """Log prior and likelihood of points on the line, shape (draw, parameter)."""
    priors, observed = model.free_priors(), data["observed_log_loss"]
    supports = [prior.support for prior in priors.values()]

    def log_density(z: Array) -> Array:
        free, total = {}, np.zeros(len(z))
        for (name, prior), (low, high), at in zip(priors.items(), supports, z.T, strict=True):
            if np.isfinite([low, high]).all():
                free[name] = low + (high - low) * expit(at)
                total += np.log(high - low) - np.logaddexp(0, at) - np.logaddexp(0, -at)
            elif np.isfinite(low):
                free[name] = low + np.exp(at)
                total += at
            else:
                free[name] = at
            total += prior.logpdf(free[name])
        columns = {name: value[:, None] for name, value in free.items()}
        error = observed - model.log_curve(data, {**columns, **model.printed(columns)})
        total += model.noise.logpdf(error, columns, data.get("log_loss_se", 0.0)).sum(axis=1)
        return np.where(np.isnan(total), -np.inf, total)  # where the law is not a number, the likelihood is zero

    def quietly(z: Array) -> Array:
        with np.errstate(all="ignore"):
            return log_density(z)

    return quietly


def _to_line(model: Model, posterior: xr.Dataset) -> Array:
    """Draws where each parameter runs from minus to plus infinity, shape (chain, draw, parameter)."""
    columns = []
    for name, prior in model.free_priors().items():
        values, (low, high) = posterior[name].transpose("chain", "draw").to_numpy(), prior.support
        if np.isfinite([low, high]).all():
            share = np.clip((values - low) / (high - low), 1e-12, 1 - 1e-12)
            columns.append(np.log(share) - np.log1p(-share))
        else:
            columns.append(np.log(np.maximum(values - low, 1e-300)) if np.isfinite(low) else values)
    return np.stack(columns, axis=-1)
