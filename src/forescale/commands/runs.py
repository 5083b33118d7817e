"""`fit`, `forecast` and `allocate`."""

from __future__ import annotations

from pathlib import Path

import typer

import forescale as fs
from forescale.errors import ConvergenceError
from forescale.terminal import arguments
from forescale.terminal.app import FIT, WRITTEN, app, output, progress_wanted, tell


@app.command("fit", rich_help_panel=FIT)
def _fit(
    ctx: typer.Context,
    runs: arguments.Runs,
    model: arguments.Model = arguments.DEFAULT_MODEL,
    out: arguments.Out = Path("fit.nc"),
    seed: arguments.FitSeed = None,
    draws: arguments.Draws = 1000,
    tune: arguments.Tune = 500,
    chains: arguments.Chains = 4,
    columns: arguments.Columns = None,
    loss_unit: arguments.LossUnit = None,
    bytes_per_token: arguments.BytesPerToken = None,
    where: arguments.Where = None,
    all_runs: arguments.AllRuns = False,
    force: arguments.Force = False,
    keep_failed: arguments.KeepFailed = False,
    quiet: arguments.Quiet = False,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Fit a law to a table of training runs.

    Example: forescale fit runs.csv --columns "n_params=Model Size"
    """
    answers = output(json, csv, quiet)
    failed = Path(f"{str(out).removesuffix('.nc')}.failed.nc")
    for target in (out, failed) if keep_failed else (out,):
        arguments.check_target(target, force=force, sources=(runs, model))
    loaded = fs.load_model(model)
    observations = arguments.read_runs(
        runs,
        all_runs=all_runs,
        columns=arguments.pairs("--columns", columns),
        loss_unit=loss_unit,
        bytes_per_token=bytes_per_token,
    )
    observations = arguments.filtered(observations, arguments.pairs("--where", where))

    from forescale.terminal import console

    answers.say(*console.read(observations))
    progress = progress_wanted(quiet)
    if progress:
        tell(f"compiling model {loaded.name!r}, which takes some seconds, and sampling")
    try:
        result = fs.fit(
            observations,
            loaded,
            draws=draws,
            tune=tune,
            chains=chains,
            random_seed=seed,
            progress=progress,
        )
    except ConvergenceError as error:
        kept = arguments.save(error.fit, failed) if keep_failed and isinstance(error.fit, fs.Fit) else None
        raise arguments.not_converged(error, out, kept) from None
    arguments.save(result, out)
    ctx.meta[WRITTEN] = f"{out} is written"
    document = {"command": "fit", "source": result.name, "out": out, **console.fit_document(result, prob)}
    answers.answer(console.fit_table(result, prob), document, console.fit_rows(result, prob))
    again = [runs, *([] if model == arguments.DEFAULT_MODEL else ["--model", model])]
    again += [word for option in columns or () for word in ("--columns", option)]
    again += ["--loss-unit", loss_unit] if loss_unit else []
    again += ["--bytes-per-token", f"{bytes_per_token:g}"] if bytes_per_token else []
    again += [word for option in where or () for word in ("--where", option)]
    again += ["--all-runs"] if all_runs else []
    answers.say(f"Saved in {out}; the seed is {result.seed}.", *console.next_commands(out, result.law, again))


@app.command("forecast", rich_help_panel=FIT)
def _forecast(
    source: arguments.Source,
    at: arguments.At = None,
    points: arguments.Points = None,
    kind: arguments.Kind = None,
    seed: arguments.NoiseSeed = 0,
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Forecast the loss of runs not yet trained.

    Example: forescale forecast fit.nc --at 70B,1.4T --at 280B,300B
    """
    answers = output(json, csv)
    if bool(at) == (points is not None):
        raise typer.BadParameter("give either --at, as often as you like, or --points")
    from forescale.tables.intake import read_table
    from forescale.terminal import console

    estimate = arguments.load_source(source)
    table = arguments.read_points(estimate.law, at or ()) if points is None else read_table(points)
    result = fs.forecast(estimate, table, random_seed=seed)
    rows = result.table(prob, kind)
    document = {"command": "forecast", "source": result.source, **console.bands(result, prob), "seed": seed}
    document |= {"kinds": result.kinds, "discrepancy": result.discrepancy}
    answers.answer(console.forecast_table(result, rows, prob), document, rows)


@app.command("allocate", rich_help_panel=FIT)
def _allocate(
    source: arguments.Source,
    compute: arguments.Compute,
    min_params: arguments.MinParams = None,
    max_params: arguments.MaxParams = None,
    min_tokens: arguments.MinTokens = None,
    max_tokens: arguments.MaxTokens = None,
    unique_tokens: arguments.UniqueTokens = None,
    cost: arguments.Cost = "6ND",
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Split training compute between parameters and tokens.

    Example: forescale allocate fit.nc --compute 1e21,5.76e23 --max-tokens 15T
    """
    answers = output(json, csv)
    from forescale.terminal import console

    result = fs.allocate(
        arguments.load_source(source),
        arguments.budgets(compute),
        cost=cost,
        n_params_bounds=(min_params, max_params),
        n_tokens_bounds=(min_tokens, max_tokens),
        unique_tokens=unique_tokens,
    )
    document = {"command": "allocate", "source": result.source, **console.bands(result, prob)}
    document |= {"discrepancy": "not included"}
    document |= {"law": result.law, "cost": result.cost}
    answers.answer(console.allocation_table(result, prob), document, console.allocation_rows(result, prob))
