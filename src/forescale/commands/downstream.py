"""`downstream`: accuracy of runs not yet trained, from a law of loss and a table of evaluations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import BEYOND, app, output

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

Evals = Annotated[str, typer.Argument(metavar="OUTCOMES", help="A table of loss, accuracy, items, chance and task.")]
Link = Annotated[str, typer.Option(metavar="NAME", help="sigmoid, exponential, or the path of a card (.toml).")]
Asked = Annotated[float | None, typer.Option(metavar="SHARE", help="Also: what this accuracy takes, such as 0.7.")]
Unit = Annotated[str | None, typer.Option(metavar="UNIT", help="Of accuracy and chance: fraction or percent.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=HEADER", help="Which header is loss, accuracy, items, chance, task; repeatable."),
]


@app.command("downstream", rich_help_panel=BEYOND)
def _downstream(
    source: arguments.Source,
    outcomes: Evals,
    at: arguments.At = None,
    accuracy: Asked = None,
    link: Link = "sigmoid",
    columns: Columns = None,
    unit: Unit = None,
    where: arguments.Where = None,
    cost: arguments.Cost = "6ND",
    seed: arguments.NoiseSeed = 0,
    quiet: arguments.Quiet = False,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Forecast accuracy from loss and evaluations.

    Example: forescale downstream fit.nc evals.csv --at 7B,140B --accuracy 0.7
    """
    from forescale.errors import DataError
    from forescale.estimates.draws import INTERVAL_KIND
    from forescale.terminal import console
    from forescale.terminal.app import progress_wanted

    answers = output(json, csv, quiet)
    if not at and accuracy is None:
        raise DataError("ask for something: runs, --at 7B,140B, or what an accuracy takes, --accuracy 0.7")
    estimate = arguments.load_source(source)
    points = arguments.read_points(estimate.law, at) if at else None
    headers = {name: header or None for name, header in arguments.pairs("--columns", columns)}
    table = fs.Outcomes.read(outcomes, columns=headers, unit=unit)
    table = arguments.filtered(table, arguments.pairs("--where", where))
    answers.say(f"Read {table!r}", console.bullets(table.notes))
    links = fs.fit_link(table, link, random_seed=seed, progress=progress_wanted(quiet))

    document = {"command": "downstream", "source": estimate.name, "links": links.name, "seed": seed}
    document |= {"prob": prob, "interval": INTERVAL_KIND}
    document["link_rows"] = links.table(prob).to_dict("records")
    shown: Shown = []
    rows = None
    if points is not None:
        found = fs.downstream(links, estimate, points, random_seed=seed)
        rows = found.table(prob)
        shown += _accuracies(found, rows, prob)
    if accuracy is not None:
        takes = fs.reach(links, estimate, accuracy, cost=cost, random_seed=seed)
        reached = takes.table(prob)
        document["reach"] = reached.to_dict("records")
        rows = reached if rows is None else rows
        shown += [*([""] if shown else []), *_takes(takes, reached, prob)]
    answers.answer(shown, document, rows)


def _accuracies(found: fs.Downstream, rows: pd.DataFrame, prob: float) -> Shown:
    from forescale.terminal import console
    from forescale.units import format_quantity

    inputs = [str(name) for name in found.points]
    cells = [
        [
            row["task"],
            *(format_quantity(float(row[name])) for name in inputs),
            row["kind"],
            *(f"{row[end]:.3f}" for end in ("median", "lower", "upper")),
        ]
        for row in rows.to_dict("records")
    ]
    kinds = "; ".join(f"{kind}: {what}" for kind, what in found.kinds.items())
    return [
        console.heading(f"Accuracy by {found.source} and {found.links}"),
        console.table(["task", *inputs, "band", "median", "lower", "upper"], cells),
        console.caption(prob, f"{kinds[0].upper()}{kinds[1:]}."),
    ]


def _takes(takes: fs.Reach, rows: pd.DataFrame, prob: float) -> Shown:
    from forescale.terminal import console
    from forescale.units import format_quantity

    named = {"loss": "loss", "flops": "FLOPs", "n_params": "parameters", "n_tokens": "tokens"}
    cells = [
        [
            row["task"],
            f"{row['accuracy']:g}",
            named[row["quantity"]],
            *(
                ("{:.3f}".format if row["quantity"] == "loss" else format_quantity)(row[end])
                for end in ("median", "lower", "upper")
            ),
            f"{row['probability']:.2f}",
        ]
        for row in rows.to_dict("records")
    ]
    return [
        console.heading(f"What accuracy takes, by {takes.source} and {takes.links}"),
        console.table(["task", "accuracy", "needed", "median", "lower", "upper", "reached"], cells),
        console.caption(prob, "The law's and the links' curves; reached: probability that any compute will do."),
    ]
