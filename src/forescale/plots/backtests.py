"""Figures of a backtest: how often bands held, where in its forecast each run came, scores, and the errors themselves.

Each function draws on the axes it is given, or on a figure of its own, and returns the axes. Models are compared on
the points that all of them scored. A picture of hundreds of points looks surer than it is: runs beyond one cut share
the error of one fitted law, so intervals and bands here are of groups of runs, and the legends say of which.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from forescale.checking.backtest import DISTANCES, Backtest
from forescale.checking.scoring import PROBS, SCORED, coverage_name
from forescale.errors import DataError
from forescale.estimates.draws import check_prob
from forescale.numbers.proportions import share_interval
from forescale.plots.drawing import BLUE, GREY, axes, finish_below, mass, plain_log_ticks, shift, style
from forescale.plots.pits import pit_axes, pit_band, pit_line

#: Scores that can be drawn by table, with their units.
SCORES = {
    "crps": "CRPS (% of loss, lower is better)",
    "interval_score": f"interval score of {100 * SCORED:g} % bands (% of loss, lower is better)",
    "log_score": "log score (nats, lower is better)",
}
_BESIDE = 5  # typographic points between models at one place


def plot_coverage(result: Backtest, ax: Axes | None = None, *, band: float = SCORED, prob: float = 0.9) -> Axes:
    """How often bands held what came, by decades beyond the largest fitted run.

    Parameters
    ----------
    result : Backtest
        The backtest.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    band : float
        Which bands: of probability 0.5, 0.8, 0.9 or 0.95.
    prob : float
        Probability mass of the bars, equal-tailed intervals of the coverage of many more tables
        (`forescale.numbers.proportions.share_interval`): only tables are taken to be independent. Of a single table
        its cuts are, although they hold out many of the same runs; bars are then too short, and the legend says so.

    Returns
    -------
    Axes
        A line for each model over the bins of `Backtest.table`, at the mean distance of the points in each; in percent
        of the points, with the target.

    Raises
    ------
    DataError
        If there are no such bands, or there is no point that all models scored.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> axes = Figure(figsize=(12, 8), layout="constrained").subplots(2, 2)
    >>> for ax, band in zip(axes.flat, (0.5, 0.8, 0.9, 0.95)):
    ...     _ = plot_coverage(result, ax, band=band)  # doctest: +SKIP
    """
    check_prob(prob)
    if band not in PROBS:
        raise DataError(f"bands of a backtest have probability {', '.join(map(str, PROBS))}, not {band!r}")
    points, ax = _scored(result), axes(ax)
    groups, told = _groups(points)
    ax.axhline(100 * band, color=GREY, lw=1.2, ls=(0, (4, 3)), label=f"target, {100 * band:g} %")
    bins = pd.cut(points["distance"], list(DISTANCES))
    for index, (name, mine) in enumerate(_by_model(points)):
        rows = []
        for _, near in mine.groupby(bins, observed=True):
            hits = near[coverage_name(band)]
            rows.append((near["distance"].mean(), hits.mean(), *share_interval(hits, groups[near.index], prob)))
        at, share, lower, upper = np.transpose(rows)
        color, dashes, marker = style(index)
        ax.errorbar(
            at,
            100 * share,
            100 * np.array([share - lower, upper - share]),
            fmt=marker,
            color=color,
            ls=dashes,
            ms=5,
            lw=1.4,
            elinewidth=1,
            transform=_beside(ax, index, points["model"].nunique(), at, 100 * share),
            label=name,
        )
    ax.set(ylim=(-3, 103), ylabel=f"runs inside their {100 * band:g} % band (%)", xlabel=_distance(points))
    return finish_below(ax, _title(result, points, "Coverage"), f"bars: {mass(prob)} intervals {told}")


def plot_pit(result: Backtest, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """Where in its forecast each run came: distribution functions of the PIT, less the uniform one.

    The PIT is the share of a forecast that lies below the loss that came, uniform for a calibrated forecaster. Lines
    below zero on the left and above on the right are of bands too wide; the other way round of bands too narrow; below
    zero throughout, of losses that were forecast too low.

    Parameters
    ----------
    result : Backtest
        The backtest.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability that the whole of a line stays inside a band (`forescale.numbers.uniformity.envelope`) if it is
        calibrated. There are two: one if all points were independent, and one if the PITs of each table were equal;
        the truth lies between them. Of a single table the latter is of its cuts, which hold out many of the same runs:
        it may be more.

    Returns
    -------
    Axes
        A line for each model, and the bands. The axis is that of the lines and the narrow band.

    Raises
    ------
    DataError
        If there is no point that all models scored.

    References
    ----------
    Säilynoja, Bürkner and Vehtari 2022 (arXiv:2103.10522).

    Examples
    --------
    >>> import forescale as fs
    >>> found = fs.backtest(fs.load_dataset("openeurollm"), random_seed=1)  # doctest: +SKIP
    >>> plot_pit(found)  # doctest: +SKIP
    """
    check_prob(prob)
    points, ax = _scored(result), axes(ax)
    groups, _ = _groups(points)
    models = _by_model(points)
    sizes = groups[models[0][1].index].value_counts()
    every, as_one = int(sizes.sum()), int(sizes.sum() ** 2 / (sizes**2).sum())  # Kish's effective number of groups
    whose = "table" if points["table"].nunique() > 1 else "cut"
    told = f"{100 * prob:g} % of lines, if runs of a {whose} came as one"
    pit_band(ax, as_one, prob, "0.93", told)
    told = f"{100 * prob:g} % of lines, if all {every} forecasts were independent"
    seen = [pit_band(ax, every, prob, "0.82", told)]
    for index, (name, mine) in enumerate(models):
        color, dashes, _ = style(index)
        seen.append(pit_line(ax, mine["pit"], name, color=color, dashes=dashes))
    pit_axes(ax, "forecasts", max(seen))
    return finish_below(ax, _title(result, points, "PIT"))


def plot_scores(result: Backtest, ax: Axes | None = None, *, score: str = "crps") -> Axes:
    """Mean scores of each model on each table.

    Parameters
    ----------
    result : Backtest
        The backtest.
    ax : Axes, optional
        Where to draw; a figure of its own by default, the taller the more tables.
    score : {"crps", "interval_score", "log_score"}
        Which.

    Returns
    -------
    Axes
        A row for each table, and one for all points if there are several; a dot for each model.

    Raises
    ------
    DataError
        If there is no such score, or there is no point that all models scored.

    Examples
    --------
    >>> import forescale as fs
    >>> found = fs.backtest(fs.load_dataset("openeurollm"), random_seed=1)  # doctest: +SKIP
    >>> plot_scores(found, score="interval_score")  # doctest: +SKIP
    """
    if score not in SCORES:
        raise DataError(f"no score is called {score!r}; there are {', '.join(SCORES)}")
    points = _scored(result)
    tables = list(points["table"].unique())
    rows = tables + ["all points"] * (len(tables) > 1)
    ax = axes(ax, max(3.0, 1.6 + 0.35 * len(rows)))
    ax.set_xscale("linear" if score == "log_score" else "log")
    models = _by_model(points)
    for index, (name, mine) in enumerate(models):
        means = mine.groupby("table")[score].mean()
        values = [*means[tables], *([mine[score].mean()] if len(rows) > len(tables) else [])]
        color, _, marker = style(index)
        aside = _beside(ax, index, len(models), values, range(len(rows)), vertical=True)
        ax.plot(values, range(len(rows)), marker, ls="", color=color, ms=6, mec="white", transform=aside, label=name)
    if score != "log_score":
        plain_log_ticks(ax)
    if len(rows) > len(tables):
        ax.axhline(len(tables) - 0.5, color=GREY, lw=0.8)
    ax.set(ylim=(len(rows) - 0.5, -0.5), xlabel=SCORES[score], yticks=range(len(rows)), yticklabels=rows)
    return finish_below(ax, _title(result, points, "Scores"))


def plot_forecasts(result: Backtest, ax: Axes | None = None, *, model: str | None = None) -> Axes:
    """Every held-out run against its forecast, by decades beyond the largest fitted run.

    Parameters
    ----------
    result : Backtest
        The backtest.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    model : str, optional
        Whose forecasts, all that were scored; by default the first model's.

    Returns
    -------
    Axes
        A dot for each run at ``100 log(loss / median)``, in percent of loss, and a line from end to end of its 90 %
        band. A run beyond several cuts is there for each. Bands that reach far beyond all runs leave the picture.

    Raises
    ------
    DataError
        If no forecast of that model was scored.

    Examples
    --------
    >>> import forescale as fs
    >>> found = fs.backtest(fs.load_dataset("openeurollm"), random_seed=1)  # doctest: +SKIP
    >>> plot_forecasts(found, model="coupled")  # doctest: +SKIP
    """
    names = list(result.points["model"].unique())
    name = names[0] if model is None and names else model
    points = result.points[(result.points["error"] == "") & (result.points["model"] == name)]
    if points.empty:
        raise DataError(
            f"no forecast by {name!r} was scored; models are {', '.join(names)}, .failures says what failed"
        )
    ax = axes(ax)
    came, low, high = (100 * np.log(points[end] / points["median"]) for end in ("loss", "lower", "upper"))
    inside, told = points[coverage_name(SCORED)] == 1, f"run (a new run), {mass(SCORED)}"
    ax.vlines(points["distance"], low, high, color=BLUE, lw=1, alpha=0.35, label=told)
    dots: Any = (
        (inside, "inside", {"mfc": "white", "mec": "0.2", "marker": "o", "ms": 3.5, "mew": 0.8}),
        (~inside, "outside", {"color": style(1)[0], "marker": "D", "ms": 4, "mec": "white", "mew": 0.4}),
    )
    for where, words, looks in dots:
        share = f"{int(where.sum())} of {len(points)} {words}"
        ax.plot(points["distance"][where], came[where], ls="", label=share, **looks)
    ax.axhline(0, color=GREY, lw=0.8)
    most = max(1.15 * np.abs(came).max(), 1.15 * float(np.quantile(np.maximum(-low, high), 0.9)))
    ax.set(ylim=(-most, most), xlabel=_distance(points), ylabel="loss above the forecast's median (% of loss)")
    return finish_below(ax, _title(result, points, f"Forecasts by {name}"))


def _scored(result: Backtest) -> pd.DataFrame:
    points = result.scored(common=True)
    if points.empty:
        raise DataError("there is no point that all models scored; .failures says what failed")
    return points.reset_index(drop=True)


def _by_model(points: pd.DataFrame) -> list[tuple[str, pd.DataFrame]]:
    """The points of each model, in the order in which they were asked."""
    return [(str(name), points[points["model"] == name]) for name in points["model"].unique()]


def _groups(points: pd.DataFrame) -> tuple[pd.Series[Any], str]:
    """What each point hangs together with, and that in words."""
    tables, cuts = points["table"].nunique(), points["cut"].nunique()
    if tables > 1:
        return points["table"], f"over {tables} tables,\nwithin which runs hang together"
    return points["cut"], f"over {cuts} cut{'s' * (cuts > 1)} of one table,\nwhich share runs: too short"


def _beside(ax: Axes, index: int, models: int, x: Any, y: Any, *, vertical: bool = False) -> Any:
    """Data coordinates moved aside, so that models at one place do not hide each other."""
    ax.update_datalim(np.column_stack([x, y]))  # which matplotlib does not do for coordinates of one's own
    ax.autoscale_view()
    by = _BESIDE * (index - (models - 1) / 2)
    return ax.transData + (shift(ax, 0, -by) if vertical else shift(ax, by, 0))


def _distance(points: pd.DataFrame) -> str:
    sizes = " or ".join(dict.fromkeys(points["size"]))
    return f"distance beyond the largest fitted run (decades of {sizes})"


def _title(result: Backtest, points: pd.DataFrame, what: str) -> str:
    """What is drawn, and how much is not."""
    tables = points["table"].unique()
    whose = tables[0] if len(tables) == 1 else f"{len(tables)} tables"
    failed = len(result.failures)
    return f"{what}: {whose} cut by {result.by}" + (f", {failed} task{'s' * (failed > 1)} failed" if failed else "")
