"""envelope() -> Envelope: approach 1, the exponent of the optimal size from the envelope of training curves.

Under a law that falls with A/N^alpha + B/D^beta and C = 6ND, the curves of two sizes cross at the budget C with

    log sqrt(N_small N_large) = a log C + constant,  a = beta / (alpha + beta),

exactly, for sizes a fixed ratio apart: switches of the best size lie on the power law of the optimum. (The constant is
that of the optimum to within (beta - alpha) (log ratio)^2 / 24, 0.003 nats of size for a ratio of 2 and 0.15.) So K - 1
switches are K - 1 points, and their errors are in compute: sizes are the experimenter's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.priors import Prior
from forescale.errors import DataError
from forescale.estimates.draws import INTERVAL_KIND, interval_rows, long_table
from forescale.frontiers.curves import Switches, curves, switches
from forescale.frontiers.power_split import PowerSplit
from forescale.frontiers.valley import frontier_line
from forescale.sampling.joint import Joint, sample_joint
from forescale.sampling.nuts import Settings
from forescale.seeds import as_seed
from forescale.tables.observations import Observations, as_observations
from forescale.units import CostModel, cost_model, format_quantity

#: `envelope` says why these.
PRIORS = {
    "a": Prior("lognormal", median=0.5, sigma=0.4),
    "offset": Prior("normal", mu=0.0, sigma=2.0),
    "tau": Prior("lognormal", median=0.3, sigma=1.0),
    "tau_slope": Prior("normal", mu=0.3, sigma=0.2),
    "rho": Prior("beta", alpha=2.0, beta=2.0),
}
_LEAST = 3  # switches: a line has two parameters, and its scatter is a third


@dataclass(frozen=True, eq=False)
class Envelope(PowerSplit):
    """The power law of the optimal size, from the switches between training curves.

    Attributes
    ----------
    source : str
        The table of runs.
    switches : Switches
        What was seen, and what was left out.
    posterior : xarray.Dataset
        Draws of dims ("chain", "draw"): ``a`` and ``b``, exponents of N* ~ C^a and D* ~ C^b; ``offset``, log N* at
        the middle budget above that of 20 tokens per parameter; ``tau``, ``tau_slope`` and ``rho``, the scatter of
        switches (see `envelope`).
    middle : float
        Log of the middle budget, in FLOPs.
    joint : Joint
        How it was sampled.
    """

    source: str
    switches: Switches
    posterior: xr.Dataset = field(repr=False)
    middle: float
    joint: Joint = field(repr=False)

    @property
    def name(self) -> str:
        """The approach and the table."""
        return f"envelope of training curves of {self.source}"

    @property
    def log_middle(self) -> float:
        """Log of the middle budget, in FLOPs."""
        return self.middle

    @property
    def cost(self) -> CostModel:
        """What training costs: the law of switches is that of C = 6ND."""
        return cost_model("6ND")

    @property
    def left_out(self) -> pd.DataFrame:
        """Sizes and changes of size that say nothing, and why."""
        return self.switches.left_out

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the optimal split at each switch.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per switch and quantity (n_params, n_tokens): flops, n_params_small, n_params_large (the sizes that
            it lies between), quantity, median, lower, upper, prob, interval.
        """
        seen = self.switches.table
        split = self.optimum(seen["flops"].to_numpy())
        return long_table(seen, {name: split[name] for name in ("n_params", "n_tokens")}, "quantity", prob)

    def __repr__(self) -> str:
        a, b = (interval_rows(self.posterior[name], 0.9).iloc[0] for name in ("a", "b"))
        at = np.exp(self.middle)
        size = (
            interval_rows(self.optimum(at)["n_params"], 0.9)[["median", "lower", "upper"]].iloc[0].map(format_quantity)
        )
        return "\n".join([
            f"Envelope of the training curves of {self.source}: {len(self.switches.table)} switches",
            f"  N* ~ C^a: a {a['median']:.3f} [{a['lower']:.3f}, {a['upper']:.3f}]",
            f"  D* ~ C^b: b {b['median']:.3f} [{b['lower']:.3f}, {b['upper']:.3f}]",
            f"  at {at:.3g} FLOPs: N* {size['median']} [{size['lower']}, {size['upper']}]",
            *repr(self.switches).splitlines()[1:],
            f"  (median [90 % {INTERVAL_KIND}])",
        ])  # fmt: skip


def envelope(
    runs: Observations | pd.DataFrame | str | Path,
    *,
    tolerance: float = 0.03,
    spacing: float = 1.8,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    target_accept: float = 0.98,
    random_seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> Envelope:
    """Estimate the exponents of compute-optimal training by approach 1, the envelope of training curves.

    The budget C_k at which the best size changes from N_small to N_large, with n_k the log of their geometric mean, is

        log C_k = middle + (n_k - n*) / a + error_k,  n* = log sqrt(C_middle / 120) + offset,

    where errors are normal with standard deviation ``tau_k = tau exp(tau_slope (n_k - n_mean)) gap_mean / gap_k``, gap
    being log(N_large / N_small), and ``-rho tau_k tau_k+1 / 2`` the covariance of two switches that share a size.

    Parameters
    ----------
    runs : Observations, DataFrame or path
        Losses of each size at several budgets, C = 6ND: checkpoints, or runs of different length.
    tolerance, spacing : float
        Which sizes count as one, and how far apart they must be; see `curves.curves`.
    draws, tune, chains : int
        Draws kept and tuning steps of each chain, number of chains.
    target_accept : float
        Mean acceptance that the step size is tuned to.
    random_seed : int, Generator or None
        Seed; recorded, also when drawn here.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal or a notebook.

    Returns
    -------
    Envelope
        Draws of the exponents and of the optimal size.

    Raises
    ------
    DataError
        If the table has no training curves, or fewer than three switches; the message says what was left out.
    ConvergenceError
        If the diagnostics fail; it carries the draws.

    Notes
    -----
    A loss that is off by a share s moves a switch by ``s / slope`` nats of compute, where slope is by how much faster
    the log loss of the larger size falls. That is in proportion to the gap and, under the law, falls as
    C^-(alpha beta / (alpha + beta)), about N^-0.3 along the frontier: hence gap and tau_slope. What is off in a whole
    curve makes it take over earlier and give way later: hence rho, 1 where all noise is of whole runs and 0 where it is
    of single points.

    Priors: a is within 0.26 and 0.97 in 90 %; at the middle budget there are 20 tokens per parameter within a factor of
    700 in 90 %; switches are off by a factor in compute of 1.06 to 4.7 in 90 %, 1.35 at the median (noise of 0.3 % does
    that to sizes a factor of 2 apart); tau_slope is 0.3 give or take 0.2; rho is Beta(2, 2), 0.14 to 0.86 in 90 %.

    Checkpoints whose learning rate has not come down make switches late; see `curves.curves`.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, section 3.1, which fits 1500 points of the envelope.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.envelope(fs.load_dataset("hoffmann2022"), random_seed=1)  # doctest: +SKIP
    """
    seen = switches(curves(as_observations(runs), tolerance=tolerance, spacing=spacing))
    if len(seen.table) < _LEAST:
        reasons = "; ".join(f"{count} {reason}" for reason, count in seen.left_out["reason"].value_counts().items())
        raise DataError(
            f"{seen.source!r} shows {len(seen.table)} switches of the best size, and at least {_LEAST} are needed "
            f"(left out: {reasons or 'nothing'}). Train more sizes, or sizes for longer, so that the curves of "
            "neighbours cross"
        )
    settings = Settings(draws, tune, chains, target_accept)
    data = switch_data(seen)
    what = f"the switches of {seen.source}"
    joint = sample_joint(what, "switches", build, data, settings, as_seed(random_seed), progress=progress)
    posterior = joint.posterior.assign(b=1.0 - joint.posterior["a"])
    return Envelope(seen.source, seen, posterior, float(data["log_flops"].mean()), joint)


def switch_data(seen: Switches) -> dict[str, Any]:
    """What the model sees of the switches: log_flops, log_params (geometric means), log_gap, and who shares a size.

    Two switches in a row share one where the larger size of the first is the smaller of the second. The correlation
    of errors, ``I - rho / 2 S`` with S one there and zero elsewhere, has the eigenvectors of S at any rho: ``basis``
    holds them in its columns and ``spectrum`` the eigenvalues, all between -2 and 2.
    """
    table = seen.table
    small, large = np.log(table["n_params_small"].to_numpy()), np.log(table["n_params_large"].to_numpy())
    shares = np.isclose(small[1:], large[:-1]).astype(float)
    spectrum, basis = np.linalg.eigh(np.diag(shares, 1) + np.diag(shares, -1))
    return {
        "log_flops": np.log(table["flops"].to_numpy()),
        "log_params": (small + large) / 2,
        "log_gap": np.log(large - small),
        "spectrum": spectrum,
        "basis": basis,
    }


def build(data: Mapping[str, Any]) -> Any:
    """The PyMC model of the switches; see `envelope`."""
    import pymc as pm
    import pytensor.tensor as pt

    with pm.Model() as model:
        given = {name: pm.Data(name, values) for name, values in data.items()}
        values = {name: prior.random_variable(name) for name, prior in PRIORS.items()}
        middle, size = given["log_flops"].mean(), given["log_params"]
        centre = middle + (size - frontier_line(middle, middle, values)) / values["a"]
        log_scale = pt.log(values["tau"]) + values["tau_slope"] * (size - size.mean())
        log_scale = log_scale - given["log_gap"] + given["log_gap"].mean()
        errors = (given["log_flops"] - centre) / pt.exp(log_scale)
        variances = 1.0 - values["rho"] / 2.0 * given["spectrum"]
        squares = (given["basis"] * errors[:, None]).sum(axis=0) ** 2 / variances
        pm.Potential("switches", -pt.sum(log_scale + (squares + pt.log(variances)) / 2.0))
    return model
