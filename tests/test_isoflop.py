"""Budgets of equal compute: found on exact grids and on digitised ones, and nobody left out without a reason."""

import numpy as np
import pandas as pd
import pytest

import forescale as fs
from forescale.frontiers.isoflop import distinct_sizes, isoflop_groups
from forescale.units import SixNDAttention

NOMINAL = [6e18, 1e19, 3e19, 6e19, 1e20, 3e20, 6e20, 1e21, 3e21]


def valley_table(budgets, sizes, *, scatter=0.0, seed=0, best=1e9):
    """Runs of every size at every budget, whose loss is a parabola about one size."""
    rng = np.random.default_rng(seed)
    n, c = np.tile(sizes, len(budgets)), np.repeat(budgets, len(sizes))
    d = c * np.exp(scatter * rng.uniform(-1, 1, len(c))) / (6 * n)
    loss = 3.0 + 0.05 * np.log(n / best) ** 2
    return pd.DataFrame({"n_params": n, "n_tokens": d, "loss": loss})


def observed(frame):
    return fs.Observations.from_frame(frame, name="toy")


SIZES = 1e9 * 2.0 ** np.arange(-3, 4)


def test_an_exact_grid_is_its_budgets():
    budgets = np.array([1e19, 3e19, 1e20])
    found = isoflop_groups(observed(valley_table(budgets, SIZES)))
    np.testing.assert_allclose(found.budgets["flops"], budgets)
    assert (found.budgets["runs"] == 7).all()
    assert (found.budgets["n_params_best"] == 1e9).all()
    assert found.left_out.empty


def test_scatter_within_the_tolerance_is_one_budget_and_beyond_it_is_not():
    budgets = np.array([1e19, 1e20])
    runs = observed(valley_table(budgets, SIZES, scatter=0.09))
    found = isoflop_groups(runs, tolerance=0.1)
    assert len(found.budgets) == 2
    assert len(found.runs) == 14
    np.testing.assert_allclose(found.budgets["flops"], budgets, rtol=0.1)
    assert len(isoflop_groups(runs, tolerance=0.03, bracketed=False).runs) < 14


def test_the_nine_budgets_of_hoffmann_are_found(hoffmann):
    found = isoflop_groups(hoffmann)
    budgets = found.budgets
    for flops in NOMINAL:
        near = budgets[abs(np.log(budgets["flops"] / flops)) < 0.11]
        assert near["sizes"].max() >= 8, flops
    width = found.runs.groupby("budget")["flops"].agg(lambda c: np.log(c.max() / c.min()))
    assert width.max() <= 2 * np.log(1.1) + 1e-6
    assert sorted([*found.runs["run"], *found.left_out["run"]]) == sorted(hoffmann.labels("run"))
    assert found.left_out["reason"].str.len().min() > 10


def test_who_is_left_out_and_why():
    good = valley_table([1e19, 1e20], SIZES)
    alone = valley_table([1e21], SIZES[:1])
    pair = valley_table([1e22], SIZES[:2])
    edge = valley_table([1e23], SIZES[:4])  # the best size, 1e9, is the largest
    found = isoflop_groups(observed(pd.concat([good, alone, pair, edge])))
    reasons = found.left_out["reason"].tolist()
    assert reasons == [
        "1 of at least 3 sizes within 10% of its compute",
        *["2 of at least 3 sizes within 10% of its compute"] * 2,
        *["the best of 1e23 FLOPs is at the edge of its sizes"] * 4,
    ]
    assert isoflop_groups(observed(pd.concat([good, edge])), bracketed=False).left_out.empty


def test_a_tie_with_a_size_inside_is_no_edge():
    tied = valley_table([1e19], SIZES[:4])
    tied.loc[2, "loss"] = tied.loc[3, "loss"]
    found = isoflop_groups(observed(tied))
    assert found.budgets["n_params_best"].tolist() == [SIZES[2]]


def test_sizes_read_off_a_figure_are_not_new_sizes():
    assert distinct_sizes(np.log([1e9, 1.001e9, 0.999e9, 2e9])) == 2
    assert distinct_sizes(np.log(1e9) + 0.02 * np.arange(5)) == 3  # no chain of near sizes becomes one


def test_runs_of_one_size_make_no_budget():
    one = pd.concat([valley_table([1e19], SIZES[:1] * (1 + 0.001 * i)) for i in range(5)])
    with pytest.raises(fs.DataError, match="'toy' has no isoFLOP budget: .* 5 runs.* are 1, near .*larger tolerance"):
        isoflop_groups(observed(one))


def test_budgets_without_a_minimum_are_refused_in_words():
    with pytest.raises(fs.DataError, match="1 budgets have sizes enough, .* bracketed=False"):
        isoflop_groups(observed(valley_table([1e19], SIZES[:4])))
    with pytest.raises(fs.DataError, match="'openeurollm' has no isoFLOP budget"):
        isoflop_groups(fs.load_dataset("openeurollm"))


@pytest.mark.parametrize("options", [{"tolerance": 0.0}, {"tolerance": 1.0}, {"least": 2}])
def test_options_that_are_none(options):
    with pytest.raises(fs.DataError, match="tolerance between 0 and 1 and at least 3 sizes"):
        isoflop_groups(observed(valley_table([1e19], SIZES)), **options)


def test_sizes_are_needed():
    with pytest.raises(fs.DataError, match="two of n_params, n_tokens and flops"):
        isoflop_groups(fs.load_dataset("google_nmt"))


def test_compute_is_what_the_cost_model_says():
    cost = SixNDAttention(n_ctx=32768)
    sizes = np.tile(SIZES, 2)
    flops = np.repeat([1e20, 1e21], len(SIZES))
    frame = pd.DataFrame({"n_params": sizes, "n_tokens": cost.n_tokens(flops, sizes)})
    runs = observed(frame.assign(loss=3 + np.log(sizes / 1e9) ** 2 / 20))
    found = isoflop_groups(runs, cost=cost, tolerance=0.01)
    np.testing.assert_allclose(found.budgets["flops"], [1e20, 1e21])
    with pytest.raises(fs.DataError, match="no isoFLOP budget"):  # by another cost they are not of one compute
        isoflop_groups(runs, tolerance=0.01, bracketed=False)


def test_tokens_follow_from_compute():
    frame = valley_table([1e19, 1e20], SIZES)
    bare = fs.Observations({"n_params": frame["n_params"], "flops": np.repeat([1e19, 1e20], 7), "loss": frame["loss"]})
    np.testing.assert_allclose(isoflop_groups(bare).runs["n_tokens"], frame["n_tokens"])


def test_repr_is_narrow_and_counts(hoffmann):
    text = repr(isoflop_groups(hoffmann, least=8))
    assert "IsoFLOP budgets of hoffmann2022" in text
    assert "left out, " in text
    assert max(map(len, text.splitlines())) <= 80
