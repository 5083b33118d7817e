"""`breaks`: how many breaks a learning curve has, where, and what the loss will be, whichever that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import FIT, app, output

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

Size = Annotated[str, typer.Option(metavar="COLUMN", help="What the curve is drawn against.")]
At = Annotated[list[str] | None, typer.Option(metavar="SIZE", help="Where to forecast the loss: 512M; repeatable.")]
Draws = Annotated[int, typer.Option(metavar="N", min=200, help="Draws of each of four chains of a model.")]


@app.command("breaks", rich_help_panel=FIT)
def _breaks(
    runs: arguments.Runs,
    size: Size = "n_tokens",
    at: At = None,
    seed: arguments.FitSeed = None,
    draws: Draws = 1000,
    columns: arguments.Columns = None,
    loss_unit: arguments.LossUnit = None,
    bytes_per_token: arguments.BytesPerToken = None,
    where: arguments.Where = None,
    all_runs: arguments.AllRuns = False,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Say how many breaks a learning curve has, and where.

    Example: forescale breaks curve.csv --size n_examples --at 512M
    """
    answers = output(json, csv)
    import pandas as pd

    from forescale.terminal import console

    observations = arguments.read_runs(
        runs,
        all_runs=all_runs,
        columns=arguments.pairs("--columns", columns),
        loss_unit=loss_unit,
        bytes_per_token=bytes_per_token,
    )
    observations = arguments.filtered(observations, arguments.pairs("--where", where))
    answers.say(*console.read(observations), "")
    found = fs.breaks(observations, size=size, draws=draws, random_seed=seed)
    forecast = fs.forecast(found, arguments.read_points(found.law, at), random_seed=found.seed) if at else None
    tables = {"breaks": found.table(), "places": found.places(prob)}
    tables |= {} if forecast is None else {"forecast": forecast.table(prob)}
    document = {"command": "breaks", "source": found.name, "prob": prob, "seed": found.seed, "left_out": found.left_out}
    document |= {name: table.to_dict("records") for name, table in tables.items()}
    shown = _number(found) + _places(tables["places"], prob)
    shown += [] if forecast is None else ["", *console.forecast_table(forecast, tables["forecast"], prob)]
    answers.answer(shown, document, pd.concat(tables, names=["table"]).reset_index("table") if csv else None)


def _number(found: fs.Breaks) -> Shown:
    from forescale.terminal import console

    cells = [
        [
            f"{row.breaks}",
            f"{row.model}",
            f"{row.prior:.2f}",
            f"{row.log_evidence:.1f} +- {row.log_evidence_se:.1f}",
            f"{row.probability:.2f} +- {row.probability_se:.2f}",
        ]
        for row in found.table().itertuples()
    ]
    told = [found.left_out] if found.left_out else []
    return [
        console.heading(f"How many breaks {found.name} has"),
        console.table(["breaks", "card", "beforehand", "log evidence", "probability"], cells, left=2),
        *told,
    ]


def _places(places: pd.DataFrame, prob: float) -> Shown:
    from forescale.terminal import console
    from forescale.units import format_quantity

    if places.empty:
        return []
    writers = {"size": format_quantity, "change": "{:+.2f}".format}
    cells = [
        [
            row["model"],
            f"{row['break']} of {row['breaks']}",
            {"size": "at", "change": "change of the exponent"}[row["quantity"]],
        ]
        + [writers[row["quantity"]](row[end]) for end in ("median", "lower", "upper")]
        for row in places.to_dict("records")
    ]
    return [
        console.heading("Where they are"),
        console.table(["if", "break", "", "median", "lower", "upper"], cells, left=3),
        console.caption(prob, "A change above zero is to a steeper fall."),
    ]
