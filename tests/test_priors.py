"""Priors and noise: PyMC's and SciPy's densities are the same, and bad ones are refused."""

import numpy as np
import pytest

from forescale.belief.noise import NOISES, get_noise
from forescale.belief.priors import DISTRIBUTIONS, Prior
from forescale.errors import ModelError

PRIORS = {
    "lognormal": Prior("lognormal", median=0.3, sigma=0.4),
    "halfnormal": Prior("halfnormal", sigma=0.05),
    "exponential": Prior("exponential", scale=2.0),
    "gamma": Prior("gamma", alpha=2.0, beta=0.1),
    "inversegamma": Prior("inversegamma", alpha=3.0, beta=2.0),
    "normal": Prior("normal", mu=1.0, sigma=2.0),
    "truncatednormal": Prior("truncatednormal", mu=0.5, sigma=1.0, lower=0.0, upper=2.0),
    "uniform": Prior("uniform", lower=0.5, upper=3.0),
    "beta": Prior("beta", alpha=2.0, beta=5.0),
}


def test_every_distribution_is_tried():
    assert set(PRIORS) == set(DISTRIBUTIONS)


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_pymc_and_scipy_agree(prior):
    import pymc as pm

    draws = prior.sample(50, np.random.default_rng(0))
    with pm.Model():
        variable = prior.random_variable("x")
    by_pymc = pm.logp(variable, draws).eval(mode="FAST_COMPILE")
    np.testing.assert_allclose(prior.logpdf(draws), by_pymc, rtol=1e-6, atol=1e-7)
    other = Prior("normal", mu=0.9, sigma=1.0)  # a density that is not this one must not agree
    assert not np.allclose(other.logpdf(draws), by_pymc, rtol=1e-6)


@pytest.mark.parametrize("prior", PRIORS.values(), ids=PRIORS)
def test_median_support_and_round_trip(prior):
    draws = prior.sample(20_000, np.random.default_rng(1))
    assert np.mean(draws < prior.median) == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(20_000))
    assert not prior.positive or draws.min() > 0
    assert Prior.from_table(prior.to_table()) == prior


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Prior("cauchy", scale=1.0), "no distribution is called 'cauchy'; there are lognormal"),
        (lambda: Prior("lognormal", mu=0.0, sigma=1.0), "lognormal wants median, sigma; given were mu, sigma"),
        (lambda: Prior("lognormal", median=-1.0, sigma=1.0), "median must be above zero"),
        (lambda: Prior("normal", mu=float("nan"), sigma=1.0), "mu must be a finite number"),
        (lambda: Prior("uniform", lower=2.0, upper=1.0), "lower must be below upper"),
        (lambda: Prior("normal", mu="__import__('os')", sigma=1.0), "mu must be a finite number"),
        (lambda: Prior.from_table({"median": 1.0}), "a prior is a table with a dist"),
    ],
)
def test_bad_priors_are_refused(make, says):
    with pytest.raises(ModelError, match=says.replace("(", r"\(")):
        make()


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_noise_in_pymc_and_scipy_agree(noise):
    import pymc as pm

    values = {"sigma": 0.02, "nu": 4.0}
    rng = np.random.default_rng(2)
    log_se = rng.uniform(0.01, 0.05, 30) if noise.needs_se else 0.0
    mu, y = rng.normal(size=30), rng.normal(size=30)
    y = mu + 0.03 * y
    with pm.Model(coords={"run": range(30)}) as model:
        noise.observe("y", mu, values, y, log_se)
    by_pymc = model.compile_logp(sum=False, mode="FAST_COMPILE")({})[0]
    np.testing.assert_allclose(noise.logpdf(y - mu, values, log_se), by_pymc, rtol=1e-8)
    assert not np.allclose(noise.logpdf(y - mu, {**values, "sigma": 0.04}, log_se), by_pymc, rtol=1e-3)


@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_noise_draws_follow_its_density(noise):
    from scipy import stats

    values = {"sigma": 0.02, "nu": 4.0}
    log_se = 0.015 if noise.needs_se else 0.0
    draws = noise.sample(values, (4000,), np.random.default_rng(3), log_se)

    grid = np.linspace(-3, 3, 600_001)
    cumulative = np.cumsum(np.exp(noise.logpdf(grid, values, log_se))) * (grid[1] - grid[0])

    def cdf(x):
        return np.interp(x, grid, cumulative)

    assert stats.kstest(draws, cdf).pvalue > 0.01
    assert stats.kstest(1.1 * draws, cdf).pvalue < 0.01  # draws a tenth wider are noticed


def test_unknown_noise():
    with pytest.raises(ModelError, match="there are studentt, normal, known"):
        get_noise("laplace")


def test_losses_of_new_runs_stay_finite_under_the_heaviest_tails():
    mean = np.full(100_000, 2.0)
    loss = NOISES["studentt"].run_loss(mean, {"sigma": 0.05, "nu": 0.05}, np.random.default_rng(4))
    assert np.isfinite(np.quantile(loss, [0.0, 0.5, 0.999, 1.0])).all()
    assert np.median(loss) == pytest.approx(2.0, rel=0.05)
    assert loss.max() > 1e200
