"""`gain`: how much compute a new recipe is worth."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import DECIDE, app, output

Old = Annotated[str, typer.Argument(metavar="OLD", help="A fit's file, or a published estimate's name.")]
New = Annotated[str, typer.Argument(metavar="NEW", help="That of the new recipe.")]
Hold = Annotated[float, typer.Option(metavar="X", help="Share in a decade up to which the gain holds.")]
OtherCounts = Annotated[bool, typer.Option("--other-counts", help="Although only one counts embeddings.")]


@app.command("gain", rich_help_panel=DECIDE)
def _gain(
    old: Old,
    new: New,
    compute: arguments.Compute,
    hold: Hold = 0.1,
    unique_tokens: arguments.UniqueTokens = None,
    other_counts: OtherCounts = False,
    cost: arguments.Cost = "6ND",
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """How much compute a new recipe saves.

    Example: forescale gain old.nc new.nc --compute 1e20,1e22,1e24
    """
    answers = output(json, csv)
    from rich.text import Text

    from forescale.estimates.draws import is_single
    from forescale.terminal import console
    from forescale.units import format_quantity

    before, after = (arguments.load_source(word) for word in (old, new))
    given: dict[str, Any] = {"cost": cost, "hold": hold, "other_counts": other_counts, "unique_tokens": unique_tokens}
    found = fs.compute_gain(before, after, arguments.budgets(compute), **given)
    rows, single = found.table(prob), is_single(found.draws)
    document = {"command": "gain", "old": found.old, "new": found.new, "cost": found.cost, "hold": hold}
    document |= {**console.bands(found, prob), "paired": found.paired}
    ends = ["median"] if single else ["median", "lower", "upper"]
    heads = ends if single else [*ends, "better", "never"]
    cells = [
        [format_quantity(row["flops"]), *(format_quantity(row[name]) for name in heads)]
        for row in rows[rows["quantity"] == "gain"].to_dict("records")
    ]
    shown: console.Shown = [
        console.heading(f"Times less compute with {found.new} than with {found.old}"),
        console.table(["FLOPs", *heads], cells, left=0),
    ]
    if single:
        told = "No bands: no usable uncertainty of either is known. These are points on the laws' curves."
    else:
        trend = found.trend(prob)
        document["trend"] = trend.drop(["prob", "interval"]).to_dict()
        shares = ", ".join(f"{name} {trend[name]:.2f}" for name in ("grows", "holds", "fades"))
        within = f"holds: within {console.percent(hold)} a decade"
        shown.append(Text(f"With compute the gain, in probability: {shares} ({within})."))
        told = f"{console.caption(prob)} better, never: shares of draws. Band mean: the laws' curves."
        told += " Draws of both are combined at random, as of independent fits."
    answers.answer([*shown, Text(f"{told} One evaluation set is taken for granted.")], document, rows)
