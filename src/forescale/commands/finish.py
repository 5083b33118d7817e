"""`finish`: the final loss of a run under way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import FIT, app, output, progress_wanted

if TYPE_CHECKING:
    from forescale.terminal.console import Shown

Curve = Annotated[str, typer.Argument(metavar="CURVE", help="A table of one run: step, loss, and lr or --schedule.")]
Plan = Annotated[
    str | None,
    typer.Option("--schedule", metavar="WORDS", help="cosine:24K,warmup=2K,final=0.1; constant:...; wsd:...,decay=4K."),
]
Warmup = Annotated[str | None, typer.Option(metavar="STEPS", help="Steps of warm-up, where the column lr is used.")]
Steps = Annotated[list[str] | None, typer.Option("--at", metavar="STEP", help="A step to forecast; repeatable.")]
Points = Annotated[int, typer.Option(metavar="N", help="Points of the curve to fit, at most.")]


@app.command("finish", rich_help_panel=FIT)
def _finish(
    curve: Curve,
    schedule: Plan = None,
    warmup: Warmup = None,
    at: Steps = None,
    points: Points = 12,
    seed: arguments.FitSeed = None,
    quiet: arguments.Quiet = False,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Forecast the final loss of a run under way.

    Example: forescale finish curve.csv --schedule cosine:24K,warmup=2K,final=0.1

    Rows without a loss are of steps to come: with a column lr in all rows, no --schedule is needed.
    """
    answers = output(json, csv, quiet)
    from forescale.terminal import console
    from forescale.units import parse_quantity

    steps = [parse_quantity(word) for words in at or () for word in words.split(",")]
    found = fs.finish(
        curve,
        schedule,
        at=steps or None,
        warmup=warmup,
        points=points,
        random_seed=seed,
        progress=progress_wanted(quiet),
    )
    answers.say(console.bullets(found.fit.observations.notes))
    rows = found.table(prob)
    document = {"command": "finish", "source": found.source, **console.bands(found, prob), "seed": found.fit.seed}
    document |= {"schedule": repr(found.schedule), "steps": found.schedule.steps, "last_seen": found.last_seen}
    document |= {"annealing": found.annealing, "notes": found.fit.observations.notes}
    answers.answer(_page(found, prob, bool(steps)), document, rows)


def _page(found: fs.Finish, prob: float, asked: bool) -> Shown:
    """Show the final loss, and steps before it where they were asked for."""
    from rich.text import Text

    from forescale.terminal import console

    rows = found.table(prob)
    shown = rows if asked else rows[rows["step"] == found.schedule.steps]
    cells = [
        [f"{row['step']:,}", f"x {row['cooling']:.3g}", row["kind"], *(f"{row[end]:.3f}" for end in _ENDS)]
        for row in shown.to_dict("records")
    ]
    now = float(found.seen["loss"].iloc[-1])
    return [
        console.heading(f"Loss in nats per token of {found.source}, {found.share:.0%} done"),
        Text(f"{found.schedule!r}. Seen to step {found.last_seen:,}, loss {now:.3f}: {found.annealing}."),
        console.table(["step", "cooling", "band", *_ENDS], cells, left=0),
        console.caption(
            prob,
            "mean: the law's curve. run: this run, the law's curve and noise. cooling: the peak learning rate over the "
            "recent one.",
        ),
    ]


_ENDS = ("median", "lower", "upper")
