"""breaks() -> Breaks: how many breaks a learning curve has, and what it does next, whichever that is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.catalog import load_model
from forescale.belief.model import Model
from forescale.errors import ConvergenceError, DataError, ForescaleWarning, ModelError
from forescale.estimates.fit import Fit, fit
from forescale.estimates.weighed_breaks import LAWS, Breaks, count
from forescale.numbers import weighing
from forescale.sampling.bridge import log_evidence
from forescale.seeds import as_seed
from forescale.tables.columns import INPUTS
from forescale.tables.observations import Observations, as_observations

_SAME = 0.05  # of the log of a size: sizes no further apart are meant to be one
CARDS = ("unbroken_d", "steepening_d", "flattening_d")
# Tries at a model that counts: how many times the draws asked for, and what else `fit` is to be told.
_TRIES: tuple[tuple[int, dict[str, Any]], ...] = (
    (1, {"retry": False}),
    (1, {"retry": True}),
    (4, {"retry": True, "target_accept": 0.97}),
)


def breaks(
    runs: Observations | pd.DataFrame | str | Path,
    models: Sequence[str | Path | Model] = CARDS,
    *,
    size: str = "n_tokens",
    prior: Sequence[float] | None = None,
    draws: int = 1000,
    random_seed: int | np.random.Generator | None = None,
) -> Breaks:
    """Weigh a power law with a floor against the same with one break, to a steeper or to a flatter fall.

    For models M with prior probability p_M, ``P(M | runs) = p_M Z_M / sum_m p_m Z_m``, where Z_M is the evidence: the
    density of the runs' log losses under the card, its priors averaged over. What a break explains has to outweigh
    the prior's volume of breaks that explain nothing. Cards expect some floor: of a straight line, which has none, a
    slight steepening may undo it and be weighed up for that, so look at the change too, not at the probability alone.
    On 77 curves of other tables, one and two points ahead, 90 % bands of a new run held 77 % of the losses, less than
    half of error rates of tasks (benchmarks/README.md): they are too narrow where a curve may turn at once. Of six or
    seven points only the card without a break is left.

    Parameters
    ----------
    runs : Observations, DataFrame or path
        The points of one curve.
    models : sequence of str, path or Model
        Two or more cards of the laws ``unbroken``, ``broken`` and ``twice_broken``, the simplest first. Those with more
        parameters than there are runs are left out, which the result says. ``twice_broken_d`` may be added where there
        are 20 runs or more, for loss that falls, rises and falls again; of a curve that bends once the second break may
        be anywhere, so that its fit does not converge.
    size : str
        The column that the curve is drawn against: cards of tokens are put to it under this name.
    prior : sequence of float, optional
        Odds of each model beforehand; by default all are as likely as each other. Where a curve without a break was
        thought likelier, other curves were forecast a little worse (benchmarks/README.md).
    draws : int
        Draws of each of the four chains of each model, at least 200.
    random_seed : int, Generator or None
        Seed; recorded.

    Warns
    -----
    ForescaleWarning
        If parameters, tokens or compute go up and down along the size: these are runs of several curves.

    Returns
    -------
    Breaks
        Probabilities, places, and an estimate that `forecast` and other verbs take, averaged over the models.

    Raises
    ------
    DataError
        If the runs cannot support even the first model, or draws are too few.
    ModelError
        If the models are not of these laws in this order, or the prior is not one odd above zero for each.
    ConvergenceError
        If the fit of a model with a probability of 0.01 or more did not converge, at the third try either, or if a
        probability has a standard error above 0.05. It carries the result.

    References
    ----------
    Caballero et al. 2023 (arXiv:2210.14891), for the law; `forescale.sampling.bridge` for the evidence.

    Examples
    --------
    >>> import forescale as fs
    >>> curve = fs.load_dataset("google_nmt").where(family="Dec-only")
    >>> found = fs.breaks(curve, size="n_examples", random_seed=1)  # doctest: +SKIP
    >>> fs.forecast(found, n_examples="1B")  # doctest: +SKIP
    """
    observations, seed = as_observations(runs), as_seed(random_seed)
    cards = _in_order([_of_size(load_model(model), size) for model in models])
    chances = [1.0] * len(cards) if prior is None else list(prior)
    if len(chances) != len(cards) or not all(np.isfinite(odd) and odd > 0 for odd in chances):
        raise ModelError(f"prior is an odd above zero for each of {len(cards)} models, not {tuple(chances)}")
    if draws < 200:
        raise DataError(f"draws must be at least 200, since the evidence is made of them, not {draws}")
    cards[0].check(observations)
    _warn_of_several_curves(observations, size)
    fitted = [card for card in cards if len(card.parameters) <= len(observations)]
    few = [card.name for card in cards[len(fitted) :]]
    told = f"({', '.join(few)}: left out, having more parameters than there are runs)" if few else ""
    odds = tuple(float(odd) / sum(chances[: len(fitted)]) for odd in chances[: len(fitted)])
    found = _weighed(observations, fitted, odds, draws, seed, told)
    if failures := found.diagnostics.failures:
        raise ConvergenceError(
            f"models of {observations.name} cannot be weighed: {'; '.join(failures)}. Try more draws (draws=), more "
            "runs, or fewer models; the error's .fit holds the result for inspection",
            found,
        )
    return found


def _warn_of_several_curves(runs: Observations, size: str) -> None:
    """Warn where something besides the size goes up and down along it, as in a table of many sizes and tokens."""
    order = np.argsort(runs.column(size), kind="stable")
    for other in (name for name in INPUTS if name in runs.columns and name != size):
        steps = np.diff(np.log(runs.column(other)[order]))
        if (steps > _SAME).any() and (steps < -_SAME).any():
            warnings.warn(
                f"along {size} the {other} of {runs.name} goes up and down: these are runs of several curves, and "
                f"breaks is asked of one; choose its runs by where({other}=...)",
                ForescaleWarning,
                stacklevel=3,
            )
            return


def _weighed(
    observations: Observations, cards: list[Model], odds: tuple[float, ...], draws: int, seed: int, told: str
) -> Breaks:
    """Each model fitted, again with more care while it counts and did not converge, and all of them weighed."""
    fits = [_fitted(observations, card, draws, seed, _TRIES[0]) for card in cards]
    tried = [1] * len(fits)
    found = _evidence(observations, fits, seed)
    while again := weighing.again(found, odds, [fit.diagnostics.passed for fit in fits], tried, len(_TRIES)):
        for i in again:
            fits[i] = _fitted(observations, cards[i], draws, seed, _TRIES[tried[i]])
            tried[i] += 1
        found = _evidence(observations, fits, seed)
    models, rng = tuple(fit.model for fit in fits), np.random.default_rng(seed)
    evidence = xr.DataArray(found, dims=("chain", "model"), coords={"model": [model.name for model in models]})
    widest = max(models, key=count)
    ends = next(iter(widest.reference.values()))
    where = {"c": 0.0, "d": ends[1] if isinstance(ends, tuple) else ends, "f": 1.0}  # of breaks that a model has not
    absent = {name: where.get(name[0], np.nan) for name in widest.parameters}
    weights = weighing.probabilities(evidence.to_numpy(), odds)
    chains = [
        weighing.mixed([_chain(fit, chain) for fit in fits], weights, absent, draws, rng)
        for chain in range(len(evidence))
    ]
    posterior = xr.Dataset({name: (("chain", "draw"), [chain[name] for chain in chains]) for name in absent})
    posterior["model"] = (("chain", "draw"), np.stack([chain["model"] for chain in chains]))
    posterior["breaks"] = (("chain", "draw"), np.array([count(model) for model in models])[posterior["model"]])
    failures = tuple("; ".join(fit.diagnostics.failures) for fit in fits)
    return Breaks(observations.name, observations, models, odds, evidence, failures, posterior, seed, told)


def _evidence(observations: Observations, fits: Sequence[Fit], seed: int) -> Any:
    """Log evidence by chain and model."""
    rng = np.random.default_rng(seed)
    each = [log_evidence(fit.model, fit.model.data(observations), fit.posterior, rng) for fit in fits]
    return np.stack(each, axis=1)


def _fitted(observations: Observations, card: Model, draws: int, seed: int, how: tuple[int, dict[str, Any]]) -> Fit:
    """A fit, converged or not: one that did not matters only where its model is likely."""
    times, further = how
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ForescaleWarning)  # that a model does not fit, its evidence says
        try:
            return fit(observations, card, draws=times * draws, random_seed=seed, progress=False, **further)
        except ConvergenceError as error:
            if isinstance(error.fit, Fit):
                return error.fit
            raise


def _chain(fit: Fit, chain: int) -> dict[str, Any]:
    """Draws of one chain by name."""
    return {str(name): values.isel(chain=chain).to_numpy() for name, values in fit.posterior.items()}


def _in_order(cards: list[Model]) -> list[Model]:
    """The models, if they can be weighed against each other."""
    names = [card.law.name for card in cards]
    if len(cards) < 2 or not set(names) <= set(LAWS) or names != sorted(names, key=LAWS.index):
        raise ModelError(
            f"breaks weighs two or more models of the laws {', '.join(LAWS)}, the simplest first; given were "
            f"{', '.join(names) or 'none'}"
        )
    return cards


def _of_size(model: Model, size: str) -> Model:
    """The model under the name of a column; of one that has it, as it is."""
    return model if size in model.law.inputs else model.renamed({model.law.inputs[0]: size})
