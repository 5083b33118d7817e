"""Points asked about: a law's inputs, as people give them, as a checked frame of floats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from forescale.errors import DataError
from forescale.units import parse_quantity

TOKENS_PER_PARAM = 20
MIN_STEPS = 1e4
EXPERTS = 64.0
PEAK_STEPS, COOLING = 1e4, 10.0


def usual_points() -> pd.DataFrame:
    """From 1e6 to 1e12 parameters: where priors are looked at.

    Each size has 20 tokens per parameter, all different, C = 6ND, and C_min = C / 2, as when trained at the critical
    batch size.
    S_min is 10,000 throughout, since compute-efficient training takes about as many steps at every size (Kaplan et
    al. 2020, arXiv:2001.08361, section 6.1 and equation B.10); it does not follow from the tokens beside it.
    Routed models have 64 experts, and learning curves are looked at after 10,000 steps at the peak learning rate,
    annealed to a tenth of it. Every model is trained from scratch: one stage.
    """
    sizes = 10.0 ** np.arange(6, 13)
    tokens = TOKENS_PER_PARAM * sizes
    flops = 6 * sizes * tokens
    columns = {"n_params": sizes, "n_tokens": tokens, "flops": flops, "min_flops": flops / 2, "min_steps": MIN_STEPS}
    columns["unique_tokens"] = tokens
    return pd.DataFrame(
        {**columns, "n_experts": EXPERTS, "peak_steps": PEAK_STEPS, "cooling": COOLING, "n_stages": 1.0}
    )


def as_points(
    inputs: Sequence[str],
    given: Mapping[str, Any] | pd.DataFrame,
    *,
    further: Sequence[str] = (),
    only: bool = False,
) -> pd.DataFrame:
    """A row per point, with a column of floats for each input.

    Parameters
    ----------
    inputs : sequence of str
        What a law takes.
    given : mapping or DataFrame
        Those by name: numbers or text such as "70B", scalars or of one common length.
    further : sequence of str
        What may be given besides.
    only : bool
        Whether anything else given is an error rather than ignored.

    Raises
    ------
    DataError
        If an input is missing, unknown, of another length, not a number, or not above zero.
    """
    known = [*inputs, *further]
    missing = [name for name in inputs if name not in given]
    unknown = [str(name) for name in given if only and name not in known]
    if missing or unknown:
        names = ", ".join(unknown or map(str, given)) or "nothing"
        told = f"{'not among them' if unknown else 'given'}: {names}"
        raise DataError(f"points of this law have {', '.join(inputs)}; missing: {', '.join(missing) or 'none'}, {told}")
    columns = {name: np.atleast_1d(np.asarray(given[name], dtype=object)) for name in known if name in given}
    try:
        together = np.broadcast_arrays(*columns.values())
    except ValueError as error:
        lengths = ", ".join(f"{name} has {values.size}" for name, values in columns.items())
        raise DataError(f"points must have as many of each input, or one: {lengths}") from error
    frame = pd.DataFrame({name: _numbers(name, values) for name, values in zip(columns, together, strict=True)})
    if frame.empty:
        raise DataError("there are no points: every input is empty")
    return frame


def _numbers(name: str, values: Any) -> list[float]:
    if values.ndim > 1:
        raise DataError(f"{name} must be one number or a list of numbers, not an array of shape {values.shape}")
    numbers = []
    for i, value in enumerate(values):
        try:
            numbers.append(parse_quantity(value))
        except DataError as error:
            raise DataError(f"{name} at point {i}: {error}") from error
    bad = [f"point {i} ({value!r})" for i, value in enumerate(values) if not numbers[i] > 0]
    if bad:
        raise DataError(f"{name} must be above zero; it is not at {', '.join(bad[:5])}")
    return numbers
