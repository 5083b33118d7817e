"""fit_link() -> LinkFit: how the accuracy of tasks follows the loss of models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.catalog import load_link
from forescale.belief.link_model import SCATTER, LinkModel
from forescale.errors import DataError
from forescale.estimates.draws import INTERVAL_KIND, interval_rows
from forescale.laws.links import PARAMETERS, ceiling, floor
from forescale.sampling.joint import Joint, sample_joint
from forescale.sampling.nuts import Settings
from forescale.seeds import as_seed
from forescale.tables.outcomes import Outcomes, as_outcomes

#: What tables tell of each task, and how a repr writes it.
QUANTITIES = {"middle": "{:.2f}", "span": "{:.2f}", "floor": "{:.3f}", "ceiling": "{:.2f}", SCATTER: "{:.3f}"}
#: Mean acceptance of sampling: posteriors of links that runs show little of are curved, and want short steps.
ACCEPT = 0.99
_DRIFT = 13  # stream of random numbers, apart from those of the sampler
_LEAST = 5  # runs of a task: as many as a link has parameters with their scatter


@dataclass(frozen=True, eq=False)
class LinkFit:
    """Draws of the links of tasks, from loss to accuracy.

    Attributes
    ----------
    name : str
        The model of the link and the table.
    model : LinkModel
        The link, its priors.
    outcomes : Outcomes
        What was fitted.
    posterior : xarray.Dataset
        Draws of middle, span (nats per token), top, floor_ratio and scatter, dims ("chain", "draw", "task"); of dim
        ("task",): chance, items and lowest_loss, the lowest loss of the runs fitted. Tasks were sampled one by one, so
        that their draws are independent.
    joints : mapping of str to Joint
        For each task its sampling, with diagnostics, all of which passed.
    seed : int
        With the same table, card and machine it gives the same draws again.
    """

    name: str
    model: LinkModel
    outcomes: Outcomes
    posterior: xr.Dataset = field(repr=False)
    joints: Mapping[str, Joint] = field(repr=False)
    seed: int

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks, in the order in which they were given."""
        return tuple(map(str, self.posterior["task"].to_numpy()))

    def accuracy(self, loss: Any) -> xr.DataArray:
        """Draws of the link's curve at losses.

        Parameters
        ----------
        loss : float, array_like of shape (point,), or xarray.DataArray
            Nats per token, on the text on which the losses of the outcomes were measured.

        Returns
        -------
        xarray.DataArray
            Fractions, dims ("chain", "draw", "task"), and those of loss.
        """
        values = np.asarray(loss, dtype=float) if not isinstance(loss, xr.DataArray) else loss
        at = values if isinstance(values, xr.DataArray) or values.ndim == 0 else xr.DataArray(values, dims="point")
        found: xr.DataArray = self.model.curve(at, self.posterior, self.posterior["chance"])
        return found

    @property
    def drift(self) -> xr.DataArray:
        """Draws of the log odds by which a new run is off for each nat below the lowest loss fitted; see `LinkModel`.

        Dims ("chain", "draw", "task"), zero where the model has no drift. One belongs to each draw of the posterior,
        the same in each call, so that forecasts of one fit err together.
        """
        sizes = self.posterior.sizes
        shape = (sizes["chain"], sizes["draw"], sizes["task"])
        drawn = self.model.drift_draws(shape, np.random.default_rng([self.seed, _DRIFT]))
        return xr.DataArray(drawn, dims=("chain", "draw", "task"), coords={"task": self.posterior["task"]})

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of each task's link.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per task and quantity (middle and span, nats per token; floor and ceiling, fractions; scatter, the
            standard deviation of runs of one loss where accuracy is one half): task, quantity, median, lower, upper,
            prob, interval.
        """
        draws = {name: self.posterior[name] for name in ("middle", "span", SCATTER)}
        draws |= {"floor": floor(self.posterior, self.posterior["chance"])}
        draws |= {"ceiling": ceiling(self.posterior, self.posterior["chance"])}
        blocks = []
        for name in QUANTITIES:
            rows = interval_rows(draws[name].transpose("chain", "draw", "task"), prob)
            rows.insert(0, "quantity", name)
            rows.insert(0, "task", self.tasks)
            blocks.append(rows)
        found = pd.concat(blocks).reset_index()
        return found.sort_values("index", kind="stable").drop(columns="index").reset_index(drop=True)

    def __repr__(self) -> str:
        lines = [f"Links of {self.name}: median [90 % {INTERVAL_KIND}], loss in nats per token"]
        for task, rows in self.table().groupby("task", sort=False):
            told = [
                f"{row.quantity} {write.format(row.median)} [{write.format(row.lower)}, {write.format(row.upper)}]"
                for row in rows.itertuples()
                if (write := QUANTITIES[str(row.quantity)])
            ]
            lines += [f"  {task}: {', '.join(told[:2])}", f"    {', '.join(told[2:])}"]
        return "\n".join(lines)


def fit_link(
    outcomes: Outcomes | pd.DataFrame | str | Path,
    link: str | Path | LinkModel = "sigmoid",
    *,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    random_seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> LinkFit:
    """Fit how accuracy follows loss, task by task, with NUTS.

    ``hits ~ BetaBinomial(items, p M, (1 - p) M)`` with ``p = floor + (ceiling - floor) share(loss; middle, span)``:
    binomial noise of the items, and runs of one loss that differ by more than that (M; see `LinkModel`).

    Parameters
    ----------
    outcomes : Outcomes, DataFrame or path
        Loss, accuracy, items and chance of runs, of one task or several. Losses are taken as known: those of one text,
        of models that are alike but for how well they are trained. Where models of one loss differ by what they were
        trained on, fit each training set by itself (``outcomes.where(train_data="c4")``).
    link : str, path or LinkModel
        A card's name (`list_links`) or path, or a model.
    draws, tune, chains : int
        Draws kept and tuning steps of each chain, number of chains.
    random_seed : int, Generator or None
        Seed, recorded.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal or a notebook.

    Returns
    -------
    LinkFit
        Draws of the links, all of whose diagnostics passed.

    Raises
    ------
    DataError
        If a task has fewer than 5 runs, or all of one loss.
    ModelError
        If there is no such card.
    ConvergenceError
        If a task's diagnostics fail, twice; it names the task and carries its draws.

    References
    ----------
    Gadre et al. 2024, arXiv:2403.08540, section 2, for accuracy as a function of loss.

    Examples
    --------
    >>> import forescale as fs
    >>> links = fs.fit_link(fs.Outcomes.read("evals.csv"), random_seed=1)  # doctest: +SKIP
    >>> links.accuracy([2.6, 2.4]).quantile([0.05, 0.5, 0.95], ("chain", "draw"))  # doctest: +SKIP
    """
    table, model, seed = as_outcomes(outcomes), load_link(link), as_seed(random_seed)
    settings = Settings(draws, tune, chains, ACCEPT)
    data = task_data(table)
    seeds = np.random.SeedSequence(seed).generate_state(len(data))
    joints = {
        task: sample_joint(
            f"the link of task {task!r} in {table.name}", "link", model.builder, seen, settings, int(own),
            progress=progress,
        )
        for (task, seen), own in zip(data.items(), seeds, strict=True)
    }  # fmt: skip
    kept = [joint.posterior[[*PARAMETERS, SCATTER]] for joint in joints.values()]
    posterior = xr.concat(kept, xr.DataArray(list(joints), dims="task", name="task"))
    known = {
        "chance": [seen["chance"][0] for seen in data.values()],
        "items": [np.median(seen["items"]) for seen in data.values()],
        "lowest_loss": [seen["loss"].min() for seen in data.values()],
    }
    posterior = posterior.transpose("chain", "draw", "task").assign({k: ("task", v) for k, v in known.items()})
    return LinkFit(f"{model.name} on {table.name}", model, table, posterior, joints, seed)


def task_data(table: Outcomes) -> dict[str, dict[str, Any]]:
    """What the model of a link sees, for each task.

    Raises
    ------
    DataError
        If a task has too few runs, or all of one loss.
    """
    found = {}
    for task in table.tasks:
        own = table.columns["task"] == task
        loss = np.array(table.column("loss")[own])
        if len(loss) < _LEAST or loss.min() == loss.max():
            raise DataError(
                f"a link has {_LEAST} parameters and needs at least as many runs of different losses; task {task!r} of "
                f"{table.name!r} has {len(loss)}, of {len(np.unique(loss))} losses. Leave it out with where(), or give "
                "more runs"
            )
        numbers = {name: np.array(table.column(name)[own]) for name in ("chance", "items")}
        found[task] = {"loss": loss, **numbers, "hits": table.hits[own]}
    return found
