"""Checkpoints of training curves, read as what they are: runs under way, on a schedule, and not finished runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forescale.errors import DataError
from forescale.tables.cells import check_numbers, numbers
from forescale.tables.columns import STEPS, Header
from forescale.tables.intake import read_table
from forescale.tables.observations import Observations
from forescale.tables.schedules import MEMORY, Schedule
from forescale.units import format_quantity, parse_quantity

Array = NDArray[np.float64]

#: Points that a curve is thinned to, since neighbouring checkpoints err alike, and the fewest that say anything.
POINTS, FEWEST = 12, 6
#: A curve is taken from so many times its warm-up on: the law is not of what comes before.
SETTLED = 1.5
#: How far, over the loss, a smoothed curve is from the law: without it a smooth curve would count as an exact law.
MISFIT = 0.0015

_ALIASES = {
    "lr": "lr learningrate rate",
    "run": "run curve runname runid name schedule",
    "n_params": "nparams params parameters nparamsnominal size modelsize n",
}
_NAME_OF = {alias: name for name, aliases in _ALIASES.items() for alias in aliases.split()} | dict.fromkeys(
    STEPS, "step"
)


def read_curves(table: pd.DataFrame | str | Path) -> pd.DataFrame:
    """Recognise the columns of a table of training curves.

    Parameters
    ----------
    table : DataFrame or path
        A row per checkpoint: step, loss in nats per token, and where there are several curves a run; lr and n_params
        where known. Usual headers are recognised. Rows without a loss are of steps to come.

    Returns
    -------
    DataFrame
        step, loss (NaN where there is none), and of lr, run and n_params those that there are; in order of run and
        step.

    Raises
    ------
    DataError
        If step or loss are missing or ambiguous, a cell is no number above zero, or a run has a step twice.
    """
    frame = table.copy() if isinstance(table, pd.DataFrame) else read_table(Path(table))
    found: dict[str, str] = {}
    for text in map(str, frame.columns):
        header = Header(text)
        name = _NAME_OF.get(header.key) or ("loss" if header.canonical == "loss" else None)
        if name is None or found.get(name) == name:
            continue
        if name in found and text != name:
            raise DataError(f"the headers {found[name]!r} and {text!r} can both be {name}: rename or drop one")
        found[name] = text
    if missing := [name for name in ("step", "loss") if name not in found]:
        headers = ", ".join(map(repr, frame.columns))
        raise DataError(
            f"a training curve has a step and a loss in each row; no {' and '.join(missing)} among {headers}"
        )
    if (units := Header(found["loss"]).loss_units) and "nats" not in units:
        raise DataError(
            f"the header {found['loss']!r} says {units[0]}, and a curve's loss is in nats per token: convert it"
        )
    if frame.empty:
        raise DataError("the table has no checkpoints; it needs at least one row below its headers")
    rows = [f"row {i}" for i in range(1, len(frame) + 1)]
    made: dict[str, Any] = {}
    for name, text in found.items():
        cells = frame[text].to_numpy()
        if name == "run":
            made[name] = cells.astype(str)
            continue
        there = np.ones(len(cells), dtype=bool)
        if name == "loss":
            there = np.array([not (pd.isna(cell) or str(cell).strip() == "") for cell in cells])
        made[name] = np.full(len(cells), np.nan)
        if there.any():
            labels = [row for row, kept in zip(rows, there, strict=True) if kept]
            made[name][there] = numbers(cells[there], text, labels)
            if name != "lr":
                check_numbers(text, made[name][there], labels)
    curves = pd.DataFrame(made)
    keys = [name for name in ("run", "n_params") if name in curves]
    if (twice := curves.duplicated([*keys, "step"])).any():
        row = int(np.flatnonzero(twice)[0])
        raise DataError(
            f"{rows[row]}: step {curves['step'][row]:g} is there twice; a table of several curves needs a column run "
            "that tells them apart"
        )
    return curves.sort_values([*keys, "step"], ignore_index=True)


def checkpoints(
    table: pd.DataFrame | str | Path,
    schedule: Schedule | str | Mapping[str, Schedule | str] | None = None,
    *,
    n_params: Any = None,
    warmup: Any = None,
    points: int = POINTS,
    memory: float = MEMORY,
    name: str | None = None,
) -> Observations:
    """Take points of training curves as what a law of learning curves needs, and say what was taken.

    A checkpoint is no finished run: its loss depends on how much learning there was, S, and on how far the learning
    rate has come down, x (`Schedule.peak_steps`, `Schedule.cooling`). Each curve becomes at most ``points`` rows, the
    geometric means of loss, S and x in bins even in the change of log S and log x: neighbouring checkpoints err alike,
    and all of them together would count as far more evidence than they are. What comes before 1.5 times the warm-up is
    left out.

    Parameters
    ----------
    table : DataFrame or path
        A row per checkpoint: step, loss (nats per token); run, where there are several curves; n_params and lr, where
        not given otherwise. Rows without a loss are of steps to come, and say with lr what the schedule will be.
    schedule : Schedule, str or mapping of str to these, optional
        Of all curves, or of each by its run, as in `Schedule.parse`; without it the column lr says.
    n_params : float or str, optional
        The size of all of them, instead of a column.
    warmup : int or str, optional
        Steps of warm-up, of schedules that are read from the column lr; where its rows rise to the peak, they say it.
    points : int
        Rows of a curve, at most.
    memory : float
        Steps over which loss follows the learning rate.
    name : str, optional
        What to call the table.

    Returns
    -------
    Observations
        Columns peak_steps, cooling, loss, loss_se (0.15 % of loss: how far a smoothed curve is from the law), curve,
        step, and n_params where known.

    Raises
    ------
    DataError
        If a schedule is not known, or a curve has fewer than six checkpoints after warm-up.

    References
    ----------
    Tissue et al. 2024, arXiv:2408.11029, for what a loss depends on along a schedule.

    Examples
    --------
    >>> import forescale as fs
    >>> step = np.arange(250, 10_001, 250)
    >>> table = pd.DataFrame({"step": step, "loss": 2.7 + 0.3 * (step / 1e4) ** -0.5})
    >>> runs = fs.checkpoints(table, "cosine:20000,warmup=1000", n_params="100M")
    >>> runs.table[["peak_steps", "cooling", "loss"]].round(2).iloc[[0, -1]].to_numpy().tolist()
    [[1000.24, 1.0, 3.47], [7852.06, 1.44, 3.01]]
    >>> runs.notes[0]
    'Of checkpoints, 12 points are means of 35 at steps 1,500 to 10,000; 5 before step 1,500 are left out.'
    """
    curves = read_curves(table)
    if n_params is not None:
        curves["n_params"] = parse_quantity(n_params)
    title = name or ("checkpoints" if isinstance(table, pd.DataFrame) else Path(table).stem)
    blocks, notes = [], []
    for label, curve in single(curves, title).items():
        given = schedule.get(label) if isinstance(schedule, Mapping) else schedule
        plan = schedule_of(curve, given, label, warmup)
        taken, note = thinned(curve[curve["loss"].notna()], plan, points=points, memory=memory, name=label)
        names = {"curve": label, "run": [f"{label}@{step:.0f}" for step in taken["step"]]}
        blocks.append(taken.assign(**names, **{key: curve[key].iloc[0] for key in ("n_params",) if key in curve}))
        notes.append(note)
    made = pd.concat(blocks, ignore_index=True)
    return Observations({str(column): made[column].to_numpy() for column in made}, title, notes=tuple(notes))


def single(curves: pd.DataFrame, title: str) -> dict[str, pd.DataFrame]:
    """The curves of a table by what they are called: the run, and the size where runs of several share a name."""
    keys = [name for name in ("run", "n_params") if name in curves]
    if not keys:
        return {title: curves}
    shared = len(keys) == 2 and curves.groupby("run")["n_params"].nunique().gt(1).any()
    parts = {}
    for _, curve in curves.groupby(keys, sort=True):
        run = str(curve["run"].iloc[0]) if "run" in keys else title
        size = f" at {format_quantity(curve['n_params'].iloc[0])}" if shared or "run" not in keys else ""
        parts[run + size] = curve.reset_index(drop=True)
    return parts if len(parts) > 1 or "run" in keys else {title: curves}


def schedule_of(curve: pd.DataFrame, given: Schedule | str | None, name: str, warmup: Any = None) -> Schedule:
    """The schedule of a curve: what is given, or what its column lr says.

    Raises
    ------
    DataError
        If neither is there.
    """
    if given is not None:
        return Schedule.parse(given) if isinstance(given, str) else given
    if "lr" not in curve or curve["lr"].isna().any():
        raise DataError(
            f"the learning rates of {name} are not known, and without them a checkpoint cannot be told from a finished "
            "run: give a schedule, such as 'cosine:24000,warmup=2000,final=0.1', or a column lr"
        )
    return Schedule.from_table(curve["step"], curve["lr"], warmup=warmup)


def thinned(
    curve: pd.DataFrame, schedule: Schedule, *, points: int, memory: float, name: str
) -> tuple[pd.DataFrame, str]:
    """Means in bins of a curve: step, peak_steps, cooling, loss; and a sentence that says so.

    Raises
    ------
    DataError
        If fewer than six checkpoints come after the warm-up, or there are too few points.
    """
    if points < FEWEST:
        raise DataError(f"a curve is thinned to {FEWEST} points or more, not {points}")
    first = SETTLED * schedule.warmup
    seen = curve[curve["step"] >= first]
    if len(seen) < FEWEST:
        raise DataError(
            f"{name} has {len(seen)} checkpoints from step {first:,.0f} on, {SETTLED} times its warm-up of "
            f"{schedule.warmup:,} steps, and {FEWEST} are needed: what comes before does not tell how it goes on. Wait "
            "for more, or evaluate more often"
        )
    step = seen["step"].to_numpy()
    values = {
        "step": step,
        "peak_steps": schedule.peak_steps(step),
        "cooling": schedule.cooling(step, memory),
        "loss": seen["loss"].to_numpy(dtype=float),
    }
    moved = np.abs(np.diff(np.log([values["peak_steps"], values["cooling"]]), axis=1)).sum(axis=0)
    way = np.append(0.0, np.cumsum(moved))
    bins = np.searchsorted(np.linspace(0, way[-1], min(points, len(seen)) + 1)[1:-1], way, side="right")
    means = pd.DataFrame({key: np.log(value) for key, value in values.items()}).groupby(bins).mean()
    taken = pd.DataFrame({key: np.exp(means[key].to_numpy()) for key in means})
    taken["loss_se"] = MISFIT * taken["loss"]
    left = len(curve) - len(seen)
    note = f"Of {name}, {len(taken)} points are means of {len(seen)} at steps {step[0]:,.0f} to {step[-1]:,.0f}"
    return taken, note + (f"; {left} before step {first:,.0f} are left out." if left else ".")
