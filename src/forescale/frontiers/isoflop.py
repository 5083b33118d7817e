"""isoflop_groups() -> IsoFlop: which runs spent nearly the same compute, so that their sizes can be compared."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forescale.errors import DataError
from forescale.tables.observations import Observations
from forescale.units import CostModel, cost_model, format_quantity

Array = NDArray[np.float64]

#: Sizes closer than this, in nats of n_params, count as one: sizes read off a figure differ in their last digits.
_SAME_SIZE = 0.03
#: Rounding that a window of compute forgives.
_SLACK = 1e-9


@dataclass(frozen=True, eq=False)
class IsoFlop:
    """Runs by budget of compute, and the runs that belong to none.

    Attributes
    ----------
    source : str
        The table they come from.
    cost : CostModel
        What training is taken to cost.
    runs : pandas.DataFrame
        A row per run of a budget: run, n_params, n_tokens, flops (its own), loss, budget (FLOPs, the geometric
        mean over the budget's runs); by budget, then size.
    left_out : pandas.DataFrame
        A row per run of no budget: run, n_params, n_tokens, flops, loss, reason.
    """

    source: str
    cost: CostModel
    runs: pd.DataFrame = field(repr=False)
    left_out: pd.DataFrame = field(repr=False)

    @property
    def budgets(self) -> pd.DataFrame:
        """A row per budget: flops, runs, sizes, n_params_min, _max and _best, loss_min, bracketed."""
        middles = self.runs["budget"].unique()
        return pd.DataFrame([_profile(float(flops), self.runs[self.runs["budget"] == flops]) for flops in middles])

    def __repr__(self) -> str:
        lines = [f"IsoFLOP budgets of {self.source}: {len(self.runs)} runs in {self.runs['budget'].nunique()} budgets"]
        for row in self.budgets.to_dict("records"):
            small, large, best = (format_quantity(row[f"n_params_{which}"]) for which in ("min", "max", "best"))
            lines.append(
                f"  {format_quantity(row['flops'])} FLOPs: {row['runs']} runs, {row['sizes']} sizes {small}..{large}, "
                f"best {best}"
            )
        lines += [f"  left out, {count}: {reason}" for reason, count in self.left_out["reason"].value_counts().items()]
        return "\n".join(lines)


def isoflop_groups(
    runs: Observations,
    *,
    tolerance: float = 0.1,
    least: int = 3,
    bracketed: bool = True,
    cost: str | CostModel = "6ND",
) -> IsoFlop:
    """Group runs into budgets of nearly equal compute.

    Compute is ``C = cost(n_params, n_tokens)``. The window ``[C, (1 + tolerance)^2 C]`` that holds the most runs
    becomes a budget (of several, the narrowest), so that each run is within the tolerance of the window's middle;
    then the next among the runs that remain, and so on. Windows of too few sizes are left out. So are, unless asked
    otherwise, budgets whose lowest loss is at their smallest or largest size: they do not bracket their minimum,
    and where it lies would be read off the shape of other budgets' valleys.

    Parameters
    ----------
    runs : Observations
        Runs with loss and two of n_params, n_tokens and flops.
    tolerance : float
        How far, relatively, a run's compute may be from the middle of its budget.
    least : int
        The fewest different sizes that make a budget, at least 3. Sizes within 3 % count as one.
    bracketed : bool
        Whether to leave out budgets whose lowest loss is at their smallest or largest size (alone: a size inside
        with the same loss will do).
    cost : str or CostModel
        What training costs: "6ND", "6ND+attention", or a cost model with settings of its own.

    Returns
    -------
    IsoFlop
        Budgets, in order of compute, and what was left out and why.

    Raises
    ------
    DataError
        If sizes or compute are not in the table, or no budget remains; the message says what was found.

    Notes
    -----
    A budget at whose edge the lowest loss lies only by the luck of its noise is left out as well, and one that is
    there by right may stay. ``bracketed=False`` keeps all, which is right where the law of the valley is trusted
    beyond the sizes that were run.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, section 3.2, for isoFLOP profiles. How runs are grouped is ours.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.isoflop_groups(fs.load_dataset("hoffmann2022"), least=8)  # doctest: +ELLIPSIS
    IsoFLOP budgets of hoffmann2022: ... runs in ... budgets
      5.45e18 FLOPs: 13 runs, ... sizes 57.3M..552M, best 175M
    ...
    """
    if not 0 < tolerance < 1 or least < 3:
        raise DataError(
            f"budgets want a tolerance between 0 and 1 and at least 3 sizes; given were tolerance={tolerance!r} "
            f"and least={least!r}"
        )
    table, costs = _sized(runs, cost_model(cost)), cost_model(cost)
    found = _windows(np.log(table["flops"].to_numpy()), 2 * np.log1p(tolerance))
    budgets, left = [], []
    for members in found:
        rows = table.iloc[members].sort_values(["n_params", "loss"])
        middle = float(np.exp(np.log(rows["flops"]).mean()))
        row = _profile(middle, rows)
        if row["sizes"] < least:
            few = f"{row['sizes']} of at least {least} sizes within {tolerance:.0%} of its compute"
            left.append(rows.assign(reason=few))
        elif bracketed and not row["bracketed"]:
            left.append(rows.assign(reason=f"the best of {format_quantity(middle)} FLOPs is at the edge of its sizes"))
        else:
            budgets.append(rows.assign(budget=middle))
    if not budgets:
        raise DataError(_nothing_found(runs.name, table, left, tolerance, least))
    empty = table.iloc[:0].assign(reason="")
    return IsoFlop(
        runs.name,
        costs,
        pd.concat(budgets).sort_values("budget", kind="stable", ignore_index=True),
        pd.concat([*left, empty]).sort_values(["flops", "run"], ignore_index=True),
    )


def distinct_sizes(log_params: Array) -> int:
    """How many sizes there are, when those within 3 % of the smallest of them count as one."""
    count, start = 0, -np.inf
    for size in np.sort(log_params):
        if size > start + _SAME_SIZE:
            count, start = count + 1, size
    return count


def _windows(log_compute: Array, width: float) -> list[NDArray[np.intp]]:
    """Positions of runs, by window of at most ``width``: the fullest first, of those the narrowest, then the next."""
    left = np.argsort(log_compute, kind="stable")
    found = []
    while len(left):
        here = log_compute[left]
        ends = np.searchsorted(here, here + width + _SLACK)
        counts = ends - np.arange(len(here))
        fullest = np.flatnonzero(counts == counts.max())
        first = fullest[np.argmin(here[ends[fullest] - 1] - here[fullest])]
        found.append(left[first : ends[first]])
        left = np.delete(left, slice(first, ends[first]))
    return found


def _profile(budget: float, rows: pd.DataFrame) -> dict[str, float | bool]:
    """What there is to say of a budget."""
    sizes, loss = np.log(rows["n_params"].to_numpy()), rows["loss"].to_numpy()
    inside = (sizes > sizes.min() + _SAME_SIZE) & (sizes < sizes.max() - _SAME_SIZE)
    bracketed = bool(inside.any() and loss[inside].min() <= loss.min())
    best = rows["n_params"].to_numpy()[inside & (loss == loss.min()) if bracketed else loss == loss.min()]
    return {
        "flops": budget,
        "runs": len(rows),
        "sizes": distinct_sizes(sizes),
        "n_params_min": float(rows["n_params"].min()),
        "n_params_max": float(rows["n_params"].max()),
        "n_params_best": float(best[0]),
        "loss_min": float(loss.min()),
        "bracketed": bracketed,
    }


def _sized(runs: Observations, cost: CostModel) -> pd.DataFrame:
    """The table's runs with all three sizes, compute being what the cost model says of the other two."""
    has = set(runs.columns)
    if not ({"n_params", "n_tokens"} <= has or {"n_params", "flops"} <= has or {"n_tokens", "flops"} <= has):
        raise DataError(
            f"isoFLOP budgets need two of n_params, n_tokens and flops for each run; {runs.name!r} has "
            f"{', '.join(runs.columns)}"
        )
    table = runs.table
    if "n_params" not in has:
        table["n_params"] = cost.n_params(table["flops"], table["n_tokens"])
    if "n_tokens" not in has:
        table["n_tokens"] = cost.n_tokens(table["flops"], table["n_params"])
    table["flops"] = cost.flops(table["n_params"], table["n_tokens"])
    return table[["run", "n_params", "n_tokens", "flops", "loss"]]


def _nothing_found(name: str, table: pd.DataFrame, left: list[pd.DataFrame], tolerance: float, least: int) -> str:
    flops = table["flops"]
    fullest = max(left, key=lambda rows: distinct_sizes(np.log(rows["n_params"].to_numpy())))
    sizes = distinct_sizes(np.log(fullest["n_params"].to_numpy()))
    edge = sum(rows["reason"].iloc[0].startswith("the best") for rows in left)
    said = (
        f"{name!r} has no isoFLOP budget: of its {len(table)} runs, {flops.min():.3g} to {flops.max():.3g} FLOPs, the "
        f"most sizes within {tolerance:.0%} of one compute are {sizes}, near {fullest['flops'].median():.3g} FLOPs; "
        f"at least {least} are wanted, the best of them not at the edge. "
    )
    if edge:
        return said + (
            f"{edge} budgets have sizes enough, but their lowest loss is at the smallest or largest: run sizes beyond, "
            "or take them as they are with bracketed=False"
        )
    return said + "Try a larger tolerance, or train more sizes with the same compute"
