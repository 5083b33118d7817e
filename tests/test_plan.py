"""One budget on one page: the answers are those of the verbs, small runs are within reach, and refusals say why."""

import json

import numpy as np
import pandas as pd
import pytest
from commandline import call, check_page, refused
from made_fits import CHINCHILLA, POWER, made_fit
from test_recovery import TRUTH

import forescale as fs
from forescale.plots import plot_plan, save_figure

BUDGET = 1e24


@pytest.fixture(scope="module")
def fit():
    return made_fit(fs.load_model("chinchilla"), CHINCHILLA, spread=0.01)


@pytest.fixture(scope="module")
def found(fit):
    return fs.plan(fit, "1e24", random_seed=1)


def test_answers_are_those_of_the_verbs(fit, found):
    split = fs.allocate(fit, BUDGET)
    assert found.split.draws.equals(split.draws)
    size, tokens = found.run.values()
    assert size == float(split.draws["n_params"].median())
    assert 6 * size * tokens == pytest.approx(BUDGET)
    assert found.near.draws.equals(fs.near_optimal(fit, BUDGET).draws)
    expected = fs.forecast(fit, n_params=size, n_tokens=tokens, random_seed=1)
    assert found.expected.draws.equals(expected.draws)
    for place, factor in enumerate((0.5, 2.0)):
        alone = fs.regret(fit, BUDGET, n_params=factor * size).draws
        np.testing.assert_array_equal(found.missed.draws["wasted_compute"][..., place], alone["wasted_compute"][..., 0])
    assert found.hangs_on.sentence() == fs.sensitivity(fit, "n_params", compute=BUDGET).sentence()


def test_the_distance_beyond_the_runs_is_that_of_the_planned_run(fit, found):
    assert found.decades > 0.5
    inside = float(np.median(6 * fit.observations.column("n_params") * fit.observations.column("n_tokens")))
    best = fs.allocate(fit, inside).draws["n_params"].median()
    near = fs.plan(fit, inside, first=1.0)
    assert near.run["n_params"] == pytest.approx(float(best))
    assert near.decades < found.decades


def test_small_runs_are_in_reach_and_within_their_share(fit, found):
    runs, batch = fit.observations, found.first.batch
    assert batch["flops"].sum() <= 0.01 * BUDGET
    for name in ("n_params", "n_tokens"):
        assert (found.first.runs[name] >= runs.column(name).min() / 2.001).all()
        assert (found.first.runs[name] <= runs.column(name).max() * 2.001).all()
    dearer = fs.plan(fit, BUDGET, first=0.1).first.batch
    assert dearer["remaining"].iloc[-1] <= batch["remaining"].iloc[-1]
    own = pd.DataFrame({"n_params": [1e9], "n_tokens": [5e9]})
    assert fs.plan(fit, BUDGET, candidates=own).first.batch["run"].tolist() == ["1B,5B"]


def test_the_table_has_every_band(found):
    table = found.table(0.8)
    assert list(table) == ["part", "quantity", "median", "lower", "upper", "prob", "interval"]
    assert set(table["part"]) == {"split", "loss", "more", "half the size", "twice the size"}
    assert (table["lower"] <= table["upper"]).all()
    assert (table["prob"] == 0.8).all()
    assert repr(found).startswith("Plan for 1e+24 FLOPs by ")


def test_risks_say_what_the_tables_say(found):
    far, worst, half, twice, hangs = found.risks(0.8)
    assert f"{found.decades:.1f} decades" in far
    expected = found.expected.table(0.8).set_index("kind")
    assert worst == f"One run in 10 would end above {expected.loc['run', 'upper']:.3f} nats."
    priced = found.missed.table(0.8).query("quantity == 'wasted_compute'")
    for told, row in zip((half, twice), priced.itertuples(), strict=True):
        assert f"{row.median:.2g} [{row.lower:.2g}, {row.upper:.2g}] %" in told
    assert "of the spread in N*" in hangs


def test_the_figure_has_a_panel_for_each_question(found, tmp_path):
    ax = plot_plan(found, prob=0.8)
    train, expect, wrong, first = ax.child_axes
    curve = train.lines[0]
    np.testing.assert_allclose(curve.get_ydata(), found.near.probability(curve.get_xdata())["probability"])
    assert train.lines[1].get_xdata()[0] == found.run["n_params"]
    bands = found.expected.table(0.8)
    for line, row in zip(expect.lines[::2], bands.itertuples(), strict=True):
        assert list(line.get_xdata()) == pytest.approx([row.lower, row.upper])
    priced = found.missed.table(0.8).query("quantity == 'wasted_compute'")
    for line, row in zip(wrong.lines[::2], priced.itertuples(), strict=True):
        assert list(line.get_xdata()) == pytest.approx([row.lower, row.upper])
    assert list(first.lines[1].get_ydata()) == pytest.approx((100 * found.first.batch["remaining"]).tolist())
    for panel in ax.child_axes:
        assert panel.get_xlabel().endswith(")")
    assert any("80 % equal-tailed" in text.get_text() for text in ax.get_legend().get_texts())
    assert save_figure(ax, tmp_path / "plan.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_planned_is_refused(fit):
    with pytest.raises(fs.ModelError, match="begins with runs, and besiroglu2024 has none"):
        fs.plan(fs.published("besiroglu2024"), BUDGET)
    with pytest.raises(fs.ModelError, match="chinchilla"):
        fs.plan(made_fit(fs.load_model("power_c"), POWER), BUDGET)
    with pytest.raises(fs.DataError, match="one budget; 2 were given"):
        fs.plan(fit, [1e23, 1e24])
    with pytest.raises(fs.DataError, match="above 0 and at most 1, not 0"):
        fs.plan(fit, BUDGET, first=0)
    with pytest.raises(fs.DataError, match="pay for no run between"):
        fs.plan(fit, BUDGET, first=1e-9)


def test_where_tokens_repeat_all_of_it_is_of_those_that_there_are(monkeypatch, eighty_columns):
    n_tokens = 20 * np.geomspace(1e8, 1e10, 30)
    model = fs.load_model("data_constrained")
    values = {**TRUTH["data_constrained"], "sigma": 0.004, "nu": 3.0}
    fit = made_fit(model, values, spread=0.01, unique_tokens=n_tokens / np.resize([1.0, 4.0], 30))
    with pytest.raises(fs.ModelError, match="unique_tokens='100B'"):
        fs.plan(fit, "1e22")
    found = fs.plan(fit, "1e22", unique_tokens="25B", random_seed=1)
    split = fs.allocate(fit, "1e22", unique_tokens="25B")
    assert found.split.draws.equals(split.draws)
    assert found.run["unique_tokens"] == 25e9 < found.run["n_tokens"]
    assert (found.first.runs["unique_tokens"] <= 25e9).all()
    assert set((found.first.runs["n_tokens"] / found.first.runs["unique_tokens"]).round(6)) == {1.0, 4.0, 16.0}
    monkeypatch.setattr("forescale.terminal.arguments.load_source", lambda word: fit)
    monkeypatch.setattr("forescale.plan", lambda *given, **words: found)
    page = call("plan", "fit.nc", "--budget", "1e22", "--unique-tokens", "25B").stdout
    check_page(page)
    assert "epochs)" in page


def test_the_page_says_the_same(fit, found, tmp_path, monkeypatch, eighty_columns):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("forescale.terminal.arguments.load_source", lambda word: fit)
    page = call("plan", "fit.nc", "--budget", "1e24", "--seed", 1).stdout
    check_page(page)
    for heading in ("What to train", "What to expect of", "What could go wrong", "Which small runs first"):
        assert heading in page
    assert f"{found.decades:.1f} decades beyond the runs fitted" in page
    document = json.loads(call("plan", "fit.nc", "--budget", "1e24", "--seed", 1, "--json").stdout)
    assert document["n_params"] == found.run["n_params"]
    assert [row["median"] for row in document["rows"]] == found.table()["median"].tolist()
    monkeypatch.undo()
    assert "a plan begins with runs" in refused("plan", "besiroglu2024", "--budget", "1e24")


def test_of_noise_known_by_standard_errors_runs_to_come_have_the_usual_one():
    model, errors = fs.load_model("chinchilla").with_noise("known"), np.linspace(0.005, 0.015, 30)
    sure, unsure = (made_fit(model, CHINCHILLA, spread=0.01, loss_se=times * errors) for times in (1, 20))
    found = fs.plan(sure, BUDGET, random_seed=1)
    alone = fs.forecast(sure, {**found.run, "loss_se": 0.01}, random_seed=1)
    assert found.expected.draws.equals(alone.draws)
    left, more_left = (plan.first.runs["remaining"].min() for plan in (found, fs.plan(unsure, BUDGET, random_seed=1)))
    assert 0 < left < more_left < 1
