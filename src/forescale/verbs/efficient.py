"""efficient_frontier() -> EfficientFrontier: the compute-efficient split between size, batch and steps."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from forescale.errors import DataError, ModelError
from forescale.estimates.draws import Estimate, interval_rows, kind_of_band, long_table
from forescale.numbers.budgets import Array, Quantities, positive
from forescale.numbers.critical_batch import check_above_zero
from forescale.units import format_quantity
from forescale.verbs.allocate import Columns, budget_lines, law_values

QUANTITIES: Columns = {
    "n_params": ("N", format_quantity),
    "n_tokens": ("D", format_quantity),
    "batch_tokens": ("B", format_quantity),
    "min_steps": ("S_min", format_quantity),
    "loss": ("loss", "{:.4g}".format),
}
EXPONENTS = ("alpha_C_min", "p_N", "p_D", "p_B", "p_S")


@dataclass(frozen=True, eq=False)
class EfficientFrontier:
    """Draws of the compute-efficient split of minimum compute into size, batch and steps.

    Attributes
    ----------
    source : str
        The estimate of the learning curves that it comes from.
    draws : xarray.Dataset
        Of dims ("chain", "draw", "budget"), the coordinate budget being C_min in FLOPs: ``n_params``;
        ``batch_tokens``, the critical batch size at the loss reached; ``min_steps``; ``n_tokens``, those of one
        epoch at that batch size, 2 B S_min; ``loss``, nats per token. Of dims ("chain", "draw"): ``C_c_min``, FLOPs,
        and the exponents.

    Notes
    -----
    At the critical batch size training takes 2 S_min steps and 2 C_min FLOPs. Intervals are equal-tailed and hold
    the uncertainty of the parameters only, not how a run scatters about the law.
    """

    source: str
    draws: xr.Dataset = field(repr=False)

    @property
    def exponents(self) -> xr.Dataset:
        """Draws of ``alpha_C_min``, L ~ C_min^-alpha_C_min, and of N ~ C_min^p_N, likewise D, B and S_min."""
        return self.draws[list(EXPONENTS)]

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the split.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per budget and quantity (n_params, n_tokens, batch_tokens, min_steps, loss): min_flops, quantity,
            median, lower, upper, prob, interval.
        """
        entries = pd.DataFrame({"min_flops": self.draws["budget"]})
        return long_table(entries, {name: self.draws[name] for name in QUANTITIES}, "quantity", prob)

    def exponent_table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the exponents: a row for each, with exponent, median, lower, upper, prob, interval."""
        rows = pd.concat([interval_rows(self.draws[name], prob) for name in EXPONENTS], ignore_index=True)
        return pd.DataFrame({"exponent": EXPONENTS}).join(rows)

    def __repr__(self) -> str:
        lines = [f"Compute-efficient frontier of {self.source}, by minimum compute C_min"]
        lines += budget_lines(self.draws, QUANTITIES)
        single = self.draws["p_N"].size == 1
        bands = [
            f"{row.exponent} {row.median:.3f}" + ("" if single else f" [{row.lower:.3f}, {row.upper:.3f}]")
            for row in self.exponent_table().itertuples()
        ]
        return "\n".join([*lines, f"  exponents of C_min: {', '.join(bands)}", f"  ({kind_of_band(self.draws)})"])


def efficient_frontier(
    source: Estimate, compute: Quantities, *, B_star: float | xr.DataArray, alpha_B: float | xr.DataArray
) -> EfficientFrontier:
    """Split minimum compute between size, batch and steps for the lowest loss.

    For each draw: minimise ``L(N, S_min) = (N_c / N)^alpha_N + (S_c / S_min)^alpha_S`` over
    ``6 N B_crit(L) S_min = C_min``. At the minimum L does not change with N, nor does B_crit, so that the two terms
    are as ``alpha_S`` to ``alpha_N``: with ``r = alpha_N / alpha_S``, ``L = (1 + r) (N_c / N)^alpha_N``, so much above
    convergence. All is then a power of compute::

        L     = (C_c_min / C_min)^alpha_C_min,    alpha_C_min = 1 / (1/alpha_S + 1/alpha_B + 1/alpha_N)
        C_c_min = 6 N_c B_* S_c (1 + r)^(1/alpha_S + 1/alpha_N) r^(-1/alpha_S)
        N     = N_c ((1 + r) / L)^(1/alpha_N) ~ C_min^p_N,    p_N = alpha_C_min / alpha_N
        B     = B_* / L^(1/alpha_B)           ~ C_min^p_B,    p_B = alpha_C_min / alpha_B
        S_min = C_min / (6 N B)               ~ C_min^p_S,    p_S = alpha_C_min / alpha_S
        D     = 2 B S_min = 2 C_min / (6 N)   ~ C_min^p_D,    p_D = 1 - p_N

    Parameters
    ----------
    source : Estimate
        A fit or a published estimate of the law learning_curve.
    compute : float, str or sequence, shape (budget,)
        Minimum compute C_min in FLOPs; at the critical batch size twice as much is spent.
    B_star, alpha_B : float or DataArray of dims ("chain", "draw")
        Of the critical batch size, see `critical_batch_size`: a number, or draws, as many as the source has (any number
        where it has one).

    Returns
    -------
    EfficientFrontier
        Draws of dims ("chain", "draw", "budget").

    Raises
    ------
    DataError
        If a budget, B_star or alpha_B is not a finite number above zero, or draws differ in number.
    ModelError
        If the law is another, or draws of its parameters are not above zero.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, equations 6.3 to 6.5 and, in this form, B.4 to B.10. Their printed exponents
    give alpha_C_min 0.0525, as in B.7 (0.052) and not as in 6.4 (0.054); see the card kaplan2020_cmin.

    Examples
    --------
    >>> import forescale as fs
    >>> efficient_frontier(fs.published("kaplan2020_steps"), "8.64e19", B_star=2.1e8, alpha_B=0.21)
    Compute-efficient frontier of kaplan2020_steps, by minimum compute C_min
      8.64e19 FLOPs: N 584M, D 49.3B, B 1.87M, S_min 13.2K, loss 2.694
      exponents of C_min: alpha_C_min 0.052, p_N 0.681, p_D 0.319, p_B 0.250, p_S 0.069
      (the law's curve; a single draw, so no uncertainty is known and no bands are shown)
    """
    budgets = positive("compute", compute)
    N_c, S_c, alpha_N, alpha_S = _learning_curve(source)
    B, a_B = _given("B_star", B_star), _given("alpha_B", alpha_B)
    try:
        shape = np.broadcast_shapes(N_c.shape, B.shape, a_B.shape)
    except ValueError as error:
        raise DataError(
            f"chains and draws are {N_c.shape[:2]} in {source.name}, {B.shape[:2]} in B_star and {a_B.shape[:2]} in "
            "alpha_B: give one number, or as many draws as the source has"
        ) from error

    split, powers = split_compute(budgets, N_c, S_c, alpha_N, alpha_S, B, a_B)
    draws = xr.Dataset(
        {name: (("chain", "draw", "budget"), values) for name, values in split.items()}
        | {name: (("chain", "draw"), np.broadcast_to(values, shape)[..., 0]) for name, values in powers.items()},
        coords={"budget": budgets},
    )
    return EfficientFrontier(source.name, draws)


def split_compute(
    compute: Array, N_c: Array, S_c: Array, alpha_N: Array, alpha_S: Array, B_star: Array, alpha_B: Array
) -> tuple[dict[str, Array], dict[str, Array]]:
    """The formulas of `efficient_frontier`, in logs: the split at each budget, and what all budgets share."""
    r = alpha_N / alpha_S
    alpha = 1.0 / (1.0 / alpha_S + 1.0 / alpha_B + 1.0 / alpha_N)
    log_c = np.log(6.0) + np.log(N_c) + np.log(B_star) + np.log(S_c)
    log_c = log_c + np.log1p(r) * (1.0 / alpha_S + 1.0 / alpha_N) - np.log(r) / alpha_S
    log_loss = alpha * (log_c - np.log(compute))
    n_params = np.exp(np.log(N_c) + (np.log1p(r) - log_loss) / alpha_N)
    batch_tokens = np.exp(np.log(B_star) - log_loss / alpha_B)
    split = {
        "n_params": n_params,
        "n_tokens": 2.0 * compute / (6.0 * n_params),
        "batch_tokens": batch_tokens,
        "min_steps": compute / (6.0 * n_params * batch_tokens),
        "loss": np.exp(log_loss),
    }
    with np.errstate(over="ignore"):  # C_c_min of exponents that are all but zero
        powers = {"C_c_min": np.exp(log_c), "alpha_C_min": alpha}
    powers |= {"p_N": alpha / alpha_N, "p_D": 1.0 - alpha / alpha_N, "p_B": alpha / alpha_B, "p_S": alpha / alpha_S}
    return split, powers


def _learning_curve(source: Estimate) -> tuple[Array, Array, Array, Array]:
    """Draws of N_c, S_c, alpha_N and alpha_S, whatever the card calls them; shape (chain, draw, 1)."""
    if source.law.name != "learning_curve":
        raise ModelError(
            "efficient_frontier wants an estimate of the law 'learning_curve', of n_params and min_steps; "
            f"{source.name} is of {source.law.name!r}, of {', '.join(source.law.inputs)}. allocate() splits compute "
            "by a law of n_params and n_tokens"
        )
    values = law_values(source)
    for name, draws in values.items():
        bad = ~(np.isfinite(draws) & (draws > 0))
        if bad.any():
            raise ModelError(
                f"{bad.sum()} of {bad.size} draws of {name} in {source.name} are not above zero, and have no compute-"
                "efficient split; a prior above zero avoids them"
            )
    N_c, S_c, alpha_N, alpha_S = (values[name] for name in source.law.parameters)
    return N_c, S_c, alpha_N, alpha_S


def _given(name: str, given: float | xr.DataArray) -> Array:
    """A number or draws, checked, of shape (chain, draw, 1)."""
    check_above_zero(**{name: given})
    if isinstance(given, xr.DataArray) and set(given.dims) == {"chain", "draw"}:
        return given.transpose("chain", "draw").to_numpy().astype(float)[..., None]
    if np.ndim(given) > 0:
        raise DataError(
            f"{name} is one number, or draws as a DataArray of dims chain and draw; got {type(given).__name__}"
        )
    return np.full((1, 1, 1), float(given))
