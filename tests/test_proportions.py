"""Intervals of shares hold at their rate, however much the trials of a group hang together."""

import numpy as np
import pytest
from scipy import stats

from forescale.errors import DataError
from forescale.numbers.proportions import share_interval


def held(groups, share, together, times, ignored=False):
    """How often 90 % intervals hold the share, where groups have shares of their own, beta about it."""
    rng = np.random.default_rng(1)
    spread = 1 / together - 1  # the correlation of two trials of a group is ``together``
    found = []
    for _ in range(times):
        sizes = rng.integers(4, 20, groups)
        hits = rng.binomial(sizes, rng.beta(share * spread, (1 - share) * spread, groups))
        each = np.concatenate([np.arange(size) < hit for size, hit in zip(sizes, hits, strict=True)])
        low, high = share_interval(each, np.arange(len(each)) if ignored else np.repeat(np.arange(groups), sizes))
        found.append(low <= share <= high)
    return np.mean(found)


@pytest.mark.parametrize("groups", [3, 8, 20])
@pytest.mark.parametrize(("share", "together"), [(0.7, 0.3), (0.9, 0.3), (0.9, 0.7)])
def test_intervals_hold_at_least_at_their_rate(groups, share, together):
    times = 400
    least = stats.binom(times, 0.9).ppf(0.001) / times
    assert held(groups, share, together, times) >= least
    # the partner: as if all trials were independent
    assert held(groups, share, together, 100, ignored=True) < 0.8


def test_of_independent_trials_it_is_nearly_that_of_the_binomial():
    hits = np.arange(200) < 170
    expected = stats.binomtest(170, 200).proportion_ci(0.9)
    np.testing.assert_allclose(share_interval(hits, range(200)), expected, atol=1e-3)
    assert np.diff(share_interval(hits, np.arange(200) // 10)) > 2 * (expected.high - expected.low)


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_where_all_are_hits_a_group_is_one_trial(groups):
    expected = stats.binomtest(groups, groups).proportion_ci(0.9)
    np.testing.assert_allclose(share_interval([1] * 30, np.arange(30) % groups), expected)
    np.testing.assert_allclose(share_interval([0] * 30, np.arange(30) % groups), 1 - np.array(expected)[::-1])


def test_one_group_says_as_much_as_one_trial():
    low, high = share_interval([1, 0, 1, 1], list("aaaa"))
    assert low < 0.1
    assert high > 0.95


@pytest.mark.parametrize(("hits", "groups"), [([], []), ([1, 0], ["a"]), ([[1, 0]], ["a", "b"])])
def test_what_is_no_share(hits, groups):
    with pytest.raises(DataError, match="one trial or more, each in a group"):
        share_interval(hits, groups)
