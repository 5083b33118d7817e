"""Models weighed by evidence that several chains estimate, and how sure that is.

How far chains differ is the error of what they say: of the evidence, and of the probabilities made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

PROBABILITY_SE_MAX = 0.05
COUNTS = 0.01  # probability from which on it matters whether draws of a model converged


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
    return jackknife(log_evidence, lambda some: probabilities(some, prior))


def jackknife(log_evidence: Array, what: Callable[[Array], Any]) -> Array:
    """Standard error of what is made of log evidence of shape (chain, model), by leaving chains out."""
    chains = len(log_evidence)
    without = np.stack([what(np.delete(log_evidence, chain, axis=0)) for chain in range(chains)])
    error: Array = np.sqrt((chains - 1) / chains * ((without - without.mean(axis=0)) ** 2).sum(axis=0))
    return error


def columns(log_evidence: Array, prior: Sequence[float]) -> dict[str, Array]:
    """What tables say of each model: evidence and probability, each with its standard error over chains."""
    return {
        "log_evidence": pooled(log_evidence),
        "log_evidence_se": log_evidence.std(axis=0, ddof=1) / np.sqrt(len(log_evidence)),
        "probability": probabilities(log_evidence, prior),
        "probability_se": probabilities_se(log_evidence, prior),
    }


def doubts(names: Sequence[str], log_evidence: Array, prior: Sequence[float], failures: Sequence[str]) -> list[str]:
    """Why models cannot be weighed: their probability is not known well enough, or one that counts did not converge."""
    told, errors = [], probabilities_se(log_evidence, prior)
    for name, probability, error, failed in zip(
        names, probabilities(log_evidence, prior), errors, failures, strict=True
    ):
        if not error <= PROBABILITY_SE_MAX:
            told.append(f"probability of {name} {probability:.2f} +- {error:.2f}")
        if probability >= COUNTS and failed:
            told.append(f"{name}, of probability {probability:.2f}, did not converge: {failed}")
    return told


def again(
    log_evidence: Array, prior: Sequence[float], passed: Sequence[bool], tried: Sequence[int], most: int
) -> list[int]:
    """Which models count by the evidence, did not converge, and have a try left: new draws may make another count."""
    return [
        i
        for i, weight in enumerate(probabilities(log_evidence, prior))
        if weight >= COUNTS and not passed[i] and tried[i] < most
    ]


def chosen(
    weights: Sequence[float] | Array, known: Sequence[int], draws: int, rng: np.random.Generator
) -> list[NDArray[np.intp]]:
    """Which of the draws known of each model make ``draws`` in proportion to the weights, none twice."""
    edges = np.round(np.cumsum([0.0, *weights]) * draws).astype(int)
    return [
        rng.choice(of, size=many - few, replace=False) for of, (few, many) in zip(known, pairwise(edges), strict=True)
    ]


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
    rows: dict[str, list[Any]] = {name: [] for name in (*absent, "model")}
    known = [len(next(iter(of.values()))) for of in each]
    for index, some in enumerate(chosen(weights, known, draws, rng)):
        for name, value in absent.items():
            drawn = each[index].get(name)
            rows[name].append(np.full(len(some), value) if drawn is None else drawn[some])
        rows["model"].append(np.full(len(some), index))
    order = rng.permutation(draws)
    return {name: np.concatenate(parts)[order] for name, parts in rows.items()}
