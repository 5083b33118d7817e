"""Ranks that are uniform pass, others do not; the envelope agrees with ArviZ's."""

import numpy as np
import pytest
from scipy import stats

from forescale.errors import DataError
from forescale.numbers import uniformity

PLACES = 100


def uniform(fits, seed):
    return np.random.default_rng(seed).integers(PLACES, size=fits)


@pytest.mark.parametrize("fits", [60, 500])
@pytest.mark.parametrize("test", [uniformity.ecdf_p, uniformity.chi2_p])
def test_p_values_of_uniform_ranks_are_what_they_say(test, fits):
    p = [test(uniform(fits, seed), PLACES) for seed in range(1000)]
    for level in (0.01, 0.05, 0.5):
        least, most = stats.binom(len(p), level).interval(0.999)
        assert least <= np.sum(np.array(p) <= level) <= most
    # the partner: ranks of posteriors that lean a little
    leaning = [test(np.minimum(uniform(fits, seed) + 8, PLACES - 1), PLACES) for seed in range(100)]
    assert np.sum(np.array(leaning) <= 0.05) > stats.binom(100, 0.05).ppf(0.999)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda u: u**1.3,  # truths below their posteriors
        lambda u: 0.5 + 0.8 * (u - 0.5),  # posteriors too wide
        lambda u: stats.norm.cdf(1.3 * stats.norm.ppf(u)),  # too narrow
    ],
)
def test_the_usual_mistakes_are_found(wrong):
    u = np.random.default_rng(1).uniform(size=500)
    assert uniformity.ecdf_p((PLACES * u).astype(int), PLACES) > 0.05
    assert uniformity.ecdf_p((PLACES * wrong(u)).astype(int), PLACES) < 0.001


def test_the_chi_square_is_that_of_the_histogram():
    ranks = uniform(200, 3)
    counts = np.histogram(ranks, bins=20, range=(0, PLACES))[0]
    statistic = np.sum((counts - 10) ** 2 / 10)
    assert uniformity.chi2_p(ranks, PLACES) == pytest.approx(stats.chi2(19).sf(statistic))
    assert np.isnan(uniformity.chi2_p(ranks[:9], PLACES))  # five expected in each of two bins needs ten
    assert np.isnan(uniformity.chi2_p(ranks % 97, 97))  # which are no equal bins but 97


@pytest.mark.parametrize("prob", [0.5, 0.9, 0.99])
def test_the_envelope_is_that_of_arviz(prob):
    """ArviZ tests continuous values at steps of one in their number, which for 100 values are our steps."""
    from arviz_stats.ecdf_utils import ecdf_pit

    rng = np.random.default_rng(4)
    steps, _, lower, upper = ecdf_pit(rng.uniform(size=PLACES), prob, 20_000, rng=rng)
    ours = uniformity.envelope(PLACES, PLACES, prob)
    np.testing.assert_allclose(ours[0], steps[1:-1])
    # both round to counts, in their own way
    np.testing.assert_allclose(ours[1], lower[1:-1], atol=1.01 / PLACES)
    np.testing.assert_allclose(ours[2], upper[1:-1], atol=1.01 / PLACES)


def test_the_envelope_holds_what_the_p_value_allows():
    _, lower, upper = uniformity.envelope(60, PLACES, 0.9)
    seen = []
    for seed in range(300):
        ranks = uniform(60, seed)
        inside = np.all((uniformity.ecdf(ranks, PLACES) >= lower) & (uniformity.ecdf(ranks, PLACES) <= upper))
        p = uniformity.ecdf_p(ranks, PLACES)
        seen.append(inside)
        assert inside == (p > 0.1) or abs(p - 0.1) < 0.01
    assert 0.84 < np.mean(seen) < 0.96


def test_coverage_counts_places():
    every = np.arange(PLACES)
    assert uniformity.coverage(every, PLACES, 0.9) == 0.9
    assert uniformity.coverage(every, PLACES, 0.5) == 0.5
    assert uniformity.coverage([0, 50], PLACES, 0.9) == 0.5


def test_draws_are_spaced_evenly():
    at = uniformity.spaced(500, 99)
    assert len(at) == 99
    assert at[0] == 0
    assert at[-1] < 500
    assert set(np.diff(at)) == {5, 6}
    with pytest.raises(DataError, match="501 draws are to be kept of 500"):
        uniformity.spaced(500, 501)


@pytest.mark.parametrize("ranks", [[], [-1, 3], [PLACES], [[1, 2]]])
def test_what_are_no_ranks(ranks):
    with pytest.raises(DataError, match="whole numbers from 0 to 99"):
        uniformity.ecdf_p(ranks, PLACES)
