"""The drift of the cards is what the shipped reference class teaches, and the learner learns what is there."""

import importlib.util
import sys
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forescale as fs

ROOT = Path(__file__).parents[1]
SHELF = ROOT / "models" / "drift"
NO_LADDERS = {"learning_curve", "data_constrained", "routed"}  # the class has none of their laws
NO_LADDERS |= {"overtraining", "manifold", "transfer"}  # not yet fitted to it
NO_LADDERS |= {"annealed", "annealed_sizes"}
NO_LADDERS |= {"unbroken_d", "steepening_d", "flattening_d", "twice_broken_d", "m4_d"}
LEARNED = tomllib.loads((SHELF / "learned.toml").read_text())


@pytest.fixture(scope="module")
def drift():
    """The script that made it."""
    folder = str(ROOT / "benchmarks")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("drift", ROOT / "benchmarks" / "drift.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(folder)


@pytest.mark.parametrize("card", fs.list_models())
def test_cards_carry_what_was_learned(card):
    found = fs.load_model(card).discrepancy
    if card not in LEARNED:
        assert card in NO_LADDERS
        assert str(found) == "none"
        return
    assert found.to_table() == {"drift": {name: LEARNED[card][name] for name in ("bias", "scale")}}


def test_the_class_holds_no_losses():
    """It is made of other people's tables, which are not part of this project: rows are of errors alone."""
    rows = pd.read_csv(SHELF / "ladders.csv")
    assert not {"loss", "n_params", "n_tokens"} & set(rows)
    assert set(rows["source"]) >= {"hoffmann2022", "openeurollm", "google_nmt", "gadre", "olmo"}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_shipped_numbers_are_those_of_the_script(drift):
    rows = pd.read_csv(SHELF / "ladders.csv", keep_default_na=False, na_values={"c": "", "c_sd": ""})
    learned = drift.learn(drift.rows_of(rows, "coupled"))
    told = LEARNED["coupled"]
    assert learned.scale.median == pytest.approx(told["scale"]["median"], rel=0.15)
    assert learned.scale.arguments[1][1] == pytest.approx(told["scale"]["sigma"], rel=0.15)
    assert learned.bias.median == pytest.approx(told["bias"]["mu"], abs=0.001)


def simulated(rng, bias, median, spread, sources=12, tables=4):
    """Rows of ladders whose scales differ: c in percent, of three cuts a table that err alike in part."""
    rows = []
    for source in range(sources):
        for table in range(tables):
            scale = median * np.exp(spread * rng.standard_normal())
            z = rng.standard_normal()
            for _ in range(3):
                c_sd = rng.uniform(0.2, 1.0)
                strayed = bias + scale * np.sqrt(0.7) * z + np.hypot(scale * np.sqrt(0.3), c_sd) * rng.standard_normal()
                rows.append({"source": source, "table": f"{source} {table}", "c": strayed, "c_sd": c_sd})
    return pd.DataFrame(rows)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_learner_recovers_a_simulated_class(drift):
    """Bias, and median and spread of the scales that ladders were drawn with; the partner is twice the scale."""
    rng = np.random.default_rng(1)
    for bias, median, spread in ((-1.0, 1.0, 0.8), (0.0, 3.0, 0.4)):
        learned = drift.learn(simulated(rng, bias, median, spread))
        sd_of_bias = learned.bias.arguments[1][1]
        assert abs(100 * learned.bias.median - bias) < 3 * 100 * sd_of_bias
        assert 100 * learned.scale.median == pytest.approx(median, rel=0.4)
        assert learned.scale.arguments[1][1] == pytest.approx(spread, abs=0.35)
        assert 100 * learned.scale.median != pytest.approx(2 * median, rel=0.4)
