"""Training curves, their lower envelope, and what is left out of it."""

import numpy as np
import pandas as pd
import pytest

import forescale as fs
from forescale.errors import DataError
from forescale.frontiers.curves import Curve, Curves, curves, lowest_rising_path, switches

LAW = {"E": 1.8, "A": 482.0, "B": 2085.0, "alpha": 0.348, "beta": 0.366}
A = LAW["beta"] / (LAW["alpha"] + LAW["beta"])


def table(sizes, *, points=30, span=(2.0, 300.0)):
    """Noiseless checkpoints of each size, by the chinchilla law."""
    blocks = []
    for size in sizes:
        tokens = size * np.geomspace(*span, points)
        loss = LAW["E"] + LAW["A"] / size ** LAW["alpha"] + LAW["B"] / tokens ** LAW["beta"]
        blocks.append(pd.DataFrame({"n_params": size, "n_tokens": tokens, "flops": 6 * size * tokens, "loss": loss}))
    return fs.Observations.from_frame(pd.concat(blocks), name="curves")


def crossing(small, large):
    """The budget at which two sizes have the same loss, in closed form."""
    gain = LAW["A"] * (small ** -LAW["alpha"] - large ** -LAW["alpha"])
    cost = LAW["B"] * (large ** LAW["beta"] - small ** LAW["beta"])
    return 6 * (cost / gain) ** (1 / LAW["beta"])


def test_switches_are_where_curves_cross():
    sizes = np.geomspace(5e7, 8e9, 9)
    found = switches(curves(table(sizes))).table
    np.testing.assert_allclose(found["n_params_small"], sizes[:-1], rtol=1e-12)
    np.testing.assert_allclose(found["n_params_large"], sizes[1:], rtol=1e-12)
    # Half a grid step of 0.01, and what is between two checkpoints.
    np.testing.assert_allclose(np.log(found["flops"]), np.log(crossing(sizes[:-1], sizes[1:])), atol=0.02)


def test_switches_of_even_sizes_lie_on_the_power_law_of_the_optimum():
    sizes = np.geomspace(1e6, 1e13, 15)
    log_flops = np.log(crossing(sizes[:-1], sizes[1:]))
    line, (residual,), *_ = np.polyfit(log_flops, np.log(np.sqrt(sizes[:-1] * sizes[1:])), 1, full=True)
    assert line[0] == pytest.approx(A, abs=1e-12)
    assert residual < 1e-20
    optimum = A * np.log(crossing(1e9, 1.0001e9) / 6) + np.log(LAW["alpha"] * LAW["A"] / LAW["beta"] / LAW["B"]) / (
        LAW["alpha"] + LAW["beta"]
    )
    assert optimum == pytest.approx(np.log(1e9), abs=1e-4)
    ends = np.log(np.array([5e8, 1e9]))  # the larger of the two alone: another line, and another size
    assert abs(np.mean(ends) - ends[1]) > 0.3


@pytest.mark.parametrize("seed", range(5))
def test_the_path_is_the_best_of_all_that_never_fall(seed):
    rng = np.random.default_rng(seed)
    costs = rng.normal(size=(3, 6))
    paths = np.array(np.meshgrid(*[range(3)] * 6)).reshape(6, -1).T
    rising = paths[(np.diff(paths, axis=1) >= 0).all(axis=1)]
    sums = costs[rising, np.arange(6)].sum(axis=1)
    found = lowest_rising_path(costs)
    assert (np.diff(found) >= 0).all()
    assert costs[found, np.arange(6)].sum() == pytest.approx(sums.min())
    free = costs.argmin(axis=0)  # the pointwise envelope goes back and forth
    assert costs[free, np.arange(6)].sum() < sums.min() or (np.diff(free) >= 0).all()


def test_noise_that_crosses_back_and_forth_makes_one_switch():
    rng = np.random.default_rng(3)
    log_flops = np.linspace(40, 50, 400)
    small = Curve(1e8, log_flops, 1.2 - 0.02 * (log_flops - 45) + 0.02 * rng.standard_normal(400))
    large = Curve(2e8, log_flops, 1.2 - 0.03 * (log_flops - 45) + 0.02 * rng.standard_normal(400))
    lower = small(log_flops) < large(log_flops)
    assert np.abs(np.diff(lower.astype(int))).sum() > 20
    none = pd.DataFrame(columns=["n_params", "runs", "reason"])
    found = switches(Curves("noise", (small, large), none)).table
    assert len(found) == 1
    assert np.log(found["flops"].item()) == pytest.approx(45, abs=0.6)


def test_what_is_left_out_is_said():
    runs = table([1e8, 2e8, 4e8]).table
    single = runs[runs["n_params"] == 1e8].iloc[:1].assign(n_params=1e9, n_tokens=1e9, flops=6e18)
    late = table([1.6e9], span=(1e6, 1e7)).table  # starts where it is far below the others
    bad = table([8e8], span=(2.0, 50.0)).table
    bad["loss"] *= 1.5
    near = table([2.2e8], points=10).table
    rows = pd.concat([runs, single, late, bad, near]).drop(columns="run")
    found = switches(curves(fs.Observations.from_frame(rows, name="odd")))
    pairs = found.table[["n_params_small", "n_params_large"]]
    np.testing.assert_allclose(pairs, [[1e8, 2e8], [2e8, 4e8]], rtol=1e-12)
    said = {row["n_params"]: row["reason"] for row in found.left_out.to_dict("records")}
    assert {round(n): why for n, why in said.items()} == {
        1_000_000_000: "one point is no curve",
        1_600_000_000: "its curve ends before another's crosses it",
        800_000_000: "never the best size",
        220_000_000: "within a factor of 1.8 of sizes with more points in all",
    }
    for reason in said.values():
        assert reason in repr(found)


def test_sizes_read_off_a_figure_count_as_one():
    runs = table([1e8, 2e8, 4e8]).table.drop(columns=["run", "flops"])
    rng = np.random.default_rng(1)
    runs["n_params"] *= np.exp(rng.uniform(-0.01, 0.01, len(runs)))
    found = curves(fs.Observations.from_frame(runs))
    assert [len(curve.log_flops) for curve in found.curves] == [30, 30, 30]
    np.testing.assert_allclose([curve.n_params for curve in found.curves], [1e8, 2e8, 4e8], rtol=0.005)
    with pytest.raises(DataError, match="0 sizes with losses at two budgets or more"):
        curves(fs.Observations.from_frame(runs), tolerance=0.0)


def test_runs_of_one_size_and_budget_are_averaged():
    runs = table([1e8, 2e8]).table.drop(columns="run")
    up, down = runs.assign(loss=runs["loss"] * 1.01), runs.assign(loss=runs["loss"] / 1.01)
    once, twice = curves(table([1e8, 2e8])), curves(fs.Observations.from_frame(pd.concat([up, down])))
    for one, two in zip(once.curves, twice.curves, strict=True):
        np.testing.assert_allclose(two.log_loss, one.log_loss, atol=1e-12)


def test_curves_say_nothing_beyond_their_ends():
    (curve, _) = curves(table([1e8, 2e8])).curves
    low, high = curve.log_flops[[0, -1]]
    assert np.isnan(curve(np.array([low - 0.1, high + 0.1]))).all()
    assert np.isfinite(curve(np.linspace(low, high, 50))).all()


def test_spacing_keeps_the_curves_with_the_most_points():
    rows = pd.concat([table([1e8], points=10).table, table([1.2e8], points=40).table, table([4e8], points=35).table])
    rows = fs.Observations.from_frame(rows.drop(columns="run"))
    found = curves(rows)
    np.testing.assert_allclose([curve.n_params for curve in found.curves], [1.2e8, 4e8])
    assert [len(curve.log_flops) for curve in curves(rows, spacing=3.5).curves] == [10, 35]  # 45 points, not 40
    everything = curves(rows, spacing=1.0)
    assert len(everything.curves) == 3
    assert "3 sizes 100M..400M, 85 points" in repr(everything)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"tolerance": -0.1}, "tolerance is a relative distance"),
        ({"spacing": 0.5}, "spacing a ratio of at least 1"),
        ({"spacing": 100.0}, "1 of them a factor of 100 apart"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(DataError, match=words):
        curves(table([1e8, 2e8, 4e8]), **options)


def test_tables_without_curves_are_refused():
    losses = fs.Observations.from_frame(pd.DataFrame({"n_params": [1e8, 2e8], "loss": [3.0, 2.8]}))
    with pytest.raises(DataError, match="has no flops"):
        curves(losses)
    with pytest.raises(DataError, match="0 sizes with losses at two budgets"):
        curves(fs.Observations.from_frame(table([1e8, 2e8]).table.groupby("n_params").head(1)))
