"""N with embeddings from N without: limits, derivatives, and the printed constants from a shape."""

import numpy as np
import pytest
import xarray as xr

from forescale.errors import DataError
from forescale.numbers.embeddings import Embeddings

LOG_SIZE = np.log(10) * np.linspace(0, 14, 57)


@pytest.mark.parametrize("counted", [Embeddings(), Embeddings(47491, 0.34), Embeddings(1e5, 0.6)])
def test_derivatives_are_those_of_the_formula(counted):
    step = 1e-5
    up, down = LOG_SIZE + step, LOG_SIZE - step
    slope = (np.log(counted.n_total(np.exp(up))) - np.log(counted.n_total(np.exp(down)))) / (2 * step)
    np.testing.assert_allclose(counted.elasticity(LOG_SIZE), slope, atol=1e-9)
    curved = (np.log(counted.elasticity(up)) - np.log(counted.elasticity(down))) / (2 * step)
    np.testing.assert_allclose(counted.log_elasticity_slope(LOG_SIZE), curved, atol=1e-9)
    np.testing.assert_allclose(counted.log_total(LOG_SIZE), np.log(counted.n_total(np.exp(LOG_SIZE))), rtol=1e-14)


def test_the_slope_of_the_elasticity_has_the_stated_maximum():
    counted = Embeddings()
    most = (1 - np.sqrt(counted.gamma)) ** 2
    at_most = np.log(np.sqrt(counted.gamma) * counted.omega) / (1 - counted.gamma)  # u = 1 / sqrt(gamma)
    assert counted.log_elasticity_slope(at_most) == pytest.approx(most, rel=1e-12)
    assert (counted.log_elasticity_slope(LOG_SIZE) <= most + 1e-12).all()


def test_small_models_are_embeddings_and_large_ones_are_not():
    counted = Embeddings()
    assert counted.elasticity(np.log(1e-3)) == pytest.approx(counted.gamma, rel=1e-5)
    assert counted.elasticity(np.log(1e14)) == pytest.approx(1.0, rel=1e-4)
    assert counted.n_total(1e14) / 1e14 == pytest.approx(1.0, rel=1e-4)


def test_the_printed_constant_is_a_vocabulary_and_a_shape():
    shaped = Embeddings.of_shape(32_000, 39.2)
    assert shaped.omega == pytest.approx(47491, rel=3e-4)
    assert shaped.gamma == 1 / 3
    n_layer, d_model = 10, 392
    assert shaped.n_total(12 * n_layer * d_model**2) == pytest.approx(12 * n_layer * d_model**2 + 32_000 * d_model)


def test_labelled_arrays_go_through():
    sizes = xr.DataArray([1e6, 1e9], dims="size", coords={"size": [1e6, 1e9]})
    assert Embeddings().n_total(sizes).dims == ("size",)
    assert Embeddings().elasticity(np.log(sizes)).dims == ("size",)


@pytest.mark.parametrize(("omega", "gamma"), [(0, 0.3), (-1, 0.3), (np.inf, 0.3), (1e4, 0), (1e4, 1), (1e4, np.nan)])
def test_what_cannot_be_is_refused(omega, gamma):
    with pytest.raises(DataError, match="omega above zero and gamma between 0 and 1"):
        Embeddings(omega, gamma)


def test_shapes_that_cannot_be_are_refused():
    with pytest.raises(DataError, match="vocabulary and aspect_ratio are above zero"):
        Embeddings.of_shape(0, 64)


def test_it_says_what_it_is():
    assert str(Embeddings()) == "N_total = N + 47491 N^0.333"
