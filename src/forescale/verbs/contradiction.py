"""contradiction() -> Contradiction or Consistency: where two trends of loss can no longer both hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
import pandas as pd
import xarray as xr

from forescale.errors import DataError, ModelError
from forescale.estimates.draws import INTERVAL_KIND, Estimate, interval_rows, long_table
from forescale.estimates.trends import PARAMETERS, SCALES, Trends, denominator, log_crossing
from forescale.numbers.budgets import DECADES, Quantities, positive
from forescale.units import PF_DAY, CostModel, format_quantity
from forescale.verbs.consistency import Consistency, consistency

#: The point, by name, with how a repr calls it.
QUANTITIES = {"flops": "C*", "n_params": "N*", "n_tokens": "D*", "loss": "L*"}
_LOG10 = np.log(10.0)


@dataclass(frozen=True, eq=False)
class Contradiction:
    """Draws of the point beyond which L(C) and L(D(C)) contradict each other.

    Attributes
    ----------
    trends : Trends
        The trends that cross.
    draws : xarray.Dataset
        ``flops``, ``n_params``, ``n_tokens`` and ``loss`` (nats per token) at the crossing, dims ("chain",
        "draw"). Where the trends never cross, sizes are infinite and the loss is zero.
    elasticities : xarray.Dataset
        d log10 C* / d exponent for alpha_C, alpha_D and b, dims ("chain", "draw", "held"); held is "scale" (C_c,
        D_c or D_1 stays) or, where the trends state where they are best known, "pivot" (the trend's value there
        stays). Infinite where the trends never cross.

    Notes
    -----
    C* has the denominator alpha_C - alpha_D b, which may pass through zero. Its draws then have a heavy tail and a
    mass at "never" (or beyond 1e308 FLOPs); both are kept: intervals are equal-tailed over all draws, so that an end
    may be infinite. They are of the trends (kind mean); neither the scatter of a run about a trend nor the error of
    extrapolating a power law is in them.
    """

    trends: Trends = field(repr=False)
    draws: xr.Dataset = field(repr=False)
    elasticities: xr.Dataset = field(repr=False)

    @property
    def source(self) -> str:
        """What the trends are called."""
        return self.trends.name

    @property
    def basis(self) -> str:
        """Where the draws of the trends come from, in words."""
        return self.trends.basis

    @property
    def never(self) -> float:
        """The probability that the trends never cross."""
        return float(np.isinf(self.draws["flops"]).mean())

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the point.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval, of all draws.

        Returns
        -------
        pandas.DataFrame
            A row for each of flops, n_params, n_tokens and loss: quantity, median, lower, upper, the same in log10,
            prob, interval, and never, the probability that there is no crossing. Ends may be infinite.
        """
        rows = long_table(pd.DataFrame(index=[0]), {name: self.draws[name] for name in QUANTITIES}, "quantity", prob)
        with np.errstate(divide="ignore"):
            logs = {f"log10_{name}": np.log10(rows[name]) for name in ("median", "lower", "upper")}
        return pd.concat(
            [rows[["quantity", "median", "lower", "upper"]], pd.DataFrame(logs), rows[["prob", "interval"]]], axis=1
        ).assign(never=self.never)

    def elasticity_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of d log10 C* / d exponent.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval, of the draws that cross.

        Returns
        -------
        pandas.DataFrame
            A row per exponent and what is held: exponent, held, median, lower, upper, prob, interval.
        """
        crossing = np.isfinite(self.draws["flops"].to_numpy())
        if not crossing.any():
            raise ModelError(f"no draw of {self.source} crosses, so C* has no elasticities")
        few = (
            self.elasticities.stack(sample=("chain", "draw")).transpose("sample", "held").isel(sample=crossing.ravel())
        )
        flat = {
            str(name): xr.DataArray(v.to_numpy()[None], dims=("chain", "draw", "held"))
            for name, v in few.data_vars.items()
        }
        return long_table(pd.DataFrame({"held": self.elasticities["held"].to_numpy()}), flat, "exponent", prob)

    def probabilities(self, compute: Quantities = DECADES) -> pd.DataFrame:
        """The probability that the trends have crossed, or have not, by a compute.

        Parameters
        ----------
        compute : float, str or sequence
            FLOPs; decades from 1e18 to 1e28 by default.

        Returns
        -------
        pandas.DataFrame
            A row per compute: flops, crossed (P(C* <= C)), none_below (P(C* > C), never included), never.
        """
        flops = positive("compute", compute)
        crossed = [float((self.draws["flops"] <= budget).mean()) for budget in flops]
        none_below = [1 - share for share in crossed]
        return pd.DataFrame({"flops": flops, "crossed": crossed, "none_below": none_below, "never": self.never})

    def __repr__(self) -> str:
        single = self.draws["flops"].size == 1
        lines = [f"Contradiction of L(C) and L(D(C)) by {self.source}"]
        bands = {name: interval_rows(self.draws[name], 0.9)[["median", "lower", "upper"]] for name in QUANTITIES}
        for name, label in QUANTITIES.items():
            write = "{:.3g}".format if name == "loss" else _size
            middle, lower, upper = bands[name].to_numpy()[0]
            band = "" if single else f" [{write(lower)}, {write(upper)}]"
            further = {"flops": f" FLOPs = {middle / PF_DAY:.3g} PF-days", "loss": " nats per token"}
            if np.isinf(bands["flops"]["median"].item()):
                further = {}
            lines.append(f"  {label} {write(middle)}{band}{further.get(name, '')}")
        if single:
            return "\n".join([*lines, "  (a single draw, so no uncertainty is known and no bands are shown)"])
        middle, lower, upper = bands["flops"].to_numpy()[0]
        up = f"{upper / middle:.3g}" if np.isfinite(upper) else "more than can be said"
        return "\n".join(
            [
                *lines,
                f"  C* is uncertain by a factor of {middle / lower:.3g} down and {up} up; never: {self.never:.1%}",
                f"  (median [90 % {INTERVAL_KIND}]; the trends, no scatter, no discrepancy; all draws, never included)",
            ]
        )


@overload
def contradiction(source: Trends) -> Contradiction: ...
@overload
def contradiction(source: Estimate, *, compute: Quantities = ..., cost: str | CostModel = ...) -> Consistency: ...
@overload
def contradiction(
    source: Trends | Estimate, *, compute: Quantities = ..., cost: str | CostModel = ...
) -> Contradiction | Consistency: ...


def contradiction(
    source: Trends | Estimate, *, compute: Quantities = DECADES, cost: str | CostModel = "6ND"
) -> Contradiction | Consistency:
    """Find where the loss of compute-efficient training meets the floor set by its data.

    Along compute-efficient training the loss falls as ``L(C) = (C_c/C)^alpha_C`` and the tokens that it uses allow,
    at best, ``L(D(C)) = (D_c/D(C))^alpha_D`` with ``D(C) = D_1 (C/C_1)^b``. They meet at

        log(C* / C_1) = [alpha_C log(C_c/C_1) - alpha_D log(D_c/D_1)] / (alpha_C - alpha_D b),

    beyond which at least one of them has to bend; if the denominator is not above zero, never.

    Parameters
    ----------
    source : Trends or Estimate
        Three trends, each extrapolated by itself: of a publication (``published_trends``) or of one's own runs
        (``fit_trends``). Or an estimate of one joint law of n_params and n_tokens, for which there is no
        contradiction: the gap that remains is returned.
    compute, cost
        For a joint law: the budgets in FLOPs at which the gap is given, by default the decades from 1e18 to 1e28,
        and what training costs.

    Returns
    -------
    Contradiction or Consistency
        Draws of C*, N*, D*, L* and the elasticities of C*; or of the gap.

    Raises
    ------
    ModelError
        If an estimate is of a law that is not of n_params and n_tokens.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, section 6.3.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.contradiction(fs.published_trends("kaplan2020_eq67"))
    Contradiction of L(C) and L(D(C)) by kaplan2020_eq67
      C* 9.2e24 FLOPs = 1.06e+05 PF-days
      N* 6.08T
      D* 811B
      L* 1.49 nats per token
      (a single draw, so no uncertainty is known and no bands are shown)
    """
    if isinstance(source, Estimate):
        return consistency(source, compute, cost=cost)
    if not isinstance(source, Trends):
        raise DataError(
            f"contradiction() wants trends or an estimate, not {type(source).__name__}; fit_trends(runs) makes trends "
            "of a table of runs, published_trends(name) of a publication, and fit(runs) an estimate"
        )
    values = {name: source.posterior[name] for name in PARAMETERS}
    log_c = xr.zeros_like(values["alpha_C"]) + log_crossing(values, source.unit)
    relative = log_c - np.log(source.unit)
    with np.errstate(invalid="ignore", over="ignore"):
        draws = {
            "flops": np.exp(log_c),
            "n_params": np.exp(np.log(source.posterior["N_1"]) + source.posterior["a"] * relative),
            "n_tokens": np.exp(np.log(values["D_1"]) + values["b"] * relative),
            "loss": np.exp(values["alpha_C"] * (np.log(values["C_c"]) - log_c)),
        }
    made = xr.Dataset(draws).transpose("chain", "draw")
    return Contradiction(source, made, _elasticities(values, log_c, source))


def _elasticities(values: Mapping[str, xr.DataArray], log_c: xr.DataArray, source: Trends) -> xr.Dataset:
    """By the implicit function theorem: each derivative is that of the gap in log loss, over the denominator.

    The gap at C* changes with an exponent by its log distance from where the trend is held: from its scale, C_c or
    D_c, where it is one nat (D_1: where C = C_1), or from its pivot.
    """
    log_d = np.log(values["D_1"]) + values["b"] * (log_c - np.log(source.unit))
    below = denominator(values)
    slope = {"alpha_C": (log_c, -1.0), "alpha_D": (log_d, 1.0), "b": (log_c, values["alpha_D"])}
    scale = {name: np.log(values[held]) for name, held in SCALES.items() if name != "b"} | {"b": np.log(source.unit)}
    made: dict[str, Any] = {}
    for name, (at, sign) in slope.items():
        fixed = {"scale": scale[name]}
        if name in source.pivots:
            fixed["pivot"] = np.log(source.pivots[name])
        parts = [(sign * (at - place) / below / _LOG10).expand_dims(held=[kind]) for kind, place in fixed.items()]
        made[name] = xr.concat(parts, "held").where(np.isfinite(log_c), np.inf)
    return xr.Dataset(made).transpose("chain", "draw", "held")


def _size(value: float) -> str:
    return format_quantity(float(value)) if np.isfinite(value) else "never"
