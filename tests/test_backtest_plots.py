"""Figures of a backtest: what they say of themselves, and that they draw what the tables say."""

from dataclasses import replace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib._pylab_helpers import Gcf
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forescale.checking.backtest import Backtest
from forescale.checking.scoring import PROBS, score
from forescale.errors import DataError
from forescale.numbers.proportions import share_interval
from forescale.plots import plot_coverage, plot_forecasts, plot_pit, plot_scores, save_figure
from forescale.plots.backtests import SCORES

SPREADS = {"right": 1.0, "narrow": 0.4, "too high": 1.0}  # of forecasts, in the noise of 2 %
PLOTS = (plot_coverage, plot_pit, plot_scores, plot_forecasts)


def made(tables: int) -> Backtest:
    """A backtest without a fit: 2 cuts of 40 held-out runs of each table, forecast rightly and wrongly."""
    rng = np.random.default_rng(2)
    blocks = []
    for table in range(tables):
        for cut in ("5 runs", "9 runs"):
            distance, loss = rng.uniform(0, 2.2, 40), 2 * np.exp(0.02 * rng.standard_normal(40))
            for model, spread in SPREADS.items():
                centre = 2.04 if model == "too high" else 2.0
                draws = centre * np.exp(0.02 * spread * rng.standard_normal((2000, 40)))
                said = pd.DataFrame(score(loss, draws)).assign(
                    table=f"ladder {table}", model=model, cut=cut, run=np.arange(40).astype(str), size="flops"
                )
                blocks.append(said.assign(loss=loss, distance=distance, notes="", error=""))
    return Backtest(pd.concat(blocks, ignore_index=True), "flops", 1)


@pytest.fixture(scope="module")
def several() -> Backtest:
    return made(4)


@pytest.fixture(scope="module")
def single() -> Backtest:
    return made(1)


def legend(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def lines(ax: Axes) -> dict[str, np.ndarray]:
    """What is drawn, by label: x and y. Bars have their line from their container."""
    drawn = {line.get_label(): line for line in ax.lines} | {bars.get_label(): bars[0] for bars in ax.containers}
    return {label: np.array(line.get_data(), dtype=float) for label, line in drawn.items()}


@pytest.mark.parametrize("plot", PLOTS)
def test_every_figure_renders_and_says_what_it_shows(plot, several, tmp_path):
    ax = plot(several)
    assert save_figure(ax, tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert "4 tables cut by flops" in ax.get_title(loc="left")
    assert "(" in ax.get_xlabel()
    assert "(" in ax.get_ylabel() or plot is plot_scores  # whose rows are tables
    named = {"right", "narrow", "too high"} if plot is not plot_forecasts else {"run (a new run), 90 % equal-tailed"}
    assert named <= set(legend(ax))


@pytest.mark.parametrize("plot", PLOTS)
def test_given_axes_are_drawn_on_and_nothing_else_is_touched(plot, single):
    before = dict(matplotlib.rcParams)
    ax = Figure().subplots()
    assert plot(single, ax) is ax
    assert ax.has_data()
    assert dict(matplotlib.rcParams) == before
    assert not Gcf.get_all_fig_managers()


@pytest.mark.parametrize("plot", PLOTS)
def test_all_that_is_drawn_is_in_sight(plot, several):
    ax = plot(several)
    ax.figure.draw_without_rendering()
    shown = [at for label, at in lines(ax).items() if label in SPREADS or label.endswith(("inside", "outside"))]
    x, y = np.hstack(shown)
    assert ((ax.get_xlim()[0] <= x) & (x <= ax.get_xlim()[1])).all()
    assert ((min(ax.get_ylim()) <= y) & (y <= max(ax.get_ylim()))).all()


@pytest.mark.parametrize("plot", [plot_coverage, plot_pit, plot_scores])
def test_models_differ_in_colour_and_in_dashes_or_markers(plot, several):
    ax = plot(several)
    drawn = [bars[0] for bars in ax.containers] or [line for line in ax.lines if line.get_label() in SPREADS]
    assert len({line.get_color() for line in drawn}) == 3
    assert len({(line.get_marker(), str(line._dash_pattern)) for line in drawn}) == 3


@pytest.mark.parametrize("plot", [plot_coverage, plot_pit, plot_scores])
def test_only_points_that_all_models_scored(plot, several):
    lost = several.points.query("model == 'narrow' and distance < 1.1").index
    part, kept = several.points.drop(lost), several.points.query("distance >= 1.1")
    left, right = (lines(plot(replace(several, points=points))) for points in (part, kept))
    for name in SPREADS:
        np.testing.assert_array_equal(left[name], right[name])


@pytest.mark.parametrize("plot", PLOTS)
def test_failures_are_told_and_nothing_is_no_figure(plot, several):
    failed = [{"table": "ladder 9", "model": name, "cut": "5 runs", "error": "DataError: no"} for name in SPREADS]
    some = replace(several, points=pd.DataFrame([*several.points.to_dict("records"), *failed]))
    assert plot(some).get_title(loc="left").endswith("4 tables cut by flops, 3 tasks failed")
    with pytest.raises(DataError, match="failures says what failed"):
        plot(replace(several, points=pd.DataFrame(failed, columns=several.points.columns)))


class TestCoverage:
    @pytest.mark.parametrize("band", PROBS)
    def test_lines_are_those_of_the_table(self, several, band):
        ax, table = plot_coverage(several, band=band), several.table()
        for name, (x, y) in lines(ax).items():
            if name in SPREADS:
                np.testing.assert_allclose(y, 100 * table.loc[table["model"] == name, f"covered_{100 * band:g}"])
                assert (np.diff(x) > 0).all()
        assert lines(ax)[f"target, {100 * band:g} %"][1].tolist() == [100 * band] * 2

    def test_bars_are_over_tables_or_over_the_cuts_of_one(self, several, single):
        for result, by, words in ((several, "table", "over 4 tables"), (single, "cut", "over 2 cuts of one table")):
            ax = plot_coverage(result, prob=0.8)
            bars = ax.containers[0][2][0].get_segments()
            first = result.points.query("model == 'right' and 0 < distance <= 0.5")
            expected = share_interval(first["covered_90"], first[by], 0.8)
            np.testing.assert_allclose(bars[0][:, 1], 100 * np.array(expected))
            assert f"80 % equal-tailed intervals {words}" in ax.get_legend().get_title().get_text()
        assert "too short" in ax.get_legend().get_title().get_text()

    def test_bands_that_are_not_there(self, several):
        with pytest.raises(DataError, match="0.5, 0.8, 0.9, 0.95, not 0.7"):
            plot_coverage(several, band=0.7)


class TestPit:
    def outside(self, ax: Axes, name: str) -> float:
        """How far a line leaves the narrow band, in percent."""
        x, y = ax.collections[1].get_paths()[0].vertices.T
        at, line = lines(ax)[name]
        edges = np.array([(y[np.isclose(x, place)].min(), y[np.isclose(x, place)].max()) for place in at])
        return float(np.max([edges[:, 0] - line, line - edges[:, 1]]))

    def test_what_is_calibrated_stays_inside(self, several):
        ax = plot_pit(several)
        assert self.outside(ax, "right") <= 0
        assert self.outside(ax, "narrow") > 5
        assert self.outside(ax, "too high") > 5

    def test_lines_tell_how_forecasts_err(self, several):
        drawn = lines(plot_pit(several))
        x, narrow = drawn["narrow"]
        assert narrow[x == 0.2] > 10
        assert narrow[x == 0.8] < -10
        assert (drawn["too high"][1][1:-1] > 0).all()
        points = several.points.query("model == 'narrow'")
        assert narrow[x == 0.2] == pytest.approx(100 * (np.mean(points["pit"] < 0.2) - 0.2))

    def test_the_band_of_tables_that_come_as_one_holds_the_other(self, several):
        ax = plot_pit(several)
        wide, narrow = (np.abs(collection.get_paths()[0].vertices[:, 1]).max() for collection in ax.collections)
        assert wide > 4 * narrow
        assert "if all 320 forecasts were independent" in legend(ax)[1]
        assert "if runs of a table came as one" in legend(ax)[0]


class TestScores:
    @pytest.mark.parametrize("name", SCORES)
    def test_dots_are_those_of_the_table(self, several, name):
        ax, each, total = plot_scores(several, score=name), several.by_table(), several.table(None)
        assert [text.get_text() for text in ax.get_yticklabels()] == [*each["table"].unique(), "all points"]
        for model in SPREADS:
            values = [*each.loc[each["model"] == model, name], *total.loc[total["model"] == model, name]]
            np.testing.assert_allclose(lines(ax)[model], [values, range(5)])
        assert ax.get_ylim() == (4.5, -0.5)  # the first on top
        assert ax.get_xlabel() == SCORES[name]

    def test_one_table_has_no_total(self, single):
        assert [text.get_text() for text in plot_scores(single).get_yticklabels()] == ["ladder 0"]

    def test_many_tables_make_a_tall_figure(self, several, single):
        assert plot_scores(made(20)).figure.get_figheight() > 2 * plot_scores(single).figure.get_figheight()

    def test_ticks_are_numbers(self, several):
        ax = plot_scores(several)
        ax.figure.draw_without_rendering()
        low, high = ax.get_xlim()
        shown = [tick.label1.get_text() for tick in ax.xaxis.get_major_ticks() if low <= tick.get_loc() <= high]
        assert len(shown) >= 2
        assert all(float(text) > 0 for text in shown)

    def test_a_score_that_is_not_there(self, several):
        with pytest.raises(DataError, match="no score is called 'bias'; there are crps, interval_score, log_score"):
            plot_scores(several, score="bias")


class TestForecasts:
    def test_every_run_in_percent_of_loss(self, several):
        ax = plot_forecasts(several, model="narrow")
        points = several.points.query("model == 'narrow'")
        inside, outside = (lines(ax)[label] for label in legend(ax)[1:])
        assert legend(ax)[1:] == [f"{inside.shape[1]} of 320 inside", f"{outside.shape[1]} of 320 outside"]
        assert inside.shape[1] == points["covered_90"].sum()
        np.testing.assert_allclose(sorted([*inside[1], *outside[1]]), sorted(-points["bias"]))
        bands = np.array([segment[:, 1] for segment in ax.collections[0].get_segments()])
        np.testing.assert_allclose(bands, 100 * np.log(points[["lower", "upper"]].div(points["median"], axis=0)))

    def test_the_first_model_is_the_default(self, several):
        assert plot_forecasts(several).get_title(loc="left") == "Forecasts by right: 4 tables cut by flops"

    def test_a_band_beyond_all_runs_does_not_hide_them(self, several):
        points = several.points.copy()
        points.loc[points.index[0], "upper"] = 1e6
        usual, wild = (plot_forecasts(replace(several, points=each)).get_ylim() for each in (several.points, points))
        np.testing.assert_allclose(usual, wild, rtol=0.02)

    def test_a_model_that_is_not_there(self, several):
        with pytest.raises(DataError, match="no forecast by 'other' was scored; models are right, narrow, too high"):
            plot_forecasts(several, model="other")
