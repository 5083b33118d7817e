"""`contradiction`: where two trends of loss can no longer both hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import DOUBT, app, output, progress_wanted

if TYPE_CHECKING:
    import pandas as pd

    from forescale.estimates.draws import Estimate
    from forescale.estimates.trends import Trends
    from forescale.terminal.console import Shown

Source = Annotated[
    str | None,
    typer.Argument(metavar="[SOURCE]", help="A card of trends, a fit's file, or a published estimate of a joint law."),
]
Runs = Annotated[str | None, typer.Option(metavar="RUNS", help="Instead: fit trends to a table of runs, or a dataset.")]
Efficient = Annotated[
    str, typer.Option(metavar="NAME", help="With --runs: front, the runs that none beats; isoflop, minima of profiles.")
]
Limits = Annotated[
    str | None,
    typer.Option(metavar="LOW,HIGH", help="Power laws through a joint law's limits in a range of FLOPs."),
]


@app.command("contradiction", rich_help_panel=DOUBT)
def _contradiction(
    source: Source = None,
    runs: Runs = None,
    efficient: Efficient = "front",
    limits: Limits = None,
    compute: arguments.Budgets = None,
    seed: arguments.FitSeed = None,
    quiet: arguments.Quiet = False,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Find where two trends of loss contradict each other.

    Example: forescale contradiction kaplan2020
    """
    answers = output(json, csv, quiet)
    if (source is None) == (runs is None):
        raise typer.BadParameter("give either a source or --runs")
    if runs is not None and limits is not None:
        raise typer.BadParameter("--limits goes with a fit or a published estimate of a joint law")
    from forescale.terminal import console

    found: fs.Contradiction | fs.Consistency
    budgets = arguments.budgets(compute or ())
    if runs is not None:
        table = arguments.read_runs(runs)
        answers.say(*console.read(table), "")
        found = fs.contradiction(
            fs.fit_trends(table, efficient=efficient, random_seed=seed, progress=progress_wanted(quiet))
        )
    else:
        given = _source(str(source), limits)
        found = fs.contradiction(given, compute=budgets) if budgets else fs.contradiction(given)
    if isinstance(found, fs.Consistency):
        rows = found.table(prob)
        document = {"command": "contradiction", "source": found.source, **console.bands(found, prob)}
        document |= {"discrepancy": "not included"}
        document |= {"law": found.law, "cost": found.cost, "crossing": False, "reason": found.reason}
        answers.answer(_gap_table(found, rows, prob), document, rows)
        return
    odds = found.probabilities(budgets) if budgets else found.probabilities()
    document = {"command": "contradiction", "source": found.source, "basis": found.basis, "never": found.never}
    document |= {"discrepancy": "not included"}
    document |= console.bands(found, prob)
    document["elasticities"] = [] if found.never == 1 else found.elasticity_table(prob).to_dict("records")
    document["probabilities"] = odds.to_dict("records")
    answers.answer(_point_table(found, odds, prob), document, found.table(prob))


def _source(word: str, limits: str | None) -> Trends | Estimate:
    """A card of trends, or an estimate; the name of both is the card, unless limits are asked for."""
    is_card = word in fs.list_trends() or word.endswith(".toml")
    if limits is not None:
        return fs.trends_of(arguments.load_source(word), tuple(limits.split(",")))  # type: ignore[arg-type]
    return fs.published_trends(word) if is_card else arguments.load_source(word)


def _point_table(found: fs.Contradiction, odds: pd.DataFrame, prob: float) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import is_single
    from forescale.terminal import console
    from forescale.units import PF_DAY
    from forescale.verbs.contradiction import QUANTITIES

    single = is_single(found.draws)
    ends = ["median"] if single else ["median", "lower", "upper"]
    units = {"flops": "FLOPs", "n_params": "parameters", "n_tokens": "tokens", "loss": "nats per token"}
    cells = []
    for row in found.table(prob).to_dict("records"):
        name = row["quantity"]
        write = console.number if name == "loss" else _size
        logs = (row[f"log10_{end}"] for end in ("median", "lower", "upper"))
        middle, low, high = ("never" if log == math.inf else f"{log:.2f}" for log in logs)
        log10 = middle if single else f"{middle} [{low}, {high}]"
        cells.append([f"{QUANTITIES[name]}, {units[name]}", *(write(row[end]) for end in ends), log10])
        if name == "flops":
            days = (row[end] / PF_DAY for end in ends)
            told = ("never" if number == math.inf else console.number(number, 3) for number in days)
            cells.append(["    in PF-days", *told, ""])
    shown: Shown = [
        console.heading(f"Contradiction of L(C) and L(D(C)) by {found.source}"),
        console.table(["", *ends, "log10"], cells),
        Text(f"Trends: {found.basis}"),
    ]
    if single:
        return [*shown, console.no_band(found.source)]
    if found.never < 1:
        changes = [
            [row["exponent"], row["held"], *(console.number(row[end], 3) for end in ("median", "lower", "upper"))]
            for row in found.elasticity_table(prob).to_dict("records")
        ]
        shown += [
            "",
            console.heading("Change of log10 C* for a change of an exponent by one"),
            console.table(["exponent", "held", "median", "lower", "upper"], changes, left=2),
            Text("held, scale: C_c, D_c or D_1 stays; pivot: the trend's value in the middle of the data stays."),
        ]
    shares = [
        [_size(row["flops"]), console.percent(round(row["crossed"], 4)), console.percent(round(row["none_below"], 4))]
        for row in odds.to_dict("records")
    ]
    return [
        *shown,
        "",
        console.heading("Probability that the trends have crossed by a compute, or not"),
        console.table(["FLOPs", "crossed", "not below"], shares, left=0),
        console.caption(
            prob,
            f"All draws count: in {console.percent(round(found.never, 4))} of them the trends never cross. Bands are",
            "of the trends, without scatter, and take power laws to hold beyond the data.",
        ),
    ]


def _gap_table(found: fs.Consistency, rows: pd.DataFrame, prob: float) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import is_single
    from forescale.terminal import console

    single = is_single(found.draws)
    by_budget: dict[float, list[str]] = {}
    for row in rows.to_dict("records"):
        band = "" if single else f" [{console.number(row['lower'], 3)}, {console.number(row['upper'], 3)}]"
        by_budget.setdefault(row["flops"], []).append(console.number(row["median"], 3) + band)
    cells = [[_size(flops), *bands] for flops, bands in by_budget.items()]
    interval = f"Median and, in brackets, the {console.percent(prob)} equal-tailed interval; the law's curve alone."
    return [
        console.heading(f"No contradiction by {found.source}"),
        Text(found.reason[:1].upper() + found.reason[1:] + "."),
        "",
        console.table(["FLOPs", "L(C)", "L(D(C))", "gap (nats)"], cells, left=0),
        console.no_band(found.source) if single else Text(interval),
    ]


def _size(value: Any) -> str:
    from forescale.units import format_quantity

    return format_quantity(float(value)) if math.isfinite(value) else "never"
