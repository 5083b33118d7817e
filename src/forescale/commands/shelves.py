"""What comes along: `datasets`, `models`, `published`, `show`, and `demo`."""

from __future__ import annotations

from pathlib import Path

import typer

from forescale.terminal import arguments
from forescale.terminal.app import SHELVES, WRITTEN, app, output, progress_wanted


@app.command("datasets", rich_help_panel=SHELVES)
def _datasets(json: arguments.Json = False, csv: arguments.Csv = False) -> None:
    """List the tables of runs that come along."""
    from forescale.terminal import cards

    output(json, csv).answer(*cards.list_datasets())


@app.command("models", rich_help_panel=SHELVES)
def _models(json: arguments.Json = False, csv: arguments.Csv = False) -> None:
    """List the models: laws with priors and noise."""
    from forescale.terminal import cards

    output(json, csv).answer(*cards.list_models())


@app.command("published", rich_help_panel=SHELVES)
def _published(json: arguments.Json = False, csv: arguments.Csv = False) -> None:
    """List the published estimates."""
    from forescale.terminal import cards

    output(json, csv).answer(*cards.list_published())


@app.command("show", rich_help_panel=SHELVES)
def _show(name: arguments.Name, json: arguments.Json = False, prob: arguments.Prob = 0.9) -> None:
    """Show a dataset, model, published estimate or fit."""
    from forescale.terminal import cards

    found = cards.find(name, prob)
    document = {"command": "show", "source": name, "cards": [facts for facts, _ in found]}
    output(json).answer([part for _, shown in found for part in (*shown, "")][:-1], document)


@app.command("demo", rich_help_panel=SHELVES)
def _demo(
    ctx: typer.Context,
    out: arguments.Folder = Path("forescale-demo"),
    seed: arguments.Seed = 1,
    quiet: arguments.Quiet = False,
) -> None:
    """Fit, forecast and allocate with published runs."""
    from forescale.terminal.demo import run

    ctx.meta[WRITTEN] = f"what was written by then is in {out}"
    run(out, random_seed=seed, progress=progress_wanted(quiet), say=(lambda text: None) if quiet else typer.echo)
