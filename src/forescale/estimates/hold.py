"""hold() -> Held: an estimate of a law some of whose inputs are known, as one of a law of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from forescale.belief.noise import Noise
from forescale.errors import ModelError
from forescale.estimates.draws import Estimate
from forescale.laws import Law
from forescale.numbers.budgets import POOL, Quantity, positive, with_pool
from forescale.tables.observations import Observations


@dataclass(frozen=True, eq=False)
class Held:
    """An estimate with inputs of its law held: every verb takes it as one of a law of the others.

    Attributes
    ----------
    source : Estimate
        The estimate, of the law with all its inputs.
    inputs : mapping of str to float
        What is held, and at what.
    """

    source: Estimate
    inputs: Mapping[str, float]

    @property
    def name(self) -> str:
        """That of the estimate."""
        return self.source.name

    @property
    def law(self) -> Law:
        """The law, of the inputs that are left."""
        return self.source.law.given(**self.inputs)

    @property
    def noise(self) -> Noise | None:
        """How log loss scatters about it."""
        return self.source.noise

    @property
    def posterior(self) -> xr.Dataset:
        """Draws of the law's parameters and of the noise's."""
        return self.source.posterior

    @property
    def observations(self) -> Observations | None:
        """The runs that were fitted, whatever they had where others are held; None where there are none."""
        return getattr(self.source, "observations", None)

    def departure(self, points: Mapping[str, Any]) -> xr.DataArray | None:
        """Draws of how far log loss is from the law's at points of the inputs that are left; see `Estimate`."""
        return None if self.source.departure is None else self.source.departure(self.at(points))

    def at(self, points: Mapping[str, Any]) -> dict[str, Any]:
        """Points with what is held beside them; of different tokens never more than all, as in the law."""
        held: dict[str, Any] = dict(self.inputs)
        if POOL in held and "n_tokens" in points:
            held[POOL] = np.minimum(held[POOL], points["n_tokens"])
        return {**points, **held}


def hold(source: Estimate, **inputs: Quantity) -> Held:
    """Hold inputs of an estimate's law, so that verbs that know nothing of them can take it.

    ``L(N, D, U)`` becomes ``L(N, D)`` for a stated number U of different tokens, say. Parameters, noise and discrepancy
    are as they were.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap.
    **inputs
        Inputs of its law, each a number above zero or a quantity such as "100B"; ``unique_tokens`` may be "inf".

    Returns
    -------
    Held
        An estimate of the law of the other inputs.

    Raises
    ------
    DataError
        If one is no number above zero.
    ModelError
        If the law has no such input, or none would be left.

    References
    ----------
    Muennighoff et al. 2023, arXiv:2305.16264, equation 6, for the law of which most is asked so.

    Examples
    --------
    >>> import forescale as fs
    >>> scarce = fs.hold(fs.published("muennighoff2023"), unique_tokens="100B")
    >>> scarce.law.inputs
    ('n_params', 'n_tokens')
    >>> fs.contradiction(scarce, compute="1e24").reason  # doctest: +SKIP
    """
    held = {
        name: np.inf if name == POOL and str(given) == "inf" else float(positive(name, given)[0])
        for name, given in inputs.items()
    }
    if not set(source.law.inputs) - set(held):
        raise ModelError(f"hold leaves law {source.law.name!r} no input: it has {', '.join(source.law.inputs)} alone")
    source.law.given(**held)  # which refuses what is no input
    return Held(source, held)


def with_one_pool(sources: Sequence[Estimate], unique_tokens: Quantity | None) -> list[Estimate]:
    """Estimates to be set side by side, with the number of different tokens held where their law knows of it.

    Raises
    ------
    DataError, ModelError
        If it is no number above zero, or given for laws to all of which every token is new.
    """
    if unique_tokens is None:
        return list(sources)
    able = [POOL in source.law.inputs for source in sources]
    if not any(able):
        with_pool(sources[0].law, unique_tokens)
    return [
        hold(source, unique_tokens=unique_tokens) if yes else source for source, yes in zip(sources, able, strict=True)
    ]
