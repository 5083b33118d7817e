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

from forescale.accuracy.break_model import Bent, bent, break_probability
from forescale.accuracy.link_fit import ACCEPT, task_data
from forescale.belief.catalog import load_link
from forescale.belief.link_model import SCATTER, LinkModel
from forescale.errors import DataError
from forescale.estimates.draws import INTERVAL_KIND, band, interval_rows
from forescale.laws.links import PARAMETERS
from forescale.sampling.joint import Joint, sample_joint
from forescale.sampling.nuts import Settings
from forescale.seeds import as_seed
from forescale.tables.outcomes import Outcomes, as_outcomes

Array = NDArray[np.float64]
Data = Mapping[str, Any]

#: Share of the way at which a rise is said to begin.
ONSET = 0.05
_EDGE = 3  # runs on either side of a break, without which it could not be told from an end
_SURE = 0.95  # posterior probability from which a sentence calls for a break
_TRUSTED = 0.7  # Pareto k above which a run is left out by fitting again


@dataclass(frozen=True, eq=False)
class Emergence:
    """A smooth link of tokens, and one with a break, for answers of several tokens that must all be right.

    Attributes
    ----------
    name, task : str
        The table and its task.
    model : LinkModel
        The smooth link, with the number of tokens of an answer.
    runs : pandas.DataFrame
        A row per run: loss, accuracy, and for both models elpd, the log probability of its hits given the other runs,
        and pareto_k; refitted, whether a model was fitted again without the run since k was too high.
    smooth, broken : Joint
        The posteriors. ``broken`` has break_at, the loss below which loss counts ``exp(jump)`` times, and jump.
    data : mapping
        Loss, chance, items and hits of the runs.

    Notes
    -----
    Both are fitted with the same priors, and a break has an even chance beforehand. Its posterior probability is by the
    ratio of Savage and Dickey, exact for nested models but for the estimate of a density at zero: it says how much
    better the runs are explained, given the priors, and not what a break would be in a model.
    """

    name: str
    task: str
    model: LinkModel
    runs: pd.DataFrame = field(repr=False)
    smooth: Joint = field(repr=False)
    broken: Joint = field(repr=False)
    data: Data = field(repr=False)

    @property
    def probability(self) -> float:
        """Posterior probability that the link is steeper below a break: of a break, times that of jump above zero."""
        jump = self.broken.posterior["jump"].to_numpy().ravel()
        return break_probability(jump) * float(np.mean(jump > 0))

    @property
    def elpd_difference(self) -> tuple[float, float]:
        """How far the elpd of the link with a break is above that of the smooth one, in nats, and its error."""
        difference = (self.runs["elpd_broken"] - self.runs["elpd_smooth"]).to_numpy()
        return float(difference.sum()), float(np.sqrt(difference.size) * difference.std(ddof=1))

    @property
    def draws(self) -> xr.Dataset:
        """What tables tell of, dims ("chain", "draw").

        By the smooth link: ``token_onset``, ``answer_onset``, the losses at which tokens and answers are 5 % of their
        ways up; ``token_span``, ``answer_span``, nats from 10 to 90 % of them. By the other: ``break_at``, nats, and
        ``steeper``, the factor of the slope below it.
        """
        values, broken = self.smooth.posterior, self.broken.posterior
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
        smooth, other, chance = self.smooth.posterior, self.broken.posterior, float(self.data["chance"][0])
        below = bent(at, other["break_at"], other["jump"])
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
            break with a steeper slope below it.
        """
        rows = pd.concat([interval_rows(values, prob) for values in self.draws.values()], ignore_index=True)
        rows.insert(0, "quantity", list(self.draws))
        return rows.assign(probability=self.probability)

    def sentence(self) -> str:
        """Say what the runs call for."""
        here, sure = self.draws, self.probability
        above, se = self.elpd_difference
        score = f"elpd {above:+.1f} ± {se:.1f} nats for a break"
        if sure >= _SURE:
            return (
                f"{self.task} calls for a break: a link that is {band(here['steeper'], '{:.1f}'.format)} times steeper "
                f"below loss {band(here['break_at'], '{:.2f}'.format)}, with probability {sure:.3f} ({score})."
            )
        tokens = self.model.answer_tokens
        rise = f"a smooth rise of tokens, of which all {tokens} must be right," if tokens > 1 else "a smooth rise"
        if sure <= 0.5:
            return f"{self.task} calls for no break: {rise} will do (probability of a break {sure:.2f}; {score})."
        return f"{self.task} leaves it open: a break has probability {sure:.2f}, and its rival is {rise} ({score})."

    def __repr__(self) -> str:
        onsets = [
            f"{what} leave the floor (5 % of the way) at loss {band(self.draws[f'{name}_onset'], '{:.2f}'.format)} and "
            f"take {band(self.draws[f'{name}_span'], '{:.2f}'.format)} nats from 10 to 90 %"
            for what, name in (("tokens", "token"), ("answers", "answer"))
        ]
        told = [self.sentence(), f"By the smooth link {'; '.join(onsets)}."]
        tokens = self.model.answer_tokens
        heading = f"Emergence of {self.task} in {self.name}: {len(self.runs)} runs, answers of {tokens} tokens"
        ends = f"(median [90 % {INTERVAL_KIND}] of curves)"
        return "\n".join(
            [
                heading,
                *(textwrap.fill(part, 100, initial_indent="  ", subsequent_indent="  ") for part in (*told, ends)),
            ]
        )


def emergence(
    outcomes: Outcomes | pd.DataFrame | str | Path,
    answer_tokens: int,
    link: str | Path | LinkModel = "sigmoid",
    *,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    refits: int = 10,
    random_seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> Emergence:
    """Compare a smooth link of tokens, to the power of an answer's tokens, with one that has a break.

    Smooth: ``p(L) = floor + (ceiling - floor) share(L)^k``, k the tokens of an answer. With a break: the same, in which
    loss below b counts e^j times, so that the slope of the link of a token jumps by that factor at b; j is normal about
    zero (1/12 to 12 times in 90 %), b uniform over the losses of the runs but the three highest and lowest.

    Parameters
    ----------
    outcomes : Outcomes, DataFrame or path
        Loss and exact-match accuracy of runs, of one task.
    answer_tokens : int
        How many tokens an answer has, all of which must be right.
    link : str, path or LinkModel
        The smooth link of a token; priors of a token's middle and span, and of the answers' ceiling.
    draws, tune, chains : int
        Draws kept and tuning steps of each chain, number of chains, for each of both models.
    refits : int
        How many runs may be left out by fitting again, for each of both models, where importance sampling cannot tell.
    random_seed : int, Generator or None
        Seed.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal or a notebook.

    Returns
    -------
    Emergence
        Posterior probability of a break, elpd of both, where tokens and answers rise; in words by ``.sentence()``.

    Raises
    ------
    DataError
        If there are several tasks, fewer than 10 runs, or more runs to leave out than ``refits``.
    ModelError
        If there is no such link, or answer_tokens is no whole number.
    ConvergenceError
        If a posterior does not converge. Where the runs do not say where a break would be, its place has several modes,
        and a thousand draws of each chain may be too few.

    References
    ----------
    Schaeffer, Miranda and Koyejo 2023, arXiv:2304.15004, section 2, for exact match as a power; Dickey 1971,
    doi:10.1214/aoms/1177693507; Vehtari, Gelman and Gabry 2017, arXiv:1507.04544.

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
    (task,) = table.tasks
    data = task_data(table)[task]
    ordered = np.sort(data["loss"])
    data |= {
        "break_lowest": ordered[_EDGE],
        "break_highest": ordered[-1 - _EDGE],
        "answer_tokens": float(answer_tokens),
    }
    settings, seed = Settings(draws, tune, chains, ACCEPT), as_seed(random_seed)
    build = Bent(replace(model, answer_tokens=1).to_toml())
    joints, columns = {}, {"loss": data["loss"], "accuracy": data["hits"] / data["items"]}
    for kind, has_break in (("smooth", 0.0), ("broken", 1.0)):

        def fitted(seen: Data, kind: str = kind, has_break: float = has_break) -> Joint:
            what = f"the {kind} link of task {task!r} in {table.name}"
            given = {**seen, "has_break": has_break}
            return sample_joint(what, "emergence", build, given, settings, seed, progress=progress)

        joints[kind] = fitted(data)
        found = _left_out(joints[kind], model, data, fitted, refits, kind)
        columns |= {f"{name}_{kind}": values for name, values in found.items()}
    return Emergence(table.name, task, model, pd.DataFrame(columns), joints["smooth"], joints["broken"], data)


def _log_density(posterior: xr.Dataset, model: LinkModel, data: Data, has_break: bool) -> Array:
    """Log probability of each run's hits in each draw, shape (chain, draw, run)."""
    names = (*PARAMETERS, SCATTER, "break_at", "jump")
    values = {name: posterior[name].to_numpy()[..., None] for name in names}
    loss = bent(data["loss"], values["break_at"], values["jump"]) if has_break else data["loss"]
    return model.log_density(values, {**data, "loss": loss})


def _left_out(
    joint: Joint, model: LinkModel, data: Data, fitted: Any, refits: int, kind: str
) -> dict[str, NDArray[Any]]:
    """Log probability of each run given the others: by importance sampling, and by fitting again where that fails.

    A run of no items says nothing, so that a table without it keeps its shape and nothing is compiled again.
    """
    density: Any = xr.DataArray(
        _log_density(joint.posterior, model, data, kind == "broken"), dims=("chain", "draw", "run")
    )
    elpd, k, _ = (np.array(part) for part in density.azstats.loo(sample_dims=["chain", "draw"], r_eff=1.0)[:3])
    high = ~(k <= _TRUSTED)
    if high.sum() > refits:
        raise DataError(
            f"{high.sum()} of {len(k)} runs sway the {kind} link so much that leaving them out cannot be estimated "
            f"(Pareto k above {_TRUSTED}), and at most {refits} are left out by fitting again: refits={high.sum()}"
        )
    for i in np.flatnonzero(high):
        without = {name: np.array(values) for name, values in data.items()}
        without["items"][i] = without["hits"][i] = 0
        only = {**data, **{name: data[name][[i]] for name in ("loss", "chance", "items", "hits")}}
        each = _log_density(fitted(without).posterior, model, only, kind == "broken")
        elpd[i] = np.logaddexp.reduce(each.ravel()) - np.log(each.size)
    return {"elpd": elpd, "pareto_k": k, "refitted": high}
