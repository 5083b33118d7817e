"""Diagnostics: what a fit must pass before anyone reads a number off it."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import xarray as xr

R_HAT_MAX = 1.01
ESS_MIN = 400
E_BFMI_MIN = 0.3
TREE_DEPTH_SHARE_MAX = 0.01
SCALE_P_MIN = 0.005


@dataclass(frozen=True, eq=False)
class Convergence:
    """Convergence of the sampler.

    Attributes
    ----------
    table : pandas.DataFrame
        A row per parameter, or entry of one that is a vector: r_hat (rank-normalised, split), ess_bulk, ess_tail.
    divergences : int
        Number of divergent transitions after tuning.
    e_bfmi : float
        Smallest energy Bayesian fraction of missing information over chains.
    tree_depth_share : float
        Share of draws whose trajectory was cut off at the greatest tree depth.
    """

    table: pd.DataFrame
    divergences: int
    e_bfmi: float
    tree_depth_share: float

    @property
    def failures(self) -> tuple[str, ...]:
        """What failed, each with its value and its threshold; empty for a good fit."""
        found = disagreements(self.table)
        if self.divergences:
            found.append(f"{self.divergences} divergent transitions")
        if not self.e_bfmi >= E_BFMI_MIN:
            found.append(f"E-BFMI {self.e_bfmi:.2f} below {E_BFMI_MIN}")
        if not self.tree_depth_share <= TREE_DEPTH_SHARE_MAX:
            found.append(f"{self.tree_depth_share:.0%} of draws reached the greatest tree depth")
        return tuple(found)

    @property
    def passed(self) -> bool:
        """Whether the sampler converged."""
        return not self.failures

    def __repr__(self) -> str:
        verdict = "passed" if self.passed else "FAILED: " + "; ".join(self.failures)
        return (
            f"diagnostics {verdict}\n"
            f"  worst R-hat {self.table['r_hat'].max():.4f}, bulk ESS {self.table['ess_bulk'].min():.0f}, "
            f"tail ESS {self.table['ess_tail'].min():.0f}; {self.divergences} divergences, "
            f"E-BFMI {self.e_bfmi:.2f}"
        )


@dataclass(frozen=True, eq=False, repr=False)
class Diagnostics(Convergence):
    """Convergence of the sampler, and one check of the noise.

    Attributes
    ----------
    residual_scale_p : float
        Posterior predictive p-value of the median absolute log residual: near 0 or 1 when the noise is not as
        large as the model says. A check of the model, not of the sampler: it warns and does not fail a fit.
    """

    residual_scale_p: float

    @property
    def noise_misfit(self) -> bool:
        """Whether the residuals are not of the scale that the noise claims."""
        return not SCALE_P_MIN <= self.residual_scale_p <= 1 - SCALE_P_MIN

    def __repr__(self) -> str:
        misfit = " (the noise does not fit the residuals)" if self.noise_misfit else ""
        check = f"residual scale: posterior predictive p = {self.residual_scale_p:.2f}{misfit}"
        return f"{super().__repr__()}\n  {check}"


def agreement(posterior: xr.Dataset) -> pd.DataFrame:
    """R-hat and effective sample sizes of draws of dims ("chain", "draw") and at most one more: `Convergence.table`."""
    import arviz_stats

    columns = {
        "r_hat": arviz_stats.rhat(posterior),
        "ess_bulk": arviz_stats.ess(posterior, method="bulk"),
        "ess_tail": arviz_stats.ess(posterior, method="tail"),
    }
    rows = {
        f"{name}[{i}]" if values.dims[2:] else str(name): (name, i)
        for name, values in posterior.data_vars.items()
        for i in range(values[0, 0].size)
    }
    return pd.DataFrame(
        {key: [float(value[name].values.flat[i]) for name, i in rows.values()] for key, value in columns.items()},
        index=list(rows),
    )


def disagreements(table: pd.DataFrame) -> list[str]:
    """In what chains disagree, or say too little, each with its value and its threshold."""
    found = []
    for column, bad, limit in (
        ("r_hat", ~(table["r_hat"] <= R_HAT_MAX), f"above {R_HAT_MAX}"),
        ("ess_bulk", ~(table["ess_bulk"] >= ESS_MIN), f"below {ESS_MIN}"),
        ("ess_tail", ~(table["ess_tail"] >= ESS_MIN), f"below {ESS_MIN}"),
    ):
        if bad.any():
            values = ", ".join(f"{name} {value:.4g}" for name, value in table.loc[bad, column].items())
            found.append(f"{column} {limit}: {values}")
    return found


def convergence(posterior: xr.Dataset, sample_stats: xr.Dataset) -> Convergence:
    """Check draws of dims ("chain", "draw") and at most one more; thresholds are this module's constants.

    References
    ----------
    Vehtari et al. 2021 (arXiv:1903.08008) for R-hat and ESS; Betancourt 2016 (arXiv:1604.00695) for E-BFMI.
    """
    import arviz_stats

    energy = xr.DataTree.from_dict({"sample_stats": sample_stats[["energy"]]})
    return Convergence(
        table=agreement(posterior),
        divergences=int(sample_stats["diverging"].sum()),
        e_bfmi=float(arviz_stats.bfmi(energy)["energy"].min()),
        tree_depth_share=float(sample_stats["reached_max_treedepth"].mean()),
    )


def diagnose(posterior: xr.Dataset, sample_stats: xr.Dataset, residual_scale_p: float) -> Diagnostics:
    """Check the draws of a fit: their convergence, and the noise by ``residual_scale_p``."""
    return Diagnostics(**vars(convergence(posterior, sample_stats)), residual_scale_p=residual_scale_p)
