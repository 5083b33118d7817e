"""near_optimal() -> NearOptimal: all sizes that are nearly best, since the valley of loss along a budget is flat.

For each draw, those N for which ``L(N, D(C, N)) <= (1 + slack) L(N*, D*)`` are an interval about N*, where the loss has
one minimum along the budget line.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from scipy.optimize import elementwise

from forescale.estimates.draws import Estimate, check_prob, check_spread, is_single, kind_of_band, long_table
from forescale.numbers.budgets import Array, Quantities, Quantity, positive, with_pool
from forescale.numbers.optimum import loss_on_line
from forescale.units import CostModel, cost_model, format_quantity
from forescale.verbs.allocate import Columns, allocate, budget_lines, law_values

#: How much more loss than at the best split is nearly best: 0.1 %.
SLACK = 0.001
#: What is told of each budget, with its label and the form in which a repr writes it.
QUANTITIES: Columns = {
    "smallest": ("smallest N", format_quantity),
    "best": ("best N", format_quantity),
    "largest": ("largest N", format_quantity),
    "tokens_of_smallest": ("D of the smallest", format_quantity),
    "tokens_of_largest": ("D of the largest", format_quantity),
}
_ENDS = ("smallest", "largest")
_REACH = 12.0  # nats of size on either side of N*: beyond a factor of 160,000 no valley is called flat


@dataclass(frozen=True, eq=False)
class NearOptimal:
    """Draws of the set of nearly best sizes.

    Attributes
    ----------
    source, law : str
        The estimate it comes from, and its law.
    cost : CostModel
        What training is taken to cost.
    slack : float
        The loss above the least that still counts, as a share of it.
    draws : xarray.Dataset
        ``smallest``, ``best`` and ``largest``, parameters of each draw's set and of its best split, with
        ``tokens_of_smallest`` and ``tokens_of_largest``, of dims ("chain", "draw", "budget"); the coordinate budget is
        in FLOPs. An end is that of the search, a factor of 160,000 away or at one parameter or one token, where the
        loss rises by less.

    Notes
    -----
    The band of an end says how well that end is known. Whether one size is nearly best is another question, which
    `probability` and `sure` answer: a set that is narrow in each draw may lie elsewhere in the next. All of it is of
    the law's curve: it takes the law to be right.
    """

    source: str
    law: str
    cost: CostModel
    slack: float
    draws: xr.Dataset = field(repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the ends of the set.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per budget and quantity (smallest, best, largest, parameters; tokens_of_smallest, tokens_of_largest,
            tokens): flops, quantity, median, lower, upper, prob, interval.
        """
        entries = pd.DataFrame({"flops": self.draws["budget"]})
        return long_table(entries, {name: self.draws[name] for name in QUANTITIES}, "quantity", prob)

    def probability(self, n_params: Quantities) -> pd.DataFrame:
        """How probably sizes are nearly best.

        Parameters
        ----------
        n_params : float, str or sequence
            Sizes in parameters; 70e9 and "70B" alike.

        Returns
        -------
        pandas.DataFrame
            A row per budget and size: flops, n_params, n_tokens (all that the budget pays for), and probability, the
            share of draws in whose set the size is.

        Raises
        ------
        DataError
            If a size is not a number above zero.
        ModelError
            If there is a single draw, which has no probabilities.
        """
        check_spread(self.source, self.draws)
        sizes = positive("n_params", n_params)
        at = xr.DataArray(sizes, dims="size")
        inside = ((self.draws["smallest"] <= at) & (at <= self.draws["largest"])).mean(("chain", "draw"))
        flops, size = np.meshgrid(self.draws["budget"].to_numpy(), sizes, indexing="ij")
        rows = {"flops": flops.ravel(), "n_params": size.ravel()}
        tokens = self.cost.n_tokens(rows["flops"], rows["n_params"])
        return pd.DataFrame({**rows, "n_tokens": tokens, "probability": inside.to_numpy().ravel()})

    def sure(self, prob: float = 0.9) -> pd.DataFrame:
        """The sizes that are nearly best with at least a probability, and what serving the smallest saves.

        Parameters
        ----------
        prob : float
            The share of draws in whose set a size has to be.

        Returns
        -------
        pandas.DataFrame
            A row per budget: flops, smallest and largest, in parameters, between which every size is nearly best with
            that probability, NaN if none is; tokens_of_smallest and tokens_of_largest; best, the median N*; and
            serving_saved, by how many percent the smallest is cheaper to serve than that, a token served costing FLOPs
            in proportion to N. Where draws are of two minds and leave two such ranges, it is the wider.

        Raises
        ------
        ModelError
            If there is a single draw, which has no probabilities.
        """
        check_spread(self.source, self.draws)
        share, rows = check_prob(prob), []
        for place, flops in enumerate(self.draws["budget"].to_numpy()):
            here = self.draws.isel(budget=place)
            low, high = _covered(here["smallest"].to_numpy().ravel(), here["largest"].to_numpy().ravel(), share)
            best = float(here["best"].median())
            tokens = {
                f"tokens_of_{end}": self.cost.n_tokens(flops, n) for end, n in zip(_ENDS, (low, high), strict=True)
            }
            row = {"flops": flops, "smallest": low, "largest": high, **tokens, "best": best}
            rows.append({**row, "serving_saved": 100 * (1 - low / best), "prob": share})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        told = {name: QUANTITIES[name] for name in ("smallest", "best", "largest")}
        lines = budget_lines(self.draws, told)
        if not is_single(self.draws):
            for place, (low, high) in enumerate(self.sure(0.9)[[*_ENDS]].to_numpy()[: len(lines)]):
                span = "none" if np.isnan(low) else f"{format_quantity(low)} to {format_quantity(high)}"
                lines[place] += f"\n    nearly best with 90 % probability: {span}"
        return "\n".join(
            [
                f"Sizes within {100 * self.slack:.3g} % of the least loss by {self.source}: law {self.law}, "
                f"cost {self.cost.name}",
                *lines,
                f"  ({kind_of_band(self.draws)})",
            ]
        )


def near_optimal(
    source: Estimate,
    compute: Quantities,
    *,
    slack: float = SLACK,
    cost: str | CostModel = "6ND",
    unique_tokens: Quantity | None = None,
) -> NearOptimal:
    """Find all sizes whose loss is nearly the least that a budget can reach.

    For each draw and budget C the set ``{N: L(N, D(C, N)) <= (1 + slack) L(N*, D*)}``, D(C, N) being all the tokens
    that C pays for: an interval about N*, whose ends are roots on either side of it.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap, of a law of n_params and n_tokens.
    compute : float, str or sequence, shape (budget,)
        Training compute in FLOPs; 5.76e23 and "5.76e23" alike.
    slack : float
        The loss above the least that still counts, as a share of it: 0.001 is 0.1 %.
    cost : str or CostModel
        What training costs: "6ND", "6ND+attention", or a cost model with settings of its own.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat: how many different ones there are; see `allocate`.

    Returns
    -------
    NearOptimal
        Draws of dims ("chain", "draw", "budget").

    Raises
    ------
    DataError
        If a budget or the slack is not a number above zero.
    ModelError
        If the law has other inputs, or draws have no optimum; see `allocate`.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, figure 3: losses along a budget form shallow valleys.

    Examples
    --------
    >>> import forescale as fs
    >>> near = fs.near_optimal(fs.published("hoffmann2022"), "5.76e23")
    >>> near
    Sizes within 0.1 % of the least loss by hoffmann2022: law chinchilla, cost 6ND
      5.76e23 FLOPs: smallest N 21.4B, best N 32.2B, largest N 48.6B
      (the law's curve; a single draw, so no uncertainty is known and no bands are shown)
    """
    costs, (room,) = cost_model(cost), positive("slack", slack)
    split = allocate(source, compute, cost=costs, unique_tokens=unique_tokens)
    law, _ = with_pool(source.law, unique_tokens)
    flops, best = split.draws["budget"].to_numpy(), split.draws["n_params"].to_numpy()
    values, log_compute, log_best = law_values(source), np.log(flops), np.log(best)
    names = tuple(values)
    most = (1 + room) * loss_on_line(law, costs, log_best, log_compute, values)
    all_but_a_token = np.log(costs.n_params(flops, 1.0))

    def excess(log_size: Array, log_compute: Array, most: Array, *arrays: Array) -> Array:
        parameters = dict(zip(names, arrays, strict=True))
        return np.asarray(loss_on_line(law, costs, log_size, log_compute, parameters) - most)

    ends = {"best": best}
    for name, side in zip(_ENDS, (-1.0, 1.0), strict=True):
        far = np.clip(log_best + side * _REACH, 0.0, all_but_a_token)
        root = elementwise.find_root(excess, (log_best, far), args=(log_compute, most, *values.values()))
        ends[name] = np.exp(np.where(root.success, root.x, far))
        ends[f"tokens_of_{name}"] = np.asarray(costs.n_tokens(flops, ends[name]))
    dims = split.draws["n_params"].dims
    coords = {name: split.draws[name] for name in dims}
    draws = xr.Dataset({name: (dims, ends[name]) for name in QUANTITIES}, coords=coords)
    return NearOptimal(source.name, source.law.name, costs, float(room), draws)


def _covered(low: Array, high: Array, share: float) -> tuple[float, float]:
    """The widest range of which every point lies in at least a share of the intervals; NaN if no point does.

    Along the sorted ends the number of intervals that a point lies in rises by one at each low end and falls by one
    after each high end.
    """
    ends = np.concatenate([low, high])
    steps = np.repeat([1, -1], len(low))
    order = np.lexsort((-steps, ends))
    enough = np.concatenate([[False], np.cumsum(steps[order]) >= share * len(low) - 1e-9])
    turns = ends[order][np.flatnonzero(enough[1:] != enough[:-1])].reshape(-1, 2)
    if not len(turns):
        return np.nan, np.nan
    widest = turns[np.argmax(turns[:, 1] / turns[:, 0])]
    return float(widest[0]), float(widest[1])
