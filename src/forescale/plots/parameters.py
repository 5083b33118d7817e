"""Parameters in figures: which are shown, and what each is called, with its unit."""

from __future__ import annotations

from forescale.belief.model import Model
from forescale.belief.references import in_words
from forescale.belief.structured import AMPLITUDE
from forescale.laws.terms import Amplitude

_SIZES = {
    "n_params": ("N", "parameters"),
    "n_tokens": ("D", "tokens"),
    "flops": ("C", "FLOPs"),
    "min_flops": ("C_min", "FLOPs"),
    "min_steps": ("S_min", "steps"),
    "peak_steps": ("S", "steps"),
    "cooling": ("x", "cooling"),
}
_SCATTER = {"sigma": "scale of log loss", "nu": "degrees of freedom", AMPLITUDE: "scale of log loss"}


def free_names(model: Model) -> list[str]:
    """What the card's priors are on: of the law, the noise and how large a deviation is, without its weights."""
    law = [model.prior_name(name) for name in model.believed]
    return [*law, *model.noise.parameters, *([AMPLITUDE] if model.discrepancy.structured else [])]


def parameter_label(model: Model, name: str) -> str:
    """Name a variable of the posterior, with its unit in brackets where it is known.

    Examples
    --------
    >>> from forescale.belief.catalog import load_model
    >>> model = load_model("chinchilla")
    >>> [parameter_label(model, name) for name in ("E", "A_effect", "A", "alpha")]
    ['E (nats per token)', 'A_effect (nats at N = 100M)', 'A (nats × parameters^alpha)', 'alpha (exponent)']
    """
    law = model.law
    units = dict(_SCATTER)
    if law.floor:
        units[law.floor] = "nats per token"
    if law.coupling:
        units[law.coupling] = "coupling"
    for parameter, term in law.terms.items():
        letter, unit = _SIZES.get(term.size, (term.size, term.size))
        units[term.exponent] = "exponent"
        units[parameter] = f"nats × {_measure(term, unit)}^{term.exponent}" if isinstance(term, Amplitude) else unit
        if term.size in model.reference:
            units[f"{parameter}_effect"] = f"nats at {letter} = {in_words(model.reference[term.size])}"
    return f"{name} ({units[name]})" if name in units else name


def _measure(term: Amplitude, unit: str) -> str:
    """What an amplitude's exponent raises, such as parameters, or (6 parameters²)."""
    if term.times == term.factor == 1:
        return unit
    power = "" if term.times == 1 else "²" if term.times == 2 else f"^{term.times:g}"
    return f"({term.factor:g} {unit}{power})"
