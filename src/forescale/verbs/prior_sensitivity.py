"""prior_sensitivity() -> PriorSensitivity: whether a fit's answers come from its runs or from its priors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from arviz_stats import psense

from forescale.errors import ModelError
from forescale.estimates.draws import Estimate
from forescale.estimates.fit import Fit
from forescale.numbers.budgets import Quantities
from forescale.units import CostModel
from forescale.verbs.attribution import written
from forescale.verbs.targets import Target, target_of

#: Sensitivity from which the paper calls a posterior sensitive, and below which the likelihood says little.
THRESHOLD = 0.05
_FORECAST = "forecast at place "  # no parameter is called so
FINE, CONFLICT, STRONG, UNKNOWN = "fine", "prior-data conflict", "strong prior or weak data", "not known"


@dataclass(frozen=True, eq=False)
class PriorSensitivity:
    """Power-scaling sensitivity of parameters and of a forecast to the prior and to the likelihood.

    Attributes
    ----------
    source : str
        The fit.
    target : Target
        The forecast.
    values : pandas.DataFrame
        What ``table()`` returns.
    """

    source: str
    target: Target
    values: pd.DataFrame = field(repr=False)

    def table(self) -> pd.DataFrame:
        """Sensitivities, a row per parameter and per place of the forecast.

        Returns
        -------
        pandas.DataFrame
            Columns quantity (a parameter's name or the forecast's), the place (NaN for parameters), prior and
            likelihood (sensitivities; 0.05 is about a shift of the mean by a quarter of a posterior standard
            deviation for each doubling of the power), led_by (the prior that, scaled alone, matters most),
            led_by_prior (the sensitivity to it) and diagnosis: "fine"; "prior-data conflict", sensitive to both;
            "strong prior or weak data", to the prior alone; or "not known".
        """
        return self.values.copy()

    @property
    def passed(self) -> bool:
        """Whether no quantity is flagged."""
        return bool((self.values["diagnosis"] == FINE).all())

    def __repr__(self) -> str:
        count = len(self.values) - len(self.target.at)
        places = [written(self.target, place) for place in range(len(self.target.at))]
        names = [*self.values["quantity"][:count], *(f"{self.target.label} at {place}" for place in places)]
        table = self.values[["prior", "likelihood", "led_by", "diagnosis"]].set_axis(names)
        lines = table.to_string(float_format="{:.3f}".format).splitlines()
        return "\n".join(
            [
                f"Prior sensitivity of {self.source}, by power scaling",
                *(f"  {line}" for line in lines),
                f"  (sensitive from {THRESHOLD}: to prior and likelihood, they disagree; to the prior alone, it",
                "  decides, or the runs say little; led_by: the prior that matters most when scaled alone)",
            ]
        )


def prior_sensitivity(
    fit: Estimate,
    of: str = "n_params",
    *,
    compute: Quantities | None = None,
    cost: str | CostModel = "6ND",
    **inputs: Any,
) -> PriorSensitivity:
    """How far a fit's parameters and forecasts would move were its priors, or its runs, to count for more or less.

    Prior or likelihood is raised to a power alpha near one, draws are weighted by ``p^(alpha - 1)`` with Pareto
    smoothing, and the sensitivity is the rate, per doubling of alpha, at which each quantity's distribution departs
    from its posterior, in cumulative Jensen-Shannon distance (``arviz.psense``). All priors are scaled together,
    those of the noise as well; then each alone.

    Parameters
    ----------
    fit : Fit
        A fit.
    of, compute, cost, **inputs
        The forecast, as in ``sensitivity``; sizes, ratios and losses enter as logs.

    Returns
    -------
    PriorSensitivity
        With ``table`` and ``passed``.

    Raises
    ------
    DataError
        If there is no such forecast, or what comes with it does not belong to it.
    ModelError
        If the source is no fit, and so has neither priors nor a likelihood to scale; or if it cannot answer.

    Notes
    -----
    Where the pointwise likelihood was thinned, the same draws of all else are taken. A forecast that some draws do
    not have has no sensitivity here: it is "not known".

    References
    ----------
    Kallioinen, Paananen, Buerkner and Vehtari 2024, Detecting and diagnosing prior and likelihood sensitivity with
    power-scaling, Statistics and Computing 34, 57, doi:10.1007/s11222-023-10366-5.

    Examples
    --------
    >>> import forescale as fs
    >>> fit = fs.fit(fs.load_dataset("hoffmann2022"), random_seed=1)  # doctest: +SKIP
    >>> fs.prior_sensitivity(fit, "loss", compute="1e26").passed  # doctest: +SKIP
    True
    """
    if not isinstance(fit, Fit):
        raise ModelError(
            f"{fit.name} is a {type(fit).__name__}: prior sensitivity needs a fit, whose priors and likelihood can be "
            "scaled; fs.fit(runs, model) makes one from a table of runs"
        )
    target = target_of(fit, of, compute=compute, cost=cost, inputs=inputs)
    tree = _aligned(fit, target)
    prior, likelihood = (_sensitivities(tree, group) for group in ("prior", "likelihood"))
    # a flat prior raised to a power is itself: nothing is sensitive to it, and there is no tail to smooth
    shaped = [str(name) for name, values in tree["log_prior"].data_vars.items() if np.ptp(values.values) > 0]
    alone = {name: _sensitivities(tree, "prior", name) for name in shaped}
    rows = []
    for name in prior:
        led_by = _leader({other: found[name] for other, found in alone.items()})
        rows.append({"prior": prior[name], "likelihood": likelihood[name], "led_by": led_by})
        rows[-1] |= {"led_by_prior": alone[led_by][name] if led_by in alone else np.nan}
        rows[-1] |= {"diagnosis": _diagnosis(prior[name], likelihood[name])}
    count = len(rows) - len(target.at)
    where = target.at.set_axis(range(count, len(rows))).reindex(range(len(rows)))
    names = pd.Series([*list(prior)[:count], *[of] * len(target.at)], name="quantity")
    return PriorSensitivity(fit.name, target, pd.concat([names, where, pd.DataFrame(rows)], axis=1))


def _aligned(fit: Fit, target: Target) -> xr.DataTree:
    """A tree of the same draws of the posterior, the log of the forecast, the log prior and the log likelihood."""
    likelihood = fit.tree["log_likelihood"].to_dataset()
    kept = {"draw": likelihood["draw"]}  # every k-th, where they were thinned
    quantities, prior = fit.posterior.sel(kept), fit.tree["log_prior"].to_dataset().sel(kept)
    forecast = target.log_forecast(target.values(quantities))
    for place in range(len(target.at)):
        quantities = quantities.assign({f"{_FORECAST}{place}": (("chain", "draw"), forecast[..., place])})
    return xr.DataTree.from_dict({"posterior": quantities, "log_prior": prior, "log_likelihood": likelihood})


def _sensitivities(tree: xr.DataTree, group: str, scaled: str | None = None) -> dict[str, float]:
    """The sensitivity of every variable of the posterior to a group, or to one prior of it; NaN where not finite."""
    draws = tree["posterior"].to_dataset()
    known = [
        str(name) for name, values in draws.items() if np.isfinite(values.values).all() and np.ptp(values.values) > 0
    ]
    found: Mapping[str, Any] = psense(tree, var_names=known, group=group, group_var_names=scaled)
    return {str(name): float(found[str(name)]) if name in known else np.nan for name in draws}


def _leader(alone: Mapping[str, float]) -> str:
    return UNKNOWN if np.isnan(list(alone.values())).any() else max(alone, key=lambda name: alone[name])


def _diagnosis(prior: float, likelihood: float) -> str:
    if np.isnan(prior):
        return UNKNOWN
    if prior < THRESHOLD:
        return FINE
    return CONFLICT if likelihood >= THRESHOLD else STRONG
