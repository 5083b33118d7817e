"""How sure a share is whose hits hang together: numbers in, numbers out."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from forescale.errors import DataError


def share_interval(hits: ArrayLike, groups: ArrayLike, prob: float = 0.9) -> tuple[float, float]:
    """Interval of the share of hits, where those of one group may hang together in any way.

    Clopper and Pearson's interval of n* independent trials. With G groups of n_g trials, y_g of them hits, n trials in
    all and p the share of hits,

        n* = min(n, p (1 - p) / V) (t_{n-1} / t_{G-1})^2,    V = G / (G - 1) sum_g (y_g - p n_g)^2 / n^2,

    t the quantiles of Student's distribution that belong to ``prob``, and n* at least 1. Where all or none are hits
    nothing is known of how they hang together: a group counts as one trial, n* = G. A single group is one trial, too.

    Parameters
    ----------
    hits : array_like of bool, shape (trial,)
        Whether each trial is a hit.
    groups : array_like, shape (trial,)
        Labels: trials of different groups are independent.
    prob : float
        Probability mass of the interval, equal in both tails.

    Returns
    -------
    lower, upper : float
        Between 0 and 1.

    Raises
    ------
    DataError
        If there are no trials, or not a group for each.

    References
    ----------
    Korn and Graubard 1998, Survey Methodology 24, 193-201.

    Examples
    --------
    >>> hits = [True] * 15 + [False] * 5
    >>> [round(end, 2) for end in share_interval(hits, range(20))]
    [0.54, 0.9]
    >>> [round(end, 2) for end in share_interval(hits, [0] * 5 + [1] * 5 + [2] * 5 + [3] * 5)]
    [0.06, 1.0]
    """
    from scipy import stats

    hit, (labels, group) = np.asarray(hits, dtype=float), np.unique(np.asarray(groups), return_inverse=True)
    if hit.ndim != 1 or hit.shape != group.shape or hit.size == 0:
        raise DataError(f"a share is of one trial or more, each in a group; given were {hit.shape} in {group.shape}")
    n, among, share, tail = hit.size, len(labels), float(hit.mean()), (1 - prob) / 2
    trials = float(among)
    if 0 < share < 1 and among > 1:
        excess = np.bincount(group, hit - share)
        variance = among / (among - 1) * float(excess @ excess) / n**2
        known = share * (1 - share) / variance if variance > 0 else np.inf
        trials = max(1.0, min(n, known) * float(stats.t.isf(tail, n - 1) / stats.t.isf(tail, among - 1)) ** 2)
    successes = share * trials
    lower = stats.beta.ppf(tail, successes, trials - successes + 1) if successes > 0 else 0.0
    upper = stats.beta.isf(tail, successes + 1, trials - successes) if successes < trials else 1.0
    return float(lower), float(upper)
