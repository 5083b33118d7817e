"""`dimension`: exponents as theories of scaling read them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import BEYOND, app, output

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

Smoothness = Annotated[float, typer.Option(metavar="S", help="s in alpha = s / d: 4, or less for rougher fits.")]
_NAMES = {"exponent": "exponent", "dimension": "d", "ratio": "d by N over d by D", "gamma": "gamma of a Zipf tail"}


@app.command("dimension", rich_help_panel=BEYOND)
def _dimension(
    source: arguments.Source,
    smoothness: Smoothness = 4.0,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Read exponents as a dimension of the data.

    Example: forescale dimension besiroglu2024
    """
    answers = output(json, csv)
    import pandas as pd

    from forescale.terminal import console

    estimate = arguments.load_source(source)
    found = fs.intrinsic_dimension(estimate, smoothness=smoothness)
    rows = found.table(prob)
    if "n_tokens" in found.draws["size"]:
        tail = fs.zipf_exponent(estimate).table(prob).query("quantity == 'gamma'")
        rows = pd.concat([rows, tail.assign(size="n_tokens")], ignore_index=True)
    document = {"command": "dimension", "source": found.source, **console.bands(found, prob)}
    answers.answer(_page(found, rows, prob), document | {"smoothness": found.smoothness}, rows)


def _page(found: fs.IntrinsicDimension, rows: pd.DataFrame, prob: float) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import is_single
    from forescale.terminal import console

    single = is_single(found.draws)
    ends = ["median"] if single else ["median", "lower", "upper"]
    cells = [
        [row["size"], _NAMES[row["quantity"]], *(console.number(row[end], 3) for end in ends)]
        for row in rows.to_dict("records")
    ]
    told = (
        f"Readings, not measurements of the data: d = {found.smoothness:g} / exponent where scaling is "
        "resolution-limited (Sharma and Kaplan 2020; Bahri et al. 2021), with one d for parameters and tokens, so that "
        "their ratio is 1; gamma = beta / (1 - beta) where things to learn have frequencies rank^-(1 + gamma) and are "
        "learned by heart (Hutter 2021)."
    )
    return [
        console.heading(f"Exponents of {found.source} as theory reads them"),
        console.table(["of", "", *ends], cells, left=2),
        Text(told),
        console.no_band(found.source) if single else console.caption(prob, "Band mean: the law's curve."),
    ]
