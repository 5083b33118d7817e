"""A model card's text: TOML that holds data only, so that names are looked up and nothing is evaluated."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from forescale.belief.discrepancy import Discrepancy
from forescale.belief.noise import get_noise
from forescale.belief.priors import Prior
from forescale.belief.spreads import Spreads
from forescale.errors import ModelError
from forescale.laws import get_law

if TYPE_CHECKING:
    from forescale.belief.model import Model

_KEYS = {"name", "title", "description", "law", "names", "reference", "priors", "noise", "discrepancy", "families"}


def read_card(text: str, name: str) -> dict[str, Any]:
    """The arguments of a Model, from the text of its card; ``name`` serves where the card has none.

    Raises
    ------
    ModelError
        If it is no model card.
    """
    try:
        card = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ModelError(f"not TOML: {error}") from error
    unknown = sorted(set(card) - _KEYS)
    missing = sorted({"law", "priors", "noise"} - set(card))
    if unknown or missing:
        raise ModelError(
            f"a model card has {', '.join(sorted(_KEYS))}; unknown: {', '.join(unknown) or 'none'}, "
            f"missing: {', '.join(missing) or 'none'}"
        )
    noise = dict(card["noise"])
    return {
        "name": card.get("name", name),
        "noise": get_noise(noise.pop("kind", "no kind")),
        "law": get_law(card["law"]).renamed(card.get("names", {})),
        "priors": priors_of(card["priors"]),
        "noise_priors": priors_of(noise),
        "reference": card.get("reference", {}),
        "discrepancy": Discrepancy.from_table(card.get("discrepancy", {})),
        "families": Spreads(card.get("families", {})),
        "title": card.get("title", ""),
        "description": card.get("description", ""),
    }


def write_card(model: Model) -> str:
    """The text of a model's card."""
    import tomli_w

    card: dict[str, Any] = {"name": model.name, "title": model.title, "description": model.description}
    card["law"] = model.law.name
    names = {own: new for new, own in model.law.own_names.items() if own != new}
    card |= {"names": names} if names else {}
    sizes = {name: list(size) if isinstance(size, tuple) else size for name, size in model.reference.items()}
    card |= {"reference": sizes} if model.reference else {}
    card["priors"] = {name: prior.to_table() for name, prior in model.priors.items()}
    noise = {name: prior.to_table() for name, prior in model.noise_priors.items()}
    card["noise"] = {"kind": model.noise.kind, **noise}
    card |= {"discrepancy": model.discrepancy.to_table()} if model.discrepancy else {}
    card |= {"families": dict(model.families.scales)} if model.families else {}
    return tomli_w.dumps(card)


def priors_of(tables: Mapping[str, Any]) -> dict[str, Prior]:
    """Priors by name, from a card's inline tables."""
    priors = {}
    for name, table in tables.items():
        try:
            priors[name] = Prior.from_table(table)
        except ModelError as error:
            raise ModelError(f"prior of {name}: {error}") from error
    return priors
