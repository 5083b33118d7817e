"""Scores of predictive draws: numbers in, numbers out.

Everything is measured on ``100 log loss``, so that a difference is a percentage of loss. On loss itself a Student-t
about log loss has no mean, and a few draws would rule the scores; on the log they are as heavy as the noise says.
Scores are losses: lower is better. All are proper: what a forecaster believes is what scores best in expectation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from forescale.belief.noise import NOISES
from forescale.errors import DataError

Array = NDArray[np.float64]

#: Probabilities of the intervals whose coverage is counted, and of the one whose score is taken.
PROBS = (0.5, 0.8, 0.9, 0.95)
SCORED = 0.9
_SMOOTHED = 4000  # draws, at most, behind a kernel density
_GRID = 2000  # probabilities at which quantile scores are averaged


def score(loss: Any, draws: Any, log_density: Any = None) -> dict[str, Array]:
    """Score predictive draws of loss against the losses that came.

    With y = 100 log loss, x the draws of it, and [l, u] an equal-tailed interval of probability 1 - a of them:

    - ``covered_p``: 1 if l <= y <= u, else 0, for each p of `PROBS`;
    - ``interval_score``: (u - l) + (2 / a) (l - y)+ + (2 / a) (y - u)+, for 1 - a = 0.9;
    - ``crps``: E|x - y| - E|x - x'| / 2;
    - ``log_score``: minus the log of the predictive density at y, in nats (for percent of loss);
    - ``bias``: median of x, less y; above zero where loss was forecast too high;
    - ``pit``: share of x below y; uniform if the forecaster is calibrated.

    Parameters
    ----------
    loss : array_like, shape (point,)
        Losses, nats per token.
    draws : array_like, shape (draw, point)
        Draws of each from the predictive distribution of a new run.
    log_density : array_like, shape (point,), optional
        Log of the predictive density of log loss at the losses (`mixture_log_density`). Without it the density is
        that of a Gaussian kernel about the draws, which falls off fast beyond the last of them.

    Returns
    -------
    dict of str to array, shape (point,)
        ``median``, ``lower``, ``upper`` (of `SCORED`, nats per token), then the scores as above, in percent of loss.

    Raises
    ------
    DataError
        If shapes do not match, or a loss or a draw is not a number above zero.

    References
    ----------
    Gneiting and Raftery 2007, doi:10.1198/016214506000001437, equations 21 and 43.

    Examples
    --------
    >>> draws = np.exp(0.01 * np.random.default_rng(1).standard_normal((4000, 1)))
    >>> {name: round(float(value[0]), 2) for name, value in score([1.0], draws).items() if name in ("crps", "pit")}
    {'crps': 0.23, 'pit': 0.51}
    """
    y, x = _percent("loss", loss), np.sort(_percent("draws", draws), axis=0)
    if y.ndim != 1 or x.shape[1:] != y.shape:
        raise DataError(
            f"draws of shape {x.shape} do not fit losses of shape {y.shape}: give (draw, point) and (point,)"
        )
    median = np.median(x, axis=0)
    bands = {prob: np.quantile(x, [(1 - prob) / 2, (1 + prob) / 2], axis=0) for prob in PROBS}
    low, high = bands[SCORED]
    rules = _rules()
    density = _kernel_log_density(y / 100, x / 100) if log_density is None else np.asarray(log_density)
    return {
        "median": np.exp(median / 100),
        "lower": np.exp(low / 100),
        "upper": np.exp(high / 100),
        **{coverage_name(prob): ((band[0] <= y) & (y <= band[1])).astype(float) for prob, band in bands.items()},
        "interval_score": rules.interval_score(y, low, high, 1 - SCORED, backend="numpy").reshape(y.shape),
        "crps": rules.crps_ensemble(y, x, m_axis=0, estimator="qd", sorted_ensemble=True, backend="numpy"),
        "log_score": np.log(100) - density,
        "bias": median - y,
        "pit": ((x < y).mean(axis=0) + (x <= y).mean(axis=0)) / 2,
    }


def score_quantiles(loss: Any, levels: Any, quantiles: Any) -> dict[str, Array]:
    """Score predictive quantiles of loss against the losses that came.

    Between the quantiles, 100 log loss is taken to be linear in the normal score of the probability (what a lognormal
    forecast is), and constant beyond the outermost. Then as `score`, with
    ``crps = 2 int_0^1 (1[y < q(p)] - p) (q(p) - y) dp``, twice the mean quantile (pinball) score. ``pit`` beyond the
    outermost quantile is the middle of what is left there.

    Parameters
    ----------
    loss : array_like, shape (point,)
        Losses, nats per token.
    levels : array_like, shape (level,)
        Probabilities, ascending.
    quantiles : array_like, shape (point, level)
        Nats per token.

    Returns
    -------
    dict of str to array, shape (point,)
        As of `score`, without log_score, for which quantiles are not enough.

    Raises
    ------
    DataError
        If a loss or a quantile is not a number above zero.

    References
    ----------
    Gneiting and Raftery 2007, doi:10.1198/016214506000001437, section 6; Laio and Tamea 2007,
    doi:10.5194/hess-11-1267-2007, for CRPS as an integral of quantile scores.

    Examples
    --------
    >>> from scipy.stats import norm
    >>> levels = np.array([0.005, *np.linspace(0.025, 0.975, 39), 0.995])
    >>> found = score_quantiles([1.0], levels, np.exp(0.01 * norm.ppf(levels))[None])
    >>> round(float(found["crps"][0]), 2), round(float(found["pit"][0]), 2)
    (0.23, 0.5)
    """
    from scipy.special import ndtr, ndtri

    y, x = _percent("loss", loss), _percent("quantiles", quantiles)
    z = ndtri(np.asarray(levels, dtype=float))

    def at(prob: float | Array) -> Array:
        return np.array([np.interp(ndtri(prob), z, row) for row in x])

    low, high = at((1 - SCORED) / 2), at((1 + SCORED) / 2)
    covered = {p: (at((1 - p) / 2) <= y) & (y <= at((1 + p) / 2)) for p in PROBS}
    grid = (np.arange(_GRID) + 0.5) / _GRID
    fine, below = at(grid), ndtr(np.array([np.interp(one, row, z) for one, row in zip(y, x, strict=True)]))
    outside = [np.asarray(levels)[0] / 2, (1 + np.asarray(levels)[-1]) / 2]
    return {
        "median": np.exp(at(0.5) / 100),
        "lower": np.exp(low / 100),
        "upper": np.exp(high / 100),
        **{coverage_name(p): inside.astype(float) for p, inside in covered.items()},
        "interval_score": high - low + 2 / (1 - SCORED) * (np.maximum(low - y, 0) + np.maximum(y - high, 0)),
        "crps": 2 * (((y[:, None] < fine) - grid) * (fine - y[:, None])).mean(axis=1),
        "bias": at(0.5) - y,
        "pit": np.where(y < x[:, 0], outside[0], np.where(y > x[:, -1], outside[1], below)),
    }


def mixture_log_density(
    log_loss: Any, log_centre: Any, noise: Any, parameters: Mapping[str, Any], log_se: Any
) -> Array:
    """Log predictive density of log loss, averaged exactly over draws: log mean_s p(y | centre_s, noise_s).

    A kernel density over draws of new runs would have to find the tails that the noise states as a formula.

    Parameters
    ----------
    log_loss : array_like, shape (point,)
        What came.
    log_centre : array_like, shape (draw, point)
        What it scatters about in each draw.
    noise : Noise
        How.
    parameters : mapping of str to array_like, shape (draw, 1)
        Its parameters in each draw.
    log_se : array_like, shape (point,) or (draw, point)
        Known standard errors of log loss, 0 where there are none.

    Returns
    -------
    array, shape (point,)
        Log density of log loss.

    References
    ----------
    Krüger, Lerch, Thorarinsdottir and Gneiting 2021, doi:10.1111/insr.12405, the mixture-of-parameters estimator.
    """
    centre = np.asarray(log_centre)
    each = noise.logpdf(np.asarray(log_loss) - centre, parameters, log_se)
    return np.asarray(logsumexp(each, axis=0) - np.log(len(centre)))


def _kernel_log_density(log_loss: Array, log_draws: Array) -> Array:
    """Log density of a Gaussian kernel about sorted draws, by logs: in a far tail it is small, not zero.

    The bandwidth is the rule of thumb 1.06 min(sd, interquartile range / 1.34) n^(-1/5); without spread in the draws
    there is no density.
    """
    few = log_draws[:: -(-len(log_draws) // _SMOOTHED)]
    quartiles = np.quantile(few, [0.25, 0.75], axis=0)
    width = 1.06 * np.minimum(few.std(axis=0), np.diff(quartiles, axis=0)[0] / 1.34) * len(few) ** -0.2
    known = np.where(width > 0, width, 1.0)
    density = mixture_log_density(log_loss, few, NOISES["normal"], {"sigma": known}, 0.0)
    return np.where(width > 0, density, -np.inf)


def coverage_name(prob: float) -> str:
    """The column that says whether an interval of a probability held the loss."""
    return f"covered_{100 * prob:g}"


def _percent(name: str, loss: Any) -> Array:
    values = np.asarray(loss, dtype=float)
    if values.size == 0 or not (np.isfinite(values) & (values > 0)).all():
        bad = int((~(np.isfinite(values) & (values > 0))).sum())
        raise DataError(f"{name} must be finite and above zero; {bad} of {values.size} values are not")
    return np.asarray(100 * np.log(values))


@cache
def _rules() -> Any:
    """The library of scoring rules, imported when it is needed: its compiled kernels take seconds to load."""
    from importlib import import_module

    return import_module("scoringrules")
