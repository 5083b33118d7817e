"""downstream() -> Downstream: the accuracy of runs not yet trained, by a loss law and links chained."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.accuracy.link_fit import LinkFit
from forescale.belief.link_model import SCATTER, draw_hits, wandered
from forescale.errors import ForescaleWarning, ModelError
from forescale.estimates.draws import INTERVAL_KIND, Estimate, check_kind, interval_rows, long_table
from forescale.laws.links import PARAMETERS, floor
from forescale.seeds import as_seed
from forescale.units import format_quantity
from forescale.verbs.forecast import forecast

_OFF = 0.05  # of log loss, in the median over runs: more than laws are off where they were fitted
#: The row of tables for the mean over tasks.
AVERAGE = "mean over tasks"


@dataclass(frozen=True, eq=False)
class Downstream:
    """Draws of accuracy at points.

    Attributes
    ----------
    source, links : str
        The estimate of the loss law, and the fit of the links.
    points : pandas.DataFrame
        The law's inputs, a row per point.
    draws : xarray.Dataset
        ``mean`` and, where the law has noise, ``run``: accuracy, a fraction, dims ("chain", "draw", "task", "point").
    losses : xarray.Dataset
        The losses that they come from, nats per token, dims ("chain", "draw", "point").
    beyond : numpy.ndarray
        How many nats the median loss of each point is below the lowest loss that each task's link has seen, shape
        (task, point); at most 0 where the link interpolates.
    has_drift : bool
        Whether the links may drift below the losses that they were fitted to; see `LinkModel`.

    Notes
    -----
    Draws of the law and of the links are combined independently: given the losses of the runs that the links were
    fitted to, how accuracy follows loss says nothing of how loss follows size. All tasks of a draw have one loss, so
    that their mean holds what they share through it; their scatter about their links is drawn independently.
    """

    source: str
    links: str
    points: pd.DataFrame = field(repr=False)
    draws: xr.Dataset = field(repr=False)
    losses: xr.Dataset = field(repr=False)
    beyond: np.ndarray[Any, Any] = field(repr=False)
    has_drift: bool = False

    @property
    def kinds(self) -> dict[str, str]:
        """What each band is of, in words."""
        drift = " the link's drift below the losses fitted," if self.has_drift else ""
        told = {
            "mean": "the link's curve at the loss law's curve",
            "run": f"a new run: at the loss of one,{drift} its scatter about the link and the chance of its items",
        }
        return {kind: told[kind] for kind in map(str, self.draws)}

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks."""
        return tuple(map(str, self.draws["task"].to_numpy()))

    @property
    def average(self) -> xr.Dataset:
        """Draws of the mean over tasks, dims ("chain", "draw", "point")."""
        return self.draws.mean("task")

    def table(self, prob: float = 0.9, kind: str | None = None) -> pd.DataFrame:
        """Bands of accuracy.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.
        kind : {"mean", "run"}, optional
            One kind of band; both by default.

        Returns
        -------
        pandas.DataFrame
            A row per task (and one more for the mean over tasks, where there are several), point and kind: task, the
            inputs, kind, median, lower, upper (fractions), prob, interval.

        Raises
        ------
        ModelError
            If ``run`` is asked of an estimate that has no noise model.
        """
        if kind is not None and check_kind(kind) not in self.draws:
            raise ModelError(
                f"{self.source} has no noise model, so there is no band for a new run; ask for kind='mean'"
            )
        wanted = [str(name) for name in self.draws.data_vars] if kind is None else [kind]
        parts = {task: self.draws.sel(task=task) for task in self.tasks}
        parts |= {AVERAGE: self.average} if len(parts) > 1 else {}
        blocks = []
        for task, draws in parts.items():
            rows = long_table(self.points, {name: draws[name] for name in wanted}, "kind", prob)
            rows.insert(0, "task", task)
            blocks.append(rows)
        return pd.concat(blocks, ignore_index=True)

    def __repr__(self) -> str:
        lines = [f"Downstream accuracy by {self.source} and {self.links}, 90 % {INTERVAL_KIND}"]
        several = [(AVERAGE, self.average)] if len(self.tasks) > 1 else []
        for index, point in self.points.iterrows():
            lines.append(f"  {', '.join(f'{name} {format_quantity(float(value))}' for name, value in point.items())}")
            for task, draws in [*((task, self.draws.sel(task=task)) for task in self.tasks), *several]:
                bands = [
                    f"{kind} {row.median:.3f} [{row.lower:.3f}, {row.upper:.3f}]"
                    for kind in draws.data_vars
                    for row in interval_rows(draws[kind].isel(point=[index]), 0.9).itertuples()
                ]
                lines.append(f"    {task}: {'; '.join(bands)}")
        told = "; ".join(f"{kind}: {what}" for kind, what in self.kinds.items())
        return "\n".join([*lines, f"  ({told})"])


def downstream(
    links: LinkFit,
    source: Estimate,
    points: pd.DataFrame | Mapping[str, Any] | None = None,
    *,
    random_seed: int | np.random.Generator | None = None,
    **inputs: Any,
) -> Downstream:
    """Forecast accuracy at points: a law's posterior of loss, through the posterior of links.

    For each draw, ``mean = p(law(inputs))``, p the link's curve, and ``run = hits / items`` of a run whose loss is a
    draw of kind ``run`` of `forecast`, with discrepancy and noise, ``hits ~ BetaBinomial(items, q M, (1 - q) M)``, q
    the link's curve at that loss and, below the losses that the links were fitted to, its drift (`LinkModel`).

    Parameters
    ----------
    links : LinkFit
        How accuracy follows loss.
    source : Estimate
        How that same loss, on the same text, follows size: a fit, a published estimate or a bootstrap.
    points, **inputs
        The law's inputs, as for `forecast`.
    random_seed : int, Generator or None
        Seed of what is drawn, and of which draw of the links goes with which of the law.

    Returns
    -------
    Downstream
        Draws of dims ("chain", "draw", "task", "point").

    Raises
    ------
    DataError
        If an input is missing, unknown, not a number, or not above zero.

    Warns
    -----
    ForescaleWarning
        If the outcomes tell the law's inputs, and their losses are off the law's curve by more than 5 % in the median:
        it may be of another text, tokenizer or unit.

    References
    ----------
    Gadre et al. 2024, arXiv:2403.08540, section 2: loss from compute, and error from loss.

    Examples
    --------
    >>> import forescale as fs
    >>> links = fs.fit_link(fs.Outcomes.read("evals.csv"), random_seed=1)  # doctest: +SKIP
    >>> fs.downstream(links, fs.load_fit("fit.nc"), n_params="7B", n_tokens="140B")  # doctest: +SKIP
    """
    rng = np.random.default_rng(as_seed(random_seed))
    warn_of_another_loss(links, source)
    at_loss = forecast(source, points, random_seed=rng, **inputs)
    drawn = links.posterior[[*PARAMETERS, SCATTER]].assign(drift=links.drift)
    posterior, losses = paired(drawn, at_loss.draws, rng)
    chance, items = links.posterior["chance"], links.posterior["items"]
    dims = ("chain", "draw", "task", "point")
    draws = xr.Dataset({"mean": links.model.curve(losses["mean"], posterior, chance).transpose(*dims)})
    if "run" in losses:
        below = np.maximum(links.posterior["lowest_loss"] - losses["run"], 0.0)
        curve = links.model.curve(losses["run"], posterior, chance)
        centre = wandered(curve, floor(posterior, chance), posterior["drift"] * below).transpose(*dims)
        scatter = posterior[SCATTER].transpose("chain", "draw", "task").values[..., None]
        _, share = draw_hits(centre.values, scatter, items.values[:, None], rng)
        draws["run"] = centre.copy(data=share)
    middle = losses["mean"].median(("chain", "draw")).to_numpy()
    beyond = links.posterior["lowest_loss"].to_numpy()[:, None] - middle
    has_drift = links.model.discrepancy.drift is not None
    return Downstream(source.name, links.name, at_loss.points, draws, losses, beyond, has_drift)


def warn_of_another_loss(links: LinkFit, source: Estimate) -> None:
    """Warn where the losses of the outcomes are not those that the law gives to the same runs."""
    table, names = links.outcomes, source.law.inputs
    if not all(name in table.columns and table.columns[name].dtype.kind == "f" for name in names):
        return
    at = {name: table.column(name) for name in names}
    known = np.all([np.isfinite(values) & (values > 0) for values in at.values()], axis=0)
    if not known.any():
        return
    inputs = {name: xr.DataArray(values[known], dims="run") for name, values in at.items()}
    few = source.posterior.isel(draw=slice(None, None, max(1, source.posterior.sizes["draw"] // 50)))
    curve = source.law(inputs, few).median(("chain", "draw")).to_numpy()
    off = float(np.median(np.log(table.column("loss")[known] / curve)))
    if abs(off) > _OFF:
        warnings.warn(
            f"losses of {table.name} are {100 * abs(np.expm1(off)):.0f} % {'above' if off > 0 else 'below'} those that "
            f"{source.name} gives to runs of the same sizes, in the median: if they are of another text, tokenizer or "
            "unit, no accuracy follows from the one by the other",
            ForescaleWarning,
            stacklevel=3,
        )


def paired(one: xr.Dataset, other: xr.Dataset, rng: np.random.Generator) -> tuple[xr.Dataset, xr.Dataset]:
    """Draws of two independent posteriors side by side, in random order, as many as the larger has."""
    shapes = [(draws.sizes["chain"], draws.sizes["draw"]) for draws in (one, other)]
    chains, draws = max(shapes, key=lambda shape: shape[0] * shape[1])
    index = pd.MultiIndex.from_product([range(chains), range(draws)], names=("chain", "draw"))
    found = []
    for each in (one, other):
        flat = (
            each.stack(sample=("chain", "draw"))
            .reset_index("sample", drop=True)
            .drop_vars(("chain", "draw"), errors="ignore")
        )
        own = flat.sizes["sample"]
        order = rng.permutation(np.resize(np.arange(own), chains * draws))
        picked = flat.isel(sample=order).assign_coords(xr.Coordinates.from_pandas_multiindex(index, "sample"))
        found.append(picked.unstack("sample"))
    return found[0], found[1]
