"""Backtests: no held-out loss reaches a fit, coverage is at its rate where the law is exact, failures are rows."""

import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import forescale as fs
from forescale.checking.backtest import backtest
from forescale.checking.baselines import huber_draws, last_point_draws
from forescale.checking.scoring import PROBS
from forescale.checking.tasks import COLUMNS, Task, forecasters, run_task
from forescale.errors import DataError, ModelError
from forescale.sampling.nuts import Settings
from forescale.tables.cuts import make_cuts

TRUTH = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36}
FEW = {"draws": 300, "tune": 300, "bootstrap": 20, "workers": 1}
SETTINGS = Settings(300, 300)


@pytest.fixture(scope="module")
def runs(simulate):
    return simulate(fs.load_model("chinchilla").law, TRUTH, runs=40, seed=3)


@pytest.fixture(scope="module")
def result(runs):
    return backtest(runs, "chinchilla", random_seed=1, progress=False, **FEW)


def with_losses(runs, where, factor):
    """The same runs, with some losses made larger."""
    return replace(runs, columns={**runs.columns, "loss": runs.column("loss") * np.where(where, factor, 1.0)})


def tasks(runs, cut):
    who = forecasters([fs.load_model("chinchilla")], ["huber", "last-point"])
    return [Task(runs, "t", "flops", each, cut, SETTINGS, 20, 1) for each in who]


def said(rows):
    return [(row["run"], row["median"], row["lower"], row["upper"]) for row in rows]


@pytest.mark.filterwarnings("ignore:losses of:forescale.errors.ForescaleWarning")
def test_no_held_out_loss_reaches_a_fit(runs):
    (cut,) = make_cuts(runs, "flops", np.median(runs.column("flops")))
    fitted = np.array(cut.fitted)
    poisoned = with_losses(runs, ~fitted, 1.7)
    reached = with_losses(runs, fitted & (np.arange(len(runs)) == fitted.argmax()), 1.7)
    changed = 0
    for clean, bad, seen in zip(*(tasks(table, cut) for table in (runs, poisoned, reached)), strict=True):
        first, second = run_task(clean), run_task(bad)
        assert first[0]["error"] == ""
        assert said(first) == said(second)
        assert np.mean([row["crps"] for row in second]) > 2 * np.mean([row["crps"] for row in first])
        changed += said(first) != said(run_task(seen))  # the partner: a loss that is fitted does
    assert changed == 3


def test_a_task_alone_is_the_task_in_company(runs, result):
    """And a task that went through another process's pipe."""
    cut = make_cuts(runs, "flops", n_parameters=7)[1]
    for task in tasks(runs, cut):
        alone = run_task(pickle.loads(pickle.dumps(replace(task, table=runs.name))))
        company = result.points.query(f"model == {task.forecaster.name!r} and cut == {cut.label!r}")
        pd.testing.assert_frame_equal(pd.DataFrame(alone, columns=COLUMNS), company.reset_index(drop=True))


def test_whatever_changes_the_rows_changes_the_key(runs):
    cuts = make_cuts(runs, "flops", n_parameters=7)
    task, huber, _ = tasks(runs, cuts[0])
    assert replace(task).key == task.key
    renamed = fs.load_model("chinchilla").renamed({"E": "floor"})
    others = [
        replace(task, runs=with_losses(runs, np.arange(len(runs)) == 3, 1.0 + 1e-15)),
        replace(task, runs=replace(runs, name="other")),
        replace(task, runs=replace(runs, counts_embeddings=True)),
        replace(task, table="other"),
        replace(task, size="n_params"),
        replace(task, cut=cuts[1]),
        replace(task, cut=replace(cuts[0], label="other")),
        replace(task, settings=replace(SETTINGS, tune=301)),
        replace(task, bootstrap=21),
        replace(task, seed=2),
        replace(task, forecaster=replace(task.forecaster, name="other")),
        replace(task, forecaster=replace(task.forecaster, card=renamed.to_toml())),
        huber,
    ]
    assert len({task.key, *(other.key for other in others)}) == 1 + len(others)


def test_a_second_call_takes_what_is_kept(runs, result, tmp_path, monkeypatch):
    def forbidden(*args, **rest):
        raise AssertionError("fitted again")

    kept = tmp_path / "scores.jsonl"
    first = backtest(runs, "chinchilla", random_seed=1, progress=False, results=kept, **FEW)
    pd.testing.assert_frame_equal(first.points, result.points)
    monkeypatch.setattr("forescale.checking.tasks.run_task", forbidden)
    again = backtest(runs, "chinchilla", random_seed=1, progress=False, results=kept, **FEW)
    pd.testing.assert_frame_equal(again.points, result.points)
    other = backtest(runs, "chinchilla", random_seed=2, progress=False, results=kept, **FEW)  # the partner
    assert other.points["error"].str.contains("fitted again").all()


def test_rows(runs, result):
    points = result.points
    assert list(points) == COLUMNS
    assert (points["error"] == "").all()
    assert not points.duplicated(["table", "model", "cut", "run"]).any()
    assert set(points["model"]) == {"chinchilla", "huber chinchilla", "last-point"}
    flops, loss = (dict(zip(runs.labels("run"), runs.column(name), strict=True)) for name in ("flops", "loss"))
    for (_, cut), rows in points.groupby(["model", "cut"]):
        left = sorted(flops.values())[: int(cut.split()[0])]
        assert (rows["runs_fitted"] == len(left)).all()
        assert len(rows) + len(left) == len(runs)
        np.testing.assert_allclose(rows["distance"], np.log10(rows["run"].map(flops) / left[-1]))
        np.testing.assert_allclose(rows["span"], np.log10(left[-1] / left[0]))
        assert (rows["distance"] > 0).all()
        assert rows["run"].map(loss).tolist() == rows["loss"].tolist()
    assert (points["lower"] < points["median"]).all()
    assert (points["median"] < points["upper"]).all()
    np.testing.assert_allclose(points["bias"], 100 * np.log(points["median"] / points["loss"]))
    assert ((points["lower"] <= points["loss"]) & (points["loss"] <= points["upper"])).eq(points["covered_90"]).all()


def test_totals_and_bins(result):
    totals = result.table(None).set_index("model")
    assert list(totals.index) == ["chinchilla", "huber chinchilla", "last-point"]
    bins = result.table()
    for name, rows in result.points.groupby("model"):
        assert totals.loc[name, "points"] == len(rows)
        assert totals.loc[name, "crps"] == pytest.approx(rows["crps"].mean())
        mine = bins[bins["model"] == name]
        assert np.average(mine["covered_80"], weights=mine["points"]) == pytest.approx(rows["covered_80"].mean())
        near = rows[(rows["distance"] > 0) & (rows["distance"] <= 0.5)]
        row = mine[mine["distance"] == "0 to 0.5"].squeeze()
        assert row["points"] == len(near)
        assert row["interval_score"] == pytest.approx(near["interval_score"].mean())
    assert list(bins["distance"].unique()) == [
        name for name in ("to 0", "0 to 0.5", "0.5 to 1", "1 to 2", "beyond 2") if name in set(bins["distance"])
    ]
    cuts = result.table("cut")
    assert len(cuts) == 3 * result.points["cut"].nunique()
    with pytest.raises(DataError, match="no column 'colour'"):
        result.table("colour")


def test_repr_fits_a_terminal(result, runs):
    text = repr(result)
    assert max(map(len, text.splitlines())) <= 80
    assert "Backtest by flops: 1 table, 4 cuts, 3 models" in text
    for name in ("chinchilla", "huber chinchilla", "last-point", "90 %", "CRPS", "bias", "decades of flops"):
        assert name in text
    assert "failed" not in text


def test_a_failure_is_a_row(runs):
    few = runs.where(np.arange(len(runs)) < 8)
    bad = pd.DataFrame({"n_params": [1e9, 2e9], "colour": ["red", "blue"]})
    found = backtest(
        [runs, few, bad, "nowhere.csv"],
        "chinchilla",
        by="n_params",
        cuts=3e8,
        baselines=["last-point"],
        draws=20,
        tune=50,
        random_seed=1,
        workers=1,
    )
    errors = found.failures.set_index(["table", "model"])["error"]
    # twenty draws are too few for the effective sample size that a fit must reach
    assert errors[runs.name, "chinchilla"].startswith("ConvergenceError")
    assert errors["nowhere", "chinchilla"].startswith("DataError")
    assert errors[f"{runs.name} #2", "chinchilla"].startswith("DataError")  # fewer runs than parameters
    assert errors["runs", "last-point"].startswith("DataError")
    scored = found.points.query("error == ''")
    assert set(scored["model"]) == {"last-point"}
    assert len(found.table(None)) == 1  # a model that scored nothing does not take the points of others away
    assert set(found.by_table()["table"]) == {runs.name, f"{runs.name} #2"}
    assert max(map(len, repr(found).splitlines())) <= 80
    assert "tasks failed; .failures lists them" in repr(found)


def test_points_in_common(result):
    lost = result.points.index[result.points["model"] == "chinchilla"][:5]
    points = result.points.drop(lost)
    part = replace(result, points=points)
    assert (part.table(None)["points"] == len(result.points) / 3 - 5).all()
    own = part.table(None, common=False).set_index("model")["points"]
    assert own["last-point"] - own["chinchilla"] == 5


def test_by_family_and_without_compute():
    nmt = fs.load_dataset("google_nmt")
    model = fs.load_model("shifted_power_d").renamed({"n_tokens": "n_examples"})
    found = backtest(nmt, model, by="family", cuts=nmt.labels("family")[0], random_seed=1, progress=False, **FEW)
    assert set(found.points["error"]) == {""}
    assert set(found.points["size"]) == {"n_examples"}
    assert (found.points["distance"] <= 0).all()
    assert found.points["distance_n_params"].isna().all()
    assert (found.table()["distance"] == "to 0").all()


def test_last_point_on_an_exact_power_law():
    flops = 10.0 ** np.arange(18, 24)
    rng = np.random.default_rng(1)
    exact = fs.Observations({"flops": flops, "loss": 3 * (flops / 1e18) ** -0.05})
    noisy = fs.Observations({"flops": flops, "loss": exact.column("loss") * np.exp(0.01 * rng.normal(size=6))})
    ahead = fs.Observations({"flops": np.array([1e25]), "loss": np.array([1.0])})
    draws = last_point_draws(exact, ahead, "flops", 50, 1)
    assert draws.shape == (4000, 1)
    np.testing.assert_allclose(draws, 3 * 1e7**-0.05)
    assert np.ptp(last_point_draws(noisy, ahead, "flops", 50, 1)) > 0.01
    with pytest.raises(DataError, match="needs runs of several sizes"):
        last_point_draws(exact.where(flops=1e18), ahead, "flops", 50, 1)


def test_huber_draws_scatter_like_the_residuals(runs):
    law = fs.load_model("chinchilla").law
    draws = huber_draws(runs, runs, law, 40, 1)
    found = fs.huber_fit(runs, law)
    residual = np.log(runs.column("loss")) - np.log(law(runs.columns, found.estimate))
    n = len(runs)
    spread = np.log(draws / np.median(draws, axis=0)).std(axis=0).mean()
    assert residual.std() * np.sqrt(n / (n - 5)) == pytest.approx(spread, rel=0.1)
    assert abs(residual.std() / spread - 1) > 0.05  # the partner: without the parameters counted it is too narrow


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"models": ["chinchilla", "chinchilla"]}, ModelError, "names of their own"),
        ({"models": []}, ModelError, "there must be one"),
        ({"models": "nothing"}, ModelError, "no model is called"),
        ({"baselines": ["magic"]}, ModelError, "no baseline is called 'magic'; there are huber, last-point"),
        ({"bootstrap": 1}, DataError, "at least 2"),
        ({"by": "colour"}, DataError, "no column 'colour' to cut by"),
        ({"cuts": 1.0}, DataError, "leaves nothing to fit"),
        ({"runs": []}, DataError, "none of 0 tables"),
        ({"workers": 0}, DataError, "at least 1"),
        ({"results": "r.jsonl"}, DataError, "give random_seed="),
    ],
)
def test_what_cannot_be_asked(runs, given, error, words):
    with pytest.raises(error, match=words):
        backtest(**{"runs": runs, **given})


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:losses of:forescale.errors.ForescaleWarning")
def test_coverage_at_its_rate_where_the_law_is_exact():
    """Truths, noise included, are drawn from the priors: then bands of held-out runs cover exactly at their rate.

    Runs of a table share the error of its law, so a table counts as one: the mean share of 40 tables is compared with
    the spread between them. The partner: held-out runs that scatter three times as much are not covered.
    """
    model = fs.load_model("chinchilla").with_discrepancy(None)  # the law is exact
    rng = np.random.default_rng(7)
    prior = model.sample_prior(40, rng)
    tables, wild = [], []
    for i in range(40):
        truth = {name: float(prior[name][0, i]) for name in model.parameters}
        n, d = 10 ** rng.uniform(7.5, 9.5, 40), 10 ** rng.uniform(8.8, 10.8, 40)
        inputs = {"n_params": n, "n_tokens": d, "flops": 6 * n * d}
        noise = model.noise.sample(truth, (40,), rng)
        for made, factor in ((tables, 1), (wild, 3)):
            scatter = noise * np.where(inputs["flops"] > np.sort(inputs["flops"])[27], factor, 1)
            made.append(
                fs.Observations(inputs | {"loss": model.law(inputs, truth) * np.exp(scatter)}, name=f"table {i}")
            )
    settings = {"by": "flops", "baselines": [], "draws": 500, "random_seed": 1, "progress": False, "workers": 1}
    shares = {}
    for name, made in (("right", tables), ("wild", wild)):
        cuts = [np.sort(table.column("flops"))[27] for table in made]
        points = pd.concat(
            [backtest(table, model, cuts=cut, **settings).points for table, cut in zip(made, cuts, strict=True)]
        )
        assert (points["error"] != "").sum() <= 2
        shares[name] = points[points["error"] == ""].groupby("table")
    for prob in PROBS:
        column = f"covered_{100 * prob:g}"
        right, wrong = (shares[name][column].mean() for name in ("right", "wild"))
        assert abs(right.mean() - prob) < 3.1 * right.std() / np.sqrt(len(right))
        assert abs(wrong.mean() - prob) > 3.1 * wrong.std() / np.sqrt(len(wrong))


@pytest.mark.slow
def test_the_plain_law_covers_too_little_on_real_ladders(runs):
    plain = fs.load_model("chinchilla").with_discrepancy(None)
    ladders = [fs.load_dataset("hoffmann2022"), fs.load_dataset("openeurollm")]
    real = backtest(ladders, plain, baselines=["huber"], bootstrap=30, random_seed=1)
    assert not len(real.failures)
    assert (real.by_table()["covered_90"] < 0.85).all()
    # the partner: on the law's own runs it is not so
    exact = backtest(runs, plain, baselines=[], random_seed=1)
    assert exact.table(None)["covered_90"].item() > 0.85
