"""Variance shares against exact answers for normal draws and against neighbours for bent ones."""

from itertools import combinations

import numpy as np
import pytest

from forescale.numbers.shares import (
    conditional_steps,
    correlations,
    quadratic,
    standard_deviations,
    variance_shares,
)

SUBSETS = [*((i,) for i in range(3)), *combinations(range(3), 2), (0, 1, 2)]
COVARIANCE = np.array([[1.0, 0.8, 0.3], [0.8, 4.0, -0.6], [0.3, -0.6, 0.5]])
WEIGHTS = np.array([1.0, -0.4, 2.0])


def normal_draws(draws, seed=0):
    return np.random.default_rng(seed).multivariate_normal([3.0, -1.0, 0.5], COVARIANCE, draws)


def exact_share(subset):
    """Of a linear function of normal parameters: w' S_a S_aa^-1 S_a' w / w' S w."""
    along = COVARIANCE[:, subset]
    explained = along @ np.linalg.solve(COVARIANCE[np.ix_(subset, subset)], along.T)
    return WEIGHTS @ explained @ WEIGHTS / (WEIGHTS @ COVARIANCE @ WEIGHTS)


def neighbours_share(q, z):
    """Var(E[q | z]) / Var(q) with no form assumed: neighbours in z differ by what z does not explain."""
    return 1 - np.mean(np.diff(q[np.argsort(z)]) ** 2) / 2 / q.var()


def test_shares_of_a_linear_function_of_normal_parameters_are_exact():
    z = normal_draws(40_000)
    q = z @ WEIGHTS
    found = variance_shares(q[:, None], z, SUBSETS)[:, 0]
    np.testing.assert_allclose(found, [exact_share(list(subset)) for subset in SUBSETS], atol=0.01)
    assert found[-1] == pytest.approx(1, abs=1e-12)


def test_the_formula_for_independent_parameters_holds_only_there():
    independent = WEIGHTS**2 * np.diag(COVARIANCE) / (WEIGHTS**2 @ np.diag(COVARIANCE))
    exact = np.array([exact_share([i]) for i in range(3)])
    assert np.abs(independent - exact).max() > 0.1
    uncorrelated = np.random.default_rng(1).standard_normal((40_000, 3))
    found = variance_shares((uncorrelated @ WEIGHTS)[:, None], uncorrelated, SUBSETS[:3])[:, 0]
    np.testing.assert_allclose(found, WEIGHTS**2 / (WEIGHTS @ WEIGHTS), atol=0.01)


def test_shares_of_a_bent_function_agree_with_neighbours_and_a_straight_line_does_not():
    rng = np.random.default_rng(2)
    z = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 60_000)
    q = z[:, 0] ** 2 + 0.5 * z[:, 0] * z[:, 1] + 0.5 * z[:, 1] + 0.3 * np.sin(z[:, 1])
    found = variance_shares(q[:, None], z, [(0,), (1,), (0, 1)])[:, 0]
    for column in (0, 1):
        assert found[column] == pytest.approx(neighbours_share(q, z[:, column]), abs=0.02)
    assert found[2] == pytest.approx(1, abs=0.01)
    straight = np.corrcoef(q, z[:, 0])[0, 1] ** 2
    assert abs(straight - neighbours_share(q, z[:, 0])) > 0.3


def test_noise_explains_nothing_on_average():
    rng = np.random.default_rng(3)
    shares, raw = [], []
    for _ in range(300):
        z, q = rng.standard_normal((60, 2)), rng.standard_normal((60, 1))
        shares.append(variance_shares(q, z, [(0, 1)])[0, 0])
        terms = quadratic(z)
        residual = q - terms @ np.linalg.lstsq(terms, q, rcond=None)[0]
        raw.append(1 - residual.var() / q.var())
    assert np.median(shares) < 0.01  # half of them are below zero, and cut there
    assert np.median(raw) > 0.06  # five terms of 59


def test_draws_without_a_forecast_are_left_out_column_by_column():
    z = normal_draws(2000)
    q = np.column_stack([z @ WEIGHTS, z @ WEIGHTS, z[:, 0] ** 2])
    never = z[:, 1] > 1
    q[never, 1] = np.inf
    found = variance_shares(q, z, SUBSETS)
    np.testing.assert_allclose(found[:, 1], variance_shares(q[~never, 1:2], z[~never], SUBSETS)[:, 0], rtol=1e-12)
    np.testing.assert_allclose(found[:, [0, 2]], variance_shares(q[:, [0, 2]], z, SUBSETS), rtol=1e-12)
    assert np.abs(found[:, 1] - found[:, 0]).max() > 0.02


def test_what_has_no_share():
    z = normal_draws(200)
    q = (z @ WEIGHTS)[:, None]
    assert np.isnan(variance_shares(q[:14], z[:14], [(0,)])).all()  # three terms, five draws each
    assert np.isfinite(variance_shares(q[:15], z[:15], [(0,)])).all()
    assert np.isnan(variance_shares(np.full_like(q, 0.1 + 0.2), z, [(0,)])).all()
    assert np.isnan(variance_shares(np.full_like(q, np.inf), z, [(0,)])).all()
    assert np.isnan(variance_shares(q[:1], z[:1], [(0,)])).all()
    constant = np.column_stack([z, np.full(200, 1 / 3)])
    assert variance_shares(q, constant, [(3,)])[0, 0] == 0
    assert variance_shares(q, constant, [(0, 3)])[0, 0] == pytest.approx(variance_shares(q, z, [(0,)])[0, 0])


def test_a_copy_of_a_parameter_adds_nothing():
    z = normal_draws(4000)
    twice = np.column_stack([z, 5 * z[:, 0] + 2])
    q = (z @ WEIGHTS)[:, None]
    alone, copy, both = variance_shares(q, twice, [(0,), (3,), (0, 3)])[:, 0]
    assert alone == pytest.approx(copy) == pytest.approx(both, abs=1e-9)


def test_conditional_steps_are_the_slopes_of_regressions():
    z = normal_draws(3000)
    steps = conditional_steps(z)
    for i in range(3):
        for j in range(3):
            assert steps[j, i] == pytest.approx(np.polyfit(z[:, i], z[:, j], 1)[0])
    np.testing.assert_allclose(correlations(z), np.corrcoef(z.T))


def test_a_conditional_step_moves_the_forecast_as_knowing_does():
    z = normal_draws(400_000, seed=4)
    q, sd = z @ WEIGHTS, np.sqrt(COVARIANCE[0, 0])

    def near(value):
        return q[np.abs(z[:, 0] - value) < 0.05].mean()

    known = near(3 + sd) - near(3)
    assert WEIGHTS @ conditional_steps(z)[:, 0] * sd == pytest.approx(known, abs=0.05)
    assert abs(WEIGHTS[0] * sd - known) > 0.1  # the others held is another question


def test_what_varies_by_rounding_only_is_constant():
    z = np.column_stack([normal_draws(100)[:, 0], np.full(100, np.log(2.7e28))])
    assert z[:, 1].std() > 0 or z[:, 1].mean() == z[0, 1]
    assert standard_deviations(z)[1] == 0
    np.testing.assert_array_equal(conditional_steps(z), np.eye(2))
    np.testing.assert_allclose(correlations(z), [[1, 0], [0, 0]])
    assert (standard_deviations(z[:1]) == 0).all()
