"""Drift of a link: the shelf has what was learned from tasks, the learner learns what is there, new runs have it."""

import importlib.util
import sys
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from evaluations import as_if_fitted, evaluated

import forescale as fs
from forescale.belief.discrepancy import Discrepancy
from forescale.belief.drift import Drift
from forescale.belief.link_model import LinkModel, wandered

ROOT = Path(__file__).parents[1]
SHELF = ROOT / "models" / "drift"
LEARNED = tomllib.loads((SHELF / "links.toml").read_text())


@pytest.fixture(scope="module")
def script():
    """The benchmark that learned it."""
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("link_drift", ROOT / "benchmarks" / "link_drift.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(folder)


def test_shipped_numbers_are_those_of_the_script(script):
    rows = pd.read_csv(SHELF / "links.csv", na_values=dict.fromkeys(script.NAMES, ""), keep_default_na=False)
    assert not {"loss", "accuracy", "n_params"} & set(rows)  # other people's tables are not part of this project
    used = rows[rows["error"] == ""]
    learned = script.learn([script.evidence(group[script.NAMES].to_numpy(float)) for _, group in used.groupby("task")])
    assert Discrepancy(learned).to_table()["drift"] == {part: LEARNED["sigmoid"][part] for part in ("bias", "scale")}


@pytest.mark.parametrize(("bias", "median", "spread"), [(0.5, 1.0, 0.7)])
def test_the_learner_learns_what_is_there(script, bias, median, spread):
    rng, tasks = np.random.default_rng(3), []
    for _ in range(30):
        scale, z = median * np.exp(spread * rng.standard_normal()), rng.standard_normal()
        sd = rng.uniform(0.2, 1.0, (3, 1))
        strayed = bias + scale * (np.sqrt(0.7) * z + np.sqrt(0.3) * rng.standard_normal((3, 1)))
        tasks.append(script.evidence(-0.5 * ((script.C - strayed - sd * rng.standard_normal((3, 1))) / sd) ** 2))
    found = script.learn(tasks)
    (_, mean), (_, sigma) = found.bias.arguments
    assert abs(mean - bias) < 3 * sigma
    assert abs(np.log(found.scale.median / median)) < 3 * np.sqrt((spread**2 + 0.5) / 30)  # a z says its scale to 0.7
    # the partner: of two tasks little is learned, and the spread of another says so
    assert script.learn(tasks[:2]).scale.arguments[1][1] > found.scale.arguments[1][1] + 0.3


def test_to_wander_is_to_add_log_odds_between_the_floor_and_one():
    accuracy, low = np.array([0.25, 0.4, 0.7, 0.99]), 0.25
    np.testing.assert_allclose(wandered(accuracy, low, 0.0), accuracy, rtol=1e-14)
    share = (accuracy - low) / (1 - low)
    moved = (wandered(accuracy, low, 1.3) - low) / (1 - low)
    np.testing.assert_allclose(moved[1:] / (1 - moved[1:]), np.exp(1.3) * share[1:] / (1 - share[1:]))
    assert moved[0] == 0.0  # what has not begun to rise does not begin
    assert (wandered(accuracy, low, np.array([-1e4, 1e4, 1e4, -1e4])) <= 1).all()


def test_a_new_run_below_the_losses_fitted_has_it_and_no_other(hoffmann_fit):
    plain = as_if_fitted(fs.Outcomes.from_frame(evaluated(0), name="outcomes"))
    plain = replace(plain, model=plain.model.with_discrepancy(None))
    drift = Drift(fs.Prior("normal", mu=0.0, sigma=0.01), fs.Prior("lognormal", median=3.0, sigma=0.01))
    strayed = replace(plain, model=plain.model.with_discrepancy(Discrepancy(drift)))
    assert float(plain.drift.std()) == 0.0
    assert strayed.drift.std(("chain", "draw")).to_numpy() == pytest.approx(3.0, rel=0.1)
    assert strayed.drift.equals(strayed.drift)  # forecasts of one fit err together
    at, widths, means = {"n_params": ["100M", "70B"], "n_tokens": ["1B", "1.4T"]}, [], []
    for links in (plain, strayed):
        found = fs.downstream(links, hoffmann_fit, **at, random_seed=1)
        rows = found.table().query("task == 'recall'").set_index("kind")
        widths.append((rows["upper"] - rows["lower"])["run"].to_numpy())
        means.append(found.draws["mean"])
        assert ("drift" in found.kinds["run"]) == ("drift" in repr(found)) == (links is strayed)  # and it is said
    assert found.beyond[0, 0] < 0 < found.beyond[0, 1]
    assert widths[1][0] == pytest.approx(widths[0][0], rel=0.1)  # among the losses fitted
    assert widths[1][1] > 1.5 * widths[0][1]  # and below them
    assert means[0].equals(means[1])  # the curve is without it


def test_the_discrepancy_of_a_link_is_a_drift():
    learned = {part: LEARNED["sigmoid"][part] for part in ("bias", "scale")}
    drift = Discrepancy.from_table({"drift": learned})
    model = fs.load_link("sigmoid").with_discrepancy(drift)
    assert LinkModel.from_toml(model.to_toml()).discrepancy == drift
    structured = {"amplitude": learned["scale"], "length": 1.0, "rank": 4}
    with pytest.raises(fs.ModelError, match="is a drift, not a structured one"):
        model.with_discrepancy(Discrepancy.from_table({"structured": structured}))
