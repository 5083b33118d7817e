"""`frontier`: the compute-optimal split without a law of N and D, by approaches 1 and 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import FIT, app, output, progress_wanted

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

Method = Annotated[
    str, typer.Option(metavar="NAME", help="isoflop: minima of profiles; envelope: of training curves; both.")
]
Shape = Annotated[str, typer.Option(metavar="NAME", help="Of isoFLOP profiles: asymmetric, or quadratic.")]
Tolerance = Annotated[
    float | None, typer.Option(metavar="X", help="How far compute (isoflop), or sizes (envelope), may be apart.")
]
Beside = Annotated[
    list[str] | None,
    typer.Option(metavar="SOURCE", help="A fit or published estimate to set beside, as approach 3; repeatable."),
]
AllBudgets = Annotated[
    bool, typer.Option("--all-budgets", help="Also those whose lowest loss is at the edge of their sizes.")
]


@app.command("frontier", rich_help_panel=FIT)
def _frontier(
    runs: arguments.Runs,
    method: Method = "isoflop",
    shape: Shape = "asymmetric",
    tolerance: Tolerance = None,
    all_budgets: AllBudgets = False,
    beside: Beside = None,
    compute: arguments.Budgets = None,
    seed: arguments.FitSeed = None,
    columns: arguments.Columns = None,
    loss_unit: arguments.LossUnit = None,
    bytes_per_token: arguments.BytesPerToken = None,
    where: arguments.Where = None,
    all_runs: arguments.AllRuns = False,
    quiet: arguments.Quiet = False,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Estimate the compute-optimal split without a law.

    Example: forescale frontier runs.csv --beside fit.nc
    """
    answers = output(json, csv, quiet)
    others = [arguments.load_source(word) for word in beside or ()]
    table = arguments.read_runs(
        runs,
        all_runs=all_runs,
        columns=arguments.pairs("--columns", columns),
        loss_unit=loss_unit,
        bytes_per_token=bytes_per_token,
    )
    table = arguments.filtered(table, arguments.pairs("--where", where))

    from forescale.terminal import console

    answers.say(*console.read(table), "")
    progress = progress_wanted(quiet)
    first = "isoflop" if method == "both" else method
    found = fs.frontier(
        table,
        method=first,
        shape=shape,
        tolerance=tolerance,
        bracketed=not all_budgets,
        random_seed=seed,
        progress=progress,
    )
    all_sources = [found, *others]
    if method == "both":
        all_sources.insert(1, fs.envelope(table, random_seed=seed, progress=progress))
    budgets = arguments.budgets(compute or ())
    splits = _splits(found, budgets, prob)
    exponents, minima = fs.approaches(*all_sources, prob=prob), found.table(prob)
    from forescale.estimates.draws import INTERVAL_KIND

    document: dict[str, Any] = {"command": "frontier", "source": found.name, "prob": prob, "interval": INTERVAL_KIND}
    document |= {"seed": found.joint.seed, "diagnostics": repr(found.diagnostics)}
    document |= {"exponents": exponents.to_dict("records"), "left_out": found.left_out.to_dict("records")}
    document["splits"] = splits.to_dict("records")
    answers.answer(_page(found, exponents, minima, splits, prob), document, minima)


def _splits(found: fs.Frontier | fs.Envelope, budgets: list[str], prob: float) -> pd.DataFrame:
    """Bands of the optimal split of budgets, a row per budget and quantity."""
    import pandas as pd

    from forescale.estimates.draws import long_table

    if not budgets:
        return pd.DataFrame()
    draws = found.optimum(budgets)
    entries = pd.DataFrame({"flops": draws["budget"].to_numpy()})
    return long_table(entries, {str(name): values for name, values in draws.data_vars.items()}, "quantity", prob)


def _page(
    found: fs.Frontier | fs.Envelope, exponents: pd.DataFrame, minima: pd.DataFrame, splits: pd.DataFrame, prob: float
) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import INTERVAL_KIND
    from forescale.terminal import console

    beside = [
        [row["exponent"], row["source"], row["approach"], f"{row['median']:.3f}", _ends(row)]
        for row in exponents.sort_values("exponent", kind="stable").to_dict("records")
    ]
    reasons = [f"{count}: {reason}" for reason, count in found.left_out["reason"].value_counts().items()]
    verdict = repr(found.diagnostics)
    interval = f"Median and, in brackets, the {console.percent(prob)} {INTERVAL_KIND} interval; papers as they print."
    shown: Shown = [
        console.heading(f"Compute-optimal split by {found.name}"),
        console.table(["", "source", "approach", "value", "interval"], beside, left=3),
        Text(f"N* ~ C^a, D* ~ C^b. {interval}"),
        "",
        console.heading("Minima of the budgets" if "runs" in minima else "Switches of the best size"),
        _by_budget(minima),
    ]
    if len(splits):
        shown += [console.heading("Optimal split of budgets, on the power law"), _by_budget(splits)]
    if reasons:
        shown += [console.heading("Left out"), console.bullets(reasons)]
    return [*shown, Text(verdict[:1].upper() + verdict[1:])]


def _by_budget(table: pd.DataFrame) -> Any:
    """A line for each budget, with the bands of its quantities."""
    from forescale.terminal import console
    from forescale.units import format_quantity

    names = {"n_params": "N*", "n_tokens": "D*", "tokens_per_param": "D*/N*", "loss": "loss (nats)"}
    lines: dict[float, list[str]] = {}
    for row in table.to_dict("records"):
        write = console.number if row["quantity"] == "loss" else format_quantity
        band = f"{write(row['median'])}\n[{write(row['lower'])}, {write(row['upper'])}]"
        lines.setdefault(row["flops"], []).append(band)
    headers = ["FLOPs", *(names[name] for name in table["quantity"].unique())]
    return console.table(headers, [[format_quantity(flops), *bands] for flops, bands in lines.items()], left=0)


def _ends(row: dict[Any, Any]) -> str:
    return f"[{row['lower']:.3f}, {row['upper']:.3f}]" if row["lower"] == row["lower"] else ""
