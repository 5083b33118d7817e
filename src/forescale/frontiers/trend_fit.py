"""fit_trends() -> FittedTrends: the three trends of a table of runs, in one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.errors import DataError
from forescale.estimates.draws import interval_rows
from forescale.estimates.trends import PARAMETERS
from forescale.frontiers.isoflop import isoflop_groups
from forescale.frontiers.trend_models import TRENDS, Profiles, lines, trends_of_lines, trends_of_profiles
from forescale.frontiers.valley import get_shape, valley_data
from forescale.numbers.fronts import front
from forescale.sampling.joint import Joint, sample_joint
from forescale.sampling.nuts import Settings
from forescale.seeds import as_seed
from forescale.tables.observations import Observations
from forescale.units import cost_model

_TRY = "Give runs for it (efficient=, limited=), or take trends_of a fit of a joint law"
_LARGER = 2.0  # times the efficient size: less is a run that more parameters would help; ladders with scatter reach 1.8
_LEAST = 4  # runs that a line with a level, a slope and a scatter can be laid through with a degree of freedom


@dataclass(frozen=True, eq=False)
class FittedTrends:
    """The three trends of a table of runs; see `Trends` for the attributes not listed.

    Attributes
    ----------
    efficient, limited : pandas.DataFrame
        The runs that L(C) and D(C), and that L(D), were fitted to: run, n_params, n_tokens, flops, loss.
    joint : Joint
        The posterior that the draws come from, with its diagnostics.
    """

    name: str
    posterior: xr.Dataset = field(repr=False)
    unit: float
    pivots: Mapping[str, float]
    basis: str
    efficient: pd.DataFrame = field(repr=False)
    limited: pd.DataFrame = field(repr=False)
    joint: Joint = field(repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of exponents and scales.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per parameter: parameter, median, lower, upper, prob, interval.
        """
        rows = pd.concat([interval_rows(self.posterior[name], prob) for name in PARAMETERS], ignore_index=True)
        rows.insert(0, "parameter", PARAMETERS)
        return rows

    def __repr__(self) -> str:
        rows = self.table().set_index("parameter")[["median", "lower", "upper"]].to_string(float_format="{:.4g}".format)
        title, ends = f"Trends of {self.name}: {self.basis}", "(lower, upper: 90 % equal-tailed)"
        return "\n".join([title, rows, ends, repr(self.joint.diagnostics)])


def fit_trends(
    runs: Observations,
    *,
    efficient: str | Observations = "front",
    limited: Observations | None = None,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    random_seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> FittedTrends:
    """Estimate the three trends of a table of runs together.

    Three lines in logs, each about the middle of its runs, with normal scatter of its own: ``log L_i`` on ``log C_i``
    with slope -alpha_C and ``log D_i`` on ``log C_i`` with slope b, over compute-efficient runs; ``log L_j`` on
    ``log D_j`` with slope -alpha_D, over runs that only their data limit. With isoFLOP profiles the first two are of
    their minima, which are sampled with the lines, in the model of `frontier`.

    Priors are weak: exponents about those published (alpha_C 0.02 to 0.16, alpha_D 0.03 to 0.24, b 0.1 to 0.9 in
    90 %); levels about the means of the data, which a few runs determine; losses scatter by 5 %, tokens by a factor
    of 1.6, and losses of minima by 0.2 to 2.4 % in 90 %.

    Parameters
    ----------
    runs : Observations
        Runs with loss, n_params, n_tokens and flops.
    efficient : {"front", "isoflop"} or Observations
        What compute-efficient training is: the runs that no run of at most their compute beats and that are not
        limited by data alone, a ragged front where sizes are few; the minima of isoFLOP profiles; or runs given.
    limited : Observations, optional
        The runs that only their data limit: models so large that more parameters would not help. By default those
        that no run of at most their tokens beats. Where these models are not large enough, the floor is put too
        high, and the crossing too early: `trends_of` a fit of a joint law takes its limit instead.
    draws, tune, chains : int
        Draws kept and tuning steps of each chain, number of chains.
    random_seed : int, Generator or None
        Seed; recorded in ``joint``.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal or a notebook.

    Returns
    -------
    FittedTrends
        For `contradiction`.

    Raises
    ------
    DataError
        If a table lacks a column, if there are fewer than 4 runs for a trend, all of one size, if a trend rises where
        it should fall, if the floor is not below the trend of the runs, if no runs are large enough for it, or if there
        are no isoFLOP budgets; the message names the trend.
    ConvergenceError
        If the diagnostics fail, twice; it carries the draws.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, section 6.3.

    Examples
    --------
    >>> import forescale as fs
    >>> trends = fs.fit_trends(fs.load_dataset("hoffmann2022"), random_seed=1)  # doctest: +SKIP
    >>> fs.contradiction(trends)  # doctest: +SKIP
    """
    short_steps = 0.98 if efficient == "isoflop" else 0.9  # minima that are not observed make tight corners
    settings, seed = Settings(draws, tune, chains, short_steps), as_seed(random_seed)
    table = _sized(runs)
    at_floor = table[_front(table, "n_tokens")] if limited is None else _sized(limited)
    floor = {
        "log_limited_tokens": np.log(at_floor["n_tokens"].to_numpy()),
        "log_limited_loss": np.log(at_floor["loss"].to_numpy()),
    }
    if isinstance(efficient, str) and efficient == "isoflop":
        groups = isoflop_groups(runs)
        best = groups.runs.loc[groups.runs.groupby("budget")["loss"].idxmin()]
        what = f"minima of {len(best)} isoFLOP profiles"
        data = {**valley_data(groups, get_shape("asymmetric")), **floor}
        build: Any = Profiles("asymmetric", cost_model("6ND"))
        read, log_compute = trends_of_profiles, data["log_budget"]
    else:
        best, what = _efficient(table, at_floor, efficient)
        data = {**_logs(best), **floor}
        build, read, log_compute = lines, trends_of_lines, data["log_flops"]
    _check(runs.name, {**_logs(best), **floor})
    times = _times_larger(at_floor, best)
    if limited is None and times < _LARGER:
        raise DataError(
            f"{runs.name} has no runs that only their data limit: at the tokens of the best for their tokens, these "
            f"models are {times:.2g} times as large as compute-efficient ones, where {_LARGER:g} is the least, as in a "
            f"ladder along one line of N and D. {_TRY}"
        )
    joint = sample_joint(f"the trends of {runs.name}", "trends", build, data, settings, seed, progress=progress)
    unit = float(np.exp(log_compute.mean()))
    taken = "runs that no run of at most their tokens beats" if limited is None else "runs given"
    return FittedTrends(
        name=runs.name,
        posterior=read(joint.posterior, data, unit),
        unit=unit,
        pivots={"alpha_C": unit, "alpha_D": float(np.exp(floor["log_limited_tokens"].mean())), "b": unit},
        basis=f"L(C) and D(C) of {what}; L(D) of {len(at_floor)} {taken}, {times:.2g} times as large as efficient "
        "ones at their tokens (median)",
        efficient=best,
        limited=at_floor,
        joint=joint,
    )


def _efficient(table: pd.DataFrame, at_floor: pd.DataFrame, wanted: str | Observations) -> tuple[pd.DataFrame, str]:
    """Take the compute-efficient runs, and say in words which they are."""
    if isinstance(wanted, Observations):
        return _sized(wanted), f"{len(wanted)} runs given"
    if wanted != "front":
        raise DataError(f"efficient is 'front', 'isoflop' or a table of runs, not {wanted!r}")
    what_ran = ["n_params", "n_tokens", "loss"]  # run names of two tables may be alike
    elsewhere = ~pd.MultiIndex.from_frame(table[what_ran]).isin(pd.MultiIndex.from_frame(at_floor[what_ran]))
    best = table[_front(table, "flops") & elsewhere]
    return best, f"{len(best)} other runs that no run of at most their compute beats"


def _front(table: pd.DataFrame, size: str) -> Any:
    return front(table[size].to_numpy(), table["loss"].to_numpy())


def _logs(efficient: pd.DataFrame) -> dict[str, Any]:
    columns = {"log_flops": "flops", "log_tokens": "n_tokens", "log_loss": "loss"}
    return {name: np.log(efficient[column].to_numpy()) for name, column in columns.items()}


def _sized(runs: Observations) -> pd.DataFrame:
    wanted = ("n_params", "n_tokens", "flops")
    missing = [name for name in wanted if name not in runs.columns]
    if missing:
        raise DataError(
            f"trends need {', '.join(wanted)} and loss; {runs.name} lacks {', '.join(missing)} (two of the three "
            "sizes give the third)"
        )
    return runs.table[["run", *wanted, "loss"]]


def _check(table: str, data: Mapping[str, Any]) -> None:
    """Refuse runs that show no such trends, by least squares."""
    lines = {}
    for trend, (x_name, y_name, slope, _, _, sign) in TRENDS.items():
        x, y = data[x_name], data[y_name]
        if len(x) < _LEAST or np.ptp(x) == 0:
            raise DataError(
                f"{trend} of {table} needs at least {_LEAST} runs of different size; there are {len(x)}. {_TRY}"
            )
        found = np.polyfit(x, y, 1)
        if sign * found[0] <= 0:
            raise DataError(
                f"{trend} of {table} {'rises' if sign < 0 else 'falls'} ({slope} would be {sign * found[0]:.3g}): its "
                f"{len(x)} runs show no such trend. {_TRY}"
            )
        lines[trend] = found, np.var(y - np.polyval(found, x)) / len(x)
    (floor, floor_var), (loss, loss_var) = lines["L(D)"], lines["L(C)"]
    gap = np.polyval(loss, data["log_flops"].mean()) - np.polyval(floor, data["log_tokens"].mean())
    if gap < 2 * np.sqrt(floor_var + loss_var):
        raise DataError(
            f"L(D) of {table} does not lie below L(C) in the middle of the compute-efficient runs (by {gap:.2g} in log "
            f"loss): these runs are not limited by their data alone. {_TRY}"
        )


def _times_larger(limited: pd.DataFrame, efficient: pd.DataFrame) -> float:
    """How many times the compute-efficient parameters at their tokens runs have, in the median."""
    line = np.polyfit(np.log(efficient["n_tokens"]), np.log(efficient["n_params"]), 1)
    return float(np.exp(np.median(np.log(limited["n_params"]) - np.polyval(line, np.log(limited["n_tokens"])))))
