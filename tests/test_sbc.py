"""What ranks of a parameter and ranks of the likelihood see, each, of a posterior that is wrong."""

import numpy as np

from forescale.numbers.uniformity import ecdf_p

PLACES = 100


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
    return {name: ecdf_p(found, PLACES) for name, found in ranks.items()}


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
