"""What can be asked of an estimate: forecasts as functions of its parameters, and their slopes.

Forecasts are natural logs, arrays of shape (chain, draw, at) for ``values`` of shape (chain, draw, 1), and not
finite where there is no such forecast: trends that never cross, a law without an optimum. Slopes are by complex
step, ``d f / d theta = Im f(theta + ih) / h``, exact to rounding since nothing is subtracted. An optimum that is
searched follows its parameters by the implicit function theorem.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forescale.belief.points import as_points
from forescale.errors import DataError, ModelError
from forescale.estimates.draws import Estimate
from forescale.estimates.trends import PARAMETERS, SCALES, Trends, log_crossing
from forescale.laws import Law
from forescale.numbers.budgets import DECADES, POOL, Quantities, check_splits, positive, with_pool
from forescale.numbers.optimum import (
    COMPLEX_STEP,
    Values,
    closed_log_size,
    has_closed_form,
    log_optimal_size,
    loss_on_line,
)
from forescale.units import CostModel, cost_model

Array = NDArray[np.float64]

#: What can be asked, with the symbol that a text writes for it.
LABELS = {
    "n_params": "N*",
    "n_tokens": "D*",
    "tokens_per_param": "D*/N*",
    "loss": "the loss",
    "a": "a (of N* ~ C^a)",
    "crossing": "C*",
}
#: Forecasts whose spread is told as they are; that of the others, in the log.
PLAIN = {"loss", "a"}

#: Spacing of the differences in log N about a searched optimum; with five points their truncation, about
#: h^4 alpha^4 / 30, and the rounding of what they subtract, about 1e-16 / h, are both below 1e-11.
_SPACING = 1e-2
#: Half width, in nats of compute, of the difference behind the exponent a; a power law has no truncation error.
_HALF_STEP = 0.5


@dataclass(frozen=True, eq=False)
class Target(ABC):
    """A forecast as a function of parameters.

    Attributes
    ----------
    of : str
        A key of ``LABELS``.
    about : str
        What it is a forecast of, in words: the law and the cost.
    at : pandas.DataFrame
        Where it is asked, a row each: flops, or the inputs of a run; no columns where there is no choice.
    parameters, exponents, scales : tuple of str
        What it depends on; which of these are exponents, and which set the size of a power (A, N_c).
    """

    of: str
    about: str
    at: pd.DataFrame = field(repr=False)
    parameters: tuple[str, ...]
    exponents: tuple[str, ...]
    scales: tuple[str, ...]

    @property
    def label(self) -> str:
        """The symbol that a text writes for it."""
        return LABELS[self.of]

    def values(self, posterior: xr.Dataset) -> dict[str, Array]:
        """Draws of the parameters, of shape (chain, draw, 1)."""
        draws = {name: posterior[name].transpose("chain", "draw").to_numpy() for name in self.parameters}
        return {name: array.astype(float)[..., None] for name, array in draws.items()}

    def forecast(self, values: Values) -> Array:
        """The forecast on the scale whose spread is meant: log10, or as it is where ``of`` is in ``PLAIN``."""
        log_forecast = self.log_forecast(values)
        return np.exp(log_forecast) if self.of in PLAIN else log_forecast / np.log(10)

    def coordinates(self, values: Values) -> Array:
        """Parameters where their posterior is nearest to normal: ``scales`` in the log, the others as they are.

        The log of a coefficient A of runs far from N = 1 is all but linear in its exponent. Of shape
        (chain x draw, parameter).
        """
        scaled = [np.log(values[name]) if name in self.scales else values[name] for name in self.parameters]
        return np.column_stack([array.ravel() for array in scaled])

    def from_coordinates(self, z: Array, shape: tuple[int, ...]) -> dict[str, Array]:
        """Parameters, of a shape, from `coordinates`."""
        columns = dict(zip(self.parameters, z.T.reshape(-1, *shape), strict=True))
        return {name: np.exp(column) if name in self.scales else column for name, column in columns.items()}

    @abstractmethod
    def log_forecast(self, values: Values) -> Array:
        """Natural log of the forecast, of shape (chain, draw, at)."""

    @abstractmethod
    def slopes(self, values: Values) -> Array:
        """``d log forecast / d parameter``, of shape (parameter, chain, draw, at)."""


@dataclass(frozen=True, eq=False)
class Formula(Target):
    """A forecast that is a formula: the loss of a run, the crossing of trends."""

    formula: Callable[[Values], Any] = field(repr=False)

    def log_forecast(self, values: Values) -> Array:
        """Natural log of the forecast, of shape (chain, draw, at)."""
        with np.errstate(all="ignore"):
            return np.asarray(self.formula(values))

    def slopes(self, values: Values) -> Array:
        """``d log forecast / d parameter``, of shape (parameter, chain, draw, at)."""
        return complex_step(self.formula, values, self.parameters)


@dataclass(frozen=True, eq=False)
class Split(Target):
    """A forecast of the compute-optimal split of budgets."""

    law: Law
    cost: CostModel
    log_compute: Array = field(repr=False)

    def log_forecast(self, values: Values) -> Array:
        """Natural log of the forecast, of shape (chain, draw, at)."""
        with np.errstate(all="ignore"):
            return np.asarray(self._read(self._log_size(values), values))

    def slopes(self, values: Values) -> Array:
        """``d log forecast / d parameter``, of shape (parameter, chain, draw, at)."""
        with np.errstate(all="ignore"):
            log_size = self._log_size(values)
        return complex_step(lambda nudged: self._read(self._follow(log_size, nudged), nudged), values, self.parameters)

    def _log_size(self, values: Values) -> Array:
        closed = has_closed_form(self.law, self.cost)
        log_size = log_optimal_size(self.law, self.cost, self.log_compute, values, closed=closed)
        log_size = np.where(np.isfinite(log_size), log_size, np.nan)
        if closed:
            return log_size
        # The search leaves about 1e-7, the flatness of a minimum; where the slope is zero is known much better.
        return log_size - self._slope(log_size, values) / self._curvature(log_size, values)

    def _follow(self, log_size: Array, nudged: Values) -> Any:
        """The optimum under parameters with an infinitesimal imaginary part.

        ``d log N* / d theta = -(d2 L / d log N d theta) / (d2 L / d log N^2)`` at the optimum.
        """
        if has_closed_form(self.law, self.cost):
            return closed_log_size(self.law, self.log_compute, nudged) + 0 * log_size  # NaN where there is none
        real = {name: np.real(array) for name, array in nudged.items()}
        cross = _difference(lambda size: np.imag(self._loss(size, nudged)), log_size)
        return log_size - 1j * cross / self._curvature(log_size, real)

    def _read(self, log_size: Any, values: Values) -> Any:
        if self.of == "n_params":
            return log_size
        if self.of == "a":
            low, high = np.split(log_size, 2, axis=-1)
            return np.log((high - low) / (2 * _HALF_STEP))
        if self.of == "loss":
            return np.log(self._loss(log_size, values))
        log_tokens = self.log_compute - np.log(self.cost.flops_per_token(np.exp(log_size)))
        return log_tokens if self.of == "n_tokens" else log_tokens - log_size

    def _loss(self, log_size: Any, values: Values) -> Any:
        return loss_on_line(self.law, self.cost, log_size, self.log_compute, values)

    def _slope(self, log_size: Any, values: Values) -> Array:
        return np.asarray(np.imag(self._loss(log_size + 1j * COMPLEX_STEP, values)) / COMPLEX_STEP)

    def _curvature(self, log_size: Array, values: Values) -> Array:
        return np.asarray(_difference(lambda size: self._slope(size, values), log_size))


def target_of(
    source: Estimate | Trends,
    of: str,
    *,
    compute: Quantities | None,
    cost: str | CostModel,
    inputs: Mapping[str, Any],
) -> Target:
    """Read a question as people ask it; see ``forescale.sensitivity``.

    Raises
    ------
    DataError
        If there is no such question, or what comes with it does not belong to it.
    ModelError
        If the source cannot answer it.
    """
    if of not in LABELS:
        raise DataError(f"there is no forecast {of!r} to ask about; there are {', '.join(LABELS)}")
    law: Law | None = getattr(source, "law", None)
    if (of == "crossing") != (law is None):
        kind = f"law {law.name!r}" if law else "the three trends"
        raise ModelError(
            f"{source.name} is an estimate of {kind}, which cannot answer of={of!r}: of='crossing' is asked of "
            "trends (published_trends(), or trends fitted to runs), everything else of a law"
        )
    if law is None:
        return _crossing(source, compute, inputs)  # type: ignore[arg-type]  # no law, so trends
    if set(inputs) == {POOL} != set(law.inputs):  # not where a run is, but what all splits of the budgets share
        law, _ = with_pool(law, inputs[POOL])
        pool, inputs = f", {inputs[POOL]} different tokens", {}
    else:
        pool = ""
    raised = {term.exponent for term in law.terms.values()}
    roles = (
        law.parameters,
        tuple(name for name in law.parameters if name in raised),
        tuple(name for name in law.parameters if name in law.terms),
    )
    if inputs:
        if of != "loss" or compute is not None:
            raise DataError(
                f"inputs of a run ({', '.join(inputs)}) go with of='loss' and without compute=; of={of!r} is asked "
                "at compute=, budgets in FLOPs"
            )
        frame = as_points(law.inputs, inputs, only=True)
        points = {name: frame[name].to_numpy() for name in law.inputs}
        about = f"law {law.name}"
        return Formula(of, about, frame, *roles, lambda values: np.log(law(points, values)))
    check_splits(law)
    costs = cost_model(cost)
    flops = positive("compute", DECADES if compute is None else compute)
    log_compute = np.log(flops)
    if of == "a":
        log_compute = np.concatenate([log_compute - _HALF_STEP, log_compute + _HALF_STEP])
    about = f"law {law.name}, cost {costs.name}{pool}"
    at = pd.DataFrame({"flops": flops})
    return Split(of, about, at, *roles, law, costs, log_compute)


def complex_step(function: Callable[[Values], Any], values: Values, names: Iterable[str]) -> Array:
    """Slopes of an analytic function with respect to each of the named values, stacked in front.

    ``d f / d theta = Im f(theta + ih) / h`` with h = 1e-30, exact to rounding.
    """
    with np.errstate(all="ignore"):
        nudged = ({**values, name: values[name] + 1j * COMPLEX_STEP} for name in names)
        slopes = [np.imag(function(each)) / COMPLEX_STEP for each in nudged]
    return np.stack(np.broadcast_arrays(*slopes))


def _crossing(trends: Trends, compute: Quantities | None, inputs: Mapping[str, Any]) -> Target:
    if compute is not None or inputs:
        raise DataError("of='crossing' is one point, where two trends meet: leave out compute= and inputs")
    about = "where L(C) meets L(D(C))"
    at = pd.DataFrame(index=[0])
    roles = (PARAMETERS, tuple(SCALES), tuple(SCALES.values()))
    return Formula("crossing", about, at, *roles, lambda values: log_crossing(values, trends.unit))


def _difference(function: Callable[[Array], Any], x: Array) -> Any:
    """Central difference of five points, with an error of the fourth order."""
    h = _SPACING
    near, far = function(x + h) - function(x - h), function(x + 2 * h) - function(x - 2 * h)
    return (8 * near - far) / (12 * h)
