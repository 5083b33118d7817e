"""emergence() -> Emergence: whether a sharp rise of exact match is of the metric, or calls for a break."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forescale.accuracy.break_model import EDGE, KINDS, Candidate
from forescale.accuracy.link_fit import task_data
from forescale.accuracy.weighed_links import Emergence
from forescale.belief.catalog import load_link
from forescale.belief.link_model import LinkModel
from forescale.errors import ConvergenceError, DataError, ModelError
from forescale.numbers import weighing
from forescale.seeds import as_seed
from forescale.tables.outcomes import Outcomes, as_outcomes

#: The links that a token may be on.
LINKS = ("sigmoid", "exponential")
# Tries at a candidate that counts: how many times the draws asked for, and moves of the sampler at each power.
_TRIES = ((1, 9), (1, 36), (4, 36))


def emergence(
    outcomes: Outcomes | pd.DataFrame | str | Path,
    answer_tokens: int,
    links: Sequence[str | Path | LinkModel] = LINKS,
    *,
    draws: int = 1000,
    random_seed: int | np.random.Generator | None = None,
) -> Emergence:
    """Compare smooth links of tokens, to the power of an answer's tokens, with links whose slope jumps.

    Smooth: ``p(L) = floor + (ceiling - floor) share(L)^k``, k the tokens of an answer. With a break: the same, in which
    loss below b counts e^j times that above, so that the slope of the link of a token jumps by that factor at b. It
    gets steeper (j > 0) or flatter (j < 0): the size of j is half-normal (a factor of up to 12 in 90 %), b uniform over
    the losses of the runs but the three highest and lowest, and middle and span are of the side of b on which the mean
    loss of what is right lies. Each link may be smooth (probability 1/2), get steeper (1/4) or get flatter (1/4), and
    all links are as likely, so that a break is not called for by one link's being the wrong one. With Z the evidence,
    the probability of the hits averaged over the priors,
    ``P(steeper | hits) = sum_link Z_steeper / 4 / sum_link (Z_smooth / 2 + Z_steeper / 4 + Z_flatter / 4)``.

    Parameters
    ----------
    outcomes : Outcomes, DataFrame or path
        Loss and exact-match accuracy of runs, of one task.
    answer_tokens : int
        How many tokens an answer has, all of which must be right.
    links : sequence of str, path or LinkModel
        The links that a token may be on; each with priors of a token's middle and span, and of the answers' ceiling.
    draws : int
        Draws of each of four runs of the sampler, which goes from prior to posterior (`forescale.sampling.tempered`),
        at least 200. Where runs disagree they are made again with four times the moves, and then the draws.
    random_seed : int, Generator or None
        Seed.

    Returns
    -------
    Emergence
        Posterior probability of a break, and where tokens and answers rise; in words by ``.sentence()``.

    Raises
    ------
    DataError
        If there are several tasks, fewer than 10 runs, or too few draws.
    ModelError
        If there is no such link, none is given or one twice, or answer_tokens is no whole number.
    ConvergenceError
        If runs of the sampler disagree (R-hat, effective sample size), at the third try either, on a candidate with a
        probability of 0.01 or more, or if a probability has a standard error above 0.05. It carries the result.

    References
    ----------
    Schaeffer, Miranda and Koyejo 2023, arXiv:2304.15004, section 2, for exact match as a power; Meng and
    Wong 1996, for the evidence (`forescale.sampling.bridge`).

    Examples
    --------
    >>> import forescale as fs
    >>> fs.emergence(fs.Outcomes.read("exact_match.csv"), answer_tokens=5, random_seed=1)  # doctest: +SKIP
    """
    table = as_outcomes(outcomes)
    models = [replace(load_link(link), answer_tokens=answer_tokens) for link in links]
    if not models or len({model.name for model in models}) < len(models):
        raise ModelError(f"links are one or more, none twice; given were {[model.name for model in models] or 'none'}")
    if len(table.tasks) != 1:
        raise DataError(
            f"emergence is asked of one task at a time; {table.name!r} has {len(table.tasks)}: "
            f"{', '.join(table.tasks[:5])}. Choose one with where(task=...)"
        )
    if len(table) < 4 * EDGE - 2:
        raise DataError(f"a break can be told from a bend by 10 runs or more; {table.name!r} has {len(table)}")
    if draws < 200:
        raise DataError(f"draws must be at least 200, since the evidence is made of them, not {draws}")
    (task,) = table.tasks
    data, seed = task_data(table)[task], as_seed(random_seed)
    candidates = tuple(Candidate(model, kind, data) for model in models for kind in KINDS)
    found = _weighed(table.name, task, candidates, draws, seed)
    if doubts := found.doubts:
        raise ConvergenceError(
            f"links of {task!r} in {table.name} cannot be weighed: {'; '.join(doubts)}. Try more draws "
            f"(draws={4 * draws}); the error's .fit holds the result for inspection",
            found,
        )
    return found


def _weighed(name: str, task: str, candidates: tuple[Candidate, ...], draws: int, seed: int) -> Emergence:
    """Each candidate sampled, again with more care while it counts and its runs disagree, and all of them weighed."""

    def sampled(i: int) -> tuple[xr.Dataset, NDArray[np.float64], str]:
        times, moves = _TRIES[tried[i]]
        return candidates[i].sample(times * draws, moves, [seed, i, tried[i]])

    names, tried = [each.name for each in candidates], [0] * len(candidates)
    made = [sampled(i) for i in range(len(candidates))]
    while True:
        posteriors, evidence, failures = zip(*made, strict=True)
        log_evidence = xr.DataArray(np.stack(evidence, axis=1), dims=("chain", "model"), coords={"model": names})
        found = Emergence(name, task, candidates, posteriors, log_evidence, failures, seed)
        passed, last = [not failed for failed in failures], len(_TRIES) - 1
        again = weighing.again(log_evidence.to_numpy(), found.prior, passed, tried, last)
        if not again:
            return found
        for i in again:
            tried[i] += 1
            made[i] = sampled(i)
