"""`compare`: which estimate predicts the runs better, and what their disagreement costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import DOUBT, app, output

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

Sources = Annotated[
    list[str], typer.Argument(metavar="SOURCES", help="Two or more fits' files or published estimates.")
]
Runs = Annotated[str | None, typer.Option(metavar="RUNS", help="A table or a dataset; needed where all are published.")]
Until = Annotated[str, typer.Option(metavar="FLOPS", help="How far to look for where bands separate.")]
Refits = Annotated[int, typer.Option(metavar="N", min=0, help="How many runs may be left out by fitting again.")]


@app.command("compare", rich_help_panel=DOUBT)
def _compare(
    sources: Sources,
    runs: Runs = None,
    compute: arguments.Budgets = None,
    at: arguments.At = None,
    unique_tokens: arguments.UniqueTokens = None,
    cost: arguments.Cost = "6ND",
    until: Until = "1e28",
    refits: Refits = 20,
    seed: arguments.NoiseSeed = 0,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Compare estimates on the runs, and what they disagree on.

    Example: forescale compare chinchilla.nc kaplan.nc --compute 5.76e23
    """
    answers = output(json, csv)
    estimates = [arguments.load_source(word) for word in sources]
    found = fs.compare(
        *estimates,
        runs=None if runs is None else arguments.read_runs(runs),
        compute=arguments.budgets(compute) if compute else None,
        points=arguments.read_points(estimates[0].law, at) if at else None,
        cost=cost,
        unique_tokens=unique_tokens,
        until=until,
        refits=refits,
        random_seed=seed,
    )
    from forescale.estimates.draws import INTERVAL_KIND

    tables = {
        "allocation": found.allocation(prob),
        "separation": found.separation(prob),
        "regret": found.regret(prob),
        "forecast": found.forecast(prob),
    }
    document: dict[str, Any] = {"command": "compare", "runs": found.runs.name, "sources": list(found.sources)}
    document |= {"prob": prob, "interval": INTERVAL_KIND, "cost": cost, "seed": found.seed, "notes": found.notes}
    document |= {name: table.to_dict("records") for name, table in tables.items()}
    answers.answer(_page(found, tables, prob), document, found.scores.reset_index())


def _page(found: fs.Comparison, tables: dict[str, pd.DataFrame], prob: float) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import INTERVAL_KIND
    from forescale.terminal import console

    shown: Shown = [
        console.heading(f"{len(found.sources)} estimates on {found.runs.name}, {len(found.runs)} runs"),
        _score_table(found.scores),
    ]
    told = ["rms, bias: log(median curve / loss) on runs that a fit has seen."]
    if found.predictive:
        told += ["elpd: log density of each run given the others, in nats; k: largest Pareto k (runs refitted)."]
    shown += [Text(" ".join(told)), ""]
    if len(tables["allocation"]):
        is_stacked = "stack" in tables["allocation"]["source"].to_numpy()
        stack = " stack: draws of the fits by their weights." if is_stacked else ""
        shown += [
            console.heading("Compute-optimal split"),
            console.table(["FLOPs", "source", "N*", "D*", "D*/N*"], _splits(tables["allocation"]), left=2),
            Text(f"Brackets: {console.percent(prob)} {INTERVAL_KIND} interval; the law's curve, without noise.{stack}"),
            "",
            console.heading("Where these bands of N* do not meet"),
            console.table(["", "", "larger", "from FLOPs", "to FLOPs"], _ranges(tables["separation"]), left=3),
            console.heading("The price of following one if another is true"),
            console.table(
                ["FLOPs", "followed", "true", "extra loss (nats)", "compute wasted (%)"],
                _prices(tables["regret"]),
                left=3,
            ),
        ]
    if len(tables["forecast"]):
        forecast = tables["forecast"]
        inputs = [name for name in ("n_params", "n_tokens", "flops") if name in forecast]
        shown += [
            console.heading("Loss in nats per token"),
            console.table([*inputs, "source", "band", "median", "lower", "upper"], _losses(forecast, inputs), left=0),
        ]
    return [*shown, console.bullets(found.notes)] if found.notes else shown


def _score_table(scores: pd.DataFrame) -> Any:
    from forescale.terminal import console

    def cell(value: float, text: str) -> str:
        return text if value == value else ""

    def behind(row: Any) -> str:
        return f"{-row['elpd_diff']:.1f} ± {row['elpd_diff_se']:.1f}" if row["elpd_diff"] else "best"

    cells = [
        [
            str(name),
            f"{row['rms_percent']:.2f}",
            f"{row['bias_percent']:+.2f}",
            cell(row["elpd"], f"{row['elpd']:.1f}"),
            cell(row["elpd"], behind(row)),
            cell(row["weight"], f"{row['weight']:.2f}"),
            cell(row["elpd"], f"{row['pareto_k']:.2f} ({row['refitted']:.0f})"),
        ]
        for name, row in scores.iterrows()
    ]
    return console.table(["source", "rms %", "bias %", "elpd", "behind by", "weight", "k"], cells)


def _splits(table: pd.DataFrame) -> list[list[str]]:
    from forescale.units import format_quantity

    rows = []
    for flops, budget in table.groupby("flops", sort=True):
        for source, entries in budget.groupby("source", sort=False):
            bands = {row["quantity"]: _band(row, format_quantity) for row in entries.to_dict("records")}
            sizes = [bands[name] for name in ("n_params", "n_tokens", "tokens_per_param")]
            rows.append([format_quantity(float(str(flops))), str(source), *sizes])
    return rows


def _ranges(table: pd.DataFrame) -> list[list[str]]:
    from forescale.units import format_quantity

    return [
        [row["first"], row["second"], row["larger"], *(format_quantity(row[end]) for end in ("flops_from", "flops_to"))]
        if row["flops_from"] == row["flops_from"]
        else [row["first"], row["second"], "nowhere", "", ""]
        for row in table.to_dict("records")
    ]


def _prices(table: pd.DataFrame) -> list[list[str]]:
    from forescale.terminal import console
    from forescale.units import format_quantity

    rows: dict[tuple[float, str, str], list[str]] = {}
    for row in table[table["followed"] != table["true"]].to_dict("records"):
        band = _band(row, lambda value: console.number(value, 2))
        rows.setdefault((row["flops"], row["followed"], row["true"]), []).append(band)
    return [[format_quantity(flops), *names, *bands] for (flops, *names), bands in sorted(rows.items())]


def _losses(table: pd.DataFrame, inputs: list[str]) -> list[list[str]]:
    from forescale.terminal import console
    from forescale.units import format_quantity

    return [
        [
            *(format_quantity(row[name]) for name in inputs),
            row["source"],
            row["kind"],
            *(console.number(row[end]) for end in ("median", "lower", "upper")),
        ]
        for row in table.sort_values([*inputs, "kind"], kind="stable").to_dict("records")
    ]


def _band(row: Any, write: Any) -> str:
    middle = str(write(row["median"]))
    return middle if row["lower"] == row["upper"] else f"{middle}\n[{write(row['lower'])}, {write(row['upper'])}]"
