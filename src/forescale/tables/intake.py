"""From a stranger's table to our columns: cells to numbers, units to ours, the third size from two.

Nothing is dropped or guessed in silence: what is done is said in a note, what cannot be done in a `DataError`
that names the column, the rows and the remedy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forescale.errors import DataError
from forescale.tables.cells import (
    MOST_LOSS,
    check_numbers,
    check_texts,
    further,
    numbers,
    refuse_words,
    show_rows,
    texts,
)
from forescale.tables.columns import CANONICAL, INPUTS, LOSS_UNITS, NUMBERS, TEXTS, Header, recognise
from forescale.units import COST_MODELS, PF_DAY, CostModel, cost_model

#: No run had, or will soon have, so many parameters or tokens; above it a header's "billions" is wrong.
MOST_SCALED = 1e15


def read_table(path: Path) -> pd.DataFrame:
    """Read a .csv, .tsv or .parquet file; the cells of a text file stay text.

    Raises
    ------
    DataError
        If the file is missing, of another kind, empty, ragged or not UTF-8.
    """
    separators = {".csv": ",", ".tsv": "\t"}
    kind = path.suffix.lower()
    if kind not in (*separators, ".parquet"):
        raise DataError(
            f"{path}: a table of runs is read from .csv, .tsv or .parquet, not from {kind or 'no suffix'!r}."
        )
    if not path.is_file():
        raise DataError(f"{path} is a folder, not a table of runs." if path.is_dir() else f"{path}: no such file.")
    try:
        if kind == ".parquet":
            return pd.read_parquet(path)
        # Headers are read as a row: pandas would rename those that repeat, and shift ragged lines.
        lines = pd.read_csv(
            path, sep=separators[kind], header=None, dtype=str, keep_default_na=False, encoding="utf-8-sig"
        )
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read as a table of runs: {str(error).strip()}. A text file is UTF-8, with one line of "
            "headers and as many cells in every row, between commas (.csv) or tabs (.tsv)."
        ) from error
    return lines.iloc[1:].set_axis(lines.iloc[0].fillna(""), axis=1).rename_axis(columns=None).reset_index(drop=True)


def tidy(
    frame: pd.DataFrame,
    *,
    columns: Mapping[str, str | None] | None,
    loss_unit: str,
    bytes_per_token: float | None,
    flops_tolerance: float,
    cost: str | CostModel,
) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Recognise, convert, complete and check the columns of a table of runs.

    Parameters
    ----------
    frame : DataFrame
        One run per row, under any headers.
    columns, loss_unit, bytes_per_token, flops_tolerance, cost
        As in `Observations.from_frame`.

    Returns
    -------
    columns : dict of str to array
        float64 and text arrays under our names, then the further columns under their own.
    notes : list of str
        What was taken for what, converted, derived and left out.

    Raises
    ------
    DataError
        If anything is missing, ambiguous, not a number, not positive or contradictory.
    """
    frame = with_headers(frame)
    if frame.empty:
        raise DataError("The table has no runs; it needs at least one row below its headers.")
    if not flops_tolerance >= 0:
        raise DataError(f"flops_tolerance is a relative difference, zero or more; got {flops_tolerance!r}.")
    per_unit = _nats_per_unit(loss_unit, bytes_per_token)
    headers = recognise(list(frame.columns), columns, loss_unit)
    refuse_words(frame[[header.text for column, header in headers.items() if column in NUMBERS]])
    notes = ["Headers: " + ", ".join(f"{column} from {header.text!r}" for column, header in headers.items()) + "."]

    out: dict[str, NDArray[Any]] = {}
    labels = [f"row {i}" for i in range(1, len(frame) + 1)]
    for column in TEXTS[::-1]:  # runs first: their names tell the rows apart
        if column in headers:
            out[column] = texts(frame[headers[column].text])
            check_texts(column, out[column], labels)
            labels = [f"run {name!r}" for name in out["run"].tolist()] if column == "run" else labels
    for column in NUMBERS:
        if column in headers:
            cells, title = frame[headers[column].text], f"{column} (header {headers[column].text!r})"
            values, said = _in_our_unit(column, headers[column], numbers(cells, title, labels), cells, title, labels)
            check_numbers(column, values, labels, title)
            out[column] = values
            notes += said
    if loss_unit != "nats":
        notes.append(_to_nats(out, per_unit, loss_unit))
    check_numbers("loss", out["loss"], labels, f"loss (header {headers['loss'].text!r}, in nats)", most=MOST_LOSS)
    notes += _complete(out, cost_model(cost), flops_tolerance, labels)
    _refuse_parts(out, headers, labels)

    extra, said = _further(frame.drop(columns=[header.text for header in headers.values()]))
    said += _unique_tokens(extra, out, labels)
    return {**{column: out[column] for column in CANONICAL if column in out}, **extra}, notes + said


def _refuse_parts(out: Mapping[str, NDArray[Any]], headers: Mapping[str, Header], labels: Sequence[str]) -> None:
    """Refuse counts below one, as of sizes in billions whose header does not say so."""
    for column in (name for name in ("n_params", "n_tokens") if name in out):
        if (bad := out[column] < 1).any():
            title = f"{column} (header {headers[column].text!r})" if column in headers else f"{column} (derived)"
            raise DataError(
                f"Column {title} counts, and is below one: {show_rows(bad, labels, out[column])}. If sizes are in "
                "billions, let the header say so, such as 'params (B)'."
            )


def _unique_tokens(extra: dict[str, NDArray[Any]], out: Mapping[str, NDArray[Any]], labels: Sequence[str]) -> list[str]:
    """Derive the number of different tokens in place, where a table tells epochs and not that number; say so."""
    if "unique_tokens" in extra or "epochs" not in extra or "n_tokens" not in out:
        return []
    if extra["epochs"].dtype.kind != "f":
        return []
    check_numbers("epochs", extra["epochs"], labels)
    extra["unique_tokens"] = out["n_tokens"] / extra["epochs"]
    return ["unique_tokens is derived from n_tokens and epochs: n_tokens counts all tokens seen, with repeats."]


def _further(frame: pd.DataFrame) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """Keep the columns that stand for none of ours under their own names, but for names that are ours."""
    left_out = [name for name in frame.columns if name in CANONICAL]
    extra = {str(name): further(frame[name]) for name in frame.columns if name not in CANONICAL}
    notes = []
    if left_out:
        notes.append(f"Left out, since columns= gives the name to another or to none: {', '.join(left_out)}.")
    for kind, what in (("f", "numbers"), ("U", "text")):
        if names := [name for name, values in extra.items() if values.dtype.kind == kind]:
            notes.append(f"Kept as further {what}: {', '.join(names)}.")
    return extra, notes


def with_headers(frame: pd.DataFrame) -> pd.DataFrame:
    """Give every column a stripped text header, named index levels too, and refuse headers that repeat."""
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    headers = [str(header).strip() for header in frame.columns]
    headers = [text or f"column {i}" for i, text in enumerate(headers, 1)]
    twice = sorted({text for text in headers if headers.count(text) > 1})
    if twice:
        raise DataError(f"Headers must differ; rename or delete one of each of {', '.join(map(repr, twice))}.")
    return frame.set_axis(headers, axis=1)


def _in_our_unit(
    column: str,
    header: Header,
    values: NDArray[np.float64],
    cells: pd.Series[Any],
    title: str,
    labels: Sequence[str],
) -> tuple[NDArray[np.float64], list[str]]:
    """Convert PF-days to FLOPs, and plain numbers under a header such as ``tokens (B)`` to counts."""
    if column == "flops" and header.is_pf_days:
        return values * PF_DAY, [f"flops is converted from PF-days ({PF_DAY:g} FLOPs each)."]
    suffixed = np.array([str(cell).strip()[-1:].isalpha() for cell in cells])
    notes = []
    if suffixed.any():
        notes.append(f"{column}: suffixes as in {cells.iloc[suffixed.argmax()]!r} are read as factors.")
    if column in ("n_params", "n_tokens") and header.scale != 1.0 and not suffixed.all():
        values = np.where(suffixed, values, values * header.scale)
        if (bad := values > MOST_SCALED).any():
            raise DataError(
                f"Column {title}: the header says that one unit is {header.scale:g}, and that makes "
                f"{show_rows(bad, labels, values)}. Rename the header if its numbers are plain counts."
            )
        notes.append(f"{column}: plain numbers are multiplied by {header.scale:g}, as the header says.")
    return values, notes


def _nats_per_unit(loss_unit: str, bytes_per_token: float | None) -> float:
    if loss_unit not in LOSS_UNITS:
        raise DataError(f"loss_unit={loss_unit!r} is not one of {', '.join(map(repr, LOSS_UNITS))}.")
    if (loss_unit == "bits-per-byte") != (bytes_per_token is not None):
        raise DataError(
            f"loss_unit='bits-per-byte' and bytes_per_token= (the mean bytes in a token) go together; "
            f"got loss_unit={loss_unit!r}, bytes_per_token={bytes_per_token!r}."
        )
    if bytes_per_token is not None and not 0 < bytes_per_token < math.inf:
        raise DataError(f"bytes_per_token must be positive and finite; got {bytes_per_token!r}.")
    return math.log(2) * (bytes_per_token or 1.0)


def _to_nats(out: dict[str, NDArray[Any]], per_unit: float, loss_unit: str) -> str:
    """Convert the loss, and its standard error by the derivative, in place; say how."""
    perplexity = loss_unit == "perplexity"
    slope = 1.0 / out["loss"] if perplexity else per_unit
    out["loss"] = np.log(out["loss"]) if perplexity else per_unit * out["loss"]
    which = "loss"
    if "loss_se" in out:
        out["loss_se"] = slope * out["loss_se"]
        which = "loss and loss_se"
    how = "nats = log(perplexity)" if perplexity else f"1 {loss_unit} = {per_unit:.6g} nats per token"
    return f"{which}: converted from {loss_unit} to nats per token, {how}."


def _complete(out: dict[str, NDArray[Any]], cost: CostModel, tolerance: float, labels: Sequence[str]) -> list[str]:
    """Derive the third of n_params, n_tokens and flops in place, or check that all three agree."""
    given = [column for column in INPUTS if column in out]
    if len(given) == 2:
        (third,) = set(INPUTS) - set(given)
        ways = {"n_params": cost.n_params, "n_tokens": cost.n_tokens, "flops": cost.flops}
        first, second = (out[column] for column in sorted(given, key=("flops", "n_params", "n_tokens").index))
        with np.errstate(all="ignore"):  # what overflows is refused by name, below
            out[third] = ways[third](first, second)
        check_numbers(third, out[third], labels, f"{third} (derived from {' and '.join(given)})")
        return [f"{third} is derived from {' and '.join(given)} by {cost.name}."]
    if len(given) == 3:
        with np.errstate(all="ignore"):
            ratio = out["flops"] / cost.flops(out["n_params"], out["n_tokens"])
            distance = np.abs(np.log(ratio))
        if (bad := ~(np.abs(ratio - 1) <= tolerance)).any():
            worst = float(ratio[distance.argmax()])
            others = " or ".join(f"cost={name!r}" for name in COST_MODELS if name != cost.name)
            raise DataError(
                f"Columns n_params, n_tokens and flops disagree: flops / {cost.name} is off by more than "
                f"flops_tolerance={tolerance:g} in {bad.sum()} of {len(ratio)} runs; the worst ratio is "
                f"{worst:.3g}. The ratios: {show_rows(bad, labels, ratio)}. Raise flops_tolerance, drop one "
                f"column with columns={{'flops': None}}, or choose another cost model ({others})."
            )
        return [f"flops agrees with {cost.name} within {tolerance:g} in every run."]
    return []
