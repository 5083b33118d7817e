"""`routing`: what experts are worth in a routed model, and the size beyond which more of them do not help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import BEYOND, app, output

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

At = Annotated[
    list[str] | None,
    typer.Option(metavar="POINT", help="A routed model: 1.3B,64 is dense size and experts a layer; repeatable."),
]


@app.command("routing", rich_help_panel=BEYOND)
def _routing(
    source: arguments.Source,
    at: At = None,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Say what experts are worth, and where routing stops paying.

    Example: forescale routing clark2022_sbase --at 1.3B,64 --at 1.3B,512
    """
    answers = output(json, csv)
    import pandas as pd

    from forescale.terminal import console

    estimate = arguments.load_source(source)
    cutoff = fs.routing_cutoff(estimate)
    rows = cutoff.table(prob)
    document = {"command": "routing", "source": cutoff.source, **console.bands(cutoff, prob)}
    document["cutoff"] = rows.drop(columns=["prob", "interval"]).to_dict("records")
    shown, worth = [], None
    if at:
        points = arguments.read_points(estimate.law, at)
        found = fs.effective_params(estimate, points["n_params"], points["n_experts"])
        worth = found.table(prob)
        shown = _worth(found, worth)
    shown += _cutoff(cutoff, rows, prob)
    joined = pd.concat({"cutoff": rows, **({} if worth is None else {"worth": worth})}, names=["table"])
    answers.answer(shown, document | ({} if worth is None else {"worth": worth.to_dict("records")}), _flat(joined, csv))


def _flat(joined: pd.DataFrame, csv: bool) -> pd.DataFrame | None:
    """One table for CSV; JSON has them side by side."""
    return joined.reset_index("table") if csv else None


def _worth(found: fs.EffectiveParams, rows: pd.DataFrame) -> Shown:
    from forescale.estimates.draws import is_single
    from forescale.terminal import console
    from forescale.units import format_quantity

    ends = ["median"] if is_single(found.draws) else ["median", "lower", "upper"]
    names = {"effective_params": "dense size of the same loss", "factor": "times its own"}
    cells = [
        [format_quantity(row["n_params"]), f"{row['n_experts']:g}", names[row["quantity"]]]
        + [format_quantity(row[end]) for end in ends]
        for row in rows.to_dict("records")
    ]
    return [
        console.heading(f"What experts are worth by {found.source}"),
        console.table(["n_params", "experts", "", *ends], cells, left=3),
    ]


def _cutoff(found: fs.RoutingCutoff, rows: pd.DataFrame, prob: float) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import is_single
    from forescale.terminal import console
    from forescale.units import format_quantity

    single = is_single(found.draws)
    ends = ["median"] if single else ["median", "lower", "upper"]
    writers = {"n_params": format_quantity, "log10_n_params": "{:.2f}".format}
    cells = [
        [row["quantity"], *(writers[row["quantity"]](row[end]) for end in ends)] for row in rows.to_dict("records")
    ]
    never = [Text(f"In {console.percent(found.never)} of draws it never stops.")] if found.never else []
    told = "Band mean: the law's curve. The cutoff lies beyond the runs, where the law was not seen to hold."
    return [
        console.heading("Dense size beyond which more experts no longer lower the loss"),
        console.table(["", *ends], cells),
        *never,
        console.no_band(found.source) if single else console.caption(prob, told),
    ]
