"""From a stranger's table to our columns: headers, cells, units and the third size."""

import math
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from tables import frame

from forescale.errors import DataError
from forescale.tables.observations import Observations
from forescale.units import COST_MODELS, PF_DAY, cost_model


@pytest.mark.parametrize(
    ("column", "headers"),
    [
        (
            "n_params",
            "N|params|n_params|num_params|Parameters|model_size|size|Model Size|MODEL-SIZE|modelSize",
        ),
        ("n_tokens", "D|tokens|n_tokens|Num Tokens|train_tokens|training tokens"),
        ("flops", "C|FLOPs|flop|compute|training_flops|Training FLOP"),
        (
            "loss",
            "loss|val_loss|test_loss|Validation Loss|final_loss|eval-loss|Loss (nats)|log_perplexity|xent",
        ),
        ("loss_se", "loss_se|stderr|loss_stderr|SE"),
        ("family", "family|Model Family|group"),
        ("run", "run|name|Run Name|id|model"),
    ],
)
def test_usual_headers_are_recognised(column, headers):
    values = {"family": list("aabb"), "run": list("abcd"), "loss": [3.1, 2.9, 2.8, 2.6], "loss_se": [0.1] * 4}
    for header in headers.split("|"):
        given_ = frame(**{column: None}).assign(**{header: values.get(column, [1e8, 2e8, 4e8, 8e8])})
        taken = Observations.from_frame(given_, flops_tolerance=np.inf)
        assert list(taken.columns[column]) == list(given_[header]), header
        assert f"{column} from {header!r}" in taken.notes[0]


def test_unusual_headers_keep_their_names_and_are_noted():
    taken = Observations.from_frame(frame(lr=[1e-3] * 4, optimiser=["adam"] * 4, warm=[True, False, True, True]))
    assert list(taken.columns) == ["n_params", "n_tokens", "flops", "loss", "run", "lr", "optimiser", "warm"]
    assert taken.column("warm").tolist() == [1, 0, 1, 1]
    assert taken.labels("optimiser").tolist() == ["adam"] * 4
    assert "Kept as further numbers: lr, warm." in taken.notes
    assert "Kept as further text: optimiser." in taken.notes


def test_further_columns_may_have_gaps():
    taken = Observations.from_frame(frame(lr=[1e-3, None, 2e-3, 3e-3], note=["", "odd", None, ""]))
    assert np.isnan(taken.column("lr")).tolist() == [False, True, False, False]
    assert taken.labels("note").tolist() == ["", "odd", "", ""]


def test_a_further_column_can_be_the_only_input():
    taken = Observations.from_frame(pd.DataFrame({"n_examples": ["1M", "2M"], "loss": [0.9, 0.8]}))
    assert taken.column("n_examples").tolist() == [1e6, 2e6]
    assert len(taken.where(n_examples=1e6)) == 1


def test_a_perplexity_beside_a_loss_is_a_further_column():
    both = frame(ppl=np.exp([3.1, 2.9, 2.8, 2.6]))
    in_nats = Observations.from_frame(both)
    assert "ppl" in in_nats.columns
    converted = Observations.from_frame(both, loss_unit="perplexity")
    np.testing.assert_allclose(converted.column("loss"), in_nats.column("loss"))


def test_an_explicit_header_wins_and_a_name_that_is_ours_is_not_reused():
    taken = Observations.from_frame(frame(val_loss=[3.2, 3.0, 2.9, 2.7]), columns={"loss": "val_loss"})
    assert taken.column("loss").tolist() == [3.2, 3.0, 2.9, 2.7]
    assert any("Left out" in note and note.endswith("loss.") for note in taken.notes)


def test_cells_as_people_write_them():
    written = frame(n_params=["70B", "1.4T", "1,000", Decimal(5)], n_tokens=[" 2_000 ", "3e9", 4, "5 M"])
    taken = Observations.from_frame(written)
    assert taken.column("n_params").tolist() == [7e10, 1.4e12, 1e3, 5]
    assert taken.column("n_tokens").tolist() == [2e3, 3e9, 4, 5e6]
    assert any("'70B'" in note for note in taken.notes)


def test_a_header_in_billions_scales_plain_numbers_only():
    taken = Observations.from_frame(frame(n_params=None).assign(**{"Params (B)": [0.1, "70M", 7, "1.4T"]}))
    assert taken.column("n_params").tolist() == [1e8, 7e7, 7e9, 1.4e12]
    assert any("multiplied by 1e+09" in note for note in taken.notes)


@pytest.mark.parametrize("header", ["compute_pf_days", "PF-days", "Compute (PFLOP/s-days)", "petaflop days"])
def test_pf_days_become_flops(header):
    taken = Observations.from_frame(frame(n_tokens=None).assign(**{header: [1.0, 2.0, 3.0, 4.0]}))
    np.testing.assert_allclose(taken.column("flops"), PF_DAY * np.arange(1, 5))
    assert any("PF-days" in note for note in taken.notes)


@pytest.mark.parametrize(
    ("unit", "options", "back"),
    [
        ("bits", {}, lambda nats: nats / math.log(2)),
        ("bits-per-byte", {"bytes_per_token": 4.0}, lambda nats: nats / math.log(2) / 4.0),
        ("perplexity", {}, np.exp),
    ],
)
def test_loss_and_its_standard_error_are_converted(unit, options, back):
    nats, step = np.array([3.1, 2.9, 2.8, 2.6]), 1e-6
    slope = (back(nats + step) - back(nats - step)) / (2 * step)
    taken = Observations.from_frame(frame(loss=back(nats), se=0.01 * slope), loss_unit=unit, **options)
    np.testing.assert_allclose(taken.column("loss"), nats)
    np.testing.assert_allclose(taken.column("loss_se"), 0.01, rtol=1e-6)
    assert any(f"converted from {unit}" in note for note in taken.notes)


def test_perplexity_of_one_is_no_loss():
    with pytest.raises(DataError, match="in nats.*above zero.*row 1"):
        Observations.from_frame(frame(loss=[1.0, 2.0, 3.0, 4.0]), loss_unit="perplexity")


@pytest.mark.parametrize("cost", COST_MODELS)
@pytest.mark.parametrize("third", ["n_params", "n_tokens", "flops"])
def test_the_third_size_is_derived(cost, third):
    n, d = frame()["n_params"], frame()["n_tokens"]
    full = frame(flops=cost_model(cost).flops(n, d))
    taken = Observations.from_frame(full.drop(columns=third), cost=cost)
    np.testing.assert_allclose(taken.column(third), full[third])
    assert any(note.startswith(f"{third} is derived") and cost in note for note in taken.notes)


def test_sizes_that_agree_within_the_tolerance_are_kept_as_given():
    given_ = frame(flops=6.5 * frame()["n_params"] * frame()["n_tokens"])
    assert Observations.from_frame(given_).column("flops").tolist() == given_["flops"].tolist()
    with pytest.raises(DataError, match="flops_tolerance=0.05 in 4 of 4 runs; the worst ratio is 1.08"):
        Observations.from_frame(given_, flops_tolerance=0.05)


def test_what_overflows_is_refused():
    with pytest.raises(DataError, match="flops .derived.*finite.*row 1"):
        Observations.from_frame(frame(n_params=[1e300] * 4, n_tokens=[1e300] * 4))


def test_runs_are_numbered_when_nothing_names_them():
    taken = Observations.from_frame(frame())
    assert taken.labels("run").tolist() == ["run-001", "run-002", "run-003", "run-004"]
    assert "numbered" in taken.notes[-1]


def test_a_named_index_is_a_column():
    taken = Observations.from_frame(frame().set_axis(pd.Index([10, 11, 12, 13], name="run")))
    assert taken.labels("run").tolist() == ["10", "11", "12", "13"]
