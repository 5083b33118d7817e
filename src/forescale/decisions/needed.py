"""The compute that losses take, as numbers: of the law's curve along best splits, or of a new run on its way there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.errors import DataError, ModelError
from forescale.estimates.draws import Estimate
from forescale.laws import Law
from forescale.numbers.budgets import POOL, Array, with_pool
from forescale.numbers.optimum import MOST_FLOPS, Values, has_closed_form, log_compute_to, log_optimal_size
from forescale.units import CostModel
from forescale.verbs.allocate import law_values
from forescale.verbs.forecast import forecast

#: Budgets along which a run is followed, so many in a decade, with a best split found once in each, since it hardly
#: bends between; and from where on, in FLOPs, where no runs were fitted.
_LEAST, _PER_DECADE = 1e12, 16


def needed(name: str, law: Law, cost: CostModel, log_losses: Array, values: Values) -> dict[str, Array]:
    """Find compute, and of laws that split it parameters and tokens, for losses of the law's curve.

    Infinite where nothing reaches a loss, zero where no training is needed for it. ``log_losses`` broadcast against
    draws of shape (chain, draw, loss), as a loss does that stands for an accuracy and that every draw has its own of.

    Raises
    ------
    ModelError
        If draws have no best split.
    """
    splits = law.inputs != ("flops",)
    closed = has_closed_form(law, cost)
    log_compute = log_compute_to(law, cost, log_losses, values, closed=closed)
    found = {"compute": np.exp(log_compute)}
    bad = np.isnan(log_compute)
    if splits:
        inside = np.where(np.isfinite(log_compute), log_compute, np.log(MOST_FLOPS))
        with np.errstate(over="ignore"):
            size = np.exp(log_optimal_size(law, cost, inside, values, closed=closed))
        bad = bad | ~np.isfinite(size) | (size == 0)
        tokens = np.asarray(cost.n_tokens(np.exp(inside), size))
        for quantity, array in {"n_params": size, "n_tokens": tokens}.items():
            found[quantity] = np.where(np.isinf(log_compute), found["compute"], array)
    if bad.any():
        raise ModelError(
            f"{int(bad.sum())} of {bad.size} draws and losses of {name} have no compute-optimal split between one "
            "parameter and one token, say because an exponent is all but zero; a prior that keeps exponents away from "
            "zero avoids it"
        )
    return found


def needed_by_run(
    source: Estimate, cost: CostModel, log_losses: Array, pool: float | None, rng: np.random.Generator
) -> tuple[dict[str, Array], xr.DataArray, str]:
    """Find the least compute with which a new run has losses, how far it is from the law's curve, and what is in that.

    The run of each budget has the median best split of it. A draw has one drift and one noise for all budgets, so that
    its loss is a curve, whose first crossing is looked for from the compute of the smallest run fitted on: below it a
    drift grows as it does beyond the largest. Draws in which noise alone gets there count with that compute.

    Raises
    ------
    DataError, ModelError
        If a run's noise is not known without its standard error, or not at all, or most of the smallest runs have a
        loss already.
    """
    if source.noise is None:
        raise ModelError(
            f"{source.name} has no noise model, so there is no band for a new run; ask for kind='mean', or fit a table "
            "of runs"
        )
    if source.noise.needs_se:
        raise DataError(
            f"{source.name} knows the scatter of runs by their standard errors only, and a run not planned has none; "
            "ask for kind='mean'"
        )
    path = _path(source, cost, pool)
    inputs = path[list(source.law.inputs)]
    parameters = {name: source.posterior[name].to_numpy()[..., None] for name in source.noise.parameters}
    one = np.ones((source.posterior.sizes["chain"], source.posterior.sizes["draw"], 1))
    scatter = np.log(np.asarray(source.noise.run_loss(one, parameters, rng)))
    at: dict[str, Any] = {name: inputs[name].to_numpy() for name in source.law.inputs}
    curve = np.log(source.law(at, law_values(source)))
    departure = source.departure(at) if source.departure is not None else None
    drift = 0.0 if departure is None else departure.transpose("chain", "draw", "point").to_numpy()
    log_loss = curve + scatter + drift
    told = forecast(source, inputs.iloc[:1], random_seed=0).kinds["run"]
    log_flops = np.log(path["flops"].to_numpy())
    if (soon := np.median(log_loss[..., 0]) <= log_losses).any():
        least = float(np.exp(log_losses[soon].min()))
        raise DataError(f"most runs of {path['flops'][0]:.3g} FLOPs have a loss of {least:.4g}; ask for less")
    compute = np.exp(np.stack([_first(log_flops, log_loss, target) for target in log_losses], axis=-1))
    found = {"compute": compute}
    for name in ("n_params", "n_tokens"):
        if name in inputs:
            size = np.exp(np.interp(np.log(compute), log_flops, np.log(at[name])))
            found[name] = np.where(np.isinf(compute), np.inf, size)
    aside = xr.DataArray(log_loss - curve, dims=("chain", "draw", "log_flops"), coords={"log_flops": log_flops})
    return found, aside, told


def _path(source: Estimate, cost: CostModel, pool: float | None) -> pd.DataFrame:
    """The run of each budget: flops, and the law's inputs; from the smallest run fitted, if most draws can split it."""
    low, high = np.log10(_smallest(source, cost)), np.log10(MOST_FLOPS)
    flops = 10.0 ** np.linspace(low, high, max(1, round(high - low)) * _PER_DECADE + 1)
    if source.law.inputs == ("flops",):
        return pd.DataFrame({"flops": flops})
    knots, (law, _) = np.log(flops[::_PER_DECADE]), with_pool(source.law, pool)
    closed = has_closed_form(law, cost)
    sizes = log_optimal_size(law, cost, knots, law_values(source), closed=closed).reshape(-1, len(knots))
    middle = np.median(sizes, axis=0)  # few draws may have no best split at an end, which a median does not mind
    first = int(np.isfinite(middle).argmax())
    if not np.isfinite(middle[first:]).all():
        raise ModelError(
            f"most draws of {source.name} have no compute-optimal split of some budgets, so that there is no run to "
            "follow; ask for kind='mean'"
        )
    flops = flops[first * _PER_DECADE :]
    n_params = np.exp(np.interp(np.log(flops), knots[first:], middle[first:]))
    n_tokens = np.asarray(cost.n_tokens(flops, n_params))
    path = pd.DataFrame({"flops": flops, "n_params": n_params, "n_tokens": n_tokens})
    return path if pool is None else path.assign(**{POOL: np.minimum(pool, n_tokens)})


def _smallest(source: Estimate, cost: CostModel) -> float:
    runs: Any = getattr(source, "observations", None)
    if runs is None:
        return _LEAST
    if source.law.inputs == ("flops",):
        return float(runs.column("flops").min())
    return float(np.min(cost.flops(runs.column("n_params"), runs.column("n_tokens"))))


def _first(log_flops: Array, log_loss: Array, target: float) -> Array:
    """Log of the first budget with the loss, by straight lines between budgets in logs; infinite where none has."""
    enough = log_loss <= target
    place = np.maximum(enough.argmax(axis=-1), 1)
    before, after = (np.take_along_axis(log_loss, (place - side)[..., None], -1)[..., 0] for side in (1, 0))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = (before - target) / (before - after)
    found = log_flops[place - 1] + share * (log_flops[place] - log_flops[place - 1])
    return np.where(enough[..., 0], log_flops[0], np.where(enough.any(axis=-1), found, np.inf))
