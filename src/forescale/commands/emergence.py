"""`emergence`: whether a sharp rise of exact match is of the metric, or calls for a break."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import forescale as fs
from forescale.commands.downstream import Columns, Evals, Unit
from forescale.terminal import arguments
from forescale.terminal.app import BEYOND, app, output

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

Tokens = Annotated[int, typer.Option(metavar="K", min=1, help="Tokens of an answer, all of which must be right.")]
Links = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="A link, or the path of a card (.toml); repeatable. Default: both links."),
]
Draws = Annotated[int, typer.Option(metavar="N", min=200, help="Draws of each of four runs of the sampler.")]


@app.command("emergence", rich_help_panel=BEYOND)
def _emergence(
    outcomes: Evals,
    answer_tokens: Tokens,
    link: Links = None,
    draws: Draws = 1000,
    columns: Columns = None,
    unit: Unit = None,
    where: arguments.Where = None,
    seed: arguments.FitSeed = None,
    quiet: arguments.Quiet = False,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Say whether a sharp rise of accuracy calls for a break.

    Example: forescale emergence evals.csv --answer-tokens 5 --where task=sums
    """
    from forescale.accuracy.emergence import LINKS
    from forescale.estimates.draws import INTERVAL_KIND
    from forescale.terminal import console

    answers = output(json, csv, quiet)
    headers = {name: header or None for name, header in arguments.pairs("--columns", columns)}
    table = fs.Outcomes.read(outcomes, columns=headers, unit=unit)
    table = arguments.filtered(table, arguments.pairs("--where", where))
    answers.say(f"Read {table!r}", console.bullets(table.notes))
    found = fs.emergence(table, answer_tokens, link or LINKS, draws=draws, random_seed=seed)
    rows, weights = found.table(prob), found.weights()
    document = {"command": "emergence", "source": found.name, "task": found.task, "answer_tokens": answer_tokens}
    document |= {"seed": found.seed, "prob": prob, "interval": INTERVAL_KIND, "sentence": found.sentence()}
    document |= {"probability": found.probability, "probability_se": found.probability_se}
    document |= {"of_kind": found.of_kind, "of_link": found.of_link, "weights": weights.to_dict("records")}
    answers.answer(_shown(found, rows, weights, prob), document, rows)


def _shown(found: fs.Emergence, rows: pd.DataFrame, weights: pd.DataFrame, prob: float) -> Shown:
    from forescale.terminal import console

    told = {
        "token_onset": "tokens leave the floor at loss (5 % of the way)",
        "answer_onset": "answers leave the floor at loss",
        "token_span": "nats of loss from 10 to 90 % of tokens",
        "answer_span": "nats of loss from 10 to 90 % of answers",
        "break_at": "if there is a break: at loss",
        "steeper": "if there is a break: times as steep below",
    }
    bands = [
        [told[row["quantity"]], *(f"{row[end]:.2f}" for end in ("median", "lower", "upper"))]
        for row in rows.to_dict("records")
    ]
    cells = [
        [
            row["link"],
            row["kind"],
            f"{row['prior']:.3f}",
            f"{row['log_evidence']:.2f} ± {row['log_evidence_se']:.2f}",
            f"{row['probability']:.3f} ± {row['probability_se']:.3f}",
        ]
        for row in weights.to_dict("records")
    ]
    runs, tokens = len(found.runs), found.answer_tokens
    return [
        console.heading(f"Emergence of {found.task} in {found.name}: {runs} runs, answers of {tokens} tokens"),
        found.sentence(),
        "",
        console.heading("How likely each link is, by its evidence"),
        console.table(["link", "below a break", "beforehand", "log evidence", "probability"], cells, left=2),
        "± is the Monte Carlo standard error.",
        "",
        console.heading("Where and how fast it rises"),
        console.table(["", "median", "lower", "upper"], bands),
        console.caption(prob, "Of curves. Losses are in nats per token."),
    ]
