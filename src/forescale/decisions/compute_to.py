"""compute_to() -> ComputeTo: the compute that a loss takes, its probability, and what would have to be true."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from forescale.decisions.needed import needed, needed_by_run
from forescale.decisions.prices import Accelerator
from forescale.errors import DataError
from forescale.estimates.draws import (
    INTERVAL_KIND,
    Estimate,
    band,
    check_kind,
    check_spread,
    is_single,
    kind_of_band,
    long_table,
)
from forescale.numbers.budgets import Array, Quantities, Quantity, check_spends, positive, with_pool
from forescale.units import CostModel, cost_model, format_quantity
from forescale.verbs.allocate import Columns, law_values
from forescale.verbs.forecast import CURVE

#: What is told of each loss, with its label and the form in which a repr writes it.
QUANTITIES: Columns = {
    "compute": ("C", format_quantity),
    "n_params": ("N", format_quantity),
    "n_tokens": ("D", format_quantity),
}
#: What `ComputeTo.conditions` calls the distance of a run from the law's curve.
ASIDE = "run above the curve, %"
#: The columns of `ComputeTo.conditions` that are not the question.
FOUND = ("probability", "parameter", "if_reached", "if_missed", "shift_sd", "side", "threshold", "told")


@dataclass(frozen=True, eq=False)
class ComputeTo:
    """Draws of the compute that a loss takes.

    Attributes
    ----------
    source, law, cost : str
        The estimate it comes from, its law, and what training is taken to cost.
    draws : xarray.Dataset
        ``compute`` in FLOPs, and, unless the law is of compute alone, ``n_params`` and ``n_tokens`` of its best split,
        of dims ("chain", "draw", "loss"); where hardware is stated also its bill: ``accelerator_hours``, ``money``,
        ``energy`` in kWh, ``days``. The coordinate loss is in nats per token. All are infinite in draws in which 1e40
        FLOPs do not reach the loss, since it is below the floor of the law or next to it.
    parameters : xarray.Dataset
        Draws of the law's parameters, of dims ("chain", "draw").
    units : dict of str to str
        The unit of each quantity of the bill.
    aside : xarray.DataArray or None
        Of kind "run": how far log loss of the run of each budget is above the law's curve, by drift and noise, of dims
        ("chain", "draw", "log_flops").
    kind, told : str
        Of what it is: "mean", the law's curve along best splits; or "run", a new run, and what is in that.

    Notes
    -----
    Draws that never reach a loss stay in every quantile: an upper end that is infinite says that the loss may be out of
    reach. Loss falls so slowly with compute that what moves a run's loss by one percent moves its compute by two: the
    bands of kind "run" are much wider where the loss is far beyond the data.
    """

    source: str
    law: str
    cost: str
    draws: xr.Dataset = field(repr=False)
    parameters: xr.Dataset = field(repr=False)
    aside: xr.DataArray | None = field(default=None, repr=False)
    units: dict[str, str] = field(default_factory=dict, repr=False)
    kind: str = "mean"
    told: str = CURVE

    @property
    def never(self) -> xr.DataArray:
        """The share of draws in which a loss is not reached at all, dims ("loss",)."""
        infinite: xr.DataArray = xr.apply_ufunc(np.isinf, self.draws["compute"])
        return infinite.mean(("chain", "draw"))

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of what each loss takes.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per loss and quantity (compute, n_params, n_tokens, and those of the bill): loss, never (the share of
            draws that do not reach it), quantity, median, lower, upper, prob, interval.
        """
        entries = pd.DataFrame({"loss": self.draws["loss"], "never": self.never})
        return long_table(entries, {str(name): values for name, values in self.draws.items()}, "quantity", prob)

    def probability(self, compute: Quantities) -> pd.DataFrame:
        """How probably budgets are enough.

        Parameters
        ----------
        compute : float, str or sequence
            Budgets in FLOPs.

        Returns
        -------
        pandas.DataFrame
            A row per loss and budget: loss, flops, and probability, the share of draws in which the budget has that
            loss or less.

        Raises
        ------
        DataError
            If a budget is not a number above zero.
        ModelError
            If there is a single draw, which has no probabilities.
        """
        check_spread(self.source, self.draws)
        rows = [
            {"loss": float(loss), "flops": float(flops), "probability": float(self._reached(place, flops).mean())}
            for place, loss in enumerate(self.draws["loss"].to_numpy())
            for flops in positive("compute", compute)
        ]
        return pd.DataFrame(rows)

    def conditions(self, compute: Quantities) -> pd.DataFrame:
        """What would have to be true for budgets to be enough: how draws that reach a loss differ from the others.

        Parameters
        ----------
        compute : float, str or sequence
            Budgets in FLOPs.

        Returns
        -------
        pandas.DataFrame
            A row per loss, budget and parameter of the law, the most telling parameter first; of kind "run" there is
            one more, how far the run of that budget is above the law's curve, in percent of loss. Columns loss, flops,
            probability; parameter; if_reached and if_missed, its median in draws that do and do not; shift_sd, their
            difference in standard deviations over all draws; side and threshold, such as below 1.8: where a single
            parameter tells best which draws reach the loss; and told, the share of draws that it tells rightly, the
            mean of those on either side, so that 0.5 is chance. Where all draws reach the loss, or none, there is no
            contrast, and these are NaN.

        Raises
        ------
        DataError
            If a budget is not a number above zero.
        ModelError
            If there is a single draw, which has no probabilities.

        Notes
        -----
        Parameters move together, so that a condition on one is not that it alone has to change: the others are where
        the draws have them then.
        """
        check_spread(self.source, self.draws)
        blocks = []
        for place, loss in enumerate(self.draws["loss"].to_numpy()):
            for flops in positive("compute", compute):
                reached = self._reached(place, flops)
                rows = [
                    {"parameter": name, **_contrast(values.transpose("chain", "draw").to_numpy().ravel(), reached)}
                    for name, values in self._conditioned(flops).items()
                ]
                block = pd.DataFrame(rows).sort_values("told", ascending=False, kind="stable")
                block.insert(0, "probability", float(reached.mean()))
                block.insert(0, "flops", float(flops))
                block.insert(0, "loss", float(loss))
                blocks.append(block)
        return pd.concat(blocks, ignore_index=True)

    def _conditioned(self, flops: float) -> dict[str, xr.DataArray]:
        """What a condition can be on; of a run beyond the budgets that were followed, as at their end."""
        found = {str(name): values for name, values in self.parameters.items()}
        if self.aside is not None:
            ends = self.aside["log_flops"].to_numpy()[[0, -1]]
            at = self.aside.interp(log_flops=float(np.clip(np.log(flops), *ends)))
            found[ASIDE] = at.copy(data=100 * np.expm1(at.to_numpy()))
        return found

    def _reached(self, place: int, flops: float) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        needed = self.draws["compute"].isel(loss=place).transpose("chain", "draw").to_numpy().ravel()
        return np.asarray(needed <= flops)

    def __repr__(self) -> str:
        lines = [f"Compute to a loss by {self.source}: law {self.law}, cost {self.cost}"]
        for place, never in enumerate(self.never.to_numpy()):
            here = self.draws.isel(loss=place)
            told = [f"{label} {band(here[name], write)}" for name, (label, write) in QUANTITIES.items() if name in here]
            told += [f"{band(here[name], format_quantity)} {unit}" for name, unit in self.units.items()]
            share = f"; never in {100 * never:.3g} % of draws" if never and not is_single(self.draws) else ""
            lines.append(f"  loss {float(here['loss']):.4g}: {', '.join(told)}{share}")
        run = f"median [90 % {INTERVAL_KIND}] of {self.told}"
        return "\n".join([*lines, f"  ({run if self.kind == 'run' else kind_of_band(self.draws)})"])


def compute_to(
    source: Estimate,
    loss: Quantities,
    *,
    cost: str | CostModel = "6ND",
    unique_tokens: Quantity | None = None,
    on: Accelerator | None = None,
    kind: str = "mean",
    random_seed: int | np.random.Generator | None = 0,
) -> ComputeTo:
    """Find the compute that a loss takes, split at best.

    For each draw the root C of ``L(N*(C), D*(C)) = loss``, with ``N*(C), D*(C)`` the best split of C; infinite where
    the law's curve is still above the loss at 1e40 FLOPs. Of kind "run" it is the least C of
    ``L(N, D) exp(f + e) = loss``, with the median best split of C, f the discrepancy of the model there and e the noise
    of a run, one draw of each for all C.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap, of a law of n_params and n_tokens, or of flops alone.
    loss : float, str or sequence, shape (loss,)
        Losses to be reached, in nats per token.
    cost : str or CostModel
        What training costs: "6ND", "6ND+attention", or a cost model with settings of its own.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat: how many different ones there are; see `allocate`.
    on : Accelerator, optional
        Hardware, for a bill in hours, money, energy and days.
    kind : {"mean", "run"}
        Whether the law's curve is to have the loss, or a new run, as of `forecast`.
    random_seed : int, Generator or None
        Seed of the noise of a new run.

    Returns
    -------
    ComputeTo
        Draws of dims ("chain", "draw", "loss").

    Raises
    ------
    DataError
        If a loss is not a number above zero, one parameter and one token reach it, or there is no such kind.
    ModelError
        If the law has other inputs, draws have no optimum (see `allocate`), or ``run`` is asked of an estimate that has
        no noise model.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, equation 4: of their law, ``(L* - E) ~ C^(-alpha beta / (alpha + beta))``.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.compute_to(fs.published("hoffmann2022"), [2.0, 1.6])
    Compute to a loss by hoffmann2022: law chinchilla, cost 6ND
      loss 2: C 1.11e23, N 15.3B, D 1.21T
      loss 1.6: C inf, N inf, D inf
      (the law's curve; a single draw, so no uncertainty is known and no bands are shown)
    """
    law, pool = with_pool(source.law, unique_tokens)
    check_spends(law)
    check_kind(kind)
    costs, losses = cost_model(cost), positive("loss", loss)
    told, aside = CURVE, None
    if kind == "run":
        found, aside, told = needed_by_run(source, costs, np.log(losses), pool, np.random.default_rng(random_seed))
    else:
        found = needed(source.name, law, costs, np.log(losses), law_values(source))
    if bad := [f"{value:.4g}" for place, value in enumerate(losses) if (found["compute"][..., place] == 0).any()]:
        raise DataError(f"a loss of {bad[0]} takes no training: one parameter and one token have it; ask for less")
    bill, units = ({}, {}) if on is None else (on.bill(found["compute"]), on.units)
    coords = {name: source.posterior[name].to_numpy() for name in ("chain", "draw")} | {"loss": losses}
    draws = xr.Dataset({name: (("chain", "draw", "loss"), array) for name, array in (found | bill).items()}, coords)
    parameters = source.posterior[[*source.law.parameters]]
    return ComputeTo(source.name, source.law.name, costs.name, draws, parameters, aside, units, kind, told)


def _contrast(values: Array, reached: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> dict[str, object]:
    """How a parameter differs between draws that reach a loss and those that do not, and where it tells them best."""
    if reached.all() or not reached.any():
        return dict.fromkeys(FOUND[2:5], np.nan) | {"side": "", "threshold": np.nan, "told": np.nan}
    hit, miss = float(np.median(values[reached])), float(np.median(values[~reached]))
    order, sd = np.argsort(values, kind="stable"), float(values.std())
    hits, misses = (np.cumsum(group[order]) / group.sum() for group in (reached, ~reached))  # at or below each value
    last = np.append(np.diff(values[order]) > 0, True)  # no threshold falls between equal values
    apart = np.where(last, hits - misses, 0.0)
    at = int(np.abs(apart).argmax())
    return {
        "if_reached": hit,
        "if_missed": miss,
        "shift_sd": (hit - miss) / sd if sd else 0.0,
        "side": "below" if apart[at] > 0 else "above",
        "threshold": float(values[order][at]),
        "told": float(0.5 + 0.5 * abs(apart[at])),
    }
