"""reconcile() -> Reconciliation: a law that counts embeddings, read as Kaplan et al. read theirs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from forescale.errors import ForescaleWarning, ModelError
from forescale.estimates.draws import Estimate, band, interval_rows, kind_of_band, long_table
from forescale.numbers import recount
from forescale.numbers.budgets import Quantities, check_splits, positive
from forescale.numbers.embeddings import Embeddings
from forescale.numbers.literature import literature_exponents
from forescale.numbers.recount import Array, Powers
from forescale.units import format_quantity
from forescale.verbs.allocate import law_values

#: Kaplan et al.'s range as Pearce & Song take it: so many budgets, evenly spread in the log, in FLOPs without
#: embeddings. There N* goes through the sizes that Kaplan et al. trained, 768 to 1.5e9 without embeddings.
KAPLAN_FLOPS, KAPLAN_POINTS = (10**12.95, 10**20.7), 100
#: How near to its limit the local exponent counts as there.
NEAR = 0.01

_BUDGETS = (1e15, 1e18, 1e21, 1e24, 1e27)
_SIZES = (768, 1e4, 1e5, 1e6, 1e7, 1e8, 1.5e9, 1e10, 1e11, 1e12)
_QUANTITIES = ("n_params", "n_total", "n_tokens", "loss", "exponent")


@dataclass(frozen=True, eq=False)
class Reconciliation:
    """Draws of a law's compute-optimal sizes, where neither parameters nor compute count embeddings.

    Attributes
    ----------
    source, law : str
        The estimate and its law.
    embeddings : Embeddings
        N_total from N.
    counts_embeddings : bool or None
        Whether the source says that its N counts embeddings; None where it does not say, and is taken to.
    draws : xarray.Dataset
        Of dims ("chain", "draw", "budget"): ``n_params`` (N*, without embeddings), ``n_total``, ``n_tokens``,
        ``loss`` (nats per token) and ``exponent`` (d log N* / d log C there). Of dims ("chain", "draw", "size"):
        ``size_exponent`` and ``size_flops``, the local exponent where N* is the size, and its budget. Of dims
        ("chain", "draw"): ``range_exponent``, the slope of log N* on log C over Kaplan et al.'s range;
        ``loss_exponent``, that of -log L; ``limit``, the local exponent of large models, which is that of the
        law with embeddings counted; ``near_n_params`` and ``near_flops``, from where on the local exponent is
        within 0.01 of it (0 where it always is). Coordinates: budget in FLOPs, size in parameters, both without
        embeddings.

    Notes
    -----
    Bands hold the uncertainty of the law's parameters only. That the law holds far below the sizes it was
    fitted to, and how embeddings grow with N, is taken for granted, as Pearce & Song do.
    """

    source: str
    law: str
    embeddings: Embeddings
    counts_embeddings: bool | None
    draws: xr.Dataset = field(repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the optimum at each budget.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per budget and quantity (n_params, n_total, n_tokens, loss, exponent): flops, quantity, median,
            lower, upper, prob, interval.
        """
        entries = pd.DataFrame({"flops": self.draws["budget"]})
        return long_table(entries, {name: self.draws[name] for name in _QUANTITIES}, "quantity", prob)

    def exponent_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the exponents, and below them those that the literature prints.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval of the source's rows; printed intervals are as printed.

        Returns
        -------
        pandas.DataFrame
            A row per exponent: exponent ("a" of N* ~ C^a, "c" of L ~ C^-c, "b" of D* ~ C^b in the literature), what
            (the range, a size at which it is local, the limit, or the paper's method), n_params (the size; NaN
            elsewhere), median (or the printed value), lower, upper, prob, interval, source (this one, or the paper),
            printed (whether it is the paper's).
        """
        here = [
            ("a", "Kaplan et al.'s range", np.nan, self.draws["range_exponent"]),
            ("c", "Kaplan et al.'s range", np.nan, self.draws["loss_exponent"]),
            *(
                ("a", "at a size", size, self.draws["size_exponent"].sel(size=size))
                for size in self.draws["size"].to_numpy().tolist()
            ),
            ("a", "limit of large models", np.nan, self.draws["limit"]),
        ]
        named = pd.DataFrame([row[:3] for row in here], columns=["exponent", "what", "n_params"])
        bands = pd.concat([interval_rows(row[3], prob) for row in here], ignore_index=True)
        own = pd.concat([named, bands], axis=1).assign(source=self.source, printed=False)
        found = literature_exponents().rename(columns={"value": "median", "paper": "source"})
        what = found["method"] + found["data"].map(lambda data: f", {data}" if data else "")
        found = found.assign(what=what, n_params=np.nan, printed=True)
        return pd.concat([own, found[own.columns]], ignore_index=True)

    def __repr__(self) -> str:
        draws = self.draws
        low, high = map(_flops, KAPLAN_FLOPS)
        lines = [
            f"Reconciliation of {self.source} with Kaplan et al.: law {self.law}",
            f"  N and C = 6ND without embeddings; {self.embeddings}",
            f"  slope of log N* on log C, {low} to {high} FLOPs:",
            f"    a {band(draws['range_exponent'])}",
            f"    beside {_printed('kaplan2020', 'a')} (Kaplan et al.), {_printed('pearce2024', 'a')} (Pearce & Song)",
            f"  local exponent, towards {band(draws['limit'])}:",
        ]
        for size in self.draws["size"].to_numpy().tolist():
            there = draws.sel(size=size)
            lines.append(
                f"    N* = {format_quantity(float(size))} ({_flops(float(there['size_flops'].median()))} FLOPs): "
                f"a {band(there['size_exponent'])}"
            )
        lines += [
            f"    within {NEAR} of the limit from N* = {band(draws['near_n_params'], format_quantity)},",
            f"      C = {band(draws['near_flops'], _flops)} FLOPs on",
            f"  loss falls as C^-c over the range: c {band(draws['loss_exponent'])},",
            f"    beside {_printed('kaplan2020', 'c')} (Kaplan et al.)",
        ]
        if self.counts_embeddings is None:
            lines.append("  (the source does not say whether its N counts embeddings; it is taken to)")
        return "\n".join([*lines, f"  ({kind_of_band(draws)})"])


def reconcile(
    source: Estimate,
    compute: Quantities = _BUDGETS,
    *,
    n_params: Quantities = _SIZES,
    embeddings: Embeddings | None = None,
) -> Reconciliation:
    """Read a law that counts embeddings in Kaplan et al.'s terms: N and C without embeddings, at small sizes.

    For each draw, ``N*(C) = argmin L(N + omega N^gamma, C / (6 N))``. With e = d log N_total / d log N the optimum
    is where ``alpha A e N_total^-alpha = beta B D^-beta``, and its local exponent
    ``d log N* / d log C = 1 / (1 + (alpha e - d log e / d log N) / beta)``.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap, of a law that falls with A/N^alpha + B/D^beta and whose N
        counts embeddings.
    compute : float, str or sequence, shape (budget,)
        Budgets in FLOPs, C = 6ND without embeddings.
    n_params : float, str or sequence, shape (size,)
        Sizes without embeddings at which to give the local exponent.
    embeddings : Embeddings, optional
        N_total from N; by default Pearce & Song's constants.

    Returns
    -------
    Reconciliation
        Draws of the optimum, of its exponents and of their limits.

    Raises
    ------
    DataError
        If a budget or a size is not a number above zero.
    ModelError
        If the law is not a sum of two powers, if the source counts no embeddings already, or if draws have no
        optimum, or several, at a budget; the message counts them.

    Warns
    -----
    ForescaleWarning
        If the source does not say whether it counts embeddings.

    Notes
    -----
    ``range_exponent`` is the least-squares slope of log N* on log C at 100 budgets evenly spread in the log from
    10^12.95 to 10^20.7 FLOPs, as in Pearce & Song's code. It gives their 0.74 for Hoffmann et al.'s constants and 0.78
    for Besiroglu et al.'s; the local exponent goes from 0.75 at N = 1000 over 0.96 at a million down to its limit.

    References
    ----------
    Pearce & Song 2024, Reconciling Kaplan and Chinchilla Scaling Laws, arXiv:2406.12907.

    Examples
    --------
    >>> import forescale as fs
    >>> found = fs.reconcile(fs.published("hoffmann2022_unrounded"), "1e21")
    >>> f"{found.draws['range_exponent'].item():.2f}, {found.draws['limit'].item():.2f}"
    '0.74, 0.46'
    """
    check_splits(source.law)
    counts = _counts_embeddings(source)
    counted = Embeddings() if embeddings is None else embeddings
    budgets, sizes = positive("compute", compute), positive("n_params", n_params)
    values = law_values(source)
    powers = source.law.powers(values)
    _check_one_optimum(source, powers, counted)

    log_size = _optimal(source, powers, counted, np.log(budgets))
    tokens, total = budgets / (6.0 * np.exp(log_size)), np.exp(counted.log_total(log_size))
    by_budget = {
        "n_params": np.exp(log_size),
        "n_total": total,
        "n_tokens": tokens,
        "loss": source.law({"n_params": total, "n_tokens": tokens}, values),
        "exponent": recount.local_exponent(powers, counted, log_size),
    }
    by_size = {
        "size_exponent": recount.local_exponent(powers, counted, np.log(sizes)),
        "size_flops": np.exp(recount.log_compute(powers, counted, np.log(sizes))),
    }
    log_range = np.log(np.geomspace(*KAPLAN_FLOPS, KAPLAN_POINTS))
    log_along = _optimal(source, powers, counted, log_range)
    along = {"n_params": np.exp(counted.log_total(log_along)), "n_tokens": np.exp(log_range - log_along) / 6.0}
    near = recount.log_size_near_limit(powers, counted, NEAR)
    near_flops = np.exp(recount.log_compute(powers, counted, np.maximum(near, 0.0)))
    _, alpha, _, beta = powers
    overall = {
        "range_exponent": recount.slope(log_range, log_along),
        "loss_exponent": -recount.slope(log_range, np.log(source.law(along, values))),
        "limit": (beta / (alpha + beta))[..., 0],
        "near_n_params": np.exp(near)[..., 0],
        "near_flops": np.where(np.isfinite(near), near_flops, 0.0)[..., 0],
    }
    dims = ("chain", "draw")
    draws = xr.Dataset(
        {name: ((*dims, "budget"), array) for name, array in by_budget.items()}
        | {name: ((*dims, "size"), array) for name, array in by_size.items()}
        | {name: (dims, array) for name, array in overall.items()},
        coords={name: source.posterior[name].to_numpy() for name in dims} | {"budget": budgets, "size": sizes},
    )
    return Reconciliation(source.name, source.law.name, counted, counts, draws)


def _counts_embeddings(source: Estimate) -> bool | None:
    """Whether N counts embeddings, as the source says of itself or of its table; refuse one that counts none."""
    says = source if hasattr(source, "counts_embeddings") else getattr(source, "observations", None)
    counts: bool | None = getattr(says, "counts_embeddings", None)
    if counts is False:
        raise ModelError(
            f"{source.name} counts no embeddings: N and C are Kaplan et al.'s already; allocate() has their exponent"
        )
    if counts is None:
        warnings.warn(
            f"{source.name} does not say whether its N counts embeddings; it is taken to. State it when the table is "
            "read: counts_embeddings=True",
            ForescaleWarning,
            stacklevel=3,
        )
    return counts


def _check_one_optimum(source: Estimate, powers: Powers, counted: Embeddings) -> None:
    one = np.asarray(recount.has_one_optimum(powers, counted))
    if not one.all():
        raise ModelError(
            f"{(~one).sum()} of {one.size} draws of {source.name} have exponents so small, zero or negative that "
            f"budgets have several best sizes or none under {counted}; a prior that keeps away from zero avoids them"
        )


def _optimal(source: Estimate, powers: Powers, counted: Embeddings, log_budget: Array) -> Array:
    log_size = recount.log_optimal_size(powers, counted, log_budget)
    none = np.isnan(log_size)
    if none.any():
        worst = int(none.sum(axis=(0, 1)).argmax())
        raise ModelError(
            f"{none[..., worst].sum()} of {none[..., worst].size} draws of {source.name} have no compute-optimal split "
            f"of {np.exp(log_budget[worst]):.6g} FLOPs between one parameter besides embeddings and one token"
        )
    return log_size


def _flops(value: float) -> str:
    return f"{value:.3g}".replace("e+", "e")


def _printed(paper: str, exponent: str) -> str:
    rows = literature_exponents().query("paper == @paper and exponent == @exponent")
    return ", ".join(f"{value:g}" for value in rows["value"])
