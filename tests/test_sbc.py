"""Ranks that are uniform pass, others do not; the envelope agrees with ArviZ's; what the likelihood's ranks see."""

import numpy as np
import pytest
from scipy import stats

from forescale import sbc
from forescale.errors import DataError

PLACES = 100


def uniform(fits, seed):
    return np.random.default_rng(seed).integers(PLACES, size=fits)


@pytest.mark.parametrize("fits", [60, 500])
@pytest.mark.parametrize("test", [sbc.ecdf_p, sbc.chi2_p])
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
    assert sbc.ecdf_p((PLACES * u).astype(int), PLACES) > 0.05
    assert sbc.ecdf_p((PLACES * wrong(u)).astype(int), PLACES) < 0.001


def test_the_chi_square_is_that_of_the_histogram():
    ranks = uniform(200, 3)
    counts = np.histogram(ranks, bins=20, range=(0, PLACES))[0]
    statistic = np.sum((counts - 10) ** 2 / 10)
    assert sbc.chi2_p(ranks, PLACES) == pytest.approx(stats.chi2(19).sf(statistic))
    assert np.isnan(sbc.chi2_p(ranks[:9], PLACES))  # five expected in each of two bins needs ten
    assert np.isnan(sbc.chi2_p(ranks % 97, 97))  # which are no equal bins but 97


@pytest.mark.parametrize("prob", [0.5, 0.9, 0.99])
def test_the_envelope_is_that_of_arviz(prob):
    """ArviZ tests continuous values at steps of one in their number, which for 100 values are our steps."""
    from arviz_stats.ecdf_utils import ecdf_pit

    rng = np.random.default_rng(4)
    steps, _, lower, upper = ecdf_pit(rng.uniform(size=PLACES), prob, 20_000, rng=rng)
    ours = sbc.envelope(PLACES, PLACES, prob)
    np.testing.assert_allclose(ours[0], steps[1:-1])
    # both round to counts, in their own way
    np.testing.assert_allclose(ours[1], lower[1:-1], atol=1.01 / PLACES)
    np.testing.assert_allclose(ours[2], upper[1:-1], atol=1.01 / PLACES)


def test_the_envelope_holds_what_the_p_value_allows():
    _, lower, upper = sbc.envelope(60, PLACES, 0.9)
    seen = []
    for seed in range(300):
        ranks = uniform(60, seed)
        inside = np.all((sbc.ecdf(ranks, PLACES) >= lower) & (sbc.ecdf(ranks, PLACES) <= upper))
        p = sbc.ecdf_p(ranks, PLACES)
        seen.append(inside)
        assert inside == (p > 0.1) or abs(p - 0.1) < 0.01
    assert 0.84 < np.mean(seen) < 0.96


def test_coverage_counts_places():
    every = np.arange(PLACES)
    assert sbc.coverage(every, PLACES, 0.9) == 0.9
    assert sbc.coverage(every, PLACES, 0.5) == 0.5
    assert sbc.coverage([0, 50], PLACES, 0.9) == 0.5


def conjugate(posterior, tables=500, draws=PLACES - 1):
    """Ranks of mean and likelihood, of a normal mean with a standard normal prior and five runs of unit noise."""
    rng = np.random.default_rng(6)
    ranks = {"mean": [], "log_likelihood": []}
    for truth in rng.standard_normal(tables):
        data = truth + rng.standard_normal(5)
        drawn = posterior(data, rng, draws)

        def fit(mean, data=data):
            return -0.5 * np.sum((data - np.atleast_1d(mean)[:, None]) ** 2, axis=1)

        ranks["mean"].append(np.sum(drawn < truth))
        ranks["log_likelihood"].append(np.sum(fit(drawn) < fit(truth)))
    return {name: sbc.ecdf_p(found, PLACES) for name, found in ranks.items()}


def test_an_exact_posterior_passes_and_others_do_not():
    def exact(data, rng, draws, spread=1.0):
        return data.sum() / 6 + spread * rng.standard_normal(draws) / np.sqrt(6)

    assert min(conjugate(exact).values()) > 0.05
    assert conjugate(lambda *args: exact(*args, spread=0.7))["mean"] < 0.001
    assert conjugate(lambda *args: exact(*args, spread=1.4))["mean"] < 0.001


def test_a_posterior_that_ignores_its_data_is_seen_by_the_likelihood_alone():
    p = conjugate(lambda data, rng, draws: rng.standard_normal(draws))
    assert p["mean"] > 0.05
    assert p["log_likelihood"] < 0.001


def test_draws_are_spaced_evenly():
    at = sbc.spaced(500, 99)
    assert len(at) == 99
    assert at[0] == 0
    assert at[-1] < 500
    assert set(np.diff(at)) == {5, 6}
    with pytest.raises(DataError, match="501 draws are to be kept of 500"):
        sbc.spaced(500, 501)


@pytest.mark.parametrize("ranks", [[], [-1, 3], [PLACES], [[1, 2]]])
def test_what_are_no_ranks(ranks):
    with pytest.raises(DataError, match="whole numbers from 0 to 99"):
        sbc.ecdf_p(ranks, PLACES)
