"""Figures: what they say of themselves (units, kinds of band, ticks) and what is drawn."""

from dataclasses import replace
from functools import partial

import matplotlib
import numpy as np
import pytest
from made_fits import CHINCHILLA, POWER, made_fit
from matplotlib._pylab_helpers import Gcf
from matplotlib.axes import Axes
from matplotlib.contour import ContourSet
from matplotlib.figure import Figure

from forescale.belief.catalog import load_model
from forescale.errors import DataError, FileError, ModelError
from forescale.estimates.fit import Fit
from forescale.estimates.published import published
from forescale.numbers.uniformity import ecdf, envelope
from forescale.plots import (
    TRAINED,
    plot_allocation,
    plot_loo_pit,
    plot_loss,
    plot_pairs,
    plot_predictive,
    plot_priors,
    plot_residuals,
    save_figure,
)
from forescale.plots.predictive import _all_within as all_within
from forescale.plots.predictive import _left_out as left_out
from forescale.tables.observations import Observations
from forescale.verbs.allocate import Allocation, allocate
from forescale.verbs.forecast import forecast

GRID = np.geomspace(1e20, 1e27, 8)


@pytest.fixture(scope="module")
def fit() -> Fit:
    return made_fit(load_model("chinchilla"), CHINCHILLA)


@pytest.fixture(scope="module")
def allocation(fit: Fit) -> Allocation:
    return allocate(fit, GRID)


def legend(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def ticks(axis) -> list[str]:
    axis.figure.draw_without_rendering()
    low, high = sorted(axis.get_view_interval())
    return [tick.label1.get_text() for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]


def band(ax: Axes, index: int, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper edge of a filled band, at these places."""
    x, y = ax.collections[index].get_paths()[0].vertices.T
    ends = [(y[np.isclose(x, place)].min(), y[np.isclose(x, place)].max()) for place in at]
    lower, upper = np.transpose(ends)
    return lower, upper


ONE_FIT = {
    "residuals": plot_residuals,
    "predictive": plot_predictive,
    "loo_pit": plot_loo_pit,
    "priors": plot_priors,
    "pairs": partial(plot_pairs, names=("alpha", "beta")),
    "loss": plot_loss,
}


def test_every_figure_renders_and_says_what_it_shows(fit, allocation, tmp_path):
    for name, ax in {
        "fit": plot_residuals(fit),
        "loss": plot_loss(fit),
        "size": plot_allocation(allocation),
    }.items():
        path = save_figure(ax, tmp_path / f"{name}.png")
        assert path.read_bytes().startswith(b"\x89PNG")
        assert ax.get_xlabel() == "training compute C (FLOPs)"
        assert "(" in ax.get_ylabel()
        assert ax.get_title(loc="left")
        assert any("90 % equal-tailed" in text for text in legend(ax))
        assert any(text.startswith(("mean (", "run (")) for text in legend(ax))
    assert not list(tmp_path.glob(".*")), "a temporary file stayed behind"


@pytest.mark.parametrize("plot", ONE_FIT.values(), ids=ONE_FIT)
class TestOfOneFit:
    def test_says_of_what_fit_and_how_probable_its_band_is(self, plot, fit):
        ax = plot(fit, prob=0.8)
        assert ax.get_title(loc="left").endswith(": chinchilla on made")
        assert sum("80 %" in text for text in legend(ax)) in (1, 2)  # loss has two bands
        for each in ax.child_axes or [ax]:  # panels have no unit of density
            assert "(" in each.get_xlabel() or each.get_xlabel() == "" or not each.axison
        assert any("(" in each.get_xlabel() for each in ax.child_axes or [ax])

    def test_draws_on_the_axes_given_and_returns_them(self, plot, fit):
        ax, other = Figure().subplots(1, 2)
        assert plot(fit, ax) is ax
        assert ax.has_data() or all(panel.has_data() for panel in ax.child_axes if panel.axison)
        assert not other.has_data()

    def test_touches_no_global_state(self, plot, fit):
        before = dict(matplotlib.rcParams)
        plot(fit)
        assert dict(matplotlib.rcParams) == before
        assert not Gcf.get_all_fig_managers()

    def test_prob_is_a_probability(self, plot, fit):
        with pytest.raises(DataError, match="between 0 and 1"):
            plot(fit, prob=90)


def test_given_axes_are_drawn_on(allocation):
    ax = Figure().subplots()
    assert plot_allocation(allocation, ax) is ax
    assert ax.has_data()


class TestFit:
    def test_residuals_are_percent_of_loss(self, fit):
        ax = plot_residuals(fit)
        points = ax.lines[1]
        runs = fit.observations
        law = fit.law({"n_params": runs.column("n_params"), "n_tokens": runs.column("n_tokens")}, CHINCHILLA)
        np.testing.assert_array_equal(points.get_xdata(), runs.column("flops"))
        np.testing.assert_allclose(points.get_ydata(), 100 * (runs.column("loss") / law - 1), atol=0.2)
        assert legend(ax)[-1] == "30 runs"

    def test_noise_band_is_that_of_the_noise(self, fit):
        from scipy import stats

        span = plot_residuals(fit, prob=0.8).patches[0]
        expected = 100 * np.expm1(stats.t.ppf([0.1, 0.9], 3.0, scale=0.004))
        np.testing.assert_allclose([span.get_y(), span.get_y() + span.get_height()], expected, rtol=0.05)

    def test_known_standard_errors_are_bars(self):
        values = {name: value for name, value in CHINCHILLA.items() if name != "nu"}
        known = made_fit(load_model("chinchilla").with_noise("known"), values, loss_se=np.full(30, 0.03))
        ax = plot_residuals(known)
        assert legend(ax)[0].startswith("run (noise beyond s.e.), 90 %")
        assert legend(ax)[-1] == "30 runs ± s.e."
        half = np.diff([segment[:, 1] for segment in ax.collections[0].get_segments()]).ravel() / 2
        np.testing.assert_allclose(half, 100 * 0.03 / known.observations.column("loss"), rtol=0.02)

    def test_without_compute_against_the_first_input(self, fit):
        columns = {name: fit.observations.column(name) for name in ("n_params", "n_tokens", "loss")}
        bare = replace(fit, observations=Observations(columns))
        ax = plot_residuals(bare)
        assert ax.get_xlabel() == "model size N (parameters)"
        assert {"100M", "1B", "10B"} <= set(ticks(ax.xaxis))


class TestLoss:
    def test_bands_hold_the_median_and_the_run_band_the_mean_band(self, fit):
        ax = plot_loss(replace(fit, model=fit.model.with_discrepancy(None)))  # a drift may lean to one side
        at = ax.lines[1].get_xdata()
        median = ax.lines[1].get_ydata()
        (mean_low, mean_high), (run_low, run_high) = band(ax, 0, at), band(ax, 1, at)
        assert (run_low < mean_low).all()
        assert (mean_low < median).all()
        assert (median < mean_high).all()
        assert (mean_high < run_high).all()
        assert (np.diff(median) < 0).all()

    def test_more_probability_is_a_wider_band(self, fit):
        narrow, wide = plot_loss(fit, prob=0.5), plot_loss(fit, prob=0.95)
        at = narrow.lines[1].get_xdata()
        for index in (0, 1):
            (low, high), (lower, higher) = band(narrow, index, at), band(wide, index, at)
            assert (lower < low).all()
            assert (high < higher).all()
        assert any("95 % equal-tailed" in text for text in legend(wide))

    def test_reaches_from_the_smallest_run_to_the_compute_asked(self, fit):
        ax = plot_loss(fit, compute="1e25")
        at = ax.lines[1].get_xdata()
        np.testing.assert_allclose(at[[0, -1]], [fit.observations.column("flops").min(), 1e25])
        assert ticks(ax.xaxis) == [f"$10^{{{power}}}$" for power in range(18, 26)]

    def test_the_end_of_the_data_is_marked(self, fit):
        ax = plot_loss(fit)
        assert ax.lines[2].get_xdata()[0] == fit.observations.column("flops").max() == pytest.approx(1.2e22)
        assert ax.texts[0].get_text() == "fitted data end here,\n$1.2\\times10^{22}$ FLOPs"

    def test_same_fit_same_figure(self, fit):
        first, second = (plot_loss(fit).collections[1].get_paths()[0].vertices for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_a_law_of_compute_needs_no_split(self):
        ax = plot_loss(made_fit(load_model("power_c"), POWER))
        assert ax.get_title(loc="left").startswith("Loss: power_c")
        assert legend(ax)[0] == "30 runs fitted"

    def test_compute_within_the_smallest_run_is_refused(self, fit):
        with pytest.raises(DataError, match="exceed the 1.2e18 FLOPs of the smallest run; it is 1e15"):
            plot_loss(fit, compute=1e15)

    def test_a_law_without_a_split_is_refused(self):
        values = {"N_c": 9e13, "alpha_N": 0.076, "sigma": 0.01, "nu": 5.0}
        with pytest.raises(ModelError, match="cannot split compute"):
            plot_loss(made_fit(load_model("power_n"), values))

    def test_runs_held_out_have_bands_at_their_own_split(self, fit):
        n_params = np.array([2e10, 4e10])
        columns = {"n_params": n_params, "n_tokens": 5 * n_params, "flops": 30 * n_params**2}
        held = Observations({**columns, "loss": np.array([2.1, 2.0])}, name="dearer")
        ax = plot_loss(fit, held_out=held)
        np.testing.assert_array_equal(ax.lines[2].get_xydata(), np.column_stack([columns["flops"], [2.1, 2.0]]))
        assert legend(ax)[-1] == "2 runs held out, each with the run band at its own split"
        table = forecast(fit, held.table[["n_params", "n_tokens"]], random_seed=0).table(0.9, "run")
        ends = np.array([segment[:, 1] for segment in ax.collections[2].get_segments()])
        np.testing.assert_allclose(ends, table[["lower", "upper"]], rtol=0.02)
        fan = band(ax, 1, ax.lines[1].get_xdata())[1]
        assert (ends[:, 1] > np.interp(columns["flops"], ax.lines[1].get_xdata(), fan)).all()  # 5 tokens per parameter

    def test_where_the_law_is_of_compute_the_fan_is_the_band_of_runs_held_out(self):
        power = made_fit(load_model("power_c"), POWER)
        ax = plot_loss(power, held_out=power.observations)
        assert len(ax.collections) == 2
        assert legend(ax)[-1] == "30 runs held out"

    def test_the_run_band_widens_beyond_the_data_by_the_drift(self, fit):
        def width(model):
            ax = plot_loss(replace(fit, model=model), compute=1e26)
            at = ax.lines[1].get_xdata()
            lower, upper = band(ax, 1, at)
            return (upper - lower)[at > 1e25].mean()

        assert fit.model.discrepancy.drift
        assert width(fit.model) > 2 * width(fit.model.with_discrepancy(None))

    def test_published_estimates_have_a_curve_and_no_runs(self):
        ax = plot_loss(published("besiroglu2024"), compute=("1e19", 1e25))
        assert legend(ax) == ["median of the law's curve", "mean (the law's curve), 90 % equal-tailed"]
        np.testing.assert_allclose(ax.lines[0].get_xdata()[[0, -1]], [1e19, 1e25])
        single = plot_loss(published("hoffmann2022"), compute=("1e19", 1e25))
        assert legend(single) == ["the law's curve, a single estimate without bands"]
        assert not single.collections

    def test_published_estimates_must_be_told_where_to_begin(self):
        with pytest.raises(DataError, match=r"compute=\(1e18, 1e26\)"):
            plot_loss(published("besiroglu2024"))

    @pytest.mark.parametrize("compute", [(1e24, 1e20), (0, 1e20)])
    def test_a_range_goes_from_less_to_more(self, fit, compute):
        with pytest.raises(DataError, match="from less to more"):
            plot_loss(fit, compute=compute)


class TestPredictive:
    def test_a_right_scatter_is_inside_its_band_and_a_wrong_one_is_not(self):
        law, normal = {name: CHINCHILLA[name] for name in ("E", "A", "B", "alpha", "beta")}, {"sigma": 0.004}
        model = load_model("chinchilla").with_noise("normal")
        right = plot_predictive(made_fit(model, law | normal, spread=1e-4))
        wrong = plot_predictive(made_fit(model, law | normal, spread=1e-4, scatter=0.012))
        assert legend(right)[-1] == "30 runs, 0 outside the band"
        assert int(legend(wrong)[-1].split()[2]) > 5

    def test_points_are_residuals_in_order(self, fit):
        points = plot_predictive(fit).lines[1]
        residuals = plot_residuals(fit).lines[1].get_ydata()
        np.testing.assert_allclose(points.get_ydata(), np.sort(residuals), atol=0.15)
        assert (np.diff(points.get_xdata()) > 0).all()
        np.testing.assert_allclose(points.get_xdata(), -points.get_xdata()[::-1], atol=1e-12)

    @pytest.mark.parametrize("prob", [0.5, 0.9])
    def test_so_many_tables_lie_wholly_inside(self, prob):
        rng = np.random.default_rng(0)
        tables, new = (np.sort(rng.standard_t(3, (4000, 50))) for _ in range(2))
        lower, upper = all_within(tables, prob)
        assert ((new >= lower) & (new <= upper)).all(axis=1).mean() == pytest.approx(prob, abs=0.03)
        assert ((new >= lower) & (new <= upper)).mean() > prob + 0.02  # the whole is harder than each

    def test_known_standard_errors_are_part_of_a_replicated_table(self):
        values = {name: value for name, value in CHINCHILLA.items() if name != "nu"}
        model = load_model("chinchilla").with_noise("known")
        small, large = (
            plot_predictive(made_fit(model, values, loss_se=np.full(30, se))).collections[0].get_paths()[0].vertices
            for se in (0.001, 0.1)
        )
        assert np.ptp(large[:, 1]) > 4 * np.ptp(small[:, 1])


@pytest.fixture(scope="module")
def known_law() -> Fit:
    return made_fit(load_model("chinchilla"), CHINCHILLA | {"nu": 50.0}, spread=1e-5)


class TestLooPit:
    def test_where_the_law_is_known_it_is_the_pit_of_the_noise(self, known_law):
        from scipy import stats

        loss = known_law.observations.column("loss")
        inputs = {name: known_law.observations.column(name) for name in ("n_params", "n_tokens")}
        expected = stats.t.cdf(np.log(loss / known_law.law(inputs, CHINCHILLA)) / 0.004, 50)
        pits, k = left_out(known_law)
        np.testing.assert_allclose(pits, expected, atol=0.12)  # of 200 draws
        assert (k < 0.5).all()

    def test_a_right_noise_stays_inside_the_band_and_a_wide_one_leaves_it(self, known_law):
        def inside(fit):
            ax = plot_loo_pit(fit)
            at, line = ax.lines[0].get_data()
            lower, upper = band(ax, 0, at)
            return (lower <= line) & (line <= upper), line

        assert inside(known_law)[0].all()
        wide = made_fit(load_model("chinchilla"), CHINCHILLA | {"sigma": 0.02, "nu": 50.0}, spread=1e-5)
        stays, line = inside(wide)
        assert not stays.all()
        assert line[30] < 0 < line[70]

    def test_runs_that_cannot_be_left_out_are_counted(self, fit, known_law):
        assert "roughly" not in " ".join(legend(plot_loo_pit(known_law)))
        rough = int((left_out(fit)[1] > 0.5).sum())
        assert rough > 5
        assert f"{rough} of them roughly (Pareto k above 0.5)" in legend(plot_loo_pit(fit))[1]

    @pytest.mark.parametrize(("runs", "parameters"), [(12, 6), (240, 7)])
    def test_the_band_is_too_wide_rather_than_too_narrow(self, runs, parameters):
        """As the docstring says, of linear fits, whose PITs of runs left out have a closed form."""
        from scipy import stats

        rng, left = np.random.default_rng(0), []
        _, lower, upper = envelope(runs, 100, 0.9)
        design = np.linalg.qr(rng.standard_normal((runs, parameters)))[0]
        hat = design @ design.T
        free, leverage = runs - parameters, np.diag(hat)
        for _ in range(500):
            noise = rng.standard_normal(runs)
            error = noise - hat @ noise
            scale = np.sqrt((error @ error - error**2 / (1 - leverage)) / (free - 1) * (1 - leverage))
            line = ecdf((100 * stats.t.cdf(error / scale, free - 1)).astype(int), 100)
            left.append(((line < lower) | (line > upper)).any())
        assert 0.005 < np.mean(left) < 0.09


class TestPriors:
    def test_a_panel_for_each_parameter_with_its_unit(self, fit):
        labels = [panel.get_xlabel().partition("\n")[0] for panel in plot_priors(fit).child_axes]
        assert labels == [
            "E (nats per token)",
            "A_effect (nats at N = 100M)",
            "B_effect (nats at D = 2B)",
            "alpha (exponent)",
            "beta (exponent)",
            "sigma (scale of log loss)",
            "nu (degrees of freedom)",
        ]

    def test_densities_are_those_of_prior_and_draws(self, fit):
        panel = plot_priors(fit).child_axes[3]
        at, density = panel.lines[0].get_data()
        expected = np.exp(fit.model.priors["alpha"].logpdf(at)) * at  # of the logarithm, as the axis
        np.testing.assert_allclose(density, expected / expected.max())
        assert panel.get_xscale() == "log"

    @pytest.mark.parametrize("spread", [1e-6, 0.1])
    def test_a_posterior_however_narrow_is_seen_where_it_is(self, spread):
        narrow = made_fit(load_model("chinchilla"), CHINCHILLA, spread=spread)
        panel, draws = plot_priors(narrow).child_axes[3], narrow.posterior["alpha"]
        heights, edges, _ = panel.patches[0].get_data()
        assert heights.max() == 1
        assert edges[0] <= draws.min() * (1 + 1e-9)
        assert draws.max() * (1 - 1e-9) <= edges[-1]
        low, high = np.log(panel.get_xlim())
        assert (np.diff(np.log(edges)) / (high - low)).min() >= 0.0099
        assert len(heights) == 1 if spread < 1e-3 else len(heights) > 20

    def test_intervals_are_written_and_drawn(self, fit):
        panel = plot_priors(fit, prob=0.5).child_axes[3]
        ends = np.quantile(fit.posterior["alpha"], [0.25, 0.75])
        np.testing.assert_allclose(panel.lines[1].get_xdata(), ends)
        assert panel.get_xlabel().endswith(f"[{ends[0]:.3f}, {ends[1]:.3f}]")

    def test_parameters_of_either_sign_have_a_plain_axis(self):
        values = CHINCHILLA | {"kappa": 0.8}
        panels = plot_priors(made_fit(load_model("coupled"), values)).child_axes
        assert [panel.get_xscale() for panel in panels if panel.get_xlabel().startswith("kappa")] == ["linear"]


class TestPairs:
    def test_panels_are_rows_and_columns_of_the_names(self, fit):
        panels = plot_pairs(fit, names=("alpha", "A", "E")).child_axes
        assert len(panels) == 9
        labels = [panel.get_xlabel().replace("\n", " ") for panel in panels[-3:]]
        assert labels == ["alpha (exponent)", "A (nats × parameters^alpha)", "E (nats per token)"]
        assert [panels[i].get_ylabel() for i in (0, 3, 6)] == ["alpha", "A", "E"]
        np.testing.assert_array_equal(
            panels[3].collections[0].get_offsets(),
            np.column_stack([fit.posterior[name].to_numpy().ravel() for name in ("alpha", "A")]),
        )

    @pytest.mark.parametrize("prob", [0.5, 0.8])
    def test_contours_hold_so_many_of_the_draws_or_somewhat_more(self, fit, prob):
        panel = plot_pairs(fit, names=("E", "sigma"), prob=prob).child_axes[2]
        points = np.column_stack([fit.posterior[name].to_numpy().ravel() for name in ("E", "sigma")])
        (contour,) = [each for each in panel.collections if isinstance(each, ContourSet)]
        assert prob <= contour.get_paths()[0].contains_points(points).mean() < prob + 0.12

    def test_correlations_are_above_the_diagonal(self, fit):
        from scipy.stats import spearmanr

        panel = plot_pairs(fit, names=("A_effect", "alpha")).child_axes[1]
        expected = spearmanr(*(fit.posterior[name].to_numpy().ravel() for name in ("A_effect", "alpha"))).statistic
        assert panel.texts[0].get_text() == f"{expected:.2f}".replace("-", "−") == "−0.98"

    @pytest.mark.parametrize("names", [("E",), ("E", "gamma"), ()])
    def test_names_must_be_two_of_the_posterior(self, fit, names):
        with pytest.raises(ModelError, match="two parameters of the posterior or more"):
            plot_pairs(fit, names=names)


class TestAllocation:
    def test_curve_and_band_are_those_of_the_table(self, allocation):
        ax = plot_allocation(allocation, prob=0.8)
        table = allocation.table(0.8).query("quantity == 'n_params'")
        np.testing.assert_allclose(ax.lines[0].get_ydata(), table["median"])
        low, high = band(ax, 0, GRID)
        np.testing.assert_allclose([low, high], [table["lower"], table["upper"]])

    def test_ticks_read_as_people_write_them(self, allocation):
        ax = plot_allocation(allocation)
        assert {"1B", "10B", "100B", "1T"} <= set(ticks(ax.yaxis))
        assert {"$10^{20}$", "$10^{27}$"} <= set(ticks(ax.xaxis))

    def test_less_than_two_decades_still_have_ticks(self, fit):
        ax = plot_allocation(allocate(fit, [2e21, 9e21]), marks={})
        assert {"5B"} <= set(ticks(ax.yaxis))
        assert len(ticks(ax.xaxis)) >= 2
        assert "$5\\times10^{21}$" in ticks(ax.xaxis)

    def test_models_are_marked_at_their_cost(self, allocation):
        ax = plot_allocation(allocation)
        assert [text.get_text() for text in ax.texts] == ["Chinchilla 70B", "Gopher 280B", "GPT-3 175B"]
        for line, (n_params, n_tokens) in zip(ax.lines[1:], TRAINED.values(), strict=True):
            assert line.get_xdata() == pytest.approx([6 * n_params * n_tokens])
            assert line.get_ydata() == [n_params]

    def test_others_are_told_apart_by_colour_and_dashes(self, allocation):
        others = [allocate(published(name), GRID) for name in ("hoffmann2022", "kaplan2020")]
        ax = plot_allocation(allocation, others=others, marks={})
        assert legend(ax)[2:] == ["hoffmann2022", "kaplan2020"]
        assert len({line.get_color() for line in ax.lines}) == 3
        assert len({str(line.get_linestyle()) + str(line._dash_pattern) for line in ax.lines}) == 3

    def test_a_single_draw_has_no_band(self):
        ax = plot_allocation(allocate(published("hoffmann2022"), GRID))
        assert not ax.collections
        assert legend(ax) == ["hoffmann2022, median"]

    def test_a_single_budget_is_refused(self, fit):
        with pytest.raises(DataError, match="one budget, and a curve needs two"):
            plot_allocation(allocate(fit, 1e24))


class TestSave:
    def test_a_figure_serves_as_well_as_its_axes(self, fit, tmp_path):
        ax = plot_residuals(fit)
        assert save_figure(ax.figure, tmp_path / "a.svg").read_bytes().startswith(b"<?xml")
        assert save_figure(ax, str(tmp_path / "a.pdf")).read_bytes().startswith(b"%PDF")

    @pytest.mark.parametrize("name", ["figure", "figure.xyz"])
    def test_an_unknown_format_is_refused_and_leaves_nothing(self, fit, tmp_path, name):
        with pytest.raises(FileError, match="png.*the suffix says which"):
            save_figure(plot_residuals(fit), tmp_path / name)
        assert not list(tmp_path.iterdir())

    def test_a_failed_write_leaves_the_old_file(self, fit, tmp_path, monkeypatch):
        path = tmp_path / "a.png"
        path.write_text("old")
        ax = plot_residuals(fit)
        monkeypatch.setattr(ax.figure, "savefig", lambda *args, **kwargs: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save_figure(ax, path)
        assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
        assert path.read_text() == "old"
