"""`report`: a whole analysis as one page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import forescale as fs
from forescale.errors import DataError, FileError
from forescale.terminal import arguments, plan_arguments
from forescale.terminal.app import SHELVES, WRITTEN, app, output, progress_wanted

if TYPE_CHECKING:
    from forescale.estimates.draws import Estimate
    from forescale.numbers.budgets import Quantities

Page = Annotated[Path, typer.Option(metavar="FILE", help="Where to write it: .html, or .md with figures beside it.")]
Beside = Annotated[
    str | None, typer.Option(metavar="SOURCE", help="A second fit's file or published estimate, to be compared.")
]
Backtest = Annotated[bool, typer.Option("--backtest", help="Also backtest the fit's model on its runs, in minutes.")]
Results = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="With --backtest: keeps its scores, or has them from `forescale backtest`."),
]

Losses = Annotated[
    list[str] | None, typer.Option("--loss", metavar="NATS", help="Losses to be reached, 2.0,1.9,...; repeatable.")
]
Demand = Annotated[
    list[str] | None, typer.Option(metavar="TOKENS", help="Tokens that it will serve, 1T,10T,...; repeatable.")
]
Frozen = Annotated[
    list[Path] | None,
    typer.Option(metavar="FILE", help="A frozen forecast whose loss is known; repeatable."),
]


@app.command("report", rich_help_panel=SHELVES)
def _report(
    ctx: typer.Context,
    source: arguments.Source,
    out: Page = Path("report.html"),
    compute: arguments.Budgets = None,
    plan: plan_arguments.Plans = None,
    beside: Beside = None,
    backtest: Backtest = False,
    results: Results = None,
    frozen: Frozen = None,
    loss: Losses = None,
    demand: Demand = None,
    unique_tokens: arguments.UniqueTokens = None,
    cost: arguments.Cost = "6ND",
    seed: arguments.NoiseSeed = 0,
    force: arguments.Force = False,
    quiet: arguments.Quiet = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Write the whole analysis up as one page.

    Example: forescale report fit.nc --compute 5.76e23,1e26 --plan big=70B,1.4T
    """
    if results is not None and not backtest:
        raise typer.BadParameter("--results goes with --backtest")
    arguments.check_target(out, force=force, sources=[word for word in (source, beside) if word])
    if out.suffix not in (".html", ".md"):
        raise FileError(f"{out}: a report is written as .html or .md; the suffix says which")
    estimate = arguments.load_source(source)
    second = None if beside is None else arguments.load_source(beside)
    plans = plan_arguments.plans(plan)

    from forescale.pages import report, usual_budgets

    budgets: Quantities = arguments.budgets(compute) if compute else usual_budgets(estimate, cost)
    asked: dict[str, Any] = {"compute": budgets, "cost": cost, "unique_tokens": unique_tokens}
    made = report(
        estimate,
        **asked,
        plans=plans,
        prob=prob,
        frozen=fs.score_frozen(frozen) if frozen else None,
        loss=arguments.budgets(loss) if loss else None,
        demand=arguments.budgets(demand) if demand else None,
        backtest=_backtest(estimate, seed, results, progress_wanted(quiet)) if backtest else None,
        compare_with=_beside(estimate, second, {**asked, "random_seed": seed, "progress": progress_wanted(quiet)}),
        random_seed=seed,
    )
    made.save(out)
    ctx.meta[WRITTEN] = f"{out} is written"
    opens = "it opens in any browser" if out.suffix == ".html" else "its figures are beside it"
    output(as_json=False, quiet=quiet).say(f"Report of {estimate.name} in {out}; {opens}.")


def _beside(first: Estimate, second: Estimate | None, asked: dict[str, Any]) -> Estimate | fs.Comparison | None:
    """Two fits of one table are scored on it; any other pair is set side by side."""
    if not isinstance(first, fs.Fit) or not isinstance(second, fs.Fit):
        return second
    if first.observations.sha256 != second.observations.sha256:
        return second
    return fs.compare(first, second, **asked)


def _backtest(estimate: Estimate, seed: int, results: Path | None, progress: bool) -> fs.Backtest:
    if not isinstance(estimate, fs.Fit):
        raise DataError(f"--backtest needs a fit, whose runs are cut and fitted again; {estimate.name} is none")
    return fs.backtest(estimate.observations, estimate.model, random_seed=seed, results=results, progress=progress)
