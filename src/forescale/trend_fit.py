"""fit_trends() -> FittedTrends: the three trends of a table of runs, in one model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.draws import interval_rows
from forescale.errors import DataError
from forescale.fronts import front
from forescale.joint import Joint, sample_joint
from forescale.observations import Observations
from forescale.priors import Prior
from forescale.sampling import Settings
from forescale.seeds import as_seed
from forescale.trends import PARAMETERS

#: Levels are of logs at the middle of the data, less the mean there; `fit_trends` says why these.
PRIORS = {
    "alpha_C": Prior("lognormal", median=0.06, sigma=0.6),
    "alpha_D": Prior("lognormal", median=0.09, sigma=0.6),
    "b": Prior("normal", mu=0.5, sigma=0.25),
    "loss_level": Prior("normal", mu=0.0, sigma=0.5),
    "floor_level": Prior("normal", mu=0.0, sigma=0.5),
    "tokens_level": Prior("normal", mu=0.0, sigma=2.0),
    "loss_scatter": Prior("halfnormal", sigma=0.05),
    "floor_scatter": Prior("halfnormal", sigma=0.05),
    "tokens_scatter": Prior("halfnormal", sigma=0.5),
}
#: Each trend: its columns (x, y), the priors of slope, level and scatter, and the sign of the slope.
_TRENDS = {
    "L(C)": ("log_flops", "log_loss", "alpha_C", "loss_level", "loss_scatter", -1.0),
    "D(C)": ("log_flops", "log_tokens", "b", "tokens_level", "tokens_scatter", 1.0),
    "L(D)": ("log_limited_tokens", "log_limited_loss", "alpha_D", "floor_level", "floor_scatter", -1.0),
}
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
    efficient: Observations | None = None,
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
    ``log D_j`` with slope -alpha_D, over runs that only their data limit.

    Priors are weak: exponents about those published (alpha_C 0.02 to 0.16, alpha_D 0.03 to 0.24, b 0.1 to 0.9 in
    90 %); levels about the means of the data, which a few runs determine; losses scatter by 5 %, tokens by a factor
    of 1.6.

    Parameters
    ----------
    runs : Observations
        Runs with loss, n_params, n_tokens and flops.
    efficient : Observations, optional
        The compute-efficient runs among them, or elsewhere. By default those that no run of at most their compute
        beats and that are not limited by data alone; a table of few sizes makes this front ragged.
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
        it should fall, if the floor is not below the trend of the
        runs, or if no runs are large enough for it; the message names the trend.
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
    settings = Settings(draws, tune, chains)
    table = _sized(runs)
    by_compute, by_tokens = (front(table[name].to_numpy(), table["loss"].to_numpy()) for name in ("flops", "n_tokens"))
    at_floor = table[by_tokens] if limited is None else _sized(limited)
    what_ran = ["n_params", "n_tokens", "loss"]  # run names of two tables may be alike
    elsewhere = ~pd.MultiIndex.from_frame(table[what_ran]).isin(pd.MultiIndex.from_frame(at_floor[what_ran]))
    used = {
        "efficient": table[by_compute & elsewhere] if efficient is None else _sized(efficient),
        "limited": at_floor,
    }
    data = {
        "log_flops": np.log(used["efficient"]["flops"].to_numpy()),
        "log_tokens": np.log(used["efficient"]["n_tokens"].to_numpy()),
        "log_loss": np.log(used["efficient"]["loss"].to_numpy()),
        "log_limited_tokens": np.log(used["limited"]["n_tokens"].to_numpy()),
        "log_limited_loss": np.log(used["limited"]["loss"].to_numpy()),
    }
    _check(runs.name, data)
    times = _times_larger(used["limited"], used["efficient"])
    if limited is None and times < _LARGER:
        raise DataError(
            f"{runs.name} has no runs that only their data limit: at the tokens of the best for their tokens, these "
            f"models are {times:.2g} times as large as compute-efficient ones, where {_LARGER:g} is the least, as in a "
            f"ladder along one line of N and D. {_TRY}"
        )
    what = f"the trends of {runs.name}"
    joint = sample_joint(what, "trends", _build, data, settings, as_seed(random_seed), progress=progress)
    middle = {name: float(np.mean(values)) for name, values in data.items()}
    unit = float(np.exp(middle["log_flops"]))
    taken = [
        "other runs that no run of at most their compute beats" if efficient is None else "the runs given as efficient",
        "runs that no run of at most their tokens beats" if limited is None else "the runs given as limited by data",
    ]
    counts = [len(table) for table in used.values()]
    return FittedTrends(
        name=runs.name,
        posterior=_printed(joint.posterior, middle, unit),
        unit=unit,
        pivots={"alpha_C": unit, "alpha_D": float(np.exp(middle["log_limited_tokens"])), "b": unit},
        basis=f"L(C) and D(C) of {counts[0]} {taken[0]}; L(D) of {counts[1]} {taken[1]}, {times:.2g} times as large as "
        "efficient ones at their tokens (median)",
        efficient=used["efficient"],
        limited=used["limited"],
        joint=joint,
    )


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
    for trend, (x_name, y_name, slope, _, _, sign) in _TRENDS.items():
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


def _build(data: Mapping[str, Any]) -> Any:
    import pymc as pm

    with pm.Model() as model:
        given = {name: pm.Data(name, values) for name, values in data.items()}
        for x, y, slope, level, scatter, sign in _TRENDS.values():
            away, about = given[x] - given[x].mean(), given[y].mean()
            free = {name: PRIORS[name].random_variable(name) for name in (slope, level, scatter)}
            mu = about + free[level] + sign * free[slope] * away
            pm.Normal(f"observed_{slope}", mu, free[scatter], observed=given[y])
    return model


def _printed(free: xr.Dataset, middle: Mapping[str, float], unit: float) -> xr.Dataset:
    """The parameters of `Trends`, from levels at the middle of the data."""
    log_loss = middle["log_loss"] + free["loss_level"]
    log_floor = middle["log_limited_loss"] + free["floor_level"]
    log_d1 = middle["log_tokens"] + free["tokens_level"]
    return xr.Dataset(
        {
            "C_c": unit * np.exp(log_loss / free["alpha_C"]),
            "alpha_C": free["alpha_C"],
            "D_c": np.exp(middle["log_limited_tokens"] + log_floor / free["alpha_D"]),
            "alpha_D": free["alpha_D"],
            "D_1": np.exp(log_d1),
            "b": free["b"],
            "N_1": unit / (6 * np.exp(log_d1)),
            "a": 1 - free["b"],
        }
    )
