"""What a report is about, and what several of its sections need, worked out once."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from forescale.checking.backtest import Backtest
from forescale.checking.compare import Comparison
from forescale.checking.score_frozen import FrozenScores
from forescale.decisions.near_optimal import NearOptimal, near_optimal
from forescale.decisions.plan import Plan, plan
from forescale.errors import ForescaleError, ForescaleWarning
from forescale.estimates.draws import INTERVAL_KIND, Estimate, is_single
from forescale.estimates.fit import Fit
from forescale.estimates.hold import Held, hold
from forescale.numbers.budgets import POOL, Array
from forescale.pages import words
from forescale.tables.observations import Observations
from forescale.units import CostModel
from forescale.verbs.allocate import Allocation, allocate
from forescale.verbs.forecast import CURVE, Forecast, forecast

_PER_DECADE = 8  # embedded budgets in a decade of compute
_BEYOND = 10.0  # how far beyond the largest budget asked about they reach
_BELOW = 1e3  # and how far below the least, where there is no smallest run to begin with


@dataclass(frozen=True, eq=False)
class Question:
    """An estimate, and what is asked of it.

    Attributes
    ----------
    estimate : Estimate
        A fit, a published estimate or a bootstrap, of a law of n_params and n_tokens, or of these and unique_tokens.
    budgets : array, shape (budget,)
        Training compute in FLOPs, ascending.
    plans : pandas.DataFrame
        Runs that somebody has in mind: n_params and n_tokens, indexed by name; may be empty.
    cost : CostModel
        What training costs.
    prob : float
        Probability mass of all bands.
    backtest : Backtest or None
        Evidence for the bands.
    beside : Estimate, Comparison or None
        What to set beside the source.
    seed : int
        Of the noise of new runs.
    losses_asked : array or None
        Losses to be reached, in nats per token, where somebody has some in mind.
    demand : array or None
        Tokens that the model will serve, where somebody knows.
    unique_tokens : float or None
        How many different tokens there are, where the law knows that tokens repeat.
    frozen : FrozenScores or None
        How forecasts fared that were stated beforehand.
    """

    estimate: Estimate
    budgets: Array
    plans: pd.DataFrame
    cost: CostModel
    prob: float
    backtest: Backtest | None
    beside: Estimate | Comparison | None
    seed: int
    losses_asked: Array | None = None
    demand: Array | None = None
    unique_tokens: float | None = None
    frozen: FrozenScores | None = None

    @cached_property
    def source(self) -> Estimate:
        """The estimate as one of a law of n_params and n_tokens, which all verbs take."""
        return self.estimate if self.unique_tokens is None else hold(self.estimate, **self.pool)

    @property
    def fit(self) -> Fit | None:
        """The estimate, if it is a fit."""
        return self.estimate if isinstance(self.estimate, Fit) else None

    @property
    def pool(self) -> dict[str, float]:
        """The number of different tokens, for those who take inputs of the law by name; nothing where all are new."""
        return {} if self.unique_tokens is None else {POOL: self.unique_tokens}

    @property
    def runs(self) -> Observations | None:
        """The table that the estimate was fitted to, if it has one."""
        return getattr(self.estimate, "observations", None)

    @property
    def limited(self) -> float | None:
        """How many different tokens there are, if only so many."""
        return self.unique_tokens if self.pool and np.isfinite(self.pool[POOL]) else None

    def all_inputs(self, points: Mapping[str, Any]) -> dict[str, Any]:
        """Points of n_params and n_tokens with the law's other inputs, as they are held."""
        return self.source.at(points) if isinstance(self.source, Held) else dict(points)

    @property
    def counts_embeddings(self) -> bool | None:
        """Whether its N counts embedding parameters, where that is known."""
        return getattr(self.runs or self.estimate, "counts_embeddings", None)

    @property
    def single(self) -> bool:
        """Whether there is one draw only, so that no band has a width."""
        return is_single(self.source.posterior)

    @cached_property
    def spent(self) -> Array | None:
        """Compute of each run of the table, by the cost model."""
        runs = self.runs
        return None if runs is None else self.cost.flops(runs.column("n_params"), runs.column("n_tokens"))

    @property
    def largest(self) -> float:
        """The largest budget: where a report that shows one budget looks."""
        return float(self.budgets[-1])

    @cached_property
    def split(self) -> Allocation:
        """The best split of the budgets."""
        return self._split[0]

    @property
    def warned(self) -> list[str]:
        """What `allocate` warns of at these budgets: tokens that are used up, or nothing."""
        return self._split[1]

    @cached_property
    def _split(self) -> tuple[Allocation, list[str]]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ForescaleWarning)
            found = allocate(self.estimate, self.budgets, cost=self.cost, unique_tokens=self.unique_tokens)
        return found, [str(each.message) for each in caught]

    @cached_property
    def near(self) -> NearOptimal:
        """The set of nearly best sizes at each budget."""
        return near_optimal(self.source, self.budgets, cost=self.cost)

    @property
    def second(self) -> Estimate | None:
        """The estimate beside the source, where one was given or compared with it."""
        if not isinstance(self.beside, Comparison):
            return self.beside
        others = [each for each in self.beside.sources.values() if each.name != self.source.name]
        return others[0] if others else None

    @cached_property
    def planned(self) -> Plan | str:
        """The plan for the largest budget, or why there is none."""
        if self.fit is None:
            return f"a plan begins with runs, and {self.source.name} has none"
        try:
            return plan(self.fit, self.largest, cost=self.cost, unique_tokens=self.unique_tokens, random_seed=self.seed)
        except ForescaleError as error:
            return str(error)

    @cached_property
    def grid(self) -> Array:
        """Budgets of curves and of the interactive part, those asked about among them."""
        least = self.budgets[0] / _BELOW if self.spent is None else min(self.budgets[0], self.spent.min())
        low, high = np.floor(np.log10(least)), np.ceil(np.log10(_BEYOND * self.largest))
        steps = 10.0 ** np.linspace(low, high, round((high - low) * _PER_DECADE) + 1)
        clear = np.abs(np.log(steps[:, None] / self.budgets)).min(axis=1) > 1e-6
        return np.sort(np.append(steps[clear], self.budgets))

    @cached_property
    def knots(self) -> Array:
        """The grid, and between each two of its budgets one by which interpolation is judged."""
        return np.sort(np.append(self.grid, np.sqrt(self.grid[1:] * self.grid[:-1])))

    @cached_property
    def curve(self) -> Allocation:
        """The best split along the knots."""
        return allocate(self.source, self.knots, cost=self.cost)

    @cached_property
    def losses(self) -> Forecast:
        """Loss at the best split along the knots, and then of the plans.

        The best split is the median N*, and all the tokens that the budget pays for. One call for all, since the noise
        of a new run is drawn anew in each: whatever is said of a budget is said from the same draws.
        """
        sizes = self.curve.draws["n_params"].median(("chain", "draw")).to_numpy()
        best = pd.DataFrame({"n_params": sizes, "n_tokens": self.cost.n_tokens(self.knots, sizes)})
        return forecast(self.source, pd.concat([best, self.plans], ignore_index=True), random_seed=self.seed)

    def at(self, budgets: Any) -> Any:
        """Where budgets stand among the knots."""
        return np.abs(np.log(self.knots[:, None] / np.asarray(budgets))).argmin(axis=0)

    @property
    def after(self) -> str:
        """What the ends of a bracket are."""
        if self.single:
            return f"No bands: no usable uncertainty of {self.source.name} is known."
        return f"Median and, in brackets, the {words.percent(self.prob)} {INTERVAL_KIND} interval."

    @property
    def of_curve(self) -> str:
        """What the bands of a split are of."""
        return f"{self.after} Of kind mean: {CURVE}, without discrepancy or noise."
