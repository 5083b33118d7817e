"""sensitivity() -> Sensitivity: which parameters a forecast hangs on, and which of them its spread comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.estimates.draws import INTERVAL_KIND, Estimate, interval_rows, is_single
from forescale.estimates.trends import Trends
from forescale.numbers.budgets import Quantities, Quantity
from forescale.numbers.shares import Array, conditional_steps, correlations, standard_deviations
from forescale.units import CostModel
from forescale.verbs.attribution import Attribution, attribute, place_of, rows_at, scale_of, written
from forescale.verbs.targets import PLAIN, Target, target_of

#: What the other parameters do while one moves.
OTHERS = ("held", "conditioned")
_SHOWN = 6  # places in a repr


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """What a forecast hangs on, where it was asked.

    Attributes
    ----------
    source : str
        The estimate it comes from.
    target : Target
        The forecast: what it is of, where (``target.at``, a row per budget or run), its parameters and exponents.
    draws : xarray.Dataset
        ``forecast``, dims ("chain", "draw", "at"): log10 of a size, a ratio or a compute; loss and exponent as they
        are. ``elasticity``, d log q / d log theta, and ``semi_elasticity``, d log10 q / d theta, dims ("parameter",
        "chain", "draw", "at"). ``change`` of the forecast for one standard deviation more, dims ("others",
        "parameter", "chain", "draw", "at"), and ``step`` ("parameter"), that standard deviation. ``correlation`` of
        the parameters ("parameter", "other"). NaN where there is no such forecast. For steps and correlations,
        parameters that set the size of a power (A, N_c) are taken in the log, the others as they are.
    attribution : Attribution
        The variance shares.
    """

    source: str
    target: Target
    draws: xr.Dataset = field(repr=False)
    attribution: Attribution = field(repr=False)

    def elasticities(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of d log q / d log theta of every parameter, and of d log10 q / d theta of exponents.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per place, measure and parameter: flops or the inputs, parameter, measure (elasticity,
            semi_elasticity), median, lower, upper, prob, interval, and never, the share of draws that have no such
            forecast and are left out.
        """
        measures = {"elasticity": self.target.parameters, "semi_elasticity": self.target.exponents}
        parts = [
            ({"parameter": name, "measure": measure}, self.draws[measure].sel(parameter=name))
            for measure, names in measures.items()
            for name in names
        ]
        return self._rows(parts, prob)

    def changes(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the change of the forecast for one posterior standard deviation more of each parameter.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per place, others and parameter: flops or the inputs, parameter, others (``held`` or
            ``conditioned``, see ``sensitivity``), step (the standard deviation; of the log, for a parameter such as A
            or N_c that sets the size of a power), median, lower, upper of the change (log10 of a size, a ratio or
            a compute; nats of loss; a as it is), prob, interval, and never, the share of draws that have no such
            forecast before the step or after it and are left out.
        """
        steps = dict(zip(self.target.parameters, self.draws["step"].values.tolist(), strict=True))
        parts = [
            ({"parameter": name, "others": how, "step": step}, self.draws["change"].sel(others=how, parameter=name))
            for how in OTHERS
            for name, step in steps.items()
        ]
        return self._rows(parts, prob)

    def shares(self) -> pd.DataFrame:
        """The share of the forecast's variance that knowing parameters would remove.

        Returns
        -------
        pandas.DataFrame
            A row per place and set of parameters: flops or the inputs; known ("alpha", "alpha and beta", "all") and
            their count; share, Var(E[q | known]) / Var(q), with log q for q but for loss and exponent; rank_share,
            the same of the normal scores of its ranks, for heavy tails; never, the share of draws that have no such
            forecast and are left out. Shares do not sum to one where parameters are correlated. That of "all" is 1
            but for what a quadratic misses.
        """
        return self.attribution.table.copy()

    def sentence(self, flops: Quantity | None = None, **inputs: Quantity) -> str:
        """The leading pair of parameters at a place, and the leading single one, in words.

        Parameters
        ----------
        flops : float or str, optional
            One of the budgets asked about.
        **inputs : float or str
            Instead, the inputs of one of the runs asked about. Where there is one place only, nothing is needed.

        Raises
        ------
        DataError
            If this was not asked about.
        """
        given = inputs if flops is None else {"flops": flops, **inputs}
        return self.attribution.sentence(place_of(self.target, given))

    def __repr__(self) -> str:
        target, told, last = self.target, self.attribution, len(self.target.at) - 1
        lines = [f"Sensitivity of {target.label} by {self.source}: {target.about}"]
        known = not is_single(self.draws)
        if known:
            lines.append(f"  share of the variance of {scale_of(target)} that goes once these are known:")
            for place in dict.fromkeys(np.linspace(0, last, _SHOWN).astype(int).tolist()):
                shares = [f"{names} {100 * share:.0f} %" for names, share in told.leading(place)] or ["too few draws"]
                ranks = " (of its rank: too heavy a tail)" if told.measure(place) == "rank_share" else ""
                lines.append(f"    {written(target, place) or target.label}: {'; '.join(shares)}{ranks}")
        lines += [f"  at {written(target, last)}:"] if len(target.at.columns) else []
        lines += [f"    {line}" for line in self._summary(last, known).to_string().splitlines()]
        lines.append("  (elasticity d log q / d log theta" + (f": median, 90 % {INTERVAL_KIND}" if known else "") + ")")
        if not known:
            return "\n".join([*lines, "  (a single draw: no spread is known, so there are no shares and no changes)"])
        lines.append("  (held, conditioned: change of q for one sd more, others held, or moving with it)")
        if target.scales:
            lines.append(f"  (sd of {', '.join(target.scales)}: of the log)")
        for name, exponent in told.stand_ins.items():
            r = float(self.draws["correlation"].sel(parameter=name, other=exponent))
            lines.append(f"  ({name} moves with {exponent}, correlation {r:.4f}: named only beside it)")
        never = float(told.table["never"].max())
        lines += [f"  (there is no {target.label} in {never:.2%} of draws, which are left out)"] if never else []
        return "\n".join([*lines, "  (shares of correlated parameters do not sum to one)"])

    def _summary(self, place: int, known: bool) -> pd.DataFrame:
        """A row per parameter, as text: elasticity, and change for one standard deviation more."""
        elasticities, changes = (rows_at(self.target, table, place) for table in (self.elasticities(), self.changes()))
        slopes = elasticities[elasticities["measure"] == "elasticity"].set_index("parameter")
        table = slopes[["median", "lower", "upper"] if known else ["median"]].map("{:.3g}".format)
        table = table.rename(columns={"median": "elasticity"}).rename_axis(None)
        if known:
            table["sd"] = [f"{step:.2g}" for step in self.draws["step"].values]
            for how in OTHERS:
                moved = changes.loc[changes["others"] == how, "median"]
                table[how] = [f"{q:+.3g}" if self.target.of in PLAIN else f"x {10**q:.3g}" for q in moved]
        return table

    def _rows(self, parts: Sequence[tuple[dict[str, Any], xr.DataArray]], prob: float) -> pd.DataFrame:
        blocks = [
            pd.concat([self.target.at.assign(**labels), _finite_rows(values, prob)], axis=1) for labels, values in parts
        ]
        order = np.arange(len(self.target.at) * len(blocks)).reshape(len(blocks), -1).T.ravel()
        return pd.concat(blocks, ignore_index=True).iloc[order].reset_index(drop=True)


def sensitivity(
    source: Estimate | Trends,
    of: str = "n_params",
    *,
    compute: Quantities | None = None,
    cost: str | CostModel = "6ND",
    **inputs: Any,
) -> Sensitivity:
    """Which parameters a forecast hangs on, and which of them its spread comes from.

    For a forecast q of parameters theta, at each budget or run:

    - *elasticity* ``d log q / d log theta`` at each draw, all other parameters fixed;
    - *change* of q for one posterior standard deviation more of each parameter, from each draw, with the others
      ``held`` at that draw, or ``conditioned``: moved by ``Cov(theta_j, theta_i) / Var(theta_i)`` times the step,
      their regression on it, which for a normal posterior gives E[q | theta_i + sd] from E[q | theta_i];
    - *share* ``Var(E[q | theta_i]) / Var(q)`` of the variance that knowing a parameter would remove, and that
      knowing each pair would: adjusted R^2 of q on a quadratic of the known parameters with their product.

    The last two take parameters that set the size of a power (A, N_c) in the log and the others as they are, where
    posteriors of scaling laws are nearest to normal; q is the log of a size, a ratio or a compute, and loss or
    exponent as they are.

    Parameters
    ----------
    source : Estimate or Trends
        A fit, a published estimate or a bootstrap; or, for a crossing, trends.
    of : {"n_params", "n_tokens", "tokens_per_param", "loss", "a", "crossing"}
        The forecast: of the compute-optimal split of each budget, its N*, D*, D*/N*, the law's curve there in nats
        per token, or the exponent a = d log N* / d log C; the loss of a run, with inputs; or C*, where trends meet.
    compute : float, str or sequence, shape (budget,), optional
        Training compute in FLOPs; every decade from 1e18 to 1e28 by default.
    cost : str or CostModel
        What training costs, as in ``allocate``.
    **inputs : float, str or array_like, shape (run,)
        With ``of="loss"``, the law's inputs by name: the loss of these runs, and not of an optimal split. Of laws in
        which tokens repeat, ``unique_tokens`` alone goes with any forecast of splits, as in ``allocate``.

    Returns
    -------
    Sensitivity
        With methods ``elasticities``, ``changes``, ``shares`` and ``sentence``.

    Raises
    ------
    DataError
        If there is no such forecast, or what comes with it does not belong to it or is not a number above zero.
    ModelError
        If the source cannot answer it.

    Notes
    -----
    Where a coefficient is all but a function of its exponent, as A is of alpha, three things follow. ``held`` is a
    change that the runs exclude (it answers what a misprint of alpha would do), ``conditioned`` what learning that
    alpha is larger would do. The shares of A repeat those of alpha, so that the repr and ``sentence`` name A only
    beside alpha; the tables hold all. And shares do not sum to one: E alone may tell nothing of N*, and with beta
    nearly all, since the runs have tied E to alpha and beta together.

    Draws in which there is no such forecast (trends that never cross) are left out, so that everything is
    conditional on there being one; their share is in the column ``never`` of every table. Where log C* has so heavy
    a tail that a quadratic of all parameters explains less than 90 % of its variance, shares are told of its ranks.

    References
    ----------
    Saltelli et al. 2008, Global Sensitivity Analysis: The Primer, chapter 4, for shares of variance.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.sensitivity(fs.published("besiroglu2024"), "n_params", compute="1e26").sentence()
    'at 1e26 FLOPs, 99 % of the spread in N* is alpha and beta (beta alone: 69 %)'
    """
    target = target_of(source, of, compute=compute, cost=cost, inputs=inputs)
    values = target.values(source.posterior)
    forecast = target.forecast(values)
    slopes = np.where(np.isfinite(forecast), target.slopes(values), np.nan)
    z = target.coordinates(values)
    step, change = _changes(target, z, forecast)
    related = correlations(z)
    index = {"parameter": list(target.parameters), "at": np.arange(len(target.at))}
    where = ("chain", "draw", "at")
    arrays = {
        "forecast": (where, forecast),
        "elasticity": (("parameter", *where), slopes * np.stack([values[name] for name in target.parameters])),
        "semi_elasticity": (("parameter", *where), slopes / np.log(10)),
        "change": (("others", "parameter", *where), change),
        "step": ("parameter", step),
        "correlation": (("parameter", "other"), related),
    }
    coords = {name: source.posterior[name].to_numpy() for name in ("chain", "draw")} | index
    coords |= {"others": list(OTHERS), "other": list(target.parameters)}
    coords |= {str(name): ("at", column.to_numpy()) for name, column in target.at.items()}
    shares = attribute(target, forecast.reshape(len(z), -1), z, related)
    return Sensitivity(source.name, target, xr.Dataset(arrays, coords=coords), shares)


def _changes(target: Target, z: Array, forecast: Array) -> tuple[Array, Array]:
    """One standard deviation of each parameter, and what it changes: (others, parameter, chain, draw, at)."""
    count = len(target.parameters)
    if len(z) == 1:
        return np.full(count, np.nan), np.full((len(OTHERS), count, *forecast.shape), np.nan)
    step = standard_deviations(z)
    moved = [
        target.forecast(target.from_coordinates(z + sd * along, (*forecast.shape[:2], 1)))
        for directions in (np.eye(count), conditional_steps(z))
        for sd, along in zip(step, directions.T, strict=True)
    ]
    with np.errstate(invalid="ignore"):
        return step, (np.stack(moved) - forecast).reshape(len(OTHERS), count, *forecast.shape)


def _finite_rows(draws: xr.DataArray, prob: float) -> pd.DataFrame:
    """`interval_rows` of the finite draws at each place, with the share of those left out."""
    if np.isfinite(draws).all():
        return interval_rows(draws.transpose("chain", "draw", "at"), prob).assign(never=0.0)
    rows = []
    for place in range(draws.sizes["at"]):
        here = draws.isel(at=place).to_numpy().ravel()
        finite = here[np.isfinite(here)]
        kept = xr.DataArray(finite if finite.size else [np.nan], dims="draw").expand_dims("chain")
        rows.append(interval_rows(kept, prob).assign(never=1 - finite.size / here.size))
    return pd.concat(rows, ignore_index=True)
