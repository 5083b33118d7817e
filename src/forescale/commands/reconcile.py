"""`reconcile`: why Kaplan et al. and Hoffmann et al. disagree, by one law read in both their terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

import forescale as fs
from forescale.terminal import arguments
from forescale.terminal.app import DOUBT, app, output

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Row, Shown

Compute = Annotated[list[str] | None, typer.Option(metavar="FLOPS", help="Budgets without embeddings; repeatable.")]
Omega = Annotated[float | None, typer.Option(metavar="X", help="N_total = N + X N^gamma; 47491 if not given.")]
Gamma = Annotated[float | None, typer.Option(metavar="X", help="N_total = N + omega N^X; 1/3 if not given.")]


@app.command("reconcile", rich_help_panel=DOUBT)
def _reconcile(
    source: arguments.Source,
    compute: Compute = None,
    omega: Omega = None,
    gamma: Gamma = None,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Read Chinchilla's law in Kaplan's terms.

    Example: forescale reconcile fit.nc
    """
    answers = output(json, csv)
    from forescale.terminal import console

    given = {name: value for name, value in (("omega", omega), ("gamma", gamma)) if value is not None}
    budgets = {"compute": arguments.budgets(compute)} if compute else {}
    estimate = arguments.load_source(source)
    found = fs.reconcile(estimate, **budgets, embeddings=fs.Embeddings(**given) if given else None)
    rows, exponents = found.table(prob), found.exponent_table(prob)
    document = {"command": "reconcile", "source": found.source, "law": found.law, **console.bands(found, prob)}
    document |= {"embeddings": {"omega": found.embeddings.omega, "gamma": found.embeddings.gamma}}
    document["exponents"] = exponents.to_dict("records")
    answers.answer(_table(found, rows, exponents, prob), document, rows)


def _table(found: fs.Reconciliation, rows: pd.DataFrame, exponents: pd.DataFrame, prob: float) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import is_single
    from forescale.terminal import console
    from forescale.units import format_quantity

    single = is_single(found.draws)
    ends = ["median"] if single else ["median", "lower", "upper"]
    mine = exponents[~exponents["printed"]].to_dict("records")
    along = [[row["exponent"], _place(row), *(f"{row[end]:.3f}" for end in ends)] for row in mine]
    printed = exponents[exponents["printed"]].to_dict("records")
    beside = [
        [row["exponent"], row["source"], row["what"], f"{row['median']:.3g}", _ends(row)]
        for row in printed
        if row["exponent"] != "b"
    ]
    by_budget: dict[float, list[str]] = {}
    for row in rows.to_dict("records"):
        write = "{:.3f}".format if row["quantity"] in ("loss", "exponent") else format_quantity
        if row["quantity"] != "loss":
            band = "" if single else f"\n[{write(row['lower'])}, {write(row['upper'])}]"
            by_budget.setdefault(row["flops"], []).append(write(row["median"]) + band)
    cells = [[format_quantity(flops), *bands] for flops, bands in by_budget.items()]
    return [
        console.heading(f"{found.source} in Kaplan et al.'s terms: N and C = 6ND without embeddings"),
        Text(f"{found.embeddings}; law {found.law}"),
        "",
        console.heading("Exponents: N* ~ C^a, L ~ C^-c"),
        console.table(["", "where", *ends], along, left=2),
        console.heading("As papers print them"),
        console.table(["", "paper", "what", "value", "interval"], beside, left=3),
        console.heading("Optimal split, and the local exponent"),
        console.table(["FLOPs", "N*", "N* + embeddings", "D*", "a"], cells, left=0),
        console.no_band(found.source)
        if single
        else console.caption(prob, "Band mean: the law's curve; intervals of papers are as they print them."),
    ]


def _place(row: Row) -> str:
    from forescale.units import format_quantity

    return f"at N* = {format_quantity(row['n_params'])}" if row["n_params"] == row["n_params"] else str(row["what"])


def _ends(row: Row) -> str:
    return f"[{row['lower']:.3g}, {row['upper']:.3g}]" if row["lower"] == row["lower"] else ""
