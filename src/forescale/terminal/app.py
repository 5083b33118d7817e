"""The frame of the command line: how any command is run, fails, and answers."""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

from forescale.errors import ForescaleError, ForescaleWarning
from forescale.terminal import arguments

if TYPE_CHECKING:
    from forescale.terminal.console import Output

# What commands are for, in the order in which help lists them
FIT = "Fit and forecast"
DECIDE = "Decide"
DOUBT = "Doubt"
BEYOND = "Beyond loss and beyond two inputs"
SHELVES = "Look up and write up"
WRITTEN = "forescale.written"  # where a command notes what an interruption leaves behind
_SPELLINGS = {  # arguments that the library's messages name, where they are spelt otherwise than as --NAME VALUE
    "columns=": "--columns NAME=HEADER, or NAME= to leave a column out",
    "loss_unit=": "--loss-unit of `forescale fit`",
    "bytes_per_token=": "--bytes-per-token of `forescale fit`",
    "limited=": "there in Python only",
    "trends_of a fit": "forescale contradiction FIT --limits LOW,HIGH",
    "bracketed=False": "--all-budgets",
}


class _Commands(TyperGroup):
    """Runs any command: each error or warning becomes a line on stderr, and the outcome an exit code."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """List the commands by what they are for."""
        width = max(map(len, self.commands))
        for heading in (FIT, DECIDE, DOUBT, BEYOND, SHELVES):
            of = {
                name: each
                for name, each in self.commands.items()
                if getattr(each, "rich_help_panel", None) == heading  # typer's commands have one
            }
            with formatter.section(heading):
                formatter.write_dl(
                    [
                        (name.ljust(width), each.get_short_help_str(formatter.width - 6 - width))
                        for name, each in of.items()
                    ]
                )

    def invoke(self, ctx: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("always", ForescaleWarning)
            warnings.showwarning = _showing(warnings.showwarning)
            try:
                super().invoke(ctx)
                sys.stdout.flush()
            except ForescaleError as error:
                said = _spelt(str(error), self.commands.get(ctx.invoked_subcommand or ""))
                here = [f"{name} is {option}" for name, option in _SPELLINGS.items() if name in said]
                tell(said + (f" (Here, {'; '.join(here)}.)" if here else ""))
                raise typer.Exit(2) from None
            except KeyboardInterrupt:
                tell(f"interrupted; {ctx.meta.get(WRITTEN, 'nothing was written')}")
                raise typer.Exit(130) from None
            except BrokenPipeError:  # the reader has seen enough; neither has Python anything more to flush
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(1) from None


def _spelt(message: str, command: Any) -> str:
    """Write what a message of the library says of arguments, such as kind='mean', as options of the command.

    But for those that take names and values, such as --columns.
    """
    options = {
        each.name: each.opts[0]
        for each in getattr(command, "params", [])
        if each.opts[0].startswith("--") and "=" not in (each.metavar or "")
    }

    def option(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"].strip("'")
        if name not in options:
            return str(found[0])
        if value == "None":
            return f"no {options[name]}"
        return f"{options[name]}{f' {value}' if value and value != 'True' else ''}"

    return re.sub(r"(?<![\w',=-])(?P<name>[a-z_]+)=(?P<value>'[^']*'|\.\.\.|[\w.%+]*\w|)", option, message)


def _showing(others: Any) -> Any:
    def show(message: Any, category: type[Warning], *where: Any, **rest: Any) -> None:
        if issubclass(category, ForescaleWarning):
            tell(f"note: {message}")
        else:
            others(message, category, *where, **rest)

    return show


def tell(text: str) -> None:
    """Print a line on stderr."""
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


def output(as_json: bool, as_csv: bool = False, quiet: bool = False) -> Output:
    """How a command answers, by its options."""
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv")
    from forescale.terminal.console import Output

    return Output(as_json, as_csv, quiet)


def progress_wanted(quiet: bool) -> bool:
    """Whether to show progress: in a terminal, and not if quiet."""
    return sys.stderr.isatty() and not quiet


@app.callback()
def _forescale(version: arguments.Version = False) -> None:
    """Bayesian fits and forecasts of neural scaling laws.

    See it work with `forescale demo`; begin with your own runs with `forescale fit runs.csv`.
    """
