"""forecast() -> Forecast: the loss of runs not yet trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.points import as_points
from forescale.errors import DataError, ModelError
from forescale.estimates.draws import INTERVAL_KIND, Estimate, check_kind, check_spread, interval_rows, long_table
from forescale.numbers.budgets import Quantities, positive
from forescale.units import format_quantity

#: What a band of kind ``mean`` is of: no discrepancy, no noise.
CURVE = "the law's curve"


@dataclass(frozen=True, eq=False)
class Forecast:
    """Draws of loss at points.

    Attributes
    ----------
    source : str
        The estimate it comes from.
    points : pandas.DataFrame
        The law's inputs, a row per point.
    draws : xarray.Dataset
        ``mean``, the law's curve, and ``run``, a new run (curve, discrepancy and noise): nats per token, dims
        ("chain", "draw", "point"), inputs as coordinates of point. An estimate without a noise model has no ``run``.
    discrepancy : str
        Which discrepancy of the law is in ``run``, such as "drift beyond the data"; "none" if there is none.
    """

    source: str
    points: pd.DataFrame = field(repr=False)
    draws: xr.Dataset = field(repr=False)
    discrepancy: str = "none"

    @property
    def kinds(self) -> dict[str, str]:
        """What the bands are of, by kind."""
        further = "noise" if self.discrepancy == "none" else f"{self.discrepancy} and noise"
        told = {"mean": CURVE, "run": f"a new run: {CURVE}, {further}"}
        return {kind: what for kind, what in told.items() if kind in self.draws}

    def table(self, prob: float = 0.9, kind: str | None = None) -> pd.DataFrame:
        """Bands of loss.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.
        kind : {"mean", "run"}, optional
            One kind of band; both by default.

        Returns
        -------
        pandas.DataFrame
            A row per point and kind: the inputs, kind, median, lower, upper (nats per token), prob, interval.

        Raises
        ------
        ModelError
            If ``run`` is asked of an estimate that has no noise model.
        """
        wanted = self._of_kind(kind)
        return long_table(self.points, {name: self.draws[name] for name in wanted}, "kind", prob)

    def probability(self, loss: Quantities, kind: str | None = None) -> pd.DataFrame:
        """How probably the points are at or below losses.

        Parameters
        ----------
        loss : float, str or sequence
            Losses in nats per token.
        kind : {"mean", "run"}, optional
            One kind: of the law's curve, or of a new run; both by default.

        Returns
        -------
        pandas.DataFrame
            A row per point, kind and loss: the inputs, kind, loss, and probability, the share of draws at or below it.

        Raises
        ------
        DataError
            If a loss is not a number above zero, or there is no such kind.
        ModelError
            If there is a single draw, which has no probabilities, or ``run`` is asked of an estimate that has no noise
            model.
        """
        check_spread(self.source, self.draws)
        limits, wanted = positive("loss", loss), self._of_kind(kind)
        at = xr.DataArray(limits, dims="limit")
        shares = {name: (self.draws[name] <= at).mean(("chain", "draw")).transpose("point", "limit") for name in wanted}
        rows = [
            {**point, "kind": name, "loss": limit, "probability": float(share[place, at])}
            for place, point in enumerate(self.points.to_dict("records"))
            for name, share in shares.items()
            for at, limit in enumerate(limits.tolist())
        ]
        return pd.DataFrame(rows)

    def _of_kind(self, kind: str | None) -> list[str]:
        """The kinds of band that are asked for."""
        if kind is not None and check_kind(kind) not in self.draws:
            raise ModelError(
                f"{self.source} has no noise model, so there is no band for a new run; ask for kind='mean', or fit "
                "a table of runs"
            )
        return list(map(str, self.draws.data_vars)) if kind is None else [kind]

    def __repr__(self) -> str:
        lines = [f"Forecast of {self.source}: loss in nats per token, 90 % {INTERVAL_KIND}"]
        for index, point in self.points.iterrows():
            at = ", ".join(f"{name} {format_quantity(float(value))}" for name, value in point.items())
            bands = [
                f"{kind} {row.median:.4g} [{row.lower:.4g}, {row.upper:.4g}]"
                for kind in self.draws.data_vars
                for row in interval_rows(self.draws[kind].isel(point=[index]), 0.9).itertuples()
            ]
            lines.append(f"  {at}: {'; '.join(bands)}")
        return "\n".join([*lines, f"  ({'; '.join(f'{kind}: {what}' for kind, what in self.kinds.items())})"])


def forecast(
    source: Estimate,
    points: pd.DataFrame | Mapping[str, Any] | None = None,
    *,
    random_seed: int | np.random.Generator | None = None,
    **inputs: Any,
) -> Forecast:
    """Posterior predictive loss at points.

    For each draw: ``mean = law(inputs; parameters)`` and ``run = mean * exp(f + e)``, f from the discrepancy of the
    model (`forescale.belief.discrepancy`), where it has one, and e from the noise on log loss.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap.
    points : DataFrame or mapping, optional
        The law's input columns, a row per point; other columns are kept out. Where each run's standard error is
        known (noise ``known``), a column loss_se is taken into ``run``.
    random_seed : int, Generator or None
        Seed of the noise in ``run``.
    **inputs : float, str or array_like, shape (point,)
        Instead of ``points``: the law's inputs by name, broadcast against each other; 70e9 and "70B" alike.

    Returns
    -------
    Forecast
        Draws of dims ("chain", "draw", "point").

    Raises
    ------
    DataError
        If an input is missing, unknown, not a number, or not above zero; the message names point and input.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.forecast(fs.published("hoffmann2022"), n_params="70B", n_tokens="1.4T")  # doctest: +ELLIPSIS
    Forecast of hoffmann2022: ...
    """
    if (points is None) == (not inputs):
        raise DataError("give points either as a table (points=) or by input (n_params=..., n_tokens=...)")
    further = ("loss_se",) if source.noise is not None and source.noise.needs_se else ()
    if points is None:
        frame = as_points(source.law.inputs, inputs, further=further, only=True)
    else:
        frame = as_points(source.law.inputs, points, further=further)
    at = {name: xr.DataArray(frame[name].to_numpy(), dims="point") for name in source.law.inputs}
    mean = source.law(at, source.posterior).transpose("chain", "draw", "point")
    draws, told = xr.Dataset({"mean": mean}), "none"
    if source.noise is not None:
        parameters = {name: source.posterior[name].values[..., None] for name in source.noise.parameters}
        log_se = frame["loss_se"].to_numpy() / mean.values if "loss_se" in frame else 0.0
        rng = np.random.default_rng(random_seed)
        departure = source.departure(at) if source.departure is not None else None
        centre = mean if departure is None else mean * np.exp(departure)
        draws["run"] = source.noise.run_loss(centre, parameters, rng, log_se)
        told = "none" if departure is None else departure.attrs["discrepancy"]
    coords: dict[str, Any] = {name: ("point", frame[name].to_numpy()) for name in source.law.inputs}
    return Forecast(source.name, frame, draws.assign_coords({"point": np.arange(len(frame)), **coords}), told)
