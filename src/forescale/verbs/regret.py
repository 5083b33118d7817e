"""regret() -> Regret: what training at a stated split costs, against the optimum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.errors import DataError, ModelError
from forescale.estimates.draws import Estimate, kind_of_band, long_table
from forescale.numbers.budgets import POOL, Array, Quantities, Quantity, positive, with_pool
from forescale.numbers.optimum import has_closed_form, log_matching_compute, log_size_at_ratio
from forescale.units import CostModel, cost_model, format_quantity
from forescale.verbs.allocate import Columns, allocate, budget_lines, law_values

#: The price of a plan, and how a repr writes it.
QUANTITIES: Columns = {
    "extra_loss": ("extra loss in nats", "{:.3g}".format),
    "wasted_compute": ("wasted compute in %", "{:.3g}".format),
}
_PLAN: Columns = {"n_params": ("N", format_quantity), "n_tokens": ("D", format_quantity)}
#: From training compute in FLOPs to parameters.
Rule = Callable[[Any], Any]


@dataclass(frozen=True, eq=False)
class Regret:
    """Draws of the price of a plan: training at a stated split and not at the optimum.

    Attributes
    ----------
    source, law, cost : str
        The estimate that judges the plan, its law, and what training is taken to cost.
    plan : str
        The plan, in words.
    draws : xarray.Dataset
        ``extra_loss``, nats per token above the optimum, and ``wasted_compute``, the percentage of compute
        that the optimum saves at the plan's loss, of dims ("chain", "draw", "budget"), neither below zero;
        ``n_params`` and ``n_tokens`` of the plan, of dims ("budget",). The coordinate budget is in FLOPs.

    Notes
    -----
    Both are zero at a draw's own optimum and above zero elsewhere, so that under an uncertain law the best
    plan has a price too: that of not knowing the optimum. Intervals are equal-tailed and hold the uncertainty
    of the law's parameters only.
    """

    source: str
    law: str
    cost: str
    plan: str
    draws: xr.Dataset = field(repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the price.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per budget and quantity (extra_loss in nats per token, wasted_compute in percent): flops,
            n_params, n_tokens, quantity, median, lower, upper, prob, interval.
        """
        plan = {name: self.draws[name] for name in _PLAN}
        entries = pd.DataFrame({"flops": self.draws["budget"], **plan})
        return long_table(entries, {name: self.draws[name] for name in QUANTITIES}, "quantity", prob)

    def __repr__(self) -> str:
        lines = [
            f"Regret of {self.plan}, by {self.source}: law {self.law}, cost {self.cost}",
            *budget_lines(self.draws, {**_PLAN, **QUANTITIES}),
        ]
        return "\n".join([*lines, f"  ({kind_of_band(self.draws)})"])


def regret(
    source: Estimate,
    compute: Quantities,
    *,
    tokens_per_param: Quantity | None = None,
    n_params: Quantities | Rule | None = None,
    like: Estimate | None = None,
    cost: str | CostModel = "6ND",
    unique_tokens: Quantity | None = None,
    method: str | None = None,
) -> Regret:
    """Price the training at a stated split, against the optimum of each draw.

    For each draw and budget C, with the plan's N and D on the budget line cost(N, D) = C:
    ``extra_loss = L(N, D) - L(N*, D*)`` and ``wasted_compute = 100 (1 - C' / C)``, where C' is the compute at
    which the optimum has the plan's loss. Where the law falls with S = A/N^alpha + B/D^beta and C = 6ND, the
    optimal S falls as ``C^(-s)`` with ``s = alpha beta / (alpha + beta)``, so that
    ``C' / C = (S(N, D) / S(N*, D*))^(-1/s)``; elsewhere C' is the root of a search.

    Parameters
    ----------
    source : Estimate
        What judges the plan: a fit, a published estimate or a bootstrap, of a law of n_params and n_tokens.
    compute : float, str or sequence, shape (budget,)
        Training compute in FLOPs.
    tokens_per_param, n_params, like
        The plan, exactly one of: a ratio D / N for all budgets; the parameters for each budget, one number for
        all, or a rule from FLOPs to parameters such as ``published("kaplan2020").rules["n_params"]``; an estimate whose
        median optimal N is followed. All count parameters as ``source`` does, with or without embeddings.
    cost : str or CostModel
        What training costs: "6ND", "6ND+attention", or a cost model with settings of its own.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat: how many different ones there are, as in `allocate`; of ``like`` as well, if
        tokens repeat in its law, too.
    method : {"closed", "search"}, optional
        How optimum and C' are found; by default the closed form where there is one.

    Returns
    -------
    Regret
        Draws of dims ("chain", "draw", "budget").

    Raises
    ------
    DataError
        If there is not exactly one plan, if it is not above zero or of another length than the budgets, or if
        a budget cannot pay for one parameter and one token of it.
    ModelError
        If the law has other inputs, or draws have no optimum; see `allocate`.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, equations 2 and 4, from which the closed form follows.

    Examples
    --------
    >>> import forescale as fs
    >>> judge, followed = fs.published("besiroglu2024"), fs.published("kaplan2020")
    >>> fs.regret(judge, "5.76e23", like=followed)  # doctest: +ELLIPSIS
    Regret of the median optimal n_params of kaplan2020, by besiroglu2024: ...
    """
    costs, flops = cost_model(cost), positive("compute", compute)
    law, pool = with_pool(source.law, unique_tokens)
    plan, sizes = _plan(costs, flops, tokens_per_param, n_params, like, pool)
    best = allocate(source, flops, cost=costs, unique_tokens=pool, method=method)

    tokens = np.asarray(costs.n_tokens(flops, sizes))
    values = law_values(source)
    loss = law({"n_params": sizes, "n_tokens": tokens}, values)
    closed = has_closed_form(law, costs) if method is None else method == "closed"
    log_best = np.log(best.draws["n_params"].to_numpy())
    log_compute = np.log(flops)
    log_matching = log_matching_compute(law, costs, log_compute, np.log(sizes), log_best, values, closed=closed)
    if np.isnan(log_matching).any():
        raise ModelError(
            f"for {np.isnan(log_matching).sum()} of {log_matching.size} draws and budgets of {source.name} "
            f"no compute was found at which the optimum has the loss of {plan}"
        )
    price = {
        "extra_loss": np.maximum(loss - best.draws["loss"].to_numpy(), 0.0),  # rounding, at the optimum
        "wasted_compute": -100.0 * np.expm1(log_matching - log_compute),
    }
    draws = xr.Dataset(
        {name: (("chain", "draw", "budget"), array) for name, array in price.items()}
        | {"n_params": ("budget", sizes), "n_tokens": ("budget", tokens)},
        coords=best.draws.coords,
    )
    return Regret(source.name, source.law.name, costs.name, plan, draws)


def _plan(
    cost: CostModel,
    flops: Array,
    tokens_per_param: Quantity | None,
    n_params: Quantities | Rule | None,
    like: Estimate | None,
    pool: float | None,
) -> tuple[str, Array]:
    """Say the plan in words, and return its parameters at each budget."""
    if sum(given is not None for given in (tokens_per_param, n_params, like)) != 1:
        raise DataError("state one plan: tokens_per_param=, n_params= or like=")
    if tokens_per_param is not None:
        (ratio,) = positive("tokens_per_param", tokens_per_param)
        plan = f"{ratio:.6g} token{'' if ratio == 1 else 's'} per parameter"
        sizes = np.exp(log_size_at_ratio(cost, np.log(flops), ratio))
    elif n_params is not None:
        plan = f"the rule {getattr(n_params, '__name__', n_params)}" if callable(n_params) else "the given n_params"
        given = positive("n_params", n_params(flops) if callable(n_params) else n_params)
        if len(given) not in {1, len(flops)}:
            raise DataError(f"n_params has {len(given)} entries for {len(flops)} budgets; give one for each, or one")
        sizes = np.broadcast_to(given, flops.shape)
    elif like is not None:
        plan = f"the median optimal n_params of {like.name}"
        known = pool if POOL in like.law.inputs else None
        sizes = (
            allocate(like, flops, cost=cost, unique_tokens=known).draws["n_params"].median(("chain", "draw")).to_numpy()
        )
    with np.errstate(invalid="ignore"):
        runs = (sizes >= 1) & (cost.n_tokens(flops, sizes) >= 1)
    if not runs.all():
        raise DataError(
            f"{flops[~runs][0]:.6g} FLOPs cannot pay for {plan}: at least one parameter and one token are needed"
        )
    return plan, sizes
