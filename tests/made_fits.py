"""Fits without a sampler, for what only draws of a fit."""

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.model import Model
from forescale.estimates.fit import Fit
from forescale.sampling.diagnostics import Diagnostics
from forescale.sampling.nuts import Settings
from forescale.tables.observations import Observations

CHINCHILLA = {"E": 1.8, "A": 470.0, "B": 1900.0, "alpha": 0.345, "beta": 0.36, "sigma": 0.004, "nu": 3.0}
POWER = {"C_c": 2e27, "alpha_C": 0.057, "sigma": 0.01, "nu": 5.0}


def made_fit(
    model: Model,
    values: dict[str, float],
    *,
    scatter: float = 0.004,
    spread: float = 0.005,
    draws: int = 100,
    **extra: np.ndarray,
) -> Fit:
    """30 runs, normal about the law by ``scatter`` of log loss, and draws lognormal about the truth by ``spread``."""
    rng = np.random.default_rng(0)
    n_params = np.geomspace(1e8, 1e10, 30)
    columns = {"n_params": n_params, "n_tokens": 20 * n_params, "flops": 120 * n_params**2}
    loss = model.law({**columns, **extra}, values) * np.exp(scatter * rng.standard_normal(30))
    drawn = {name: value * np.exp(spread * rng.standard_normal((2, draws))) for name, value in values.items()}
    for name, term in model.law.terms.items():
        if model.prior_name(name) != name:
            size, exponent = np.log(model.reference[term.size]), drawn[term.exponent]
            drawn[model.prior_name(name)] = np.exp(term.log_effect(np.log(drawn[name]), size, exponent))
    return Fit(
        model=model,
        observations=Observations({**columns, "loss": loss, **extra}, name="made"),
        posterior=xr.Dataset(
            {name: (("chain", "draw"), values) for name, values in drawn.items()},
            {"chain": range(2), "draw": range(draws)},
        ),
        sample_stats=xr.Dataset(),
        seed=1,
        settings=Settings(),
        diagnostics=Diagnostics(
            pd.DataFrame({"r_hat": [1.0], "ess_bulk": [200.0], "ess_tail": [200.0]}), 0, 1.0, 0.0, 0.5
        ),
    )
