"""Discrepancy: what a model card believes of the law being wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.belief.drift import Drift, decades_outside, growth
from forescale.belief.priors import Prior
from forescale.belief.structured import Structured
from forescale.errors import ModelError
from forescale.laws import Named

Array = NDArray[np.float64]

_KEYS = {"drift": ("bias", "scale"), "structured": ("amplitude", "length", "rank")}
_NUMBERS = ("length", "rank")  # the others are priors
# Streams of random numbers, apart from those of estimates.fit.
_DRIFT, _LEFT_OPEN = 11, 12


@dataclass(frozen=True)
class Discrepancy:
    """How log loss may depart from the law's, beside the noise of a run.

    Attributes
    ----------
    drift : Drift or None
        A wander beyond the data, of which the runs say nothing.
    structured : Structured or None
        A smooth deviation among the data, learned with the law.
    """

    drift: Drift | None = None
    structured: Structured | None = None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Discrepancy:
        """From a card's tables ``[discrepancy.drift]`` and ``[discrepancy.structured]``, or neither.

        Raises
        ------
        ModelError
            If there is another, or one lacks a prior.
        """
        parts = {kind: _read(kind, table[kind]) for kind in table}
        return cls(
            drift=Drift(**parts["drift"]) if "drift" in parts else None,
            structured=Structured(**parts["structured"]) if "structured" in parts else None,
        )

    def to_table(self) -> dict[str, Any]:
        """As a card's tables."""
        table: dict[str, Any] = {}
        for kind, keys in _KEYS.items():
            if part := getattr(self, kind):
                values = {key: getattr(part, key) for key in keys}
                table[kind] = {k: v.to_table() if isinstance(v, Prior) else v for k, v in values.items()}
        return table

    def __bool__(self) -> bool:
        return self.drift is not None or self.structured is not None

    def __str__(self) -> str:
        told = {"drift beyond the data": self.drift, "a structured deviation": self.structured}
        return " and ".join(name for name, part in told.items() if part) or "none"

    def priors(self) -> dict[str, Prior]:
        """What is learned with the law, by name: nothing of a drift."""
        return self.structured.priors() if self.structured else {}

    def features(self, data: Mapping[str, Any], inputs: tuple[str, ...]) -> dict[str, Array]:
        """By its name, what each weight of a structured deviation is multiplied by at the runs fitted."""
        if not self.structured:
            return {}
        logs = _logs(data, inputs)
        rows = self.structured.features(logs, logs)
        return dict(zip(self.structured.feature_names, rows, strict=True))

    def learned(self, data: Mapping[str, Any], values: Named) -> Any:
        """The structured deviation at the runs fitted, from ``features`` and what was drawn; 0 without one."""
        if not self.structured:
            return 0.0
        return self.structured.deviation([data[name] for name in self.structured.feature_names], values)

    def draws(
        self,
        fitted: Mapping[str, Any],
        points: Mapping[str, Any],
        inputs: tuple[str, ...],
        posterior: Named,
        shape: tuple[int, int],
        seed: int,
    ) -> Array | None:
        """Draws of log loss beyond the law's at points, without the noise of a run.

        Parameters
        ----------
        fitted, points : mapping of str to array, shape (run,) and (point,)
            Inputs of the runs fitted and of the points.
        inputs : tuple of str
            The law's.
        posterior : mapping of str to array, shape (chain, draw)
            What was learned.
        shape : tuple of int
            Chains and draws.
        seed : int
            The fit's. One draw of drift belongs to each draw of the posterior, the same in each call, so that
            forecasts of one fit err together.

        Returns
        -------
        array, shape (chain, draw, point), or None
            None where the model has no discrepancy.
        """
        if not self:
            return None
        total: Array = np.zeros((*shape, np.size(points[inputs[0]])))
        if self.drift:
            coefficients = self.drift.coefficients(shape, np.random.default_rng([seed, _DRIFT]))
            total += coefficients[..., None] * growth(decades_outside(fitted, points, inputs))
        if self.structured:
            known, asked = _logs(fitted, inputs), _logs(points, inputs)
            values = {name: np.asarray(posterior[name])[..., None] for name in self.structured.priors()}
            total += self.structured.deviation(self.structured.features(known, asked), values)
            rng = np.random.default_rng([seed, _LEFT_OPEN])
            total += self.structured.left_open(known, asked, values, rng)
        return total


def _logs(of: Mapping[str, Any], inputs: tuple[str, ...]) -> Array:
    """Log10 of inputs, shape (run, input)."""
    return np.log10([np.asarray(of[name], dtype=float) for name in inputs]).T


def _read(kind: str, table: Any) -> dict[str, Any]:
    if kind not in _KEYS:
        raise ModelError(f"a discrepancy is of kind {' or '.join(_KEYS)}, not {kind!r}")
    if not isinstance(table, Mapping) or not set(table) <= set(_KEYS[kind]):
        raise ModelError(f"discrepancy.{kind} is a table of {', '.join(_KEYS[kind])}, not {table!r}")
    values: dict[str, Any] = {}
    for name, value in table.items():
        try:
            values[name] = value if name in _NUMBERS else Prior.from_table(value)
        except ModelError as error:
            raise ModelError(f"discrepancy.{kind}, prior of {name}: {error}") from error
    if missing := set(_KEYS[kind]) - set(_NUMBERS) - set(values):
        raise ModelError(f"discrepancy.{kind} lacks a prior of {', '.join(sorted(missing))}")
    return values
