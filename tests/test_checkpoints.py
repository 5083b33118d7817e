"""Checkpoints are read as runs under way: what is taken, what is said, what is refused."""

import numpy as np
import pandas as pd
import pytest

import forescale as fs
from forescale.errors import DataError
from forescale.laws import LAWS
from forescale.tables.checkpoints import MISFIT, read_curves

PLAN = fs.Schedule.wsd(20_000, decay=4000, warmup=1000, final=0.1)
TRUTH = {"E": 2.3, "B": 45.0, "beta": 0.55, "R": 0.12, "gamma": 1.0}


def curve(plan=PLAN, every=200, until=None, truth=TRUTH):
    step = np.arange(every, (until or plan.steps) + 1, every)
    loss = LAWS["annealed"]({"peak_steps": plan.peak_steps(step), "cooling": plan.cooling(step)}, truth)
    return pd.DataFrame({"step": step, "loss": loss})


def test_points_lie_on_the_law_that_the_curve_has():
    runs = fs.checkpoints(curve(), PLAN, name="big")
    on_law = LAWS["annealed"]({name: runs.column(name) for name in ("peak_steps", "cooling")}, TRUTH)
    np.testing.assert_allclose(runs.column("loss"), on_law, rtol=1e-3)  # means in bins are not points, but near
    assert len(runs) == 12
    assert runs.column("step").min() > 1500
    np.testing.assert_allclose(runs.column("loss_se"), MISFIT * runs.column("loss"))
    taken = "Of big, 12 points are means of 93 at steps 1,600 to 20,000"
    assert runs.notes[0] == f"{taken}; 7 before step 1,500 are left out."
    assert "n_params" not in runs.columns


def test_a_table_of_several_curves_is_taken_curve_by_curve():
    half = fs.Schedule.cosine(10_000, warmup=500)
    rows = [
        curve().assign(run="long", params="1B"),
        curve().assign(run="long", params="100M"),
        curve(half).assign(run="short", params="1B"),
    ]
    runs = fs.checkpoints(pd.concat(rows), {"long at 100M": PLAN, "long at 1B": PLAN, "short at 1B": half}, points=8)
    assert set(runs.labels("curve")) == {"long at 100M", "long at 1B", "short at 1B"}
    assert len(runs) == 24
    assert len(runs.notes) == 3
    assert set(runs.column("n_params")) == {1e8, 1e9}
    by_size = fs.checkpoints(pd.concat(rows[:2]).drop(columns="run"), PLAN)
    assert set(by_size.labels("curve")) == {"checkpoints at 100M", "checkpoints at 1B"}


def test_learning_rates_of_the_table_are_the_schedule():
    table = curve().assign(lr=lambda frame: 3e-4 * PLAN.rate(frame["step"]))
    runs = fs.checkpoints(table, warmup=1000)
    given = fs.checkpoints(curve(), PLAN)
    np.testing.assert_allclose(runs.column("cooling"), given.column("cooling"), rtol=5e-3)
    np.testing.assert_allclose(runs.column("peak_steps"), given.column("peak_steps"), rtol=5e-3)


def test_usual_headers_and_files_are_read(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("Iteration,val loss,learning_rate\n200,3.5,3e-4\n100,3.9,3e-4\n300,,1e-4\n")
    found = read_curves(path)
    assert found["step"].tolist() == [100, 200, 300]
    assert np.isnan(found["loss"].iloc[-1])
    assert found["lr"].tolist() == [3e-4, 3e-4, 1e-4]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: fs.checkpoints(curve()), "cannot be told from a finished run: give a schedule"),
        (lambda: fs.checkpoints(curve(until=2000), PLAN), "has 3 checkpoints from step 1,500 on.* 6 are needed"),
        (lambda: fs.checkpoints(pd.concat([curve(), curve()]), PLAN), "row 101: step 200 is there twice"),
        (lambda: fs.checkpoints(curve().drop(columns="step"), PLAN), "no step among 'loss'"),
        (lambda: fs.checkpoints(curve().assign(loss=-1.0), PLAN), "row 1"),
        (lambda: fs.checkpoints(curve().rename(columns={"loss": "perplexity"}), PLAN), "convert it"),
        (lambda: fs.checkpoints(curve().rename(columns={"step": "iter"}).assign(update=1), PLAN), "can both be step"),
        (lambda: fs.checkpoints(curve().iloc[:0], PLAN), "no checkpoints"),
        (lambda: fs.checkpoints(curve(), "cosine:2000"), "steps 1 to 2,000; asked was 2200"),
        (lambda: fs.checkpoints(curve(), PLAN, points=3), "6 points or more"),
    ],
)
def test_what_cannot_be_taken_is_refused(make, says):
    with pytest.raises(DataError, match=says):
        make()
