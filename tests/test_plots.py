"""Figures: what they say of themselves (units, kinds of band, ticks) and what is drawn."""

from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from matplotlib._pylab_helpers import Gcf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forescale.allocate import Allocation, allocate
from forescale.catalog import load_model
from forescale.diagnostics import Diagnostics
from forescale.errors import DataError, FileError, ModelError
from forescale.fit import Fit
from forescale.model import Model
from forescale.observations import Observations
from forescale.plots import TRAINED, plot_allocation, plot_loss, plot_residuals, save_figure
from forescale.published import published
from forescale.sampling import Settings

CHINCHILLA = {"E": 1.8, "A": 470.0, "B": 1900.0, "alpha": 0.345, "beta": 0.36, "sigma": 0.004, "nu": 3.0}
POWER = {"C_c": 2e27, "alpha_C": 0.057, "sigma": 0.01, "nu": 5.0}
GRID = np.geomspace(1e20, 1e27, 8)


def made_fit(model: Model, values: dict[str, float], **extra: np.ndarray) -> Fit:
    """A fit without a sampler: 30 runs off the law, and draws scattered by half a percent about the truth."""
    rng = np.random.default_rng(0)
    n_params = np.geomspace(1e8, 1e10, 30)
    columns = {"n_params": n_params, "n_tokens": 20 * n_params, "flops": 120 * n_params**2}
    loss = model.law(columns, values) * np.exp(0.004 * rng.standard_normal(30))
    draws = {
        name: (("chain", "draw"), value * np.exp(0.005 * rng.standard_normal((2, 100))))
        for name, value in values.items()
    }
    return Fit(
        model=model,
        observations=Observations({**columns, "loss": loss, **extra}, name="made"),
        posterior=xr.Dataset(draws, {"chain": range(2), "draw": range(100)}),
        sample_stats=xr.Dataset(),
        seed=1,
        settings=Settings(),
        diagnostics=Diagnostics(
            pd.DataFrame({"r_hat": [1.0], "ess_bulk": [200.0], "ess_tail": [200.0]}), 0, 1.0, 0.0, 0.5
        ),
    )


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


def test_no_global_state_is_touched(fit):
    before = dict(matplotlib.rcParams)
    plot_residuals(fit)
    assert dict(matplotlib.rcParams) == before
    assert not Gcf.get_all_fig_managers()


def test_given_axes_are_drawn_on(fit, allocation):
    axes = Figure().subplots(1, 3)
    for ax, drawn in zip(
        axes,
        (plot_residuals(fit, axes[0]), plot_loss(fit, axes[1]), plot_allocation(allocation, axes[2])),
        strict=True,
    ):
        assert drawn is ax
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
        bare = Fit(**{**vars(fit), "observations": Observations(columns)})
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
        assert ax.texts[0].get_text() == "data end here,\n$1.2\\times10^{22}$ FLOPs"

    def test_same_fit_same_figure(self, fit):
        first, second = (plot_loss(fit).collections[1].get_paths()[0].vertices for _ in range(2))
        np.testing.assert_array_equal(first, second)

    def test_a_law_of_compute_needs_no_split(self):
        ax = plot_loss(made_fit(load_model("power_c"), POWER))
        assert ax.get_title(loc="left").startswith("Loss: power_c")
        assert legend(ax)[0] == "30 runs"

    def test_compute_within_the_smallest_run_is_refused(self, fit):
        with pytest.raises(DataError, match="exceed the 1.2e18 FLOPs of the smallest run; it is 1e15"):
            plot_loss(fit, compute=1e15)

    def test_a_law_without_a_split_is_refused(self):
        values = {"N_c": 9e13, "alpha_N": 0.076, "sigma": 0.01, "nu": 5.0}
        with pytest.raises(ModelError, match="cannot split compute"):
            plot_loss(made_fit(load_model("power_n"), values))


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
