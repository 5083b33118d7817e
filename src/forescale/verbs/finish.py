"""finish() -> Finish: the final loss of a run, from its first part and the schedule that is still to come."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forescale.belief.catalog import load_model
from forescale.belief.model import Model
from forescale.errors import DataError, ModelError
from forescale.estimates.draws import INTERVAL_KIND, band, check_kind, long_table
from forescale.estimates.fit import Fit, fit
from forescale.tables.checkpoints import POINTS, checkpoints, read_curves, schedule_of, single
from forescale.tables.schedules import MEMORY, Schedule
from forescale.verbs.forecast import forecast

LAW = "annealed"
_DRAWN = 60  # steps, at most, of the way to the end
#: While annealing has not begun a curve says E + R well and neither alone: a thin ridge, which wants short steps.
_CAREFUL = {"tune": 1500, "target_accept": 0.99}


@dataclass(frozen=True, eq=False)
class Finish:
    """Draws of the loss that a run under way will have, up to its last step.

    Attributes
    ----------
    source : str
        The curve.
    schedule : Schedule
        Its learning rates, those to come among them.
    seen : pandas.DataFrame
        step and loss (nats per token) of all checkpoints seen.
    fit : Fit
        The law fitted to them; ``fit.observations`` are the points that it saw.
    draws : xarray.Dataset
        ``mean``, the law's curve, and ``run``, what this run will show (curve, drift where the card has one, and
        noise): nats per token, dims ("chain", "draw", "step"), coordinates step, peak_steps and cooling.
    """

    source: str
    schedule: Schedule
    seen: pd.DataFrame = field(repr=False)
    fit: Fit = field(repr=False)
    draws: xr.Dataset = field(repr=False)

    @property
    def final(self) -> xr.DataArray:
        """Draws of the loss at the last step, of kind run, nats per token; dims ("chain", "draw")."""
        return self.draws["run"].isel(step=-1)

    @property
    def last_seen(self) -> int:
        """The last step seen."""
        return int(self.seen["step"].iloc[-1])

    @property
    def share(self) -> float:
        """The share of its steps that the run has done."""
        return self.last_seen / self.schedule.steps

    @property
    def annealing(self) -> str:
        """How much of the annealing has been seen: "not begun", "under way" or "none to come", in words."""
        now, end = (float(self.schedule.cooling(step, self._memory)) for step in (self.last_seen, self.schedule.steps))
        if end < now * 1.001:
            return "no annealing is still to come"
        if now < 1.01:
            return "annealing has not begun: what it will take off the loss is as the priors say"
        return f"annealing is under way, the recent learning rate {now:.2g} times below the peak, {end:.2g} at the end"

    @property
    def _memory(self) -> float:
        return float(self.draws.attrs["memory"])

    def table(self, prob: float = 0.9, kind: str | None = None) -> pd.DataFrame:
        """Bands of loss at the steps asked for.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.
        kind : {"mean", "run"}, optional
            One kind of band; both by default.

        Returns
        -------
        pandas.DataFrame
            A row per step and kind: step, peak_steps, cooling, kind, median, lower, upper (nats per token), prob,
            interval.
        """
        wanted = ["mean", "run"] if kind is None else [check_kind(kind)]
        entries = pd.DataFrame({name: self.draws[name].to_numpy() for name in ("step", "peak_steps", "cooling")})
        return long_table(entries, {name: self.draws[name] for name in wanted}, "kind", prob)

    def __repr__(self) -> str:
        last = float(self.seen["loss"].iloc[-1])
        return (
            f"Finish of {self.source}: final loss {band(self.final)} nats per token at step {self.schedule.steps:,} "
            f"(median [90 % {INTERVAL_KIND}], band run)\n"
            f"  seen to step {self.last_seen:,} of {self.schedule.steps:,} ({self.share:.0%}), where loss is "
            f"{last:.3f}; {self.annealing}\n  {self.schedule!r}"
        )


def finish(
    curve: pd.DataFrame | str | Path,
    schedule: Schedule | str | None = None,
    *,
    at: Any = None,
    warmup: Any = None,
    points: int = POINTS,
    memory: float = MEMORY,
    model: str | Path | Model = LAW,
    random_seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
    **settings: Any,
) -> Finish:
    """Forecast the final loss of one run from its first part and the learning rates to come.

    The checkpoints seen, thinned to some points (`checkpoints`), are fitted with the law of the card ``annealed``, and
    its draws are followed along the schedule to the end. Bands are wide while annealing has not begun, since nothing
    seen says what it takes off the loss.

    Parameters
    ----------
    curve : DataFrame or path
        A row per checkpoint of one run: step and loss (nats per token), better of validation than of training; with a
        column lr of all steps, those to come among them and without a loss, no schedule is needed.
    schedule : Schedule or str, optional
        Learning rates from the first to the last step: ``"cosine:24000,warmup=2000,final=0.1"``, as in
        `Schedule.parse`.
    at : array_like of int, optional
        Steps to forecast, above the last one seen; by default some sixty up to the last, which is always there.
    warmup : int or str, optional
        Steps of warm-up of a schedule that the column lr says, where its rows do not begin with the rise.
    points : int
        How many points of the curve are fitted at most. Neighbouring checkpoints err alike: with more points bands are
        narrower than they should be.
    memory : float
        Steps over which loss follows the learning rate.
    model : str, path or Model
        A card of the law ``annealed``.
    random_seed : int, Generator or None
        Seed of fit and noise.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal or a notebook.
    **settings
        As for `fit`: draws, chains, thin, retry, and tune and target_accept, by default 1500 and 0.99.

    Returns
    -------
    Finish
        Draws along the rest of the run.

    Raises
    ------
    DataError
        If the curve is of several runs, has too few checkpoints after warm-up, is finished already, or the schedule is
        not known or shorter than the curve.
    ModelError
        If the model is of another law.
    ConvergenceError
        If the sampler did not converge.

    References
    ----------
    Tissue et al. 2024, arXiv:2408.11029, for the law; Luo et al. 2025, arXiv:2503.12811, for another of the same kind.

    Examples
    --------
    >>> import forescale as fs
    >>> step = np.arange(500, 12_001, 500)
    >>> seen = pd.DataFrame({"step": step, "loss": 2.8 + 0.3 * (step / 1e4) ** -0.5})
    >>> fs.finish(seen, "wsd:20000,decay=4000,warmup=1000", random_seed=1)  # doctest: +SKIP
    """
    curves = read_curves(curve)
    source = Path(curve).stem if isinstance(curve, str | Path) else "curve"
    if len(parts := single(curves, source)) > 1:
        raise DataError(
            f"finish is of one run, and the table has {len(parts)}, {', '.join(list(parts)[:3])}, ...: take the rows "
            "of one, or fit the card 'annealed_sizes' to checkpoints() of all"
        )
    plan = schedule_of(curves, schedule, source, warmup)
    seen = curves[curves["loss"].notna()].reset_index(drop=True)
    if seen.empty:
        raise DataError(f"{source} has no loss yet")
    last = float(seen["step"].iloc[-1])
    if last >= plan.steps:
        raise DataError(
            f"{source} is seen to step {last:,.0f}, and its schedule ends at {plan.steps:,}: nothing is to come. "
            "If the run goes on, give the schedule up to its end"
            + ("; a column lr says it only as far as it has rows" if schedule is None else "")
        )
    steps = _asked(at, last, plan.steps)
    runs = checkpoints(seen, plan, points=points, memory=memory, name=source)
    fitted = fit(runs, _card(model), random_seed=random_seed, progress=progress, **{**_CAREFUL, **settings})
    places = {"peak_steps": plan.peak_steps(steps), "cooling": plan.cooling(steps, memory)}
    found = forecast(fitted, places, random_seed=fitted.seed).draws.rename(point="step")
    draws = found.assign_coords(step=steps).assign_attrs(memory=memory)
    return Finish(source, plan, seen[["step", "loss"]], fitted, draws)


def _card(model: str | Path | Model) -> Model:
    card = load_model(model)
    if card.law.name != LAW:
        raise ModelError(
            f"finish is of one run, and takes a card of the law {LAW!r}; {card.name!r} has {card.law.name!r}"
        )
    return card


def _asked(at: Any, last: float, end: int) -> NDArray[np.int64]:
    """Steps to forecast, in order, with the last."""
    if at is None:
        asked = np.linspace(last, end, _DRAWN + 1)[1:]
    else:
        asked = np.atleast_1d(np.asarray(at, dtype=float))
        outside = ~((asked > last) & (asked <= end))
        if outside.any():
            raise DataError(
                f"steps to forecast are after step {last:,.0f}, the last seen, and up to {end:,}; not "
                f"{asked[outside][0]:g}"
            )
    return np.unique(np.append(np.ceil(asked), end).astype(np.int64))
