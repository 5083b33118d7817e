"""The fit: right numbers on the Hoffmann runs, the same from a seed, refusals, and files."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import forescale as fs
from forescale.belief.priors import Prior
from forescale.estimates import archive
from forescale.estimates import fit as fitting
from forescale.estimates.fit import thinned
from forescale.sampling import nuts as sampling

# Posterior mean and sd expected on the 240 runs with Student-t noise; a fit must be within half an sd.
EXPECTED = {"alpha": (0.3455, 0.0091), "beta": (0.3606, 0.0101), "E": (1.807, 0.0154)}


def test_hoffmann_posterior(hoffmann_fit):
    summary = hoffmann_fit.summary(prob=0.9)
    for name, (mean, sd) in EXPECTED.items():
        assert abs(summary.loc[name, "mean"] - mean) < sd / 2
        assert summary.loc[name, "sd"] == pytest.approx(sd, rel=0.15)
    assert list(summary.index) == ["E", "A", "B", "alpha", "beta", "sigma", "nu"]
    assert (summary["prob"] == 0.9).all()
    assert (summary["interval"] == "equal-tailed").all()
    assert hoffmann_fit.diagnostics.passed
    assert not hoffmann_fit.diagnostics.noise_misfit


def test_hoffmann_allocation(hoffmann_fit):
    allocation = fs.allocate(hoffmann_fit, compute=5.76e23)
    a = allocation.draws["a"]
    assert float(a.mean()) == pytest.approx(0.511, abs=0.005)
    low, high = a.quantile([0.05, 0.95])
    assert float(low) == pytest.approx(0.494, abs=0.004)
    assert float(high) == pytest.approx(0.527, abs=0.004)
    rows = allocation.table(prob=0.9).set_index("quantity")
    assert rows.loc["n_params", "median"] == pytest.approx(71e9, rel=0.04)
    assert rows.loc["n_params", "lower"] == pytest.approx(60e9, rel=0.06)
    assert rows.loc["n_params", "upper"] == pytest.approx(84e9, rel=0.06)
    assert rows.loc["tokens_per_param", "median"] == pytest.approx(19, rel=0.06)
    assert rows.loc["tokens_per_param", "lower"] == pytest.approx(13, rel=0.08)
    assert rows.loc["tokens_per_param", "upper"] == pytest.approx(27, rel=0.08)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [2, 3, 20, 2**31 - 1])
def test_hoffmann_posterior_from_any_seed(hoffmann, hoffmann_fit, seed):
    again = fs.fit(hoffmann, "chinchilla", random_seed=seed)
    for name, (mean, sd) in EXPECTED.items():
        assert abs(float(again.posterior[name].mean()) - mean) < sd / 2
    assert not again.posterior["alpha"].equals(hoffmann_fit.posterior["alpha"])


def test_a_fit_does_not_depend_on_the_table_fitted_before(hoffmann, simulate, monkeypatch):
    model = fs.load_model("power_n").with_noise("normal")  # compiled by no other test
    truth = {"N_c": 8.8e13, "alpha_N": 0.076}
    near, far = (simulate(model.law, truth, runs=20, scale=scale) for scale in (1.0, 1e3))
    settings = {"draws": 200, "random_seed": 1, "retry": False}

    def first_draws(*tables):
        for table in tables:
            try:
                fitted = fs.fit(table, model, **settings)
            except fs.ConvergenceError as error:  # too few draws to pass
                fitted = error.fit
        return fitted.posterior["N_c"].to_numpy()

    monkeypatch.setattr(sampling, "_SAMPLERS", {})
    first_draws(far)  # so that the code of both below comes from one cache
    monkeypatch.setattr(sampling, "_SAMPLERS", {})
    alone = first_draws(near)
    monkeypatch.setattr(sampling, "_SAMPLERS", {})
    np.testing.assert_array_equal(first_draws(far, near), alone)


def test_same_seed_same_draws(hoffmann, hoffmann_fit):
    again = fs.fit(hoffmann, "chinchilla", random_seed=hoffmann_fit.seed)
    xr.testing.assert_identical(again.posterior, hoffmann_fit.posterior)
    short = {"draws": 60, "tune": 100, "chains": 2, "retry": False}
    seeds = []
    for _ in range(2):
        with pytest.raises(fs.ConvergenceError) as caught:
            fs.fit(hoffmann, "chinchilla", random_seed=np.random.default_rng(7), **short)
        seeds.append(caught.value.fit.seed)
    assert seeds[0] == seeds[1]


def test_a_table_of_another_length_is_not_compiled_again(hoffmann, hoffmann_fit):
    compiled = len(sampling._SAMPLERS)
    fewer = hoffmann.where(lambda runs: runs["flops"] < 1e21)
    assert len(fewer) < len(hoffmann)
    fit = fs.fit(fewer, "chinchilla", random_seed=1)
    assert len(sampling._SAMPLERS) == compiled
    assert float(fit.posterior["alpha"].mean()) == pytest.approx(0.3455, abs=4 * 0.0091)


def test_dataframe_and_path_and_model_serve(hoffmann, hoffmann_fit, tmp_path):
    frame = hoffmann.table[["n_params", "n_tokens", "loss"]]
    frame.to_csv(tmp_path / "runs.csv", index=False)
    for runs in (frame, tmp_path / "runs.csv"):
        fit = fs.fit(runs, fs.load_model("chinchilla"), random_seed=1)
        np.testing.assert_allclose(fit.posterior["E"], hoffmann_fit.posterior["E"], rtol=1e-6)


def test_printed_parameters_are_those_of_the_effects(hoffmann_fit):
    draws, model = hoffmann_fit.posterior, hoffmann_fit.model
    back = draws["A"] / model.reference["n_params"] ** draws["alpha"]
    np.testing.assert_allclose(back, draws["A_effect"], rtol=1e-10)


def test_failing_fit_is_tried_once_more_and_then_refused(hoffmann, monkeypatch):
    tried = []
    original = sampling.sample

    def watched(model, data, settings, seed, **rest):
        tried.append(settings)
        return original(model, data, settings, seed, **rest)

    monkeypatch.setattr(fitting, "sample", watched)
    with pytest.raises(fs.ConvergenceError, match="ess_bulk below 400") as caught:
        fs.fit(hoffmann, "chinchilla", draws=30, tune=100, chains=2, random_seed=1)
    assert [s.target_accept for s in tried] == [0.9, 0.97]
    assert tried[1].tune == 3 * tried[0].tune
    assert tried[1].thin == 4
    assert caught.value.fit.posterior.sizes == {"chain": 2, "draw": 30}  # thinned
    assert "FAILED" in repr(caught.value.fit)
    tried.clear()
    with pytest.raises(fs.ConvergenceError):
        fs.fit(hoffmann, "chinchilla", draws=30, tune=100, chains=2, random_seed=1, retry=False)
    assert len(tried) == 1


def test_interrupt_keeps_nothing(hoffmann, hoffmann_fit, monkeypatch):
    import nutpie

    def interrupted(self, **rest):
        raise KeyboardInterrupt

    background = nutpie.sample.__globals__["_BackgroundSampler"]
    monkeypatch.setattr(background, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fs.fit(hoffmann, "chinchilla", random_seed=1, draws=50_000)


def test_losses_outside_the_prior_are_told(hoffmann):
    frame = hoffmann.table.drop(columns=["flops", "run"])
    frame["loss"] = frame["loss"] * 3.9
    with pytest.warns(fs.ForescaleWarning, match="outside what the priors of model 'chinchilla' allow"):
        fs.fit(frame, "chinchilla", random_seed=1)


def test_noise_that_does_not_fit_is_told(hoffmann):
    """A known standard error a fifth of the true scatter, with no room for more, does not pass unseen."""
    frame = hoffmann.table.assign(loss_se=lambda runs: 0.0001 * runs["loss"])
    model = fs.load_model("chinchilla").with_noise(
        "known", sigma=Prior("truncatednormal", mu=0.001, sigma=0.0001, lower=0.0005, upper=0.0012)
    )
    with pytest.warns(fs.ForescaleWarning, match="not of the scale that noise 'known' claims"):
        fs.fit(frame, model, random_seed=1)


@pytest.mark.slow
def test_noise_of_a_large_table_is_not_blamed_by_chance(simulate, monkeypatch):
    """However large the table, the check sees 100 draws, and a right noise has p far from 0 and 1."""
    monkeypatch.setattr(fitting, "_CHECKED", 4 * 2000)
    model = fs.load_model("chinchilla")
    truth = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36}
    fit = fs.fit(simulate(model.law, truth, runs=2000), model, draws=300, random_seed=1)
    assert 0.02 < fit.diagnostics.residual_scale_p < 0.98


def test_inputs_that_move_together_are_told(hoffmann):
    frame = hoffmann.table[["n_params", "loss"]].assign(n_tokens=lambda runs: 20 * runs["n_params"])
    with pytest.warns(fs.ForescaleWarning, match="n_params and n_tokens move together"):
        fs.fit(frame, "chinchilla", random_seed=1)


@pytest.mark.parametrize("setting", [{"chains": 1}, {"draws": 0}, {"target_accept": 1.0}, {"random_seed": -1}])
def test_settings_that_make_no_fit_are_refused(hoffmann, setting):
    with pytest.raises(fs.DataError, match=r"at least"):
        fs.fit(hoffmann, "chinchilla", **setting)


def test_table_without_the_input_is_refused(hoffmann):
    with pytest.raises(fs.DataError, match="n_tokens"):
        fs.fit(hoffmann.table[["n_params", "loss"]], "chinchilla")
    with pytest.raises(fs.DataError, match="4 runs and the model has 7 parameters"):
        fs.fit(hoffmann.table.head(4), "chinchilla")


@pytest.mark.slow
def test_plain_path_agrees(hoffmann, hoffmann_fit, monkeypatch):
    """Without the quick compilation and its coordinates: the same posterior, within Monte Carlo error."""
    monkeypatch.setattr(sampling, "compile_density", lambda *args: None)
    monkeypatch.setattr(sampling, "_SAMPLERS", {})
    plain = fs.fit(hoffmann, "chinchilla", random_seed=5)
    for name in ("E", "A_effect", "alpha", "beta", "sigma", "nu"):
        ours, theirs = hoffmann_fit.posterior[name], plain.posterior[name]
        ess = [f.diagnostics.table.loc[name, "ess_bulk"] for f in (hoffmann_fit, plain)]
        error = np.sqrt(float(ours.var()) / ess[0] + float(theirs.var()) / ess[1])
        assert abs(float(ours.mean() - theirs.mean())) < 4 * error
        assert abs(float(ours.mean() - 1.02 * theirs.mean())) > 4 * error or name in {"sigma", "nu"}


def test_quick_compilation_steps_aside_when_nutpie_changes(hoffmann, monkeypatch):
    import nutpie.compile_pymc

    model = fs.load_model("power_c")
    monkeypatch.delattr(nutpie.compile_pymc, "make_user_data")
    assert sampling._compile_centred(model, model.data(hoffmann)) is None


def test_tree_has_the_arviz_groups_and_arviz_reads_it(hoffmann_fit):
    import arviz_stats

    tree = hoffmann_fit.tree
    assert set(tree.children) == {
        "posterior",
        "sample_stats",
        "prior",
        "log_prior",
        "log_likelihood",
        "posterior_predictive",
        "observed_data",
        "constant_data",
    }
    assert tree["log_likelihood"]["log_loss"].dims == ("chain", "draw", "run")
    assert tree["posterior_predictive"]["log_loss"].dims == ("chain", "draw", "run")
    loo = arviz_stats.loo(tree)
    assert loo.elpd > 0
    assert loo.n_data_points == 240
    inside = tree["posterior_predictive"]["log_loss"].quantile([0.05, 0.95], ("chain", "draw"))
    observed = tree["observed_data"]["log_loss"]
    share = float(((observed > inside[0]) & (observed < inside[1])).mean())
    assert 0.85 < share < 0.95


def test_pointwise_groups_are_thinned_for_large_tables(hoffmann_fit, monkeypatch):
    few = thinned(hoffmann_fit.posterior, 240, 240 * 4 * 100)
    assert few.sizes["draw"] == 100
    monkeypatch.setattr(archive, "POINTWISE_MOST", 240 * 4 * 100)
    tree = archive.to_tree(hoffmann_fit)
    assert tree["log_likelihood"].sizes["draw"] == 100
    assert tree["log_likelihood"].attrs["thinned_by"] == 10
    assert tree["posterior"].sizes["draw"] == 1000


def test_save_and_load(hoffmann_fit, tmp_path):
    path = hoffmann_fit.save(tmp_path / "fit.nc")
    assert [item.name for item in tmp_path.iterdir()] == ["fit.nc"]
    loaded = fs.load_fit(path)
    xr.testing.assert_identical(loaded.posterior, hoffmann_fit.posterior)
    pd.testing.assert_frame_equal(loaded.summary(), hoffmann_fit.summary())
    pd.testing.assert_frame_equal(loaded.observations.table, hoffmann_fit.observations.table)
    assert loaded.model == hoffmann_fit.model
    assert loaded.observations.notes == hoffmann_fit.observations.notes
    assert (loaded.seed, loaded.settings, loaded.name) == (hoffmann_fit.seed, hoffmann_fit.settings, hoffmann_fit.name)
    assert json.loads(loaded.tree.attrs["versions"]).keys() >= {"pymc", "nutpie", "arviz", "forescale"}
    redone = fs.fit(loaded.observations, loaded.model, random_seed=loaded.seed, **loaded.settings.as_dict())
    xr.testing.assert_identical(redone.posterior, hoffmann_fit.posterior)


def test_files_that_are_not_fits(hoffmann_fit, tmp_path):
    with pytest.raises(fs.FileError, match="no such file"):
        fs.load_fit(tmp_path / "none.nc")
    whole = hoffmann_fit.save(tmp_path / "fit.nc")
    cut = tmp_path / "cut.nc"
    cut.write_bytes(whole.read_bytes()[:100_000])
    with pytest.raises(fs.FileError, match="truncated"):
        fs.load_fit(cut)
    text = tmp_path / "text.nc"
    text.write_text("n_params,loss\n")
    with pytest.raises(fs.FileError, match="not a readable NetCDF"):
        fs.load_fit(text)
    foreign = tmp_path / "foreign.nc"
    xr.Dataset({"x": ("i", [1.0])}).to_netcdf(foreign, engine="h5netcdf")
    with pytest.raises(fs.FileError, match="not a forescale fit"):
        fs.load_fit(foreign)
    for attribute, value, says in (
        ("forescale_format", archive.FORMAT + 1, "upgrade it"),
        ("observations_sha256", "0" * 64, "sha256 differs"),
        ("model_card", 'law = "nothing"', "missing or damaged"),
    ):
        changed = tmp_path / "changed.nc"
        changed.write_bytes(whole.read_bytes())
        with h5py.File(changed, "r+") as file:
            file.attrs[attribute] = value
        with pytest.raises(fs.FileError, match=says):
            fs.load_fit(changed)


def test_save_loses_nothing_when_it_fails(hoffmann_fit, tmp_path, monkeypatch):
    path = tmp_path / "fit.nc"
    path.write_text("what stood here")

    def fails(self, *args, **rest):
        raise OSError("disk full")

    monkeypatch.setattr(xr.DataTree, "to_netcdf", fails)
    with pytest.raises(OSError, match="disk full"):
        hoffmann_fit.save(path)
    assert path.read_text() == "what stood here"
    assert list(tmp_path.iterdir()) == [path]
