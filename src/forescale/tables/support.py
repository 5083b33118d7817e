"""Whether a table of runs can inform a law: its inputs are there, they vary, and the runs suffice."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from forescale.errors import DataError
from forescale.frozen import FrozenTable
from forescale.tables.cells import check_numbers, numbers
from forescale.tables.columns import INPUTS, STEPS, Header
from forescale.units import format_quantity

#: Correlation of logs beyond which two inputs are said to move together.
COLLINEAR = 0.999
#: Different steps of one size from which on rows seem to be checkpoints.
_CHECKPOINTS = 5


def check_supports(
    table: FrozenTable, inputs: Sequence[str], n_parameters: int, needs_loss_se: bool, may_stay: Sequence[str] = ()
) -> tuple[str, ...]:
    """Do the work of `Observations.check_supports`, which says what is checked and raised."""
    runs = [f"run {run!r}" for run in table.columns["run"].tolist()]
    for name in inputs:
        if name not in table.columns:
            raise DataError(f"The law needs {name}, and {table.name!r} has {', '.join(table.columns)}.{_remedy(name)}")
    if len(table) < n_parameters:
        raise DataError(
            f"{table.name!r} has {len(table)} runs and the model has {n_parameters} parameters; "
            f"add runs, or choose a law with fewer parameters."
        )
    varying = []
    for name in inputs:
        values = numbers(table.columns[name], name, runs)
        check_numbers(name, values, runs)
        if not np.isclose(values.min(), values.max(), rtol=1e-9, atol=0):
            varying.append(name)
        elif name not in may_stay:
            raise DataError(
                f"The law needs {name} to vary, and all {len(table)} runs of {table.name!r} have {name} = "
                f"{format_quantity(values[0])}. Add runs of other sizes, or choose a law without {name}."
            )
    if needs_loss_se and "loss_se" not in table.columns:
        raise DataError(
            f"The noise needs the standard error of every loss, and {table.name!r} has no loss_se. "
            f"Add the column, or choose a noise that estimates its size."
        )
    logs = {name: np.log(table.column(name)) for name in varying}
    together = ((a, b, np.corrcoef(logs[a], logs[b])[0, 1]) for a, b in combinations(logs, 2))
    tied = tuple(
        f"{a} and {b} move together in {table.name!r} (correlation of their logs {r:.5f}): "
        f"these runs alone cannot tell their exponents apart."
        for a, b, r in together
        if abs(r) > COLLINEAR
    )
    return tied if {"peak_steps", "min_steps"} & set(inputs) else (*tied, *_under_way(table))


def _under_way(table: FrozenTable) -> tuple[str, ...]:
    """Say if rows seem to be checkpoints: several steps of one size."""
    named = [name for name in table.columns if Header(name).key in STEPS and table.columns[name].dtype.kind == "f"]
    if not named or "n_params" not in table.columns:
        return ()
    (name, *_), sizes = named, table.columns["n_params"]
    most = max(len(np.unique(table.columns[name][sizes == size])) for size in np.unique(sizes))
    if most < _CHECKPOINTS:
        return ()
    return (
        f"{table.name!r} has up to {most} different {name} for one n_params: if these are checkpoints of runs under "
        "way, their learning rates had not come down, and they are no finished runs. forescale.checkpoints() reads "
        "them with their schedule, for the card annealed_sizes; or keep the last of each run.",
    )


def _remedy(name: str) -> str:
    """Say how an absent input can be had."""
    if name == "unique_tokens":
        return (
            " It is how many different tokens there were to train on; a table that has epochs as numbers has it from "
            "n_tokens / epochs, and where every token is new it is n_tokens, and the chinchilla law the one to fit."
        )
    if name not in INPUTS:
        return f" If a column is {name}, give it that name."
    first, second = (column for column in INPUTS if column != name)
    return (
        f" {name} is derived when both {first} and {second} are there; if a column is {name}, say so when "
        f"reading: columns={{{name!r}: '...'}}."
    )
