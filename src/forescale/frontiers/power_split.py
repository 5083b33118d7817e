"""What approaches 1 and 2 share: the compute-optimal split as a power law of compute, in draws."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.estimates.draws import long_table
from forescale.frontiers.valley import frontier_line
from forescale.numbers.budgets import Quantities, positive
from forescale.sampling.diagnostics import Convergence
from forescale.sampling.joint import Joint
from forescale.units import CostModel


class PowerSplit(ABC):
    """A power law ``N* = k C^a``, of which a posterior holds ``a``, ``b`` and ``offset`` (see `frontier_line`)."""

    posterior: xr.Dataset
    joint: Joint

    @property
    @abstractmethod
    def log_middle(self) -> float:
        """Log of the middle budget, in FLOPs."""

    @property
    @abstractmethod
    def cost(self) -> CostModel:
        """What training costs."""

    @property
    def exponents(self) -> xr.Dataset:
        """Draws of ``a`` and ``b``: N* ~ C^a, D* ~ C^b."""
        return self.posterior[["a", "b"]]

    @property
    def diagnostics(self) -> Convergence:
        """How the sampler converged."""
        return self.joint.diagnostics

    def optimum(self, compute: Quantities) -> xr.Dataset:
        """The optimal split of any budgets, on the power law.

        Parameters
        ----------
        compute : float, str or sequence, shape (budget,)
            Training compute in FLOPs.

        Returns
        -------
        xarray.Dataset
            Draws of ``n_params``, ``n_tokens`` and ``tokens_per_param``, dims ("chain", "draw", "budget"): of the
            trend, without the scatter ``tau`` about it.

        Raises
        ------
        DataError
            If a budget is not a number above zero.
        """
        flops = positive("compute", compute)
        log_flops = xr.DataArray(np.log(flops), dims="budget", coords={"budget": flops})
        line = {name: self.posterior[name] for name in ("a", "offset")}
        size = np.exp(frontier_line(log_flops, self.log_middle, line)).transpose("chain", "draw", "budget")
        return split_of(size, np.exp(log_flops), self.cost)

    def exponent_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the exponents a and b of N* ~ C^a and D* ~ C^b.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            Columns exponent, median, lower, upper, prob, interval.
        """
        parts = {name: self.posterior[name] for name in ("a", "b")}
        return long_table(pd.DataFrame(index=[0]), parts, "exponent", prob)


def split_of(size: xr.DataArray, flops: Any, cost: CostModel) -> xr.Dataset:
    """Sizes, the tokens that the compute then pays for, and their ratio; dims as of the sizes."""
    tokens = cost.n_tokens(flops, size).transpose(*size.dims)
    return xr.Dataset({"n_params": size, "n_tokens": tokens, "tokens_per_param": tokens / size})
