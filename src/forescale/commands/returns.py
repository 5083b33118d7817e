"""`returns`: what more parameters, tokens or compute buys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import DECIDE, app, output

if TYPE_CHECKING:
    import pandas as pd
    from rich.text import Text

    from forescale.terminal.console import Shown

Factor = Annotated[float, typer.Option(metavar="X", help="How many times more.")]
Below = Annotated[
    list[str] | None,
    typer.Option(metavar="NATS", help="Also beyond which compute more buys less: 0.1,0.01."),
]
_COLUMNS = {"more", "quantity", "median", "lower", "upper", "prob", "interval"}


@app.command("returns", rich_help_panel=DECIDE)
def _returns(
    source: arguments.Source,
    at: arguments.At = None,
    compute: arguments.Budgets = None,
    factor: Factor = 10.0,
    below: Below = None,
    unique_tokens: arguments.UniqueTokens = None,
    cost: arguments.Cost = "6ND",
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """What more parameters, tokens or compute buys.

    Example: forescale returns fit.nc --compute 1e24 --below 0.1,0.01
    """
    answers = output(json, csv)
    if bool(at) == bool(compute):
        raise typer.BadParameter("give either --at or --compute")
    from forescale.terminal import console

    estimate = arguments.load_source(source)
    points = {"points": arguments.read_points(estimate.law, at or ())}
    where: dict[str, Any] = points if at else {"compute": arguments.budgets(compute or ())}
    given: dict[str, Any] = {"factor": factor, "cost": cost, "unique_tokens": unique_tokens}
    found = fs.returns(estimate, **where, **given)
    rows = found.table(prob)
    document = {"command": "returns", "source": found.source, "law": found.law, "cost": found.cost, "factor": factor}
    document |= console.bands(found, prob)
    shown = _table(found, rows, prob)
    if below:
        until = fs.returns_until(estimate, arguments.budgets(below), **given)
        ends = until.table(prob)
        document["until"] = ends.drop(columns=["prob", "interval"]).to_dict("records")
        shown += _until(until, ends)
    answers.answer([*shown, _meant(found, prob)], document, rows)


def _table(found: fs.ReturnsToScale, rows: pd.DataFrame, prob: float) -> Shown:
    from forescale.estimates.draws import is_single
    from forescale.terminal import console
    from forescale.units import format_quantity

    single = is_single(found.draws)
    heads = {"gain": "nats", "percent": "% of L", "reducible_percent": "% of L - E", "elasticity": "elasticity"}
    told = [name for name in heads if name in found.quantities]
    points = [str(name) for name in rows if name not in _COLUMNS]
    shown: Shown = [console.heading(f"What {found.factor:g} times more buys, by {found.source}")]
    for _, here in rows.groupby(points, sort=False):
        at = ", ".join(f"{name} {format_quantity(here[name].iloc[0])}" for name in points)
        lines: dict[str, list[str]] = {}
        for row in here[here["quantity"].isin(told)].to_dict("records"):
            write = ".4f" if row["quantity"] == "elasticity" else ".3g"  # so that four bands fit in 80 columns
            ends = "" if single else f"\n[{row['lower']:{write}}, {row['upper']:{write}}]"
            lines.setdefault(row["more"], []).append(f"{row['median']:{write}}{ends}")
        cells = [[way, *bands] for way, bands in lines.items()]
        where = f"at the best split of {at.removeprefix('flops ')} FLOPs" if points == ["flops"] else f"at {at}"
        shown += ["", where, console.table(["more", *(heads[name] for name in told)], cells)]
    return shown


def _until(until: fs.ReturnsUntil, ends: pd.DataFrame) -> Shown:
    import numpy as np

    from forescale.decisions.returns_until import LEAST, MOST
    from forescale.terminal import console
    from forescale.units import format_quantity

    def write(flops: float) -> str:
        if 0 < flops < MOST:
            return format_quantity(flops)
        return f"beyond 1e{np.log10(MOST):.0f}" if flops else f"below 1e{np.log10(LEAST):.0f}"

    cells = [[f"{row['below']:g}", console.bracket(row, write)] for row in ends.to_dict("records")]
    return [
        "",
        console.heading(f"Compute beyond which {until.factor:g} times more buys less"),
        console.table(["less than (nats)", "FLOPs"], cells, left=0),
    ]


def _meant(found: fs.ReturnsToScale, prob: float) -> Text:
    """What the columns and the brackets are."""
    from rich.text import Text

    from forescale.estimates.draws import INTERVAL_KIND, is_single
    from forescale.terminal import console

    columns = "elasticity: -d ln L / d ln x. L - E: loss above the floor. C: compute."
    if is_single(found.draws):
        return Text(f"{columns} ") + console.no_band(found.source)
    interval = f"Median and, in brackets, the {console.percent(prob)} {INTERVAL_KIND} interval."
    return Text(f"{interval} {columns} Band mean: the law's curve, without discrepancy or noise.")
