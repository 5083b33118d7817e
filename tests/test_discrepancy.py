"""What a card believes of the law being wrong, from its text to the band of a new run."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import forescale as fs
from forescale.belief.discrepancy import Discrepancy
from forescale.belief.drift import Drift, decades_outside
from forescale.belief.model import Model
from forescale.belief.structured import Structured
from forescale.errors import ModelError
from forescale.estimates.fit import residuals
from forescale.estimates.left_out import left_out

DRIFT = Drift(fs.Prior("normal", mu=-0.01, sigma=0.005), fs.Prior("lognormal", median=0.02, sigma=0.3))
STRUCTURED = Structured(fs.Prior("halfnormal", sigma=0.02), length=1.0, rank=6)
POINTS = {"n_params": np.array([1e9, 1e10, 1e12]), "n_tokens": np.array([2e10, 2e11, 2e13])}


@pytest.fixture(scope="module")
def with_drift(hoffmann):
    """The Hoffmann fit, short, under the plain law and with a drift: one posterior, since no run tells of a drift."""
    model = fs.load_model("chinchilla")
    return tuple(
        fs.fit(hoffmann, model.with_discrepancy(each), draws=500, random_seed=3) for each in (None, Discrepancy(DRIFT))
    )


def test_card_round_trip():
    model = fs.load_model("chinchilla").with_discrepancy(Discrepancy(DRIFT, STRUCTURED))
    assert Model.from_toml(model.to_toml()) == model
    assert str(model.discrepancy) == "drift beyond the data and a structured deviation"
    assert "[discrepancy" not in model.with_discrepancy(None).to_toml()
    assert str(Discrepancy()) == "none"


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"wander": {}}, "of kind drift or structured, not 'wander'"),
        ({"drift": {"bias": {"dist": "normal", "mu": 0.0, "sigma": 1.0}}}, "drift lacks a prior of scale"),
        (
            {"drift": {"bias": {"dist": "normal", "mu": 0.0}, "scale": 1}},
            "drift, prior of bias: normal wants mu, sigma",
        ),
        ({"structured": {"amplitude": {"dist": "halfnormal", "sigma": 1.0}, "tau": 1}}, "table of amplitude, length"),
        ({"structured": 3}, "table of amplitude, length, rank, not 3"),
    ],
)
def test_bad_tables_are_refused(table, says):
    with pytest.raises(ModelError, match=says):
        Discrepancy.from_table(table)


def test_names_of_a_deviation_are_taken():
    model = fs.load_model("chinchilla").renamed({"E": "deviation"})
    with pytest.raises(ModelError, match="deviation is a parameter of"):
        model.with_discrepancy(Discrepancy(structured=STRUCTURED))


def test_drift_leaves_the_posterior_alone(with_drift):
    plain, drifting = with_drift
    xr.testing.assert_identical(plain.posterior, drifting.posterior)
    assert plain.departure(POINTS) is None


def test_drift_widens_a_new_run_outside_the_data_and_nowhere_else(with_drift, hoffmann):
    plain, drifting = (fs.forecast(fit, POINTS, random_seed=1) for fit in with_drift)
    xr.testing.assert_identical(plain.draws["mean"], drifting.draws["mean"])
    ratio = np.log(drifting.draws["run"] / plain.draws["run"])
    assert np.all(ratio.isel(point=0) == 0)  # 1B parameters on 20B tokens are among the runs
    fitted = {name: hoffmann.column(name) for name in POINTS}
    root = np.sqrt(decades_outside(fitted, POINTS, tuple(POINTS)))
    assert root[2] > root[1] > 0.25
    coefficient = (ratio / xr.DataArray(root, dims="point")).isel(point=[1, 2])
    np.testing.assert_allclose(coefficient.isel(point=0), coefficient.isel(point=1), rtol=1e-9)  # one draw for all
    assert float(coefficient.mean()) == pytest.approx(-0.01, abs=0.002)
    assert float(coefficient.std()) == pytest.approx(np.hypot(0.005, 0.02 * np.exp(0.3**2)), rel=0.1)


def test_forecasts_of_one_fit_err_together(with_drift):
    """Asked for apart, two points have the drift that they have when asked for together."""
    _, drifting = with_drift
    together = drifting.departure(POINTS)
    apart = drifting.departure({name: values[2:] for name, values in POINTS.items()})
    np.testing.assert_array_equal(together.isel(point=2), apart.isel(point=0))


def test_every_output_says_what_is_in_it(with_drift):
    plain, drifting = (fs.forecast(fit, POINTS, random_seed=1) for fit in with_drift)
    assert plain.discrepancy == "none"
    assert plain.kinds["run"] == "a new run: the law's curve, noise"
    assert drifting.discrepancy == "drift beyond the data"
    assert drifting.kinds["run"] == "a new run: the law's curve, drift beyond the data and noise"
    assert drifting.kinds["mean"] == "the law's curve"
    assert "drift beyond the data" in repr(drifting)
    assert "drift" not in repr(plain)


def test_saved_fit_keeps_its_discrepancy(with_drift, tmp_path):
    _, drifting = with_drift
    loaded = fs.load_fit(drifting.save(tmp_path / "fit.nc"))
    assert loaded.model.discrepancy == drifting.model.discrepancy
    np.testing.assert_array_equal(loaded.departure(POINTS), drifting.departure(POINTS))


@pytest.fixture(scope="module")
def bent(simulate):
    """A table whose loss bends 2 percent away from its law, and smoothly back."""
    law, truth = fs.load_model("chinchilla").law, {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36}
    table = simulate(law, truth, runs=80, sigma=0.002, seed=5).table
    bend = 0.02 * np.sin(1.6 * np.log10(table["n_tokens"] / table["n_params"]))
    return fs.Observations.from_frame(table.assign(loss=table["loss"] * np.exp(bend))), bend.to_numpy()


@pytest.fixture(scope="module")
def learned(bent):
    """The bent table's fit with a structured deviation, learned at so many runs that little is left open at others."""
    part = Structured(fs.Prior("halfnormal", sigma=0.02), rank=60)
    model = fs.load_model("chinchilla").with_noise("normal").with_discrepancy(Discrepancy(DRIFT, part))
    return fs.fit(bent[0], model, draws=500, random_seed=1)


def test_a_left_out_run_is_refitted_with_its_deviation(learned):
    """Where importance sampling can be trusted, a fit without the run says the same of it."""
    sampled = fs.leave_one_out(learned, refits=0, threshold=10.0).runs
    index = int(sampled["pareto_k"].to_numpy().argmin())
    exact, mcse = left_out(learned, index).refit()
    assert exact == pytest.approx(float(sampled["elpd"][index]), abs=0.1)
    assert mcse < 0.1


def test_structured_deviation_is_learned(bent, learned):
    runs, bend = bent
    model = fs.load_model("chinchilla").with_noise("normal")
    found = learned
    plain = fs.fit(runs, model.with_discrepancy(None), draws=500, random_seed=1)
    # the noise is found, where the law alone takes the bend for noise
    assert float(found.posterior["sigma"].median()) < 0.0035
    assert float(plain.posterior["sigma"].median()) > 0.008
    error = residuals(found.model, found.model.data(runs), found.posterior)
    assert float(error.std()) < 0.0035
    # law and deviation together pass through the curve, at a run and between runs
    middle = {name: runs.column(name)[:5] * 1.2 for name in ("n_params", "n_tokens")}
    curve = np.log(found.law({k: xr.DataArray(v, dims="point") for k, v in middle.items()}, found.posterior))
    bare = replace(found, model=found.model.with_discrepancy(replace(found.model.discrepancy, drift=None)))
    together = (curve + bare.departure(middle)).median(("chain", "draw"))
    truth = np.log(found.law(middle, {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36})) + bend[:5]
    np.testing.assert_allclose(together, truth, atol=0.006)
    assert np.abs(curve.median(("chain", "draw")) - truth).max() > 0.006  # the partner: the law alone does not


def test_structured_deviation_costs_little_where_the_law_is_exact(simulate):
    law, truth = fs.load_model("chinchilla").law, {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36}
    runs = simulate(law, truth, runs=60, sigma=0.005, seed=6)
    model = fs.load_model("chinchilla")
    part = Discrepancy(structured=STRUCTURED)
    fits = [fs.fit(runs, model.with_discrepancy(each), draws=500, random_seed=1) for each in (None, part)]
    inside = {"n_params": np.array([3e8, 1e9]), "n_tokens": np.array([2e10, 2e10])}
    width = [np.ptp(fs.forecast(f, inside, random_seed=1).table(0.9, "run")[["lower", "upper"]], axis=1) for f in fits]
    assert np.all(width[1] < 1.4 * width[0])
    assert float(fits[1].posterior["deviation"].median()) < 0.006
