"""plan() -> Plan: one budget, from the runs that there are to what to train, to expect, to fear, and to try first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from forescale.belief.drift import decades_outside
from forescale.decisions.near_optimal import NearOptimal, near_optimal
from forescale.decisions.next_runs import NextRuns, next_runs
from forescale.decisions.returns import BEST, ReturnsToScale, returns
from forescale.errors import DataError, ModelError
from forescale.estimates.fit import Fit
from forescale.numbers.budgets import POOL, Array, Quantity, check_splits, positive, with_pool
from forescale.units import CostModel, cost_model
from forescale.verbs.allocate import Allocation, allocate
from forescale.verbs.forecast import Forecast, forecast
from forescale.verbs.regret import Regret, regret
from forescale.verbs.sensitivity import Sensitivity, sensitivity

#: What small runs may cost before the budget is spent, as a share of it.
FIRST = 0.01
#: By what the size may be missed: what it would cost to train a model half or twice as large.
MISSED = (0.5, 2.0)
_SIZES, _RATIOS = 7, (5.0, 20.0, 80.0)
_EPOCHS = (1.0, 4.0, 16.0)  # of candidates, where tokens repeat
_BEYOND = 2.0  # how far beyond the sizes of the runs fitted candidates may reach: a factor


@dataclass(frozen=True, eq=False)
class Plan:
    """What a fit says of one budget.

    Attributes
    ----------
    source : str
        The fit.
    flops : float
        The budget.
    split : Allocation
        The best split, with its bands.
    near : NearOptimal
        All sizes that are nearly best.
    run : mapping of str to float
        The law's inputs of the run that is planned: ``n_params``, the median N*; ``n_tokens``, all that it leaves money
        for; and ``unique_tokens`` where the law knows of them, at most those.
    expected : Forecast
        The loss of that run.
    decades : float
        How far it is from the convex hull of the runs fitted, in decades of their inputs.
    more : ReturnsToScale
        What ten times the budget would buy.
    hangs_on : Sensitivity
        Which parameters N* hangs on.
    missed : Regret
        What it costs to train a model half or twice as large, at the same budget; entries of ``budget`` in this order.
    first : NextRuns
        Small runs to do before, by what they tell of N*.
    """

    source: str
    flops: float
    split: Allocation = field(repr=False)
    near: NearOptimal = field(repr=False)
    run: Mapping[str, float]
    expected: Forecast = field(repr=False)
    decades: float
    more: ReturnsToScale = field(repr=False)
    hangs_on: Sensitivity = field(repr=False)
    missed: Regret = field(repr=False)
    first: NextRuns = field(repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Every band of the plan.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per quantity: part (split, loss, more, half the size, twice the size), quantity, median, lower, upper,
            prob, interval.
        """
        columns = ["quantity", "median", "lower", "upper", "prob", "interval"]
        split, gained = self.split.table(prob), self.more.table(prob)
        priced = self.missed.table(prob)
        parts = {
            "split": split,
            "loss": self.expected.table(prob).rename(columns={"kind": "quantity"}),
            "more": gained[gained["more"] == BEST],
            "half the size": priced.iloc[: len(priced) // 2],
            "twice the size": priced.iloc[len(priced) // 2 :],
        }
        rows = [rows[columns].assign(part=part) for part, rows in parts.items()]
        return pd.concat(rows, ignore_index=True)[["part", *columns]]

    def risks(self, prob: float = 0.9) -> list[str]:
        """What could go wrong, in sentences.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed intervals.

        Returns
        -------
        list of str
            How far the run is from those fitted, the loss that one run in so many exceeds, what it costs to miss the
            size, and what the size hangs on.
        """
        expected, missed = self.expected.table(prob), self.missed.table(prob)
        worst = expected[expected["kind"] == "run"]["upper"].iloc[0]
        prices = missed[missed["quantity"] == "wasted_compute"].to_dict("records")
        told = zip(("half", "twice"), prices, strict=True)
        beyond = (
            f"The run is {self.decades:.1f} decades beyond the runs fitted; the discrepancy in the band of a new run "
            f"is {self.expected.discrepancy}."
            if self.decades
            else "The run lies among the runs fitted."
        )
        return [
            beyond,
            f"One run in {round(2 / (1 - prob))} would end above {worst:.3f} nats.",
            *(
                f"A model of {what} the size wastes {row['median']:.2g} [{row['lower']:.2g}, {row['upper']:.2g}] % of "
                "the budget."
                for what, row in told
            ),
            f"{self.hangs_on.sentence()}.".replace("at", "At", 1),
        ]

    def __repr__(self) -> str:
        return "\n".join(
            [
                f"Plan for {self.flops:.6g} FLOPs by {self.source}",
                repr(self.split),
                repr(self.near),
                repr(self.expected),
                repr(self.first),
            ]
        )


def plan(
    fit: Fit,
    budget: Quantity,
    *,
    first: float = FIRST,
    candidates: pd.DataFrame | None = None,
    cost: str | CostModel = "6ND",
    unique_tokens: Quantity | None = None,
    random_seed: int | np.random.Generator | None = None,
) -> Plan:
    """Plan one budget: what to train, what to expect, what could go wrong, which small runs to add first.

    The planned run has the median N* and ``D = D(C, N*)``. Candidates for small runs are, unless others are given,
    seven sizes evenly spread in log N over those of the runs fitted and a factor of two beyond, with 5, 20 and 80
    tokens per parameter, as far as tokens reach no further beyond those of the runs and each costs no more than all
    may cost together; where tokens repeat, for 1, 4 and 16 epochs of no more different tokens than there are. Of noise
    that is known by standard errors alone, runs to come have the median of those fitted.

    Parameters
    ----------
    fit : Fit
        Of a law of n_params and n_tokens.
    budget : float or str
        Training compute in FLOPs.
    first : float
        What the small runs may cost together, as a share of the budget.
    candidates : DataFrame, optional
        The law's inputs of small runs to choose from.
    cost : str or CostModel
        What training costs.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat: how many different ones there are; see `allocate`.
    random_seed : int, Generator or None
        Seed of the noise of the planned run.

    Returns
    -------
    Plan
        The answers of `allocate`, `near_optimal`, `forecast`, `returns`, `sensitivity`, `regret` and `next_runs`.

    Raises
    ------
    DataError
        If the budget is not one number above zero, or its share pays for no candidate.
    ModelError
        If it is no fit of runs, the law splits no compute, or draws have no optimum; see `allocate`.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, section 3, for the question; the verbs above for the answers.

    Examples
    --------
    >>> import forescale as fs
    >>> fit = fs.load_fit("fit.nc")  # doctest: +SKIP
    >>> fs.plan(fit, "1e24").table(prob=0.9)  # doctest: +SKIP
    """
    runs = getattr(fit, "observations", None)
    if runs is None:
        raise ModelError(f"a plan begins with runs, and {fit.name} has none: fit() a table, and plan with that")
    law, pool = with_pool(fit.law, unique_tokens)
    check_splits(law)
    costs, flops = cost_model(cost), positive("budget", budget)
    if len(flops) != 1:
        raise DataError(f"a plan is for one budget; {len(flops)} were given. allocate() takes several")
    if not 0 < first <= 1:
        raise DataError(
            f"first is the share of the budget that small runs may cost, above 0 and at most 1, not {first!r}"
        )
    given: dict[str, Any] = {"cost": costs, "unique_tokens": unique_tokens}
    held: dict[str, Any] = {} if pool is None else {POOL: pool}  # to those who take the law's inputs by name
    split = allocate(fit, flops, **given)
    size = float(split.draws["n_params"].median())
    run = {"n_params": size, "n_tokens": float(costs.n_tokens(flops[0], size))}
    if pool is not None:
        run[POOL] = min(pool, run["n_tokens"])
    fitted = {name: runs.column(name) for name in run}
    spare = first * float(flops[0])
    usual = {"loss_se": float(np.median(runs.column("loss_se")))} if fit.noise.needs_se else {}
    grid = _grid(fitted, costs, spare, pool).assign(**usual) if candidates is None else candidates
    return Plan(
        source=fit.name,
        flops=float(flops[0]),
        split=split,
        near=near_optimal(fit, flops, **given),
        run=run,
        expected=forecast(fit, {**run, **usual}, random_seed=random_seed),
        decades=float(decades_outside(fitted, {name: np.array([at]) for name, at in run.items()}, tuple(run))[0]),
        more=returns(fit, compute=flops, **given),
        hangs_on=sensitivity(fit, "n_params", compute=flops, cost=costs, **held),
        missed=regret(fit, np.repeat(flops, len(MISSED)), n_params=size * np.array(MISSED), **given),
        first=next_runs(fit, grid, "n_params", compute=flops, budget=spare, cost=costs, **held),
    )


def _grid(fitted: dict[str, Array], cost: CostModel, most: float, pool: float | None) -> pd.DataFrame:
    """Candidates in and a little beyond the range of the runs, that the money for small runs pays for one by one."""
    low, high = fitted["n_params"].min(), _BEYOND * fitted["n_params"].max()
    epochs = (1.0,) if pool is None else _EPOCHS
    axes = np.meshgrid(np.geomspace(low, high, _SIZES), _RATIOS, epochs, indexing="ij")
    n_params, ratio, times = (axis.ravel() for axis in axes)
    n_tokens = ratio * n_params
    tokens = fitted["n_tokens"]
    useful = (cost.flops(n_params, n_tokens) <= most) & (n_tokens >= tokens.min() / _BEYOND)
    useful &= (n_tokens <= tokens.max() * _BEYOND) & (n_tokens / times <= (np.inf if pool is None else pool))
    if not useful.any():
        raise DataError(
            f"{most:.6g} FLOPs pay for no run between {low:.3g} and {high:.3g} parameters: give a larger share of the "
            "budget (first=), or candidates of your own"
        )
    columns = {"n_params": n_params, "n_tokens": n_tokens} | ({} if pool is None else {POOL: n_tokens / times})
    return pd.DataFrame({name: values[useful] for name, values in columns.items()})
