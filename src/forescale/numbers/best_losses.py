"""The loss of the best split, and its slope, as numbers: arrays in, arrays out."""

from __future__ import annotations

from typing import Any

import numpy as np

from forescale.laws import Law
from forescale.numbers.optimum import COMPLEX_STEP, Array, Values, has_closed_form, log_optimal_size, loss_on_line
from forescale.units import CostModel


def best_loss(law: Law, cost: CostModel, log_compute: Any, values: Values) -> Array:
    """Loss of the best split of a budget, or of a law of compute alone; NaN where there is none."""
    if law.inputs == ("flops",):
        return np.asarray(law({"flops": np.exp(log_compute)}, values))
    size = log_optimal_size(law, cost, log_compute, values, closed=has_closed_form(law, cost))
    with np.errstate(all="ignore"):
        found = loss_on_line(law, cost, np.where(np.isfinite(size), size, np.nan), log_compute, values)
    return np.asarray(found)


def best_slope(law: Law, cost: CostModel, log_compute: Array, values: Values) -> Array:
    """Slope of the best loss with log compute: that at a fixed best size, since the optimum is flat in size."""
    known = np.where(np.isfinite(log_compute), log_compute, 0.0)
    if law.inputs == ("flops",):
        slope = np.imag(law({"flops": np.exp(known + 1j * COMPLEX_STEP)}, values)) / COMPLEX_STEP
        return np.where(np.isfinite(log_compute), slope, np.nan)
    size = log_optimal_size(law, cost, known, values, closed=has_closed_form(law, cost))
    size = np.where(np.isfinite(size), size, np.nan)
    with np.errstate(all="ignore"):
        slope = np.imag(loss_on_line(law, cost, size, known + 1j * COMPLEX_STEP, values)) / COMPLEX_STEP
    return np.where(np.isfinite(log_compute), slope, np.nan)
