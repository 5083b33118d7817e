"""`compute-to`: the compute that a loss takes, and how probably a budget or a planned run gets there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import forescale as fs
from forescale.terminal import arguments, plan_arguments
from forescale.terminal.app import DECIDE, app, output

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

Loss = Annotated[list[str], typer.Option(metavar="NATS", help="Losses to be reached, 2.0,1.9,...; repeatable.")]
At = Annotated[
    list[str] | None,
    typer.Option(metavar="POINT", help="Planned runs, 70B,1.4T, and how probably they get there; repeatable."),
]

Kind = Annotated[str, typer.Option(metavar="mean|run", help="Of the law's curve, or of a new run.")]


@app.command("compute-to", rich_help_panel=DECIDE)
def _compute_to(
    source: arguments.Source,
    loss: Loss,
    compute: arguments.Budgets = None,
    at: At = None,
    unique_tokens: arguments.UniqueTokens = None,
    cost: arguments.Cost = "6ND",
    on: plan_arguments.On = None,
    kind: Kind = "mean",
    seed: arguments.NoiseSeed = 0,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Find the compute that a loss takes.

    Example: forescale compute-to fit.nc --loss 2.0,1.9 --compute 1e25
    """
    answers = output(json, csv)
    estimate = arguments.load_source(source)
    losses, hardware = arguments.budgets(loss), plan_arguments.accelerator("--on", on)
    asked_of: dict[str, Any] = {"unique_tokens": unique_tokens, "on": hardware, "kind": kind, "random_seed": seed}
    found = fs.compute_to(estimate, losses, cost=cost, **asked_of)
    asked = arguments.budgets(compute) if compute else None
    enough = found.probability(asked) if asked else None
    needs = found.conditions(asked) if asked else None
    planned = None
    if at:
        points = arguments.read_points(estimate.law, at)
        planned = fs.forecast(estimate, points, random_seed=seed).probability(losses)
    from forescale.terminal import console

    rows = found.table(prob)
    document = {"command": "compute-to", "source": found.source, **console.bands(found, prob)}
    document |= {"law": found.law, "cost": found.cost, "units": found.units, "kind": found.kind}
    extra = {"budgets": enough, "conditions": needs, "plans": planned}
    document |= {name: table.to_dict("records") for name, table in extra.items() if table is not None}
    answers.answer(_page(found, rows, prob, needs, planned), document, rows)


def _page(
    found: fs.ComputeTo, rows: pd.DataFrame, prob: float, needs: pd.DataFrame | None, planned: pd.DataFrame | None
) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import INTERVAL_KIND, is_single
    from forescale.terminal import console

    single = is_single(found.draws)
    names = {"compute": "FLOPs", "n_params": "parameters", "n_tokens": "tokens"}
    columns = {name: head for name, head in names.items() if name in found.draws}
    sizes, bills = [], []
    for loss, bands in console.by_quantity(rows, "loss"):
        told = {name: console.bracket(bands[name], _size) for name in (*columns, *found.units)}
        never = [] if single else [f"{100 * bands['compute']['never']:.3g} %"]
        sizes.append([f"{loss:.4g}", *(told[name] for name in columns), *never])
        bills.append([f"{loss:.4g}", *(told[name] for name in found.units)])
    shown: Shown = [
        console.heading(f"Compute to a loss by {found.source}, cost {found.cost}"),
        console.table(["loss", *columns.values(), *([] if single else ["never"])], sizes, left=0),
    ]
    if found.units:
        shown.append(console.table(["loss", *found.units.values()], bills, left=0))
    if single:
        return [*shown, console.no_band(found.source)]
    if needs is not None:
        shown += _budgets(needs)
    if planned is not None:
        shown += _plans(planned)
    return [
        *shown,
        Text(
            f"Median and, in brackets, the {console.percent(prob)} {INTERVAL_KIND} interval. Band {found.kind}: "
            f"{found.told}, along best splits{_PLAIN if found.kind == 'mean' else ''}. never: the share of draws in "
            "which 1e40 FLOPs do not reach the loss; they count as infinite."
        ),
    ]


def _budgets(needs: pd.DataFrame) -> Shown:
    """How probably budgets are enough, and what would have to be true where that is most open."""
    from rich.text import Text

    from forescale.terminal import console
    from forescale.units import format_quantity

    pairs = needs.drop_duplicates(["loss", "flops"])
    cells = [
        [f"{row['loss']:.4g}", format_quantity(row["flops"]), f"{row['probability']:.3f}"]
        for row in pairs.to_dict("records")
    ]
    shown: Shown = [console.table(["loss", "FLOPs", "probability that they are enough"], cells, left=0)]
    undecided = [row for row in pairs.to_dict("records") if 0 < row["probability"] < 1]
    if not undecided:
        return shown
    case = min(undecided, key=lambda row: abs(row["probability"] - 0.5))
    mine = needs[(needs["loss"] == case["loss"]) & (needs["flops"] == case["flops"])]
    lines = [
        [
            row["parameter"],
            *(console.number(row[name], 3) for name in ("if_reached", "if_missed")),
            f"{row['shift_sd']:+.1f}",
            f"{row['side']} {console.number(row['threshold'], 3)}",
            f"{row['told']:.2f}",
        ]
        for row in mine.to_dict("records")
    ]
    what = f"{format_quantity(case['flops'])} FLOPs to reach {case['loss']:.4g}"
    headers = ["parameter", "if reached", "if missed", "shift, sd", "reached", "right"]
    note = (
        "if reached, if missed: medians over the draws that do and do not; shift: their difference. reached: the one "
        "condition that tells them best, right in this share of both kinds (0.5 is chance)."
    )
    heading = console.heading(f"What would have to be true for {what}")
    return [*shown, heading, console.table(headers, lines), Text(note), ""]


def _plans(planned: pd.DataFrame) -> Shown:
    """How probably planned runs are at or below the losses."""
    from forescale.terminal import console
    from forescale.units import format_quantity

    losses = list(planned["loss"].unique())
    inputs = [str(name) for name in planned if name not in ("kind", "loss", "probability")]
    cells = []
    for start in range(0, len(planned), len(losses)):
        rows = planned.iloc[start : start + len(losses)].to_dict("records")
        at = [format_quantity(rows[0][name]) for name in inputs]
        cells.append([*at, rows[0]["kind"], *(f"{row['probability']:.3f}" for row in rows)])
    headers = [*inputs, "band", *(f"<= {loss:.4g}" for loss in losses)]
    heading = console.heading("Probability that a planned run is at or below a loss")
    return [heading, console.table(headers, cells, left=0)]


_PLAIN = ", without discrepancy or noise; --kind run has both"


def _size(value: float) -> str:
    from forescale.units import format_quantity

    return "never" if value == float("inf") else format_quantity(value)
