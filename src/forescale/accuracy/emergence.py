"""emergence() -> Emergence: whether a sharp rise of exact match is of the metric, or calls for a break."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forescale.accuracy.break_model import JUMP, bent
from forescale.accuracy.link_fit import task_data
from forescale.belief.catalog import load_link
from forescale.belief.link_model import LinkModel, loss_of_hits
from forescale.belief.priors import Prior
from forescale.errors import ConvergenceError, DataError
from forescale.estimates.draws import INTERVAL_KIND, band, interval_rows
from forescale.sampling.tempered import temper_priors
from forescale.seeds import as_seed
from forescale.tables.outcomes import Outcomes, as_outcomes

Array = NDArray[np.float64]
Data = Mapping[str, Any]

#: Share of the way at which a rise is said to begin.
ONSET = 0.05
#: Probability, beforehand, of a break with a steeper slope below it: an even chance of a break, and then of either way.
BEFOREHAND = 0.25
#: Posterior probability from which a sentence calls for a break.
SURE = 0.95
MODELS = ("smooth", "broken")
_EDGE = 3  # runs on either side of a break, without which it could not be told from an end
_RUNS = 4  # of the sampler, each of which is a chain of the posterior
_AGAIN = 4  # times as many draws where the first did not agree
_R_HAT, _SE = 1.1, 0.05  # of draws, and of the probability; above which runs of the sampler disagree


@dataclass(frozen=True, eq=False)
class Emergence:
    """A smooth link of tokens, and one with a break, for answers of several tokens that must all be right.

    Attributes
    ----------
    name, task : str
        The table and its task.
    model : LinkModel
        The smooth link, with the number of tokens of an answer.
    data : mapping of str to array, shape (run,)
        Loss, chance, items and hits of the runs.
    smooth, broken : xarray.Dataset
        Draws, dims ("chain", "draw"); a chain is a run of the sampler. ``broken`` has break_at, the loss below which a
        nat counts ``exp(jump)`` times, and jump; middle and span are of the side where most items are right.
    log_evidence : xarray.DataArray
        Log probability of the hits under each, dims ("chain", "model").
    seed : int
        Gives the same draws again.

    Notes
    -----
    Both have the same priors, and a break an even chance beforehand. The probability says how much better a break
    explains the runs, given these priors and this link, and not what a break would be in a model. Where runs cannot
    tell, it stays near .25.
    """

    name: str
    task: str
    model: LinkModel
    data: Data = field(repr=False)
    smooth: xr.Dataset = field(repr=False)
    broken: xr.Dataset = field(repr=False)
    log_evidence: xr.DataArray = field(repr=False)
    seed: int

    @property
    def runs(self) -> pd.DataFrame:
        """A row per run: loss, and accuracy."""
        return pd.DataFrame({"loss": self.data["loss"], "accuracy": self.data["hits"] / self.data["items"]})

    @property
    def probability(self) -> float:
        """Posterior probability that the link is steeper below a break: of a break, times that of jump above zero."""
        pooled = np.logaddexp.reduce(self.log_evidence.to_numpy(), axis=0)
        return float(_of_break(pooled) * (self.broken["jump"] > 0).mean())

    @property
    def probability_se(self) -> float:
        """Monte Carlo standard error of ``probability``, by how far runs of the sampler differ."""
        each = _of_break(self.log_evidence.to_numpy().T) * (self.broken["jump"] > 0).mean("draw").to_numpy()
        return float(each.std(ddof=1) / np.sqrt(each.size))

    @property
    def disagreement(self) -> str:
        """In what runs of the sampler disagree, in words; "" where they do not."""
        import arviz_stats

        se = self.probability_se
        told = [f"the probability has a standard error of {se:.2f}, above {_SE}"] * (not se <= _SE)
        for kind, draws in zip(MODELS, (self.smooth, self.broken), strict=True):
            worst = {str(name): float(r_hat) for name, r_hat in arviz_stats.rhat(draws).items()}
            bad = [f"{name} {r_hat:.2f}" for name, r_hat in worst.items() if not r_hat <= _R_HAT]
            told += [f"R-hat above {_R_HAT} of the {kind} link: {', '.join(bad)}"] if bad else []
        return "; ".join(told)

    @property
    def draws(self) -> xr.Dataset:
        """What tables tell of, dims ("chain", "draw").

        By the smooth link: ``token_onset``, ``answer_onset``, the losses at which tokens and answers are 5 % of their
        ways up; ``token_span``, ``answer_span``, nats from 10 to 90 % of them. By the other: ``break_at``, nats, and
        ``steeper``, the factor of the slope below it.
        """
        values, broken = self.smooth, self.broken
        found = {}
        for what, link in (("token", self.model.link), ("answer", self.model.curve)):
            at = {share: link.inverse(share, values["middle"], values["span"]) for share in (ONSET, 0.1, 0.9)}
            found[f"{what}_onset"] = at[ONSET]
            found[f"{what}_span"] = at[0.1] - at[0.9]
        found = dict(sorted(found.items(), key=lambda item: item[0].partition("_")[2]))
        return xr.Dataset({**found, "break_at": broken["break_at"], "steeper": np.exp(broken["jump"])})

    def curves(self, loss: Any) -> xr.Dataset:
        """Draws of accuracy at losses: ``token``, ``answer`` by the smooth link, ``broken`` by the other.

        Dims ("chain", "draw", "point"). What a token gets right is a share of what can be: its ceiling is 1.
        """
        at = xr.DataArray(np.atleast_1d(np.asarray(loss, dtype=float)), dims="point")
        smooth, other, chance = self.smooth, self.broken, float(self.data["chance"][0])
        below = bent(at, other["break_at"], other["jump"], loss_of_hits(self.data))
        found = {
            "token": self.model.link.share(at, smooth["middle"], smooth["span"]),
            "answer": self.model.curve(at, smooth, chance),
            "broken": self.model.curve(below, other, chance),
        }
        return xr.Dataset({name: values.transpose("chain", "draw", "point") for name, values in found.items()})

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of where and how fast tokens and answers rise, and of the break.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per quantity of `draws`: quantity, median, lower, upper, prob, interval, and probability, that of a
            break with a steeper slope below it, with its Monte Carlo standard error, probability_se.
        """
        rows = pd.concat([interval_rows(values, prob) for values in self.draws.values()], ignore_index=True)
        rows.insert(0, "quantity", list(self.draws))
        return rows.assign(probability=self.probability, probability_se=self.probability_se)

    def sentence(self) -> str:
        """Say what the runs call for."""
        here, sure, tokens = self.draws, self.probability, self.model.answer_tokens
        rise = f"a smooth rise of tokens, of which all {tokens} must be right," if tokens > 1 else "a smooth rise"
        share = f"{sure:.3f} ± {self.probability_se:.3f}" if sure < 0.9995 else "above 0.999"
        told = f"probability {share}, {BEFOREHAND} beforehand"
        if sure >= SURE:
            return (
                f"{self.task} calls for a break: a link that is {band(here['steeper'], '{:.1f}'.format)} times steeper "
                f"below loss {band(here['break_at'], '{:.2f}'.format)} ({told})."
            )
        if sure <= BEFOREHAND:
            return f"{self.task} calls for no break: {rise} will do (a break has {told})."
        return f"{self.task} leaves it open: a break has {told}, and its rival is {rise.rstrip(',')}."

    def __repr__(self) -> str:
        onsets = [
            f"{what} leave the floor (5 % of the way) at loss {band(self.draws[f'{name}_onset'], '{:.2f}'.format)} and "
            f"take {band(self.draws[f'{name}_span'], '{:.2f}'.format)} nats from 10 to 90 %"
            for what, name in (("tokens", "token"), ("answers", "answer"))
        ]
        told = [self.sentence(), f"By the smooth link {'; '.join(onsets)}."]
        tokens = self.model.answer_tokens
        heading = f"Emergence of {self.task} in {self.name}: {len(self.runs)} runs, answers of {tokens} tokens"
        ends = f"(median [90 % {INTERVAL_KIND}] of curves; ± is the Monte Carlo standard error)"
        filled = (textwrap.fill(part, 100, initial_indent="  ", subsequent_indent="  ") for part in (*told, ends))
        return "\n".join([heading, *filled])


def emergence(
    outcomes: Outcomes | pd.DataFrame | str | Path,
    answer_tokens: int,
    link: str | Path | LinkModel = "sigmoid",
    *,
    draws: int = 1000,
    random_seed: int | np.random.Generator | None = None,
) -> Emergence:
    """Compare a smooth link of tokens, to the power of an answer's tokens, with one that has a break.

    Smooth: ``p(L) = floor + (ceiling - floor) share(L)^k``, k the tokens of an answer. With a break: the same, in which
    loss below b counts e^j times that above, so that the slope of the link of a token jumps by that factor at b; j is
    normal about zero (1/12 to 12 times in 90 %), b uniform over the losses of the runs but the three highest and
    lowest, and middle and span are of the side of b on which the mean loss of what is right lies. With Z the evidence
    of each, the probability of the hits averaged over the priors,
    ``P(steeper | hits) = Z_broken / (Z_broken + Z_smooth) P(j > 0 | hits, broken)``.

    Parameters
    ----------
    outcomes : Outcomes, DataFrame or path
        Loss and exact-match accuracy of runs, of one task.
    answer_tokens : int
        How many tokens an answer has, all of which must be right.
    link : str, path or LinkModel
        The smooth link of a token; priors of a token's middle and span, and of the answers' ceiling.
    draws : int
        Draws of each of four runs of the sampler, which goes from prior to posterior
        (`forescale.sampling.tempered`), at least 200. Four times as many are drawn where the runs disagree.
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
        If there is no such link, or answer_tokens is no whole number.
    ConvergenceError
        If runs of the sampler disagree twice; it says in what, and carries the result.

    References
    ----------
    Schaeffer, Miranda and Koyejo 2023, arXiv:2304.15004, section 2, for exact match as a power; Del Moral, Doucet and
    Jasra 2006, doi:10.1111/j.1467-9868.2006.00553.x, for the evidence.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.emergence(fs.Outcomes.read("exact_match.csv"), answer_tokens=5, random_seed=1)  # doctest: +SKIP
    """
    table = as_outcomes(outcomes)
    model = replace(load_link(link), answer_tokens=answer_tokens)
    if len(table.tasks) != 1:
        raise DataError(
            f"emergence is asked of one task at a time; {table.name!r} has {len(table.tasks)}: "
            f"{', '.join(table.tasks[:5])}. Choose one with where(task=...)"
        )
    if len(table) < 4 * _EDGE - 2:
        raise DataError(f"a break can be told from a bend by 10 runs or more; {table.name!r} has {len(table)}")
    if draws < 200:
        raise DataError(f"draws must be at least 200, since the evidence is made of them, not {draws}")
    (task,) = table.tasks
    data, seed = task_data(table)[task], as_seed(random_seed)
    for many in (draws, _AGAIN * draws):
        found = Emergence(table.name, task, model, data, *_weighed(model, data, many, seed), seed)
        if not found.disagreement:
            return found
    raise ConvergenceError(
        f"runs of the sampler disagree on the emergence of {task!r} in {table.name}: {found.disagreement}. Try more "
        f"draws (draws={4 * many}); the error's .fit holds the result for inspection",
        found,
    )


def _weighed(model: LinkModel, data: Data, draws: int, seed: int) -> tuple[xr.Dataset, xr.Dataset, xr.DataArray]:
    """Draws of the smooth link and of that with a break, and the log evidence of both."""
    ordered = np.sort(data["loss"])
    anchor, place = loss_of_hits(data), Prior("uniform", lower=float(ordered[_EDGE]), upper=float(ordered[-1 - _EDGE]))
    further = {"smooth": {}, "broken": {"break_at": place, "jump": JUMP}}

    def log_likelihood(free: Mapping[str, Array]) -> Array:
        values = {name: value[:, None] for name, value in free.items()}
        loss = bent(data["loss"], values["break_at"], values["jump"], anchor) if "jump" in values else data["loss"]
        return np.asarray(model.log_density(values, {**data, "loss": loss}).sum(axis=-1))

    found, log_evidence = [], []
    for i, kind in enumerate(MODELS):
        priors = {**model.priors, **further[kind]}
        runs = [
            temper_priors(priors, log_likelihood, draws, np.random.default_rng([seed, draws, i, run]))
            for run in range(_RUNS)
        ]
        found.append(xr.Dataset({name: (("chain", "draw"), [run.free[name] for run in runs]) for name in priors}))
        log_evidence.append([run.log_evidence for run in runs])
    by_model = xr.DataArray(np.transpose(log_evidence), dims=("chain", "model"), coords={"model": list(MODELS)})
    return found[0], found[1], by_model


def _of_break(log_evidence: Array) -> Any:
    """Probability of the second of two models, an even chance beforehand."""
    return 1 / (1 + np.exp(np.minimum(log_evidence[0] - log_evidence[1], 700.0)))
