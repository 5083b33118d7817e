"""Whether a table of runs can inform a law."""

import numpy as np
import pandas as pd
import pytest
from tables import frame

from forescale.errors import DataError
from forescale.tables.observations import Observations


def test_supports():
    runs = Observations.from_frame(frame(loss_se=[0.01] * 4))
    assert runs.check_supports(["n_params", "n_tokens"], 4, needs_loss_se=True) == ()
    assert runs.where([True, True, False, False]).check_supports(["n_params"], 2) == ()


@pytest.mark.parametrize(
    ("table", "inputs", "n_parameters", "needs_se", "says"),
    [
        (
            frame(n_tokens=None),
            ["n_params", "n_tokens"],
            3,
            False,
            "needs n_tokens.*derived when both n_params and flops",
        ),
        (frame(), ["n_examples"], 3, False, "needs n_examples, and 'runs' has n_params"),
        (frame(), ["n_params", "n_tokens"], 5, False, "has 4 runs and the model has 5 parameters"),
        (frame(n_params=[1e8] * 4), ["n_params"], 3, False, "n_params to vary, and all 4 runs.*100M"),
        (frame(), ["n_params"], 3, True, "no loss_se"),
        (frame(lr=[1e-3, "?", 3e-3, 4e-3]), ["lr"], 3, False, r"Column lr.*'run-002' \('\?'\)"),
        (frame(lr=[1e-3, None, 3e-3, 4e-3]), ["lr"], 3, False, "Column lr.*1 missing.*'run-002'"),
        (frame(lr=[1e-3, 0, 3e-3, 4e-3]), ["lr"], 3, False, "Column lr.*above zero.*'run-002'"),
    ],
)
def test_does_not_support(table, inputs, n_parameters, needs_se, says):
    with pytest.raises(DataError, match=says):
        Observations.from_frame(table).check_supports(inputs, n_parameters, needs_loss_se=needs_se)


def test_inputs_that_move_together_are_a_warning():
    tied = Observations.from_frame(frame(n_tokens=20 * frame()["n_params"]))
    (warning,) = tied.check_supports(["n_params", "n_tokens"], 4)
    assert "n_params and n_tokens move together" in warning
    assert tied.check_supports(["n_params"], 4) == ()


def test_inputs_that_may_stay_may_stay():
    same = Observations.from_frame(frame(n_params=[1e8] * 4))
    assert same.check_supports(["n_params", "n_tokens"], 3, may_stay=["n_params"]) == ()
    with pytest.raises(DataError, match="n_params to vary"):
        same.check_supports(["n_params", "n_tokens"], 3, may_stay=["n_tokens"])


def test_checkpoints_are_not_taken_for_finished_runs():
    steps = np.tile(1000.0 * np.arange(1, 7), 2)
    table = pd.DataFrame({"n_params": np.repeat([1e8, 1e9], 6), "n_tokens": 5e5 * steps, "steps": steps})
    runs = Observations.from_frame(table.assign(loss=4 - 0.1 * np.log(steps)))
    (warning,) = runs.check_supports(["n_params", "n_tokens"], 4)
    assert "6 different steps for one n_params: if these are checkpoints of runs under way" in warning
    last = runs.where(steps=6000.0)  # the partner: the last of each run, or a law of steps
    assert last.check_supports(["n_params"], 2) == ()
