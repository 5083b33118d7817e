"""`families`: one law for several families of runs, which borrow from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import forescale as fs
from forescale.errors import DataError
from forescale.terminal import arguments
from forescale.terminal.app import FIT, app, output, progress_wanted

if TYPE_CHECKING:
    import pandas as pd

    from forescale.terminal.console import Shown

By = Annotated[str, typer.Option(metavar="COLUMN", help="Which family a run is of: family, or a column of your own.")]
Vary = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAMES", help="What differs between families: E,A=0.2 (scale of its prior, 0.2 for about 20 %)."
    ),
]
Of = Annotated[list[str] | None, typer.Option(metavar="FAMILY", help="Only this one, or new; repeatable.")]


@app.command("families", rich_help_panel=FIT)
def _families(
    runs: arguments.Runs,
    model: arguments.Model = arguments.DEFAULT_MODEL,
    by: By = "family",
    vary: Vary = None,
    of: Of = None,
    at: arguments.At = None,
    draws: arguments.Draws = 1000,
    tune: arguments.Tune = 500,
    chains: arguments.Chains = 4,
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
    """Fit one law to families of runs that borrow strength.

    Example: forescale families runs.csv --of mine --of new --at 70B,1.4T
    """
    answers = output(json, csv, quiet)
    loaded = fs.load_model(model)
    if vary:
        loaded = loaded.with_families(**_scales(vary, loaded.law))
    table = arguments.read_runs(
        runs,
        all_runs=all_runs,
        columns=arguments.pairs("--columns", columns),
        loss_unit=loss_unit,
        bytes_per_token=bytes_per_token,
    )
    table = arguments.filtered(table, arguments.pairs("--where", where))
    points = arguments.read_points(loaded.law, at) if at else None
    known = {*table.labels(by), "new"} if by in table.columns else {*(of or ())}
    if unknown := [label for label in of or () if label not in known]:
        raise DataError(f"--of {unknown[0]}: {table.name} has no such {by}; there are {', '.join(sorted(known))}")

    from forescale.terminal import console

    answers.say(*console.read(table), "")
    found = fs.fit_families(
        table,
        loaded,
        by=by,
        draws=draws,
        tune=tune,
        chains=chains,
        random_seed=seed,
        progress=progress_wanted(quiet),
    )
    wanted = {label: found.new if label == "new" else found[label] for label in of or [*found, "new"]}
    shared = found.table(prob)
    each = found.by_family(prob).replace({"family": {"(new)": "new"}})
    each = each[each["family"].isin(list(wanted))].reset_index(drop=True)
    from forescale.estimates.draws import INTERVAL_KIND

    document: dict[str, Any] = {"command": "families", "source": found.name, "seed": found.joint.seed}
    document |= {"prob": prob, "interval": INTERVAL_KIND}
    document |= {"spreads": dict(found.model.families.scales), "diagnostics": repr(found.joint.diagnostics)}
    document |= {"shared": shared.to_dict("records"), "families": each.to_dict("records")}
    forecasts, kinds = None, {}
    if points is not None:
        said = {label: fs.forecast(one, points, random_seed=0) for label, one in wanted.items()}
        forecasts = _joined({label: one.table(prob) for label, one in said.items()})
        kinds = next(iter(said.values())).kinds
        document |= {"forecasts": forecasts.to_dict("records"), "kinds": kinds}
    answers.answer(
        _page(found, shared, each, forecasts, kinds, prob), document, each if forecasts is None else forecasts
    )


def _scales(words: list[str], law: fs.Law) -> dict[str, float]:
    """Read scales such as ``E,A=0.2``, the usual one where there is none."""
    from forescale.belief.spreads import usual_scale

    scales = {}
    for word in (part for text in words for part in text.split(",")):
        name, equals, value = word.partition("=")
        try:
            scales[name.strip()] = float(value) if equals else usual_scale(law, name.strip())
        except ValueError:
            raise DataError(f"--vary takes NAME or NAME=SCALE, such as E=0.1, not {word!r}") from None
    return scales


def _joined(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    for label, table in tables.items():
        table.insert(0, "family", label)
    return pd.concat(tables.values(), ignore_index=True)


def _page(
    found: fs.Families,
    shared: pd.DataFrame,
    each: pd.DataFrame,
    forecasts: pd.DataFrame | None,
    kinds: dict[str, str],
    prob: float,
) -> Shown:
    from rich.text import Text

    from forescale.terminal import console
    from forescale.units import format_quantity

    ends = ("median", "lower", "upper")
    middle = [
        [
            row["parameter"],
            row["of"],
            *((f"{100 * row[name]:.2g} %" if row["of"] == "spread" else console.number(row[name])) for name in ends),
        ]
        for row in shared.to_dict("records")
    ]
    by_family = [
        [row["parameter"], row["family"], str(row["runs"]), *(console.number(row[name]) for name in ends)]
        for row in each.sort_values("parameter", kind="stable").to_dict("records")
    ]
    verdict = repr(found.joint.diagnostics)
    shown: Shown = [
        console.heading(f"Families by {found.name}"),
        console.table(["parameter", "of families", *ends], middle, left=2),
        console.caption(prob, "spread: the standard deviation between families of the log."),
        "",
        console.heading("By family"),
        console.table(["parameter", "family", "runs", *ends], by_family, left=2),
        Text("new: a family of which no run has been seen."),
    ]
    if forecasts is not None:
        inputs = list(found.model.law.inputs)
        rows = [
            [
                row["family"],
                *(format_quantity(row[name]) for name in inputs),
                row["kind"],
                *(console.number(row[name]) for name in ends),
            ]
            for row in forecasts.to_dict("records")
        ]
        shown += [
            "",
            console.heading("Loss in nats per token"),
            console.table(["family", *inputs, "band", *ends], rows),
        ]
        shown.append(Text(" ".join(f"{kind}: {what}." for kind, what in kinds.items())))
    return [*shown, Text(verdict[:1].upper() + verdict[1:])]
