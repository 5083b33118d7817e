"""The evidence for the bands: nobody is judged by their own tables, and what is told apart is told apart."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import forescale as fs
from forescale.belief.discrepancy import Discrepancy
from forescale.belief.drift import Drift, decades_outside

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
DRIFT = Drift(fs.Prior("normal", mu=0.0, sigma=0.002), fs.Prior("lognormal", median=0.02, sigma=0.5))


@pytest.fixture(scope="module")
def benchmark():
    """``benchmark(name)``: a script as a module; its neighbours are found as when it is run."""
    sys.path.insert(0, str(BENCHMARKS))
    names = ("answers", "drift", "ladders", "measure", "outside")
    try:
        yield importlib.import_module
    finally:
        sys.path.remove(str(BENCHMARKS))
        for name in names:
            sys.modules.pop(name, None)


@pytest.fixture(scope="module")
def answers(benchmark):
    return benchmark("answers")


@pytest.fixture(scope="module")
def ladder(benchmark):
    """The runs of OpenEuroLLM."""
    found = {ladder.source: ladder for ladder in benchmark("ladders").ladders(None)}
    return found["openeurollm"]


def distances(ladder, cut):
    fitted, held = cut.split(ladder.runs)
    of = ({name: runs.column(name) for name in ladder.inputs} for runs in (fitted, held))
    return decades_outside(*of, ladder.inputs)


def test_quarters_are_enclosed_and_do_not_overlap(answers, benchmark, ladder):
    quarters = answers.enclosed(ladder, 1)
    held = np.array([np.logical_not(cut.fitted) for cut in quarters])
    assert held.sum(axis=0).max() == 1
    assert 0.3 * len(ladder.runs) < held.sum() < len(ladder.runs)
    assert all(np.all(distances(ladder, cut) == 0) for cut in quarters)
    # the partner: what a cut in compute holds out is not enclosed
    assert all(np.any(distances(ladder, cut) > 0.1) for cut in benchmark("drift").cuts(ladder))


def test_drift_widens_bands_outside_and_nowhere_else(answers, hoffmann, hoffmann_fit):
    at = {name: hoffmann.column(name)[:20] for name in ("n_params", "n_tokens")}
    beyond = {name: 100 * values for name, values in at.items()}
    for points, same in ((at, True), (beyond, False)):
        plain, drifting = (
            np.log(answers._forecast(hoffmann_fit, discrepancy, points)["run"].to_numpy())
            for discrepancy in (None, Discrepancy(DRIFT))
        )
        assert np.array_equal(plain, drifting) is same
        assert (drifting.std(axis=(0, 1)).min() > 1.5 * plain.std(axis=(0, 1)).max()) is not same


def test_a_drift_is_learned_from_others(answers, monkeypatch):
    monkeypatch.setattr(answers, "learn", lambda rows: rows)
    rows = answers.learned("coupled", "olmo")
    assert "olmo" not in set(rows["source"])
    assert {"gadre", "opt"} < set(rows["source"])
    assert set(rows["card"]) == {"coupled"}


def test_simulated_tables_scatter_about_their_law(answers, ladder):
    parameters = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36}
    law = fs.laws.get_law("chinchilla")
    errors = []
    for number in range(40):
        table = answers.simulated(ladder, "chinchilla", parameters, number)
        assert table.runs.column("n_params") == pytest.approx(ladder.runs.column("n_params"))
        at = {name: table.runs.column(name) for name in ladder.inputs}
        errors.append(np.log(table.runs.column("loss") / law(at, parameters)))
    assert np.std(errors) == pytest.approx(answers.SIGMA * np.sqrt(answers.NU / (answers.NU - 2)), rel=0.05)
    assert np.abs(np.corrcoef(errors)[~np.eye(40, dtype=bool)]).mean() < 0.2  # each table has its own


def scored(outside, rows):
    """Points with a CRPS, and nothing in the other scores."""
    frame = pd.DataFrame(rows, columns=["forecaster", "source", "table", "cut", "crps"])
    return frame.assign(**{name: 0.0 for name in outside.SCORES if name != "crps"})


def test_weights_are_those_that_serve_the_others(benchmark, capsys):
    """Of three sources, b and c are served by the first weights, a by the last: a is not asked what serves a."""
    outside = benchmark("outside")
    first, *_, last = outside.GRID
    rows = [
        (name, source, "table", "cut", crps)
        for name, scores in ((first, (9.0, 1.0, 1.0)), (last, (1.0, 2.0, 2.0)))
        for source, crps in zip("abc", scores, strict=True)
    ]
    chosen = outside.by_backtests(scored(outside, rows))
    assert set(chosen["forecaster"]) == {"backtests *"}
    assert chosen.set_index("source")["crps"].to_dict() == {"a": 9.0, "b": 2.0, "c": 2.0}
    assert first in capsys.readouterr().out


def test_means_over_runs_tasks_and_sources_differ(benchmark):
    outside = benchmark("outside")
    rows = [("x", "a", "t", "1", 0.0)] * 6 + [("x", "a", "t", "2", 4.0)] * 2 + [("x", "b", "t", "1", 8.0)] * 2
    points = scored(outside, rows)
    found = [float(outside.mean_of(points, over)["crps"].iloc[0]) for over in ("runs", "tasks", "sources")]
    assert found == pytest.approx([2.4, 4.0, 5.0])
