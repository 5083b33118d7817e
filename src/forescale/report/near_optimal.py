"""All sizes that are nearly best: the valley of loss along a budget is flat.

For each draw, those N for which ``L(N, D(C, N)) <= (1 + slack) L(N*, D*)`` are an interval about N*, where the loss has
one minimum along the budget line.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from scipy.optimize import elementwise

from forescale.allocate import Allocation, law_values
from forescale.budgets import Array
from forescale.draws import Estimate
from forescale.optimum import loss_on_line
from forescale.units import CostModel

#: How much more loss than at the best split is nearly best: 0.1 %.
SLACK = 0.001
_REACH = 12.0  # nats of size on either side of N*: beyond a factor of 160,000 no valley is called flat
_POINTS = 2001  # sizes at which it is counted how many draws' sets hold them


def near_optimal(source: Estimate, split: Allocation, cost: CostModel, slack: float = SLACK) -> xr.Dataset:
    """Find the ends of the set of nearly best sizes.

    Parameters
    ----------
    source : Estimate
        Of a law of n_params and n_tokens.
    split : Allocation
        Its best split of some budgets, without bounds.
    cost : CostModel
        What training costs, as for the split.
    slack : float
        The loss above the best that still counts, as a share of it.

    Returns
    -------
    xarray.Dataset
        ``smallest`` and ``largest``, parameters, dims ("chain", "draw", "budget"). An end is that of the search, a
        factor of 160,000 away or at one parameter or one token, where the loss rises by less.
    """
    flops = split.draws["budget"].to_numpy()
    values, log_compute = law_values(source), np.log(flops)
    names = tuple(values)
    best = np.log(split.draws["n_params"].to_numpy())
    most = (1 + slack) * loss_on_line(source.law, cost, best, log_compute, values)
    all_but_a_token = np.log(cost.n_params(flops, 1.0))

    def excess(log_size: Array, log_compute: Array, most: Array, *arrays: Array) -> Array:
        parameters = dict(zip(names, arrays, strict=True))
        return np.asarray(loss_on_line(source.law, cost, log_size, log_compute, parameters) - most)

    ends = {}
    for name, side in (("smallest", -1.0), ("largest", 1.0)):
        far = np.clip(best + side * _REACH, 0.0, all_but_a_token)
        root = elementwise.find_root(excess, (best, far), args=(log_compute, most, *values.values()))
        ends[name] = (split.draws["n_params"].dims, np.exp(np.where(root.success, root.x, far)))
    return xr.Dataset(ends, coords={name: split.draws[name] for name in ("chain", "draw", "budget")})


def surely_near(ends: xr.Dataset, prob: float) -> tuple[float, float] | None:
    """The sizes that are nearly best with at least a probability, at one budget; None if there are none.

    Parameters
    ----------
    ends : xarray.Dataset
        What `near_optimal` found at one budget, dims ("chain", "draw").
    prob : float
        The share of draws in whose set a size has to be.
    """
    low, high = (np.sort(np.log(ends[name].to_numpy().ravel())) for name in ("smallest", "largest"))
    sizes = np.linspace(low[0], high[-1], _POINTS)
    inside = np.searchsorted(low, sizes, side="right") - np.searchsorted(high, sizes, side="left")
    sure = sizes[inside >= prob * len(low) - 1e-9]
    return (float(np.exp(sure[0])), float(np.exp(sure[-1]))) if len(sure) else None
