"""The coordinates that the sampler moves in: what the data determine, at their centre.

Two things make a law hard to sample as it is printed. A coefficient and its exponent are nearly collinear whenever
the data lie far from one parameter and one token (or from a card's reference); so each term enters by its *effect*
at the geometric mean of the data. And a short ladder determines the loss and its slope there well, but hardly how
the loss divides into floor and terms, so that their posterior is a curved sheet; so a law with a floor is moved in

    log L0,    log(exponent_i effect_i / E),    log exponent_i,        L0 = E + sum_i effect_i:

the loss at the centre, the slopes (nearly: relative to E, which keeps E above zero), and the curvatures. Where effects
t_i are coupled by kappa, R = (sum_i t_i^(1/kappa))^kappa takes the place of their sum, and its parts

    q_i = R (t_i / R)^(1/kappa),    sum_i q_i = R,    log t_i = kappa log q_i + (1 - kappa) log R,

which slopes are in proportion to, that of the effects. All changes leave the posterior as it is: that to L0 and slopes
keeps volume in the logs of E, parts and exponents, and the Jacobians of the others are added, of k parts that are
coupled kappa^(k - 1). Measured in benchmarks/reference.py.

A structured deviation is moved by its weights w in units of their posterior's width, w (1 + (amplitude / v)^2)^(1/2)
with v about what runs resolve: where the amplitude is large the data determine amplitude times w, and where it is
small w is as its prior has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.belief.model import Model
from forescale.belief.structured import AMPLITUDE

_RESOLVED = 0.2  # what runs resolve of a deviation, over the median of the prior of its amplitude


def log_centre(model: Model, data: Mapping[str, Any]) -> NDArray[np.float64]:
    """Mean log size of the data for each term of the law, in the order of ``law.terms``."""
    return np.array([np.mean(np.log(data[term.size])) for term in model.law.terms.values()], dtype=float)


def start(model: Model, centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """The priors' medians in the sampler's coordinates, to start chains about."""
    priors = model.free_priors()
    medians = {name: prior.median for name, prior in priors.items()}
    at = {name: np.log(medians[name]) if prior.positive else 0.0 for name, prior in priors.items()}
    at |= {name: medians[name] for name, prior in priors.items() if prior.dist == "normal"}
    for name, parameter in _by_effect(model).items():
        term = model.law.terms[parameter]
        log_value = at[name]
        if name != parameter:
            log_value = term.log_value(log_value, np.log(model.reference[term.size]), medians[term.exponent])
        at[name] = term.log_effect(log_value, _at(model, parameter, centre), medians[term.exponent])
    effects = list(_by_effect(model))
    if kappa := _coupling(model):
        tuned = medians[kappa]
        log_sum = tuned * np.logaddexp.reduce([at[name] / tuned for name in effects])
        at |= {name: (at[name] - (1 - tuned) * log_sum) / tuned for name in effects}
    if floor := _divided(model):
        log_l0 = np.logaddexp.reduce([at[floor], *(at[name] for name in effects)])
        for name, exponent in zip(effects, _exponents(model), strict=True):
            at[name] += at[exponent] - at[floor]
        at[floor] = log_l0
    return np.array([at[name] for name in priors])


def to_values(model: Model, built: Any, z: Sequence[Any], centre: Any) -> tuple[dict[Any, Any], dict[str, Any], Any]:
    """From sampler coordinates to what PyMC knows.

    Parameters
    ----------
    model : Model
        The model.
    built : pymc.Model
        ``model.build(data)``.
    z : sequence of PyTensor variables
        One for each of ``model.free_priors()``, in that order, all of one shape.
    centre : PyTensor vector
        ``log_centre(model, data)``.

    Returns
    -------
    values : dict
        Each PyMC value variable's expression in z.
    free : dict of str to expression
        Each free variable on its own scale, by name.
    log_jacobian : expression or float
        Log of the absolute determinant of d values / d z.
    """
    import pytensor.tensor as pt

    variables = {name: built[name] for name in model.free_priors()}
    at = dict(zip(variables, z, strict=True))
    effects = list(_by_effect(model))
    if floor := _divided(model):
        log_l0 = at[floor]
        ratio = {name: at[name] - at[exponent] for name, exponent in zip(effects, _exponents(model), strict=True)}
        at[floor] = log_l0 - pt.log1p(sum(pt.exp(value) for value in ratio.values()))
        at |= {name: at[floor] + value for name, value in ratio.items()}
    moved = _by_effect(model)
    free = {name: _own_scale(built, variables[name], at[name]) for name in variables if name not in moved}
    log_jacobian: Any = 0.0
    if kappa := _coupling(model):
        tuned = free[kappa]
        log_sum = pt.logaddexp(*(at[name] for name in effects))
        at |= {name: tuned * at[name] + (1 - tuned) * log_sum for name in effects}
        log_jacobian += (len(effects) - 1) * pt.log(tuned)
    if part := model.discrepancy.structured:
        relative = (1 + (free[AMPLITUDE] / (_RESOLVED * part.amplitude.median)) ** 2) ** 0.5
        at |= {name: at[name] / relative for name in part.weights}
        log_jacobian -= len(part.weights) * pt.log(relative)
        free |= {name: at[name] for name in part.weights}
    for name, parameter in moved.items():
        term = model.law.terms[parameter]
        exponent = free[term.exponent]
        value = term.log_value(at[name], _at(model, parameter, centre), exponent)
        if name != parameter:
            value = term.log_effect(value, np.log(model.reference[term.size]), exponent)
        log_jacobian += pt.log(pt.abs(pt.grad(value.sum(), at[name])))
        at[name] = value
        free[name] = pt.exp(value)
    values = {built.rvs_to_values[variables[name]]: at[name] for name in variables}
    return values, {name: free[name] for name in variables}, log_jacobian


def _by_effect(model: Model) -> dict[str, str]:
    """What is moved by its effect at the centre: the name of what the prior is on, to the parameter's.

    A prior that is bounded above, or reaches below zero, is sampled as PyMC does.
    """
    return {model.prior_name(name): name for name in model.law.terms if model.priors[name].positive}


def _exponents(model: Model) -> list[str]:
    return [model.law.terms[parameter].exponent for parameter in _by_effect(model).values()]


def _divided(model: Model) -> str | None:
    """The law's floor, where floor, effects and exponents are all sampled in their logs; otherwise None."""
    floor, exponents = model.law.floor, _exponents(model)
    if floor is None or not exponents or len(exponents) < len(model.law.terms):
        return None
    return floor if all(model.priors[name].positive for name in (floor, *exponents)) else None


def _coupling(model: Model) -> str | None:
    """What couples the law's terms, where both are sampled by their effects."""
    return model.law.coupling if len(_by_effect(model)) == len(model.law.terms) > 1 else None


def _at(model: Model, parameter: str, centre: Any) -> Any:
    return centre[list(model.law.terms).index(parameter)]


def _own_scale(built: Any, variable: Any, z: Any) -> Any:
    transform = built.rvs_to_transforms[variable]
    return z if transform is None else transform.backward(z, *variable.owner.inputs)
