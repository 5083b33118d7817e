"""`backtest`: fit the runs up to a cut, forecast those beyond, and score what was said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import forescale as fs
from forescale.errors import DataError
from forescale.terminal import arguments
from forescale.terminal.app import DOUBT, WRITTEN, app, output, progress_wanted, tell

if TYPE_CHECKING:
    from forescale.terminal.console import Row, Shown

Tables = Annotated[list[str], typer.Argument(metavar="RUNS", help=".csv, .tsv or .parquet files, or datasets' names.")]
Models = Annotated[
    list[str] | None, typer.Option("--model", metavar="NAME", help="A model's name or card; repeatable [coupled].")
]
By = Annotated[str, typer.Option(metavar="COLUMN", help="What is cut: flops, n_params, family, your own.")]
Cuts = Annotated[
    list[str] | None,
    typer.Option("--cut", metavar="VALUE", help="Fit up to 1e21, or all but a label; repeatable. By default, several."),
]
Within = Annotated[
    str | None, typer.Option(metavar="COLUMN", help="Cut the runs of one family (or other label) after the other.")
]
Baselines = Annotated[
    list[str] | None,
    typer.Option("--baseline", metavar="NAME", help="huber, last-point, separate, or none; repeatable [all]."),
]
Bootstrap = Annotated[int, typer.Option(metavar="N", min=2, help="Replicates of each baseline.")]
Workers = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Processes that fit at the same time; one a core by default.")
]
Scheduler = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Of a Dask cluster that fits instead: tcp://host:8786.")
]
Results = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Keeps the scores of each finished fit; the same command goes on from there."),
]


@app.command("backtest", rich_help_panel=DOUBT)
def _backtest(
    ctx: typer.Context,
    runs: Tables,
    model: Models = None,
    by: By = "flops",
    cut: Cuts = None,
    within: Within = None,
    baseline: Baselines = None,
    bootstrap: Bootstrap = 200,
    draws: arguments.Draws = 1000,
    tune: arguments.Tune = 500,
    chains: arguments.Chains = 4,
    seed: arguments.Seed = 0,
    workers: Workers = None,
    scheduler: Scheduler = None,
    results: Results = None,
    columns: arguments.Columns = None,
    loss_unit: arguments.LossUnit = None,
    bytes_per_token: arguments.BytesPerToken = None,
    where: arguments.Where = None,
    all_runs: arguments.AllRuns = False,
    quiet: arguments.Quiet = False,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
) -> None:
    """Fit up to a cut, forecast beyond, and score the bands.

    Example: forescale backtest runs.csv --results scores.jsonl
    """
    answers = output(json, csv, quiet)
    models = [fs.load_model(name) for name in model or [arguments.DEFAULT_MODEL]]
    given, wanted = arguments.pairs("--columns", columns), arguments.pairs("--where", where)
    how: dict[str, Any] = {"all_runs": all_runs, "loss_unit": loss_unit, "bytes_per_token": bytes_per_token}
    tables = []
    for word in runs:
        try:
            table = arguments.read_runs(word, columns=given, **how)
            tables.append(arguments.filtered(table, wanted))
        except DataError as error:
            raise DataError(f"{word}: {error}" if len(runs) > 1 else str(error)) from None

    from forescale.terminal import console
    from forescale.work import cluster

    for table in tables:
        said, notes = console.read(table)
        answers.say(said, *([notes] if len(tables) == 1 else []))
    if results is not None:
        ctx.meta[WRITTEN] = f"what had finished is in {results}, and the same command goes on from there"
    with cluster.connected(scheduler) as client:
        found = fs.backtest(
            tables,
            models,
            by=by,
            cuts=cut or None,
            within=within,
            baselines=("huber", "last-point", "separate")
            if baseline is None
            else [name for name in baseline if name != "none"],
            draws=draws,
            tune=tune,
            chains=chains,
            bootstrap=bootstrap,
            random_seed=seed,
            workers=workers,
            client=client,
            results=results,
            progress=progress_wanted(quiet),
        )
    totals, far, each = found.table(None), found.table(), found.by_table()
    document: dict[str, Any] = {"command": "backtest", "by": found.by, "seed": found.seed}
    document |= {"tables": [table.name for table in tables], "settings": {"draws": draws, "tune": tune}}
    document["settings"] |= {"chains": chains, "bootstrap": bootstrap}
    parts = {"scores": totals, "by_distance": far, "by_table": each, "failures": found.failures}
    document |= {name: part.to_dict("records") for name, part in parts.items()}
    answers.answer(_page(found), document, found.points)
    if totals.empty:
        tell("nothing could be scored")
        raise typer.Exit(2)


def _page(found: fs.Backtest) -> Shown:
    from rich.text import Text

    from forescale.terminal import console

    points, totals = found.points, found.table(None)
    counts = {name: points[name].nunique() for name in ("table", "model")}
    counts["cut"] = len(points[["table", "cut"]].drop_duplicates())
    said = ", ".join(f"{count} {name}{'s' * (count != 1)}" for name, count in counts.items())
    shown: Shown = [console.heading(f"Backtest by {found.by}: {said}")]
    if len(totals):
        head = ["", "points", "50 %", "80 %", "90 %", "95 %", "interval", "CRPS", "log", "bias"]
        sizes = " or ".join(sorted(set(points["size"]) - {""}))
        shown += [
            console.table(head, map(_scores, _records(totals))),
            Text(
                "Share of held-out runs inside bands of a new run. Interval score of 90 % bands, CRPS and bias in "
                "percent of loss, log score in nats; lower is better, but for bias, which is above zero where loss was "
                "forecast too high. Points are those that all models forecast."
            ),
            "",
            console.heading(f"Inside 90 %, by decades of {sizes} beyond the largest fitted run"),
            _shares(found, "model", "distance"),
        ]
    if len(totals) and counts["table"] > 1:
        shown += [console.heading("Inside 90 %, by table"), _shares(found, "table", "model")]
    if len(failures := found.failures):
        lines = [f"{row['model']} on {row['table']}, {row['cut']}: {row['error']}" for row in _records(failures)]
        shown += ["", console.heading(f"Failed: {len(failures)}"), console.bullets(lines)]
    return shown


def _scores(row: Row) -> list[str]:
    shares = [f"{row[f'covered_{prob}']:.2f}" for prob in (50, 80, 90, 95)]
    means = [f"{row[name]:.2f}" for name in ("interval_score", "crps", "log_score")]
    return [str(row["model"]), str(row["points"]), *shares, *means, f"{row['bias']:+.2f}"]


def _shares(found: fs.Backtest, down: str, across: str) -> Any:
    """The share inside 90 %, of how many, laid out by two of model, distance and table."""
    from forescale.terminal import console

    rows = _records(found.table(across if down == "model" else down))
    cells = {(row[down], row[across]): f"{row['covered_90']:.2f} of {row['points']}" for row in rows}
    left, top = (list(dict.fromkeys(row[name] for row in rows)) for name in (down, across))
    lines = [[str(name), *(cells.get((name, other), "") for other in top)] for name in left]
    return console.table(["", *map(str, top)], lines)


def _records(table: Any) -> list[dict[Any, Any]]:
    records: list[dict[Any, Any]] = table.to_dict("records")
    return records
