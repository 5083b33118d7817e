"""consistency() -> Consistency: why one joint law does not contradict itself, and the gap that remains."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from forescale.estimates.draws import INTERVAL_KIND, Estimate, interval_rows, long_table
from forescale.numbers.budgets import DECADES, Quantities
from forescale.units import CostModel, format_quantity
from forescale.verbs.allocate import allocate, law_values


@dataclass(frozen=True, eq=False)
class Consistency:
    """Why one joint law cannot contradict itself, and the gap that remains.

    Attributes
    ----------
    source, law, cost : str
        The estimate, its law, and what training is taken to cost.
    draws : xarray.Dataset
        ``loss``, L(C) at the optimal split; ``floor``, the loss that the optimal tokens would allow an infinite
        model; and ``gap``, their difference; nats per token, dims ("chain", "draw", "budget"), budget in FLOPs.
    """

    source: str
    law: str
    cost: str
    draws: xr.Dataset = field(repr=False)

    @property
    def reason(self) -> str:
        """Why there is no contradiction, in a sentence."""
        return (
            f"law {self.law} is one function of N and D that falls with N, so L(C) = L(N*, D*) lies above L(D*) = "
            "L(infinite N, D*) at every compute: the two cannot cross, and the gap is what the finite N* costs"
        )

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of loss, floor and gap.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per budget and quantity: flops, quantity, median, lower, upper (nats per token), prob, interval.
        """
        entries = pd.DataFrame({"flops": self.draws["budget"]})
        return long_table(entries, {name: self.draws[name] for name in ("loss", "floor", "gap")}, "quantity", prob)

    def __repr__(self) -> str:
        lines = [f"No contradiction by {self.source}: {self.reason}."]
        for index, flops in enumerate(self.draws["budget"].to_numpy()):
            gap = interval_rows(self.draws["gap"].isel(budget=[index]), 0.9).iloc[0]
            band = "" if gap["lower"] == gap["upper"] else f" [{gap['lower']:.3g}, {gap['upper']:.3g}]"
            lines.append(f"  {format_quantity(float(flops))} FLOPs: gap {gap['median']:.3g}{band} nats")
        return "\n".join([*lines, f"  (median [90 % {INTERVAL_KIND}] of the law's curve, no discrepancy)"])


def consistency(source: Estimate, compute: Quantities = DECADES, *, cost: str | CostModel = "6ND") -> Consistency:
    """Measure the gap between L(C) and L(infinite N, D(C)) of one joint law; see `forescale.contradiction`.

    Parameters
    ----------
    source : Estimate
        An estimate of a law of n_params and n_tokens.
    compute : float, str or sequence, shape (budget,)
        FLOPs; by default the decades from 1e18 to 1e28.
    cost : str or CostModel
        What training costs.

    Raises
    ------
    ModelError
        If the law has other inputs.
    """
    best = allocate(source, compute, cost=cost)
    tokens = best.draws["n_tokens"].to_numpy()
    floor = source.law({"n_params": np.inf, "n_tokens": tokens}, law_values(source))
    draws = best.draws[["loss"]].assign(floor=(best.draws["loss"].dims, floor))
    return Consistency(best.source, best.law, best.cost, draws.assign(gap=draws["loss"] - draws["floor"]))
