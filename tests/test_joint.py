"""Posteriors of models that are not one law."""

import numpy as np
import pytest

import forescale as fs
from forescale.sampling import joint
from forescale.sampling import nuts as sampling
from forescale.sampling.joint import sample_joint
from forescale.sampling.nuts import Settings

Y = np.random.default_rng(3).normal([[1.0], [5.0]], 0.5, (2, 40))
SETTINGS = Settings(draws=500, tune=300)


def groups(data):
    """Two means with a normal prior, known scatter: the posterior has a closed form."""
    import pymc as pm

    with pm.Model(coords={"group": range(len(data["y"]))}) as built:
        y = pm.Data("y", data["y"])
        mean = pm.Normal("mean", 0.0, 2.0, dims="group")
        pm.Deterministic("gap", mean[1] - mean[0])
        pm.Normal("loss", mean[:, None], 0.5, observed=y)
    return built


@pytest.fixture(scope="module")
def fitted():
    return sample_joint("two groups", "groups", groups, {"y": Y}, SETTINGS, 7)


def test_agrees_with_the_closed_form(fitted):
    precision = 1 / 2.0**2 + 40 / 0.5**2
    exact = Y.sum(axis=1) / 0.5**2 / precision
    draws = fitted.posterior["mean"]
    np.testing.assert_allclose(draws.mean(("chain", "draw")), exact, atol=5 / np.sqrt(precision * 1000))
    np.testing.assert_allclose(draws.std(("chain", "draw")), precision**-0.5, rtol=0.1)
    np.testing.assert_allclose(fitted.posterior["gap"], draws[..., 1] - draws[..., 0])
    assert abs(float(draws[..., 0].mean()) - exact[1]) > 1  # partner: the other group's is far outside


def test_diagnostics_name_the_entries_of_vectors(fitted):
    assert list(fitted.diagnostics.table.index) == ["mean[0]", "mean[1]", "gap"]
    assert fitted.diagnostics.passed
    assert "passed" in repr(fitted.diagnostics)


def test_the_same_seed_gives_the_same_draws_and_compiles_nothing(fitted):
    before = len(sampling._COMPILED)
    again = sample_joint("two groups", "groups", groups, {"y": Y}, SETTINGS, 7)
    other = sample_joint("two groups", "groups", groups, {"y": Y + 1}, SETTINGS, 7)
    assert len(sampling._COMPILED) == before
    np.testing.assert_array_equal(again.posterior["mean"], fitted.posterior["mean"])
    assert float((other.posterior["mean"] - fitted.posterior["mean"]).mean()) == pytest.approx(1, abs=0.1)


def test_a_posterior_that_does_not_converge_is_refused_and_carried(monkeypatch):
    tried = []
    sample = joint.sample_pymc
    monkeypatch.setattr(joint, "sample_pymc", lambda *a, **k: tried.append(a[3]) or sample(*a, **k))
    with pytest.raises(fs.ConvergenceError, match=r"two groups did not converge.*ess_bulk below 400") as caught:
        sample_joint("two groups", "groups", groups, {"y": Y}, Settings(draws=20, tune=50), 7)
    assert caught.value.fit.posterior["mean"].shape == (4, 20, 2)
    assert tried == [Settings(draws=20, tune=50), Settings(draws=20, tune=50).careful()]
