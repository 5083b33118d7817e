"""`near-optimal` and `rank`: which runs are good enough, and which of some plans is best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import forescale as fs
from forescale.terminal import arguments, plan_arguments
from forescale.terminal.app import DECIDE, app, output

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from forescale.terminal.console import Shown

Slack = Annotated[float, typer.Option(metavar="X", help="Loss above the least that still counts, as a share of it.")]
Sizes = Annotated[
    list[str] | None,
    typer.Option("--size", metavar="N", help="Sizes of which to say how probably each is nearly best; repeatable."),
]
By = Annotated[str, typer.Option(metavar="WHAT", help="What ranks plans: loss, or wasted_compute.")]


@app.command("near-optimal", rich_help_panel=DECIDE)
def _near_optimal(
    source: arguments.Source,
    compute: arguments.Compute,
    slack: Slack = 0.001,
    size: Sizes = None,
    unique_tokens: arguments.UniqueTokens = None,
    cost: arguments.Cost = "6ND",
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Find all sizes that are nearly best for a budget.

    Example: forescale near-optimal fit.nc --compute 5.76e23 --size 50B,70B
    """
    answers = output(json, csv)
    from forescale.estimates.draws import is_single
    from forescale.terminal import console

    found = fs.near_optimal(
        arguments.load_source(source),
        arguments.budgets(compute),
        slack=slack,
        cost=cost,
        unique_tokens=unique_tokens,
    )
    asked = found.probability(arguments.budgets(size)) if size else None
    sure = None if is_single(found.draws) else found.sure(prob)
    rows = found.table(prob)
    document = {"command": "near-optimal", "source": found.source, **console.bands(found, prob)}
    document |= {"law": found.law, "cost": found.cost.name, "slack": found.slack}
    document |= {} if sure is None else {"sure": sure.drop(columns="prob").to_dict("records")}
    document |= {} if asked is None else {"sizes": asked.to_dict("records")}
    answers.answer(_near_page(found, rows, sure, asked, prob), document, rows)


@app.command("rank", rich_help_panel=DECIDE)
def _rank(
    source: arguments.Source,
    plan: plan_arguments.Plans = None,
    by: By = "loss",
    unique_tokens: arguments.UniqueTokens = None,
    cost: arguments.Cost = "6ND",
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Rank candidate runs, and price each against the best split.

    Example: forescale rank fit.nc --plan big=70B,1.4T --plan small=8B,15T
    """
    answers = output(json, csv)
    from forescale.terminal import console

    asked: dict[str, Any] = {"by": by, "cost": cost, "unique_tokens": unique_tokens}
    found = fs.rank_plans(arguments.load_source(source), plan_arguments.plans(plan), **asked)
    rows = found.table(prob)
    document = {"command": "rank", "source": found.source, **console.bands(found, prob)}
    document |= {"law": found.law, "cost": found.cost, "by": found.by}
    answers.answer(_ranking(found, rows, prob), document, rows)


def _near_page(
    found: fs.NearOptimal, rows: pd.DataFrame, sure: pd.DataFrame | None, asked: pd.DataFrame | None, prob: float
) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import INTERVAL_KIND
    from forescale.terminal import console
    from forescale.units import format_quantity

    within = console.percent(found.slack)
    heading = console.heading(f"Sizes within {within} of the least loss by {found.source}, cost {found.cost.name}")
    ends = ("smallest", "best", "largest")
    cells = [
        [format_quantity(flops), *(console.bracket(bands[end], format_quantity) for end in ends)]
        for flops, bands in console.by_quantity(rows, "flops")
    ]
    shown: Shown = [heading, console.table(["FLOPs", "smallest N", "best N", "largest N"], cells, left=0)]
    if sure is None:
        return [*shown, console.no_band(found.source)]
    if asked is not None:
        sizes = ("flops", "n_params", "n_tokens")
        probable = [
            [*(format_quantity(row[name]) for name in sizes), f"{row['probability']:.2f}"]
            for row in asked.to_dict("records")
        ]
        shown.append(console.table([*_SIZES, "probability to be nearly best"], probable, left=0))
    told = ("smallest", "tokens_of_smallest", "largest", "tokens_of_largest")
    spans = [
        [format_quantity(row["flops"]), *(format_quantity(row[name]) for name in told), f"{row['serving_saved']:.0f} %"]
        if row["smallest"] == row["smallest"]
        else [format_quantity(row["flops"]), "none", "", "", "", ""]
        for row in sure.to_dict("records")
    ]
    headers = ["FLOPs", "smallest N", "its tokens", "largest N", "its tokens", "serving saved"]
    return [
        *shown,
        console.heading(f"Sizes that are so with at least {console.percent(prob)} probability"),
        console.table(headers, spans, left=0),
        Text(
            f"Median and, in brackets, the {console.percent(prob)} {INTERVAL_KIND} interval. Band mean: the law's "
            "curve, without discrepancy or noise. serving saved: by how much the smallest is cheaper to serve than "
            "the median best N."
        ),
    ]


def _ranking(found: fs.PlanRanking, rows: pd.DataFrame, prob: float) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import INTERVAL_KIND, is_single
    from forescale.terminal import console
    from forescale.units import format_quantity

    single, cells = is_single(found.draws), []
    for name, bands in console.by_quantity(rows, "plan"):
        sizes = [format_quantity(bands["loss"][column]) for column in ("n_params", "n_tokens")]
        told = [console.bracket(bands[quantity], write) for quantity, write in _WRITERS.items()]
        cells.append([name, *sizes, *told, *([] if single else [f"{bands['loss']['best']:.2f}"])])
    headers = ["plan", "N", "D", "loss", "above best", "wasted %", *([] if single else ["best"])]
    notes = (
        "above best, wasted %: loss in nats above the best split of the plan's compute, and the share of it that the "
        "best split saves."
    )
    interval = f"Median and, in brackets, the {console.percent(prob)} {INTERVAL_KIND} interval"
    best = f"best: probability that the plan has the least {found.by.replace('_', ' ')} of all."
    bands_told = f"{best} {interval}; band mean: the law's curve, without discrepancy or noise."
    return [
        console.heading(f"Plans by {found.by.replace('_', ' ')}, by {found.source}, cost {found.cost}"),
        console.table(headers, cells),
        Text(notes),
        console.no_band(found.source) if single else Text(bands_told),
    ]


def _price(value: float) -> str:
    """Two significant digits, and no more than a person wants of what is next to nothing."""
    return f"{value:.2g}" if value >= 1e-4 else "< 1e-4"


_SIZES = ("FLOPs", "n_params", "n_tokens")
_WRITERS: dict[str, Callable[[float], str]] = {
    "loss": "{:.3f}".format,
    "extra_loss": _price,
    "wasted_compute": _price,
}
