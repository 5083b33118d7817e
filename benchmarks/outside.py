"""Whether bands of runs beyond the data hold, and what they cost where the law is right.

Each ladder of training runs (benchmarks/ladders.py) is cut up to four times in compute. The cheaper runs are fitted
and the others forecast: by a Huber fit with its bootstrap; by cards without discrepancy, and with the drift that
benchmarks/drift.py learns from all *other* sources, so that nobody's bands are judged by what their own tables taught;
and by averages of cards. Of the averages, one has the weights that would have forecast the other sources best, by CRPS
and to a quarter (their drifts, which score them, know the source left out: a small leak, and in the average's favour).

Then what bands must not do. Runs *among* those fitted are held out: a random quarter of a ladder, but for those that
the other three do not enclose. And tables are simulated from a law, at the sizes of real ladders, and forecast by cards
of that law with the drift as shipped: there all that it adds is cost. On some tables also with a structured deviation
(`forescale.belief.structured`) learned beside the law.

Scores are of 100 log loss, percent of loss (`forescale.checking.scoring`); interval scores are of 90 % bands. Means
are over runs, over tasks (a cut of a table) and over sources (of the means of their tasks). A fit that is refused
still answers: to leave hard tasks out would flatter. Target: 90 % bands that hold 87 to 93 % of the runs, an interval
score 25 % and a CRPS 10 % below the Huber bootstrap's.

Run, seven minutes on two cores that nothing else uses::

    python benchmarks/outside.py --tables FOLDER --json outside.json

What it showed: README.md beside this file.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from answers import BOTH, CARDS, GRID, TASK, Task, enclosed, learned, simulated, truth
from drift import cuts
from ladders import ladders
from measure import conclude, load_average, print_table

import forescale as fs
from forescale.checking.scoring import PROBS, coverage_name

SIMULATED = {"chinchilla": BOTH, "coupled": ("coupled",)}  # laws, and the cards of which each is a member
DESIGNS = ("openeurollm", "olmo", "gadre")  # sources whose first table lends its sizes
TABLES = 5  # simulated of each law and design
MOST = 60  # runs of a table that is also fitted with a deviation, which takes ten times as long and more
EDGES = {"0": 0.0, "to 0.25": 0.25, "to 0.5": 0.5, "to 1": 1.0, "to 2": 2.0, "beyond 2": np.inf}
SCORES = (*map(coverage_name, PROBS), "interval_score", "crps", "bias", "width")


def by_backtests(points: pd.DataFrame) -> pd.DataFrame:
    """The points of averages whose weights have the least mean CRPS over the other sources."""
    grid = points[points["forecaster"].isin(GRID)]
    crps = mean_of(grid, "sources", each=True)["crps"].unstack("source")
    best = {source: crps.drop(columns=source).mean(axis=1).idxmin() for source in crps}
    for weights in sorted(set(best.values()), reverse=True):
        served = ", ".join(source for source, chosen in best.items() if chosen == weights)
        print(f"backtests of the others choose, in quarters, {weights} for {served}")
    chosen = grid[grid["forecaster"] == grid["source"].map(best)]
    return chosen.assign(forecaster="backtests *")


def mean_of(points: pd.DataFrame, over: str, *, each: bool = False) -> pd.DataFrame:
    """Mean scores of forecasters over runs, tasks or sources; of ``each`` source, if asked."""
    columns = list(SCORES)
    if over == "runs":
        return points.groupby("forecaster")[columns].mean()
    tasks = points.groupby(["forecaster", *TASK])[columns].mean()
    if over == "tasks":
        return tasks.groupby("forecaster").mean()
    sources = tasks.groupby(["forecaster", "source"]).mean()
    return sources if each else sources.groupby("forecaster").mean()


def share(value: float, digits: int = 3) -> str:
    """As .881, and one as 1.00: of one width."""
    return f"{value:.{digits}f}".removeprefix("0")[: digits + 1]


def against(value: float, other: float) -> str:
    """By how many percent one is above another."""
    return f"{100 * (value / other - 1):+.0f}"


def main_table(points: pd.DataFrame, over: str) -> None:
    """Of every forecaster its coverage, its scores, and both scores against Huber's."""
    found = mean_of(points, over)
    huber = found.loc["huber"]
    stars = [f"{name} *" for name in (*CARDS, "equal", "stacked", "backtests")]
    print(f"\nmeans over {over}; * with drift; 'to H': percent above Huber's")
    rows = []
    for name in ("huber", *CARDS, *stars):
        row = found.loc[name]
        covered = [share(row[coverage_name(prob)], 3 if prob == 0.9 else 2) for prob in PROBS]
        scores = [
            f"{row['interval_score']:.1f}",
            against(row["interval_score"], huber["interval_score"]),
            f"{row['crps']:.2f}",
            against(row["crps"], huber["crps"]),
            f"{row['bias']:+.1f}",
        ]
        rows.append([name, *covered, *scores])
    print_table(["forecaster", *(f"{100 * p:g}%" for p in PROBS), "score", "to H", "CRPS", "to H", "bias"], rows)


def covered_by(points: pd.DataFrame, key: str, labels: list[Any]) -> None:
    """Coverage of 90 % bands, and the score of the best against Huber's, by a column."""
    names = ["huber", "coupled", "coupled *", "chinchilla *"]
    found = points[points["forecaster"].isin(names)].groupby([key, "forecaster"], observed=True)
    means, counts = found[list(SCORES)].mean(), found.size()
    rows = []
    for label in labels:
        row = means.loc[label]
        scores = row["interval_score"]
        rows.append(
            [str(label), str(counts[label, "huber"])]
            + [share(row.loc[name, "covered_90"], 2) for name in names]
            + [against(scores["coupled *"], scores["huber"])]
        )
    print(f"\n90 % bands hold, by {key}; 'to H': score of coupled * above Huber's, percent")
    print_table([key, "runs", *names, "to H"], rows)


def close_table(points: pd.DataFrame, title: str, signs: tuple[str, ...]) -> None:
    """Coverage, scores and width of the cards looked at closely, with what is added to them; means over runs."""
    tasks = points.groupby(["forecaster", *TASK])["refused"].first().groupby("forecaster").sum()
    found = mean_of(points, "runs")
    some = points[points["forecaster"] == points["forecaster"].iloc[0]]
    print(f"\n{title}: {len(some)} runs, {len(some[TASK].drop_duplicates())} tasks")
    rows = []
    for name in (f"{card}{sign}" for card in BOTH for sign in signs):
        row = found.loc[name]
        covered = [share(row[coverage_name(prob)], 3 if prob == 0.9 else 2) for prob in PROBS]
        scores = [f"{row[score]:.2f}" for score in ("interval_score", "crps", "width")]
        rows.append([name, *covered, *scores, str(tasks[name])])
    print_table(["card", *(f"{100 * p:g}%" for p in PROBS), "score", "CRPS", "width", "refused"], rows)


def price_table(points: pd.DataFrame, card: str) -> None:
    """What drift costs a card on tables of its own law, by distance."""
    plain, drifting = (points[points["forecaster"] == name] for name in (card, f"{card} *"))
    print(f"\nthe price of drift, card {card} on {plain['table'].nunique()} tables of its own law")
    rows = []
    for label in [*plain["decades"].cat.categories, "all"]:
        a, b = (of if label == "all" else of[of["decades"] == label] for of in (plain, drifting))
        if len(a):
            wide, score = (b[name].mean() / a[name].mean() for name in ("width", "interval_score"))
            covered = [share(of["covered_90"].mean()) for of in (a, b)]
            widths = [f"{of['width'].mean():.2f}" for of in (a, b)]
            rows.append([label, str(len(a)), *covered, *widths, f"{wide:.2f}", f"{score:.2f}"])
    print_table(["decades", "runs", "90%", "90% *", "width", "width *", "times", "score, times"], rows)


def told_by_task(points: pd.DataFrame) -> None:
    """How often, not how much: a mean may be ruled by few tasks."""
    print()
    for name, what in (("interval_score", "interval score"), ("crps", "CRPS")):
        tasks = points.groupby(["forecaster", *TASK])[name].mean()
        ratio = tasks["coupled *"] / tasks["huber"]
        print(
            f"{what} of coupled * below Huber's in {(ratio < 1).sum()} of {len(ratio)} tasks; "
            f"geometric mean of the ratio {np.exp(np.log(ratio).mean()):.2f}"
        )
    covered = mean_of(points, "sources", each=True).loc["coupled *", "covered_90"]
    error = share(covered.std() / len(covered) ** 0.5)
    print(f"its 90 % bands hold {share(covered.mean())}, standard error over {len(covered)} sources {error};")
    tasks = points[points["forecaster"] == "coupled *"].groupby(TASK)["covered_90"].mean()
    print(f"every run of {(tasks == 1).sum()} tasks of {len(tasks)}, less than half the runs of {(tasks < 0.5).sum()}")


def report(points: pd.DataFrame) -> None:
    """Print every table."""
    outside, inside, exact = (points[points["part"] == part] for part in ("outside", "inside", "simulated"))
    outside = pd.concat([outside, by_backtests(outside)])
    answered = outside.groupby(TASK)["forecaster"].transform(lambda names: "huber" in set(names))  # the rest always do
    scored = outside[answered]
    counts = [len(of[TASK].drop_duplicates()) for of in (scored, outside)]
    print(f"{counts[0]} tasks are scored, of {counts[1]}: those that the Huber fit answers as well")
    for over in ("runs", "tasks", "sources"):
        main_table(scored, over)
    told_by_task(scored)
    covered_by(scored, "source", list(scored["source"].unique()))
    covered_by(scored, "decades", [label for label in EDGES if (scored["decades"] == label).any()])

    close_table(inside, "among the fitted", ("", " *"))
    widths = inside.set_index(["forecaster", *TASK])["width"]
    more = max(np.abs(widths[f"{card} *"].to_numpy() - widths[card].to_numpy()).max() for card in BOTH)
    print(f"most that drift changes the width of a band there: {more:g}")
    for of, title in ((outside, "beyond the fitted"), (inside, "among the fitted"), (exact, "simulated")):
        with_deviation = of[of["forecaster"].str.contains("~")][TASK].drop_duplicates()
        close_table(of.merge(with_deviation, on=TASK), f"{title}, ~ with a deviation learned", ("", " *", " ~", " ~ *"))
    for card in BOTH:
        price_table(exact, card)


def in_processes(pool: Any, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What comes back of each call, in order; says how far it is."""
    calls = [pool.submit(work, *each) for each in zip(*arguments, strict=True)]
    for count, _ in enumerate(as_completed(calls), start=1):
        print(f"{work.__name__} {count}/{len(calls)}", file=sys.stderr, flush=True)
    return [call.result() for call in calls]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, metavar="FOLDER", help="where the tables of others are")
    parser.add_argument("--workers", type=int, default=2, help="default: %(default)s")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes: does it still work?")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write every table to this file")
    parser.set_defaults(repeats=1)
    return parser.parse_args()


def main() -> None:
    given, load = arguments(), load_average()
    # matrices are small: threads of BLAS that wait for each other cost much and gain nothing
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    settings = {"draws": 200, "tune": 200} if given.smoke else {"draws": 1000, "tune": 500}
    bootstrap = 5 if given.smoke else 100
    few = slice(0, 1) if given.smoke else slice(None)
    scored = [ladder for ladder in ladders(given.tables) if ladder.few and len(ladder.inputs) == 2]
    sources = list(dict.fromkeys(ladder.source for ladder in scored))
    first = {ladder.source: ladder for ladder in reversed(scored)}
    small = {of.table for of in first.values() if len(of.runs) <= MOST}
    designs = [first[source] for source in DESIGNS if source in first]
    shipped = {card: fs.load_model(card).discrepancy.drift for card in BOTH}

    # fresh processes: forked ones would share this one's threads
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        pairs = [(card, source) for source in sources for card in CARDS]
        drifts = dict(zip(pairs, in_processes(pool, learned, *zip(*pairs, strict=True)), strict=True))
        truths = [(design, law) for design in designs for law in SIMULATED]
        medians = in_processes(pool, truth, *zip(*truths, strict=True), [settings] * len(truths))
        tasks = []
        for ladder in scored:
            own = {card: drifts[card, ladder.source] for card in CARDS}
            close = {card: own[card] for card in BOTH}
            for i, cut in enumerate(cuts(ladder)[few]):
                deep = ladder.table in small and i % 2 == 0
                tasks.append(Task("outside", ladder, cut, own, i, settings, deep, bootstrap))
            for i, cut in enumerate(enclosed(ladder, 1)[few]):
                deep = ladder.table in small and i % 2 == 0
                tasks.append(Task("inside", ladder, cut, close, i, settings, deep))
        for (design, law), parameters in zip(truths, medians, strict=True):
            for number in range(TABLES)[few]:
                table = simulated(design, law, parameters, number)
                cut = cuts(table)[number % len(cuts(table))]
                own = {card: shipped[card] for card in SIMULATED[law]}
                tasks.append(Task("simulated", table, cut, own, number, settings, number == 0))
        tasks.sort(key=lambda task: (task.structured, len(task.ladder.runs)), reverse=True)  # the longest first
        points = pd.concat(in_processes(pool, Task.points, tasks), ignore_index=True)
    points["decades"] = pd.cut(points["outside"], [-np.inf, *EDGES.values()], labels=list(EDGES))
    report(points)
    kept = points[~points["forecaster"].isin(GRID)].groupby(["part", "forecaster", *TASK, "decades"], observed=True)
    tasks = kept[["refused", *SCORES]].mean().assign(runs=kept.size()).reset_index()
    conclude(__file__, given, load, {"tasks": tasks.to_dict("records")})


if __name__ == "__main__":
    main()
