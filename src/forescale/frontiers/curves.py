"""Training curves by size, their lower envelope, and the budgets at which a larger size takes over.

``curves()`` -> Curves is loss against compute for each size; ``switches()`` -> Switches is where the best size changes.
Hoffmann et al. 2022, approach 1, reads the best size at 1500 budgets, nearly all of which repeat their neighbours: with
K sizes on the envelope the curves say only where the K - 1 switches are, and that is what is kept here.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from forescale.errors import DataError
from forescale.tables.observations import Observations
from forescale.units import format_quantity

Array = NDArray[np.float64]

#: Spacing, in nats of compute, of the budgets at which curves are compared: far below what noise moves a switch.
STEP = 0.01
#: Stands for the log loss of a size where it has no curve.
_UNCOVERED = 1e3


@dataclass(frozen=True, eq=False)
class Curve:
    """Loss of one size against compute.

    Attributes
    ----------
    n_params : float
        The size, the geometric mean over the runs that count as it.
    log_flops, log_loss : ndarray, shape (points,)
        Points of the curve, in order of compute.
    """

    n_params: float
    log_flops: Array = field(repr=False)
    log_loss: Array = field(repr=False)

    def __call__(self, log_flops: Array) -> Array:
        """Log loss between its points, by monotone cubic interpolation; NaN beyond them."""
        return np.asarray(PchipInterpolator(self.log_flops, self.log_loss, extrapolate=False)(log_flops))


@dataclass(frozen=True, eq=False)
class Curves:
    """Training curves of a table, in order of size.

    Attributes
    ----------
    source : str
        The table they come from.
    curves : tuple of Curve
        A curve per size.
    left_out : pandas.DataFrame
        A row per size without a curve: n_params, runs, reason.
    """

    source: str
    curves: tuple[Curve, ...]
    left_out: pd.DataFrame = field(repr=False)

    def __repr__(self) -> str:
        points = sum(len(curve.log_flops) for curve in self.curves)
        sizes = [format_quantity(curve.n_params) for curve in self.curves]
        out = f"; {len(self.left_out)} sizes left out" if len(self.left_out) else ""
        return f"Curves of {self.source}: {len(sizes)} sizes {sizes[0]}..{sizes[-1]}, {points} points{out}"


@dataclass(frozen=True, eq=False)
class Switches:
    """Where the best size changes to a larger one.

    Attributes
    ----------
    source : str
        The table of runs.
    table : pandas.DataFrame
        A row per switch, in order of compute: flops, n_params_small, n_params_large (the sizes before and after).
    left_out : pandas.DataFrame
        A row per size or change of size that says nothing: n_params, flops (NaN for a size), reason.
    """

    source: str
    table: pd.DataFrame
    left_out: pd.DataFrame

    def __repr__(self) -> str:
        lines = [f"Switches of the best size of {self.source}: {len(self.table)}"]
        for row in self.table.to_dict("records"):
            small, large = format_quantity(row["n_params_small"]), format_quantity(row["n_params_large"])
            lines.append(f"  {row['flops']:.3g} FLOPs: {small} to {large}")
        lines += [f"  left out, {count}: {reason}" for reason, count in self.left_out["reason"].value_counts().items()]
        return "\n".join(lines)


def curves(runs: Observations, *, tolerance: float = 0.03, spacing: float = 1.8) -> Curves:
    """Put together loss against compute for sizes a factor apart, C = 6ND.

    Parameters
    ----------
    runs : Observations
        Runs with loss, n_params, and n_tokens or flops: checkpoints of one run of each size, or runs of different
        length.
    tolerance : float
        Sizes within so much of the smallest of them, relatively, count as one; so do budgets of one size, whose
        losses are then averaged in the log.
    spacing : float
        The least ratio of two sizes. Of sizes closer together those stay that have the most points in all.

    Returns
    -------
    Curves
        Sizes so far apart with two points or more, and what was left out.

    Raises
    ------
    DataError
        If the table has no sizes or no compute, or fewer than two sizes have curves.

    Notes
    -----
    Sizes are thinned because the curves of neighbours run together: noise of 0.3 % moves a switch between sizes 20 %
    apart by more than the distance to the next, so that switches are no longer separate observations. In simulations
    30 sizes give the exponent no better than 9 of them, and 90 % intervals that hold it in 68 % of tables, not 90 %.

    A checkpoint of a run whose learning rate has not come down stands above the run that would have ended there:
    switches of such curves come late, and by how much changes with size. Runs of different length, each with a
    schedule of its own, have no such lag.
    """
    if not (0 <= tolerance < 1 and spacing >= 1):
        raise DataError(
            "tolerance is a relative distance between 0 and 1, such as 0.03, and spacing a ratio of at least 1, such "
            f"as 1.8; given were {tolerance!r} and {spacing!r}"
        )
    table = runs.table
    missing = [
        name for name in ("n_params", "flops") if name not in table and not (name == "flops" and "n_tokens" in table)
    ]
    if missing:
        raise DataError(f"training curves need n_params, and n_tokens or flops; {runs.name!r} has no {missing[0]}")
    flops = 6.0 * table["n_params"] * table["n_tokens"] if "n_tokens" in table else table["flops"]
    log_size, log_flops, log_loss = (np.log(values.to_numpy()) for values in (table["n_params"], flops, table["loss"]))
    width = np.log1p(tolerance)
    found, left = [], []
    for members in _groups(log_size, width):
        size = float(np.exp(log_size[members].mean()))
        points = [members[same] for same in _groups(log_flops[members], width)]
        if len(points) < 2:
            left.append({"n_params": size, "runs": len(members), "reason": "one point is no curve"})
            continue
        means = [np.array([values[same].mean() for same in points]) for values in (log_flops, log_loss)]
        found.append(Curve(size, *means))
    kept = _spaced(found, spacing)
    if len(kept) < 2:
        raise DataError(
            f"{runs.name!r} has {len(found)} sizes with losses at two budgets or more (sizes within {tolerance:.0%} "
            f"count as one), {len(kept)} of them a factor of {spacing:g} apart; an envelope needs at least two. Give "
            "checkpoints, or runs of several lengths, of each size"
        )
    near = f"within a factor of {spacing:g} of sizes with more points in all"
    left += [
        {"n_params": curve.n_params, "runs": len(curve.log_flops), "reason": near}
        for curve in found
        if curve not in kept
    ]
    return Curves(runs.name, tuple(kept), pd.DataFrame(left, columns=["n_params", "runs", "reason"]))


def switches(given: Curves) -> Switches:
    """Find where the best size changes: the sequence of sizes, never falling, with the least log loss in all.

    At budgets evenly spread in the log, each size's log loss is read off its curve. The sequence that never returns
    to a smaller size and has the least sum is the lower envelope where curves are free of noise; where noise makes two
    curves cross back and forth, it changes once, where the crossings balance.

    Returns
    -------
    Switches
        Changes between two sizes that both have a curve on both sides of it; others, and sizes that are never best,
        are left out with the reason.
    """
    sizes = np.array([curve.n_params for curve in given.curves])
    low = min(curve.log_flops[0] for curve in given.curves)
    high = max(curve.log_flops[-1] for curve in given.curves)
    at = np.linspace(low, high, max(2, int(np.ceil((high - low) / STEP)) + 1))
    losses = np.array([curve(at) for curve in given.curves])
    at, losses = at[np.isfinite(losses).any(axis=0)], losses[:, np.isfinite(losses).any(axis=0)]
    best = lowest_rising_path(np.where(np.isfinite(losses), losses, _UNCOVERED))

    kept, left = [], []
    for index in np.flatnonzero(np.diff(best)):
        small, large = best[index], best[index + 1]
        flops = float(np.exp((at[index] + at[index + 1]) / 2))
        row = {"flops": flops, "n_params_small": sizes[small], "n_params_large": sizes[large]}
        if np.isfinite(losses[[small, large]][:, [index, index + 1]]).all():
            kept.append(row)
        else:
            without = sizes[large] if not np.isfinite(losses[large, index]) else sizes[small]
            left.append({"n_params": without, "flops": flops, "reason": "its curve ends before another's crosses it"})
    never = np.setdiff1d(np.arange(len(sizes)), best)
    left += [{"n_params": sizes[size], "flops": np.nan, "reason": "never the best size"} for size in never]
    left += [
        {"n_params": n, "flops": np.nan, "reason": why} for n, why in given.left_out[["n_params", "reason"]].to_numpy()
    ]
    return Switches(
        given.source,
        pd.DataFrame(kept, columns=["flops", "n_params_small", "n_params_large"]),
        pd.DataFrame(left, columns=["n_params", "flops", "reason"]),
    )


def lowest_rising_path(costs: Array) -> NDArray[np.intp]:
    """Rows, one for each column and never falling, with the least sum of costs.

    By dynamic programming: ``total[k, g] = costs[k, g] + min(total[:k + 1, g - 1])``.
    """
    total, came_from = costs[:, 0], np.empty(costs.shape, dtype=np.intp)
    for column in range(1, costs.shape[1]):
        lowest = np.minimum.accumulate(total)
        # The last row at which the running minimum was reached: staying is preferred to an equal change.
        came_from[:, column] = np.maximum.accumulate(np.where(total <= lowest, np.arange(len(total)), 0))
        total = costs[:, column] + lowest
    path = np.empty(costs.shape[1], dtype=np.intp)
    path[-1] = np.argmin(total)
    for column in range(costs.shape[1] - 1, 0, -1):
        path[column - 1] = came_from[path[column], column]
    return path


def _spaced(given: list[Curve], spacing: float) -> list[Curve]:
    """Curves of sizes at least so far apart that have the most points in all.

    By dynamic programming over sizes: the best choice that ends with a size is it and the best that ends far below.
    """
    log_size = np.log([curve.n_params for curve in given])
    choices: list[tuple[int, list[int]]] = []  # for each size the points of the best choice that ends with it, and it
    for last, curve in enumerate(given):
        below = [choices[size] for size in range(last) if log_size[size] <= log_size[last] - np.log(spacing) + 1e-9]
        points, sizes = max(below, key=lambda choice: choice[0], default=(0, []))
        choices.append((points + len(curve.log_flops), [*sizes, last]))
    _, best = max(choices, key=lambda choice: choice[0], default=(0, []))
    return [given[size] for size in best]


def _groups(values: Array, width: float) -> list[NDArray[np.intp]]:
    """Positions of values within ``width`` of the smallest of their group, in order."""
    order = np.argsort(values, kind="stable")
    groups: list[list[np.intp]] = []
    for position in order:
        if groups and values[position] <= values[groups[-1][0]] + width:
            groups[-1].append(position)
        else:
            groups.append([position])
    return [np.array(group) for group in groups]
