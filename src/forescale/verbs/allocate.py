"""allocate() -> Allocation: how a training budget is best split between parameters and tokens."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from forescale.errors import ForescaleWarning, ModelError
from forescale.estimates.draws import Estimate, band, kind_of_band, long_table
from forescale.laws import Law
from forescale.numbers.budgets import Array, Bounds, Quantities, Quantity, check_splits, positive, size_range, with_pool
from forescale.numbers.optimum import closed_exponents, has_closed_form, local_exponents, log_optimal_size
from forescale.units import CostModel, cost_model, format_quantity

#: Quantities by name, with the label and the form in which a repr writes them.
Columns = Mapping[str, tuple[str, Callable[[float], str]]]

QUANTITIES: Columns = {
    "n_params": ("N", format_quantity),
    "n_tokens": ("D", format_quantity),
    "tokens_per_param": ("tokens per parameter", format_quantity),
    "loss": ("loss", "{:.4g}".format),
}
EPOCHS: Columns = {"epochs": ("epochs", "{:.3g}".format)}
_USED_UP = 1e-6  # of loss: less than the last digit of any loss that is reported
_SHOWN = 8  # budgets in a repr


@dataclass(frozen=True, eq=False)
class Allocation:
    """Draws of the compute-optimal split of budgets.

    Attributes
    ----------
    source, law, cost : str
        The estimate it comes from, its law, and what training is taken to cost.
    draws : xarray.Dataset
        ``n_params``, ``n_tokens``, ``tokens_per_param``, ``loss`` (the law's curve at the split, nats per
        token) and ``bound`` (whether a bound moved the split), of dims ("chain", "draw", "budget"); the
        coordinate budget is in FLOPs. ``a`` and ``b``, the exponents of N* ~ C^a and D* ~ C^b without bounds,
        of dims ("chain", "draw"); where the optimum is searched and need not be a power of compute, with
        budget as well: d log N* / d log C and d log D* / d log C there. Where the number of different tokens is
        limited, also ``epochs``, n_tokens over that number.

    Notes
    -----
    Intervals are equal-tailed. Their ends are quantiles, which are the same whether taken of a size or of its
    log (but for the interpolation between two draws): a skewed size needs no other scale. They hold the
    uncertainty of the law's parameters only, not how a run scatters about the law. An estimate of a single
    draw gives bands of no width.
    """

    source: str
    law: str
    cost: str
    draws: xr.Dataset = field(repr=False)

    @property
    def quantities(self) -> Columns:
        """What is told of each budget, with its label and the form in which a repr writes it."""
        return {**QUANTITIES, **(EPOCHS if "epochs" in self.draws else {})}

    @property
    def exponents(self) -> xr.Dataset:
        """Draws of ``a`` and ``b``: N* ~ C^a, D* ~ C^b."""
        return self.draws[["a", "b"]]

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the optimal split.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per budget and quantity (n_params, n_tokens, tokens_per_param, loss, and epochs where tokens
            repeat): flops, quantity, median, lower, upper, prob, interval, and bound_share, the share of draws in
            which a bound moved the split.
        """
        share = self.draws["bound"].mean(("chain", "draw"))
        entries = pd.DataFrame({"flops": self.draws["budget"], "bound_share": share})
        table = long_table(entries, {name: self.draws[name] for name in self.quantities}, "quantity", prob)
        return table[[name for name in table if name != "bound_share"] + ["bound_share"]]

    def exponent_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the exponents a and b of N* ~ C^a and D* ~ C^b.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            Columns exponent, median, lower, upper, prob, interval; where the exponents change with compute,
            a row per budget and exponent, with flops in front.
        """
        local = "budget" in self.draws["a"].dims
        entries = pd.DataFrame({"flops": self.draws["budget"]}) if local else pd.DataFrame(index=[0])
        return long_table(entries, {name: self.draws[name] for name in ("a", "b")}, "exponent", prob)

    def __repr__(self) -> str:
        lines = [
            f"Allocation of compute by {self.source}: law {self.law}, cost {self.cost}",
            *budget_lines(self.draws, self.quantities),
        ]
        if "budget" not in self.draws["a"].dims:
            a, b = (band(self.draws[name].expand_dims("budget"), "{:.3f}".format) for name in ("a", "b"))
            lines.append(f"  N* ~ C^a, D* ~ C^b: a {a}, b {b}")
        return "\n".join([*lines, f"  ({kind_of_band(self.draws)})"])


def allocate(
    source: Estimate,
    compute: Quantities,
    *,
    cost: str | CostModel = "6ND",
    n_params_bounds: Bounds = (None, None),
    n_tokens_bounds: Bounds = (None, None),
    unique_tokens: Quantity | None = None,
    method: str | None = None,
) -> Allocation:
    """Split budgets between parameters and tokens for the lowest loss.

    For each draw and budget C: ``N*, D* = argmin law(N, D; parameters)`` over ``cost(N, D) = C``, at least
    one parameter and one token. A discrepancy of the model stays out of it: a drift says how far loss may be off at a
    distance from the data, and not which split of a budget is best. Where the law falls with A/N^alpha + B/D^beta
    and C = 6ND, ``N* = G (C/6)^(beta/(alpha+beta))``, ``D* = G^-1 (C/6)^(alpha/(alpha+beta))`` and
    ``G = (alpha A / (beta B))^(1/(alpha+beta))``; elsewhere the minimum is searched in log N.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap, of a law of n_params and n_tokens.
    compute : float, str or sequence, shape (budget,)
        Training compute in FLOPs; 5.76e23 and "5.76e23" alike.
    cost : str or CostModel
        What training costs: "6ND", "6ND+attention", or a cost model with settings of its own.
    n_params_bounds, n_tokens_bounds : (lower, upper)
        Least and most parameters and tokens, each a number, a quantity such as "70B", or None. An optimum
        outside is moved along the budget line to the nearest split inside.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat: how many different ones there are, such as "100B", for all budgets, or
        "inf" for no limit. Then D* counts all tokens seen, and ``epochs`` is D* over this number.
    method : {"closed", "search"}, optional
        How the optimum is found; by default the closed form where there is one.

    Returns
    -------
    Allocation
        Draws of dims ("chain", "draw", "budget").

    Raises
    ------
    DataError
        If a budget is not a number above zero, or cannot be spent within the bounds, or cannot pay for them.
    ModelError
        If the law has other inputs, if tokens do not repeat in it and unique_tokens is given, if there is no
        closed form and it is asked for, or if draws have no
        optimum between one parameter and one token, say because an exponent is all but zero; the message
        counts them.

    Warns
    -----
    ForescaleWarning
        If a budget is beyond what unique_tokens can use, so that neither more epochs nor more parameters help.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, equation 4.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.allocate(fs.published("besiroglu2024"), "5.76e23")  # doctest: +ELLIPSIS
    Allocation of compute by besiroglu2024: law chinchilla, cost 6ND...
    """
    law, pool = with_pool(source.law, unique_tokens)
    check_splits(law)
    costs, flops = cost_model(cost), positive("compute", compute)
    if method is None:
        method = "closed" if has_closed_form(law, costs) else "search"
    if method not in {"closed", "search"} or (method == "closed" and not has_closed_form(law, costs)):
        raise ModelError(
            f"law {law.name!r} under cost {costs.name!r} has no method {method!r}; 'search' finds any "
            "optimum, 'closed' that of a sum of two powers under '6ND'"
        )
    low, high = size_range(costs, flops, n_params_bounds, n_tokens_bounds)
    values, log_compute = law_values(source), np.log(flops)
    free = np.exp(log_optimal_size(law, costs, log_compute, values, closed=method == "closed"))
    sizes = np.clip(free, low, high)
    _check_optima(source, flops, sizes)
    tokens = np.asarray(costs.n_tokens(flops, sizes))
    split = {
        "n_params": sizes,
        "n_tokens": tokens,
        "tokens_per_param": tokens / sizes,
        "loss": law({"n_params": sizes, "n_tokens": tokens}, values),
        "bound": (free < low) | (free > high),
        **({} if pool is None else {"epochs": tokens / pool}),
    }
    draws = xr.Dataset(
        {name: (("chain", "draw", "budget"), array) for name, array in split.items()},
        coords={name: source.posterior[name].to_numpy() for name in ("chain", "draw")} | {"budget": flops},
    )
    if pool is not None:
        _warn_of_used_up_tokens(source, law, flops, pool, split, values)
    if method == "closed":
        a, b = (exponent[..., 0] for exponent in closed_exponents(law, values))
    else:
        a, b = local_exponents(law, costs, log_compute, values)
    dims = ("chain", "draw", "budget")[: a.ndim]
    return Allocation(source.name, law.name, costs.name, draws.assign(a=(dims, a), b=(dims, b)))


def law_values(source: Estimate) -> dict[str, Array]:
    """Return draws of the law's parameters, of shape (chain, draw, 1) to broadcast against budgets."""
    draws = {name: source.posterior[name].transpose("chain", "draw") for name in source.law.parameters}
    return {name: values.to_numpy().astype(float)[..., None] for name, values in draws.items()}


def budget_lines(draws: xr.Dataset, quantities: Columns) -> list[str]:
    """Write the lines of a repr: a budget, and the median and 90 % interval of each quantity there."""
    lines = []
    for index, flops in enumerate(draws["budget"].to_numpy()[:_SHOWN]):
        here = draws.isel(budget=[index])
        bands = [f"{label} {band(here[name], write)}" for name, (label, write) in quantities.items()]
        share = float(here["bound"].mean()) if "bound" in here else 0.0
        binds = f"; a bound binds in {share:.0%} of draws" if share else ""
        lines.append(f"  {format_quantity(float(flops))} FLOPs: {', '.join(bands)}{binds}")
    left = draws.sizes["budget"] - _SHOWN
    return [*lines, f"  ... and {left} budgets more in .table()"] if left > 0 else lines


def _warn_of_used_up_tokens(
    source: Estimate, law: Law, flops: Array, pool: float, split: Mapping[str, Array], values: Mapping[str, Array]
) -> None:
    """Say where no split is better than others, since half the epochs of half the size reach the same loss."""
    half = law({name: split[name] / 2 for name in ("n_params", "n_tokens")}, values)
    used_up = np.mean(half <= (1 + _USED_UP) * split["loss"], axis=(0, 1))
    told = [
        f"{share:.0%} of draws at {format_quantity(float(budget))} FLOPs"
        for budget, share in zip(flops, used_up, strict=True)
        if share
    ]
    if told:
        warnings.warn(
            f"{source.name}: {format_quantity(pool)} different tokens are used up in {', '.join(told)}: a quarter of "
            "that compute reaches the same loss, and how it is split is not determined. Ask for smaller budgets",
            ForescaleWarning,
            stacklevel=3,
        )


def _check_optima(source: Estimate, flops: Array, sizes: Array) -> None:
    """Refuse draws without an optimum, which are 0 or infinite where no bound stopped them, or NaN."""
    none = ~(np.isfinite(sizes) & (sizes > 0))
    if none.any():
        worst = int(none.sum(axis=(0, 1)).argmax())
        there = sizes[..., worst]
        up, down, unknown = (there == np.inf).sum(), (there == 0).sum(), np.isnan(there).sum()
        raise ModelError(
            f"{up + down + unknown} of {there.size} draws of {source.name} have no compute-optimal split of "
            f"{flops[worst]:.6g} FLOPs between one parameter and one token: in {up} the loss falls all the "
            f"way to more parameters, in {down} to more tokens, in {unknown} the parameters allow none. "
            "allocate() with bounds on both stops the first two kinds there and reports their share; a prior "
            "that keeps exponents away from zero avoids them"
        )
