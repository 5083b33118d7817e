"""reach() -> Reach: the loss, and the compute, that a stated accuracy needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from forescale.accuracy.downstream import paired, warn_of_another_loss
from forescale.accuracy.link_fit import LinkFit
from forescale.decisions.needed import needed
from forescale.decisions.prices import Accelerator
from forescale.errors import DataError
from forescale.estimates.draws import Estimate, band, interval_rows
from forescale.laws.links import PARAMETERS
from forescale.numbers.budgets import Quantity, check_spends, positive, with_pool
from forescale.numbers.optimum import MOST_FLOPS
from forescale.seeds import as_seed
from forescale.units import CostModel, cost_model, format_quantity
from forescale.verbs.allocate import law_values


@dataclass(frozen=True, eq=False)
class Reach:
    """Draws of what an accuracy takes.

    Attributes
    ----------
    source, links : str
        The estimate of the loss law, and the fit of the links.
    accuracy : mapping of str to float
        The accuracy asked of each task, a fraction.
    draws : xarray.Dataset
        ``loss``, nats per token, at which the link's curve has that accuracy, -inf where it is not below the ceiling,
        and ``flops``, the compute at which the law's optimal split has that loss, with its ``n_params`` and
        ``n_tokens`` unless the law is of compute alone, and the bill where hardware is stated: infinite where no
        compute up to 1e40 FLOPs has that loss, 0 where no training is needed. Dims ("chain", "draw", "task").
    units : dict of str to str
        The unit of each quantity of the bill.

    Notes
    -----
    Intervals are equal-tailed and of the curves of law and link: no noise, no discrepancy. Infinite draws stay in every
    quantile, so that a median of inf says that more likely than not no compute will do.
    """

    source: str
    links: str
    accuracy: Mapping[str, float]
    draws: xr.Dataset = field(repr=False)
    units: dict[str, str] = field(default_factory=dict, repr=False)

    def probability(self, flops: Quantity | None = None) -> pd.Series[float]:
        """Probability that the accuracy is reached, by task: with so much compute, or with any."""
        limit = MOST_FLOPS if flops is None else float(positive("flops", flops)[0])
        return pd.Series((self.draws["flops"] <= limit).mean(("chain", "draw")).to_numpy(), list(self.accuracy))

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the loss and of the compute needed.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per task and quantity (loss, nats per token; flops, n_params, n_tokens, and those of the bill): task,
            accuracy, quantity, median, lower, upper, prob, interval, and probability, that it is reached at all.
        """
        sure = self.probability()
        blocks = []
        for task, accuracy in self.accuracy.items():
            rows = pd.concat([interval_rows(each.sel(task=task), prob) for each in self.draws.values()])
            rows.insert(0, "quantity", [*map(str, self.draws)])
            rows.insert(0, "accuracy", accuracy)
            rows.insert(0, "task", task)
            blocks.append(rows.assign(probability=sure[task]))
        return pd.concat(blocks, ignore_index=True)

    def __repr__(self) -> str:
        lines = [f"What accuracy takes, by {self.source} and {self.links}"]
        sure = self.probability()
        for task, accuracy in self.accuracy.items():
            here = self.draws.sel(task=task)
            lines.append(
                f"  {task} at {accuracy:g}: loss {band(here['loss'], '{:.3f}'.format)}, compute "
                f"{band(here['flops'], format_quantity)} FLOPs; reached at all with probability {sure[task]:.2f}"
            )
        return "\n".join([*lines, "  (median [90 % equal-tailed] of the curves of law and link, no noise)"])


def reach(
    links: LinkFit,
    source: Estimate,
    accuracy: float | Mapping[str, float],
    *,
    cost: str | CostModel = "6ND",
    unique_tokens: Quantity | None = None,
    on: Accelerator | None = None,
    random_seed: int | np.random.Generator | None = None,
) -> Reach:
    """Find the loss and the compute at which tasks are solved to a stated accuracy.

    For each draw, loss solves ``p(loss) = accuracy``, p the link's curve, and flops solves
    ``min over N, D of law(N, D) = loss`` with ``cost(N, D) = flops``, as `compute_to` does.

    Parameters
    ----------
    links : LinkFit
        How accuracy follows loss.
    source : Estimate
        How that loss follows n_params and n_tokens, or flops alone.
    accuracy : float or mapping of task to float
        Fractions, one for all tasks or one each for some.
    cost : str or CostModel
        What training costs.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat: how many different ones there are.
    on : Accelerator, optional
        Hardware, for a bill in hours, money, energy and days.
    random_seed : int, Generator or None
        Seed of which draw of the links goes with which of the law; see `Downstream`.

    Returns
    -------
    Reach
        Draws of loss, flops and its best split, infinite where nothing reaches the accuracy.

    Warns
    -----
    ForescaleWarning
        As `downstream`.

    Raises
    ------
    DataError
        If an accuracy is not between 0 and 1, or there is no such task.
    ModelError
        If the law has other inputs, or draws have no best split.

    References
    ----------
    Gadre et al. 2024, arXiv:2403.08540, section 2, for the chain that is inverted here.

    Examples
    --------
    >>> import forescale as fs
    >>> links = fs.fit_link(fs.Outcomes.read("evals.csv"), random_seed=1)  # doctest: +SKIP
    >>> fs.reach(links, fs.load_fit("fit.nc"), 0.7)  # doctest: +SKIP
    """
    warn_of_another_loss(links, source)
    wanted = dict(accuracy) if isinstance(accuracy, Mapping) else dict.fromkeys(links.tasks, accuracy)
    if unknown := [task for task in wanted if task not in links.tasks]:
        raise DataError(f"{links.name} has no task {', '.join(map(repr, unknown))}; it has {', '.join(links.tasks)}")
    if bad := [f"{value!r}" for value in wanted.values() if not 0 < value < 1]:
        raise DataError(f"accuracy is a fraction between 0 and 1, not {', '.join(bad)}; 70 % is 0.7")
    law, _ = with_pool(source.law, unique_tokens)
    check_spends(law)
    rng = np.random.default_rng(as_seed(random_seed))
    values = xr.Dataset({name: (("chain", "draw"), array[..., 0]) for name, array in law_values(source).items()})
    posterior, of_law = paired(links.posterior[list(PARAMETERS)].sel(task=list(wanted)), values, rng)
    target = xr.DataArray(list(wanted.values()), dims="task", coords={"task": list(wanted)})
    chance = links.posterior["chance"].sel(task=list(wanted))
    loss = links.model.curve.loss_at(target, posterior, chance).transpose("chain", "draw", "task")

    parameters = {str(name): array.transpose("chain", "draw").to_numpy()[..., None] for name, array in of_law.items()}
    with np.errstate(divide="ignore"):
        log_loss = np.log(np.maximum(loss.to_numpy(), 0.0))  # no law reaches a loss of nothing, or less
    found = needed(source.name, law, cost_model(cost), log_loss, parameters)
    bill = {} if on is None else on.bill(found["compute"])
    takes = {"loss": loss, "flops": loss.copy(data=found.pop("compute"))}
    takes |= {name: loss.copy(data=array) for name, array in (found | bill).items()}
    return Reach(source.name, links.name, wanted, xr.Dataset(takes), {} if on is None else on.units)
