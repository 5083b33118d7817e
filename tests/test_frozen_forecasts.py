"""Forecasts kept in files: what is read is what was written, what was edited is refused, and scores are right."""

import json
import tomllib

import numpy as np
import pandas as pd
import pytest
from commandline import call, check_page, refused
from made_fits import CHINCHILLA, made_fit
from scipy import stats
from toys import toy

import forescale as fs
from forescale.checking.freeze import LEVELS
from forescale.checking.frozen_forecast import FORMAT
from forescale.checking.scoring import PROBS, coverage_name, score_quantiles
from forescale.plots import plot_frozen

POINTS = pd.DataFrame({"n_params": ["70B", "1B"], "n_tokens": ["1.4T", "20B"], "run": ["big", "small"]})


@pytest.fixture(scope="module")
def fit():
    return made_fit(fs.load_model("chinchilla"), CHINCHILLA)


@pytest.fixture
def path(tmp_path, fit):
    where = tmp_path / "forecast.toml"
    fs.freeze(fit, POINTS, path=where, note="measured on the validation set", random_seed=3)
    return where


def test_what_is_read_is_what_was_written(fit, path):
    frozen, again = fs.load_frozen(path), fs.freeze(fit, POINTS, note="measured on the validation set", random_seed=3)
    np.testing.assert_array_equal(frozen.quantiles, again.quantiles)
    pd.testing.assert_frame_equal(frozen.points, again.points)
    assert {k: v for k, v in frozen.forecast.items() if k != "frozen"} == {
        k: v for k, v in again.forecast.items() if k != "frozen"
    }
    assert frozen.estimate == again.estimate
    assert frozen.estimate["data_sha256"] == fit.observations.sha256
    assert frozen.versions["forescale"] == fs.__version__
    assert frozen.sha256 == tomllib.loads(path.read_text())["sha256"]
    table, forecast = frozen.table(0.9), fs.forecast(fit, POINTS, random_seed=3).table(0.9, "run")
    np.testing.assert_allclose(table["median"], forecast["median"], rtol=1e-3)
    np.testing.assert_allclose(table["upper"], forecast["upper"], rtol=5e-3)
    with pytest.raises(fs.DataError, match=r"no interval of probability 0\.85; they have 0\.99, 0\.98"):
        frozen.table(0.85)


def test_text_may_be_laid_out_anew_but_no_value_may_change(path):
    text = path.read_text()
    path.write_text(text.replace("\n", "\r\n").replace("format", "# a comment\nformat"))
    assert fs.load_frozen(path).points["run"].tolist() == ["big", "small"]
    for old, new in (("n_params = 7", "n_params = 8"), ("measured on", "said of"), ("seed = 3", "seed = 4")):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(fs.FileError, match="was changed since it was frozen"):
            fs.load_frozen(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "", "is not a frozen forecast"),
        (lambda text: text[:500], "is not a frozen forecast"),
        (lambda text: "format = 1\n", "is not a frozen forecast"),
        (lambda text: text.replace(f"format = {FORMAT}", "format = 99"), "format 99; this forescale reads format 1"),
    ],
)
def test_other_files_are_refused(path, change, words):
    path.write_text(change(path.read_text()))
    with pytest.raises(fs.FileError, match=words):
        fs.load_frozen(path)


def test_a_file_of_other_versions_is_scored_as_it_is(fit, path):
    frozen = fs.load_frozen(path)
    frozen.versions["forescale"] = "9.9"
    frozen.save(path, replace=True)
    assert fs.score_frozen(path, {"big": 2.0}).scores["run"].tolist() == ["big"]


def test_a_file_is_not_overwritten_unasked(fit, path):
    before = path.read_bytes()
    with pytest.raises(fs.FileError, match="is not overwritten unasked"):
        fs.freeze(fit, POINTS, path=path, random_seed=4)
    assert path.read_bytes() == before
    fs.freeze(fit, POINTS).save(path, replace=True)
    assert path.read_bytes() != before
    with pytest.raises(fs.FileError, match="cannot be written"):
        fs.freeze(fit, POINTS, path=path.parent / "nowhere" / "f.toml")


def test_refusals(fit):
    one = toy("chinchilla", E=1.8, A=470.0, B=1900.0, alpha=0.345, beta=0.36)
    with pytest.raises(fs.ModelError, match="single draw, which has no probabilities"):
        fs.freeze(one, POINTS)
    with pytest.raises(fs.ModelError, match=r"no noise model.*kind='mean'"):
        fs.freeze(fs.published("besiroglu2024"), POINTS)
    assert fs.freeze(fs.published("besiroglu2024"), POINTS, kind="mean").forecast["noise"] == "none"
    bootstrap = fs.huber_fit(fs.load_dataset("hoffmann2022"), "chinchilla", bootstrap=2, random_seed=1)
    kept = fs.freeze(bootstrap, POINTS, kind="mean" if bootstrap.noise is None else "run").estimate
    assert kept["data_sha256"] == bootstrap.observations.sha256
    with pytest.raises(fs.DataError, match="not 'median'"):
        fs.freeze(fit, POINTS, kind="median")
    with pytest.raises(fs.DataError, match="with big more than once"):
        fs.freeze(fit, POINTS.assign(run="big"))


def test_scores_of_quantiles_are_those_of_draws():
    """Of a Student-t of 3 degrees, from 25 quantiles and from all draws, and the closed form of a normal."""
    draws = np.exp(0.01 * stats.t(3).rvs((40_000, 6), random_state=1))
    loss = np.exp([-0.04, -0.01, 0.0, 0.004, 0.02, 0.08])
    kept = np.quantile(draws, LEVELS, axis=0, method="inverted_cdf").T
    found, y, x = score_quantiles(loss, LEVELS, kept), 100 * np.log(loss), 100 * np.sort(np.log(draws), axis=0)
    ranks = (2 * np.arange(1, len(x) + 1) - len(x) - 1)[:, None]
    crps = np.abs(x - y).mean(axis=0) - (ranks * x).sum(axis=0) / len(x) ** 2
    np.testing.assert_allclose(found["crps"], crps, rtol=0.02)
    low, high = np.quantile(x, [0.05, 0.95], axis=0)
    missed = np.maximum(low - y, 0) + np.maximum(y - high, 0)
    np.testing.assert_allclose(found["interval_score"], high - low + 20 * missed, rtol=0.005)
    np.testing.assert_allclose(found["pit"], (x < y).mean(axis=0), atol=0.005)
    for prob in PROBS:
        low, high = np.quantile(x, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        np.testing.assert_array_equal(found[coverage_name(prob)], (low <= y) & (y <= high))
    normal = np.exp(0.01 * stats.norm.ppf(LEVELS))[None]
    crps = 2 * stats.norm.pdf(0) - 1 / np.sqrt(np.pi)
    assert score_quantiles([1.0], LEVELS, normal)["crps"][0] == pytest.approx(crps, rel=0.01)


def frozen_files(tmp_path, observe):
    """40 forecasts of one run each, from 40 tables, and what ``observe`` makes of the right distribution came."""
    rng, paths, losses = np.random.default_rng(5), [], {}
    for i in range(40):
        law = toy("chinchilla", E=1.8 + 0.05 * rng.standard_normal(500), A=470.0, B=1900.0, alpha=0.345, beta=0.36)
        law.name = f"table {i}"
        point = {"n_params": 1e9, "n_tokens": 2e10, "run": f"run {i}"}
        paths.append(tmp_path / f"{i}.toml")
        fs.freeze(law, point, kind="mean", path=paths[-1])
        centre = fs.forecast(law, point).draws["mean"].median().item()
        losses[f"run {i}"] = observe(centre, 0.05 * rng.standard_normal())
    return paths, losses


def test_many_files_make_one_table(tmp_path):
    paths, losses = frozen_files(tmp_path, lambda centre, error: centre + error)
    found = fs.score_frozen(paths, losses)
    coverage = found.coverage(0.99)
    assert ((coverage["lower"] < coverage["band"]) & (coverage["band"] < coverage["upper"])).all()
    assert (coverage["groups"] == 40).all()
    assert stats.kstest(found.scores["pit"], "uniform").pvalue > 0.01
    figure = plot_frozen(found)
    assert figure.get_title(loc="left").endswith("of 40 inside 90 % bands")


def test_forecasters_that_are_too_sure_are_seen(tmp_path):
    paths, losses = frozen_files(tmp_path, lambda centre, error: centre + 3 * error)
    found = fs.score_frozen(paths, losses)
    assert (found.coverage(0.99)["upper"] < found.coverage()["band"]).all()
    assert stats.kstest(found.scores["pit"], "uniform").pvalue < 0.01


def test_forecasts_of_one_table_hang_together(fit):
    found = fs.score_frozen(fs.freeze(fit, POINTS), {"big": 1.9, "small": 2.5})
    assert (found.coverage()["groups"] == 1).all()


def test_what_is_observed_may_come_in_parts_and_in_many_ways(path):
    table = path.with_name("seen.csv")
    table.write_text("run,loss\nsmall,2.51\n")
    by_file, by_name = fs.score_frozen(path, table), fs.score_frozen(path, {"small": "2.51"})
    pd.testing.assert_frame_equal(by_file.scores, by_name.scores)
    assert by_file.unobserved == 1
    with pytest.raises(fs.DataError, match=r"none of 2 frozen runs is observed yet.*NAME\.observed\.csv"):
        fs.score_frozen(path)
    table.rename(path.with_name("forecast.observed.csv"))
    pd.testing.assert_frame_equal(fs.score_frozen(path).scores, by_name.scores)


@pytest.mark.parametrize(
    ("observed", "words"),
    [
        (2.31, "one loss for 2 runs: say by name which is observed, big or small"),
        ({"bigger": 2.31}, "no frozen run is called bigger; there are big and small"),
        ({"big": -2.31}, "the observed loss of big must be above zero"),
        ({"big": "low"}, "the observed loss of big: 'low' is not a quantity"),
        (pd.DataFrame({"name": ["big"], "loss": [2.0]}), "there is no run"),
        (pd.DataFrame({"run": ["big"] * 2, "loss": [2.0, 2.1]}), "big is observed twice"),
    ],
)
def test_observations_that_are_none(path, observed, words):
    with pytest.raises(fs.DataError, match=words):
        fs.score_frozen(path, observed)


def test_forecasts_that_cannot_be_counted_together(path):
    with pytest.raises(fs.DataError, match="is the same forecast as"):
        fs.score_frozen([path, path], {"big": 2.0})
    curve = fs.freeze(fs.published("besiroglu2024"), POINTS, kind="mean")
    with pytest.raises(fs.DataError, match=r"different kinds.*#2 is of kind mean"):
        fs.score_frozen([path, curve], {"big": 2.0})
    with pytest.raises(fs.DataError, match="no frozen forecast to score"):
        fs.score_frozen([])


@pytest.mark.usefixtures("eighty_columns")
def test_commands(tmp_path):
    out = tmp_path / "f.toml"
    words = ("freeze", "besiroglu2024", "--at", "70B,1.4T", "--kind", "mean", "--out", out)
    page = call(*words).stdout
    assert "mean: the law's curve" in page
    assert fs.load_frozen(out).sha256 in page
    assert "exists; choose another --out" in refused(*words)
    page = call("score", out, "--observed", "1.97").stdout
    check_page(page)
    assert "1 of 1" in page
    document = json.loads(call("score", out, "--observed", "70B,1.4T=1.97", "--json").stdout)
    assert document["coverage"][2]["hits"] == 1
    assert document["rows"][0]["crps"] == fs.score_frozen(out, 1.97).scores["crps"].item()
    out.write_text(out.read_text().replace("seed = 0", "seed = 1"))
    assert "was changed" in refused("score", out, "--observed", "1.97")
