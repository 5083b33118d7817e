"""serve() -> Serving: the cheapest model of a quality, once it is not only trained but serves its users."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from forescale.decisions.lifetime import Lifetime, growth_when_served, serving_weight
from forescale.decisions.prices import Accelerator
from forescale.errors import DataError, ModelError
from forescale.estimates.draws import Estimate, check_spread, kind_of_band, long_table
from forescale.laws import Law
from forescale.numbers.budgets import Array, Quantities, Quantity, check_splits, positive, with_pool
from forescale.numbers.optimum import has_closed_form, log_compute_to, log_optimal_size
from forescale.units import SixND, format_quantity
from forescale.verbs.allocate import Columns, allocate, budget_lines, law_values

#: What is told of each demand, with its label and the form in which a repr writes it.
QUANTITIES: Columns = {
    "n_params": ("N", format_quantity),
    "n_tokens": ("D", format_quantity),
    "saving": ("saves in %", "{:.3g}".format),
}


@dataclass(frozen=True, eq=False)
class Serving:
    """Draws of the model of least total cost at a loss, for some demands.

    Attributes
    ----------
    source, law : str
        The estimate it comes from, and its law.
    quality : str
        The loss that all models have, in words.
    weight : float
        The price of a FLOP of serving over one of training.
    draws : xarray.Dataset
        ``n_params``, ``n_tokens`` and ``total``, the cost of training and serving in FLOPs of training, of the model
        that is cheapest over its life; ``smaller`` and ``longer``, its parameters and tokens over those of the model of
        the same loss that is cheapest to train; ``saving``, by how many percent its total is below that one's; where
        hardware is stated also the bill of training and serving together: ``accelerator_hours``, ``money``, and
        ``energy`` in kWh if both state their watts. Dims ("chain", "draw", "demand"); the coordinate demand is in
        tokens.
    trained : xarray.Dataset
        Of the model that is cheapest to train: ``loss``, ``n_params``, ``n_tokens``, ``compute``; dims ("chain",
        "draw").
    units : dict of str to str
        The unit of each quantity of the bill.

    Notes
    -----
    A loss is held and cost is least, so that the models compared are of one quality. All of it is of the law's curve: a
    small model trained on far more tokens than any run of the table is an extrapolation.
    """

    source: str
    law: str
    quality: str
    weight: float
    draws: xr.Dataset = field(repr=False)
    trained: xr.Dataset = field(repr=False)
    units: dict[str, str] = field(default_factory=dict, repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the cheapest model for each demand.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per demand and quantity (n_params, n_tokens, total, smaller, longer, saving, and those of the
            bill): demand, quantity, median, lower, upper, prob, interval.
        """
        entries = pd.DataFrame({"demand": self.draws["demand"]})
        return long_table(entries, {str(name): values for name, values in self.draws.items()}, "quantity", prob)

    def probability(self, saving: float) -> pd.DataFrame:
        """How probably a smaller model is cheaper by more than a share of total cost.

        Parameters
        ----------
        saving : float
            The share, between 0 and 1: 0.1 is 10 %.

        Returns
        -------
        pandas.DataFrame
            A row per demand: demand, saving, probability, the share of draws.

        Raises
        ------
        DataError
            If the share is not between 0 and 1.
        ModelError
            If there is a single draw, which has no probabilities.
        """
        check_spread(self.source, self.draws)
        if not 0 <= saving < 1:
            raise DataError(f"saving is a share of total cost, from 0 up to 1 (10 % is 0.1), not {saving!r}")
        chance = (self.draws["saving"] > 100 * saving).mean(("chain", "draw")).to_numpy()
        return pd.DataFrame({"demand": self.draws["demand"], "saving": saving, "probability": chance})

    def __repr__(self) -> str:
        told = self.draws.rename(demand="budget")
        lines = [line.replace(" FLOPs:", " tokens served:", 1) for line in budget_lines(told, QUANTITIES)]
        heading = f"Cheapest to train and to serve at {self.quality}, by {self.source}: law {self.law}"
        weight = "" if self.weight == 1 else f", a FLOP of serving at {self.weight:.3g} of training"
        return "\n".join([heading + weight, *lines, f"  ({kind_of_band(self.draws)})"])


def serve(
    source: Estimate,
    demand: Quantities,
    *,
    loss: Quantity | None = None,
    compute: Quantity | None = None,
    weight: float = 1.0,
    training: Accelerator | None = None,
    serving: Accelerator | None = None,
    unique_tokens: Quantity | None = None,
) -> Serving:
    """Find the model that is cheapest to train and to serve, at a loss.

    For each draw and demand S, ``N, D = argmin 6 N D + 2 w N S`` over ``law(N, D; parameters) = loss``. Where loss
    falls with A/N^alpha + B/D^beta, with N0, D0 cheapest to train and ``t`` the root of
    ``(1 + alpha / beta) e^(t / beta) (e^t - 1) = w S / (3 D0)``: ``D = D0 e^(t / beta)`` and
    ``N = N0 (1 + (alpha / beta) (1 - e^-t))^(-1 / alpha)``; elsewhere the minimum is searched.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap, of a law of n_params and n_tokens.
    demand : float, str or sequence, shape (demand,)
        Tokens that the model will serve in its life, read and written; 2e12 and "2T" alike.
    loss, compute : float or str
        The quality, exactly one of: a loss in nats per token; a training budget in FLOPs, and the loss that each draw's
        best split of it has.
    weight : float
        w, the price of a FLOP of serving over one of training.
    training, serving : Accelerator, optional
        Instead of a weight: the hardware of both, with prices, for the weight and for a bill.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat: how many different ones there are; see `allocate`.

    Returns
    -------
    Serving
        Draws of dims ("chain", "draw", "demand").

    Raises
    ------
    DataError
        If there is not exactly one of loss and compute, one of the two accelerators is missing or has no price, or
        something is not a number above zero.
    ModelError
        If the law has other inputs, draws have no optimum (see `allocate`), or there are draws that never reach the
        loss.

    References
    ----------
    Sardana et al. 2024, arXiv:2401.00448, equations 2 and 3.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.serve(fs.published("hoffmann2022_unrounded"), ["200B", "2T", "20T"], compute=4.5e22)
    Cheapest to train and to serve at the best loss of 4.5e22 FLOPs, by hoffmann2022_unrounded: law chinchilla
      200B tokens served: N 10.9B, D 692B, saves in % 0.741
      2T tokens served: N 6.84B, D 1.27T, saves in % 16.9
      20T tokens served: N 3.78B, D 4.13T, saves in % 55.5
      (the law's curve; a single draw, so no uncertainty is known and no bands are shown)
    """
    if (loss is None) == (compute is None):
        raise DataError("state one quality: loss=, in nats per token, or compute=, the budget whose best loss is meant")
    if (training is None) != (serving is None):
        raise DataError("state the hardware of both, training= and serving=: only the ratio of their prices says more")
    if training is not None and serving is not None:
        if weight != 1:
            raise DataError("weight= follows from the hardware of both; leave it out, or leave out the hardware")
        weight = serving_weight(training, serving)
    law, _ = with_pool(source.law, unique_tokens)
    check_splits(law)
    tokens, costs = positive("demand", demand), SixND()
    (w,) = positive("weight", weight)
    quality, target = _target(source, loss, compute, unique_tokens)
    values, closed = law_values(source), has_closed_form(law, costs)
    log_compute = log_compute_to(law, costs, target, values, closed=closed)
    if bad := int((~np.isfinite(log_compute)).sum()):
        raise ModelError(
            f"{bad} of {log_compute.size} draws of {source.name} never reach {quality}; ask for a higher loss, or for "
            "the quality of a budget with compute="
        )
    log_size = log_optimal_size(law, costs, log_compute, values, closed=closed)
    log_tokens = log_compute - np.log(6.0) - log_size
    if closed:
        _, alpha, _, beta = law.powers(values)
        smaller, longer = growth_when_served(alpha, beta, w * tokens / (3.0 * np.exp(log_tokens)))
    else:
        smaller, longer = _searched(law, tokens, w, target, values, log_size, log_tokens)
    of_all = np.exp(log_size) * (6.0 * np.exp(log_tokens) + 2.0 * w * tokens)
    sizes, trained_on = np.exp(log_size + smaller), np.exp(log_tokens + longer)
    total = sizes * (6.0 * trained_on + 2.0 * w * tokens)
    found = {"n_params": sizes, "n_tokens": trained_on, "total": total}
    found |= {"smaller": np.exp(smaller), "longer": np.exp(longer)}
    found["saving"] = np.maximum(100.0 * (1.0 - total / of_all), 0.0)  # rounding, where next to nothing is served
    units: dict[str, str] = {}
    if training is not None and serving is not None:
        bills = training.bill(6.0 * sizes * trained_on), serving.bill(2.0 * sizes * tokens)
        units = {name: unit for name, unit in training.units.items() if name in bills[1] and name != "days"}
        found |= {name: bills[0][name] + bills[1][name] for name in units}
    coords = {name: source.posterior[name].to_numpy() for name in ("chain", "draw")}
    draws = xr.Dataset({name: (("chain", "draw", "demand"), array) for name, array in found.items()}, coords)
    first = {"loss": np.exp(target), "n_params": np.exp(log_size), "n_tokens": np.exp(log_tokens)}
    first["compute"] = np.exp(log_compute)
    trained = xr.Dataset(
        {name: (("chain", "draw"), np.broadcast_to(array, log_size.shape)[..., 0]) for name, array in first.items()},
        coords,
    )
    draws = draws.assign_coords(demand=tokens)
    return Serving(source.name, source.law.name, quality, float(w), draws, trained, units)


def _target(
    source: Estimate, loss: Quantity | None, compute: Quantity | None, unique_tokens: Quantity | None
) -> tuple[str, Array]:
    """Say the quality in words, and return the log of its loss, which broadcasts against (chain, draw, demand)."""
    if loss is not None:
        (value,) = positive("loss", loss)
        return f"a loss of {value:.4g}", np.log(np.array([value]))
    (flops,) = positive("compute", compute)
    best = allocate(source, flops, unique_tokens=unique_tokens).draws["loss"].to_numpy()
    return f"the best loss of {format_quantity(flops)} FLOPs", np.log(best)


def _searched(
    law: Law,
    demand: Array,
    weight: float,
    target: Array,
    values: dict[str, Array],
    log_size: Array,
    log_tokens: Array,
) -> tuple[Array, Array]:
    """How size and tokens shift, by the budget of training and serving whose best split has the loss."""
    shifts = []
    for served in demand:
        cost = Lifetime(float(served), weight)
        log_total = log_compute_to(law, cost, target, values, closed=False)
        size = log_optimal_size(law, cost, log_total, values, closed=False)
        tokens = np.log(cost.n_tokens(np.exp(log_total), np.exp(size)))
        shifts.append((size - log_size, tokens - log_tokens))
    smaller, longer = (np.concatenate(parts, axis=-1) for parts in zip(*shifts, strict=True))
    return smaller, longer
