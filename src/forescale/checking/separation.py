"""Where estimates disagree about the compute-optimal split: by how much, from which compute on, and at what price."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

from forescale.checking.stacking import mixture
from forescale.estimates.draws import INTERVAL_KIND, Estimate, check_prob
from forescale.numbers.optimum import has_closed_form, log_optimal_size
from forescale.units import CostModel, format_quantity
from forescale.verbs.allocate import Allocation, allocate, law_values
from forescale.verbs.regret import Regret, regret

Array = NDArray[np.float64]

STACK = "stack"
_PER_DECADE = 10  # budgets of the scan in a decade of compute; over less, bands of log N* are all but straight
_COLUMNS = ["first", "second", "larger", "flops_from", "flops_to"]
_SHOWN = 3  # budgets in a repr
_WIDTH = 80


@dataclass(frozen=True, eq=False)
class Disagreement:
    """What estimates say of the optimal split, each beside the others.

    Attributes
    ----------
    sources : mapping of str to Estimate
        Estimates of laws of n_params and n_tokens, by name; there may be none.
    allocations : mapping of str to Allocation
        The optimal split of budgets by each source, and by the ``stack`` of the weighted ones.
    regrets : mapping of (str, str) to Regret
        By (followed, true): the price of the median optimal size of the first if the second is true.
    cost : CostModel
        What training is taken to cost.
    between : (float, float)
        The compute, in FLOPs, between which it is looked for where bands separate.
    """

    sources: Mapping[str, Estimate]
    allocations: Mapping[str, Allocation]
    regrets: Mapping[tuple[str, str], Regret]
    cost: CostModel
    between: tuple[float, float]

    def allocation(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the optimal split: a row per source, budget and quantity; see `Allocation.table`."""
        return together({(name,): part.table(prob) for name, part in self.allocations.items()}, "source")

    def regret(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the price of following one if another is true, at each budget; see `Regret.table`.

        Following oneself has a price too, that of not knowing one's own parameters.
        """
        return together({pair: part.table(prob) for pair, part in self.regrets.items()}, "followed", "true")

    def separation(self, prob: float = 0.9) -> pd.DataFrame:
        """Ranges of compute in which bands of N* of two sources do not meet; see `separations`."""
        return separations(self.sources, self.cost, self.between, prob)

    @cached_property
    def lines(self) -> tuple[str, ...]:
        """What a person reads: sizes, where their bands separate, and prices."""
        return (*_size_lines(self), *_separation_lines(self), *_regret_lines(self)) if self.sources else ()


def disagree(
    sources: Mapping[str, Estimate],
    weights: Mapping[str, float],
    flops: Array,
    cost: CostModel,
    between: tuple[float, float],
    seed: int,
) -> Disagreement:
    """Split budgets by each source and by the stack of those with weights, and price each plan by each source."""
    allocations = {name: replace(allocate(source, flops, cost=cost), source=name) for name, source in sources.items()}
    if weights:
        draws = mixture({name: allocations[name].draws for name in weights}, weights, seed)
        allocations[STACK] = Allocation(STACK, "a mixture", cost.name, draws)
    regrets = {}
    for followed, plan in allocations.items():
        sizes = plan.draws["n_params"].median(("chain", "draw")).to_numpy()
        for true, source in sources.items():
            price = regret(source, flops, n_params=sizes, cost=cost)
            regrets[followed, true] = replace(price, source=true, plan=f"the median optimal n_params of {followed}")
    return Disagreement(sources, allocations, regrets, cost, between)


def separations(
    sources: Mapping[str, Estimate], cost: CostModel, between: tuple[float, float], prob: float
) -> pd.DataFrame:
    """Find the ranges of compute in which the bands of N* of two sources have nothing in common.

    With [l, u] the equal-tailed band of log N*, ``l_first(C) - u_second(C)`` and ``l_second(C) - u_first(C)`` are
    scanned at ten budgets a decade; where one changes its sign, Brent's method finds the root.

    Parameters
    ----------
    sources : mapping of str to Estimate
        By name, estimates of laws of n_params and n_tokens.
    cost : CostModel
        What training costs.
    between : (float, float)
        The least and the most compute looked at, in FLOPs.
    prob : float
        Probability mass of the bands.

    Returns
    -------
    pandas.DataFrame
        A row per pair and range: first, second, larger (the one that asks for the larger model), flops_from,
        flops_to, prob, interval. A range is cut off at the ends of ``between``. A pair whose bands meet everywhere
        has one row, without ``larger`` and with NaN.
    """
    decades = np.log10(between[1] / between[0])
    grid = np.geomspace(*between, max(2, 1 + int(np.ceil(_PER_DECADE * decades))))
    bands = {name: _bands(source, cost, prob) for name, source in sources.items()}
    scans = {name: band(grid) for name, band in bands.items()}
    rows: list[tuple[Any, ...]] = []
    for first, second in combinations(sources, 2):
        found: list[tuple[Any, ...]] = []
        for larger, smaller in ((first, second), (second, first)):
            lower, upper = bands[larger], bands[smaller]

            def gap(flops: float, lower: Bands = lower, upper: Bands = upper) -> float:
                at = np.array([flops])
                return float(lower(at)[0, 0] - upper(at)[1, 0])

            with np.errstate(invalid="ignore"):  # two infinities
                scan = scans[larger][0] - scans[smaller][1]
            found += [(larger, start, end) for start, end in _where_positive(gap, grid, scan)]
        found.sort(key=lambda row: row[1])
        rows += [(first, second, *row) for row in found or [(None, np.nan, np.nan)]]
    return pd.DataFrame(rows, columns=_COLUMNS).assign(prob=prob, interval=INTERVAL_KIND)


#: From budgets, shape (budget,), to the lower and upper ends of a band of log N*, shape (2, budget).
Bands = Callable[[Array], Array]


def _bands(source: Estimate, cost: CostModel, prob: float) -> Bands:
    """The band of log N* at any budgets; infinite or NaN where the draws have no optimum."""
    tail = (1 - check_prob(prob)) / 2
    values, closed = law_values(source), has_closed_form(source.law, cost)

    def at(flops: Array) -> Array:
        sizes = log_optimal_size(source.law, cost, np.log(flops), values, closed=closed)
        with np.errstate(invalid="ignore"):  # between two infinities
            return np.quantile(sizes, [tail, 1 - tail], axis=(0, 1))

    return at


def _where_positive(function: Callable[[float], float], grid: Array, scan: Array) -> Iterator[tuple[float, float]]:
    """Yield the ranges in which a continuous function is above zero, given its values on a grid; NaN is not above."""
    start = float(grid[0]) if scan[0] > 0 else None
    for (left, right), (before, after) in zip(pairwise(grid.tolist()), pairwise(scan.tolist()), strict=True):
        if (before > 0) == (after > 0):
            continue
        if np.isfinite(before) and np.isfinite(after):
            edge = float(brentq(function, left, right, xtol=1e-10 * left))
        else:  # no root to find where one side has no optimum
            edge = right if after > 0 else left
        if start is None:
            start = edge
        else:
            yield start, edge
            start = None
    if start is not None:
        yield start, float(grid[-1])


def together(tables: Mapping[tuple[str, ...], pd.DataFrame], *keys: str) -> pd.DataFrame:
    """Tables one below the other, each with its keys in front."""
    blocks = []
    for values, table in tables.items():
        whose = pd.DataFrame([values] * len(table), columns=list(keys), index=table.index)
        blocks.append(pd.concat([whose, table], axis=1))
    return pd.concat(blocks, ignore_index=True) if blocks else pd.DataFrame(columns=list(keys))


def grid_lines(rows: dict[str, dict[str, str]]) -> list[str]:
    """Lines of a table of text: a row per name, columns aligned on the right, further ones below where it is wide."""
    text = pd.DataFrame.from_dict(rows, orient="index").to_string(na_rep="-", line_width=_WIDTH)
    return ["  " + line.rstrip() for line in text.splitlines() if line.strip()]


def _size_lines(found: Disagreement) -> list[str]:
    table = found.allocation(0.9).query("quantity == 'n_params'")
    budgets = table["flops"].unique()
    rows: dict[str, dict[str, str]] = {name: {} for name in found.allocations}
    for row in table[table["flops"].isin(budgets[:_SHOWN])].to_dict("records"):
        middle, low, high = (format_quantity(row[end]) for end in ("median", "lower", "upper"))
        band = middle if row["lower"] == row["upper"] else f"{middle} [{low}, {high}]"
        rows[row["source"]][f"{format_quantity(row['flops'])} FLOPs"] = band
    left = len(budgets) - _SHOWN
    more = [f"  ... and {left} budgets more in .allocation()"] if left > 0 else []
    return [f"Optimal N, median [90 % {INTERVAL_KIND}], cost {found.cost.name}", *grid_lines(rows), *more]


def _separation_lines(found: Disagreement) -> list[str]:
    low, high = found.between
    lines = [f"Where these bands of N do not meet, {format_quantity(low)} to {format_quantity(high)} FLOPs"]
    for (first, second), ranges in found.separation(0.9).groupby(["first", "second"], sort=False):
        parts = []
        for row in ranges.dropna(subset="flops_from").to_dict("records"):
            words = [f"from {format_quantity(row['flops_from'])}"] if row["flops_from"] > low else []
            words += [f"up to {format_quantity(row['flops_to'])}"] if row["flops_to"] < high else []
            parts.append(f"{' '.join(words) or 'everywhere'} ({row['larger']} larger)")
        lines.append(f"  {first} and {second}: {', '.join(parts) or 'nowhere'}")
    return lines


def _regret_lines(found: Disagreement) -> list[str]:
    flops = next(iter(found.regrets.values())).draws["budget"].to_numpy()[:_SHOWN][-1]
    number = {name: str(i) for i, name in enumerate(found.allocations, start=1)}
    rows: dict[str, dict[str, str]] = {}
    for (followed, true), price in found.regrets.items():
        here = price.draws[["extra_loss", "wasted_compute"]].sel(budget=flops).median()
        text = f"{float(here['extra_loss']):.2g} ({float(here['wasted_compute']):.2g} %)"
        rows.setdefault(f"{number[followed]} {followed}", {})[number[true]] = text
    title = f"Price at {format_quantity(flops)} FLOPs of following the row if the column is true, medians:"
    return [title, "  extra loss in nats (compute wasted)", *grid_lines(rows)]
