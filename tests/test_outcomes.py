"""Outcomes: what is recognised, what percent is, and what is refused by its rows."""

import pickle

import numpy as np
import pandas as pd
import pytest

import forescale as fs


def frame(**changes):
    rows = {
        "model": ["a", "a", "b", "b"],
        "Benchmark": ["arc", "copa", "arc", "copa"],
        "val_loss": [3.2, 3.2, 2.9, 2.9],
        "acc": [0.31, 0.55, 0.44, 0.61],
        "n_items": [2376, 100, 2376, 100],
        "random_baseline": [0.25, 0.5, 0.25, 0.5],
        "n_params": [1e8, 1e8, 1e9, 1e9],
    }
    return pd.DataFrame(rows | changes)


def refused(table, match, **options):
    with pytest.raises(fs.DataError, match=match):
        fs.Outcomes.from_frame(table, **options)


def test_usual_headers_are_recognised_and_other_columns_kept():
    found = fs.Outcomes.from_frame(frame(), name="evals")
    assert list(found.columns) == ["run", "task", "loss", "accuracy", "items", "chance", "n_params"]
    assert found.tasks == ("arc", "copa")
    np.testing.assert_array_equal(found.hits, [737, 55, 1045, 61])
    assert repr(found) == "Outcomes 'evals': 4 rows, 2 tasks; loss 2.9..3.2 nats; accuracy 0.31..0.61"
    assert len(found.where(task="arc")) == 2
    assert pickle.loads(pickle.dumps(found)).sha256 == found.sha256


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({"acc": [31.0, 55, 44, 61], "random_baseline": [25.0, 50, 25, 50]}, {"unit": "percent"}),
        ({"acc": ["31 %", "55%", "44%", "61%"]}, {}),
        ({}, {"unit": "fraction"}),
    ],
)
def test_percent_and_fractions_become_fractions(changes, options):
    found = fs.Outcomes.from_frame(frame(**changes), **options)
    np.testing.assert_allclose(found.column("accuracy"), [0.31, 0.55, 0.44, 0.61])
    np.testing.assert_allclose(found.column("chance"), [0.25, 0.5, 0.25, 0.5])


def test_a_header_says_the_unit_of_its_column_only():
    table = frame(random_baseline=[25, 50, 25, 50]).rename(columns={"random_baseline": "random_baseline_pct"})
    found = fs.Outcomes.from_frame(table)
    np.testing.assert_allclose(found.column("chance"), [0.25, 0.5, 0.25, 0.5])
    assert found.column("accuracy")[0] == 0.31
    assert any("random_baseline_pct" in note and "percent" in note for note in found.notes)


def test_a_unit_that_cannot_be_told_is_refused():
    refused(frame(acc=[31, 55, 44, 61]), r"above 1, so no fraction: row 1 \(31\).*unit='percent'")
    refused(frame().rename(columns={"acc": "acc_pct"}), "the header says percent, and no number is above 1")
    refused(frame(acc=["31 %", "0.55", "44 %", "61 %"]), "some have none, such as row 2")
    refused(frame(), "unit='promille' is not one of", unit="promille")


def test_items_and_chance_may_be_given():
    table = frame().drop(columns=["n_items", "random_baseline"])
    found = fs.Outcomes.from_frame(table, items={"arc": 2376, "copa": 100}, chance=0.25)
    assert found.column("items").tolist() == [2376, 100, 2376, 100]
    assert set(found.column("chance")) == {0.25}
    refused(table, "No column is recognised as items", chance=0.25)
    refused(table, "items= has no number for the tasks 'copa'", items={"arc": 2376}, chance=0.25)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"acc": [0.31, -0.1, 0.44, 0.61]}, r"accuracy must be between 0 and 1 in every row: row 2 \(-0.1\)"),
        ({"acc": [0.31, None, 0.44, 0.61]}, r"accuracy must be between 0 and 1 in every row: row 2 \(nan\)"),
        ({"random_baseline": [0.25, 0.5, 0.3, 0.5]}, "A task has one chance; there are several of arc"),
        ({"n_items": [0, 100, 2376, 100]}, r"items must be above zero in every run: row 1"),
        ({"n_items": [10.5, 100, 2376, 100]}, r"items must be a whole number in every row: row 1 \(10.5\)"),
        ({"val_loss": [3.2, 3.2, 290, 2.9]}, r"above 13.8 nats.*row 3 \(290\)"),
        ({"model": ["a", "a", "a", "b"]}, "A run has each task once: row 1, row 3"),
        ({"Benchmark": ["arc", "", "arc", "copa"]}, "Column task: 1 missing: row 2"),
        ({"score": [1, 2, 3, 4]}, "'acc' and 'score' can all be accuracy"),
    ],
)
def test_bad_cells_are_named(changes, match):
    refused(frame(**changes), match)


def test_what_is_not_there_is_said():
    refused(frame().drop(columns="val_loss"), "No column is recognised as loss")
    refused(frame().rename(columns={"val_loss": "loss_c4_val"}), "No column is recognised as loss")
    named = fs.Outcomes.from_frame(frame().rename(columns={"val_loss": "c4"}), columns={"loss": "c4"})
    assert named.column("loss")[0] == 3.2
    refused(frame(), "'epochs': 'x' does not", columns={"epochs": "x"})
    refused(frame().head(0), "no outcomes")
    with pytest.raises(fs.DataError, match="lacks items, chance, task"):
        fs.Outcomes({"loss": [3.0], "accuracy": [0.5]})


def test_a_file_is_read(tmp_path):
    frame().to_csv(tmp_path / "evals.csv", index=False)
    found = fs.Outcomes.read(tmp_path / "evals.csv")
    assert (found.name, found.sha256) == ("evals", fs.Outcomes.from_frame(frame()).sha256)
