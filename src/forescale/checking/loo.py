"""leave_one_out() -> LeaveOneOut: how well a fit predicts each run from the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forescale.errors import ModelError
from forescale.estimates.fit import Fit
from forescale.estimates.left_out import left_out, log_density

_MOST = 20_000_000  # log densities (draws x runs) held at once, 160 MB; larger tables go block by block, all draws
#: The k above which a run is refitted. Importance sampling is usually trusted up to 0.7, with errors of a few tenths of
#: a nat from 0.5 on (measured on 14 runs, one of high leverage: at most 0.09 below 0.5, 0.34 below 0.7, 1.1 above);
#: below 0.5 the ratios have a finite variance, and a refit takes but a second.
_THRESHOLD = 0.5


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
    score = sampled(fit, refits, threshold)
    high = np.flatnonzero(score.runs["refitted"])
    return with_exact(score, {int(index): left_out(fit, int(index)).refit() for index in high})


def sampled(fit: Fit, refits: int, threshold: float | None = None) -> LeaveOneOut:
    """Scores by importance sampling, with the runs marked that are to be refitted; see `leave_one_out`.

    Raises
    ------
    ModelError
        If these are more than ``refits``.
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
    scores |= {"mcse": np.full(len(names), np.nan), "refitted": high}
    runs = xr.Dataset({name: ("run", values) for name, values in scores.items()}, coords={"run": names})
    return LeaveOneOut(fit.name, runs, float(threshold))


def with_exact(score: LeaveOneOut, exact: Mapping[int, tuple[float, float]]) -> LeaveOneOut:
    """The scores with those of refits, and their Monte Carlo standard errors, in their places."""
    columns = {str(name): score.runs[name].to_numpy().copy() for name in score.runs.data_vars}
    for index, (elpd, columns["mcse"][index]) in exact.items():
        columns["p"][index] += columns["elpd"][index] - elpd
        columns["elpd"][index] = elpd
    runs = score.runs.assign({name: ("run", values) for name, values in columns.items()})
    return replace(score, runs=runs)


def _importance_sampled(fit: Fit, draws: int) -> dict[str, Any]:
    """Elpd, p and Pareto k of each run, by ArviZ, from all draws of the fit."""
    import arviz_stats

    ess = arviz_stats.ess(fit.posterior, method="mean")
    efficiency = float(np.mean([ess[name] for name in ess.data_vars])) / draws
    rows = np.arange(len(fit.observations))
    blocks = np.array_split(rows, -(-rows.size * draws // _MOST))
    found = []
    for block in blocks:
        density: Any = log_density(fit.model, fit.observations, fit.posterior, block)
        found.append(density.azstats.loo(sample_dims=["chain", "draw"], r_eff=efficiency))
    elpd, k, p = (np.concatenate([part[i].to_numpy() for part in found]) for i in range(3))
    return {"elpd": elpd, "p": p, "pareto_k": k}


def _sum_se(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(values.size) * values.std(ddof=1))
