"""What routing is worth: the dense size of the same loss, and the size beyond which more experts do not help."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.points import as_points
from forescale.errors import DataError, ModelError
from forescale.estimates.draws import Estimate, band, interval_rows, kind_of_band, long_table
from forescale.laws.routed import log_experts
from forescale.units import format_quantity

LAW = "routed"
_SHOWN = 8  # points in a repr


@dataclass(frozen=True, eq=False)
class EffectiveParams:
    """Draws of the dense size that has the loss of a routed model.

    Attributes
    ----------
    source : str
        The estimate it comes from.
    draws : xarray.Dataset
        ``effective_params``, in parameters, and ``factor``, how many times the model's own dense base that is, of dims
        ("chain", "draw", "point"); coordinates n_params and n_experts.

    Notes
    -----
    Intervals are equal-tailed and of the law's curve: they hold the uncertainty of its parameters, not how a run
    scatters about it. An estimate of a single draw gives bands of no width.
    """

    source: str
    draws: xr.Dataset = field(repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands at each point.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per point and quantity (effective_params, factor): n_params, n_experts, quantity, median, lower,
            upper, prob, interval.
        """
        entries = pd.DataFrame({name: self.draws[name] for name in ("n_params", "n_experts")})
        return long_table(entries, {str(name): values for name, values in self.draws.items()}, "quantity", prob)

    def __repr__(self) -> str:
        lines = [f"Dense size of the same loss as a routed model, by {self.source}"]
        for i in range(min(_SHOWN, self.draws.sizes["point"])):
            here = self.draws.isel(point=[i])
            n, e = (float(here[name].item()) for name in ("n_params", "n_experts"))
            size, factor = (band(here[name], format_quantity) for name in ("effective_params", "factor"))
            lines.append(f"  N {format_quantity(n)}, E {e:g}: N_eff {size}, {factor} times N")
        left = self.draws.sizes["point"] - _SHOWN
        if left > 0:
            lines.append(f"  ... and {left} points more in .table()")
        return "\n".join([*lines, f"  ({kind_of_band(self.draws)})"])


@dataclass(frozen=True, eq=False)
class RoutingCutoff:
    """Draws of the dense size beyond which more experts no longer lower the loss.

    Attributes
    ----------
    source : str
        The estimate it comes from.
    draws : xarray.Dataset
        ``n_params`` and ``log10_n_params``, dims ("chain", "draw"): infinite where routing pays more the larger the
        model, so that it never stops.

    Notes
    -----
    Intervals are equal-tailed and of the law's curve, with infinite draws kept in every quantile. The cutoff usually
    lies far beyond the runs, where the law has not been seen to hold.
    """

    source: str
    draws: xr.Dataset = field(repr=False)

    @property
    def never(self) -> float:
        """The share of draws in which routing never stops paying."""
        return float(np.isinf(self.draws["n_params"]).mean())

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """The band of the cutoff.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            Two rows, n_params and log10_n_params: quantity, median, lower, upper, prob, interval, and never, the share
            of draws in which routing never stops paying.
        """
        rows = pd.concat([interval_rows(values, prob) for values in self.draws.values()], ignore_index=True)
        rows.insert(0, "quantity", list(self.draws))
        return rows.assign(never=self.never)

    def __repr__(self) -> str:
        size = band(self.draws["n_params"], format_quantity)
        never = f"; it never stops in {self.never:.0%} of draws" if self.never else ""
        return (
            f"Routing by {self.source} stops paying at {size} parameters of the dense base{never}\n"
            f"  ({kind_of_band(self.draws)})"
        )


def effective_params(source: Estimate, n_params: Any, n_experts: Any) -> EffectiveParams:
    """Dense size of the same loss as routed models.

    For each draw ``N_eff`` solves ``L(N_eff, 1) = L(N, E)``; with alpha(y) = a + c y, y = log10 Ehat(E) and
    y_1 = log10 E_start, which is that of one expert,
    ``log10 N_eff = (alpha(y) log10 N + b (y - y_1)) / alpha(y_1)``.

    Parameters
    ----------
    source : Estimate
        A fit or a published estimate of the law ``routed``.
    n_params : float, str or sequence, shape (point,)
        Sizes of the dense models that are routed, in parameters; 1.3e9 and "1.3B" alike.
    n_experts : float or sequence, shape (point,)
        Experts in each routed layer.

    Returns
    -------
    EffectiveParams
        Draws of dims ("chain", "draw", "point").

    Raises
    ------
    DataError
        If a size is not a number above zero, or there is less than one expert.
    ModelError
        If the law is another, or if in some draws the loss of dense models does not fall with size.

    References
    ----------
    Clark et al. 2022, arXiv:2202.01169, the effective parameter count.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.effective_params(fs.published("clark2022_sbase"), "1.3B", [1, 64, 512])
    Dense size of the same loss as a routed model, by clark2022_sbase
      N 1.3B, E 1: N_eff 1.3B, 1 times N
      N 1.3B, E 64: N_eff 3.91B, 3 times N
      N 1.3B, E 512: N_eff 5.95B, 4.57 times N
      (the law's curve; a single draw, so no uncertainty is known and no bands are shown)
    """
    p = _letters(source, "effective_params")
    frame = as_points(("n_params", "n_experts"), {"n_params": n_params, "n_experts": n_experts})
    if (frame["n_experts"] < 1).any():
        raise DataError(f"n_experts counts experts, so it is at least 1, not {frame['n_experts'].min():g}")
    n, e = (xr.DataArray(frame[name].to_numpy(), dims="point") for name in frame)
    log_n = np.log10(n)
    y = log_experts(e, p["E_start"], p["E_max"])
    y_1 = np.log10(p["E_start"])
    dense = p["a"] + p["c"] * y_1
    if bad := int((dense >= 0).sum()):
        raise ModelError(
            f"in {bad} of {dense.size} draws of {source.name} the loss of dense models does not fall with size, so "
            "that none has the loss of a routed one; add dense runs of more sizes, or a tighter prior on the slope"
        )
    log_effective = ((p["a"] + p["c"] * y) * log_n + p["b"] * (y - y_1)) / dense
    found = xr.Dataset({"effective_params": 10**log_effective, "factor": 10 ** (log_effective - log_n)})
    at = {name: ("point", frame[name].to_numpy()) for name in frame}
    return EffectiveParams(source.name, found.transpose("chain", "draw", "point").assign_coords(at))


def routing_cutoff(source: Estimate) -> RoutingCutoff:
    """Size of the dense base beyond which more experts no longer lower the loss.

    Loss falls as ``Ehat^-g`` with ``g = -(b + c log10 N)``, which is above zero below ``log10 N_cutoff = -b / c``. In
    draws with c not above zero routing pays more, the larger the model, and the cutoff is infinite.

    Parameters
    ----------
    source : Estimate
        A fit or a published estimate of the law ``routed``.

    Returns
    -------
    RoutingCutoff
        Draws of dims ("chain", "draw").

    Raises
    ------
    ModelError
        If the law is another.

    References
    ----------
    Clark et al. 2022, arXiv:2202.01169.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.routing_cutoff(fs.published("clark2022_sbase"))
    Routing by clark2022_sbase stops paying at 1T parameters of the dense base
      (the law's curve; a single draw, so no uncertainty is known and no bands are shown)
    """
    p = _letters(source, "routing_cutoff")
    with np.errstate(all="ignore"):  # where c is all but zero the cutoff is beyond any number
        log_size = (-p["b"] / p["c"]).where(p["c"] > 0, np.inf).transpose("chain", "draw")
        found = xr.Dataset({"n_params": 10**log_size, "log10_n_params": log_size})
    return RoutingCutoff(source.name, found)


def _letters(source: Estimate, verb: str) -> dict[str, xr.DataArray]:
    """Draws of the law's parameters under the letters of the paper, whatever a card calls them."""
    law = source.law
    if law.name != LAW:
        raise ModelError(
            f"{verb} is asked of routed models, so of an estimate of law {LAW!r}: a fit with the card 'routed' to runs "
            f"with n_params and n_experts, or published('clark2022_sbase'); {source.name} has law {law.name!r}"
        )
    return {law.own_names.get(name, name): source.posterior[name] for name in law.parameters}
