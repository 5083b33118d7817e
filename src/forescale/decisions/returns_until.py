"""returns_until() -> ReturnsUntil: the compute beyond which more of it is not worth a threshold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from scipy.optimize import elementwise

from forescale.decisions.returns import above_one
from forescale.errors import ModelError
from forescale.estimates.draws import Estimate, band, interval_rows, kind_of_band
from forescale.numbers.best_losses import best_loss
from forescale.numbers.budgets import Quantities, Quantity, check_spends, positive, with_pool
from forescale.units import CostModel, cost_model, format_quantity
from forescale.verbs.allocate import law_values

#: Budgets, in FLOPs, between which it is asked where returns fall below a threshold.
LEAST, MOST = 1e12, 1e40


@dataclass(frozen=True, eq=False)
class ReturnsUntil:
    """Draws of the compute beyond which more of it buys less than a threshold.

    Attributes
    ----------
    source, law, cost : str
        The estimate, its law, and what training is taken to cost.
    factor : float
        How many times more compute is bought.
    draws : xarray.Dataset
        ``flops`` of dims ("chain", "draw", "below"): infinite where it still buys as much at 1e40 FLOPs, 0 where it
        buys less from 1e12 FLOPs on. The coordinate below is the threshold in nats per token.
    """

    source: str
    law: str
    cost: str
    factor: float
    draws: xr.Dataset = field(repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of that compute.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per threshold: below (nats), median, lower, upper (FLOPs), prob, interval, and never and always, the
            shares of draws in which it falls below the threshold at no compute asked about, or everywhere.
        """
        rows = interval_rows(self.draws["flops"], prob)
        rows.insert(0, "below", self.draws["below"].to_numpy())
        flops = self.draws["flops"].transpose("chain", "draw", "below").to_numpy()
        return rows.assign(never=np.isinf(flops).mean(axis=(0, 1)), always=(flops == 0).mean(axis=(0, 1)))

    def __repr__(self) -> str:
        lines = [f"Compute beyond which {self.factor:g} times more buys less, by {self.source}: law {self.law}"]
        for below in self.draws["below"].to_numpy():
            flops = self.draws["flops"].sel(below=[below])
            lines.append(f"  less than {below:g} nats: {band(flops, format_quantity)} FLOPs")
        return "\n".join([*lines, f"  ({kind_of_band(self.draws)})"])


def returns_until(
    source: Estimate,
    below: Quantities,
    *,
    factor: float = 10.0,
    cost: str | CostModel = "6ND",
    unique_tokens: Quantity | None = None,
) -> ReturnsUntil:
    """Find the compute beyond which more of it buys less than a threshold, along the best splits.

    For each draw the largest C between 1e12 and 1e40 FLOPs with ``L*(C) - L*(f C) >= t``, f the factor and t the
    threshold. For Hoffmann et al.'s law, whose reducible loss is ``K C^-s`` with ``s = alpha beta / (alpha + beta)``,
    ``C = (K (1 - f^-s) / t)^(1/s)``; it is searched for, in steps of a decade and then as a root.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap, of a law of n_params and n_tokens, or of flops alone.
    below : float or sequence, shape (below,)
        Thresholds in nats per token.
    factor : float
        How many times more compute is bought, above one.
    cost : str or CostModel
        What training costs.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat: how many different ones there are.

    Returns
    -------
    ReturnsUntil
        Draws of dims ("chain", "draw", "below").

    Raises
    ------
    DataError
        If a threshold is not above zero, or the factor not above one.
    ModelError
        If the law cannot split compute, or draws have no best split in reach.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, equations 2 and 4.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.returns_until(fs.published("hoffmann2022"), 0.05)
    Compute beyond which 10 times more buys less, by hoffmann2022: law chinchilla
      less than 0.05 nats: 6.02e24 FLOPs
      (the law's curve; a single draw, so no uncertainty is known and no bands are shown)
    """
    factor, thresholds = above_one(factor), positive("below", below)
    law, _ = with_pool(source.law, unique_tokens)
    check_spends(law)
    costs, values = cost_model(cost), law_values(source)
    names, step = tuple(values), np.log(10.0)

    def gain(log_compute: Any, *arrays: Any) -> Any:
        given = dict(zip(names, arrays, strict=True))
        return best_loss(law, costs, log_compute, given) - best_loss(law, costs, log_compute + np.log(factor), given)

    grid = np.arange(np.log(LEAST), np.log(MOST) + step / 2, step)
    gains = gain(grid, *values.values())[..., None]
    enough = gains >= thresholds
    last = len(grid) - 1 - enough[..., ::-1, :].argmax(axis=-2)  # the last budget that still buys as much
    low = grid[last]

    def excess(log_compute: Any, threshold: Any, *arrays: Any) -> Any:
        return gain(log_compute, *arrays) - threshold

    bracket = low, np.minimum(low + step, grid[-1])
    root = elementwise.find_root(excess, bracket, args=(thresholds, *values.values()), tolerances={"xatol": 1e-10})
    never, always = enough[..., -1, :], ~enough.any(axis=-2)
    flops = np.where(never, np.inf, np.where(always, 0.0, np.exp(root.x)))
    if (bad := int(np.isnan(gains).all(axis=(-1, -2)).sum() + np.isnan(flops).sum())) > 0:
        raise ModelError(
            f"in {bad} draws of {source.name} there is no best split of budgets between {LEAST:g} and {MOST:g} "
            "FLOPs; a prior that keeps exponents away from zero avoids them"
        )
    draws = xr.Dataset({"flops": (("chain", "draw", "below"), flops)}, coords={"below": thresholds})
    return ReturnsUntil(source.name, law.name, costs.name, factor, draws)
