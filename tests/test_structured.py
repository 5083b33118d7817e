"""The structured deviation against a Gaussian process written out in full."""

import numpy as np
import pytest

from forescale.belief.priors import Prior
from forescale.belief.structured import AMPLITUDE, Structured
from forescale.errors import ModelError

PART = Structured(Prior("halfnormal", sigma=0.02), length=1.0, rank=12)


def matern(one, other, length=1.0):
    """Matern 5/2 by its definition through a Bessel function."""
    from scipy.special import gamma, kv

    d = np.sqrt(((one[:, None] - other[None]) ** 2).sum(axis=-1))
    x = np.where(d > 0, np.sqrt(5) * d / length, 1.0)
    return np.where(d > 0, 2 ** (1 - 2.5) / gamma(2.5) * x**2.5 * kv(2.5, x), 1.0)


@pytest.fixture(scope="module")
def runs():
    return np.random.default_rng(0).uniform([7, 9], [9, 11], (40, 2))


def test_weights_and_what_they_leave_open_make_the_whole_process(runs):
    """Features' products and the covariance left open add up to the Matern covariance, near the runs and far off."""
    points = np.random.default_rng(1).uniform([6, 8], [12, 13], (5, 2))
    values = {AMPLITUDE: np.full((200_000, 1), 0.5)}
    features = PART.features(runs, points)
    left = PART.left_open(runs, points, values, np.random.default_rng(2))
    assert left.shape == (200_000, 5)
    total = 0.25 * features.T @ features + np.cov(left.T)
    np.testing.assert_allclose(total, 0.25 * matern(points, points), atol=0.004)
    # the partner: without what is left open, a far point would be known
    assert np.abs(0.25 * features.T @ features - total).max() > 0.1


def test_few_runs_carry_the_deviation(runs):
    assert PART.missed(runs) < 0.05
    assert Structured(PART.amplitude, rank=3).missed(runs) > PART.missed(runs)
    known = PART.features(runs, runs)
    assert np.all((known**2).sum(axis=0) <= 1 + 1e-9)


def test_features_of_few_distinct_runs_end_in_zeros():
    twice = np.repeat([[8.0, 10.0], [9.0, 10.0]], 5, axis=0)
    features = PART.features(twice, twice)
    assert features.shape == (12, 10)
    assert np.all(features[2:] == 0)
    np.testing.assert_allclose((features**2).sum(axis=0), 1.0)


def test_choice_of_runs_does_not_hang_on_rounding(runs):
    grid = np.stack(np.meshgrid(np.arange(7.0, 10.0), np.arange(9.0, 12.0)), axis=-1).reshape(-1, 2)
    nudged = grid + 1e-13 * np.random.default_rng(3).standard_normal(grid.shape)
    np.testing.assert_allclose(PART.features(grid, grid), PART.features(nudged, nudged), atol=1e-6)


def test_posterior_is_that_of_the_full_process(runs):
    """With known noise and amplitude the weights' posterior is linear algebra, and so is the full process's."""
    rng = np.random.default_rng(4)
    points = np.array([[8.0, 10.0], [9.5, 11.0], [12.0, 13.0]])
    noise, amplitude = 0.003, 0.02
    truth = rng.multivariate_normal(np.zeros(len(runs)), amplitude**2 * matern(runs, runs))
    y = truth + noise * rng.standard_normal(len(runs))
    part = Structured(PART.amplitude, rank=40)
    phi, at = amplitude * part.features(runs, runs).T, amplitude * part.features(runs, points).T
    precision = phi.T @ phi / noise**2 + np.eye(40)
    mean = at @ np.linalg.solve(precision, phi.T @ y) / noise**2
    cov = amplitude**2 * matern(runs, runs) + noise**2 * np.eye(len(runs))
    expected = amplitude**2 * matern(points, runs) @ np.linalg.solve(cov, y)
    np.testing.assert_allclose(mean, expected, atol=1e-4)
    # of few weights, most of it
    few = Structured(PART.amplitude, rank=12)
    phi, at = amplitude * few.features(runs, runs).T, amplitude * few.features(runs, points).T
    mean = at @ np.linalg.solve(phi.T @ phi / noise**2 + np.eye(12), phi.T @ y) / noise**2
    np.testing.assert_allclose(mean, expected, atol=0.25 * amplitude)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"length": 0.0}, "number of decades above zero"),
        ({"rank": 0}, "number of runs from 1 to 100"),
        ({"rank": 2.5}, "number of runs from 1 to 100"),
        ({"amplitude": Prior("normal", mu=0, sigma=1)}, "amplitude of a deviation is above zero"),
    ],
)
def test_bad_parts_are_refused(change, says):
    with pytest.raises(ModelError, match=says):
        Structured(**{"amplitude": PART.amplitude, **change})
