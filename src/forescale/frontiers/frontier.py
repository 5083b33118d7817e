"""frontier() -> Frontier: the compute-optimal split by approach 2, from the minima of isoFLOP profiles."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from forescale.errors import DataError
from forescale.estimates.draws import INTERVAL_KIND, band, long_table
from forescale.frontiers.envelope import Envelope, envelope
from forescale.frontiers.isoflop import IsoFlop, isoflop_groups
from forescale.frontiers.power_split import PowerSplit, split_of
from forescale.frontiers.valley import frontier_line, growth, minima, sample_valleys
from forescale.sampling.joint import Joint
from forescale.sampling.nuts import Settings
from forescale.seeds import as_seed
from forescale.tables.observations import Observations, as_observations
from forescale.units import CostModel, format_quantity
from forescale.verbs.allocate import QUANTITIES

_SHOWN = 12  # budgets in a repr


@dataclass(frozen=True, eq=False)
class Frontier(PowerSplit):
    """The compute-optimal split, from the minima of isoFLOP profiles.

    Attributes
    ----------
    source : str
        The table of runs.
    shape : str
        The shape of the valleys.
    groups : IsoFlop
        The runs by budget, and what was left out and why.
    posterior : xarray.Dataset
        Draws of dims ("chain", "draw"): ``a`` and ``b``, exponents of N* ~ C^a and D* ~ C^b (b = 1 - a under C = 6ND,
        and elsewhere d log D* / d log C at the middle budget); ``tau``, by how much log N* scatters about the power
        law; and the model's other parameters.
    draws : xarray.Dataset
        Each budget's own minimum: ``n_params``, ``n_tokens``, ``tokens_per_param`` and ``loss`` (nats per token), of
        dims ("chain", "draw", "budget"); the coordinate budget is in FLOPs.
    joint : Joint
        How it was sampled.
    """

    source: str
    shape: str
    groups: IsoFlop
    posterior: xr.Dataset = field(repr=False)
    draws: xr.Dataset = field(repr=False)
    joint: Joint = field(repr=False)

    @property
    def name(self) -> str:
        """The approach and the table."""
        return f"isoFLOP profiles of {self.source}"

    @property
    def log_middle(self) -> float:
        """Log of the middle budget, in FLOPs."""
        return float(np.log(self.draws["budget"]).mean())

    @property
    def cost(self) -> CostModel:
        """What training costs."""
        return self.groups.cost

    @property
    def left_out(self) -> pd.DataFrame:
        """Runs that belong to no budget, and why."""
        return self.groups.left_out

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of each budget's own minimum.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per budget and quantity (n_params, n_tokens, tokens_per_param, loss): flops, runs, sizes (how many),
            quantity, median, lower, upper, prob, interval.
        """
        entries = self.groups.budgets[["flops", "runs", "sizes"]]
        return long_table(entries, {name: self.draws[name] for name in QUANTITIES}, "quantity", prob)

    def __repr__(self) -> str:
        budgets = self.draws["budget"].to_numpy()
        lines = [
            f"Frontier of {self.source} by isoFLOP profiles: {self.shape} valleys, {self.groups.cost.name}",
            f"  N* ~ C^a: a {band(self.posterior['a'], '{:.3f}'.format)}",
            f"  D* ~ C^b: b {band(self.posterior['b'], '{:.3f}'.format)}",
            f"  scatter of log N* about the power law: {band(self.posterior['tau'], '{:.2g}'.format)}",
        ]
        for i, flops in enumerate(budgets[:_SHOWN]):
            size, loss = (self.draws[name].isel(budget=i) for name in ("n_params", "loss"))
            lines.append(
                f"  {format_quantity(float(flops))} FLOPs: N* {band(size, format_quantity)}, "
                f"loss {band(loss, '{:.3f}'.format)}"
            )
        if len(budgets) > _SHOWN:
            lines.append(f"  ... and {len(budgets) - _SHOWN} budgets more in .table()")
        lines.append(
            f"  {len(self.groups.runs)} runs in {len(budgets)} budgets; .left_out has {len(self.left_out)} more"
        )
        return "\n".join([*lines, f"  (median [90 % {INTERVAL_KIND}])"])


def frontier(
    runs: Observations | pd.DataFrame | str | Path,
    *,
    method: str = "isoflop",
    shape: str = "asymmetric",
    tolerance: float | None = None,
    bracketed: bool = True,
    cost: str | CostModel = "6ND",
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    target_accept: float = 0.98,
    random_seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> Frontier | Envelope:
    """Estimate the compute-optimal split from runs, without a law of N and D.

    Approach 2: runs of nearly equal compute make a budget, loss against size is a valley there, and the minima of all
    valleys lie on ``N* = k C^a`` up to a scatter. One model holds all budgets, so that what is not known of each
    minimum reaches a; see `valley.sample_valleys` for its priors, `isoflop.isoflop_groups` for the budgets.

    Parameters
    ----------
    runs : Observations, DataFrame or path
        Runs with loss and two of n_params, n_tokens and flops.
    method : {"isoflop", "envelope"}
        Approach 2, or approach 1: the envelope of training curves, as `envelope.envelope` does.
    shape : {"asymmetric", "quadratic"}
        The valley: ``L* + K [(N/N*)^-p / p + (D/D*)^-q / q - 1/p - 1/q]``, which any law E + A/N^alpha + B/D^beta has
        along C = 6ND; or a parabola in log N, whose minimum is biased where alpha and beta differ.
    tolerance : float, optional
        How far, relatively, a run's compute may be from its budget's (0.1); how far apart sizes of one training curve
        may be (0.03).
    bracketed : bool
        Whether to leave out budgets whose lowest loss is at their smallest or largest size.
    cost : str or CostModel
        What training costs: "6ND", "6ND+attention", or a cost model with settings of its own.
    draws, tune, chains : int
        Draws kept and tuning steps of each chain, number of chains.
    target_accept : float
        Mean acceptance that the step size is tuned to; high, for a posterior in which scales may be all but zero.
    random_seed : int, Generator or None
        Seed; recorded, also when drawn here.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal or a notebook.

    Returns
    -------
    Frontier or Envelope
        Draws of the exponents and of the optimal size, by approach 2 or 1.

    Raises
    ------
    DataError
        If no budget has three sizes around its minimum, or the budgets are fewer than two, or an option is not of the
        method; the message says what was found.
    ModelError
        If there is no such shape.
    ConvergenceError
        If the diagnostics fail; it carries the draws.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, sections 3.1 and 3.2.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.frontier(fs.load_dataset("hoffmann2022"), random_seed=1)  # doctest: +SKIP
    """
    observations, seed = as_observations(runs), as_seed(random_seed)
    if method == "envelope":
        if (shape, bracketed, cost) != ("asymmetric", True, "6ND"):
            raise DataError("shape, bracketed and cost are of method 'isoflop'; 'envelope' has C = 6ND and no valleys")
        return envelope(
            observations,
            tolerance=0.03 if tolerance is None else tolerance,
            draws=draws,
            tune=tune,
            chains=chains,
            target_accept=target_accept,
            random_seed=seed,
            progress=progress,
        )
    if method != "isoflop":
        raise DataError(f"no method is called {method!r}; there are 'isoflop' and 'envelope'")
    wide = 0.1 if tolerance is None else tolerance
    groups = isoflop_groups(observations, tolerance=wide, bracketed=bracketed, cost=cost)
    if groups.runs["budget"].nunique() < 2:
        raise DataError(
            f"{groups.source!r} has one isoFLOP budget, of {groups.runs['budget'].iloc[0]:.3g} FLOPs; how the optimum "
            "moves with compute needs at least two, better five"
        )
    settings = Settings(draws, tune, chains, target_accept)
    joint = sample_valleys(groups, shape, settings, seed, progress=progress)
    return _result(groups, shape, joint)


def _result(groups: IsoFlop, shape: str, joint: Joint) -> Frontier:
    flops = groups.budgets["flops"].to_numpy()
    log_flops = xr.DataArray(np.log(flops), dims="budget", coords={"budget": flops})
    posterior = joint.posterior.assign_coords(budget=flops)
    low = minima(log_flops, posterior, groups.cost)
    size = np.exp(low["log_params"]).transpose("chain", "draw", "budget")
    middle = log_flops.mean()
    slope = growth(frontier_line(middle, middle, posterior), groups.cost)
    return Frontier(
        source=groups.source,
        shape=shape,
        groups=groups,
        posterior=posterior.assign(b=1.0 - slope * posterior["a"]),
        draws=split_of(size, np.exp(log_flops), groups.cost).assign(loss=low["loss"]),
        joint=joint,
    )
