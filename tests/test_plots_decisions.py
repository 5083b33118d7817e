"""Figures of decisions and comparisons: what is drawn is the result's own table, and the figure says what it is."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib.figure import Figure
from toys import toy

import forescale as fs
from forescale.checking.calibrate import Calibration
from forescale.checking.compare import Comparison
from forescale.checking.loo import LeaveOneOut
from forescale.checking.separation import disagree
from forescale.errors import DataError
from forescale.estimates.trends import log_crossing
from forescale.frontiers.frontier import _result
from forescale.frontiers.isoflop import isoflop_groups
from forescale.laws import get_law
from forescale.plots.allocations import TRAINED, plot_allocation
from forescale.plots.calibrations import plot_ranks
from forescale.plots.comparisons import plot_divergence, plot_loo_differences
from forescale.plots.contours import plot_contours
from forescale.plots.contradictions import EXPONENTS, plot_contradiction, plot_crossing_exponents
from forescale.plots.isoflops import plot_isoflops, valleys
from forescale.plots.regrets import plot_regret
from forescale.plots.saving import save_figure
from forescale.plots.sensitivities import plot_elasticities, plot_shares, plot_tornado
from forescale.units import SixND

GRID = np.geomspace(1e20, 1e27, 8)
LAW = get_law("chinchilla")
TRUTH = {"E": 1.8, "A": 470.0, "B": 1900.0, "alpha": 0.345, "beta": 0.36}


def scattered(alpha=0.345, draws=400, name="toy"):
    """A Chinchilla law with draws whose coefficients all but follow their exponents, as in a real posterior."""
    rng = np.random.default_rng(3)
    a, b = alpha + 0.008 * rng.standard_normal(draws), 0.36 + 0.008 * rng.standard_normal(draws)
    made = toy(
        "chinchilla",
        E=1.8 + 0.5 * (a - alpha) + 0.01 * rng.standard_normal(draws),
        A=470 * np.exp(20.7 * (a - alpha) + 0.01 * rng.standard_normal(draws)),
        B=1900 * np.exp(23.7 * (b - 0.36) + 0.01 * rng.standard_normal(draws)),
        alpha=a,
        beta=b,
    )
    made.name = name
    return made


@pytest.fixture(scope="module")
def allocation():
    return fs.allocate(scattered(), GRID)


@pytest.fixture(scope="module")
def frontier():
    """Approach 2 without a sampler: two budgets of the truth, and draws about it."""
    budgets = np.array([1e20, 1e21])
    best = fs.allocate(toy("chinchilla", **TRUTH), budgets).draws.isel(chain=0, draw=0)
    flops = np.repeat(budgets, 7)
    n = np.repeat(best["n_params"].to_numpy(), 7) * np.tile(np.geomspace(0.3, 3, 7), 2)
    loss = LAW({"n_params": n, "n_tokens": flops / 6 / n}, TRUTH)
    groups = isoflop_groups(fs.Observations({"n_params": n, "flops": flops, "loss": loss}, name="made"))
    rng = np.random.default_rng(0)
    middle = np.log(budgets).mean()
    size = float(np.log(best["n_params"]).mean())
    scale = TRUTH["alpha"] * TRUTH["A"] / np.exp(TRUTH["alpha"] * size) * (TRUTH["alpha"] + TRUTH["beta"])
    one = {
        "a": 0.5106,
        "offset": size - 0.5 * (middle - np.log(120)),
        "tau": 0.01,
        "curvature_slope": -0.176,
        "curvature_middle": scale,
        "curvature_scatter": 0.01,
        "p": TRUTH["alpha"],
        "q": TRUTH["beta"],
    }
    jitter = lambda *shape: 1 + 0.02 * rng.standard_normal((2, 100, *shape))  # noqa: E731
    draws = {name: (("chain", "draw"), value * jitter()) for name, value in one.items()}
    for name in ("root_tau_z", "root_scatter_w"):
        draws[name] = (("chain", "draw", "budget"), 0.1 * rng.standard_normal((2, 100, 2)))
    log_loss = np.log(best["loss"].to_numpy()) * (1 + 0.001 * rng.standard_normal((2, 100, 2)))
    draws["log_loss_min"] = (("chain", "draw", "budget"), log_loss)
    return _result(groups, "asymmetric", SimpleNamespace(posterior=xr.Dataset(draws)))


def contradiction(name):
    return fs.contradiction(fs.published_trends(name, draws=1000))


@pytest.fixture(scope="module")
def crossing():
    return contradiction("kaplan2020_pivoted")


@pytest.fixture(scope="module")
def sensitivity():
    return fs.sensitivity(scattered(), "n_params", compute=["1e21", "1e24", "1e26"])


@pytest.fixture(scope="module")
def comparison():
    """Two laws that part, with scores of six runs by hand; the second run was refitted."""
    runs = fs.Observations(
        {"n_params": np.geomspace(1e8, 1e9, 6), "n_tokens": np.geomspace(2e9, 2e10, 6), "loss": np.full(6, 3.0)},
        name="made",
    )
    sources = {"one": scattered(name="one"), "two": scattered(0.30, name="two")}
    elpd = {"one": [2.0, 1.0, 3.0, 2.5, 2.0, 1.5], "two": [1.0, 1.5, 2.0, 2.0, 1.0, 1.0]}
    refitted = {"one": [False] * 6, "two": [False, True, *[False] * 4]}
    scores = {
        name: LeaveOneOut(name, xr.Dataset({"elpd": ("run", elpd[name]), "refitted": ("run", refitted[name])}), 0.5)
        for name in elpd
    }
    apart = disagree(sources, {}, np.array([1e24]), SixND(), (1e18, 1e28), 1)
    return Comparison(runs, sources, scores, {}, apart, {}, 1)


def legend(ax):
    found = ax.get_legend()
    return [text.get_text() for text in found.get_texts()]


def line(ax, label):
    (found,) = [each for each in ax.lines if each.get_label() == label]
    return found.get_ydata()


def band(ax, label, at):
    """Lower and upper edge of the filled band of this label, at these places."""
    (found,) = [each for each in ax.collections if each.get_label() == label]
    x, y = found.get_paths()[0].vertices.T
    return np.transpose([(y[np.isclose(x, place)].min(), y[np.isclose(x, place)].max()) for place in at])


@pytest.fixture(scope="module")
def waste():
    return fs.regret(scattered(), [1e21, 1e24, 1e26], tokens_per_param=2)


FIGURES = {
    "regret": (plot_regret, "waste"),
    "isoflops": (plot_isoflops, "frontier"),
    "allocation": (plot_allocation, "allocation"),
    "contradiction": (plot_contradiction, "crossing"),
    "elasticities": (plot_elasticities, "sensitivity"),
    "tornado": (plot_tornado, "sensitivity"),
    "divergence": (plot_divergence, "comparison"),
    "loo": (plot_loo_differences, "comparison"),
    "shares": (plot_shares, "sensitivity"),
    "exponents": (plot_crossing_exponents, "crossing"),
    "contours": (plot_contours, None),
}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_drawn_on_the_axes_given_with_units_and_kinds_of_band(name, request, tmp_path):
    plot, result = FIGURES[name]
    ax = Figure(layout="constrained").add_subplot()
    assert plot(scattered() if result is None else request.getfixturevalue(result), ax) is ax
    for panel in ax.child_axes if name == "exponents" else [ax]:
        assert panel.has_data()
        if name not in {"tornado", "exponents"}:
            assert panel.get_xlabel().endswith(")")
            assert "(" in panel.get_ylabel() or "d log" in panel.get_ylabel()
    said = " ".join([*legend(ax), ax.get_legend().get_title().get_text()])
    if name == "loo":
        assert "standard error" in said
    elif name != "shares":
        assert "90 % equal-tailed" in said
        assert "mean" in said or name == "exponents"
    assert ax.get_title(loc="left")
    assert save_figure(ax, tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


class TestIsoflops:
    def test_minima_and_their_intervals_are_those_of_the_table(self, frontier):
        ax = plot_isoflops(frontier, prob=0.8)
        for bars, (_, rows) in zip(ax.containers, frontier.table(0.8).groupby("flops"), strict=True):
            rows = rows.set_index("quantity")
            marker, _, (across, up) = bars
            assert marker.get_xydata()[0] == pytest.approx(rows.loc[["n_params", "loss"], "median"].to_numpy())
            ends = rows.loc["n_params", ["lower", "upper"]].to_numpy(float)
            assert across.get_segments()[0][:, 0] == pytest.approx(ends)
            assert up.get_segments()[0][:, 1] == pytest.approx(rows.loc["loss", ["lower", "upper"]].to_numpy(float))

    def test_a_valley_is_lowest_at_its_minimum_and_near_the_law_that_made_the_runs(self, frontier):
        best = frontier.table().query("quantity == 'n_params'")["median"].to_numpy()
        for index, flops in enumerate([1e20, 1e21]):
            sizes = best[index] * np.geomspace(0.3, 3, 201)
            valley = valleys(frontier, index, sizes, 0.9)
            assert sizes[valley["median"].argmin()] == pytest.approx(best[index], rel=0.03)
            law = LAW({"n_params": sizes, "n_tokens": flops / 6 / sizes}, TRUTH)
            np.testing.assert_allclose(valley["median"], law, rtol=2e-3)
            assert (valley["lower"] < valley["upper"]).all()

    def test_each_budget_has_a_colour_of_its_own_and_the_bar_says_which(self, frontier):
        ax = plot_isoflops(frontier)
        medians = [each for each in ax.lines if len(each.get_xdata()) == 61]
        assert len({tuple(each.get_color()) for each in medians}) == len(medians) == 2
        (bar,) = ax.child_axes
        assert bar.get_ylabel() == "budget C (FLOPs)"


class TestAllocation:
    @pytest.mark.parametrize("quantity", ["n_params", "n_tokens", "tokens_per_param"])
    def test_curve_and_band_are_those_of_the_table(self, allocation, quantity):
        ax = plot_allocation(allocation, quantity=quantity, prob=0.8)
        rows = allocation.table(0.8).query("quantity == @quantity")
        np.testing.assert_allclose(line(ax, "toy, median"), rows["median"])
        drawn = band(ax, "mean (the law's curve), 80 % equal-tailed", GRID)
        np.testing.assert_allclose(drawn, rows[["lower", "upper"]].to_numpy().T)

    def test_models_are_marked_at_their_data(self, allocation):
        ax = plot_allocation(allocation, quantity="n_tokens", marks={**TRAINED, "ours": (7e9, 2e12)})
        points = {(each.get_xdata()[0], each.get_ydata()[0]) for each in ax.lines[1:]}
        assert points == {(6 * n * d, d) for n, d in [*TRAINED.values(), (7e9, 2e12)]}
        assert {text.get_text() for text in ax.texts} >= {"Chinchilla 1.4T", "ours 2T"}

    def test_names_of_models_do_not_cover_each_other(self, allocation):
        ax = plot_allocation(allocation, quantity="n_tokens")  # Gopher and GPT-3 have the same data
        ax.figure.draw_without_rendering()
        boxes = [text.get_window_extent() for text in ax.texts]
        assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])

    def test_a_printed_rule_is_a_line_of_its_own(self, allocation):
        rule = fs.published("kaplan2020").rules["n_params"]
        for quantity, expected in {"n_params": rule(GRID), "n_tokens": GRID / 6 / rule(GRID)}.items():
            ax = plot_allocation(allocation, quantity=quantity, rules={"rule": rule})
            np.testing.assert_allclose(line(ax, "rule"), expected)

    def test_what_cannot_be_drawn_is_refused(self, allocation):
        with pytest.raises(DataError, match="one of n_params, n_tokens, tokens_per_param, not as 'loss'"):
            plot_allocation(allocation, quantity="loss")
        rule = fs.published("kaplan2020").rules["n_tokens_without_penalty"]
        with pytest.raises(DataError, match="needs n_params or n_tokens of flops or min_flops"):
            plot_allocation(allocation, rules={"no": rule})


class TestContours:
    def test_the_frontier_is_that_of_allocate_and_every_level_is_a_loss_on_it(self):
        ax = plot_contours(scattered(), compute="1e24")
        x, y = next(each for each in ax.lines if each.get_label() == "compute-optimal split, median").get_data()
        split = fs.allocate(scattered(), 6 * x * y).table()
        np.testing.assert_allclose(split.query("quantity == 'n_params'")["median"], x)
        assert (6 * x * y)[[0, -1]] == pytest.approx([1e18, 1e24])
        (contours,) = [each for each in ax.collections if hasattr(each, "levels")]
        losses = split.query("quantity == 'loss'")["median"]
        assert len(contours.levels) >= 5
        assert losses.min() - 0.006 <= contours.levels.min() < contours.levels.max() <= losses.max() + 0.006

    def test_points_of_a_contour_have_its_loss(self):
        ax = plot_contours(toy("chinchilla", **TRUTH))
        (contours,) = [each for each in ax.collections if hasattr(each, "levels")]
        for level, path in zip(contours.levels, contours.get_paths(), strict=True):
            n, d = path.vertices.T
            np.testing.assert_allclose(LAW({"n_params": n, "n_tokens": d}, TRUTH), level, rtol=0.005)

    def test_the_band_lies_along_lines_of_one_compute(self):
        ax = plot_contours(scattered(), compute="1e24", prob=0.8)
        (patch,) = ax.patches
        assert patch.get_label() == "mean (the law's curve), 80 % equal-tailed in N*"
        n, d = patch.get_xy()[:82].T
        flops = (6 * n * d)[:41]
        np.testing.assert_allclose((6 * n * d)[41:][::-1], flops)
        rows = fs.allocate(scattered(), flops).table(0.8).query("quantity == 'n_params'")
        np.testing.assert_allclose([n[:41], n[41:][::-1]], rows[["lower", "upper"]].to_numpy().T)

    def test_a_single_draw_has_no_band(self):
        ax = plot_contours(toy("chinchilla", **TRUTH))
        assert not ax.patches
        assert not any("mean" in text for text in legend(ax))

    def test_the_frontier_ends_beyond_its_start(self):
        with pytest.raises(DataError, match=r"must exceed the 1e\+18 FLOPs where it starts"):
            plot_contours(scattered(), compute=1e17)


class TestContradiction:
    def test_bands_are_those_of_the_trends(self, crossing):
        ax = plot_contradiction(crossing, prob=0.8)
        p = crossing.trends.posterior
        flops = ax.lines[0].get_xdata()[[0, 40, 80]]
        for index, at in zip((0, 40, 80), flops, strict=True):
            loss = (p["C_c"] / at) ** p["alpha_C"]
            assert line(ax, "L(C), median")[index] == pytest.approx(float(loss.median()))
            low, high = band(ax, "mean (the curve L(C)), 80 % equal-tailed", [at])
            assert [low[0], high[0]] == pytest.approx(loss.quantile([0.1, 0.9]).to_numpy())
            floor = (p["D_c"] / (p["D_1"] * (at / crossing.trends.unit) ** p["b"])) ** p["alpha_D"]
            assert line(ax, "L(D(C)), median")[index] == pytest.approx(float(floor.median()))

    def test_the_cloud_is_of_draws_and_the_point_is_that_of_the_table(self, crossing):
        ax = plot_contradiction(crossing)
        (cloud,) = [each for each in ax.lines if each.get_label().startswith("crossings by draw")]
        drawn = set(zip(*(np.ravel(crossing.draws[name]) for name in ("flops", "loss")), strict=True))
        assert len(cloud.get_xdata()) == 600
        assert set(map(tuple, cloud.get_xydata())) <= drawn
        marker, _, (across, _) = ax.containers[0]
        row = crossing.table().set_index("quantity").loc["flops"]
        assert marker.get_xdata() == pytest.approx([row["median"]])
        assert across.get_segments()[0][:, 0] == pytest.approx([row["lower"], row["upper"]])

    def test_crossings_out_of_view_are_counted_over_all_draws(self, crossing):
        far = crossing.draws.copy(deep=True)
        far["flops"][0, :500] = np.inf
        found = plot_contradiction(replace(crossing, draws=far))
        assert any("50 % never" in text for text in legend(found))

    def test_points_have_no_bands(self):
        found = contradiction("kaplan2020_eq67")
        ax = plot_contradiction(found)
        assert not any("equal-tailed" in text for text in legend(ax))
        assert legend(ax)[-1] == "C* 9.2e24 FLOPs, L* 1.49"


class TestCrossingExponents:
    def test_a_panel_for_each_exponent_on_one_axis_of_compute(self, crossing):
        ax = plot_crossing_exponents(crossing)
        panels = ax.child_axes
        assert [panel.get_xlabel() for panel in panels] == list(EXPONENTS.values())
        assert len({panel.get_ylim() for panel in panels}) == 1
        assert panels[0].get_ylabel() == "C* (FLOPs)"

    @pytest.mark.parametrize("held", ["scale", "pivot"])
    def test_slopes_of_the_curves_are_the_elasticities_at_the_medians(self, crossing, held):
        ax = plot_crossing_exponents(crossing, held=held)
        p = crossing.trends.posterior
        middle = {name: (("chain", "draw"), [[float(p[name].median())]]) for name in p}
        point = fs.published_trends("kaplan2020_pivoted")
        at = fs.contradiction(type(point)(**{**vars(point), "posterior": xr.Dataset(middle)}))
        for panel, name in zip(ax.child_axes, EXPONENTS, strict=True):
            (curve,) = [each for each in panel.lines if each.get_label().startswith("C*")]
            assert curve.get_label().endswith(f"{held} held")
            values, flops = curve.get_data()
            found = np.interp(float(p[name].median()), values, np.gradient(np.log10(flops), values))
            assert found == pytest.approx(at.elasticities[name].sel(held=held).item(), rel=0.01)

    def test_the_cloud_is_of_draws_and_the_span_the_exponents_interval(self, crossing):
        panel = plot_crossing_exponents(crossing, prob=0.8).child_axes[0]
        p = crossing.trends.posterior
        span = panel.patches[0]
        ends = p["alpha_C"].quantile([0.1, 0.9]).to_numpy()
        assert [span.get_x(), span.get_x() + span.get_width()] == pytest.approx(ends)
        (cloud,) = [each for each in panel.lines if each.get_label() == "draws"]
        assert set(cloud.get_xdata()) <= set(np.ravel(p["alpha_C"]))
        crossed = np.exp(log_crossing({name: float(p[name][0, 0]) for name in p}, crossing.trends.unit))
        assert cloud.get_ydata()[0] == pytest.approx(crossed)

    def test_a_pivot_that_is_not_stated_is_refused(self):
        with pytest.raises(DataError, match="one of scale, not 'pivot'"):
            plot_crossing_exponents(contradiction("kaplan2020"), held="pivot")


class TestSensitivity:
    @pytest.mark.parametrize("measure", ["elasticity", "semi_elasticity"])
    def test_lines_are_those_of_the_table_exponents_first(self, sensitivity, measure):
        ax = plot_elasticities(sensitivity, measure=measure, prob=0.8)
        table = sensitivity.elasticities(0.8).query("measure == @measure")
        names = [each.get_label().removesuffix(", median") for each in ax.lines if "median" in each.get_label()]
        assert names == ["alpha", "beta", *(["E", "A", "B"] if measure == "elasticity" else [])]
        for name in names:
            np.testing.assert_allclose(line(ax, f"{name}, median"), table[table["parameter"] == name]["median"])
        first = table[table["parameter"] == "alpha"]
        drawn = band(ax, "mean (the law's curve), 80 % equal-tailed", first["flops"])
        np.testing.assert_allclose(drawn, first[["lower", "upper"]].to_numpy().T)

    def test_shares_are_those_of_the_table_and_a_stand_in_is_named_only_beside_its_exponent(self, sensitivity):
        ax = plot_shares(sensitivity)
        table = sensitivity.shares()
        assert {"A", "B"} == set(sensitivity.attribution.stand_ins)
        drawn = legend(ax)
        assert drawn[:3] == ["alpha", "beta", "E"]
        assert "alpha and beta" in drawn
        assert not {"A", "B"} & set(drawn)
        for known in drawn:
            np.testing.assert_allclose(line(ax, known), 100 * table[table["known"] == known]["share"])

    def test_bars_are_changes_as_factors_exponents_first(self, sensitivity):
        ax = plot_tornado(sensitivity, flops="1e24")
        rows = sensitivity.changes().query("flops == 1e24").set_index(["others", "parameter"])
        names = [label.get_text().split(",")[0].removeprefix("log ") for label in ax.get_yticklabels()]
        assert set(names[:2]) == {"alpha", "beta"}
        assert "log A" in ax.get_yticklabels()[names.index("A")].get_text()
        assert "(moves with alpha)" in ax.get_yticklabels()[names.index("A")].get_text()
        bars = [each for each in ax.containers if hasattr(each, "patches")]
        for container, how in zip(bars, ("conditioned", "held"), strict=True):
            ends = [patch.get_x() + patch.get_width() for patch in container.patches]
            np.testing.assert_allclose(ends, 10 ** rows.loc[how].loc[names, "median"])
        assert ax.get_xscale() == "log"

    def test_a_loss_changes_in_nats_and_the_last_place_is_the_default(self):
        found = fs.sensitivity(scattered(), "loss", compute=["1e21", "1e24"])
        ax = plot_tornado(found)
        assert ax.get_xlabel() == "change of the loss for one sd more (nats per token)"
        assert "at 1e24 FLOPs" in ax.get_title(loc="left")
        with pytest.raises(DataError, match="not one of the places asked about"):
            plot_tornado(found, flops="1e22")

    def test_what_cannot_be_drawn_is_refused(self, sensitivity):
        one = fs.sensitivity(scattered(), "n_params", compute="1e24")
        single = fs.sensitivity(fs.published("hoffmann2022"), "n_params", compute=["1e21", "1e24"])
        for plot in (plot_elasticities, plot_shares):
            with pytest.raises(DataError, match="not asked at two budgets"):
                plot(one)
        with pytest.raises(DataError, match="spread of N.* is not known"):
            plot_shares(single)
        with pytest.raises(DataError, match="single draw"):
            plot_tornado(single)
        with pytest.raises(DataError, match="elasticity or semi_elasticity, not as 'slope'"):
            plot_elasticities(sensitivity, measure="slope")
        assert not plot_elasticities(single).collections


class TestComparison:
    @pytest.mark.parametrize("quantity", ["loss", "n_params"])
    def test_bands_are_those_of_allocations(self, comparison, quantity):
        ax = plot_divergence(comparison, quantity=quantity, prob=0.8)
        flops = ax.lines[0].get_xdata()
        assert flops[[0, -1]] == pytest.approx([1e18, 1e28])
        for name, source in comparison.sources.items():
            rows = fs.allocate(source, flops).table(0.8).query("quantity == @quantity")
            np.testing.assert_allclose(line(ax, f"{name}, median"), rows["median"])
            drawn = band(ax, f"{name}, mean (the law's curve), 80 % equal-tailed", flops)
            np.testing.assert_allclose(drawn, rows[["lower", "upper"]].to_numpy().T)

    def test_the_shade_is_where_bands_separate(self, comparison):
        ax = plot_divergence(comparison, quantity="n_params")
        (shade,) = [each for each in ax.collections if each.get_label() == "the two bands do not meet"]
        found = comparison.separation()
        paths = [path.vertices[:, 0] for path in shade.get_paths()]
        assert len(paths) == len(found) >= 1
        step = 10 ** (10 / 60)  # between budgets of the curves
        for x, row in zip(paths, found.itertuples(), strict=True):
            assert row.flops_from <= x.min() * 1.0001 <= row.flops_from * step
            assert row.flops_to / step <= x.max() <= row.flops_to * 1.0001

    def test_three_laws_are_drawn_without_a_shade(self, comparison):
        three = {**comparison.sources, "three": scattered(0.4)}
        apart = disagree(three, {}, np.array([1e24]), SixND(), (1e18, 1e28), 1)
        ax = plot_divergence(Comparison(comparison.runs, three, comparison.predictive, {}, apart, {}, 1))
        assert len([text for text in legend(ax) if text.endswith(", median")]) == 3
        assert not any("do not meet" in text for text in legend(ax))

    def test_points_are_differences_of_elpd_and_the_sum_is_that_of_the_scores(self, comparison):
        ax = plot_loo_differences(comparison)
        one, two = (comparison.predictive[name].runs["elpd"].to_numpy() for name in ("one", "two"))
        drawn = {x: y for each in ax.lines[:2] for x, y in each.get_xydata()}
        runs = comparison.runs.column("n_params")
        assert [drawn[size] for size in runs] == pytest.approx((one - two).tolist())
        total, se = comparison.predictive["one"].above(comparison.predictive["two"])
        assert f"{total:.1f} ± {se:.1f} nats" in ax.get_legend().get_title().get_text()
        assert legend(ax)[:2] == ["5 of 6 runs better by one than by two", "1 of 6 runs better by two than by one"]

    def test_refitted_runs_are_marked_and_pairs_can_be_turned_round(self, comparison):
        ax = plot_loo_differences(comparison, first="two")
        assert ax.get_ylabel() == "elpd of run, two less one (nats)"
        assert legend(ax)[0] == "1 of 6 runs better by two than by one"
        (marked,) = [each for each in ax.lines if "fitting again" in each.get_label()]
        assert marked.get_xydata().tolist() == [[comparison.runs.column("n_params")[1], 0.5]]

    def test_what_cannot_be_compared_is_refused(self, comparison):
        alone = Comparison(comparison.runs, {}, {}, {}, disagree({}, {}, np.array([]), SixND(), (1, 1), 1), {}, 1)
        with pytest.raises(DataError, match="fewer than two are laws"):
            plot_divergence(alone)
        with pytest.raises(DataError, match="two fits that have scores, here none"):
            plot_loo_differences(alone)
        with pytest.raises(DataError, match="here one and two; asked was for three"):
            plot_loo_differences(comparison, first="three")
        with pytest.raises(DataError, match="not in 'a'"):
            plot_divergence(comparison, quantity="a")


class TestRegret:
    def test_lines_are_those_of_the_table(self, waste):
        for quantity in ("wasted_compute", "extra_loss"):
            ax = plot_regret(waste, quantity=quantity, prob=0.5)
            table = waste.table(0.5).query("quantity == @quantity")
            assert line(ax, "median") == pytest.approx(table["median"].to_numpy())
            edges = band(ax, "mean (the law's curve), 50 % equal-tailed", table["flops"])
            assert edges == pytest.approx(table[["lower", "upper"]].to_numpy().T)
            assert "2 tokens per parameter" in ax.get_title(loc="left")

    def test_what_cannot_be_drawn(self, waste):
        with pytest.raises(DataError, match="no price called 'money'"):
            plot_regret(waste, quantity="money")
        with pytest.raises(DataError, match="one budget"):
            plot_regret(fs.regret(scattered(), 1e21, tokens_per_param=2))


class TestRanks:
    @pytest.fixture
    def found(self):
        """Ranks of 200 fits of two quantities: uniform, and crowded at the ends."""
        right = np.random.default_rng(3).permutation(np.arange(200) % 20)
        fits = pd.DataFrame({"right": right, "narrow": np.where(right < 10, right // 2, 19 - (19 - right) // 2)})
        study = SimpleNamespace(kept=19, seed=1)
        return Calibration("made", study, ("right", "narrow"), fits.assign(error="", retried=0))

    def test_who_leaves_the_band_is_named_and_who_does_not_is_not(self, found):
        ax = plot_ranks(found)
        said = legend(ax)
        assert "narrow, outside" in said
        assert "1 of 2 quantities, inside" in said
        assert any("90 % simultaneous" in text for text in said)
        rows = found.ecdf(0.9).query("quantity == 'narrow'")
        assert line(ax, "narrow, outside") == pytest.approx(100 * rows["difference"].to_numpy())
        assert "%" in ax.get_ylabel()
