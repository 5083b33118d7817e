"""published() -> Published: printed estimates as draws, from printed values and printed uncertainties."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.catalog import published_card
from forescale.errors import ModelError
from forescale.estimates.draws import interval_rows
from forescale.laws import Law, get_law
from forescale.numbers.rules import PowerRule


@dataclass(frozen=True, eq=False)
class Published:
    """A published estimate: a law, its printed parameters, and draws that stand for its printed uncertainty.

    Attributes
    ----------
    name, title, citation : str
        Which estimate, and where it is printed.
    law : Law
        The law.
    values : mapping of str to float
        The parameters as printed, in counts, FLOPs and nats per token.
    uncertainty : str
        Where the spread of the draws comes from, in words; the card's own.
    posterior : xarray.Dataset
        Draws of the law's parameters, dims ("chain", "draw"). A single draw, the printed values, where no usable
        uncertainty is printed.
    counts_embeddings : bool or None
        Whether N counts embedding parameters.
    rules : mapping of str to PowerRule
        Rules that the paper prints beside its law, by name, such as ``n_params`` for the compute-optimal size;
        read-only, empty where it prints none. They are as printed, and need not follow from the law.
    """

    name: str
    law: Law
    values: Mapping[str, float]
    posterior: xr.Dataset = field(repr=False)
    title: str = ""
    citation: str = ""
    uncertainty: str = ""
    counts_embeddings: bool | None = None
    rules: Mapping[str, PowerRule] = field(default_factory=dict)
    noise: None = None  # no paper here prints how a new run scatters,
    departure: None = None  # nor how far its law may be from the truth

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", MappingProxyType(dict(self.rules)))

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Each parameter: printed value, and median and equal-tailed interval of the draws."""
        rows = [interval_rows(self.posterior[name], prob).iloc[0] for name in self.law.parameters]
        table = pd.DataFrame(rows, index=list(self.law.parameters))
        table.insert(0, "printed", [self.values[name] for name in self.law.parameters])
        return table

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {value:.6g}" for name, value in self.values.items())
        rules = "".join(f"\n  rule {name}: {rule}" for name, rule in self.rules.items())
        return f"{self.name}: {self.title}\n  {values}{rules}\n  {self.citation}\n  uncertainty: {self.uncertainty}"


def published(name: str, *, draws: int = 4000, random_seed: int | np.random.Generator | None = 0) -> Published:
    """A published estimate by name, as an input to every verb.

    Where the card has standard errors se, draws are normal about the printed values with the card's correlation R,
    and in the log where the card gives a standard deviation s of the log:
    ``z ~ Normal(0, R)``, ``theta = value + se z`` or ``theta = value exp(s z)``.

    Parameters
    ----------
    name : str
        One of ``list_published()``.
    draws : int
        Number of draws, where there is an uncertainty to draw from.
    random_seed : int, Generator or None
        Seed; fixed by default, so that a published estimate is the same each time.

    Returns
    -------
    Published
        Values and draws.

    Raises
    ------
    ModelError
        If there is no such estimate, or its card contradicts itself.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.published("hoffmann2022").values["alpha"]
    0.34
    """
    return from_toml(published_card(name), draws=draws, random_seed=random_seed)


def from_toml(text: str, *, draws: int = 4000, random_seed: int | np.random.Generator | None = 0) -> Published:
    """From the text of a card; see ``published``."""
    card = tomllib.loads(text)
    law = get_law(card["law"]).renamed(card.get("names", {}))
    values = {name: float(value) for name, value in card["values"].items()}
    if set(values) != set(law.parameters):
        raise ModelError(
            f"published estimate {card['name']!r}: law {law.name!r} has parameters {', '.join(law.parameters)}, "
            f"the card has values for {', '.join(values)}"
        )
    counted = card["counts_embeddings"]
    return Published(
        name=card["name"],
        law=law,
        values=values,
        posterior=_draws(card, values, draws, np.random.default_rng(random_seed)),
        title=card["title"],
        citation=card["citation"],
        uncertainty=card["uncertainty"],
        counts_embeddings=counted if isinstance(counted, bool) else None,
        rules=_rules(card),
    )


def _rules(card: Mapping[str, Any]) -> dict[str, PowerRule]:
    rules = {}
    for name, table in card.get("rules", {}).items():
        try:
            rules[name] = PowerRule.from_table(name, table)
        except ModelError as error:
            raise ModelError(f"published estimate {card['name']!r}, rule {name!r}: {error}") from error
    return rules


def _draws(card: Mapping[str, Any], values: Mapping[str, float], draws: int, rng: np.random.Generator) -> xr.Dataset:
    errors = card.get("standard_errors")
    if errors is None:
        return xr.Dataset({name: (("chain", "draw"), [[value]]) for name, value in values.items()})
    order, log_sd = card["correlation"]["order"], card["correlation"]["log_sd"]
    matrix = np.array(card["correlation"]["matrix"], dtype=float)
    positive = np.linalg.eigvalsh(matrix).min() > 0 if matrix.shape == (len(order),) * 2 else False
    if set(order) != set(values) or set(errors) != set(values) or not np.allclose(matrix, matrix.T) or not positive:
        raise ModelError(
            f"published estimate {card['name']!r}: standard_errors and correlation must cover the parameters "
            f"{', '.join(values)}, and the correlation be symmetric and positive definite"
        )
    z = np.linalg.cholesky(matrix) @ rng.standard_normal((len(order), draws))
    theta = {}
    for name, scores in zip(order, z, strict=True):
        if name in log_sd:
            theta[name] = values[name] * np.exp(log_sd[name] * scores)
        else:
            theta[name] = values[name] + errors[name] * scores
    return xr.Dataset({name: (("chain", "draw"), theta[name][None]) for name in values})
