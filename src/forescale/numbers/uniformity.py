"""Whether ranks are uniform: of truths among draws, or of what came among forecasts.

Two tests look at different things. The first takes the empirical distribution function of n ranks at each of its
steps z_j = (j + 1) / (L + 1), where its count is Binomial(n, z_j), and asks how extreme its most extreme step is,
gamma = 2 min_j min(P(count <= seen), P(count >= seen)); the distribution of gamma is simulated. It sees ranks that
lean to a side, or crowd at the middle or the ends. The second is a chi-square of the histogram, which sees any other
unevenness. Both are of independent ranks.

References
----------
Säilynoja, Bürkner and Vehtari 2022 (arXiv:2103.10522), section 2, for the simultaneous test of the distribution
function.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from forescale.errors import DataError

Array = NDArray[Any]
_SIMULATED = 20_000  # sets of ranks that the distribution of gamma is simulated with: p-values down to 5e-5
_MOST_BINS, _LEAST_EXPECTED = 20, 5  # of the chi-square, whose distribution is only approximate for small counts


def spaced(total: int, kept: int) -> Array:
    """Indices of so many of ``total`` draws, evenly spaced: neighbours in a chain are not independent."""
    if not 1 <= kept <= total:
        raise DataError(f"{kept} draws are to be kept of {total}; keep fewer, or draw more")
    return (np.arange(kept) * total / kept).astype(int)


def ecdf_p(ranks: ArrayLike, places: int) -> float:
    """P-value of the distribution function of ranks.

    Parameters
    ----------
    ranks : array of int, shape (fit,)
        Each from 0 to ``places - 1``.
    places : int
        Number of ranks that are possible: one more than draws.

    Returns
    -------
    float
        Share of uniform sets of ranks that are as extreme at their most extreme step; at least 1 / 20,001.

    Examples
    --------
    >>> even = [place for place in range(20) for _ in range(10)]
    >>> round(ecdf_p(even, 20), 2), round(ecdf_p([rank // 2 for rank in even], 20), 4)
    (1.0, 0.0)
    """
    counts = _counts(ranks, places)
    fits = int(counts.sum())
    seen = _gamma(counts, _tails(fits, places))
    return float((1 + np.sum(_null(fits, places) <= seen)) / (1 + _SIMULATED))


def envelope(fits: int, places: int, prob: float) -> tuple[Array, Array, Array]:
    """Where the distribution function of uniform ranks stays throughout, with probability ``prob``.

    Parameters
    ----------
    fits, places : int
        Number of ranks, and of ranks that are possible.
    prob : float
        Probability that all of it lies inside; the p-value is below 1 - prob where it does not.

    Returns
    -------
    steps, lower, upper : array, shape (places - 1,)
        Steps z_j, and the least and greatest value of the distribution function there.
    """
    tails = _tails(fits, places)
    inside = 2 * tails >= np.quantile(_null(fits, places), 1 - prob, method="inverted_cdf")
    lower = inside.argmax(axis=1)
    upper = fits - inside[:, ::-1].argmax(axis=1)
    return np.arange(1, places) / places, lower / fits, upper / fits


def ecdf(ranks: ArrayLike, places: int) -> Array:
    """Share of ranks up to each step, shape (places - 1,)."""
    counts = _counts(ranks, places)
    shares: Array = counts.cumsum()[:-1] / counts.sum()
    return shares


def chi2_p(ranks: ArrayLike, places: int) -> float:
    """P-value of a chi-square in as many equal bins as have five ranks each, 20 at most; NaN where two have not."""
    from scipy.stats import chisquare

    counts = _counts(ranks, places)
    most = min(_MOST_BINS, int(counts.sum()) // _LEAST_EXPECTED)
    bins = max((size for size in range(2, most + 1) if places % size == 0), default=1)
    return float("nan") if bins == 1 else float(chisquare(counts.reshape(bins, -1).sum(axis=1)).pvalue)


def coverage(ranks: ArrayLike, places: int, prob: float) -> float:
    """Share of ranks in the middle ``prob`` of the places: how often central intervals held the truth."""
    position = (np.asarray(ranks) + 0.5) / places
    return float(np.mean(np.abs(position - 0.5) < prob / 2))


def _counts(ranks: ArrayLike, places: int) -> Array:
    given = np.asarray(ranks)
    if given.ndim != 1 or given.size == 0 or given.min() < 0 or given.max() >= places:
        raise DataError(f"ranks are whole numbers from 0 to {places - 1}, at least one; given were {ranks!r}")
    return np.bincount(given.astype(int), minlength=places)


@lru_cache(maxsize=64)
def _tails(fits: int, places: int) -> Array:
    """The smaller tail probability of each count, shape (places - 1, fits + 1)."""
    from scipy.stats import binom

    count, step = np.arange(fits + 1), np.arange(1, places)[:, None] / places
    smaller: Array = np.minimum(binom.cdf(count, fits, step), binom.sf(count - 1, fits, step))
    return smaller


def _gamma(counts: Array, tails: Array) -> Array:
    """The statistic of histograms of shape (..., places)."""
    upto = counts.cumsum(axis=-1)[..., :-1]
    most_extreme: Array = 2 * tails[np.arange(len(tails)), upto].min(axis=-1)
    return most_extreme


@lru_cache(maxsize=64)
def _null(fits: int, places: int) -> Array:
    """The statistic of uniform ranks, simulated; always with the same numbers, so that p-values can be repeated."""
    rng = np.random.default_rng(0)
    simulated = rng.multinomial(fits, np.full(places, 1 / places), size=_SIMULATED)
    found = _gamma(simulated, _tails(fits, places))
    found.flags.writeable = False
    return found
