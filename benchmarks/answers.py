"""Who forecasts which runs from which: the tasks of benchmarks/outside.py."""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from drift import SHELF, learn, model_of, rows_of
from ladders import Ladder

import forescale as fs
from forescale.belief.discrepancy import Discrepancy
from forescale.belief.drift import Drift, decades_outside
from forescale.belief.structured import Structured
from forescale.checking.baselines import huber_draws
from forescale.checking.loo import leave_one_out
from forescale.checking.scoring import score
from forescale.checking.stacking import mixture, stacking_weights
from forescale.laws import get_law
from forescale.tables.cuts import Cut

CARDS = ("coupled", "chinchilla", "kaplan_floor")
BOTH = CARDS[:2]  # those that are looked at closely
DEVIATION = Structured(fs.Prior("halfnormal", sigma=0.02))
#: Weights of cards in quarters, by name.
GRID = {
    "-".join(map(str, parts)): dict(zip(CARDS, np.array(parts) / 4, strict=True))
    for parts in itertools.product(range(5), repeat=len(CARDS))
    if sum(parts) == 4
}
FOLDS = 4
SIGMA, NU = 0.004, 10  # of the Student-t noise on log loss of simulated tables
TASK = ["source", "table", "cut"]


@dataclass(frozen=True)
class Task:
    """What is fitted, what is held out, and who forecasts."""

    part: str
    ladder: Ladder
    cut: Cut
    drifts: Mapping[str, Drift]  # by card
    seed: int
    settings: Mapping[str, int] = field(repr=False)
    structured: bool = False
    bootstrap: int = 0  # of Huber's fit; none, and no averages, if 0

    def points(self) -> pd.DataFrame:
        """A row for each forecaster and run held out: its scores. Any process can do it."""
        fitted, held = self.cut.split(self.ladder.runs)
        at = {name: held.column(name) for name in self.ladder.inputs}
        outside = decades_outside({name: fitted.column(name) for name in at}, at, self.ladder.inputs)
        where = {"part": self.part, **dict(zip(TASK, (*self.ladder[:2], self.cut.label), strict=True))}
        blocks = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, said, refused in self._answers(fitted, held, at):
                draws = said["run"].stack(sample=("chain", "draw")).transpose("sample", "point").to_numpy()
                scores = score(held.column("loss"), draws)
                width = 100 * np.log(scores["upper"] / scores["lower"])
                who = {"forecaster": name, "refused": refused, "outside": outside, "width": width}
                blocks.append(pd.DataFrame({**where, **who, **scores}))
        return pd.concat(blocks, ignore_index=True)

    def _answers(self, fitted: Any, held: Any, at: Mapping[str, Any]) -> Iterator[tuple[str, xr.Dataset, bool]]:
        """Forecasters' names, their draws of the runs held out, and whether a fit was refused."""
        fits: dict[str, fs.Fit] = {}
        drifting: dict[str, xr.Dataset] = {}
        for card, drift in self.drifts.items():
            model = model_of(card, self.ladder.source)
            fits[card], refused = _fit(fitted, model, self.seed, **self.settings)
            drifting[card] = _forecast(fits[card], Discrepancy(drift), at)
            yield card, _forecast(fits[card], None, at), refused
            yield f"{card} *", drifting[card], refused
            if self.structured and card in BOTH:
                # weights and their common size make a funnel: short steps, and one long try in place of two
                careful = {**self.settings, "tune": 2 * self.settings["tune"], "target_accept": 0.97, "retry": False}
                model = model.with_discrepancy(Discrepancy(structured=DEVIATION))
                found, refused = _fit(fitted, model, self.seed, **careful)
                yield f"{card} ~", _forecast(found, model.discrepancy, at), refused
                yield f"{card} ~ *", _forecast(found, Discrepancy(drift, DEVIATION), at), refused
        if not self.bootstrap:
            return
        loo = {card: leave_one_out(found, refits=0, threshold=np.inf) for card, found in fits.items()}
        weights = {"equal *": dict.fromkeys(CARDS, 1 / len(CARDS)), "stacked *": stacking_weights(loo), **GRID}
        for name, shares in weights.items():
            yield name, mixture(drifting, shares, self.seed), False
        try:
            draws = huber_draws(fitted, held, get_law("chinchilla"), self.bootstrap, self.seed)
        except fs.ForescaleError as error:
            print(f"huber, {self.ladder.table}, {self.cut.label}: {error}", file=sys.stderr, flush=True)
        else:
            yield "huber", xr.Dataset({"run": (("chain", "draw", "point"), draws[None])}), False


def _fit(runs: fs.Observations, model: fs.Model, seed: int, **settings: Any) -> tuple[fs.Fit, bool]:
    """A fit, and whether its diagnostics refuse it."""
    try:
        return fs.fit(runs, model, random_seed=seed, progress=False, **settings), False
    except fs.ConvergenceError as error:
        return error.fit, True


def _forecast(found: fs.Fit, discrepancy: Discrepancy | None, at: Mapping[str, Any]) -> xr.Dataset:
    """Draws of new runs with a discrepancy that may be another than that fitted: of a drift the runs say nothing."""
    like = replace(found, model=found.model.with_discrepancy(discrepancy))
    return fs.forecast(like, at, random_seed=found.seed).draws[["run"]].drop_vars(list(at))


def learned(card: str, source: str) -> Drift:
    """The drift of a card, as all other sources teach it."""
    rows = pd.read_csv(SHELF / "ladders.csv", keep_default_na=False, na_values={"c": "", "c_sd": ""})
    return learn(rows_of(rows, card, without=source))


def enclosed(ladder: Ladder, seed: int) -> list[Cut]:
    """Random quarters of a ladder, each held out but for the runs that the rest does not enclose."""
    part = np.random.default_rng(seed).permutation(len(ladder.runs)) % FOLDS
    made = []
    for fold in range(FOLDS):
        held = part == fold
        fitted, asked = ({name: ladder.runs.column(name)[mask] for name in ladder.inputs} for mask in (~held, held))
        held[held] = decades_outside(fitted, asked, ladder.inputs) == 0
        if held.any():
            made.append(Cut(f"quarter {fold + 1}", tuple((~held).tolist())))
    return made


def truth(ladder: Ladder, card: str, settings: Mapping[str, int]) -> dict[str, float]:
    """Parameters of a law that a ladder may have followed: medians of its fit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found, _ = _fit(ladder.runs, model_of(card, ladder.source), 1, **settings)
    return {name: float(found.posterior[name].median()) for name in found.law.parameters}


def simulated(design: Ladder, law: str, parameters: Mapping[str, float], number: int) -> Ladder:
    """A table of a law, at the sizes of a ladder."""
    rng = np.random.default_rng([number, len(design.runs)])
    at = {name: design.runs.column(name) for name in design.inputs}
    loss = get_law(law)(at, parameters) * np.exp(SIGMA * rng.standard_t(NU, len(design.runs)))
    name = f"{law} at the sizes of {design.table}, {number + 1}"
    return Ladder(
        law, name, design.inputs, fs.Observations.from_frame(pd.DataFrame({**at, "loss": loss}), name=name), True
    )
