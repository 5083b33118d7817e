"""How well curves of one input are extrapolated by the cards that there are for them.

The five curves of google_nmt, by the published protocol: fit the runs with is_train = 1 (to 256M sentence pairs),
forecast those with is_train = 0 (512M) by posterior medians of the law's curve. The metric of a curve is
sqrt(mean((ln forecast - ln loss)^2)) over its held-out points, then the mean over curves. Five points say little of
bands, so each curve is also fitted without its last training point, and two doublings are forecast.

`breaks` averages the cards of no break, one to a steeper and one to a flatter fall, and two. These cards and `m4_d`
are of any scale; their priors and odds were chosen by reason and on other curves (README.md beside this file), never on
these. `shifted_power_d` is for losses of language models. "last loss" forecasts the last loss seen, and least squares
is of a power with a floor.

With --tables FOLDER instead: 77 other curves (``other_curves.py``), by which the priors of these cards and their odds
are judged. CRPS of log loss and the error of medians of the law's curve, as geometric means over groups of curves, and
the share of points in 90 % bands of a new run, by card, averaged, and with other priors and odds. Then what averaged
bands of the law's curve hold of simulated truths of four kinds, at 2 and at 8 times the largest of 14 sizes, runs
scattered by 1 %; ``--truths`` is how many tables of each.

Target: 0.0150 or below. Published: shifted power 0.0341, M4 0.0208 by least squares and 0.0194 by a first Bayesian fit,
broken law 0.0200 as its authors fit it and 0.0109 by a numerically stable version.

Run::

    python benchmarks/curves.py --json curves.json
    python benchmarks/curves.py --tables FOLDER --json other_curves.json

What it showed: README.md beside this file.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import other_curves
import pandas as pd
from measure import Beside, conclude, load_average, parser, print_table, seconds_of
from scipy.optimize import least_squares

import forescale as fs
from forescale.belief.model import Model

CARDS = ("shifted_power_d", "unbroken_d", "steepening_d", "flattening_d", "m4_d", "breaks")
PUBLISHED = {
    "unbroken_d": [("unbroken", 0.0341, "Alabdulmohsin et al. 2022", "published: least squares")],
    "m4_d": [("m4", 0.0208, "Alabdulmohsin et al. 2022", "published: least squares")],
    "breaks": [
        (
            "broken",
            0.0200,
            "Caballero et al. 2023",
            "published: least squares; ours: none, one to a steeper, one to a flatter",
        )
    ],
}
COLUMNS = ["run", "n_examples", "loss"]


def origins(runs: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame, pd.DataFrame]]:
    """The published cut, and one a point earlier."""
    train = runs[runs["is_train"] == 1]
    yield "published", train, runs[runs["is_train"] == 0]
    yield "1 earlier", train.iloc[:-1], runs.drop(index=train.index[:-1])


def weighed(given: fs.Observations, draws: int) -> tuple[Any, str]:
    """What `breaks` finds, and whether its runs agreed."""
    try:
        return fs.breaks(given, size="n_examples", draws=draws, random_seed=1), "yes"
    except fs.ConvergenceError as error:
        return error.fit, "no"


def sampled(given: fs.Observations, model: Model, settings: dict[str, Any]) -> tuple[Any, str]:
    """A fit, and whether it converged, and at which try."""
    try:
        fit = fs.fit(given, model, random_seed=1, progress=False, **settings)
    except fs.ConvergenceError as error:
        return error.fit, "no"
    return fit, "yes" if fit.settings.thin == 1 else "second"


def forecast(model: Model | None, train: pd.DataFrame, held: pd.DataFrame, settings: dict[str, Any]) -> pd.DataFrame:
    """A row per held-out point, of a card or, of none, of `breaks`."""
    given = fs.Observations.from_frame(train[COLUMNS])
    (fit, passed), seconds = seconds_of(
        lambda: weighed(given, settings.get("draws", 1000)) if model is None else sampled(given, model, settings)
    )
    drawn = fs.forecast(fit, {"n_examples": held["n_examples"].to_numpy(dtype=float)}, random_seed=0).draws
    middle = drawn["mean"].median(("chain", "draw")).to_numpy()
    low, high = drawn["run"].quantile([0.05, 0.95], ("chain", "draw")).transpose("quantile", "point").to_numpy()
    loss = held["loss"].to_numpy(dtype=float)
    return pd.DataFrame(
        {
            "n_examples": held["n_examples"].to_numpy(),
            "error": np.log(middle / loss),
            "inside": (low <= loss) & (loss <= high),
            "width": np.log(high / low),
            "converged": passed != "no",
            "first_try": passed == "yes",
            "seconds": seconds,
        }
    )


def without_bands(train: pd.DataFrame, held: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """What a forecast has to beat: the last loss seen, and a power with a floor by least squares of log loss."""
    x, log_loss = np.log(train["n_examples"].to_numpy(dtype=float)), np.log(train["loss"].to_numpy(dtype=float))
    ahead, truth = np.log(held["n_examples"].to_numpy(dtype=float)), np.log(held["loss"].to_numpy(dtype=float))

    def curve(at: Any, values: Any) -> Any:
        return np.logaddexp(values[0], values[1] - np.exp(values[2]) * (at - x[-1]))

    starts = [(log_loss[-1] + np.log(share), log_loss[-1] + np.log1p(-share), -1.0) for share in (0.1, 0.5, 0.9, 0.99)]
    best = min((least_squares(lambda v: curve(x, v) - log_loss, start) for start in starts), key=lambda one: one.cost)
    for name, forecast in (("last loss", log_loss[-1]), ("least squares", curve(ahead, best.x))):
        nothing = {"inside": None, "width": np.nan, "converged": None, "first_try": None, "seconds": np.nan}
        rows = pd.DataFrame({"n_examples": held["n_examples"].to_numpy(), "error": forecast - truth})
        yield name, rows.assign(**nothing)


def beside(points: pd.DataFrame) -> list[Beside]:
    """The metric of each card on the published cut beside the published ones of its law."""
    at = points[points["origin"] == "published"]
    return [
        Beside(law, "google_nmt, five curves", 48, f"error of log loss, {card}", value, source, metric(of), note=note)
        for card, of in at.groupby("card", sort=False)
        for law, value, source, note in PUBLISHED.get(str(card), ())
    ]


def metric(points: pd.DataFrame) -> float:
    """Root of the mean squared error of log loss of each curve, then their mean."""
    each = (points["error"] ** 2).groupby(points["family"]).mean() ** 0.5
    return float(each.mean())


def summary(points: pd.DataFrame) -> None:
    """Metric, coverage and time."""
    rows = []
    for (card, origin), of in points.groupby(["card", "origin"], sort=False):
        fits = of.drop_duplicates("family")
        cells = [card, origin, f"{metric(of):.4f}"]
        if of["inside"].isna().any():
            rows.append([*cells, *[""] * 5])
            continue
        cells += [f"{int(of['inside'].sum())}/{len(of)}", f"{of['width'].median():.3f}"]
        cells += [f"{fits['seconds'].median():.1f}", f"{int(fits['converged'].sum())}/{len(fits)}"]
        rows.append([*cells, f"{int(fits['first_try'].sum())}/{len(fits)}"])
    head = ["card", "origin", "metric", "90 % run bands hold", "their width, log", "s a fit", "converged"]
    print_table([*head, "at first try"], rows)


def arguments() -> argparse.Namespace:
    given = parser(__doc__ or "", repeats=1)
    given.add_argument("--tables", type=Path, metavar="FOLDER", help="instead: other curves, with tables from there")
    given.add_argument("--groups", nargs="+", metavar="GROUP", help="of these; all by default")
    given.add_argument("--truths", type=int, default=10, help="simulated tables of each kind; default: %(default)s")
    given.add_argument("--cards", nargs="+", default=CARDS, metavar="CARD", help="default: %(default)s")
    return given.parse_args()


def on_others(given: argparse.Namespace) -> dict[str, Any]:
    """Candidates on other curves, and the one that was taken on simulated truths."""
    found = []
    for curve in other_curves.curves(given.tables):
        if given.groups and curve.group not in given.groups:
            continue
        for name, rows in without_bands(curve.seen, curve.held):
            about = {"candidate": name, "group": curve.group, "curve": curve.name, "crps": rows["error"].abs()}
            found.append(rows[["error", "inside"]].assign(**about))
        found.append(other_curves.scores(curve))
        print(f"{curve.group}: {curve.name}", file=sys.stderr, flush=True)
    points = pd.concat(found, ignore_index=True)
    many = points.drop_duplicates(["group", "curve"]).groupby("group", sort=False).size()
    print(f"{many.sum()} curves: {', '.join(f'{each} {group}' for group, each in many.items())}")
    cells = []
    for name, of in points.groupby("candidate", sort=False):
        by = of.groupby("group")["error"]
        means = of.groupby("group")["crps"].mean(), by.apply(lambda error: (error**2).mean() ** 0.5)
        row = [str(name), *(f"{1000 * np.exp(np.log(each).mean()):.1f}" for each in means)]
        banded = of["inside"].notna().all()
        row += [f"{of['inside'].mean():.3f}", f"{of['failed'].sum() / other_curves.HELD:.0f}"] if banded else ["", ""]
        cells.append(row)
    print_table(["", "1000 CRPS", "1000 rms of medians", "90 % run bands hold", "curves not converged"], cells)
    print()
    cells = []
    for name, of in points[points["candidate"].isin(other_curves.TAKEN)].groupby("group", sort=False):
        by = of.groupby("candidate", sort=False)[["crps", "inside"]].mean()
        cells.append([str(name), *(f"{1000 * row.crps:.1f}, {row.inside:.2f}" for row in by.itertuples())])
    print_table(["1000 CRPS, 90 % run bands hold", *other_curves.TAKEN], cells)
    if not given.truths:
        return {"points": points.to_dict("records")}
    truths = other_curves.held_truths(given.truths)
    print(f"\n{given.truths} tables of each simulated truth: averaged 90 % bands of the law's curve")
    by = truths.groupby(["truth", "times"], sort=False)
    rows = [[*map(str, key), f"{of['held'].sum()}/{len(of)}", f"{of['error'].mean():+.4f}"] for key, of in by]
    print_table(["truth", "times the largest", "hold", "mean ln (median / truth)"], rows)
    return {"points": points.to_dict("records"), "truths": truths.to_dict("records")}


def main() -> None:
    given, load = arguments(), load_average()
    warnings.simplefilter("ignore", fs.ForescaleWarning)
    if given.tables:
        conclude(__file__, given, load, on_others(given))
        return
    settings: dict[str, Any] = {}
    curves = fs.load_dataset("google_nmt").table.groupby("family", sort=False)
    every = [(family, *origin) for family, runs in curves for origin in origins(runs.sort_values("n_examples"))]
    if given.smoke:
        given.cards, every = ["unbroken_d"], every[:1]
        settings = {"draws": 50, "tune": 100, "chains": 2, "retry": False}
    found = [
        rows.assign(family=family, origin=origin, card=name)
        for family, origin, train, held in every
        for name, rows in without_bands(train, held)
    ]
    for card in given.cards:
        model = None if card == "breaks" else fs.load_model(card).renamed({"n_tokens": "n_examples"})
        for family, origin, train, held in every:
            rows = forecast(model, train, held, settings)
            found.append(rows.assign(family=family, origin=origin, card=card))
            print(f"{card}: {family}, {origin}: {rows['error'].iloc[-1]:+.4f}", file=sys.stderr, flush=True)
    points = pd.concat(found, ignore_index=True)
    print("\ngoogle_nmt: sqrt(mean((ln median - ln loss)^2)), mean over curves; equal-tailed bands of new runs")
    summary(points)
    print("\nln (median of the law's curve / loss) at the last point, published cut")
    last = points[points["origin"] == "published"].groupby(["card", "family"], sort=False)["error"].last()
    wide = last.unstack(sort=False)
    print_table(["card", *wide], [[card, *(f"{value:+.4f}" for value in row)] for card, *row in wide.itertuples()])
    kept = beside(points) if not given.smoke else []
    conclude(__file__, given, load, {"points": points.to_dict("records")}, beside=kept)


if __name__ == "__main__":
    main()
