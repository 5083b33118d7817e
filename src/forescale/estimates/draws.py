"""What every verb needs of its input, and how draws become a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.noise import Noise
from forescale.errors import DataError, ModelError
from forescale.laws import Law

INTERVAL_KIND = "equal-tailed"


@runtime_checkable
class Estimate(Protocol):
    """A law and draws of its parameters: a fit, a published estimate, a bootstrap.

    Attributes
    ----------
    name : str
        What to call it in a table.
    law : Law
        The law.
    noise : Noise or None
        How log loss scatters about the law; None where that is not known.
    posterior : xarray.Dataset
        Draws of the parameters of law and noise under their printed names, dims ("chain", "draw").
    departure : callable or None
        From points, the law's inputs by name, to draws of how far log loss is from the law's there, beside the noise:
        dims ("chain", "draw", "point"), or None where the model has no discrepancy. None where that is not known.
    """

    @property
    def name(self) -> str: ...
    @property
    def law(self) -> Law: ...
    @property
    def noise(self) -> Noise | None: ...
    @property
    def posterior(self) -> xr.Dataset: ...
    @property
    def departure(self) -> Callable[[Mapping[str, Any]], xr.DataArray | None] | None: ...


def check_prob(prob: float) -> float:
    """A probability mass strictly between 0 and 1."""
    if not 0 < prob < 1:
        raise DataError(f"prob is the probability mass of an interval, between 0 and 1 (say 0.9), not {prob!r}")
    return float(prob)


def check_kind(kind: str) -> str:
    """A kind of band that there is."""
    if kind not in ("mean", "run"):
        raise DataError(f"a band is of kind 'mean' or 'run', not {kind!r}")
    return kind


def interval_rows(draws: xr.DataArray, prob: float) -> pd.DataFrame:
    """Median and equal-tailed interval of each entry of ``draws`` over chain and draw.

    Parameters
    ----------
    draws : xarray.DataArray
        Dims ("chain", "draw") and at most one more.
    prob : float
        Probability mass of the interval.

    Returns
    -------
    pandas.DataFrame
        Columns median, lower, upper, prob, interval; a row per entry. NaN draws make NaN bands; infinite ones count.
    """
    tail = (1 - check_prob(prob)) / 2
    # between a finite and an infinite draw there is nothing to interpolate
    method: Any = "inverted_cdf" if np.isinf(draws).any() else "linear"
    found = draws.quantile([0.5, tail, 1 - tail], dim=("chain", "draw"), skipna=False, method=method)
    quantiles = found.values.reshape(3, -1)
    rows = pd.DataFrame(dict(zip(("median", "lower", "upper"), quantiles, strict=True)))
    return rows.assign(prob=prob, interval=INTERVAL_KIND)


def band(values: xr.DataArray, write: Callable[[float], str] = "{:.3f}".format) -> str:
    """Write ``median [lower, upper]`` of one quantity, 90 %; of a single draw, that alone."""
    if values.size == 1:
        return write(values.item())
    middle, lower, upper = interval_rows(values, 0.9)[["median", "lower", "upper"]].to_numpy()[0]
    return f"{write(middle)} [{write(lower)}, {write(upper)}]"


def is_single(draws: xr.Dataset) -> bool:
    """Whether there is a single draw, so that no uncertainty is known and there are no bands."""
    return draws.sizes["chain"] * draws.sizes["draw"] == 1


def check_spread(source: str, draws: xr.Dataset) -> None:
    """Refuse, with a ModelError, to give probabilities by a single draw: it would make all of them 0 or 1."""
    if is_single(draws):
        raise ModelError(
            f"{source} is a single draw: no uncertainty of it is known, so that nothing has a probability by it; ask a "
            "fit, a bootstrap or an estimate that prints its uncertainty (besiroglu2024)"
        )


def kind_of_band(draws: xr.Dataset) -> str:
    """Say what the brackets of a repr are."""
    if is_single(draws):
        return "the law's curve; a single draw, so no uncertainty is known and no bands are shown"
    return f"median [90 % {INTERVAL_KIND}] of the law's curve, no discrepancy"


def long_table(entries: pd.DataFrame, parts: dict[str, xr.DataArray], key: str, prob: float) -> pd.DataFrame:
    """A row for each entry and each part: the entry's columns, the part's name under ``key``, its interval."""
    blocks = [
        pd.concat([entries.reset_index(drop=True).assign(**{key: name}), interval_rows(values, prob)], axis=1)
        for name, values in parts.items()
    ]
    order = np.arange(len(entries) * len(blocks)).reshape(len(blocks), -1).T.ravel()
    return pd.concat(blocks, ignore_index=True).iloc[order].reset_index(drop=True)
