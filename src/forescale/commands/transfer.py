"""`transfer`: what pre-training is worth in data of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import forescale as fs
from forescale.errors import DataError
from forescale.terminal import arguments
from forescale.terminal.app import BEYOND, app, output

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="A fit's file, or hernandez2021_text or _code.")]
At = Annotated[list[str], typer.Option(metavar="N,D", help="1B,100M: size and fine-tuning data; repeatable.")]
Share = Annotated[float, typer.Option(metavar="S", help="Pre-training fades where D_T is this share of D_F.")]


@app.command("transfer", rich_help_panel=BEYOND)
def _transfer(
    source: Source,
    at: At,
    share: Share = 0.1,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Say how much target data pre-training is worth.

    Example: forescale transfer hernandez2021_text --at 1B,100M --at 10B,100M
    """
    answers = output(json, csv)
    from forescale.terminal import console

    pairs = [point.split(",") for point in at]
    if wrong := [",".join(pair) for pair in pairs if len(pair) != 2]:
        raise DataError(f"--at {wrong[0]}: a point is a size and fine-tuning data, such as 1B,100M")
    given = source if source.startswith("hernandez2021") else arguments.load_source(source)
    found = fs.effective_data(given, *map(list, zip(*pairs, strict=True)), share=share)
    rows = found.table(prob)
    document = {"command": "transfer", "source": found.source, **console.bands(found, prob)}
    answers.answer(_page(found, rows, prob), document | {"unit": found.unit, "share": share}, rows)


def _page(found: fs.EffectiveData, rows: pd.DataFrame, prob: float) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import is_single
    from forescale.terminal import console
    from forescale.units import format_quantity

    single = is_single(found.draws)
    ends = ["median"] if single else ["median", "lower", "upper"]
    names = ["n_params", "n_tokens"]
    cells = [
        [*(format_quantity(row[name]) for name in names), row["quantity"], *(format_quantity(row[end]) for end in ends)]
        for row in rows.to_dict("records")
    ]
    told = (
        f"Data are in {found.unit}. transferred: D_T; effective: D_F + D_T; multiplier: effective over D_F; fades_at: "
        f"the D_F at which D_T is {console.percent(found.share)} of it. That pre-training does harm is outside the law."
    )
    return [
        console.heading(f"What pre-training is worth by {found.source}"),
        console.table([*names, "", *ends], cells, left=3),
        Text(told),
        console.no_band(found.source) if single else console.caption(prob, "Band mean: the law's curve."),
    ]
