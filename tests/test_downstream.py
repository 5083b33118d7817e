"""A law's loss through links: bands against what they are made of, and what an accuracy takes."""

from dataclasses import replace

import evaluations
import numpy as np
import pytest
import xarray as xr

import forescale as fs
from forescale.accuracy.downstream import AVERAGE, paired
from forescale.accuracy.link_fit import LinkFit


def links(top=1.0, scatter=0.02, middle_sd=0.0, tasks=("one",), draws=1000):
    """Links as if fitted, without the wait."""
    rng = np.random.default_rng(0)
    shape = (4, draws, len(tasks))
    values = {"middle": 2.4 + middle_sd * rng.standard_normal(shape), "span": np.full(shape, 1.2)}
    values |= {"top": np.full(shape, top), "floor_ratio": np.ones(shape), "scatter": np.full(shape, scatter)}
    posterior = xr.Dataset({name: (("chain", "draw", "task"), array) for name, array in values.items()})
    known = {"chance": 0.25, "items": 400.0, "lowest_loss": 2.5}
    posterior = posterior.assign({name: ("task", np.full(len(tasks), value)) for name, value in known.items()})
    posterior = posterior.assign_coords(task=list(tasks))
    outcomes = fs.Outcomes.from_frame(evaluations.evaluated(0), name="evals")
    return LinkFit("links", fs.load_link("sigmoid"), outcomes, posterior, {}, 1)


def sd(draws):
    return float(draws.std(("chain", "draw")).squeeze())


def test_mean_is_the_link_of_the_laws_curve_and_run_has_all_that_scatters(hoffmann_fit):
    at = {"n_params": "1B", "n_tokens": "20B"}
    made = links()
    found = fs.downstream(made, hoffmann_fit, **at, random_seed=1)
    loss = fs.forecast(hoffmann_fit, **at).draws["mean"]
    expected = made.model.curve(
        np.sort(loss.values.ravel()), {"middle": 2.4, "span": 1.2, "top": 1.0, "floor_ratio": 1.0}, 0.25
    )
    np.testing.assert_allclose(np.sort(found.draws["mean"].values.ravel())[::-1], expected, rtol=1e-12)
    p = float(found.draws["mean"].median())
    run_loss = sd(made.accuracy(found.losses["run"]))
    assert sd(found.draws["run"]) == pytest.approx(
        np.sqrt(run_loss**2 + 4 * 0.02**2 * p * (1 - p) + p * (1 - p) / 400), rel=0.05
    )
    # the partner: without the items the band would be too narrow
    assert sd(found.draws["run"]) > 1.1 * np.sqrt(run_loss**2 + 4 * 0.02**2 * p * (1 - p))
    assert found.beyond.shape == (1, 1)
    assert found.beyond[0, 0] == pytest.approx(2.5 - float(loss.median()))


def test_draws_are_paired_independently_and_none_is_lost():
    one = xr.Dataset({"a": (("chain", "draw"), np.arange(4000.0).reshape(4, 1000))})
    other = xr.Dataset({"b": (("chain", "draw"), np.arange(4000.0).reshape(4, 1000))})
    a, b = paired(one, other, np.random.default_rng(0))
    assert sorted(a["a"].values.ravel()) == sorted(b["b"].values.ravel()) == list(range(4000))
    assert abs(np.corrcoef(a["a"].values.ravel(), b["b"].values.ravel())[0, 1]) < 0.08
    single, _ = paired(other.isel(chain=[0], draw=[0]), one, np.random.default_rng(0))
    assert single["b"].shape == (4, 1000)
    assert (single["b"] == 0).all()


def test_table_names_task_point_kind_and_the_mean_over_tasks(hoffmann_fit):
    found = fs.downstream(links(tasks=("x", "y")), hoffmann_fit, n_params=["1B", "7B"], n_tokens="140B", random_seed=1)
    table = found.table(prob=0.8)
    assert list(table.columns) == [
        "task",
        "n_params",
        "n_tokens",
        "kind",
        "median",
        "lower",
        "upper",
        "prob",
        "interval",
    ]
    assert list(table["task"].unique()) == ["x", "y", AVERAGE]
    assert len(table) == 3 * 2 * 2
    assert (table["upper"] <= 1).all()
    run = found.table(kind="run").query("n_params == 1e9").set_index("task")
    width = run["upper"] - run["lower"]
    assert width[AVERAGE] < 0.9 * width["x"]  # scatter about the links averages out, and loss does not
    assert "mean over tasks: mean 0." in repr(found)
    assert "a new run: at the loss of one" in repr(found)


def test_an_estimate_without_noise_has_no_band_of_a_run():
    found = fs.downstream(links(middle_sd=0.05), fs.published("besiroglu2024"), n_params="1B", n_tokens="20B")
    assert list(found.draws) == ["mean"]
    with pytest.raises(fs.ModelError, match="no noise model"):
        found.table(kind="run")
    with pytest.raises(fs.DataError, match="'mean' or 'run', not 'curve'"):
        found.table(kind="curve")
    single = fs.downstream(links(middle_sd=0.05), fs.published("hoffmann2022"), n_params="1B", n_tokens="20B")
    assert sd(single.draws["mean"]) > 0.005  # the link's own spread, of one draw of the law


def test_reach_inverts_the_chain(hoffmann_fit):
    made = links()
    found = fs.reach(made, hoffmann_fit, 0.8)
    flops = float(found.draws["flops"].median())
    split = fs.allocate(hoffmann_fit, flops).draws
    assert float(split["loss"].median()) == pytest.approx(float(found.draws["loss"].median()), abs=1e-3)
    at = {"n_params": float(split["n_params"].median()), "n_tokens": float(split["n_tokens"].median())}
    assert float(fs.downstream(made, hoffmann_fit, **at).draws["mean"].median()) == pytest.approx(0.8, abs=1e-3)
    assert found.probability(flops)["one"] == pytest.approx(0.5, abs=0.01)
    assert found.probability()["one"] == 1.0
    one = fs.published("besiroglu2024")
    hardware = fs.Accelerator(peak=1e15, utilisation=0.5, per_hour=2.0)
    known = replace(one, posterior=one.posterior.isel(chain=[0], draw=[0]))
    told = fs.reach(made, known, 0.8, on=hardware)
    takes = fs.compute_to(known, float(told.draws["loss"][0, 0, 0]), on=hardware).draws
    for name in ("n_params", "n_tokens", "money"):
        np.testing.assert_allclose(told.draws[name], takes[name].item())
    assert set(told.table()["quantity"]) == {"loss", "flops", "n_params", "n_tokens", *told.units}


def test_what_cannot_be_reached_is_infinite_in_every_quantile(hoffmann_fit):
    above = fs.reach(links(top=0.6), hoffmann_fit, 0.8)  # the ceiling is 0.7
    assert (above.draws["loss"] == -np.inf).all()
    row = above.table().set_index("quantity").loc["flops"]
    assert row[["median", "lower", "upper"]].tolist() == [np.inf] * 3
    assert row["probability"] == 0.0
    below_floor = fs.reach(links(), hoffmann_fit, 0.2)
    assert (below_floor.draws["flops"] == 0).all()
    floor = float(hoffmann_fit.posterior["E"].median())  # a loss that the law has in some draws, and not in others
    asked = float(links().model.curve(floor, {"middle": 2.4, "span": 1.2, "top": 1.0, "floor_ratio": 1.0}, 0.25))
    some = fs.reach(links(), hoffmann_fit, {"one": asked})
    assert 0.3 < some.probability()["one"] < 0.7
    assert some.table().set_index("quantity").loc["flops", "upper"] == np.inf
    assert "reached at all with probability 0." in repr(some)


def test_reach_says_what_it_cannot_answer():
    with pytest.raises(fs.DataError, match="a fraction between 0 and 1, not 70"):
        fs.reach(links(), fs.published("besiroglu2024"), 70)
    with pytest.raises(fs.DataError, match="has no task 'two'; it has one"):
        fs.reach(links(), fs.published("besiroglu2024"), {"two": 0.5})
    with pytest.raises(fs.ModelError, match="cannot split compute"):
        fs.reach(links(), fs.published("clark2022_sbase"), 0.5)


def test_reach_of_a_law_of_compute_alone():
    found = fs.reach(
        links(), fs.published(next(n for n in fs.list_published() if fs.published(n).law.inputs == ("flops",))), 0.5
    )
    assert (found.draws["flops"] > 0).all()


def test_a_loss_of_another_text_is_seen():
    made = links()
    bits = made.outcomes.table.assign(loss=lambda table: table["loss"] / np.log(2))
    other = replace(made, outcomes=fs.Outcomes.from_frame(bits, name="bits"))
    with pytest.warns(fs.ForescaleWarning, match=r"losses of bits are 4\d % above those that besiroglu2024 gives"):
        fs.downstream(other, fs.published("besiroglu2024"), n_params="1B", n_tokens="20B")
    with pytest.warns(fs.ForescaleWarning, match="if they are of another text"):
        fs.reach(other, fs.published("besiroglu2024"), 0.5)
