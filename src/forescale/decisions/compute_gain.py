"""compute_gain() -> ComputeGain: how much compute a new recipe is worth, at every scale."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.errors import DataError, ModelError
from forescale.estimates.draws import Estimate, band, interval_rows, is_single, kind_of_band, long_table
from forescale.estimates.hold import with_one_pool
from forescale.numbers.best_losses import best_loss, best_slope
from forescale.numbers.budgets import Array, Quantities, Quantity, check_spends, check_splits, positive
from forescale.numbers.optimum import Values, has_closed_form, log_compute_to
from forescale.seeds import as_seed
from forescale.units import CostModel, cost_model, format_quantity

#: What a gain does with compute.
TRENDS = ("grows", "holds", "fades")
_SHOWN = 12


@dataclass(frozen=True, eq=False)
class ComputeGain:
    """Draws of the factor by which a new recipe saves compute.

    Attributes
    ----------
    old, new : str
        The estimates compared.
    cost : str
        What training is taken to cost.
    paired : bool
        Whether draws of both belong together; otherwise each is combined with a draw of the other at random.
    hold : float
        Up to which change in a decade of compute, as a share, the gain is said to hold.
    draws : xarray.Dataset
        Of dims ("chain", "draw", "budget"): ``gain``, C over the compute with which the new recipe's best split reaches
        the old recipe's loss at C, 0 where it never does and infinite where it does with next to nothing; ``loss``, the
        old recipe's, in nats per token; ``slope``, d log gain / d log C there. ``trend``, of dims ("chain", "draw"),
        is the slope from the smallest budget to the largest. The coordinate budget is in FLOPs.

    Notes
    -----
    Both laws are taken to be right, and both losses to be of one evaluation set and one tokenizer, which no table
    says: a difference of evaluation sets looks like a gain. Where the floors E differ, gains go to zero or grow
    without limit beyond the data: as far as the floors are known, so far is the gain.
    """

    old: str
    new: str
    cost: str
    paired: bool
    hold: float
    draws: xr.Dataset = field(repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the gain and of its local slope.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per budget and quantity (gain, slope): flops, quantity, median, lower, upper, prob, interval, and
            better and never: the shares of draws in which the gain is above one, and in which the new recipe never
            reaches the loss. The slope is over draws in which it does.
        """
        gain = self.draws["gain"]
        over = ("chain", "draw")
        shares = {"better": (gain > 1).mean(over), "never": (gain == 0).mean(over)}
        entries = pd.DataFrame({"flops": self.draws["budget"], **shares})
        table = long_table(entries, {"gain": gain}, "quantity", prob)
        slopes = [
            interval_rows(_known(self.draws["slope"].isel(budget=i)), prob).assign(**entries.iloc[i])
            for i in range(len(entries))
        ]
        table = pd.concat([table, *(rows.assign(quantity="slope") for rows in slopes)], ignore_index=True)
        table = table.sort_values(["flops", "quantity"], kind="stable", ignore_index=True)
        return table[["flops", "quantity", "median", "lower", "upper", "prob", "interval", "better", "never"]]

    def trend(self, prob: float = 0.9) -> pd.Series:
        """How the gain changes with compute, from the smallest budget to the largest.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.Series
            median, lower, upper of d log gain / d log C; prob, interval; grows, holds, fades: the probability of each,
            where it holds if it changes by less than ``hold`` in a decade; unknown, the share of draws where the gain
            is zero, or infinite, at both ends.

        Raises
        ------
        ModelError
            If there is a single draw, which has no probabilities.
        """
        if is_single(self.draws):
            raise ModelError(f"{self.old} and {self.new} are single draws, which have no probabilities")
        slope = self.draws["trend"].to_numpy()
        most, known = np.log10(1 + self.hold), ~np.isnan(slope)
        shares = dict(zip(TRENDS, ((slope > most), known & (np.abs(slope) <= most), (slope < -most)), strict=True))
        row = interval_rows(_known(self.draws["trend"]), prob).iloc[0]
        told = {name: float(share.mean()) for name, share in shares.items()}
        return pd.Series({**row, **told, "unknown": float((~known).mean())})

    def __repr__(self) -> str:
        lines = [f"Compute that {self.new} saves against {self.old}, cost {self.cost}"]
        for i in range(min(_SHOWN, self.draws.sizes["budget"])):
            here = self.draws.isel(budget=[i])
            flops = format_quantity(here["budget"].item())
            lines.append(f"  {flops} FLOPs: {band(here['gain'], '{:.3g}'.format)} times less")
        if not is_single(self.draws):
            trend = self.trend()
            told = ", ".join(f"{name} with {trend[name]:.2g}" for name in TRENDS)
            lines.append(f"  with compute the gain {told} probability (holds: within {100 * self.hold:g} % a decade)")
        pairs = "paired" if self.paired else "combined at random, as of independent fits"
        return "\n".join(
            [*lines, f"  ({kind_of_band(self.draws)}; draws {pairs}; one evaluation set taken for granted)"]
        )


def compute_gain(
    old: Estimate,
    new: Estimate,
    compute: Quantities | None = None,
    *,
    n_params: Quantities | None = None,
    n_tokens: Quantities | None = None,
    cost: str | CostModel = "6ND",
    unique_tokens: Quantity | None = None,
    paired: bool = False,
    hold: float = 0.1,
    other_counts: bool = False,
    random_seed: int | np.random.Generator | None = 0,
) -> ComputeGain:
    """Compute-equivalent gain of a recipe, data set or architecture over another.

    For each pair of draws and each C: ``g(C) = C / C'`` with ``L*_new(C') = L*_old(C)``, L* the loss of the best
    split; and ``d log g / d log C = 1 - L*_old'(C) / L*_new'(C')``, slopes with respect to log C.

    Parameters
    ----------
    old, new : Estimate
        Fits, published estimates or bootstraps of laws of n_params and n_tokens, or of flops alone; losses are of one
        evaluation set.
    compute : float, str or sequence, shape (budget,), optional
        Budgets in FLOPs, of which the old recipe makes the best.
    n_params, n_tokens : float, str or sequence, optional
        Instead: the old recipe's runs, whatever their split. C is what they cost.
    cost : str or CostModel
        What training costs, under both.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat, be it one of the two: how many different ones there are; see `allocate`.
    paired : bool
        Whether draw i of one belongs to draw i of the other, as of two families of one `fit_families`. Otherwise the
        estimates are taken to be independent, and their draws are combined at random.
    hold : float
        A gain that changes by less than this share in a decade of compute is said to hold.
    other_counts : bool
        Whether to compare although one counts embeddings as parameters and the other does not.
    random_seed : int, Generator or None
        Seed of which draws are combined.

    Returns
    -------
    ComputeGain
        Draws of dims ("chain", "draw", "budget"); chain is 1 unless paired.

    Raises
    ------
    DataError
        If there are neither budgets nor runs, or they are no numbers above zero.
    ModelError
        If a law cannot split compute, both are estimates of one table, tables count parameters otherwise, draws to be
        paired differ in number, or the old recipe has no best split in some draws.

    References
    ----------
    Davidson et al. 2023, arXiv:2312.07413, for the compute-equivalent gain; Ho et al. 2024, arXiv:2403.05812, for
    what it is made of.

    Examples
    --------
    >>> import forescale as fs
    >>> old, new = fs.published("gadre2024_redpajama"), fs.published("gadre2024_c4")
    >>> fs.compute_gain(old, new, ["1e20", "1e22"])  # doctest: +ELLIPSIS
    Compute that gadre2024_c4 saves against gadre2024_redpajama, cost 6ND
      1e20 FLOPs: ...
    """
    runs = n_params is not None and n_tokens is not None
    if (compute is None) != runs or (compute is not None and (n_params is not None or n_tokens is not None)):
        raise DataError("give either budgets (compute=), or the old recipe's runs (n_params= and n_tokens=)")
    if not 0 < hold < np.inf:
        raise DataError(f"hold is a share above zero, such as 0.1 for 10 % a decade; got {hold!r}")
    first, second = (each.law for each in with_one_pool((old, new), unique_tokens))
    for law in (first, second):
        check_spends(law)
    _check_recipes(old, new, other_counts)
    costs = cost_model(cost)
    before, after = _pairs(old, new, paired, as_seed(random_seed))
    if compute is None:
        check_splits(first)
        n, d = np.broadcast_arrays(positive("n_params", n_params), positive("n_tokens", n_tokens))
        flops = costs.flops(n, d)
        loss = first({"n_params": n, "n_tokens": d}, before)
    else:
        flops = positive("compute", compute)
        loss = best_loss(first, costs, np.log(flops), before)
    if bad := int((~np.isfinite(loss)).sum()):
        raise ModelError(
            f"{bad} of {loss.size} draws and budgets of {old.name} have no best split; allocate() says more"
        )
    log_flops = np.log(flops)
    log_enough = log_compute_to(second, costs, np.log(loss), after, closed=has_closed_form(second, costs))
    if bad := int(np.isnan(log_enough).sum()):
        raise ModelError(f"in {bad} of {loss.size} draws and budgets no compute of {new.name} was found for the loss")
    slope = 1 - best_slope(first, costs, log_flops, before) / best_slope(second, costs, log_enough, after)
    log_gain = log_flops - log_enough
    dims = ("chain", "draw", "budget")
    found = {"gain": np.exp(log_gain), "loss": loss, "slope": slope if compute is not None else slope * np.nan}
    draws = xr.Dataset({name: (dims, array) for name, array in found.items()}, coords={"budget": flops})
    return ComputeGain(
        old.name,
        new.name,
        costs.name,
        paired,
        hold,
        draws.assign(trend=(dims[:2], _trend(log_flops, log_gain, found["slope"]))),
    )


def _known(values: xr.DataArray) -> xr.DataArray:
    """Draws that are known, as dims chain and draw; NaN where none is."""
    array = values.to_numpy().ravel()
    array = array[~np.isnan(array)]
    return xr.DataArray((array if array.size else np.array([np.nan]))[None], dims=("chain", "draw"))


def _check_recipes(old: Estimate, new: Estimate, other_counts: bool) -> None:
    """Refuse estimates of one recipe, and those whose sizes and compute are of other parameters."""
    tables = [getattr(getattr(source, "observations", None), "sha256", None) for source in (old, new)]
    if None not in tables and tables[0] == tables[1]:
        raise ModelError(
            f"{old.name} and {new.name} are estimates of the same runs, so of one recipe; compare() says which "
            "predicts them better"
        )
    counts = []
    for source in (old, new):
        says: Any = source if hasattr(source, "counts_embeddings") else getattr(source, "observations", None)
        counts.append(getattr(says, "counts_embeddings", None))
    if None not in counts and counts[0] != counts[1] and not other_counts:
        with_them, without = (old, new) if counts[0] else (new, old)
        raise ModelError(
            f"{with_them.name} counts embeddings as parameters and {without.name} does not, so that their compute is "
            "not the same thing; other_counts=True compares all the same"
        )


def _pairs(old: Estimate, new: Estimate, paired: bool, seed: int) -> tuple[Values, Values]:
    """Draws of both, of shape (chain, draw, 1)."""
    shapes = [(source.posterior.sizes["chain"], source.posterior.sizes["draw"]) for source in (old, new)]
    arrays = [
        {name: source.posterior[name].transpose("chain", "draw").to_numpy() for name in source.law.parameters}
        for source in (old, new)
    ]
    if paired:
        if shapes[0] != shapes[1]:
            raise ModelError(
                f"draws of {old.name} (chain, draw {shapes[0]}) and {new.name} {shapes[1]} cannot be paired: they are "
                "not of one posterior"
            )
        first, second = ({name: array[..., None] for name, array in part.items()} for part in arrays)
        return first, second
    rng, most = np.random.default_rng(seed), max(int(np.prod(shape)) for shape in shapes)
    mixed = []
    for part, shape in zip(arrays, shapes, strict=True):
        order = np.resize(rng.permutation(int(np.prod(shape))), most)
        mixed.append({name: array.reshape(-1)[order][None, :, None] for name, array in part.items()})
    return mixed[0], mixed[1]


def _trend(log_flops: Array, log_gain: Array, slope: Array) -> Array:
    """Slope from the smallest budget to the largest; that at the budget where there is but one."""
    low, high = int(log_flops.argmin()), int(log_flops.argmax())
    if log_flops[high] == log_flops[low]:
        return slope[..., low]
    with np.errstate(invalid="ignore"):
        rise = log_gain[..., high] - log_gain[..., low]
    return np.asarray(rise / (log_flops[high] - log_flops[low]))
