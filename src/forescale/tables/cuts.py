"""Which runs are fitted and which are held out: masks and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.errors import DataError
from forescale.tables.observations import Observations
from forescale.units import format_quantity, parse_quantity

#: Automatic cuts leave these shares of the runs, in the order of the column, to be fitted.
SHARES = (0.4, 0.55, 0.7, 0.85)
#: So many more runs than parameters are left to be fitted, where cuts are automatic.
SPARE = 2


@dataclass(frozen=True)
class Cut:
    """A table divided in two.

    Attributes
    ----------
    label : str
        What is fitted, or what is held out, in a few words: "120 runs, flops up to 1e21", "without family Pythia".
    fitted : tuple of bool
        For each run of the table, whether it is fitted; the others are held out.
    """

    label: str
    fitted: tuple[bool, ...]

    def split(self, runs: Observations) -> tuple[Observations, Observations]:
        """The runs fitted and the runs held out."""
        mask = np.array(self.fitted)
        return runs.where(mask), runs.where(~mask)


def make_cuts(
    runs: Observations, by: str, at: Any = None, *, n_parameters: int = 0, within: str | None = None
) -> list[Cut]:
    """Divide a table, once for each value of a column.

    In a column of numbers, runs up to a value are fitted and those beyond are held out. In a column of text, the
    runs of one label are held out and all others are fitted.

    Parameters
    ----------
    runs : Observations
        The table.
    by : str
        A column of it.
    at : value or sequence of values, optional
        Values to cut at (numbers, or quantities such as "1e21" and "7B"), or labels to hold out. By default, of
        numbers the quantiles at `SHARES`, of text every label.
    n_parameters : int
        Automatic cuts leave at least `SPARE` runs more than so many to be fitted.
    within : str, optional
        A column of text, such as family: the runs of each of its labels are cut by themselves, in turn, and all runs
        of the others are fitted. Labels that cannot be cut so are passed over.

    Returns
    -------
    list of Cut
        In the order of ``at``, without repetition; automatic ones ascending.

    Raises
    ------
    DataError
        If there is no such column, or a value leaves nothing to fit or nothing to hold out, or the table is too
        small to be cut.
    """
    if within is not None:
        return _within(runs, by, at, n_parameters, runs.labels(within))
    if by not in runs.columns:
        raise DataError(f"{runs.name!r} has no column {by!r} to cut by; it has {', '.join(runs.columns)}")
    cut = _up_to if runs.columns[by].dtype.kind == "f" else _without
    if at is not None:
        values = [at] if isinstance(at, str) or not isinstance(at, Iterable) else list(at)
        if not values:
            raise DataError(f"there are no values of {by} to cut at; leave cuts= out for automatic ones")
        return _distinct([cut(runs, by, value) for value in values])
    least = n_parameters + SPARE
    places: list[Any] = _quantiles(runs.column(by), least) if cut is _up_to else np.unique(runs.labels(by)).tolist()
    cuts = [made for made in (cut(runs, by, value) for value in places) if sum(made.fitted) >= least]
    if not cuts:
        raise DataError(
            f"{runs.name!r} has {len(runs)} runs with {len(np.unique(runs.columns[by]))} values of {by}: no cut leaves "
            f"{least} runs to fit ({SPARE} more than the largest model has parameters) and a run to hold out. Try "
            "models of fewer parameters, another column, or cuts of your own"
        )
    return _distinct(cuts)


def _within(runs: Observations, by: str, at: Any, n_parameters: int, labels: NDArray[np.str_]) -> list[Cut]:
    """Cut each label's runs, and fit all others."""
    cuts: list[Cut] = []
    why = DataError(f"{runs.name!r} has no runs")
    for label in np.unique(labels):
        mine = labels == label
        try:
            found = make_cuts(runs.where(mine), by, at, n_parameters=n_parameters)
        except DataError as error:
            why = error
            continue
        for cut in found:
            fitted = ~mine
            fitted[mine] = cut.fitted
            cuts.append(Cut(f"{label}: {cut.label}", tuple(fitted.tolist())))
    if not cuts:
        raise why
    return cuts


def _up_to(runs: Observations, by: str, value: Any) -> Cut:
    """Fit what is at most a value, hold out what is beyond."""
    values, most = runs.column(by), parse_quantity(value)
    if not values.min() <= most < values.max():
        lost = "fit" if most < values.min() else "hold out"
        raise DataError(
            f"a cut of {runs.name!r} at {by} = {value} leaves nothing to {lost}: "
            f"its values are {format_quantity(values.min())} to {format_quantity(values.max())}"
        )
    fitted = values <= most
    return Cut(f"{fitted.sum()} runs, {by} up to {format_quantity(most)}", tuple(fitted.tolist()))


def _without(runs: Observations, by: str, value: Any) -> Cut:
    """Hold out a label, fit the rest."""
    labels = runs.labels(by)
    held = labels == str(value)
    if held.all() or not held.any():
        there = ", ".join(np.unique(labels).tolist()[:8])
        raise DataError(f"{by} = {value!r} of {runs.name!r} is {'all' if held.all() else 'none'} of its runs: {there}")
    return Cut(f"without {by} {value}", tuple((~held).tolist()))


def _quantiles(values: NDArray[np.float64], least: int) -> list[float]:
    """Values below the largest at which about `SHARES` of the runs, but no fewer than ``least``, are fitted."""
    ordered = np.sort(values)
    below = ordered[ordered < ordered[-1]]
    counts = {max(least, round(share * len(values))) for share in SHARES}
    return [float(below[min(count, len(below)) - 1]) for count in sorted(counts)] if len(below) else []


def _distinct(cuts: list[Cut]) -> list[Cut]:
    """The first of those that fit the same runs."""
    return list({cut.fitted: cut for cut in reversed(cuts)}.values())[::-1]
