"""The command line: words and files in, verbs called, tables out.

What a command needs is imported when it runs, so that help answers at once.
"""

from __future__ import annotations

import io
import os
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

import forescale as fs
from forescale import arguments
from forescale.errors import ConvergenceError, ForescaleError, ForescaleWarning

if TYPE_CHECKING:
    from forescale.console import Output

_WRITTEN = "forescale.written"  # where a command notes what an interruption leaves behind
_SPELLINGS = {  # arguments that the library's messages name, as they are spelt here
    "columns=": "--columns NAME=HEADER, or NAME= to leave a column out",
    "loss_unit=": "--loss-unit UNIT",
    "bytes_per_token=": "--bytes-per-token X",
}


class _Commands(TyperGroup):
    """Runs any command: each error or warning becomes a line on stderr, and the outcome an exit code."""

    def invoke(self, ctx: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("always", ForescaleWarning)
            warnings.showwarning = _showing(warnings.showwarning)
            try:
                super().invoke(ctx)
                sys.stdout.flush()
            except ForescaleError as error:
                here = [f"{name} is {option}" for name, option in _SPELLINGS.items() if name in str(error)]
                _tell(f"{error}" + (f" (Here, {'; '.join(here)}.)" if here else ""))
                raise typer.Exit(2) from None
            except KeyboardInterrupt:
                _tell(f"interrupted; {ctx.meta.get(_WRITTEN, 'nothing was written')}")
                raise typer.Exit(130) from None
            except BrokenPipeError:  # the reader has seen enough; neither has Python anything more to flush
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None


def _showing(others: Any) -> Any:
    def show(message: Any, category: type[Warning], *where: Any, **rest: Any) -> None:
        if issubclass(category, ForescaleWarning):
            _tell(f"note: {message}")
        else:
            others(message, category, *where, **rest)

    return show


def _tell(text: str) -> None:
    print(f"forescale: {' '.join(text.split())}", file=sys.stderr)


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def main() -> None:
    """Run the command that the process was called with."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is: what the encoding lacks stops nothing
    app(prog_name="forescale")


def _output(as_json: bool, as_csv: bool = False, quiet: bool = False) -> Output:
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    from forescale.console import Output

    return Output(as_json, as_csv, quiet)


def _progress(quiet: bool) -> bool:
    return sys.stderr.isatty() and not quiet


@app.callback()
def _forescale(version: arguments.Version = False) -> None:
    """Bayesian fits and forecasts of neural scaling laws.

    See it work with `forescale demo`; begin with your own runs with `forescale fit runs.csv`.
    """


@app.command("fit")
def _fit(
    ctx: typer.Context,
    runs: arguments.Runs,
    model: arguments.Model = "chinchilla",
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
    output = _output(json, csv, quiet)
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

    from forescale import console

    output.say(f"Read {observations!r}".replace("Observations ", "", 1), console.bullets(observations.notes))
    progress = _progress(quiet)
    if progress:
        _tell(f"compiling model {loaded.name!r}, which takes some seconds, and sampling")
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
    ctx.meta[_WRITTEN] = f"{out} is written"
    document = {"command": "fit", "source": result.name, "out": out, **console.fit_document(result, prob)}
    output.answer(console.fit_table(result, prob), document, console.fit_rows(result, prob))
    output.say(f"Saved in {out}; the seed is {result.seed}.", *console.next_commands(out, result.law))


@app.command("forecast")
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
    output = _output(json, csv)
    if bool(at) == (points is not None):
        raise typer.BadParameter("give either --at, as often as you like, or --points")
    from forescale import console
    from forescale.intake import read_table

    estimate = arguments.load_source(source)
    table = arguments.read_points(estimate.law, at or ()) if points is None else read_table(points)
    result = fs.forecast(estimate, table, random_seed=seed)
    rows = result.table(prob, kind)
    document = {"command": "forecast", "source": result.source, **console.bands(result, prob), "seed": seed}
    output.answer(console.forecast_table(result, rows, prob), document, rows)


@app.command("allocate")
def _allocate(
    source: arguments.Source,
    compute: arguments.Compute,
    min_params: arguments.MinParams = None,
    max_params: arguments.MaxParams = None,
    min_tokens: arguments.MinTokens = None,
    max_tokens: arguments.MaxTokens = None,
    cost: arguments.Cost = "6ND",
    json: arguments.Json = False,
    csv: arguments.Csv = False,
    prob: arguments.Prob = 0.9,
) -> None:
    """Split training compute between parameters and tokens.

    Example: forescale allocate fit.nc --compute 1e21,5.76e23 --max-tokens 15T
    """
    output = _output(json, csv)
    from forescale import console

    result = fs.allocate(
        arguments.load_source(source),
        [budget for text in compute for budget in text.split(",")],
        cost=cost,
        n_params_bounds=(min_params, max_params),
        n_tokens_bounds=(min_tokens, max_tokens),
    )
    document = {"command": "allocate", "source": result.source, **console.bands(result, prob)}
    document |= {"law": result.law, "cost": result.cost}
    output.answer(console.allocation_table(result, prob), document, console.allocation_rows(result, prob))


@app.command("datasets")
def _datasets(json: arguments.Json = False, csv: arguments.Csv = False) -> None:
    """List the tables of runs that come along."""
    from forescale import cards

    _output(json, csv).answer(*cards.list_datasets())


@app.command("models")
def _models(json: arguments.Json = False, csv: arguments.Csv = False) -> None:
    """List the models: laws with priors and noise."""
    from forescale import cards

    _output(json, csv).answer(*cards.list_models())


@app.command("published")
def _published(json: arguments.Json = False, csv: arguments.Csv = False) -> None:
    """List the published estimates."""
    from forescale import cards

    _output(json, csv).answer(*cards.list_published())


@app.command("show")
def _show(name: arguments.Name, json: arguments.Json = False, prob: arguments.Prob = 0.9) -> None:
    """Show a dataset, model, published estimate or fit."""
    from forescale import cards

    found = cards.find(name, prob)
    document = {"command": "show", "source": name, "cards": [facts for facts, _ in found]}
    _output(json).answer([part for _, shown in found for part in (*shown, "")][:-1], document)


@app.command("demo")
def _demo(
    ctx: typer.Context,
    out: arguments.Folder = Path("forescale-demo"),
    seed: arguments.Seed = 1,
    quiet: arguments.Quiet = False,
) -> None:
    """Fit, forecast and allocate with published runs."""
    from forescale.demo import run

    ctx.meta[_WRITTEN] = f"what was written by then is in {out}"
    run(out, random_seed=seed, progress=_progress(quiet), say=(lambda text: None) if quiet else typer.echo)
