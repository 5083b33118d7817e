"""The least that the verbs take for an estimate: a law, and draws of its parameters."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

from forescale.laws import Law, get_law

REFERENCE = {"n_params": np.log(1e9), "n_tokens": np.log(2e10)}


@dataclass
class Toy:
    """The least that is an Estimate."""

    law: Law
    posterior: xr.Dataset
    name: str = "toy"
    noise: None = None
    departure: None = None


def toy(law, **parameters):
    """One draw of each parameter, or a row of them."""
    arrays = np.broadcast_arrays(*map(np.atleast_2d, parameters.values()))
    draws = {name: (("chain", "draw"), array) for name, array in zip(parameters, arrays, strict=True)}
    return Toy(get_law(law), xr.Dataset(draws))


def drawn_toy(law, shape, *, exponent, effect, floor, coupling):
    """Draw parameters by what the law declares, so that any law goes.

    Each of the last four is a function of a shape, or of a size and a shape, that draws: exponents, effects
    in nats at 1e9 parameters and 2e10 tokens, floors and couplings.
    """
    law = get_law(law)
    values = {term.exponent: exponent(shape) for term in law.terms.values()}
    for name, term in law.terms.items():
        log_effect = np.log(effect(term.size, shape))
        values[name] = np.exp(term.log_value(log_effect, REFERENCE[term.size], values[term.exponent]))
    if law.floor:
        values[law.floor] = floor(shape)
    if law.coupling:
        values[law.coupling] = coupling(shape)
    return Toy(law, xr.Dataset({name: (("chain", "draw"), array) for name, array in values.items()}))
