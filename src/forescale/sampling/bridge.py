"""The evidence of a model from draws of its posterior: bridge sampling.

The evidence, the probability density of the data under the model with its priors averaged over, weighs models against
each other. A Student-t is laid over draws, where each parameter runs from minus to plus infinity; the evidence is what
makes the draws and draws from the t agree on how likely either is, by the optimal bridge between them. Each chain is
held against a t laid over the others, so that how far chains differ is the error.

For models of ten parameters or so, whose curve costs little, and whose draws reach all of the posterior.

References
----------
Meng and Wong 1996 (Statistica Sinica 6, 831), equation 4.1; Gronau et al. 2017 (doi:10.1016/j.jmp.2017.09.005).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
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
_THICK = 1e-6  # of the variances: what is added to all where draws lie on a plane
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
    priors, observed = model.free_priors(), data["observed_log_loss"]

    def log_density(z: Array) -> Array:
        free, total = from_line(priors, z)
        columns = {name: value[:, None] for name, value in free.items()}
        error = observed - model.log_curve(data, {**columns, **model.printed(columns)})
        return np.asarray(total + model.noise.logpdf(error, columns, data.get("log_loss_se", 0.0)).sum(axis=1))

    chains = {name: posterior[name].transpose("chain", "draw").to_numpy() for name in priors}
    return evidence_of(log_density, to_line(priors, chains), rng)


def evidence_of(log_density: Callable[[Array], Array], chains: Array, rng: np.random.Generator) -> Array:
    """Log of what a density integrates to, by each chain of draws of it.

    Parameters
    ----------
    log_density : callable
        From points on the line, shape (draw, parameter), to the log of the density, shape (draw,); zero where that is
        not a number.
    chains : array, shape (chain, draw, parameter)
        Draws of the density, of two chains or more.
    rng : Generator
        Randomness.

    Returns
    -------
    array, shape (chain,)
        Estimates that differ by their Monte Carlo error.
    """

    def quietly(z: Array) -> Array:
        with np.errstate(all="ignore"):
            found = log_density(z)
        return np.where(np.isnan(found), -np.inf, found)

    others = [np.concatenate(np.delete(chains, i, axis=0)) for i in range(len(chains))]
    return np.array([_bridge(quietly, chain, of, rng) for chain, of in zip(chains, others, strict=True)])


def _bridge(log_density: Callable[[Array], Array], draws: Array, others: Array, rng: np.random.Generator) -> float:
    """The log normalising constant of a density from draws of it, and a t laid over others."""
    n, over = len(draws), StudentT.over(others)
    k = _MORE * n
    ratio_there, ratio_here = (log_density(z) - over.logpdf(z) for z in (over.sample(k, rng), draws))
    share, found = np.log([n / (n + k), k / (n + k)]), float(np.median(ratio_here))
    for _ in range(_STEPS):
        above = ratio_there - np.logaddexp(share[0] + ratio_there, share[1] + found)
        below = -np.logaddexp(share[0] + ratio_here, share[1] + found)
        found = float(logsumexp(above) - np.log(k) - logsumexp(below) + np.log(n))
    return found


@dataclass(frozen=True, eq=False)
class StudentT:
    """A multivariate Student-t with five degrees of freedom, about ``centre``, of scale ``root root'``."""

    centre: Array
    root: Array

    @classmethod
    def over(cls, draws: Array) -> StudentT:
        """Laid over draws, shape (draw, parameter)."""
        dimensions = draws.shape[1]
        covariance = np.cov(draws.T).reshape(dimensions, dimensions)
        try:
            root = np.linalg.cholesky(covariance)
        except np.linalg.LinAlgError:  # few draws, or copies of few, lie on a plane: a t a little thicker than that
            root = np.linalg.cholesky(covariance + np.diag(_THICK * np.diag(covariance) + _THICK**2))
        return cls(np.median(draws, axis=0), root)

    def logpdf(self, z: Array) -> Array:
        """Log density at points, shape (draw, parameter)."""
        dimensions = len(self.centre)
        constant = gammaln((_NU + dimensions) / 2) - gammaln(_NU / 2) - dimensions / 2 * np.log(_NU * np.pi)
        distance = (np.linalg.solve(self.root, (z - self.centre).T) ** 2).sum(axis=0)
        scale = np.log(np.diag(self.root)).sum()
        return np.asarray(constant - scale - (_NU + dimensions) / 2 * np.log1p(distance / _NU))

    def sample(self, draws: int, rng: np.random.Generator) -> Array:
        """Independent draws, shape (draws, parameter)."""
        normal = rng.standard_normal((draws, len(self.centre)))
        return np.asarray(self.centre + normal @ self.root.T / np.sqrt(rng.chisquare(_NU, (draws, 1)) / _NU))
