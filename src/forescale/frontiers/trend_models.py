"""Models of three trends: lines in logs through runs, or through the minima of isoFLOP profiles.

What both make is in the terms of `trends.Trends`, read off lines about the middle of their data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from forescale.belief.priors import Prior
from forescale.frontiers.valley import Builder, frontier_line
from forescale.laws import Named

#: Levels are of logs at the middle of the data, less the mean there; `fit_trends` says why these.
PRIORS = {
    "alpha_C": Prior("lognormal", median=0.06, sigma=0.6),
    "alpha_D": Prior("lognormal", median=0.09, sigma=0.6),
    "b": Prior("normal", mu=0.5, sigma=0.25),
    "loss_level": Prior("normal", mu=0.0, sigma=0.5),
    "floor_level": Prior("normal", mu=0.0, sigma=0.5),
    "tokens_level": Prior("normal", mu=0.0, sigma=2.0),
    "loss_scatter": Prior("halfnormal", sigma=0.05),
    "floor_scatter": Prior("halfnormal", sigma=0.05),
    "tokens_scatter": Prior("halfnormal", sigma=0.5),
}
#: Of minima about the trend of loss, which are not observed: away from zero, where they could not be told from it.
_MINIMA_SCATTER = Prior("gamma", alpha=2.0, beta=200.0)
#: Each trend: its columns (x, y), the priors of slope, level and scatter, and the sign of the slope.
TRENDS = {
    "L(C)": ("log_flops", "log_loss", "alpha_C", "loss_level", "loss_scatter", -1.0),
    "D(C)": ("log_flops", "log_tokens", "b", "tokens_level", "tokens_scatter", 1.0),
    "L(D)": ("log_limited_tokens", "log_limited_loss", "alpha_D", "floor_level", "floor_scatter", -1.0),
}


def lines(data: Mapping[str, Any]) -> Any:
    """The PyMC model of three lines through runs."""
    import pymc as pm

    with pm.Model() as model:
        given = {name: pm.Data(name, values) for name, values in data.items()}
        for trend, (_, y, slope, *_) in TRENDS.items():
            mu, scatter = _line(trend, given)
            pm.Normal(f"observed_{slope}", mu, scatter, observed=given[y])
    return model


@dataclass(frozen=True)
class Profiles(Builder):
    """The PyMC model of isoFLOP profiles whose minima have a trend of loss, and of the line L(D) through runs.

    The minima's sizes, and so their tokens, are on a power law in the model of the valleys already.
    """

    def __call__(self, data: Mapping[str, Any]) -> Any:
        """The model, which holds the data under their names."""
        import pymc as pm

        with super().__call__(data) as model:
            mu, scatter = _line("L(D)", {name: model[name] for name in data})
            pm.Normal("observed_alpha_D", mu, scatter, observed=model["log_limited_loss"])
        return model

    def log_loss_min(self, given: Named) -> Any:
        """Each budget's minimum loss, in the log: about the line L(C), half-way between centred and non-centred."""
        import pymc as pm

        along = {"log_flops": given["log_budget"], "log_loss": given["log_loss_low"]}
        mu, scatter = _line("L(C)", along, _MINIMA_SCATTER)
        root_scatter_v = pm.Normal("root_scatter_v", sigma=scatter**0.5, dims="budget")
        return pm.Deterministic("log_loss_min", mu + scatter**0.5 * root_scatter_v, dims="budget")


def _line(trend: str, given: Mapping[str, Any], scatter_prior: Prior | None = None) -> tuple[Any, Any]:
    """Where a trend's line is, and its scatter, in the PyMC model whose context is open."""
    x, y, slope, level, scatter, sign = TRENDS[trend]
    priors = {name: PRIORS[name] for name in (slope, level)} | {scatter: scatter_prior or PRIORS[scatter]}
    free = {name: prior.random_variable(name) for name, prior in priors.items()}
    return given[y].mean() + free[level] + sign * free[slope] * (given[x] - given[x].mean()), free[scatter]


def trends_of_lines(free: xr.Dataset, data: Mapping[str, Any], unit: float) -> xr.Dataset:
    """Trends in their own parameters, from draws of `lines`."""
    log_d1 = np.mean(data["log_tokens"]) + free["tokens_level"]
    return _trends(free, np.mean(data["log_loss"]), data, free["b"], log_d1, unit)


def trends_of_profiles(free: xr.Dataset, data: Mapping[str, Any], unit: float) -> xr.Dataset:
    """Trends in their own parameters, from draws of `Profiles` under C = 6ND."""
    middle = np.mean(data["log_budget"])
    log_d1 = middle - np.log(6.0) - frontier_line(middle, middle, free)
    return _trends(free, np.mean(data["log_loss_low"]), data, 1.0 - free["a"], log_d1, unit)


def _trends(
    free: xr.Dataset, log_loss: Any, data: Mapping[str, Any], b: xr.DataArray, log_d1: xr.DataArray, unit: float
) -> xr.Dataset:
    log_floor = np.mean(data["log_limited_loss"]) + free["floor_level"]
    return xr.Dataset(
        {
            "C_c": unit * np.exp((log_loss + free["loss_level"]) / free["alpha_C"]),
            "alpha_C": free["alpha_C"],
            "D_c": np.exp(np.mean(data["log_limited_tokens"]) + log_floor / free["alpha_D"]),
            "alpha_D": free["alpha_D"],
            "D_1": np.exp(log_d1),
            "b": b,
            "N_1": unit / (6 * np.exp(log_d1)),
            "a": 1.0 - b,
        }
    )
