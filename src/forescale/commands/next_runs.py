"""`next`: which runs to do next."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import DECIDE, app, output

Run = Annotated[
    list[str] | None, typer.Option(metavar="POINT", help="A candidate: 1B,20B, the law's inputs; repeatable.")
]
Candidates = Annotated[Path | None, typer.Option(metavar="FILE", help="Instead: a table of candidates.")]
Of = Annotated[str, typer.Option(metavar="NAME", help="The forecast: loss, n_params, n_tokens, ...")]
At = Annotated[str | None, typer.Option(metavar="POINT", help="Of loss: the run, 70B,1.4T.")]
Compute = Annotated[str | None, typer.Option(metavar="FLOPS", help="The budget at whose best split it is asked.")]
Budget = Annotated[str | None, typer.Option(metavar="FLOPS", help="What the runs chosen may cost together.")]
Runs = Annotated[int, typer.Option(metavar="N", min=1, help="How many to choose, without a budget.")]
By = Annotated[str, typer.Option(metavar="flops|variance", help="Choose by information per FLOP, or by it alone.")]
Scatter = Annotated[float | None, typer.Option(metavar="X", help="Sd of log loss, of an estimate without noise.")]


@app.command("next", rich_help_panel=DECIDE)
def _next(
    source: arguments.Source,
    run: Run = None,
    candidates: Candidates = None,
    of: Of = "loss",
    at: At = None,
    compute: Compute = None,
    budget: Budget = None,
    runs: Runs = 1,
    by: By = "flops",
    scatter: Scatter = None,
    cost: arguments.Cost = "6ND",
    json: arguments.Json = False,
    csv: arguments.Csv = False,
) -> None:
    """Rank candidate runs by what they would tell.

    Example: forescale next fit.nc --run 1B,20B --run 4B,80B --at 70B,1.4T
    """
    answers = output(json, csv)
    if bool(run) == (candidates is not None):
        raise typer.BadParameter("give either --run, as often as you like, or --candidates")
    from rich.text import Text

    from forescale.tables.intake import read_table
    from forescale.terminal import console
    from forescale.units import format_quantity
    from forescale.verbs.attribution import written

    estimate = arguments.load_source(source)
    table = arguments.read_points(estimate.law, run or (), "--run") if candidates is None else read_table(candidates)
    inputs = arguments.read_points(estimate.law, [at]).iloc[0].to_dict() if at else {}
    asked: dict[str, Any] = {"compute": compute, "scatter": scatter, "cost": cost}
    asked |= {str(name): value for name, value in inputs.items()}
    found = fs.next_runs(estimate, table, of, runs=runs, budget=budget, by=by, **asked)
    where = written(found.target, 0)
    document = {"command": "next", "source": found.source, "of": of, "at": where, "scale": found.scale, "sd": found.sd}
    document |= {"left_out": found.left_out, "batch": found.batch.to_dict("records")}

    def cells(rows: Sequence[console.Row], total: str) -> list[list[str]]:
        return [
            [
                str(row["run"]),
                format_quantity(row[total]),
                f"{100 * row['remaining']:.1f} %",
                f"{row['information']:.3f}",
            ]
            for row in rows
        ]

    ranked, batch = (list(frame.to_dict("records")) for frame in (found.runs, found.batch))
    shown: console.Shown = [
        console.heading(f"What runs would tell of {found.scale}"),
        Text(f"at {where}, by {found.source}; standard deviation now {found.sd:.3g}"),
        console.table(["run", "FLOPs", "variance left", "nats"], cells(ranked, "flops")),
        console.heading("To do, in order, with all before it"),
        console.table(["run", "FLOPs in all", "variance left", "nats"], cells(batch, "total_flops")),
        Text(
            "Most telling per FLOP first. Expected, if the law is right at all these sizes; a drift beyond the data is "
            "not in it."
        ),
    ]
    answers.answer(shown, document, found.runs)
