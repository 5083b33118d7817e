"""rank_plans() -> PlanRanking: candidate runs against each other, and against the best split of what each spends."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from forescale.errors import DataError
from forescale.estimates.draws import Estimate, band, check_spread, is_single, kind_of_band, long_table
from forescale.numbers.budgets import Quantity, check_splits, positive, with_pool
from forescale.units import CostModel, cost_model, format_quantity
from forescale.verbs.allocate import law_values
from forescale.verbs.regret import QUANTITIES as PRICES
from forescale.verbs.regret import regret

#: What is told of each plan, with its label and the form in which a repr writes it.
QUANTITIES = {"loss": ("loss", "{:.4g}".format), **PRICES}
#: By what plans can be ranked.
CRITERIA = ("loss", "wasted_compute")
Plans = Mapping[str, tuple[Quantity, Quantity]]


@dataclass(frozen=True, eq=False)
class PlanRanking:
    """Draws of what each of some plans reaches, and of what it costs not to split its compute at best.

    Attributes
    ----------
    source, law, cost : str
        The estimate that judges the plans, its law, and what training is taken to cost.
    by : str
        By what they are ranked: "loss" or "wasted_compute".
    draws : xarray.Dataset
        ``loss``, nats per token; ``extra_loss``, nats above the best split of the plan's compute; ``wasted_compute``,
        the percentage of its compute that the best split saves at its loss; dims ("chain", "draw", "plan").
        Coordinates of plan, which are in the order given: n_params, n_tokens, flops.

    Notes
    -----
    A draw of the law has a loss for every plan, so that plans are compared within draws: their bands may overlap, and
    one of them still be better in every draw. All of it is of the law's curve: it takes the law to be right.
    """

    source: str
    law: str
    cost: str
    by: str
    draws: xr.Dataset = field(repr=False)

    @property
    def order(self) -> list[int]:
        """Places of the plans, the one with the least median first."""
        return [int(i) for i in np.argsort(self.draws[self.by].median(("chain", "draw")).to_numpy(), kind="stable")]

    def best(self) -> dict[str, float]:
        """How probably each plan is the best of all: the share of draws in which none has less of `by`.

        Returns
        -------
        dict of str to float
            By plan, in the order given; they sum to one, plans that are equal in a draw sharing it.

        Raises
        ------
        ModelError
            If there is a single draw, which has no probabilities.
        """
        check_spread(self.source, self.draws)
        least = self.draws[self.by] == self.draws[self.by].min("plan")
        shares = (least / least.sum("plan")).mean(("chain", "draw"))
        return dict(zip(map(str, shares["plan"].to_numpy()), shares.to_numpy().tolist(), strict=True))

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of each plan's loss and regret.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per plan and quantity (loss and extra_loss in nats per token, wasted_compute in percent), the best
            plan first: rank, plan, n_params, n_tokens, flops, best (the probability that it is the best of all, NaN of
            a single draw), quantity, median, lower, upper, prob, interval.
        """
        chances = {} if is_single(self.draws) else self.best()
        ranked = self.draws.isel(plan=self.order)
        entries = pd.DataFrame({name: ranked[name] for name in ("plan", "n_params", "n_tokens", "flops")})
        entries.insert(0, "rank", np.arange(len(entries)) + 1)
        entries["best"] = [chances.get(str(name), np.nan) for name in entries["plan"]]
        return long_table(entries, {name: ranked[name] for name in QUANTITIES}, "quantity", prob)

    def __repr__(self) -> str:
        lines = [f"Plans by {self.by.replace('_', ' ')}, by {self.source}: law {self.law}, cost {self.cost}"]
        chances = {} if is_single(self.draws) else self.best()
        for rank, place in enumerate(self.order, start=1):
            here = self.draws.isel(plan=place)
            name, n, d, c = (here[key].item() for key in ("plan", "n_params", "n_tokens", "flops"))
            sizes = ", ".join(f"{letter} {format_quantity(q)}" for letter, q in (("N", n), ("D", d), ("C", c)))
            told = ", ".join(f"{label} {band(here[q], write)}" for q, (label, write) in QUANTITIES.items())
            chance = f"; best with probability {chances[name]:.2f}" if chances else ""
            lines.append(f"  {rank}. {name} ({sizes}): {told}{chance}")
        return "\n".join([*lines, f"  ({kind_of_band(self.draws)})"])


def read_plans(plans: Plans) -> pd.DataFrame:
    """Read plans by name as a frame of n_params and n_tokens.

    Raises
    ------
    DataError
        If a plan is not a pair of numbers above zero.
    """
    rows = {}
    for name, sizes in plans.items():
        if not isinstance(sizes, tuple | list) or len(sizes) != 2:
            raise DataError(f'plans are pairs of n_params and n_tokens, such as ("70B", "1.4T"); {name!r} is {sizes!r}')
        rows[str(name)] = positive(f"plan {name!r}", list(sizes))
    return pd.DataFrame.from_dict(rows, orient="index", columns=["n_params", "n_tokens"])


def rank_plans(
    source: Estimate,
    plans: Plans,
    *,
    by: str = "loss",
    cost: str | CostModel = "6ND",
    unique_tokens: Quantity | None = None,
) -> PlanRanking:
    """Rank candidate runs, and price each against the best split of what it spends.

    For each draw and plan: ``loss = L(N, D)``, ``extra_loss`` and ``wasted_compute`` as in `regret`, at the plan's own
    compute ``C = cost(N, D)``; a plan is the best of a draw if none has less of ``by`` there.

    Parameters
    ----------
    source : Estimate
        What judges the plans: a fit, a published estimate or a bootstrap, of a law of n_params and n_tokens.
    plans : mapping of str to (n_params, n_tokens)
        Runs by name; 70e9 and "70B" alike. They may differ in compute.
    by : {"loss", "wasted_compute"}
        What ranks them: the loss that they reach, by which the dearest is likely to be first, or the share of its own
        compute that each wastes, which sets plans of different budgets on a level.
    cost : str or CostModel
        What training costs: "6ND", "6ND+attention", or a cost model with settings of its own.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat: how many different ones there are, for all plans; see `allocate`.

    Returns
    -------
    PlanRanking
        Draws of dims ("chain", "draw", "plan").

    Raises
    ------
    DataError
        If there are no plans, one is not a pair of numbers above zero, or there is no such criterion.
    ModelError
        If the law has other inputs, or draws have no optimum; see `allocate`.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, equations 2 and 4, from which the closed form of the price follows.

    Examples
    --------
    >>> import forescale as fs
    >>> plans = {"Chinchilla": ("70B", "1.4T"), "Gopher": ("280B", "300B")}
    >>> fs.rank_plans(fs.published("besiroglu2024"), plans).best()
    {'Chinchilla': 1.0, 'Gopher': 0.0}
    """
    law, _ = with_pool(source.law, unique_tokens)
    check_splits(law)
    if by not in CRITERIA:
        raise DataError(f"plans are ranked by {' or '.join(CRITERIA)}, not by {by!r}")
    given = read_plans(plans)
    if given.empty:
        raise DataError('there are no plans to rank; give some by name, such as {"big": ("70B", "1.4T")}')
    costs = cost_model(cost)
    sizes, tokens = (given[name].to_numpy(float) for name in ("n_params", "n_tokens"))
    flops = np.asarray(costs.flops(sizes, tokens))
    price = regret(source, flops, n_params=sizes, cost=costs, unique_tokens=unique_tokens).draws
    found = {"loss": law({"n_params": sizes, "n_tokens": tokens}, law_values(source))}
    found |= {name: price[name].to_numpy() for name in PRICES}
    coords = {name: source.posterior[name].to_numpy() for name in ("chain", "draw")}
    draws = xr.Dataset({name: (("chain", "draw", "plan"), values) for name, values in found.items()}, coords=coords)
    at = {"plan": [*given.index], "n_params": ("plan", sizes), "n_tokens": ("plan", tokens), "flops": ("plan", flops)}
    return PlanRanking(source.name, source.law.name, costs.name, by, draws.assign_coords(at))
