"""Scores against closed forms and brute force, and that each of them finds out a wrong forecaster."""

import numpy as np
import pytest
from scipy import stats

from forescale.belief.noise import NOISES
from forescale.checking.scoring import PROBS, mixture_log_density, score
from forescale.errors import DataError

LOSSES = ["interval_score", "crps", "log_score"]


def grid(scale, centre=0.0, draws=4000):
    """Draws of loss whose 100 log is as normal as can be: the quantiles at the middles of equal shares."""
    middles = (np.arange(draws) + 0.5) / draws
    return np.exp(np.array(stats.norm(centre, scale).ppf(middles) / 100))[:, None]


@pytest.mark.parametrize("y", [-4.0, -0.3, 0.0, 1.7])
def test_closed_forms_of_a_normal(y):
    """CRPS: Gneiting and Raftery 2007, below equation 21; interval score and log score by definition."""

    def closed(scale):
        z, q = y / scale, scale * stats.norm.ppf(0.95)
        return {
            "crps": scale * (z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / np.sqrt(np.pi)),
            "interval_score": 2 * q + 20 * max(abs(y) - q, 0),
            "bias": -y,
            "pit": stats.norm.cdf(z),
        }

    found = score([np.exp(y / 100)], grid(1.5))
    assert {name: found[name].item() for name in closed(1.5)} == pytest.approx(closed(1.5), rel=2e-3, abs=1e-3)
    smoothed = 1.5 * np.hypot(1, 1.06 * 4000**-0.2)  # a Gaussian kernel widens a normal so
    assert found["log_score"].item() == pytest.approx(-stats.norm(0, smoothed).logpdf(y), abs=0.01)
    assert abs(found["log_score"].item() + stats.norm(0, 1.65).logpdf(y)) > 0.01
    # the partner: a scale off by a tenth is not taken for the true one
    off = closed(1.65)
    assert abs(found["crps"].item() - off["crps"]) > 0.01
    assert abs(found["interval_score"].item() - off["interval_score"]) > 0.1


def test_brute_force():
    rng = np.random.default_rng(1)
    x, y = rng.standard_t(3, (101, 6)), rng.standard_t(3, 6)
    found = score(np.exp(y / 100), np.exp(x / 100))
    pairs = np.abs(x[:, None] - x[None]).mean(axis=(0, 1)) / 2
    np.testing.assert_allclose(found["crps"], np.abs(x - y).mean(axis=0) - pairs, rtol=1e-9)
    for i in range(6):
        low, high = np.percentile(x[:, i], [5, 95])
        miss = max(low - y[i], 0) + max(y[i] - high, 0)
        assert found["interval_score"][i] == pytest.approx(high - low + 20 * miss)
        assert found["covered_90"][i] == (miss == 0)
        assert 100 * np.log(found["upper"][i] / found["lower"][i]) == pytest.approx(high - low)
    np.testing.assert_allclose(found["pit"], (x < y).mean(axis=0))
    np.testing.assert_allclose(found["bias"], np.median(x, axis=0) - y)


def test_coverage_and_pit_at_their_rates_and_a_wrong_scale_that_is_found_out():
    rng = np.random.default_rng(2)
    y = rng.normal(0, 1, 2000)
    for factor, right in [(1.0, True), (0.7, False), (1.4, False)]:
        found = score(np.exp(y / 100), np.repeat(grid(factor, draws=1000), len(y), axis=1))
        inside = [
            stats.binomtest(int(found[f"covered_{100 * prob:g}"].sum()), len(y), prob).pvalue > 1e-3 for prob in PROBS
        ]
        assert all(inside) == right
        assert (stats.kstest(found["pit"], "uniform").pvalue > 1e-3) == right


def test_what_is_believed_scores_best():
    rng = np.random.default_rng(3)
    y = rng.normal(0, 1, 4000)

    def mean(scale, centre=0.0):
        found = score(np.exp(y / 100), np.repeat(grid(scale, centre, 1000), len(y), axis=1))
        return np.array([found[name].mean() for name in LOSSES])

    honest = mean(1.0)
    for other in (mean(0.6), mean(1.6), mean(1.0, 0.5)):
        assert (honest < other).all()


def test_percent_of_loss():
    found = score([2.0, 3.0], np.array([[2.02, 2.97]] * 50) * np.exp(1e-9 * np.arange(50)[:, None]))
    np.testing.assert_allclose(found["bias"], [0.995, -1.005], atol=1e-3)
    np.testing.assert_allclose(found["median"], [2.02, 2.97])
    assert np.isfinite(found["log_score"]).all()  # a million bandwidths away
    assert score([2.0], np.full((50, 1), 2.1))["log_score"].item() == np.inf
    same = score(np.exp([0.01]), grid(1.5))["crps"], score(5 * np.exp([0.01]), 5 * grid(1.5))["crps"]
    np.testing.assert_allclose(*same)  # relative: the unit of loss does not matter


def test_the_kernel_is_that_of_the_library():
    import scoringrules

    rng = np.random.default_rng(6)
    x, y = rng.standard_t(3, (500, 20)), rng.normal(size=20)
    theirs = scoringrules.logs_ensemble(y, x, m_axis=0, backend="numpy")
    np.testing.assert_allclose(score(np.exp(y / 100), np.exp(x / 100))["log_score"], theirs, rtol=1e-9)


def test_mixture_density_is_the_average_over_draws():
    rng = np.random.default_rng(4)
    y, centre = np.log([2.0, 3.5]), np.log([2.0, 3.4]) + rng.normal(0, 0.01, (300, 2))
    parameters = {"sigma": rng.uniform(0.01, 0.02, (300, 1)), "nu": rng.uniform(2, 9, (300, 1))}
    found = mixture_log_density(y, centre, NOISES["studentt"], parameters, 0.0)
    for i in range(2):
        each = [
            stats.t.pdf((y[i] - centre[s, i]) / parameters["sigma"][s, 0], parameters["nu"][s, 0])
            / parameters["sigma"][s, 0]
            for s in range(300)
        ]
        assert found[i] == pytest.approx(np.log(np.mean(each)))
    se = np.array([0.01, 0.02])
    found = mixture_log_density(y, centre, NOISES["known"], {"sigma": parameters["sigma"]}, se)
    each = stats.norm.pdf(y, centre, np.hypot(parameters["sigma"], se))
    np.testing.assert_allclose(found, np.log(each.mean(axis=0)))


def test_density_and_kernel_agree_in_the_bulk_but_not_about_another_noise():
    rng = np.random.default_rng(5)
    y = np.log(2.0) + np.array([-0.01, 0.0, 0.015])
    centre = np.log(2.0) + rng.normal(0, 0.01, (4000, 1)) * np.ones(3)
    parameters = {"sigma": np.full((4000, 1), 0.01)}
    draws = NOISES["normal"].run_loss(np.exp(centre), parameters, rng)
    kernel = score(np.exp(y), draws)["log_score"]
    exact = score(np.exp(y), draws, mixture_log_density(y, centre, NOISES["normal"], parameters, 0.0))["log_score"]
    np.testing.assert_allclose(kernel, exact, atol=0.08)
    wide = {"sigma": np.full((4000, 1), 0.03)}
    other = score(np.exp(y), draws, mixture_log_density(y, centre, NOISES["normal"], wide, 0.0))["log_score"]
    assert (np.abs(other - exact) > 0.2).all()


@pytest.mark.parametrize(
    ("loss", "draws", "words"),
    [
        ([2.0, 3.0], np.ones((50, 3)), "do not fit losses of shape"),
        ([[2.0]], np.ones((50, 1)), "do not fit losses of shape"),
        ([2.0], np.full((50, 1), np.nan), "draws must be finite and above zero; 50 of 50"),
        ([-2.0], np.ones((50, 1)), "loss must be finite and above zero; 1 of 1"),
        ([], np.ones((50, 0)), "0 of 0"),
    ],
)
def test_what_cannot_be_scored(loss, draws, words):
    with pytest.raises(DataError, match=words):
        score(loss, draws)
