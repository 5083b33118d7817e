"""Cuts: what is fitted lies below what is held out, enough is left to fit, and every label has its turn."""

import numpy as np
import pytest

import forescale as fs
from forescale.errors import DataError
from forescale.tables.cuts import SPARE, Cut, make_cuts


def table(values, family=None, name="small"):
    """Runs with given n_params, and losses that do not matter."""
    columns = {"n_params": np.asarray(values, dtype=float), "loss": np.full(len(values), 2.0)}
    return fs.Observations(columns | ({} if family is None else {"family": np.array(family)}), name=name)


@pytest.mark.parametrize("name", ["hoffmann2022", "openeurollm", "pile_families", "google_nmt"])
@pytest.mark.parametrize("by", ["flops", "n_params", "n_tokens", "n_examples"])
def test_automatic_cuts_of_the_datasets(name, by):
    runs = fs.load_dataset(name)
    if by not in runs.columns:
        with pytest.raises(DataError, match=f"no column '{by}'"):
            make_cuts(runs, by)
        return
    cuts = make_cuts(runs, by, n_parameters=7)
    assert 1 <= len(cuts) <= 4
    assert len({cut.label for cut in cuts}) == len(cuts)
    sizes = [sum(cut.fitted) for cut in cuts]
    assert sizes == sorted(set(sizes))
    assert sizes[0] >= 7 + SPARE
    for cut in cuts:
        fitted, held = cut.split(runs)
        assert fitted.column(by).max() < held.column(by).min()
        assert len(fitted) + len(held) == len(runs)
        assert not set(fitted.labels("run")) & set(held.labels("run"))


def test_shares_of_distinct_values():
    cuts = make_cuts(table(np.arange(1, 101) * 1e8), "n_params")
    assert [sum(cut.fitted) for cut in cuts] == [40, 55, 70, 85]
    assert cuts[0].label == "40 runs, n_params up to 4B"


@pytest.mark.parametrize(
    ("values", "n_parameters", "sizes"),
    [
        (np.arange(1, 12), 6, [8, 9]),  # 40, 55 and 70 % are too few, and become the least
        (np.arange(1, 11), 7, [9]),
        ([1, 1, 1, 1, 2, 2, 2, 2, 2, 2], 2, [4]),  # runs of one size stay together
        ([1, 1, 2, 2, 2, 2, 2, 2, 2, 2], 0, [2]),
    ],
)
def test_the_least_and_ties(values, n_parameters, sizes):
    cuts = make_cuts(table(np.asarray(values) * 1e9), "n_params", n_parameters=n_parameters)
    assert [sum(cut.fitted) for cut in cuts] == sizes


@pytest.mark.parametrize("values", [[1e9] * 12, np.arange(1, 10) * 1e9, [1e9] * 8 + [2e9] * 8])
def test_tables_too_small_to_cut(values):
    with pytest.raises(DataError, match="no cut leaves 9 runs to fit.*Try models of fewer parameters"):
        make_cuts(table(values), "n_params", n_parameters=7)


def test_values_given():
    runs = table([1e9, 2e9, 3e9, 4e9])
    assert make_cuts(runs, "n_params", "2B") == [Cut("2 runs, n_params up to 2B", (True, True, False, False))]
    cuts = make_cuts(runs, "n_params", [3e9, "1B", 1.5e9])
    assert [sum(cut.fitted) for cut in cuts] == [3, 1]  # 1B and 1.5e9 fit the same run


@pytest.mark.parametrize(
    ("at", "words"),
    [
        (5e8, "leaves nothing to fit.*1B to 4B"),
        (4e9, "leaves nothing to hold out"),
        ("big", "'big' is not a quantity"),
        ([], "no values of n_params to cut at"),
    ],
)
def test_values_that_do_not_cut(at, words):
    with pytest.raises(DataError, match=words):
        make_cuts(table([1e9, 2e9, 3e9, 4e9]), "n_params", at)


def test_every_label_has_its_turn():
    runs = table(np.arange(1, 7) * 1e9, list("aabbcc"))
    cuts = make_cuts(runs, "family", n_parameters=2)
    assert [cut.label for cut in cuts] == ["without family a", "without family b", "without family c"]
    for cut, label in zip(cuts, "abc", strict=True):
        fitted, held = cut.split(runs)
        assert set(held.labels("family")) == {label}
        assert label not in fitted.labels("family")
    assert make_cuts(runs, "family", "b") == cuts[1:2]
    with pytest.raises(DataError, match="family = 'd' of 'small' is none of its runs: a, b, c"):
        make_cuts(runs, "family", "d")
    with pytest.raises(DataError, match="is all of its runs"):
        make_cuts(table([1e9, 2e9], ["a", "a"]), "family", "a")
