"""Refits are shared out and kept; one that fails is the error of its fit and no other's."""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from jobs import lines

import forescale as fs
from forescale.checking.compare import compare
from forescale.checking.scored import leave_each_out
from forescale.errors import ConvergenceError, ModelError
from forescale.estimates.left_out import LeftOut

pytestmark = pytest.mark.slow
pytest.importorskip("distributed")
QUIET = {"progress": False}


@pytest.fixture(scope="module")
def fits(simulate):
    """Two fits of a few runs, of which one at either end sways the fits."""
    truth = {"N_c": 6.4e13, "alpha_N": 0.076}
    runs = simulate(fs.load_model("power_n").law, truth, runs=14, sigma=0.01, seed=5)
    size, loss = runs.column("n_params"), runs.column("loss").copy()
    loss[size.argmin()] *= 1.1
    loss[size.argmax()] *= 0.9
    runs = replace(runs, columns={**runs.columns, "loss": loss})
    model = fs.load_model("power_n")
    return {
        "studentt": fs.fit(runs, model, random_seed=1),
        "normal": fs.fit(runs, model.with_noise("normal"), random_seed=1),
    }


@pytest.fixture(scope="module")
def alone(fits):
    scores, errors = leave_each_out(fits, refits=14, workers=1, **QUIET)
    assert errors == {}
    assert sum(score.refitted for score in scores.values()) >= 2
    return scores


def same(scores, others):
    for name, score in scores.items():
        pd.testing.assert_frame_equal(score.table(), others[name].table())


def test_scores_are_those_of_each_by_itself(fits, alone):
    same(alone, {name: fs.leave_one_out(fit, refits=14) for name, fit in fits.items()})


def test_what_is_kept_is_not_refitted(fits, alone, tmp_path, monkeypatch):
    kept = tmp_path / "scores.jsonl"
    same(leave_each_out(fits, refits=14, workers=1, results=kept, **QUIET)[0], alone)
    assert len(lines(kept)) == sum(score.refitted for score in alone.values())
    monkeypatch.setattr(LeftOut, "refit", lambda self: 1 / 0)
    same(leave_each_out(fits, refits=14, workers=1, results=kept, **QUIET)[0], alone)
    assert leave_each_out(fits, refits=14, workers=1, **QUIET)[0] == {}  # the partner


def test_other_processes_refit_as_well(fits):
    scores, errors = leave_each_out(fits, refits=14, workers=2, **QUIET)
    assert errors == {}
    again, _ = leave_each_out(fits, refits=14, workers=3, **QUIET)
    same(scores, again)


def test_a_refit_that_fails_is_the_error_of_its_fit_alone(fits, alone, monkeypatch):
    def fails(self):
        if 'kind = "normal"' in self.card:
            raise ConvergenceError("the fit did not converge", fits["normal"])
        return refit(self)

    refit = LeftOut.refit
    monkeypatch.setattr(LeftOut, "refit", fails)
    found = compare(*fits.values(), refits=14, **QUIET)
    bad, good = "power_n (normal)", "power_n (studentt)"
    assert list(found.predictive) == [good]
    same({"studentt": found.predictive[good]}, alone)
    assert found.scores.loc[bad, "error"].startswith("without run-")
    assert "ConvergenceError: the fit did not converge" in found.scores.loc[bad, "error"]
    assert np.isnan(found.scores.loc[bad, "elpd"])
    assert found.scores.loc[bad, "rms_percent"] > 0
    assert found.scores.loc[good, "error"] == ""
    assert any(note.startswith(f"{bad}: no elpd and no weight; without run-") for note in found.notes)
    with pytest.raises(ConvergenceError):
        fs.leave_one_out(fits["normal"], refits=14)


def test_too_many_refits_are_refused_before_any(fits, monkeypatch):
    monkeypatch.setattr(LeftOut, "refit", lambda self: sys.exit("refitted"))
    with pytest.raises(ModelError, match="at most 0 runs are refitted"):
        compare(*fits.values(), refits=0, **QUIET)
