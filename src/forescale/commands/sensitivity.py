"""`sensitivity`: which parameters a forecast hangs on, and which of them its spread comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

import forescale as fs
from forescale.errors import DataError, ModelError
from forescale.terminal import arguments
from forescale.terminal.app import DOUBT, app, output

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from forescale.estimates.draws import Estimate
    from forescale.estimates.trends import Trends
    from forescale.terminal.console import Shown
    from forescale.verbs.targets import Target

BUDGETS = ("1e20", "1e22", "1e24", "1e26", "1e28")
_USUAL_COST = "6ND"

Source = Annotated[
    str,
    typer.Argument(metavar="SOURCE", help="A fit's file or a published estimate; for a crossing, a card of trends."),
]
Of = Annotated[
    str,
    typer.Option(
        metavar="WHAT", help="n_params, n_tokens, tokens_per_param, loss, a (the exponent of N* ~ C^a) or crossing."
    ),
]
Compute = Annotated[
    list[str] | None,
    typer.Option(metavar="FLOPS", help=f"Budgets, repeatable; {','.join(BUDGETS)} if none is given."),
]
At = Annotated[
    list[str] | None,
    typer.Option(metavar="POINT", help="With --of loss: a run, 70B,1.4T or n_params=70B,...; repeatable."),
]
Prior = Annotated[bool, typer.Option("--prior", help="Of a fit: also whether runs or priors decide.")]


@app.command("sensitivity", rich_help_panel=DOUBT)
def _sensitivity(
    source: Source,
    of: Of = "n_params",
    compute: Compute = None,
    at: At = None,
    cost: arguments.Cost = _USUAL_COST,
    unique_tokens: arguments.UniqueTokens = None,
    prior: Prior = False,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Say which parameters a forecast hangs on.

    Example: forescale sensitivity fit.nc --compute 1e21,1e26

    CSV is several tables one after the other, told apart by the column table: elasticities; changes, for one
    standard deviation more; shares of the variance; prior. Columns that a table lacks are empty in its rows.
    """
    answers = output(json, csv)
    pool = {"unique_tokens": unique_tokens} if unique_tokens else {}
    _check(of, compute, at, cost, pool)
    given: Any = _trends(source) if of == "crossing" else _estimate(source)
    where = {} if of == "crossing" else _where(given, compute, at, cost) | pool
    if prior and not isinstance(given, fs.Fit):
        raise ModelError(f"{source} is no fit, and has no priors to scale; `forescale fit` makes one from runs")
    from forescale.estimates.draws import is_single
    from forescale.terminal import console

    found = fs.sensitivity(given, of, **where)
    scaled = fs.prior_sensitivity(given, of, **where) if prior and isinstance(given, fs.Fit) else None
    tables = {"elasticities": found.elasticities(prob)}
    if not is_single(found.draws):
        tables |= {"changes": found.changes(prob), "shares": found.shares()}
    if scaled:
        tables |= {"prior": scaled.table()}
    document = {"command": "sensitivity", "source": found.source, **console.bands(found, prob), "of": of}
    document |= {"about": found.target.about, "sentences": _sentences(found)}
    document |= {"stand_ins": found.attribution.stand_ins}
    bare = {name: table.drop(columns=["prob", "interval"], errors="ignore") for name, table in tables.items()}
    document |= {name: table.to_dict("records") for name, table in bare.items()}
    shown = [*_page(found, prob), *(_prior_page(scaled) if scaled else [])]
    answers.answer(shown, document, _joined(tables) if csv else None)  # JSON has the tables side by side


def _check(of: str, compute: list[str] | None, at: list[str] | None, cost: str, pool: dict[str, str]) -> None:
    """Refuse options that do not belong to the question."""
    from forescale.verbs.targets import LABELS

    if of not in LABELS:
        raise DataError(f"--of {of}: there is no such forecast to ask about; there are {', '.join(LABELS)}")
    split = bool(compute or pool) or cost != _USUAL_COST
    if of == "crossing" and (at or split):
        raise DataError("--of crossing is one point, where two trends meet: leave out --compute, --at and --cost")
    if at and of != "loss":
        raise DataError(f"--at names runs, and goes with --of loss; --of {of} is asked at budgets, with --compute")
    if at and split:
        raise DataError("--compute, --cost, --unique-tokens are of splits, --at of runs: choose whose loss is meant")


def _trends(word: str) -> Trends:
    if word in fs.list_trends() or word.endswith(".toml"):
        return fs.published_trends(word)
    cards = ", ".join(fs.list_trends())
    raise ModelError(f"--of crossing is asked of a card of trends, {cards} or one of your own (.toml), not of {word}")


def _estimate(word: str) -> Estimate:
    if word in fs.list_trends() and word not in fs.list_published():
        raise ModelError(f"{word} is a card of trends, of which nothing can be asked but --of crossing")
    return arguments.load_source(word)


def _where(source: Estimate, compute: list[str] | None, at: list[str] | None, cost: str) -> dict[str, Any]:
    """Where the forecast is asked: at runs, or at budgets."""
    if at:
        return {str(name): values.to_list() for name, values in arguments.read_points(source.law, at).items()}
    return {"compute": arguments.budgets(compute or BUDGETS), "cost": cost}


def _joined(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    import pandas as pd

    rows = pd.concat(tables, names=["table"]).reset_index("table")
    return rows.astype({"count": "Int64"}) if "count" in rows else rows  # with gaps, but whole numbers


# For people.


def _page(found: fs.Sensitivity, prob: float) -> Shown:
    from rich.text import Text

    from forescale.estimates.draws import is_single
    from forescale.terminal import console
    from forescale.verbs.attribution import scale_of

    target, place = found.target, _furthest(found)
    title = console.heading(f"Sensitivity of {target.label} by {found.source}: {target.about}")
    if (found.attribution.table["never"] == 1).all():
        return [title, Text(f"There is no {target.label} in any of the draws.")]
    if is_single(found.draws):
        unknown = f"No spread of {found.source} is known, so there are elasticities, but no bands, shares or changes."
        return [title, Text(unknown), "", console.heading(_elasticity(found)), _points(found)]
    shown: Shown = [title, *(Text(_capital(sentence)) for sentence in _sentences(found)), ""]
    if any(map(found.attribution.leading, _places(found))):
        variance = f"the variance of {scale_of(target)}{' or its rank' if _ranked(found) else ''}"
        shown += [console.heading(f"Share of {variance} that goes once these are known"), _shares(found)]
    heading = console.heading(f"Elasticity and, for one sd more, change of {_named(target, place)}")
    return [*shown, heading, _moves(found, place, prob), *_notes(found, prob)]


def _elasticity(found: fs.Sensitivity) -> str:
    return f"Elasticity: d log q / d log parameter, q = {found.target.label}"


def _sentences(found: fs.Sensitivity) -> list[str]:
    return [found.attribution.sentence(place) for place in _places(found)]


def _named(target: Target, place: int) -> str:
    """Name a forecast: ``N* at 1e26 FLOPs``, or ``C*`` where there is no choice."""
    from forescale.verbs.attribution import written

    return f"{target.label} at {written(target, place)}" if len(target.at.columns) else target.label


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _places(found: fs.Sensitivity) -> range:
    return range(len(found.target.at))


def _furthest(found: fs.Sensitivity) -> int:
    """The largest budget, or the last run."""
    at = found.target.at
    return int(at["flops"].argmax()) if "flops" in at else len(at) - 1


def _ranked(found: fs.Sensitivity) -> list[int]:
    """Places with too heavy a tail for a variance."""
    return [place for place in _places(found) if found.attribution.measure(place) == "rank_share"]


def _by_place(found: fs.Sensitivity, headers: list[str], cells: list[list[str]]) -> Table:
    """Set a row per place, which begins with the place."""
    from forescale.terminal import console
    from forescale.units import format_quantity

    at = found.target.at
    names = ["FLOPs" if name == "flops" else str(name) for name in at.columns]
    rows = [[*map(format_quantity, at.iloc[place]), *cells[place]] for place in _places(found)]
    return console.table([*names, *headers], rows, left=0)


def _points(found: fs.Sensitivity) -> Table:
    """Set the elasticities of a single draw, a column per parameter."""
    from forescale.terminal.console import number

    values = found.draws["elasticity"].isel(chain=0, draw=0).transpose("at", "parameter").to_numpy()
    return _by_place(found, list(found.target.parameters), [[number(x, 3) for x in row] for row in values])


def _shares(found: fs.Sensitivity) -> Table:
    """Set the shares of the exponents, and of what leads at any place."""
    told = found.attribution
    wanted = {*found.target.exponents, *(names for place in _places(found) for names, _ in told.leading(place))}
    rows = [told.at(place).set_index("known")[told.measure(place)] for place in _places(found)]
    shown = [known for known in rows[0].index if known in wanted]
    return _by_place(found, shown, [[f"{100 * share:.0f} %" for share in row[shown]] for row in rows])


def _moves(found: fs.Sensitivity, place: int, prob: float) -> Table:
    """Set elasticities at a place, with bands, and changes."""
    from forescale.terminal import console
    from forescale.verbs.attribution import rows_at
    from forescale.verbs.targets import PLAIN

    slopes = rows_at(found.target, found.elasticities(prob), place).query("measure == 'elasticity'")
    changes = rows_at(found.target, found.changes(prob), place).set_index(["parameter", "others"])
    cells = []
    for row in slopes.to_dict("records"):
        name = row["parameter"]
        moved = [changes.loc[(name, others), "median"] for others in ("held", "conditioned")]
        cells.append(
            [
                name,
                *(console.number(row[end], 3) for end in ("median", "lower", "upper")),
                f"{changes.loc[(name, 'held'), 'step']:.2g}",
                *(f"{q:+#.3g}" if found.target.of in PLAIN else f"x {console.number(10**q, 3)}" for q in moved),
            ]
        )
    return console.table(["parameter", "elasticity", "lower", "upper", "sd", "held", "conditioned"], cells)


def _notes(found: fs.Sensitivity, prob: float) -> Shown:
    """Say what the figures are of, and what is left out of them."""
    from rich.text import Text

    from forescale.terminal import console

    target, told, related = found.target, found.attribution, found.draws["correlation"]
    basis = "the trends, without their scatter" if target.of == "crossing" else "the law's curve, without noise"
    logs = f" sd of {', '.join(target.scales)}: of the log." if target.scales else ""
    moving = [
        f"{name} moves with {exponent}, correlation {float(related.sel(parameter=name, other=exponent)):.4f}"
        for name, exponent in told.stand_ins.items()
    ]
    ranked = [_named(target, place) for place in _ranked(found)]
    never = float(told.table["never"].max())
    notes = [
        f"{_elasticity(found)}; by {basis}.",
        "held, conditioned: median change for one sd more of a parameter if the others stay (as for a misprint), or "
        f"move with it as in the draws (as when it is learned).{logs}",
        f"{'; '.join(moving)}: each is named above only beside it." if moving else "",
        f"Too heavy a tail for a variance: shares are of the rank of {' and '.join(ranked)}." if ranked else "",
        f"There is no {target.label} in {100 * never:.2g} % of draws, which are left out." if never else "",
        "Shares do not sum to one where parameters are correlated; --json and --csv have those of all.",
    ]
    return [console.caption(prob), *(Text(note) for note in notes if note)]


def _prior_page(scaled: fs.PriorSensitivity) -> Shown:
    from rich.text import Text

    from forescale.terminal import console
    from forescale.verbs.prior_sensitivity import FINE, THRESHOLD

    target, rows = scaled.target, scaled.table()
    places = [_named(target, place) for place in range(len(target.at))]
    rows["quantity"] = [*rows["quantity"][: -len(places)], *places]
    flagged = rows[rows["diagnosis"] != FINE].groupby("diagnosis", sort=False)["quantity"]
    verdict = [f"{_capital(str(diagnosis))}: {'; '.join(names)}." for diagnosis, names in flagged]
    fine = f"Fine: the runs decide, and nothing moves with the priors (all below {THRESHOLD})."
    cells = [
        [row["quantity"], f"{row['prior']:.3f}", f"{row['likelihood']:.3f}", row["led_by"], row["diagnosis"]]
        for row in rows.to_dict("records")
    ]
    return [
        "",
        console.heading(f"Prior sensitivity of {scaled.source}, by power scaling"),
        *map(Text, verdict or [fine]),
        console.table(["", "prior", "likelihood", "led by", "diagnosis"], cells),
        Text(
            f"Sensitive from {THRESHOLD}: to the prior alone, it is strong or the runs say little; to both, they "
            "disagree. led by: the prior that matters most when scaled alone."
        ),
    ]
