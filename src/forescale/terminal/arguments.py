"""What the command line takes: its options, and words turned into runs, sources and points.

What a function needs is imported when it runs, so that help answers at once.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import forescale as fs
from forescale.errors import ConvergenceError, DataError, FileError, ForescaleError, ModelError

if TYPE_CHECKING:
    import pandas as pd

    from forescale.estimates.draws import Estimate
    from forescale.frozen import FrozenTable


_MOST = 2**32 - 1  # the largest seed: a sampler and a file take it, and a person can read it


def _check_prob(prob: float) -> float:
    if not 0 < prob < 1:
        raise typer.BadParameter(f"{prob:g} is not a probability mass between 0 and 1, such as 0.9")
    return prob


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"forescale {version('forescale')}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document, in full precision.")]
Csv = Annotated[bool, typer.Option("--csv", help="Print CSV, in full precision.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, nothing beside the answer.")]
Prob = Annotated[float, typer.Option(metavar="P", callback=_check_prob, help="Probability mass of intervals.")]

Runs = Annotated[str, typer.Argument(metavar="RUNS", help="A .csv, .tsv or .parquet file, or a dataset's name.")]
#: That of `forescale.belief.catalog`, written out since help must load nothing heavy; a test compares.
DEFAULT_MODEL = "coupled"
Model = Annotated[str, typer.Option(metavar="NAME", help="A model's name, or the path of a card (.toml).")]
Out = Annotated[Path, typer.Option(metavar="FILE", help="Where to save the fit.")]
FitSeed = Annotated[
    int | None, typer.Option(metavar="N", min=0, max=_MOST, help="Seed; drawn, and recorded, if not given.")
]
Draws = Annotated[int, typer.Option(metavar="N", min=1, help="Draws kept of each chain.")]
Tune = Annotated[int, typer.Option(metavar="N", min=1, help="Tuning steps of each chain.")]
Chains = Annotated[int, typer.Option(metavar="N", min=2, help="Chains, which must agree.")]
Columns = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=HEADER", help="Which header is n_params, n_tokens, flops, loss, ...; repeatable."),
]
LossUnit = Annotated[
    str | None, typer.Option(metavar="UNIT", help="nats (default), bits, bits-per-byte or perplexity.")
]
BytesPerToken = Annotated[float | None, typer.Option(metavar="X", help="Mean bytes in a token, for bits-per-byte.")]
Where = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN=VALUE", help="Keep these runs only; repeatable, for more values or columns."),
]
AllRuns = Annotated[bool, typer.Option("--all-runs", help="Also runs that a dataset's card leaves out.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file to save to, if it exists.")]
KeepFailed = Annotated[
    bool, typer.Option("--keep-failed", help="Save a fit that does not converge, as FILE.failed.nc.")
]

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="A fit's file, or a published estimate's name.")]
At = Annotated[
    list[str] | None,
    typer.Option(metavar="POINT", help="70B,1.4T: the law's inputs, or n_params=70B,...; repeatable."),
]
Points = Annotated[Path | None, typer.Option(metavar="FILE", help="Instead: a table, a column for each input.")]
Kind = Annotated[str | None, typer.Option(metavar="mean|run", help="Only the law's curve, or only a new run.")]
NoiseSeed = Annotated[int, typer.Option(metavar="N", min=0, max=_MOST, help="Seed of the noise of a new run.")]
Compute = Annotated[list[str], typer.Option(metavar="FLOPS", help="Budgets, 1e21,5.76e23,...; repeatable.")]
Budgets = Annotated[list[str] | None, typer.Option(metavar="FLOPS", help="Budgets, 1e21,5.76e23,...; repeatable.")]
MinParams = Annotated[str | None, typer.Option(metavar="N", help="Fewest parameters to consider.")]
MaxParams = Annotated[str | None, typer.Option(metavar="N", help="Most parameters to consider.")]
MinTokens = Annotated[str | None, typer.Option(metavar="D", help="Fewest tokens to consider.")]
MaxTokens = Annotated[str | None, typer.Option(metavar="D", help="Most tokens to consider, such as 15T.")]
UniqueTokens = Annotated[
    str | None,
    typer.Option(metavar="U", help="Different tokens there are, such as 100B, or inf: where the law lets them repeat."),
]
Cost = Annotated[str, typer.Option(metavar="MODEL", help="What training costs: 6ND or 6ND+attention.")]

Name = Annotated[str, typer.Argument(metavar="NAME", help="A dataset, model, published estimate, or a file.")]
Folder = Annotated[Path, typer.Option(metavar="FOLDER", help="Where to put what it makes.")]
Seed = Annotated[int, typer.Option(metavar="N", min=0, max=_MOST, help="Seed.")]


def budgets(texts: Iterable[str]) -> list[str]:
    """Split budgets, given one by one or several with commas between."""
    return [budget for text in texts for budget in text.split(",")]


def is_path(word: str) -> bool:
    """Tell a file, there or meant, from a name on the package's shelves; a file that is there wins."""
    return Path(word).is_file() or Path(word).suffix != "" or Path(word).name != word


def pairs(option: str, words: Iterable[str] | None) -> list[tuple[str, str]]:
    """Split ``NAME=VALUE`` words.

    Raises
    ------
    DataError
        If a word has no name or no ``=``.
    """
    split = [word.partition("=") for word in words or ()]
    for name, equals, value in split:
        if not name.strip() or not equals:
            raise DataError(f"{option} takes NAME=VALUE, not {name + equals + value!r}")
    return [(name.strip(), value) for name, _, value in split]


def read_runs(
    word: str,
    *,
    all_runs: bool = False,
    columns: Sequence[tuple[str, str]] = (),
    loss_unit: str | None = None,
    bytes_per_token: float | None = None,
) -> fs.Observations:
    """Read runs from a file, or take a dataset of the package.

    Raises
    ------
    DataError
        If there are none, they cannot be used, or an option belongs to the other kind of source.
    """
    if is_path(word):
        if all_runs:
            raise DataError(f"--all-runs turns off the filter of a dataset of the package; {word} is a file")
        return fs.Observations.read(
            word,
            columns={name: header or None for name, header in columns},
            loss_unit=loss_unit or "nats",
            bytes_per_token=bytes_per_token,
        )
    try:
        runs = fs.load_dataset(word, filtered=not all_runs)
    except DataError as error:
        raise DataError(f"{word} is no file, and {error}") from None
    if columns or loss_unit or bytes_per_token:
        raise DataError(f"{word} is a dataset of the package: its card states its columns and units")
    return runs


def filtered[Table: FrozenTable](runs: Table, wanted: Sequence[tuple[str, str]]) -> Table:
    """Keep the rows that have one of the values wanted in every column named.

    Raises
    ------
    DataError
        If there is no such column, or no run passes.
    """
    from forescale.units import parse_quantity

    choices: dict[str, list[str | float]] = {}
    for name, text in wanted:
        is_number = name in runs.columns and runs.columns[name].dtype.kind == "f"
        choices.setdefault(name, []).append(parse_quantity(text) if is_number else text)
    return runs.where(**choices) if choices else runs


def load_source(word: str) -> Estimate:
    """Load what is to be asked: a fit that converged, or a published estimate.

    Raises
    ------
    FileError, ModelError
        If there is none of that name, or the fit did not converge.
    """
    table = f"{word} is a table of runs: fit it first (forescale fit {word}), and ask the fit"
    if is_path(word):
        if Path(word).suffix.lower() in (".csv", ".tsv", ".parquet"):
            raise FileError(table)
        fit = fs.load_fit(word)
        if failures := [failure.partition(":")[0] for failure in fit.diagnostics.failures]:
            raise ModelError(
                f"the fit in {word} did not converge ({'; '.join(failures)}): nothing should be forecast from "
                "it; `forescale show` shows it"
            )
        return fit
    try:
        return fs.published(word)
    except ModelError as error:
        raise ModelError(table if word in fs.list_datasets() else f"{word} is no file, and {error}") from None


def read_points(law: fs.Law, texts: Iterable[str], option: str = "--at") -> pd.DataFrame:
    """Read points such as ``70B,1.4T``, the law's inputs in order, or ``n_params=70B,n_tokens=1.4T``.

    Raises
    ------
    DataError
        If a point has not one value for each input.
    """
    import pandas as pd

    rows = []
    for text in texts:
        cells = text.split(",")
        given = pairs(option, cells) if "=" in text else list(zip(law.inputs, cells, strict=False))
        names = [name for name, _ in given]
        if len(cells) != len(given) or sorted(names) != sorted(law.inputs):
            raise DataError(
                f"{option} {text}: a point of law {law.name!r} is {','.join(law.inputs)}, in this order or each "
                f"by name ({law.inputs[0]}=...); a further point is a further {option}"
            )
        rows.append(dict(given))
    return pd.DataFrame(rows)


def check_target(path: Path, *, force: bool, sources: Iterable[str]) -> None:
    """Refuse a file that cannot or should not be written, before any work is done.

    Raises
    ------
    FileError
        If it has no folder, is a folder, is one of the sources, or exists and ``force`` is not given.
    """
    if not path.parent.is_dir():
        raise FileError(f"{path}: there is no folder {path.parent}; make it first, or choose another --out")
    if path.is_dir():
        raise FileError(f"{path} is a folder; --out names a file")
    if not os.access(path.parent, os.W_OK):
        raise FileError(f"{path}: the folder {path.parent.resolve()} cannot be written to")
    if path.exists() and any(Path(source).exists() and path.samefile(source) for source in sources):
        raise FileError(f"{path} is what is to be read; choose another --out")
    if path.exists() and not force:
        raise FileError(f"{path} exists; choose another --out, or replace it with --force")


def save(fit: fs.Fit, path: Path) -> Path:
    """Save a fit.

    Raises
    ------
    FileError
        If the system refuses, for lack of space or of permission.
    """
    try:
        return fit.save(path)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror or error}") from error


def not_converged(error: ConvergenceError, out: Path, kept: Path | None) -> ForescaleError:
    """Say in the words of the command line that a fit failed."""
    draws = f"the draws are in {kept}" if kept else "--keep-failed saves the draws beside it"
    return ForescaleError(
        f"the fit of {error.fit.name} did not converge: {'; '.join(error.fit.diagnostics.failures)}. "
        "Try more --draws or --tune, tighter priors, or a law with fewer parameters. "
        f"{out} is not written; {draws}, to be looked at with `forescale show` only"
    )
