"""breaks() -> Breaks: how many breaks a learning curve has, and what it does next, whichever that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.catalog import load_model
from forescale.belief.model import Model
from forescale.belief.noise import Noise
from forescale.belief.references import at_runs, in_units_of_range
from forescale.errors import DataError, ModelError
from forescale.estimates.draws import INTERVAL_KIND, check_prob
from forescale.laws import Law
from forescale.sampling.tempered import temper
from forescale.seeds import as_seed
from forescale.tables.observations import Observations, as_observations
from forescale.units import format_quantity

CARDS = ("unbroken_d", "broken_d", "twice_broken_d")
LAWS = ("unbroken", "broken", "twice_broken")
_RUNS = 4  # of the sampler, each of which is a chain of the posterior


@dataclass(frozen=True, eq=False)
class Breaks:
    """Posterior of the number of breaks of a curve, and of the curve under all of them: an estimate for every verb.

    Attributes
    ----------
    name : str
        Of the table.
    observations : Observations
        The runs.
    models : tuple of Model
        What was weighed, by number of breaks, as they were fitted.
    prior : tuple of float
        Probability of each number of breaks beforehand.
    log_evidence : xarray.DataArray
        Log probability density of the log losses under each, dims ("chain", "breaks"): a chain is a run of the sampler.
    posterior : xarray.Dataset
        Draws of the law's parameters, of noise, and of ``breaks``, their number; dims ("chain", "draw"). Breaks that a
        draw has not have an exponent's change c of zero.
    left_out : str
        Which numbers of breaks the table is too short for, in words, or "".
    """

    name: str
    observations: Observations
    models: tuple[Model, ...] = field(repr=False)
    prior: tuple[float, ...]
    log_evidence: xr.DataArray = field(repr=False)
    posterior: xr.Dataset = field(repr=False)
    seed: int
    left_out: str = ""

    @property
    def law(self) -> Law:
        """The law with the most breaks, of which the others are cases."""
        return self.models[-1].law

    @property
    def noise(self) -> Noise:
        """How log loss scatters about it."""
        return self.models[-1].noise

    @property
    def departure(self) -> None:
        """None: these models have no discrepancy."""
        return

    @property
    def probability(self) -> dict[int, float]:
        """Posterior probability of each number of breaks."""
        return dict(enumerate(_weigh(self.log_evidence, self.prior)))

    def table(self) -> pd.DataFrame:
        """Evidence and probability of each number of breaks.

        Returns
        -------
        pandas.DataFrame
            A row for each: breaks, model, prior, log_evidence (of log loss, natural logarithm), its standard error over
            runs of the sampler (log_evidence_se), and probability.
        """
        se = self.log_evidence.std("chain", ddof=1) / np.sqrt(self.log_evidence.sizes["chain"])
        columns = {"model": [model.name for model in self.models], "prior": self.prior}
        columns |= {"log_evidence": _pooled(self.log_evidence), "log_evidence_se": se.to_numpy()}
        table = pd.DataFrame({"breaks": range(len(self.models)), **columns})
        return table.assign(probability=list(self.probability.values()))

    def places(self, prob: float = 0.9) -> pd.DataFrame:
        """Where breaks are, and by how much the exponent changes there, if there are any.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row for each number of breaks, each of its breaks, and each quantity: breaks, break, quantity (size, in
            the unit of the input; change, of the exponent: above zero is steeper), median, lower, upper, prob,
            interval, and probability, that there are so many breaks. No row for what has less than 20 draws.
        """
        tail, rows = (1 - check_prob(prob)) / 2, []
        for count, probability in self.probability.items():
            drawn = self.posterior["breaks"].to_numpy() == count
            for i in range(1, count + 1 if drawn.sum() >= 20 else 1):
                for quantity, letter in (("size", "d"), ("change", "c")):
                    low, middle, high = np.quantile(
                        self.posterior[f"{letter}_{i}"].to_numpy()[drawn], [tail, 0.5, 1 - tail]
                    )
                    row = {"breaks": count, "break": i, "quantity": quantity, "median": middle, "lower": low}
                    rows.append(row | {"upper": high, "prob": prob, "interval": INTERVAL_KIND})
                    rows[-1]["probability"] = probability
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        lines = [f"Breaks of {self.name}: {len(self.observations)} runs, seed {self.seed}"]
        lines += [
            f"  {row.breaks}: probability {row.probability:.2f} (beforehand {row.prior:.2f}); log evidence "
            f"{row.log_evidence:.1f} +- {row.log_evidence_se:.1f}"
            for row in self.table().itertuples()
        ]
        for (count, i), of in self.places().groupby(["breaks", "break"]) if len(self.places()) else ():
            size, change = (of[of["quantity"] == quantity].iloc[0] for quantity in ("size", "change"))
            ends = " to ".join(format_quantity(size[end]) for end in ("lower", "upper"))
            lines.append(
                f"  if {count}, break {i}: at {format_quantity(size['median'])} [{ends}], exponent "
                f"{change['median']:+.2f} [{change['lower']:+.2f}, {change['upper']:+.2f}]"
            )
        lines += [f"  {self.left_out}"] if self.left_out else []
        return "\n".join([*lines, f"  (medians, 90 % {INTERVAL_KIND})"])


def breaks(
    runs: Observations | pd.DataFrame | str | Path,
    models: Sequence[str | Path | Model] = CARDS,
    *,
    size: str = "n_tokens",
    prior: Sequence[float] = (4, 2, 1),
    draws: int = 1000,
    random_seed: int | np.random.Generator | None = None,
) -> Breaks:
    """Weigh a power law with a floor against the same with one break and with two.

    For K breaks with prior probability p_K, ``P(K | runs) = p_K Z_K / sum_k p_k Z_k``, where Z_K is the evidence: the
    density of the runs' log losses under the card, its priors averaged over. What a break explains has to outweigh
    the prior's volume of breaks that explain nothing, so that a straight curve is not given any.

    Parameters
    ----------
    runs : Observations, DataFrame or path
        The points of one curve.
    models : sequence of str, path or Model
        Cards of the laws ``unbroken``, ``broken`` and ``twice_broken``, in this order; the last may be left off.
        Those with more parameters than there are runs are left out, which the result says.
    size : str
        The column that the curve is drawn against: cards of tokens are put to it under this name.
    prior : sequence of float
        Odds of each number of breaks beforehand; each further break half as likely as the one before.
    draws : int
        Draws of each of four runs of the sampler, at least 200. More make the evidence surer.
    random_seed : int, Generator or None
        Seed; recorded.

    Returns
    -------
    Breaks
        Probabilities, places, and an estimate that `forecast` and other verbs take, averaged over the number of breaks.

    Raises
    ------
    DataError
        If the runs cannot support even the first model, or draws are too few.
    ModelError
        If the models are not of these laws in this order, or the prior is not one odd above zero for each.

    References
    ----------
    Caballero et al. 2023 (arXiv:2210.14891), for the law; `forescale.sampling.tempered` for the evidence.

    Examples
    --------
    >>> import forescale as fs
    >>> curve = fs.load_dataset("google_nmt").where(family="Dec-only")
    >>> found = fs.breaks(curve, size="n_examples", random_seed=1)  # doctest: +SKIP
    >>> fs.forecast(found, n_examples="1B")  # doctest: +SKIP
    """
    observations, seed = as_observations(runs), as_seed(random_seed)
    cards = [_of_size(load_model(model), size) for model in models]
    if [card.law.name for card in cards] != list(LAWS[: len(cards)]) or len(cards) < 2:
        raise ModelError(
            f"breaks weighs models of the laws {', '.join(LAWS)}, in this order and at least two of them; given were "
            f"{', '.join(card.law.name for card in cards) or 'none'}"
        )
    if len(prior) < len(cards) or not all(np.isfinite(odd) and odd > 0 for odd in prior):
        raise ModelError(f"prior is an odd above zero for each of {len(cards)} models, not {tuple(prior)}")
    if draws < 200:
        raise DataError(f"draws must be at least 200, since the evidence is made of them, not {draws}")
    cards[0].check(observations)
    fitted = tuple(at_runs(card, observations) for card in cards if len(card.parameters) <= len(observations))
    few = [card.name for card in cards[len(fitted) :]]
    told = f"({', '.join(few)}: left out, having more parameters than there are runs)" if few else ""
    found = [
        [_temper(model, observations, draws, [seed, i, run]) for run in range(_RUNS)] for i, model in enumerate(fitted)
    ]
    log_evidence = xr.DataArray([[one[run][1] for one in found] for run in range(_RUNS)], dims=("chain", "breaks"))
    odds = tuple(float(odd) / sum(prior[: len(fitted)]) for odd in prior[: len(fitted)])
    weights, rng = _weigh(log_evidence, odds), np.random.default_rng([seed, len(fitted)])
    chains = [_mix([one[run][0] for one in found], weights, fitted[-1], draws, rng) for run in range(_RUNS)]
    posterior = xr.Dataset({name: (("chain", "draw"), [chain[name] for chain in chains]) for name in chains[0]})
    return Breaks(observations.name, observations, fitted, odds, log_evidence, posterior, seed, told)


def _of_size(model: Model, size: str) -> Model:
    """The model under the name of a column; of one that has it, as it is."""
    return model if size in model.law.inputs else model.renamed({model.law.inputs[0]: size})


def _temper(model: Model, runs: Observations, draws: int, seed: Sequence[int]) -> tuple[dict[str, Any], float]:
    """Draws of the printed parameters and of noise, and the log evidence, of one run."""
    same, data = in_units_of_range(model, model.data(runs))
    found = temper(same, data, draws, np.random.default_rng(seed))
    noise = {name: found.free[name] for name in model.noise.parameters}
    return {**model.printed(found.free), **noise}, found.log_evidence


def _pooled(log_evidence: xr.DataArray) -> Any:
    """Log of the mean evidence over runs, an array by number of breaks."""
    return np.logaddexp.reduce(log_evidence.to_numpy(), axis=0) - np.log(log_evidence.sizes["chain"])


def _weigh(log_evidence: xr.DataArray, prior: Sequence[float]) -> list[float]:
    weights = _pooled(log_evidence) + np.log(prior)
    return [float(weight) for weight in np.exp(weights - np.logaddexp.reduce(weights))]


def _mix(
    each: Sequence[Mapping[str, Any]], weights: Sequence[float], widest: Model, draws: int, rng: np.random.Generator
) -> dict[str, Any]:
    """Draws of all models in proportion to their weights, in no order, under the parameters of the widest."""
    edges = np.round(np.cumsum([0.0, *weights]) * draws).astype(int)
    end = next(iter(widest.reference.values()))
    absent = {"c": 0.0, "d": end[1] if isinstance(end, tuple) else end, "f": 1.0}
    rows: dict[str, list[Any]] = {name: [] for name in (*widest.parameters, "breaks")}
    for count, (few, many) in enumerate(pairwise(edges)):
        chosen = rng.choice(draws, size=many - few, replace=False)
        for name in widest.parameters:
            drawn = each[count].get(name)
            rows[name].append(np.full(len(chosen), absent[name[0]]) if drawn is None else drawn[chosen])
        rows["breaks"].append(np.full(len(chosen), count))
    order = rng.permutation(draws)
    return {name: np.concatenate(parts)[order] for name, parts in rows.items()}
