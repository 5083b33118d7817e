"""Model cards are calibrated; wrong noise and wrong priors are not; what fails is a row and not the end."""

import json
from dataclasses import asdict

import numpy as np
import pytest
import xarray as xr

import forescale as fs
from forescale.checking import sbc
from forescale.checking.calibrate import calibrate, collect
from forescale.errors import DataError, ModelError
from forescale.sampling.nuts import Draws, Settings

QUICK = {"random_seed": 2, "progress": False, "workers": 1}


@pytest.fixture(scope="module")
def chinchilla():
    return calibrate("chinchilla", fits=60, **QUICK)


@pytest.fixture(scope="module")
def power():
    return calibrate("power_n", fits=60, **QUICK)


@pytest.fixture
def instant(monkeypatch):
    """A sampler that returns draws of the prior, whatever the data; the list of settings it was called with."""
    called = []

    def from_prior(model, data, settings, seed, **rest):
        called.append(settings)
        shape = (settings.chains, settings.draws)
        prior = model.sample_prior(settings.chains * settings.draws, np.random.default_rng(seed))
        dims = ("chain", "draw")
        posterior = xr.Dataset({name: (dims, value.to_numpy().reshape(shape)) for name, value in prior.items()})
        return Draws(posterior, xr.Dataset({"diverging": (dims, np.zeros(shape, dtype=bool))}))

    monkeypatch.setattr(sbc, "sample", from_prior)
    return called


@pytest.mark.parametrize("card", ["chinchilla", "power"])
def test_cards_are_calibrated(card, request):
    found = request.getfixturevalue(card)
    assert found.passed, found
    assert len(found.discarded) <= 1
    assert 0.8 < found.table()["coverage"].mean() < 0.97


def test_noise_that_is_larger_than_the_model_says_is_found():
    wrong = calibrate("chinchilla", fits=30, noise_factor=1.5, **QUICK)
    assert not wrong.passed
    table = wrong.table().set_index("quantity")
    assert table["ecdf_p"].idxmin() in {"sigma", "nu"}
    assert table.loc["sigma", "mean_rank"] < 0.2  # truths below their posteriors
    assert "MISCALIBRATED" in repr(wrong)
    assert "1.5 times the noise: it should fail" in repr(wrong)


def test_truths_from_another_prior_are_found():
    near_normal = fs.Prior("gamma", alpha=80.0, beta=1.0)
    wrong = calibrate("power_n", fits=30, truth={"nu": near_normal}, **QUICK)
    assert not wrong.passed
    assert wrong.table().set_index("quantity")["ecdf_p"].idxmin() == "nu"
    assert "from other priors" in repr(wrong)


def test_a_posterior_that_ignores_its_data_is_found_by_the_likelihood_alone(instant):
    table = calibrate("chinchilla", fits=100, **QUICK).table().set_index("quantity")
    assert table.loc["log_likelihood", "ecdf_p"] < 1e-3
    assert table["ecdf_p"].drop("log_likelihood").min() > 0.01


def test_a_task_is_a_pure_function_of_its_description(power):
    sent = json.loads(json.dumps(asdict(power.study)))
    study = sbc.Study(**{**sent, "settings": Settings(**sent["settings"])})
    sbc.rank_row(study, 3)
    row = sbc.rank_row(study, 7)
    assert {name: row[name] for name in power.quantities} == power.fits.loc[7, list(power.quantities)].to_dict()
    again = collect(study, [sbc.rank_row(study, fit) for fit in (9, 7)])
    assert again.fits.index.tolist() == [7, 9]
    np.testing.assert_array_equal(again.ranks, power.ranks.loc[[7, 9]])


def test_a_design_is_the_runs_of_a_table(hoffmann, instant):
    found = calibrate("power_n", hoffmann, fits=20, **QUICK)
    assert found.study.design == {"n_params": tuple(hoffmann.column("n_params"))}
    given = calibrate("power_n", {"n_params": ["10M", "100M", 1e9, 1e10]}, fits=20, **QUICK)
    assert given.study.design == {"n_params": (1e7, 1e8, 1e9, 1e10)}


def test_noise_with_standard_errors_wants_them(instant):
    model = fs.load_model("power_n").with_noise("known")
    found = calibrate(model, fits=20, **QUICK)
    assert "nu" not in found.quantities
    assert len(found.ranks) == 20
    assert set(found.study.design) == {"n_params", "log_loss_se"}
    with pytest.raises(DataError, match="missing: log_loss_se"):
        calibrate(model, {"n_params": [1e8, 1e9]}, **QUICK)


def test_a_law_of_other_inputs_wants_a_design(instant):
    model = fs.load_model("power_n").renamed({"n_params": "n_examples"})
    with pytest.raises(DataError, match="wants n_examples; the usual design has n_params, .* design="):
        calibrate(model, **QUICK)
    assert len(calibrate(model, {"n_examples": np.geomspace(1e6, 1e9, 20)}, fits=20, **QUICK).ranks) == 20


def test_a_fit_that_goes_wrong_is_a_row_with_its_error(monkeypatch, instant):
    def fragile(*given, **rest):
        if len(instant) in {3, 5}:
            instant.append("failed")
            raise RuntimeError("no starting point")
        return works(*given, **rest)

    works = sbc.sample
    monkeypatch.setattr(sbc, "sample", fragile)
    found = calibrate("power_n", fits=20, **QUICK)
    assert found.discarded["error"].to_dict() == dict.fromkeys((3, 5), "RuntimeError: no starting point")
    assert found.fits.index.tolist() == list(range(20))
    assert len(found.ranks) == 18
    assert found.table()["fits"].tolist() == [18] * len(found.quantities)
    assert "2 of 20 fits discarded, 0 retried" in repr(found)
    assert "fit 3: RuntimeError: no starting point; fit 5" in repr(found)
    assert "what was discarded biases the rest" in repr(found)


def test_a_fit_that_does_not_converge_is_run_again_carefully_and_then_discarded(monkeypatch, instant):
    monkeypatch.setattr(sbc, "R_HAT_MAX", 0.9)
    with pytest.raises(ModelError, match="none of 20 fits of model 'power_n' can be ranked; R-hat 1.0"):
        calibrate("power_n", fits=20, **QUICK)
    assert instant == [Settings(250, 500, 2), Settings(250, 500, 2).careful()] * 20


def test_table_and_ecdf_are_tidy(power):
    table = power.table(prob=0.5)
    assert list(table) == ["quantity", "fits", "mean_rank", "coverage", "prob", "ecdf_p", "chi2_p"]
    assert table["quantity"].tolist() == [
        "N_c_effect",
        "alpha_N",
        "sigma",
        "nu",
        "log_likelihood",
        "far_loss",
        "far_run",
    ]
    assert (table["prob"] == 0.5).all()
    assert ((power.ranks >= 0) & (power.ranks < power.places)).all(axis=None)
    ecdf = power.ecdf(prob=0.99)
    assert list(ecdf) == ["quantity", "step", "difference", "lower", "upper", "prob"]
    assert len(ecdf) == len(table) * (power.places - 1)
    outside = (ecdf["difference"] < ecdf["lower"]) | (ecdf["difference"] > ecdf["upper"])
    assert set(ecdf["quantity"][outside]) == set(table["quantity"][power.table()["ecdf_p"] < 0.01])


def test_repr_says_what_was_found(power):
    shown = repr(power)
    assert "Calibration of power_n: 60 simulated tables of 60 runs, truth ranked among 99 draws, seed 2" in shown
    assert "ranks are as uniform as they should be" in shown
    assert "of 60 fits discarded" in shown
    assert "it should fail" not in shown


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"fits": 5}, DataError, "at least 20 fits"),
        ({"noise_factor": 0.0}, DataError, "noise_factor above zero"),
        ({"kept": 501}, DataError, "501 draws are to be kept of 500"),
        ({"chains": 1}, DataError, "at least 2 chains"),
        ({"truth": {"gamma": fs.Prior("halfnormal", sigma=1)}}, ModelError, "no parameter gamma"),
        ({"design": {"n_params": [1e8]}}, DataError, "missing: n_tokens"),
    ],
)
def test_what_cannot_be_calibrated(arguments, error, words):
    with pytest.raises(error, match=words):
        calibrate("chinchilla", **arguments)
