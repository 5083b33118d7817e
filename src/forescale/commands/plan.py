"""`plan`: one budget on one page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import forescale as fs
from forescale.errors import DataError, ModelError
from forescale.terminal import arguments
from forescale.terminal.app import DECIDE, app, output, progress_wanted

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

Runs = Annotated[
    str, typer.Argument(metavar="RUNS", help="A table of runs or a dataset's name, to be fitted; or a fit's file.")
]
Budget = Annotated[str, typer.Option(metavar="FLOPS", help="The budget, such as 5.76e23.")]
First = Annotated[
    float, typer.Option(metavar="X", help="What small runs may cost before, together, as a share of the budget.")
]
_LETTERS = {"n_params": "N", "n_tokens": "D", "unique_tokens": "unique D"}
_LITTLE = 0.01  # of the variance of log N*: what further small runs have to tell to be listed


@app.command("plan", rich_help_panel=DECIDE)
def _plan(
    runs: Runs,
    budget: Budget,
    first: First = 0.01,
    model: arguments.Model = arguments.DEFAULT_MODEL,
    columns: arguments.Columns = None,
    loss_unit: arguments.LossUnit = None,
    bytes_per_token: arguments.BytesPerToken = None,
    unique_tokens: arguments.UniqueTokens = None,
    seed: arguments.Seed = 0,
    cost: arguments.Cost = "6ND",
    quiet: arguments.Quiet = False,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Plan a budget: what to train, expect, fear, and try first.

    Example: forescale plan runs.csv --budget 5.76e23
    """
    answers = output(json, csv, quiet)
    from forescale.numbers.budgets import check_splits, positive, with_pool
    from forescale.terminal import console
    from forescale.units import cost_model

    positive("budget", budget)  # refused before a fit is waited for, as is the cost
    cost_model(cost)
    fit = _saved(runs)
    if fit is None:
        given = arguments.pairs("--columns", columns)
        table = arguments.read_runs(runs, columns=given, loss_unit=loss_unit, bytes_per_token=bytes_per_token)
        loaded = fs.load_model(model)
        check_splits(with_pool(loaded.law, unique_tokens)[0])
        answers.say(*console.read(table), "")
        fit = fs.fit(table, loaded, random_seed=seed, progress=progress_wanted(quiet))
    found = fs.plan(fit, budget, first=first, cost=cost, unique_tokens=unique_tokens, random_seed=seed)
    rows = found.table(prob)
    document = {"command": "plan", "source": found.source, "flops": found.flops, "prob": prob}
    document |= {**found.run, "decades_beyond": found.decades, "seed": seed}
    document |= {"nearly_best": found.near.sure(prob).drop(columns="prob").to_dict("records")}
    document |= {"discrepancy": found.expected.discrepancy, "hangs_on": found.hangs_on.sentence()}
    document |= {"first": found.first.batch.to_dict("records")}
    answers.answer(_page(found, rows, prob), document, rows)


def _saved(word: str) -> fs.Fit | None:
    """Load a saved fit, if the word names one and no table."""
    if word.endswith(".nc"):
        saved = arguments.load_source(word)
        if not isinstance(saved, fs.Fit):
            raise ModelError(f"{word} is no fit of runs")
        return saved
    if word in fs.list_published() and word not in fs.list_datasets():
        raise DataError(f"{word} is a published estimate, and a plan begins with runs: give a table of them, or a fit")
    return None


def _page(found: fs.Plan, rows: pd.DataFrame, prob: float) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import INTERVAL_KIND
    from forescale.terminal import console
    from forescale.units import format_quantity
    from forescale.verbs.forecast import CURVE

    told: dict[tuple[str, str], console.Row] = {(row["part"], row["quantity"]): row for row in rows.to_dict("records")}

    def band(part: str, quantity: str, write: Any) -> str:
        return console.bracket(told[part, quantity], write).replace("\n", " ")

    (sure,) = found.near.sure(prob).to_dict("records")
    size, tokens = (format_quantity(found.run[name]) for name in ("n_params", "n_tokens"))
    repeated = found.run["n_tokens"] / found.run.get("unique_tokens", found.run["n_tokens"])
    tokens += f" ({repeated:.3g} epochs)" if repeated > 1 else ""
    split = [
        ["parameters N*", band("split", "n_params", format_quantity)],
        ["tokens D*", band("split", "n_tokens", format_quantity)],
        ["tokens per parameter", band("split", "tokens_per_param", "{:.3g}".format)],
        *([["epochs", band("split", "epochs", "{:.3g}".format)]] if "epochs" in found.split.quantities else []),
    ]
    if sure["smallest"] == sure["smallest"]:
        within = f"{format_quantity(sure['smallest'])} to {format_quantity(sure['largest'])} parameters"
        near = (
            f"Within {console.percent(found.near.slack)} of the least loss with {console.percent(prob)} probability: "
            f"{within}. The smallest is {sure['serving_saved']:.0f} % cheaper to serve than the median N*."
        )
    else:
        near = f"No size is within {console.percent(found.near.slack)} of the least loss with that probability."
    loss = "{:.3f}".format
    losses = [[kind, band("loss", kind, loss)] for kind in found.expected.kinds]
    ten = band("more", "gain", "{:.3f}".format)
    risks = [
        *found.risks(prob),
        "None of this tests the form of the law: `forescale backtest` asks how it has forecast these runs, `compare` "
        "what another one says.",
    ]
    batch = found.first.batch
    last = float(batch["remaining"].iloc[-1])
    listed = batch.iloc[: int((batch["remaining"] > last + _LITTLE).sum()) + 1]
    small = [
        [str(row["run"]), format_quantity(row["total_flops"]), f"{100 * row['remaining']:.0f} %"]
        for row in listed.to_dict("records")
    ]
    return [
        console.heading(f"Plan for {format_quantity(found.flops)} FLOPs, by {found.source}"),
        "",
        console.heading("What to train"),
        console.table(["", "best split"], split),
        Text(near),
        "",
        console.heading(f"What to expect of {size} parameters on {tokens} tokens"),
        console.table(["band", "loss, nats per token"], losses),
        Text(f"Ten times the budget would take off {ten} nats."),
        "",
        console.heading("What could go wrong"),
        console.bullets(risks),
        "",
        console.heading("Which small runs first"),
        console.table(
            [",".join(_LETTERS[name] for name in found.run), "FLOPs in all", "variance of log N* left"], small
        ),
        Text(
            f"Brackets: {console.percent(prob)} {INTERVAL_KIND} interval. Bands but that of a new run, and what small "
            f"runs tell, are of {CURVE}, taken to be right."
        ),
    ]
