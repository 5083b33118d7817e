"""freeze() -> FrozenForecast: a forecast stated before the run, to be scored after it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forescale.belief.model import Model
from forescale.checking.frozen_forecast import FrozenForecast
from forescale.errors import DataError, ModelError
from forescale.estimates.draws import INTERVAL_KIND, Estimate, check_kind, is_single
from forescale.estimates.fit import Fit
from forescale.estimates.hold import Held
from forescale.seeds import as_seed
from forescale.tables.observations import Observations
from forescale.units import format_quantity
from forescale.verbs.forecast import forecast

#: Probabilities at which quantiles are kept: those that hubs of epidemic forecasts collect, and 0.5 % at both ends.
LEVELS = (0.005, 0.01, 0.025, *(round(0.05 * i, 2) for i in range(1, 20)), 0.975, 0.99, 0.995)
_VERSIONS = ("forescale", "pymc", "nutpie", "numpy")


def freeze(
    source: Estimate,
    points: pd.DataFrame | Mapping[str, Any] | None = None,
    *,
    path: str | Path | None = None,
    kind: str = "run",
    note: str = "",
    random_seed: int | np.random.Generator | None = 0,
    **inputs: Any,
) -> FrozenForecast:
    """Freeze a forecast of runs that are not yet done.

    Keeps quantiles ``inf{x : P(loss <= x) >= p}`` of the forecast at 25 probabilities p between 0.005 and 0.995, from
    which `score_frozen` reads coverage, interval score and CRPS when the losses are known.

    Parameters
    ----------
    source : Estimate
        A fit; of an estimate without a noise model, such as a published one, only the law's curve can be frozen.
    points : DataFrame or mapping, optional
        The law's inputs, a row per run, as for `forecast`; a column ``run`` names them, else their inputs do.
    path : str or Path, optional
        Where to write it; a file that is there is not replaced (``FrozenForecast.save`` can be asked to).
    kind : {"run", "mean"}
        A new run, with noise and discrepancy; or the law's curve, whose bands do not claim to hold a run.
    note : str
        Words of your own, such as what will be trained, and on what the loss will be measured.
    random_seed : int, Generator or None
        Seed of the noise; recorded.
    **inputs : float, str or array_like, shape (point,)
        Instead of ``points``: the law's inputs by name.

    Returns
    -------
    FrozenForecast
        What was written, or would be.

    Raises
    ------
    DataError
        If points cannot be used, or two have one name.
    ModelError
        If the estimate is a single draw, which has no probabilities, or has no band of that kind.
    FileError
        If the file exists or cannot be written.

    References
    ----------
    Bracher et al. 2021, doi:10.1371/journal.pcbi.1008618, for forecasts kept as quantiles; Nosek et al. 2018,
    doi:10.1073/pnas.1708274114, for why to state a prediction before the outcome.

    Examples
    --------
    >>> import forescale as fs
    >>> frozen = fs.freeze(fs.published("besiroglu2024"), n_params="70B", n_tokens="1.4T", kind="mean")
    >>> frozen.points["run"].tolist(), len(frozen.levels)
    (['70B,1.4T'], 25)
    """
    check_kind(kind)
    if is_single(source.posterior):
        raise ModelError(f"{source.name} is a single draw, which has no probabilities to score; freeze a fit")
    seed = as_seed(random_seed)
    found = forecast(source, points, random_seed=seed, **inputs)
    if kind not in found.draws:
        raise ModelError(
            f"{source.name} has no noise model, so that it says nothing of a new run; freeze a fit, or the law's curve "
            "(kind='mean'), whose bands do not claim to hold a run"
        )
    names = _names(found.points[list(source.law.inputs)], None if points is None else points)
    quantiles = found.draws[kind].quantile(list(LEVELS), ("chain", "draw"), method="inverted_cdf")
    told = {
        "source": source.name,
        "law": source.law.name,
        "formula": source.law.formula,
        "kind": kind,
        "of": found.kinds[kind],
        "noise": source.noise.kind if source.noise is not None and kind == "run" else "none",
        "discrepancy": found.discrepancy if kind == "run" else "none",
        "unit": "nats per token",
        "interval": INTERVAL_KIND,
        "seed": seed,
        "draws": found.draws.sizes["chain"] * found.draws.sizes["draw"],
        "frozen": datetime.now(UTC).isoformat(timespec="seconds"),
        "note": note,
    }
    frozen = FrozenForecast(
        told,
        _estimate(source),
        {name: version(name) for name in _VERSIONS},
        np.array(LEVELS),
        found.points[list(source.law.inputs)].assign(run=names)[["run", *source.law.inputs]],
        quantiles.transpose("point", "quantile").to_numpy(),
    )
    if path is not None:
        frozen.save(path)
    return frozen


def _names(frame: pd.DataFrame, points: pd.DataFrame | Mapping[str, Any] | None) -> list[str]:
    """The name of each run: as given, or its inputs as people write them."""
    if points is not None and "run" in points:
        names = [str(name) for name in np.atleast_1d(np.asarray(points["run"], dtype=object))]
    else:
        names = [",".join(format_quantity(float(value)) for value in row) for row in frame.to_numpy()]
    if len(names) != len(frame) or len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise DataError(
            f"each run needs a name of its own, to be scored by: {len(frame)} points have {len(names)} names"
            + (f", with {', '.join(twice)} more than once; name them in a column 'run'" if twice else "")
        )
    return names


def _estimate(source: Estimate) -> dict[str, Any]:
    """What is known of where an estimate comes from: card, table, and of a fit how it was sampled."""
    if isinstance(source, Held):
        return _estimate(source.source) | {f"held_{name}": value for name, value in source.inputs.items()}
    model, runs = (getattr(source, name, None) for name in ("model", "observations"))
    told: dict[str, Any] = {}
    if isinstance(model, Model):
        told |= {"model": model.name, "card_sha256": hashlib.sha256(model.to_toml().encode()).hexdigest()}
    if isinstance(runs, Observations):
        told |= {"data": runs.name, "data_sha256": runs.sha256, "runs": len(runs)}
    if isinstance(source, Fit):
        told |= {"seed": source.seed, "settings": source.settings.as_dict()}
    return told
