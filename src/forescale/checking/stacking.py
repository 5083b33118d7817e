"""Fits of the same runs side by side: their predictive scores, and the mixture that predicts best."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import pandas as pd
import xarray as xr

from forescale.checking.loo import LeaveOneOut

_STACK = 6  # stream of random numbers, beside those of estimates.fit, estimates.archive and estimates.left_out
#: Nats below the best of a run's densities at which stacking takes a density for none: a weight that mattered
#: there would be below 1e-20.
_NONE = 50.0
_FEW, _ALIKE = 100, 4.0  # runs, and nats of elpd, below which a difference says little
_COLUMNS = ["elpd", "elpd_se", "elpd_diff", "elpd_diff_se", "p_loo", "weight", "pareto_k", "refitted"]


def score_table(predictive: Mapping[str, LeaveOneOut]) -> pd.DataFrame:
    """Predictive scores of fits of the same runs side by side, the best first.

    Index the names; columns elpd, elpd_se, elpd_diff (to the best, zero or below), elpd_diff_se, p_loo, weight (see
    `stacking_weights`), pareto_k (the largest, as estimated) and refitted (how many runs).
    """
    names = sorted(predictive, key=lambda name: -predictive[name].elpd)
    rows, weights = [], stacking_weights(predictive) if names else {}
    for name in names:
        score = predictive[name]
        behind, se = predictive[names[0]].above(score)
        k = float(score.runs["pareto_k"].max())
        rows.append((score.elpd, score.se, 0.0 - behind, se, score.p, weights[name], k, score.refitted))
    return pd.DataFrame(rows, index=names, columns=_COLUMNS, dtype=float)


def score_notes(predictive: Mapping[str, LeaveOneOut]) -> list[str]:
    """What to know of the differences of elpd: those that say nothing, and a table too small to say more.

    References
    ----------
    Sivula et al. 2025, arXiv:2008.10296: below 4 nats, or 100 runs, the standard error of a difference is too small.
    """
    notes, names = [], sorted(predictive, key=lambda name: -predictive[name].elpd)
    for name in names[1:]:
        behind, se = predictive[names[0]].above(predictive[name])
        if behind < max(_ALIKE, 2 * se):
            notes.append(
                f"{name} and {names[0]}: the runs do not tell which predicts better, elpd {behind:.1f} ± {se:.1f} "
                f"apart (less than {_ALIKE:g} nats or 2 standard errors)"
                + ("; how weight is divided between them means nothing." if max(behind, 2 * se) < _ALIKE else ".")
            )
    if len(names) > 1 and (runs := predictive[names[0]].runs.sizes["run"]) < _FEW:
        notes.append(f"{runs} runs are few: below {_FEW} the standard error of a difference of elpd is too small.")
    return notes


def stacking_weights(predictive: Mapping[str, LeaveOneOut]) -> dict[str, float]:
    """Weights of a mixture of fits that best predicts each run from the others.

    ``argmax_w sum_i log sum_k w_k exp(elpd_ik)`` over weights that sum to one, by ArviZ. Where fits predict alike,
    how a weight is divided between them means nothing.

    References
    ----------
    Yao et al. 2018, arXiv:1704.02030.
    """
    import arviz_stats
    from arviz_stats.utils import ELPDDataLOO

    # Each run's densities are taken relative to its best, which changes no weight and cannot underflow.
    elpd = np.column_stack([score.runs["elpd"].to_numpy() for score in predictive.values()])
    elpd = np.maximum(elpd - elpd.max(axis=1, keepdims=True), -_NONE)
    plain = {"n_samples": 1, "n_data_points": len(elpd), "scale": "log", "warning": False, "good_k": None}
    given = {
        name: ELPDDataLOO(elpd=column.sum(), se=0.0, p=0.0, elpd_i=xr.DataArray(column, dims="run"), **plain)
        for name, column in zip(predictive, elpd.T, strict=True)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # on choosing the best of many, where nothing is chosen
        weights = arviz_stats.compare(given, method="stacking", round_to="none")["weight"]
    return {name: float(weights[name]) for name in predictive}


def mixture(parts: Mapping[str, xr.Dataset], weights: Mapping[str, float], seed: int) -> xr.Dataset:
    """Draws of a mixture: of each part a share of its draws, by weight, picked at random without repetition.

    Parameters
    ----------
    parts : mapping of str to Dataset
        Draws by name, dims ("chain", "draw") and others that all have.
    weights : mapping of str to float
        For each part, summing to one.
    seed : int
        The same seed picks the same draws of every Dataset with as many draws.

    Returns
    -------
    Dataset
        Dims ("chain", "draw", ...), one chain, with as many draws as the largest part; a part with fewer repeats its
        own as evenly as can be.
    """
    flat = {
        name: part.stack(pick=("chain", "draw"), create_index=False).reset_coords(drop=True)
        for name, part in parts.items()
    }
    total = max(part.sizes["pick"] for part in flat.values())
    ends = np.rint(np.cumsum([weights[name] for name in flat]) * total).astype(int)
    rng = np.random.default_rng([seed, _STACK])
    picked = []
    for part, count in zip(flat.values(), np.diff(ends, prepend=0), strict=True):
        size = part.sizes["pick"]
        order = np.concatenate([rng.permutation(size) for _ in range(-(-total // size))])
        picked.append(part.isel(pick=order[:count]))
    together = xr.concat(picked, "pick", data_vars="all", coords="minimal", compat="override", join="exact")
    together = together.rename(pick="draw").expand_dims(chain=[0])
    return together.assign_coords(draw=np.arange(total)).transpose("chain", "draw", ...)
