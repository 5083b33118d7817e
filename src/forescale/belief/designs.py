"""Which runs a simulated table has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forescale.belief.model import Model
from forescale.belief.points import as_points
from forescale.belief.references import at_runs, in_units_of_range
from forescale.errors import DataError
from forescale.tables.observations import Observations

Array = NDArray[Any]


def design_of(
    model: Model, design: Observations | Mapping[str, Any] | pd.DataFrame | None
) -> tuple[Model, dict[str, Array]]:
    """The model as it is fitted to a design, and what that is: the law's inputs at each run, log_loss_se where needed.

    Of a law judged over ranges both are in units of the design's; see `calibrate`.

    Raises
    ------
    DataError
        If the design lacks one of them.
    """
    if isinstance(design, Observations):
        runs = {name: values for name, values in model.data(design).items() if name != "observed_log_loss"}
        return in_units_of_range(at_runs(model, runs), runs)
    wanted = [*model.law.inputs, *(["log_loss_se"] if model.noise.needs_se else [])]
    given: Any = _usual_design() if design is None else design
    if design is None and not set(wanted) <= set(given):
        raise DataError(
            f"model {model.name!r} wants {', '.join(wanted)}; the usual design has {', '.join(given)}: "
            "give the runs of a table by design="
        )
    frame = as_points(wanted, given)
    runs = {name: frame[name].to_numpy() for name in wanted}
    return in_units_of_range(at_runs(model, runs), runs)


def _usual_design(runs: int = 60) -> dict[str, Array]:
    """Sizes and tokens over three decades each, independently, so that every law is identified."""
    rng = np.random.default_rng(0)
    sizes, tokens = 10 ** rng.uniform(7.5, 10.5, runs), 10 ** rng.uniform(8.8, 11.8, runs)
    minima = {"min_flops": 3 * sizes * tokens, "min_steps": tokens / 2**20}  # at a critical batch of 2^19 tokens
    se = {"log_loss_se": rng.uniform(0.002, 0.01, runs)}
    minima["unique_tokens"] = tokens / 10 ** rng.uniform(0, 2, runs)  # one to a hundred epochs
    experts = {"n_experts": 2.0 ** np.random.default_rng([0, 2]).integers(0, 10, runs)}  # rng: others stay as they were
    minima["n_stages"] = np.resize([1.0, 2.0], runs)
    curves = {"peak_steps": tokens / 2**20, "cooling": 10 ** np.random.default_rng([0, 3]).uniform(0, 1.5, runs)}
    return {"n_params": sizes, "n_tokens": tokens, "flops": 6 * sizes * tokens, **minima, **se, **experts, **curves}
