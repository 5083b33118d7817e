"""Models weighed by evidence that several chains estimate, and how sure that is.

How far chains differ is the error of what they say: of the evidence, and of the probabilities made of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PROBABILITY_SE_MAX = 0.05


def pooled(log_evidence: Array) -> Array:
    """Log of the mean evidence over chains, shape (model,), of log evidence of shape (chain, model)."""
    mean: Array = np.logaddexp.reduce(log_evidence, axis=0) - np.log(len(log_evidence))
    return mean


def probabilities(log_evidence: Array, prior: Sequence[float]) -> Array:
    """Posterior probability of each model, of log evidence of shape (chain, model) and prior odds."""
    weights = pooled(log_evidence) + np.log(prior)
    found: Array = np.exp(weights - np.logaddexp.reduce(weights))
    return found


def probabilities_se(log_evidence: Array, prior: Sequence[float]) -> Array:
    """Standard errors of ``probabilities`` over chains, by the jackknife."""
    chains = len(log_evidence)
    without = np.stack([probabilities(np.delete(log_evidence, chain, axis=0), prior) for chain in range(chains)])
    error: Array = np.sqrt((chains - 1) / chains * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    return error


def mixed(
    each: Sequence[Mapping[str, Array]],
    weights: Sequence[float] | Array,
    absent: Mapping[str, float],
    draws: int,
    rng: np.random.Generator,
) -> dict[str, Array]:
    """Draws of all models in proportion to their weights, in no order.

    Parameters
    ----------
    each : sequence of mapping of str to array, shape (draw,)
        Draws of each model, at least as many as are wanted in all.
    weights : sequence of float
        Probability of each.
    absent : mapping of str to float
        What is returned, by name, and the value of it in a model that has it not.
    draws : int
        How many in all.
    rng : Generator
        Randomness.

    Returns
    -------
    dict of str to array, shape (draw,)
        The names of ``absent``, and ``model``, the index of the one that a draw is of.
    """
    edges = np.round(np.cumsum([0.0, *weights]) * draws).astype(int)
    rows: dict[str, list[Any]] = {name: [] for name in (*absent, "model")}
    for index, (few, many) in enumerate(pairwise(edges)):
        known = len(next(iter(each[index].values())))
        chosen = rng.choice(known, size=many - few, replace=False)
        for name, value in absent.items():
            drawn = each[index].get(name)
            rows[name].append(np.full(len(chosen), value) if drawn is None else drawn[chosen])
        rows["model"].append(np.full(len(chosen), index))
    order = rng.permutation(draws)
    return {name: np.concatenate(parts)[order] for name, parts in rows.items()}
