"""Spreads: by how much a card says that families of runs differ, parameter by parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from forescale.belief.priors import Prior
from forescale.errors import ModelError
from forescale.laws import Law

#: The spread of what multiplies all of a family's losses, beside those of parameters.
LEVEL = "loss"
#: How much runs scatter: a parameter of every noise.
NOISE = "sigma"
#: Scales of the half-normal priors on standard deviations between families, in logs, where a card does not say. By kind
#: of parameter, as 24 ladders of others differ among their like (models/spreads/learned.toml), to one digit.
USUAL: Mapping[str, float] = MappingProxyType({LEVEL: 0.2, "floor": 0.4, "effect": 0.1, "exponent": 0.3, "noise": 0.5})


class Scalable(Protocol):
    """What `scaled` needs of a model."""

    @property
    def law(self) -> Law:
        """Its law."""
        ...

    def prior_name(self, parameter: str, /) -> str:
        """What the prior of a parameter is on."""
        ...


@dataclass(frozen=True)
class Spreads:
    """The scale of a half-normal prior on the standard deviation, between families, of the log of each parameter.

    Attributes
    ----------
    scales : mapping of str to float
        By parameter, as a card's priors name them (one that is given by its effect at a reference differs in that);
        ``loss`` is a factor on all losses of a family, of floor and effects alike, as another tokenizer makes. 0.1
        says that families differ by about 10 %. What is not named is the same in all families.
    """

    scales: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))

    def __post_init__(self) -> None:
        if not isinstance(self.scales, Mapping):
            raise ModelError(f"families is a table of numbers by parameter, e.g. E = 0.1, not {self.scales!r}")
        for name, scale in self.scales.items():
            if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 < scale < np.inf:
                raise ModelError(
                    f"families: {name} is the scale of the spread between families of its log, a number above zero "
                    f"(0.1: about 10 %), not {scale!r}. What is the same in all families is left out"
                )
        object.__setattr__(self, "scales", MappingProxyType({name: float(v) for name, v in self.scales.items()}))

    def __bool__(self) -> bool:
        return bool(self.scales)

    def __iter__(self) -> Iterator[str]:
        return iter(self.scales)

    def prior(self, name: str) -> Prior:
        """The prior of one standard deviation."""
        return Prior("halfnormal", sigma=self.scales[name])

    def refuse(self, name: str) -> None:
        """Refuse what would be fitted as one law.

        Raises
        ------
        ModelError
            If there are spreads.
        """
        if self:
            raise ModelError(
                f"model {name!r} says how families differ: fit_families fits it, and model.with_families() is the "
                "same model of one law for all runs"
            )

    def check(self, where: str, law: Law, priors: Mapping[str, Prior]) -> None:
        """Refuse what is no parameter, may be below zero, or is a factor on a law that has no place for one.

        Raises
        ------
        ModelError
            Saying which.
        """
        for name in self.scales:
            if name == LEVEL:
                if not (law.floor or law.terms) or law.judged is not None:
                    raise ModelError(f"{where}: law {law.name!r} has no floor or effects for a factor on all losses")
            elif name not in priors:
                raise ModelError(
                    f"{where}: families differ in {name!r}, which is no parameter; there are {', '.join(priors)}, and "
                    f"{LEVEL!r} for a factor on all losses"
                )
            elif not priors[name].positive:
                raise ModelError(
                    f"{where}: families differ in the log of {name}, which by its prior, {priors[name]!r}, need not be "
                    "above zero or is bounded"
                )


def scaled(model: Scalable, values: Mapping[str, Any], log_factor: Any) -> dict[str, Any]:
    """Parameters of a law times a factor: floor and effects moved, exponents and whatever else there is kept.

    Parameters
    ----------
    model : Model
        Whose law it is, and which says what effects at the reference are called.
    values : mapping
        Printed parameters of the law, and more; effects at the reference are moved with them.
    log_factor : value
        Log of the factor; all may be floats, NumPy, xarray or PyTensor.

    Examples
    --------
    >>> import forescale as fs
    >>> model, at = fs.load_model("kaplan_floor"), {"n_params": 1e8, "n_tokens": 2e9}
    >>> before = {"E": 1.7, "N_c": 1e9, "D_c": 1e10, "alpha_N": 0.3, "alpha_D": 0.4}
    >>> round(float(model.law(at, scaled(model, before, np.log(1.1))) / model.law(at, before)), 9)
    1.1
    """
    law, moved = model.law, dict(values)
    if law.floor:
        moved[law.floor] = values[law.floor] * np.exp(log_factor)
    for name, term in law.terms.items():
        exponent, effect = values[term.exponent], model.prior_name(name)
        log_effect = term.log_effect(np.log(values[name]), 0.0, exponent) + log_factor
        moved[name] = np.exp(term.log_value(log_effect, 0.0, exponent))
        if effect != name and effect in values:
            moved[effect] = values[effect] * np.exp(log_factor)
    return moved


def usual_scale(law: Law, name: str) -> float:
    """Of the spread of a parameter of a law with its noise, or of a factor on all losses, where a card does not say.

    What is no floor and no effect of a term has the scale of exponents, from which it cannot be told to differ.

    Examples
    --------
    >>> import forescale as fs
    >>> usual_scale(fs.load_model("chinchilla").law, "alpha") == USUAL["exponent"]
    True
    """
    if name == LEVEL:
        return USUAL[LEVEL]
    if name == NOISE and name not in law.parameters:
        return USUAL["noise"]
    return USUAL["floor" if name == law.floor else "effect" if name in law.terms else "exponent"]
