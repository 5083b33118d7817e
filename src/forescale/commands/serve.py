"""`serve`: the model that is cheapest to train and to serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import forescale as fs
from forescale.terminal import arguments, plan_arguments
from forescale.terminal.app import DECIDE, app, output

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

Demand = Annotated[list[str], typer.Option(metavar="TOKENS", help="Tokens served in its life, 1T,10T,...; repeatable.")]
Loss = Annotated[str | None, typer.Option(metavar="NATS", help="The quality: a loss.")]
Compute = Annotated[
    str | None, typer.Option(metavar="FLOPS", help="Instead: the budget whose best split has the loss that is meant.")
]
Weight = Annotated[float, typer.Option(metavar="W", help="The price of a FLOP of serving over one of training.")]
Training = Annotated[
    str | None,
    typer.Option(metavar="HARDWARE", help="With --serving, for the weight: peak=989T,utilisation=0.4,per_hour=2."),
]
Hardware = Annotated[str | None, typer.Option("--serving", metavar="HARDWARE", help="Hardware that serves, likewise.")]
Saving = Annotated[float, typer.Option(metavar="X", help="A saving whose probability is told: 0.1 is 10 %.")]


@app.command("serve", rich_help_panel=DECIDE)
def _serve(
    source: arguments.Source,
    demand: Demand,
    loss: Loss = None,
    compute: Compute = None,
    weight: Weight = 1.0,
    training: Training = None,
    serving: Hardware = None,
    saving: Saving = 0.1,
    unique_tokens: arguments.UniqueTokens = None,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Find the model that is cheapest to train and to serve.

    Example: forescale serve fit.nc --compute 5.76e23 --demand 1T,10T,100T
    """
    answers = output(json, csv)
    found = fs.serve(
        arguments.load_source(source),
        arguments.budgets(demand),
        loss=loss,
        compute=compute,
        weight=weight,
        training=plan_arguments.accelerator("--training", training),
        serving=plan_arguments.accelerator("--serving", serving),
        unique_tokens=unique_tokens,
    )
    from forescale.estimates.draws import is_single
    from forescale.terminal import console

    rows = found.table(prob)
    chance = None if is_single(found.draws) else found.probability(saving)
    document = {"command": "serve", "source": found.source, **console.bands(found, prob)}
    document |= {"law": found.law, "quality": found.quality, "weight": found.weight, "units": found.units}
    document |= {} if chance is None else {"savings": chance.to_dict("records")}
    answers.answer(_page(found, rows, chance, saving, prob), document, rows)


def _page(found: fs.Serving, rows: pd.DataFrame, chance: pd.DataFrame | None, saving: float, prob: float) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import INTERVAL_KIND, interval_rows
    from forescale.terminal import console
    from forescale.units import format_quantity

    writers = {"n_params": format_quantity, "n_tokens": format_quantity, "saving": "{:.3g}".format}
    chances = [] if chance is None else [f"{value:.2f}" for value in chance["probability"]]
    cells, bills = [], []
    for place, (demand, bands) in enumerate(console.by_quantity(rows, "demand")):
        told = [console.bracket(bands[name], write) for name, write in writers.items()]
        cells.append([format_quantity(demand), *told, *chances[place : place + 1]])
        bills.append(
            [format_quantity(demand), *(console.bracket(bands[name], format_quantity) for name in found.units)]
        )
    headers = ["served", "parameters", "tokens", "saved, %"]
    headers += [f"P(> {100 * saving:.3g} %)"] if chances else []
    sizes = (("n_params", "N"), ("n_tokens", "D"), ("compute", "FLOPs"))
    first = [(label, interval_rows(found.trained[name], prob).to_dict("records")[0]) for name, label in sizes]
    trained = ", ".join(f"{label} {console.bracket(row, format_quantity)}" for label, row in first).replace("\n", " ")
    weight = "" if found.weight == 1 else f" A FLOP of serving is priced at {found.weight:.3g} of training."
    interval = f"Median and, in brackets, the {console.percent(prob)} {INTERVAL_KIND} interval"
    return [
        console.heading(f"Cheapest to train and to serve, by {found.source}, at {found.quality}"),
        Text(f"Cheapest to train: {trained}."),
        console.table(headers, cells, left=0),
        *([console.table(["served", *found.units.values()], bills, left=0)] if found.units else []),
        Text(
            "saved: of the cost of training and serving, 6ND + 2NS, against the model that is cheapest to train."
            f"{weight}"
        ),
        console.no_band(found.source)
        if chance is None
        else Text(f"{interval}. Band mean: the law's curve, without discrepancy or noise."),
    ]
