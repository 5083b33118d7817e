"""`freeze` and `score`: a forecast stated before the run, and scored after it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import DOUBT, app, output

Frozen = Annotated[list[Path], typer.Argument(metavar="FILES", help="Frozen forecasts (.toml).")]
Out = Annotated[Path, typer.Option(metavar="FILE", help="Where to write it (.toml).")]
Kind = Annotated[str, typer.Option(metavar="run|mean", help="A new run, or only the law's curve.")]
Note = Annotated[str, typer.Option(metavar="TEXT", help="Words of your own, kept with it.")]
Observed = Annotated[
    list[str] | None,
    typer.Option(metavar="LOSS", help="2.31, NAME=2.31 (repeatable), or a .csv of run and loss."),
]


@app.command("freeze", rich_help_panel=DOUBT)
def _freeze(
    source: arguments.Source,
    at: arguments.At = None,
    points: arguments.Points = None,
    out: Out = Path("forecast.toml"),
    kind: Kind = "run",
    note: Note = "",
    seed: arguments.NoiseSeed = 0,
    force: arguments.Force = False,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Freeze a forecast, to be scored after the run.

    Example: forescale freeze fit.nc --at 70B,1.4T --out forecast.toml
    """
    answers = output(json, csv)
    if bool(at) == (points is not None):
        raise typer.BadParameter("give either --at, as often as you like, or --points")
    arguments.check_target(out, force=force, sources=(source,))
    from forescale.tables.intake import read_table
    from forescale.terminal import console
    from forescale.units import format_quantity

    estimate = arguments.load_source(source)
    table = arguments.read_points(estimate.law, at or ()) if points is None else read_table(points)
    frozen = fs.freeze(estimate, table, kind=kind, note=note, random_seed=seed)
    rows = frozen.table(prob)
    frozen.save(out, replace=force)
    document = {"command": "freeze", "out": out, "sha256": frozen.sha256, "prob": prob, **frozen.forecast}
    ends = ("median", "lower", "upper")
    inputs = [str(name) for name in frozen.points if name != "run"]
    cells = [
        [*(format_quantity(row[name]) for name in inputs), *(console.number(row[name]) for name in ends)]
        for row in rows.to_dict("records")
    ]
    told = console.caption(prob, f"{kind}: {frozen.forecast['of']}.")
    shown: console.Shown = [console.heading(f"Loss in nats per token by {estimate.name}, frozen in {out}")]
    shown += [console.table([*inputs, *ends], cells, left=0), told, f"sha256 {frozen.sha256}"]
    answers.answer(shown, document, rows)


@app.command("score", rich_help_panel=DOUBT)
def _score(
    forecasts: Frozen,
    observed: Observed = None,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Score frozen forecasts against what came.

    Example: forescale score forecast.toml --observed 2.31
    """
    answers = output(json, csv)
    from rich.text import Text

    from forescale.terminal import console

    found = fs.score_frozen(forecasts, _observed(observed))
    rows, coverage, means = found.table(), found.coverage(prob), found.means()
    document = {"command": "score", "kind": found.kind, "unobserved": found.unobserved, "prob": prob}
    document |= {"interval": "equal-tailed", "coverage": coverage.drop(columns=["prob", "interval"]).to_dict("records")}
    document |= {"means": means.to_dict()}
    names = ("loss", "median", "lower", "upper")
    cells = [
        [row["run"], *(console.number(row[n]) for n in names), f"{row['crps']:.2f}", f"{row['pit']:.2f}"]
        for row in rows.to_dict("records")
    ]
    shares = [
        [
            console.percent(row["band"]),
            f"{row['hits']} of {row['points']}",
            *(f"{row[name]:.2f}" for name in ("share", "lower", "upper")),
        ]
        for row in coverage.to_dict("records")
    ]
    groups = coverage["groups"].iloc[0]
    told = (
        f"Interval score {means['interval_score']:.3g}, CRPS {means['crps']:.3g}, bias {means['bias']:+.3g}: percent "
        f"of loss. lower, upper: of a loss, the 90 % interval that was frozen, kind {found.kind}; of a share, its "
        f"{console.percent(prob)} interval, for which runs forecast from one table count together ({groups} here)."
    )
    left = [f"{found.unobserved} frozen runs are not observed yet."] if found.unobserved else []
    shown: console.Shown = [
        console.heading("What was forecast, and what came"),
        console.table(["run", *names, "CRPS", "PIT"], cells),
        console.heading("Bands that held what came"),
        console.table(["band", "held", "share", "lower", "upper"], shares),
        Text(" ".join([told, *left])),
    ]
    answers.answer(shown, document, rows)


def _observed(words: list[str] | None) -> str | dict[str, str] | None:
    """A loss, losses by name, or the path of a table."""
    if not words:
        return None
    if len(words) == 1 and ("=" not in words[0] or words[0].endswith((".csv", ".tsv", ".parquet"))):
        return words[0]
    return dict(arguments.pairs("--observed", words))
