"""Sets of nearly best sizes: their ends have the loss that is asked, and a sure size is in that share of them."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from toys import toy

import forescale as fs
from forescale.decisions.near_optimal import SLACK, _covered
from forescale.errors import DataError, ModelError
from forescale.numbers.optimum import loss_on_line
from forescale.plots import plot_near_optimal

BUDGETS = ["1e22", "5.76e23"]
FLOPS = np.array([1e22, 5.76e23])


@pytest.fixture(scope="module")
def source():
    return fs.published("besiroglu2024")


@pytest.fixture(scope="module")
def near(source):
    return fs.near_optimal(source, BUDGETS)


@pytest.mark.parametrize("cost", ["6ND", "6ND+attention"])
def test_ends_have_the_loss_that_is_asked(source, near, cost):
    near = near if cost == "6ND" else fs.near_optimal(source, BUDGETS, cost=cost)
    values = {name: source.posterior[name].to_numpy()[..., None] for name in source.law.parameters}
    log_best = np.log(near.draws["best"].to_numpy())
    best = loss_on_line(source.law, near.cost, log_best, np.log(FLOPS), values)
    for name, outwards in (("smallest", -0.01), ("largest", 0.01)):
        paid = near.cost.flops(near.draws[name], near.draws[f"tokens_of_{name}"])
        np.testing.assert_allclose(paid, np.broadcast_to(FLOPS, paid.shape))
        for step, sign in ((0.0, 0.0), (outwards, 1.0), (-outwards, -1.0)):
            size = np.log(near.draws[name].to_numpy()) + step
            excess = loss_on_line(source.law, near.cost, size, np.log(FLOPS), values) / best - 1 - SLACK
            assert (np.abs(excess) < 1e-9).all() if sign == 0 else (sign * excess > 0).all()


def test_a_set_near_the_minimum_is_as_wide_as_its_curvature_says():
    """By Taylor: log N* +- sqrt(2 s L / L''), L'' = alpha (alpha + beta) A / N*^alpha of Hoffmann et al.'s law."""
    source = toy("chinchilla", E=1.8, A=470.0, B=1900.0, alpha=0.345, beta=0.36)
    near = fs.near_optimal(source, 1e24, slack=1e-8)
    best, loss = (fs.allocate(source, 1e24).draws[name].item() for name in ("n_params", "loss"))
    half = np.sqrt(2e-8 * loss / (0.345 * (0.345 + 0.36) * 470 / best**0.345))
    assert np.log(near.draws["largest"].item() / best) == pytest.approx(half, rel=1e-3)
    assert np.log(near.draws["smallest"].item() / best) == pytest.approx(-half, rel=1e-3)


def test_a_probability_is_the_share_of_sets_that_hold_a_size(near):
    table = near.probability(["50B", "72.8B", "1T"])
    assert list(table["flops"]) == np.repeat(FLOPS, 3).tolist()
    for row in table.to_dict("records"):
        here = near.draws.sel(budget=row["flops"])
        held = (here["smallest"] <= row["n_params"]) & (row["n_params"] <= here["largest"])
        assert row["probability"] == float(held.mean())
        assert 6 * row["n_params"] * row["n_tokens"] == pytest.approx(row["flops"])
    assert table["probability"].iloc[4] > 0.95
    assert table["probability"].iloc[5] == 0


@pytest.mark.parametrize("prob", [0.5, 0.9])
def test_a_sure_size_is_in_that_share_of_the_sets_and_no_wider_range_is(near, prob):
    for row in near.sure(prob).to_dict("records"):
        for end, outwards in (("smallest", 1 / 1.001), ("largest", 1.001)):
            at, beyond = near.probability([row[end], row[end] * outwards]).query("flops == @row['flops']")[
                "probability"
            ]
            assert beyond < prob <= at + 1e-9
        best = float(near.draws["best"].sel(budget=row["flops"]).median())
        assert row["serving_saved"] == pytest.approx(100 * (1 - row["smallest"] / best))


def test_what_is_covered_against_brute_force():
    rng = np.random.default_rng(5)
    low = np.exp(rng.normal(size=60))
    high = low * np.exp(rng.exponential(size=60))
    grid = np.exp(np.linspace(-3, 5, 20001))
    covered = ((low <= grid[:, None]) & (grid[:, None] <= high)).mean(axis=1)
    for share in (0.1, 0.3, 0.45):
        found = _covered(low, high, share)
        inside = np.flatnonzero(covered >= share)
        runs = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1)
        np.testing.assert_allclose(found, grid[max(runs, key=len)[[0, -1]]], rtol=1e-3)
    assert np.isnan(_covered(low, high, 0.99)).all()


@pytest.mark.parametrize(("narrower", "holds"), [(1.0, True), (0.3, False)])
def test_a_size_at_the_end_of_what_is_sure_is_nearly_best_that_often(narrower, holds):
    """An exponent known to 0.004, 300 times: by the truth the end is in the set as often as is said, and by draws that
    are too narrow, the partner, far less often."""
    rng = np.random.default_rng(8)
    truth = {"E": 1.8, "A": 470.0, "B": 1900.0, "alpha": 0.345, "beta": 0.36}
    seen = truth["alpha"] + 0.004 * rng.standard_normal(300)
    draws = seen[:, None] + narrower * 0.004 * rng.standard_normal((300, 200))
    sets = fs.near_optimal(toy("chinchilla", **truth | {"alpha": draws}), 1e23).draws.squeeze("budget")
    right = fs.near_optimal(toy("chinchilla", **truth), 1e23).draws.squeeze()
    ends = [_covered(low, high, 0.8) for low, high in zip(sets["smallest"].values, sets["largest"].values, strict=True)]
    inside = [right["smallest"].item() <= low <= right["largest"].item() for low, _ in ends]
    assert bool(abs(np.mean(inside) - 0.8) < 3 * np.sqrt(0.8 * 0.2 / 300)) is holds


def test_of_two_ranges_the_wider_is_told():
    low, high = np.array([1.0, 1.0, 10.0, 10.0]), np.array([2.0, 3.0, 40.0, 50.0])
    assert _covered(low, high, 0.5) == (10.0, 40.0)
    assert _covered(low, high, 0.25) == (10.0, 50.0)


def test_nothing_is_sure_where_draws_disagree():
    rows = fs.near_optimal(toy("chinchilla", E=1.8, A=[300.0, 3e4], B=1900.0, alpha=0.345, beta=0.36), 1e22)
    assert rows.sure(0.9)[["smallest", "largest", "tokens_of_smallest", "serving_saved"]].isna().all(axis=None)
    assert "nearly best with 90 % probability: none" in repr(rows)


def test_a_flat_valley_ends_at_the_search():
    near = fs.near_optimal(fs.published("hoffmann2022"), "1e21", slack=100.0)
    assert near.draws["smallest"].item() >= 1
    assert near.draws["tokens_of_largest"].item() >= 1 - 1e-9


def test_tokens_that_repeat_are_seen_as_such():
    source = fs.published("muennighoff2023")
    near = fs.near_optimal(source, "9.26e21", unique_tokens="25B").draws.squeeze()
    best = fs.allocate(source, "9.26e21", unique_tokens="25B").draws["loss"].item()
    for pool, right in ((25e9, True), (np.inf, False)):
        at = {"n_params": near["largest"], "n_tokens": near["tokens_of_largest"], "unique_tokens": pool}
        loss = source.law(at, source.posterior.squeeze()).item()
        assert (loss == pytest.approx(1.001 * best, rel=1e-9)) is right


def test_table_and_repr_say_what_they_are(near):
    table = near.table(0.5)
    assert table["quantity"].tolist()[:5] == ["smallest", "best", "largest", "tokens_of_smallest", "tokens_of_largest"]
    assert (table["prob"] == 0.5).all()
    told = repr(near)
    assert "within 0.1 % of the least loss by besiroglu2024" in told
    assert told.count("nearly best with 90 % probability") == 2
    assert "90 % equal-tailed" in told


def test_what_cannot_be_asked_is_refused(near):
    single = fs.near_optimal(fs.published("hoffmann2022"), 1e21)
    for ask in (lambda: single.sure(0.9), lambda: single.probability("1B"), lambda: plot_near_optimal(single)):
        with pytest.raises(ModelError, match="hoffmann2022 is a single draw: .* nothing has a probability"):
            ask()
    with pytest.raises(DataError, match="slack must be above zero"):
        fs.near_optimal(fs.published("hoffmann2022"), 1e21, slack=0)
    with pytest.raises(ModelError, match="cannot split compute"):
        fs.near_optimal(fs.published("kaplan2020_n"), 1e21)
    with pytest.raises(DataError, match="n_params, entry 0"):
        near.probability("large")


def test_the_figure_has_the_probabilities_and_names_the_sure_sizes(near, source):
    ax = plot_near_optimal(near, Figure(layout="constrained").add_subplot())
    curve = ax.lines[0]
    expected = near.probability(curve.get_xdata()).query("flops == 1e22")["probability"]
    np.testing.assert_allclose(curve.get_ydata(), expected)
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert [label.partition(":")[0] for label in told] == ["1e22 FLOPs", "5.76e23 FLOPs"]
    assert all(" to " in label for label in told)
    assert "90 % probability" in ax.get_legend().get_title().get_text()
    with pytest.raises(DataError, match="7 budgets cannot be told apart"):
        plot_near_optimal(fs.near_optimal(source, np.geomspace(1e20, 1e26, 7)))
