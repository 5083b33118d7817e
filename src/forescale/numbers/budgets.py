"""Budgets and bounds as people give them: read, checked, and turned into arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.errors import DataError, ModelError
from forescale.laws import LAWS, Law
from forescale.units import CostModel, parse_quantity

Array = NDArray[np.float64]
Quantity = float | str
Quantities = Quantity | Sequence[Quantity] | Array
Bounds = tuple[Quantity | None, Quantity | None]

#: Every decade of training compute that an estimate is asked about, in FLOPs, unless others are given.
DECADES = tuple(float(f"1e{power}") for power in range(18, 29))

_SPLIT, POOL = {"n_params", "n_tokens"}, "unique_tokens"


def with_pool(law: Law, unique_tokens: Quantity | None) -> tuple[Law, float | None]:
    """Return the law with the number of different tokens held, and that number; infinity where there is no limit.

    Raises
    ------
    DataError, ModelError
        If it is no number above zero, or given for a law to which every token is new.
    """
    if unique_tokens is None:
        return law, None
    if POOL not in law.inputs:
        able = sorted(name for name, known in LAWS.items() if POOL in known.inputs)
        raise ModelError(
            f"to law {law.name!r} every token is new, whatever unique_tokens; fit {' or '.join(able)}, or keep to the "
            "tokens that there are by n_tokens_bounds"
        )
    held = np.inf if str(unique_tokens) == "inf" else float(positive(POOL, unique_tokens)[0])
    return law.given(**{POOL: held}), held


def check_splits(law: Law) -> None:
    """Refuse, with a ModelError that names those that can, a law that cannot split compute."""
    if set(law.inputs) != _SPLIT:
        able = sorted(name for name, known in LAWS.items() if set(known.inputs) == _SPLIT)
        with_it = ""
        if set(law.inputs) == {*_SPLIT, POOL}:
            with_it = (
                ". Of this one it must be known how many different tokens there are: unique_tokens='100B'. For verbs "
                "that do not ask, fs.hold() makes an estimate that knows"
            )
        raise ModelError(
            f"law {law.name!r} with inputs {', '.join(law.inputs)} cannot split compute between n_params and "
            f"n_tokens; {', '.join(able)} can{with_it}"
        )


def check_spends(law: Law) -> None:
    """Refuse, with a ModelError, a law that is neither of compute alone nor splits it; see `check_splits`."""
    if law.inputs != ("flops",):
        check_splits(law)


def positive(what: str, given: Any) -> Array:
    """Read quantities above zero as floats of one dimension.

    Raises
    ------
    DataError
        If there are none, or one is not a finite number above zero; the message names ``what`` and the entry.
    """
    entries = np.atleast_1d(np.asarray(given, dtype=object)).ravel()
    if not len(entries):
        raise DataError(f"{what} is empty; give at least one number above zero")
    numbers = []
    for index, entry in enumerate(entries):
        try:
            numbers.append(parse_quantity(entry))
        except DataError as error:
            raise DataError(f"{what}, entry {index}: {error}") from error
        if not numbers[-1] > 0:
            raise DataError(f"{what} must be above zero; entry {index} is {entry!r}")
    return np.array(numbers)


def size_range(cost: CostModel, flops: Array, n_params: Bounds, n_tokens: Bounds) -> tuple[Array, Array]:
    """Return the least and the most parameters on each budget line that keep within the bounds of both.

    N lies in [max(N_min, N(C, D_max)), min(N_max, N(C, D_min))]; both arrays are of shape (budget,), 0 and
    infinity where nothing bounds.

    Raises
    ------
    DataError
        If bounds contradict each other, or a budget cannot be spent within them or cannot pay for them; the
        message says which budget could.
    """
    (n_low, n_high), (d_low, d_high) = _bounds("n_params", n_params), _bounds("n_tokens", n_tokens)
    least = cost.flops(n_low, d_low) if n_low and d_low else 0.0
    most = cost.flops(n_high, d_high)
    for budget in flops:
        slack = 1e-12 * budget  # the rounding of a budget that is exactly what the bounds cost
        if budget < least - slack:
            raise DataError(
                f"{budget:.6g} FLOPs cannot pay for the lower bounds n_params {n_low:.6g} and n_tokens "
                f"{d_low:.6g}; the smallest budget possible is {least:.6g} FLOPs"
            )
        if budget > most + slack:
            raise DataError(
                f"{budget:.6g} FLOPs cannot be spent within the upper bounds n_params {n_high:.6g} and "
                f"n_tokens {d_high:.6g}; the largest budget possible is {most:.6g} FLOPs"
            )
    low = np.maximum(n_low, cost.n_params(flops, d_high) if np.isfinite(d_high) else 0.0)
    high = np.minimum(n_high, cost.n_params(flops, d_low) if d_low else np.inf)
    return np.broadcast_to(low, flops.shape), np.broadcast_to(np.maximum(low, high), flops.shape)


def _bounds(what: str, given: Bounds) -> tuple[float, float]:
    """Read a lower and an upper bound; 0 and infinity where there is none."""
    if not isinstance(given, tuple | list) or len(given) != 2:
        raise DataError(f"{what}_bounds are (lower, upper), each of which may be None; got {given!r}")
    low = 0.0 if given[0] is None else float(positive(f"{what}_bounds", given[0])[0])
    high = np.inf if given[1] is None else float(positive(f"{what}_bounds", given[1])[0])
    if low > high:
        raise DataError(f"{what}_bounds: the lower bound {given[0]!r} is above the upper bound {given[1]!r}")
    return low, high
