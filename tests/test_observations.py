"""Observations: a table that is checked once and never changed."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import frame

from forescale.errors import DataError
from forescale.tables.observations import Observations


@pytest.fixture
def runs():
    return Observations.from_frame(
        frame(family=["A", "A", "B", "B"], run=list("wxyz"), steps=[1, 2, 3, 4], seed=["s1", "s2", "s1", "s2"]),
        name="four",
        counts_embeddings=True,
    )


def test_nothing_can_be_changed(runs):
    with pytest.raises(AttributeError):
        runs.name = "other"
    with pytest.raises((AttributeError, TypeError)):
        runs.extra = 1
    with pytest.raises(TypeError):
        runs.columns["loss"] = np.ones(4)
    for values in runs.columns.values():
        with pytest.raises(ValueError, match="read-only"):
            values[0] = values[1]
        with pytest.raises(ValueError, match="WRITEABLE"):
            values.setflags(write=True)


def test_what_came_in_and_what_goes_out_is_a_copy(runs):
    given_ = frame()
    taken = Observations.from_frame(given_)
    given_.loc[0, "loss"] = 9.0
    table = taken.table
    table.loc[0, "loss"] = 9.0
    assert taken.column("loss")[0] == taken.table["loss"][0] == 3.1


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda runs: pickle.loads(pickle.dumps(runs))])
def test_copies_are_whole(runs, copied):
    again = copied(runs)
    assert (again.sha256, again.name, again.notes, again.counts_embeddings) == (
        runs.sha256,
        runs.name,
        runs.notes,
        runs.counts_embeddings,
    )


def test_round_trip_through_its_own_table(runs):
    assert Observations.from_frame(runs.table).sha256 == runs.sha256


def test_sha256_is_of_the_content(runs, tmp_path):
    table = runs.table
    table.to_csv(tmp_path / "runs.csv", index=False)
    table.to_csv(tmp_path / "runs.tsv", index=False, sep="\t", float_format="%.17e")
    table[table.columns[::-1]].to_parquet(tmp_path / "runs.parquet")
    table.rename(columns={"n_params": "Model Size"}).to_csv(tmp_path / "renamed.csv", index=False)
    hashes = {Observations.read(path).sha256 for path in tmp_path.iterdir()}
    assert hashes == {runs.sha256}


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.assign(loss=np.nextafter(table["loss"], 9)),
        lambda table: table.assign(seed="s3"),
        lambda table: table.rename(columns={"seed": "sead"}),
        lambda table: table[::-1],
        lambda table: table.drop(columns="steps"),
    ],
)
def test_sha256_sees_every_change(runs, change):
    assert Observations.from_frame(change(runs.table)).sha256 != runs.sha256


def test_repr_says_what_it_is(runs):
    assert repr(runs) == (
        "Observations 'four': 4 runs; n_params 100M..800M; n_tokens 2B..9B; flops 1.2e18..4.32e19; loss 2.6..3.1 nats"
    )


def test_column_and_labels(runs):
    assert runs.column("steps").tolist() == [1, 2, 3, 4]
    assert runs.labels("family").tolist() == ["A", "A", "B", "B"]
    with pytest.raises(DataError, match=r"no column 'n_parms'.*n_params.*Did you mean 'n_params'\?"):
        runs.column("n_parms")
    with pytest.raises(DataError, match="text"):
        runs.column("family")
    with pytest.raises(DataError, match="numbers"):
        runs.labels("loss")


def test_where(runs):
    assert runs.where(family="A").labels("run").tolist() == ["w", "x"]
    assert runs.where(family="B", seed="s1").labels("run").tolist() == ["y"]
    assert runs.where(steps=[1, 4]).labels("run").tolist() == ["w", "z"]
    assert runs.where([True, False, False, True]).labels("run").tolist() == ["w", "z"]
    assert runs.where(lambda table: table["loss"] < 2.85, family=["A", "B"]).labels("run").tolist() == [
        "y",
        "z",
    ]
    kept = runs.where(family="A")
    assert (kept.name, kept.counts_embeddings) == ("four", True)
    assert kept.notes == (*runs.notes, "Kept 2 of 4 rows: family='A'.")


@pytest.mark.parametrize(
    ("mask", "equals", "says"),
    [
        (None, {"family": "C"}, "family='C'.*family is 'A', 'B'"),
        (None, {"famly": "A"}, "Did you mean 'family'"),
        ([True, False], {}, "4 booleans"),
        ([1, 0, 0, 1], {}, "booleans; got int64"),
        (lambda table: table["loss"] > 9, {}, "No row"),
    ],
)
def test_where_refuses(runs, mask, equals, says):
    with pytest.raises(DataError, match=says):
        runs.where(mask, **equals)


def test_concat(runs):
    other = Observations.from_frame(
        frame(family=["C"] * 4, run=list("stuv"), lr=[0.1] * 4), name="more", counts_embeddings=True
    )
    both = Observations.concat([runs, other])
    assert (len(both), both.name, both.counts_embeddings) == (8, "four+more", True)
    assert np.isnan(both.column("lr")).tolist() == [True] * 4 + [False] * 4
    assert both.labels("seed").tolist() == ["s1", "s2", "s1", "s2", "", "", "", ""]
    assert both.where(family=["A", "B"]).column("loss").tolist() == runs.column("loss").tolist()


def test_concat_keeps_run_names_apart():
    first = Observations.from_frame(frame(), name="first")
    second = Observations.from_frame(frame(), name="second")
    both = Observations.concat([first, second], name="both")
    assert both.labels("run")[[0, 4]].tolist() == ["first/run-001", "second/run-001"]
    with pytest.raises(DataError, match="names must differ"):
        Observations.concat([first, first])


def test_concat_refuses_mixed_counting_unless_asked(runs):
    other = Observations.from_frame(frame(family=["C"] * 4), name="more", counts_embeddings=False)
    with pytest.raises(DataError, match="four: True, more: False.*mixed_counting=True"):
        Observations.concat([runs, other])
    assert Observations.concat([runs, other], mixed_counting=True).counts_embeddings is None


def test_concat_refuses_what_does_not_fit(runs):
    with pytest.raises(DataError, match="'four' has .*family.*'plain' has"):
        Observations.concat([runs, Observations.from_frame(frame(), name="plain", counts_embeddings=True)])
    odd = Observations.from_frame(frame(family=["C"] * 4, seed=[1, 2, 3, 4]), counts_embeddings=True)
    with pytest.raises(DataError, match="'seed' is text"):
        Observations.concat([runs, odd])
    with pytest.raises(DataError, match="at least one"):
        Observations.concat([])


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({}, "no columns"),
        ({"n_params": [1e8], "loss": [3.0, 2.9]}, "n_params: 1, loss: 2"),
        ({"n_params": [], "loss": []}, "at least one row"),
        ({"n_params": [[1e8]], "loss": [[3.0]]}, "one dimension"),
        ({"n_params": ["big"], "loss": [3.0]}, "Column n_params.*'run-001'"),
        ({"n_params": [1e8], "loss": [30.0]}, "above 13.8 nats"),
        ({"n_params": [1e8, 2e8], "loss": [3.0, 2.9], "run": ["a", "a"]}, "names must differ"),
        ({"family": ["a"], "loss": [3.0]}, "numeric input"),
    ],
)
def test_the_constructor_checks_too(columns, says):
    with pytest.raises(DataError, match=says):
        Observations(columns)


tables = st.lists(
    st.tuples(st.floats(1e3, 1e14), st.floats(1e3, 1e14), st.floats(1e-3, 13.8)), min_size=1, max_size=8
).map(lambda rows: pd.DataFrame(rows, columns=["n_params", "n_tokens", "loss"]))


@settings(max_examples=40, deadline=None)
@given(tables)
def test_values_come_through_text_unchanged(table):
    as_text = table.map(repr)
    taken = Observations.from_frame(as_text)
    pd.testing.assert_frame_equal(taken.table[["n_params", "n_tokens", "loss"]], table, check_exact=True)
    assert taken.sha256 == Observations.from_frame(table).sha256 == Observations.from_frame(taken.table).sha256


@settings(max_examples=40, deadline=None)
@given(tables, st.data())
def test_a_table_is_its_parts(table, data):
    taken = Observations.from_frame(table)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(table), max_size=len(table))))
    parts = [taken.where(part) for part in (mask, ~mask) if part.any()]
    joined = Observations.concat(parts).table.sort_values("run", ignore_index=True)
    pd.testing.assert_frame_equal(joined, taken.table)
