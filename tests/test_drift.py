"""The wander beyond the data: its distance, its draws, and that it is nothing among the runs."""

import numpy as np
import pytest
from scipy.optimize import minimize

from forescale.belief.drift import Drift, decades_outside, growth
from forescale.belief.priors import Prior
from forescale.errors import ModelError

NAMES = ("n_params", "n_tokens", "batch")


def sizes(logs):
    return dict(zip(NAMES, 10.0 ** np.asarray(logs, dtype=float).T, strict=False))


def by_projection(fitted, point):
    """Distance to a convex hull by quadratic programming over its corners' weights: another way to the number."""
    weights = minimize(
        lambda w: ((w @ fitted - point) ** 2).sum(),
        np.full(len(fitted), 1 / len(fitted)),
        jac=lambda w: 2 * fitted @ (w @ fitted - point),
        bounds=[(0, 1)] * len(fitted),
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": lambda w: np.ones(len(w))},
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 1000},
    ).x
    return np.linalg.norm(weights @ fitted - point)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_distance_is_that_to_the_convex_hull(dims):
    rng = np.random.default_rng(dims)
    fitted, points = rng.uniform(0, 2, (15, dims)), rng.uniform(-2, 4, (60, dims))
    found = decades_outside(sizes(fitted), sizes(points), NAMES[:dims])
    expected = np.array([by_projection(fitted, point) for point in points])
    outside = expected > 1e-3
    assert outside.sum() > 20
    assert (~outside).sum() > 3 or dims == 3
    np.testing.assert_allclose(found[outside], expected[outside], rtol=1e-5)
    assert np.all(found[~outside] < 1e-3)
    # the partner: the distance to the nearest run is another
    nearest = np.sqrt(((points[:, None] - fitted[None]) ** 2).sum(axis=-1)).min(axis=1)
    assert np.abs(found - nearest).max() > 0.05


def test_distance_of_a_ladder_on_a_line():
    """Tokens in proportion to parameters: no hull with an inside, and what is off the line is outside."""
    fitted = sizes([[7, 8.3], [8, 9.3], [9, 10.3]])
    points = sizes([[8.5, 9.8], [10, 11.3], [8, 10.3], [6, 7.3]])
    found = decades_outside(fitted, points, NAMES[:2])
    np.testing.assert_allclose(found, [0, np.sqrt(2), np.sqrt(0.5), np.sqrt(2)], rtol=1e-4)


def test_distance_of_a_single_run():
    np.testing.assert_allclose(decades_outside(sizes([[8, 9]]), sizes([[8, 9], [8, 11]]), NAMES[:2]), [0, 2], rtol=1e-4)


def test_fitted_runs_are_not_outside():
    rng = np.random.default_rng(0)
    fitted = sizes(rng.uniform(6, 12, (40, 2)))
    assert np.all(decades_outside(fitted, fitted, NAMES[:2]) == 0)


def test_coefficients_are_a_scale_mixture():
    drift = Drift(Prior("normal", mu=-0.01, sigma=0.005), Prior("lognormal", median=0.02, sigma=0.5))
    drawn = drift.coefficients((4, 50_000), np.random.default_rng(1))
    assert drawn.shape == (4, 50_000)
    variance = 0.005**2 + 0.02**2 * np.exp(2 * 0.5**2)
    assert drawn.mean() == pytest.approx(-0.01, abs=4 * np.sqrt(variance / drawn.size))
    assert drawn.var() == pytest.approx(variance, rel=0.05)
    # heavier than a normal of the same variance
    assert np.mean(np.abs(drawn + 0.01) > 3 * np.sqrt(variance)) > 2 * 0.0027
    np.testing.assert_array_equal(drawn, drift.coefficients((4, 50_000), np.random.default_rng(1)))


def test_variance_grows_as_that_of_a_random_walk():
    np.testing.assert_allclose(growth([0.0, 1.0, 4.0]), [0.0, 1.0, 2.0])


def test_scale_must_be_positive():
    with pytest.raises(ModelError, match="scale of a drift is above zero"):
        Drift(Prior("normal", mu=0, sigma=1), Prior("normal", mu=0, sigma=1))
