"""leave_one_out() -> LeaveOneOut: how well a fit predicts each run from the others; stacking of fits by it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forescale.errors import DataError, ForescaleWarning, ModelError
from forescale.fit import Fit, residuals
from forescale.fit import fit as fit_runs

_REFIT, _STACK = 5, 6  # streams of random numbers, beside those of forescale.fit and forescale.archive
_MOST = 20_000_000  # log densities (draws x runs) held at once, 160 MB; larger tables go block by block, all draws
#: The k above which a run is refitted. Importance sampling is usually trusted up to 0.7, with errors of a few tenths of
#: a nat from 0.5 on (measured on 14 runs, one of high leverage: at most 0.09 below 0.5, 0.34 below 0.7, 1.1 above);
#: below 0.5 the ratios have a finite variance, and a refit takes but a second.
_THRESHOLD = 0.5
#: Nats below the best of a run's densities at which stacking takes a density for none: a weight that mattered
#: there would be below 1e-20.
_NONE = 50.0
_FEW, _ALIKE = 100, 4.0  # runs, and nats of elpd, below which a difference says little
_COLUMNS = ["elpd", "elpd_se", "elpd_diff", "elpd_diff_se", "p_loo", "weight", "pareto_k", "refitted"]


@dataclass(frozen=True, eq=False)
class LeaveOneOut:
    """Log predictive densities of runs, each by the draws of a fit without it.

    Attributes
    ----------
    source : str
        The fit.
    runs : xarray.Dataset
        Of dims ("run",): ``elpd``, the log density of the run's log loss; ``p``, by how much the fit with the run
        exceeds it; ``pareto_k`` of the importance sampling; ``refitted``, whether elpd is by a fit without the run,
        because its k was too high, and then ``mcse``, the standard error that the sampling leaves in it.
    threshold : float
        The k above which runs were refitted.
    """

    source: str
    runs: xr.Dataset = field(repr=False)
    threshold: float

    @property
    def elpd(self) -> float:
        """Expected log pointwise predictive density: the sum over runs."""
        return float(self.runs["elpd"].sum())

    @property
    def se(self) -> float:
        """Standard error of ``elpd``, over runs."""
        return _sum_se(self.runs["elpd"].to_numpy())

    @property
    def p(self) -> float:
        """Effective number of parameters, p_loo."""
        return float(self.runs["p"].sum())

    @property
    def refitted(self) -> int:
        """How many runs were refitted."""
        return int(self.runs["refitted"].sum())

    def above(self, other: LeaveOneOut) -> tuple[float, float]:
        """How far elpd is above that of another fit of the same runs, and the standard error of that."""
        difference = (self.runs["elpd"] - other.runs["elpd"]).to_numpy()
        return float(difference.sum()), _sum_se(difference)

    def table(self) -> pd.DataFrame:
        """A row per run: run, elpd, p, pareto_k, refitted."""
        return self.runs.to_dataframe().reset_index()[["run", *map(str, self.runs.data_vars)]]

    def __repr__(self) -> str:
        sampled = np.sqrt(float((self.runs["mcse"] ** 2).sum()))
        return (
            f"LeaveOneOut of {self.source}: elpd {self.elpd:.1f} ± {self.se:.1f} over {self.runs.sizes['run']} runs, "
            f"p_loo {self.p:.1f}\n  largest Pareto k {float(self.runs['pareto_k'].max()):.2f}; {self.refitted} runs "
            f"with k above {self.threshold:.2f} refitted" + (f" (sampling error {sampled:.2f})" if sampled else "")
        )


def leave_one_out(fit: Fit, *, refits: int = 20, threshold: float | None = None) -> LeaveOneOut:
    """Score a fit by how well it predicts each run from the other runs.

    ``elpd_i = log p(log L_i | all runs but i)``, in nats, estimated by Pareto-smoothed importance sampling from the
    fit's draws. Where its diagnostic k is above the threshold the estimate is not used: the model is fitted again
    without the run, with the fit's settings and a seed that follows from the fit's, and elpd_i is
    ``log mean_s p(log L_i | draw s)``, exact but for the sampling.

    Parameters
    ----------
    fit : Fit
        The fit.
    refits : int
        How many runs may be refitted, a second or so each.
    threshold : float, optional
        The k above which a run is refitted; ``min(1 - 1 / log10(draws), 0.5)`` by default.

    Returns
    -------
    LeaveOneOut
        Log predictive densities, run by run.

    Raises
    ------
    DataError
        If the table without a run cannot support the model.
    ModelError
        If more runs than ``refits`` have a k above the threshold.
    ConvergenceError
        If a fit without a run does not converge; it carries that fit.

    References
    ----------
    Vehtari, Gelman and Gabry 2017, arXiv:1507.04544 (PSIS-LOO); Vehtari et al. 2024, arXiv:1507.02646, section 3.2.4
    (k, and the threshold for few draws).

    Examples
    --------
    >>> import forescale as fs
    >>> fit = fs.fit(fs.load_dataset("hoffmann2022"), "chinchilla", random_seed=1)  # doctest: +SKIP
    >>> fs.leave_one_out(fit)  # doctest: +SKIP
    LeaveOneOut of chinchilla on hoffmann2022: elpd 879.8 ± 18.3 over 240 runs, p_loo 9.5
      largest Pareto k 0.43; 0 runs with k above 0.50 refitted
    """
    names = fit.observations.labels("run")
    draws = fit.posterior.sizes["chain"] * fit.posterior.sizes["draw"]
    threshold = min(1 - 1 / np.log10(draws), _THRESHOLD) if threshold is None else threshold
    scores = _importance_sampled(fit, draws)
    high = ~(scores["pareto_k"] <= threshold)  # a k that could not be estimated is too high as well
    count = int(high.sum())
    if count > refits:
        shown = ", ".join(names[np.flatnonzero(high)[:5]]) + (", ..." if count > 5 else "")
        raise ModelError(
            f"{count} of {len(names)} runs ({shown}) sway the fit of {fit.name} so much that leaving them out cannot "
            f"be estimated (Pareto k above {threshold:.2f}, the largest {scores['pareto_k'].max():.2f}), and at most "
            f"{refits} runs are refitted. refits={count} refits these; noise of heavier tails, fewer parameters or "
            "more draws lower k"
        )
    scores["mcse"] = np.full(len(names), np.nan)
    for index in np.flatnonzero(high):
        exact, scores["mcse"][index] = _refitted(fit, int(index))
        scores["p"][index] += scores["elpd"][index] - exact
        scores["elpd"][index] = exact
    runs = xr.Dataset({name: ("run", values) for name, values in scores.items()}, coords={"run": names})
    return LeaveOneOut(fit.name, runs.assign(refitted=("run", high)), float(threshold))


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


def _importance_sampled(fit: Fit, draws: int) -> dict[str, Any]:
    """Elpd, p and Pareto k of each run, by ArviZ, from all draws of the fit."""
    import arviz_stats

    ess = arviz_stats.ess(fit.posterior, method="mean")
    efficiency = float(np.mean([ess[name] for name in ess.data_vars])) / draws
    rows = np.arange(len(fit.observations))
    blocks = np.array_split(rows, -(-rows.size * draws // _MOST))
    found = []
    for block in blocks:
        density: Any = _log_density(fit, fit.posterior, block)
        found.append(density.azstats.loo(sample_dims=["chain", "draw"], r_eff=efficiency))
    elpd, k, p = (np.concatenate([part[i].to_numpy() for part in found]) for i in range(3))
    return {"elpd": elpd, "p": p, "pareto_k": k}


def _refitted(fit: Fit, index: int) -> tuple[float, float]:
    """Log predictive density of a run under a fit of the others, and its Monte Carlo standard error."""
    import arviz_stats

    runs, name = fit.observations, str(fit.observations.labels("run")[index])
    others = replace(runs.where(np.arange(len(runs)) != index), name=f"{runs.name} without {name}")
    seed = np.random.default_rng([fit.seed, _REFIT, index])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ForescaleWarning)  # the fit of all runs has given them
        try:
            without = fit_runs(others, fit.model, **fit.settings.as_dict(), random_seed=seed, progress=False)
        except DataError as error:
            raise DataError(f"run {name!r} cannot be left out of the fit of {fit.name}: {error}") from error
    density = _log_density(fit, without.posterior, np.array([index])).isel(run=0)
    relative = np.exp(density - density.max())
    elpd = float(np.log(relative.mean()) + density.max())
    return elpd, float(arviz_stats.mcse(relative) / relative.mean())


def _log_density(fit: Fit, posterior: xr.Dataset, rows: NDArray[Any]) -> xr.DataArray:
    """Log density of the log loss of some of the fit's runs, dims ("chain", "draw", "run")."""
    data = {name: values[rows] for name, values in fit.model.data(fit.observations).items()}
    error = residuals(fit.model, data, posterior)
    noise = {name: posterior[name].to_numpy()[..., None] for name in fit.noise.parameters}
    return error.copy(data=fit.noise.logpdf(error.to_numpy(), noise, data.get("log_loss_se", 0.0)))


def _sum_se(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(values.size) * values.std(ddof=1))
