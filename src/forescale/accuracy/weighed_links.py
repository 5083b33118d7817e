"""Emergence: links of tokens without and with a break, weighed, for answers of several tokens."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from forescale.accuracy.break_model import KINDS, Candidate
from forescale.estimates.draws import INTERVAL_KIND, band, interval_rows
from forescale.numbers import weighing

Array = NDArray[np.float64]

#: Share of the way at which a rise is said to begin.
ONSET = 0.05
#: Probability of a break with a steeper slope below it, beforehand.
BEFOREHAND = KINDS["steeper"][1]
#: Posterior probability from which a sentence calls for a break.
SURE = 0.95


@dataclass(frozen=True, eq=False)
class Emergence:
    """Links of tokens that are smooth, get steeper or get flatter, for answers of tokens that must all be right.

    Attributes
    ----------
    name, task : str
        The table and its task.
    candidates : tuple of Candidate
        Each link smooth, steeper below a break and flatter below a break.
    posteriors : tuple of xarray.Dataset
        Draws of each, dims ("chain", "draw"); a chain is a run of the sampler. With a break they have break_at, the
        loss below which a nat counts ``exp(jump)`` times, and jump; middle and span are of the side where most items
        are right.
    log_evidence : xarray.DataArray
        Log probability of the hits under each, by each chain; dims ("chain", "model").
    failures : tuple of str
        In what the chains of each disagree, or "".
    seed : int
        Gives the same draws again.

    Notes
    -----
    All links have equal chances and their own priors, and a break an even chance beforehand. The probability says how
    much better a break explains the runs, given these priors and these links, and not what a break would be in a
    model. Where runs cannot tell, it stays near .25. By which factor a link gets steeper depends on the link as well:
    the exponential rises faster by itself, and needs less of a jump.
    """

    name: str
    task: str
    candidates: tuple[Candidate, ...] = field(repr=False)
    posteriors: tuple[xr.Dataset, ...] = field(repr=False)
    log_evidence: xr.DataArray = field(repr=False)
    failures: tuple[str, ...] = field(repr=False)
    seed: int

    @property
    def data(self) -> Mapping[str, Any]:
        """Loss, chance, items and hits of the runs."""
        return self.candidates[0].data

    @property
    def runs(self) -> pd.DataFrame:
        """A row per run: loss, and accuracy."""
        return pd.DataFrame({"loss": self.data["loss"], "accuracy": self.data["hits"] / self.data["items"]})

    @property
    def answer_tokens(self) -> int:
        """How many tokens an answer has."""
        return self.candidates[0].model.answer_tokens

    @property
    def prior(self) -> tuple[float, ...]:
        """Probability of each candidate beforehand."""
        links = len(self.candidates) / len(KINDS)
        return tuple(KINDS[each.kind][1] / links for each in self.candidates)

    @property
    def probability(self) -> float:
        """Posterior probability that the link is steeper below a break, whichever the link."""
        return self.of_kind["steeper"]

    @property
    def probability_se(self) -> float:
        """Monte Carlo standard error of ``probability``, by how far runs of the sampler differ."""
        log_evidence = self.log_evidence.to_numpy()
        return float(weighing.jackknife(log_evidence, lambda some: self._summed(some, _kind)["steeper"]))

    @property
    def of_kind(self) -> dict[str, float]:
        """Posterior probability of a smooth link, of one that gets steeper and of one that gets flatter."""
        return self._summed(self.log_evidence.to_numpy(), _kind)

    @property
    def of_link(self) -> dict[str, float]:
        """Posterior probability of each link, smooth or not."""
        return self._summed(self.log_evidence.to_numpy(), _link)

    def _summed(self, log_evidence: Array, key: Callable[[Candidate], str]) -> dict[str, float]:
        found: dict[str, float] = {}
        for each, probability in zip(self.candidates, weighing.probabilities(log_evidence, self.prior), strict=True):
            found[key(each)] = found.get(key(each), 0.0) + float(probability)
        return found

    @property
    def doubts(self) -> list[str]:
        """Why the candidates cannot be weighed, in words; empty where they can."""
        names = [each.name for each in self.candidates]
        return weighing.doubts(names, self.log_evidence.to_numpy(), self.prior, self.failures)

    @property
    def draws(self) -> xr.Dataset:
        """What tables tell of, dims ("chain", "draw").

        By the smooth links: ``token_onset``, ``answer_onset``, the losses at which tokens and answers are 5 % of their
        ways up; ``token_span``, ``answer_span``, nats from 10 to 90 % of them. By those that get steeper: ``break_at``,
        nats, and ``steeper``, the factor of the slope below it.
        """

        def rises(of: Candidate, values: xr.Dataset) -> dict[str, xr.DataArray]:
            found: dict[str, xr.DataArray] = {}
            for what, link in (("token", of.model.link), ("answer", of.model.curve)):
                at = {share: link.inverse(share, values["middle"], values["span"]) for share in (ONSET, 0.1, 0.9)}
                found |= {f"{what}_onset": at[ONSET], f"{what}_span": at[0.1] - at[0.9]}
            return found

        smooth = self._mixed("smooth", rises)
        steeper = self._mixed("steeper", lambda _, values: {name: values[name] for name in ("break_at", "jump")})
        onsets_first = ["token_onset", "answer_onset", "token_span", "answer_span"]
        return smooth[onsets_first].assign(break_at=steeper["break_at"], steeper=np.exp(steeper["jump"]))

    def curves(self, loss: Any) -> xr.Dataset:
        """Draws at losses: ``token``, ``answer`` by smooth links, ``broken_token``, ``broken_answer`` by steeper ones.

        Dims ("chain", "draw", "point"). What a token gets right is a share of what can be: its ceiling is 1.
        """
        at, chance = xr.DataArray(np.atleast_1d(np.asarray(loss, dtype=float)), dims="point"), self.data["chance"][0]

        def answers(of: Candidate, values: xr.Dataset) -> dict[str, xr.DataArray]:
            seen = of.seen(at, values)
            token = of.model.link.share(seen, values["middle"], values["span"])
            return {"token": token, "answer": of.model.curve(seen, values, chance)}

        broken = self._mixed("steeper", answers).rename(token="broken_token", answer="broken_answer")
        return self._mixed("smooth", answers).assign(broken.data_vars).transpose("chain", "draw", "point")

    def _mixed(self, kind: str, what: Callable[[Candidate, xr.Dataset], dict[str, xr.DataArray]]) -> xr.Dataset:
        """What is made of draws of all links of a kind, each link in proportion to its probability."""
        some = [i for i, each in enumerate(self.candidates) if each.kind == kind]
        log_evidence = self.log_evidence.to_numpy()[:, some]
        weights = weighing.probabilities(log_evidence, [1.0] * len(some))
        known = [self.posteriors[i].sizes["draw"] for i in some]
        rows = weighing.chosen(weights, known, min(known), np.random.default_rng(self.seed))
        parts = [
            xr.Dataset(what(self.candidates[i], self.posteriors[i].isel(draw=few)))
            for i, few in zip(some, rows, strict=True)
            if len(few)
        ]
        return xr.concat(parts, "draw")

    def weights(self) -> pd.DataFrame:
        """Evidence and probability of each link of each kind.

        Returns
        -------
        pandas.DataFrame
            A row for each: link, kind, prior, log_evidence (natural logarithm), its standard error over chains
            (log_evidence_se), probability, its standard error (probability_se), and whether its chains agree
            (converged).
        """
        evidence = self.log_evidence.to_numpy()
        return pd.DataFrame(
            {
                "link": [_link(each) for each in self.candidates],
                "kind": [_kind(each) for each in self.candidates],
                "prior": self.prior,
                **weighing.columns(evidence, self.prior),
                "converged": [not failed for failed in self.failures],
            }
        )

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
        draws = self.draws
        rows = pd.concat([interval_rows(values, prob) for values in draws.values()], ignore_index=True)
        rows.insert(0, "quantity", list(draws))
        return rows.assign(probability=self.probability, probability_se=self.probability_se)

    def sentence(self) -> str:
        """Say what the runs call for."""
        here, sure, kinds, tokens = self.draws, self.probability, self.of_kind, self.answer_tokens
        rise = f"a smooth rise of tokens, of which all {tokens} must be right," if tokens > 1 else "a smooth rise"
        share = f"{sure:.3f} ± {self.probability_se:.3f}" if sure < 0.9995 else "above 0.999"
        told = f"probability {share}, {BEFOREHAND} beforehand"
        if sure >= SURE:
            return (
                f"{self.task} calls for a break: a link that is {band(here['steeper'], '{:.1f}'.format)} times steeper "
                f"below loss {band(here['break_at'], '{:.2f}'.format)} ({told})."
            )
        if kinds["flatter"] >= SURE:
            flatter = f"one that gets flatter has probability {kinds['flatter']:.3f}"
            return f"{self.task} calls for no steeper link ({told}), and for no smooth one: {flatter}."
        if sure <= BEFOREHAND:
            return f"{self.task} calls for no break: {rise} will do (a break has {told})."
        return f"{self.task} leaves it open: a break has {told}, and its rival is {rise.rstrip(',')}."

    def __repr__(self) -> str:
        here = self.draws
        onsets = [
            f"{what} leave the floor (5 % of the way) at loss {band(here[f'{name}_onset'], '{:.2f}'.format)} and "
            f"take {band(here[f'{name}_span'], '{:.2f}'.format)} nats from 10 to 90 %"
            for what, name in (("tokens", "token"), ("answers", "answer"))
        ]
        links = ", ".join(f"{link} {probability:.2f}" for link, probability in self.of_link.items())
        told = [self.sentence(), f"If smooth, {'; '.join(onsets)}.", f"Links, smooth or not: {links}."]
        tokens = self.answer_tokens
        heading = f"Emergence of {self.task} in {self.name}: {len(self.runs)} runs, answers of {tokens} tokens"
        ends = f"(median [90 % {INTERVAL_KIND}] of curves; ± is the Monte Carlo standard error)"
        filled = (textwrap.fill(part, 100, initial_indent="  ", subsequent_indent="  ") for part in (*told, ends))
        return "\n".join([heading, *filled])


def _kind(of: Candidate) -> str:
    return of.kind


def _link(of: Candidate) -> str:
    return of.model.name
