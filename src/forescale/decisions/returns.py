"""returns() -> ReturnsToScale: what so many times more parameters, tokens or compute buys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.optimize import elementwise

from forescale.belief.points import as_points
from forescale.errors import DataError, ModelError
from forescale.estimates.draws import Estimate, band, kind_of_band, long_table
from forescale.laws import Law
from forescale.numbers.best_losses import best_loss, best_slope
from forescale.numbers.budgets import POOL, Array, Quantities, Quantity, positive, with_pool
from forescale.numbers.optimum import COMPLEX_STEP, Values
from forescale.units import CostModel, cost_model, format_quantity
from forescale.verbs.allocate import allocate, law_values

_SPLIT = ("n_params", "n_tokens")
#: What may be multiplied besides each input of the law: compute C.
RATIO, BEST = "C, same ratio", "C, best split"
#: What is told of each, with its unit.
QUANTITIES = {
    "gain": "nats",
    "percent": "% of loss",
    "reducible_percent": "% of loss above the floor",
    "elasticity": "-d ln L / d ln x",
    "reducible_elasticity": "-d ln (L - E) / d ln x",
}
_SHOWN = 12


@dataclass(frozen=True, eq=False)
class ReturnsToScale:
    """Draws of what more of something buys.

    Attributes
    ----------
    source, law, cost : str
        The estimate, its law, and what training is taken to cost.
    factor : float
        How many times more.
    draws : xarray.Dataset
        Of dims ("chain", "draw", "place"), a place for each point and each way to have more, which is its coordinate
        ``more`` (an input of the law, or compute at the same ratio or along the best splits), beside those of the
        point: ``loss`` before, in nats per token; ``gain``, the nats that the factor takes off; ``percent`` and
        ``reducible_percent``, that over loss and over loss above the floor; ``elasticity`` and
        ``reducible_elasticity``, local slopes -d ln L / d ln x and -d ln (L - E) / d ln x. The reducible ones are of
        laws with a floor. Along the best splits, loss before is that of the best split of the same compute.

    Notes
    -----
    Intervals are equal-tailed and of the law's curve: no discrepancy, no noise. Both losses are of one draw, so that
    what is uncertain in both, above all the floor, cancels in ``gain``.
    """

    source: str
    law: str
    cost: str
    factor: float
    draws: xr.Dataset = field(repr=False)

    @property
    def quantities(self) -> list[str]:
        """What there is of ``QUANTITIES``."""
        return [name for name in QUANTITIES if name in self.draws]

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of what more buys.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per point, way and quantity: the point, more, quantity, median, lower, upper, prob, interval.
        """
        entries = pd.DataFrame({str(name): self.draws[name] for name in self.draws.coords if name in self._entries})
        return long_table(entries, {name: self.draws[name] for name in self.quantities}, "quantity", prob)

    @property
    def _entries(self) -> list[str]:
        return [str(name) for name, values in self.draws.coords.items() if values.dims == ("place",)]

    def __repr__(self) -> str:
        lines = [f"{self.factor:g} times more, by {self.source}: law {self.law}, cost {self.cost}"]
        for place in range(min(_SHOWN, self.draws.sizes["place"])):
            here = self.draws.isel(place=[place])
            point = {name: here[name].item() for name in self._entries if name != "more"}
            at = ", ".join(f"{name} {format_quantity(value)}" for name, value in point.items())
            told = [f"{band(here['gain'], '{:.3g}'.format)} nats"]
            if "reducible_percent" in here:
                told.append(f"{band(here['reducible_percent'], '{:.3g}'.format)} % of what is reducible")
            lines.append(f"  {at}: {here['more'].item()}: {', '.join(told)}")
        left = self.draws.sizes["place"] - _SHOWN
        lines += [f"  ... and {left} more in .table()"] if left > 0 else []
        return "\n".join([*lines, f"  ({kind_of_band(self.draws)})"])


def returns(
    source: Estimate,
    points: pd.DataFrame | Mapping[str, Any] | None = None,
    *,
    compute: Quantities | None = None,
    factor: float = 10.0,
    cost: str | CostModel = "6ND",
    unique_tokens: Quantity | None = None,
    **inputs: Any,
) -> ReturnsToScale:
    """Price more of each input, and more compute.

    For each draw, with f the factor and L the loss at a point: ``gain = L(x) - L(f x)`` for each input x of the law,
    the others as they are; for compute at the same ratio of tokens to parameters; and for compute from best split to
    best split, ``L*(C) - L*(f C)``. Local slopes are by complex step; that along the best splits is the slope of
    the tokens that the compute buys at N* (at the best split all ways to spend a little more are worth the same).

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap.
    points : DataFrame or mapping, optional
        The law's inputs, a row per point, as for `forecast`.
    compute : float, str or sequence, optional
        Instead of points: budgets in FLOPs, where the point is each draw's own best split.
    factor : float
        How many times more, above one.
    cost : str or CostModel
        What training costs.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat: how many different ones there are.
    **inputs : float, str or array_like, shape (point,)
        Instead of ``points``: the law's inputs by name.

    Returns
    -------
    ReturnsToScale
        Draws of dims ("chain", "draw", "place").

    Raises
    ------
    DataError
        If there are not either points or budgets, one is no number above zero, or the factor is not above one.
    ModelError
        If budgets are given to a law that cannot split them.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, equations 2 and 4, from which the closed forms in the tests follow.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.returns(fs.published("besiroglu2024"), n_params="70B", n_tokens="1.4T")  # doctest: +ELLIPSIS
    10 times more, by besiroglu2024: law chinchilla, cost 6ND
      n_params 70B, n_tokens 1.4T: n_params: ...
    """
    if sum((points is not None, compute is not None, bool(inputs))) != 1:
        raise DataError("say where: points=, the law's inputs (n_params=..., n_tokens=...), or budgets (compute=)")
    factor = above_one(factor)
    if unique_tokens is not None and inputs:  # an input like others, where points are given
        inputs, unique_tokens = {**inputs, POOL: unique_tokens}, None
    law, _ = with_pool(source.law, unique_tokens)
    costs, values = cost_model(cost), law_values(source)
    if compute is not None:
        best = allocate(source, compute, cost=costs, unique_tokens=unique_tokens).draws
        sizes = {name: best[name].to_numpy() for name in _SPLIT}
        at = {"flops": positive("compute", compute)}
    else:
        frame = as_points(law.inputs, points if points is not None else inputs, only=points is None)
        sizes = at = {name: frame[name].to_numpy() for name in law.inputs}
    found = {name: _more(law, costs, sizes, values, name, factor) for name in law.inputs}
    if set(_SPLIT) <= set(law.inputs):
        found[RATIO] = _more(law, costs, sizes, values, RATIO, factor)
    if set(_SPLIT) == set(law.inputs):
        flops = costs.flops(*(sizes[name] for name in _SPLIT)) if compute is None else at["flops"]
        found[BEST] = _more_at_best(source, law, costs, flops, values, factor)
    shape = np.broadcast_shapes(*(array.shape for way in found.values() for array in way.values()))
    drawn = {
        name: np.stack([np.broadcast_to(way[name], shape) for way in found.values()], axis=-1).reshape(*shape[:2], -1)
        for name in next(iter(found.values()))
    }
    coords: dict[str, Any] = {name: ("place", np.repeat(place, len(found))) for name, place in at.items()}
    coords["more"] = ("place", np.tile(list(found), shape[-1]))
    draws = xr.Dataset({name: (("chain", "draw", "place"), array) for name, array in drawn.items()}, coords=coords)
    return ReturnsToScale(source.name, law.name, costs.name, factor, draws)


def above_one(factor: float) -> float:
    """Read how many times more is asked about."""
    (number,) = positive("factor", factor)
    if number <= 1:
        raise DataError(f"factor says how many times more, so it is above one; got {factor!r}")
    return float(number)


def _more(
    law: Law, cost: CostModel, sizes: Mapping[str, Array], values: Values, way: str, factor: float
) -> dict[str, Array]:
    """Return what a factor buys at given sizes: of one input, or of compute at the same ratio."""
    growth: Array | float = factor
    step, moved = 1.0, [way]
    if way == RATIO:
        n, d = (sizes[name] for name in _SPLIT)
        step = COMPLEX_STEP / np.imag(np.log(cost.flops(n * np.exp(1j * COMPLEX_STEP), d * np.exp(1j * COMPLEX_STEP))))
        growth, moved = _growth(cost, n, d, factor), list(_SPLIT)
    more = {**sizes, **{name: sizes[name] * growth for name in moved}}
    nudged = {**sizes, **{name: sizes[name] * np.exp(1j * COMPLEX_STEP * step) for name in moved}}
    slope = -np.imag(law(nudged, values)) / COMPLEX_STEP
    return _told(law, law(sizes, values), law(more, values), slope, values)


def _more_at_best(
    source: Estimate, law: Law, cost: CostModel, flops: Array, values: Values, factor: float
) -> dict[str, Array]:
    """Return what a factor of compute buys, from best split to best split."""
    log_compute = np.log(flops)
    before, after = (best_loss(law, cost, c, values) for c in (log_compute, log_compute + np.log(factor)))
    if bad := int((~np.isfinite(before - after)).sum()):
        raise ModelError(
            f"{bad} of {before.size} draws and points of {source.name} have no compute-optimal split there, or at "
            f"{factor:g} times the compute; allocate() says more of them"
        )
    slope = -best_slope(law, cost, log_compute, values)
    return _told(law, before, after, slope, values)


def _told(law: Law, before: Any, after: Any, slope: Any, values: Values) -> dict[str, Array]:
    found = {
        "loss": before,
        "gain": before - after,
        "percent": 100 * (1 - after / before),
        "elasticity": slope / before,
    }
    if law.floor:
        above = before - values[law.floor]
        found |= {"reducible_percent": 100 * (before - after) / above, "reducible_elasticity": slope / above}
    return {name: np.asarray(array, dtype=float) for name, array in found.items()}


def _growth(cost: CostModel, n_params: Array, n_tokens: Array, factor: float) -> Array:
    """By how much both grow for so many times the compute: between nothing, and the factor itself."""
    flops = cost.flops(n_params, n_tokens)

    def excess(log_growth: Any, n: Any, d: Any, budget: Any) -> Any:
        growth = np.exp(log_growth)
        return np.log(cost.flops(growth * n, growth * d)) - np.log(budget)

    root = elementwise.find_root(excess, (0.0, np.log(factor)), args=(n_params, n_tokens, factor * flops))
    return np.exp(root.x)
