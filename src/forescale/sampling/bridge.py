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
from scipy.special import gammaln, logsumexp

from forescale.belief.model import Model
from forescale.sampling.line import from_line, to_line

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
    priors = model.free_priors()
    draws = {name: posterior[name].transpose("chain", "draw").to_numpy() for name in priors}
    log_density, chains = _density(model, data), to_line(priors, draws)
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
    """Log prior and likelihood of places on the line, shape (draw, parameter)."""
    priors, observed = model.free_priors(), data["observed_log_loss"]

    def log_density(z: Array) -> Array:
        with np.errstate(all="ignore"):
            free, log_prior = from_line(priors, z)
            columns = {name: value[:, None] for name, value in free.items()}
            error = observed - model.log_curve(data, {**columns, **model.printed(columns)})
            log_likelihood = model.noise.logpdf(error, columns, data.get("log_loss_se", 0.0)).sum(axis=1)
        total = log_prior + log_likelihood
        return np.where(np.isnan(total), -np.inf, total)  # where the law is not a number, the likelihood is zero

    return log_density
