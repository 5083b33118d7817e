"""trends_of() -> LimitTrends: the pure power laws that someone would read off a joint law's own limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from forescale.errors import DataError
from forescale.estimates.draws import Estimate
from forescale.numbers.budgets import Quantity, positive
from forescale.units import CostModel, format_quantity
from forescale.verbs.allocate import allocate, law_values

_POINTS = 25  # budgets, evenly spaced in log C, through which the power laws are laid


@dataclass(frozen=True, eq=False)
class LimitTrends:
    """Power laws through the limits of a joint law, draw by draw; see `Trends` for the attributes.

    Attributes
    ----------
    posterior : xarray.Dataset
        As of every `Trends`.
    """

    name: str
    posterior: xr.Dataset = field(repr=False)
    unit: float
    pivots: Mapping[str, float]
    basis: str


def trends_of(source: Estimate, compute: tuple[Quantity, Quantity], *, cost: str | CostModel = "6ND") -> LimitTrends:
    """Lay pure power laws through the limits of a joint law over a range of compute.

    For each draw, least squares in logs over the range: ``L(C)``, the loss at the optimal split, and ``D(C)``, its
    tokens, on C; ``L(infinite N, D(C))`` on D(C). The law itself has no contradiction. These are the trends that
    training in that range would show, and their extrapolations may well contradict each other: a law with an
    irreducible loss bends where they go straight on.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap, of a law of n_params and n_tokens.
    compute : (low, high)
        The range, FLOPs.
    cost : str or CostModel
        What training costs.

    Returns
    -------
    LimitTrends
        For `contradiction`.

    Raises
    ------
    DataError
        If the range is not two budgets, the first below the second.
    ModelError
        If the law has other inputs or no optimum; see `allocate`.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, section 6.3, for the trends. That a joint law has them as limits is ours.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.contradiction(fs.trends_of(fs.published("hoffmann2022"), ("1e19", "1e22")))
    Contradiction of L(C) and L(D(C)) by limits of hoffmann2022
      C* 2.44e24 FLOPs = 2.82e+04 PF-days
      N* 61.8B
      D* 6.58T
      L* 1.61 nats per token
      (a single draw, so no uncertainty is known and no bands are shown)
    """
    ends = positive("compute", compute)
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise DataError(f"trends are read off a range of compute, (low, high) in FLOPs; given was {compute!r}")
    best = allocate(source, np.geomspace(ends[0], ends[1], _POINTS), cost=cost).draws
    tokens = best["n_tokens"].to_numpy()
    floor = source.law({"n_params": np.inf, "n_tokens": tokens}, law_values(source))
    log_c, log_d = np.log(best["budget"].to_numpy()), np.log(tokens)
    middle = log_c.mean()
    alpha_c, level = _line(log_c, np.log(best["loss"].to_numpy()))
    b, log_d1 = _line(log_c, log_d)
    alpha_d, floor_level = _line(log_d, np.log(floor))
    a, log_n1 = _line(log_c, np.log(best["n_params"].to_numpy()))
    draws = {
        "C_c": np.exp(middle - level / alpha_c),
        "alpha_C": -alpha_c,
        "D_c": np.exp(log_d.mean(-1) - floor_level / alpha_d),
        "alpha_D": -alpha_d,
        "D_1": np.exp(log_d1),
        "b": b,
        "N_1": np.exp(log_n1),
        "a": a,
    }
    coords = {name: best[name].to_numpy() for name in ("chain", "draw")}
    unit = float(np.exp(middle))
    low, high = (format_quantity(float(end)) for end in ends)
    return LimitTrends(
        name=f"limits of {source.name}",
        posterior=xr.Dataset({name: (("chain", "draw"), values) for name, values in draws.items()}, coords),
        unit=unit,
        pivots={"alpha_C": unit, "alpha_D": float(np.exp(np.median(log_d.mean(-1)))), "b": unit},
        basis=f"power laws through the limits of {source.name} from {low} to {high} FLOPs, draw by draw",
    )


def _line(x: Any, y: Any) -> tuple[Any, Any]:
    """Slope, and value at the mean of x, of the least-squares line along the last axis."""
    away, middle = x - x.mean(-1, keepdims=True), y.mean(-1, keepdims=True)
    return (away * (y - middle)).sum(-1) / (away**2).sum(-1), middle[..., 0]
