"""Curves that are not google_nmt's, and how well cards that were taken, or might have been, extrapolate them.

77 curves in eight groups. Of datasets of this project: OpenEuroLLM's and Hoffmann et al.'s losses against tokens at one
size, Pile losses of a family against parameters. From a folder of tables that are no part of it (sources:
``ladders.py``): OPT's losses against tokens, Gadre et al.'s (C4, and code) at one size and training set, training at a
constant rate (Luo et al. 2025), error rates of Gadre et al.'s models of 412M that fall by more than their noise. And 24
simulated error rates, of many skills each learned at a size of its own, which is none of our laws. Of more points, some
12 evenly by ratio are taken. Each is fitted without its last two points (6 to 12 left).

Cards are weighed by their evidence (bridge sampling) and by odds; other priors are reached by weighing the same draws.
``curves.py --tables FOLDER`` scores them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

import forescale as fs
from forescale.belief.references import at_runs
from forescale.estimates.fit import Fit
from forescale.numbers import weighing
from forescale.sampling.bridge import log_evidence
from forescale.sampling.diagnostics import diagnose
from forescale.sampling.nuts import Settings, sample

HELD = 2  # points of each curve that are forecast
FEWEST, ABOUT = 6, 12  # points fitted, at least; and points of a curve, about, of which more are thinned
CARDS = ("unbroken_d", "steepening_d", "flattening_d", "m4_d")
AVERAGED = CARDS[:3]
PROGRAMS = "loss_paloma_dolma_100_programing_languages"
Priors = Callable[[str], Mapping[str, fs.Prior]]


class Curve(NamedTuple):
    """Points that are fitted and points that are forecast, in the columns n_examples and loss, the smallest first."""

    group: str
    name: str
    seen: pd.DataFrame
    held: pd.DataFrame


class Candidate(NamedTuple):
    """Cards that are averaged, their odds, and the priors, by card, that stand in for their own.

    As `breaks` does it, cards that have more parameters than a curve has points are left out.
    """

    name: str
    cards: Sequence[str]
    odds: Sequence[float]
    priors: Priors = lambda card: {}
    as_breaks: bool = False

    def of(self, fits: Mapping[str, Fitted]) -> list[str]:
        """Those of the cards that are averaged on a curve."""
        return [card for card in self.cards if not self.as_breaks or fits[card].enough]


class Fitted(NamedTuple):
    """A fit, its log evidence by chain, and log losses forecast, shape (chain, draw, point): the curve's, a run's."""

    fit: Fit
    evidence: Any
    curve: Any
    run: Any

    @property
    def enough(self) -> bool:
        """Whether the curve has as many points as the card has parameters."""
        return len(self.fit.observations) >= len(self.fit.model.parameters)


def turns(sigma: float) -> Priors:
    """Of the change of a fall at a break: the cards' own has a sigma of 2."""
    to_steeper = fs.Prior("halfnormal", sigma=sigma)
    to_flatter = fs.Prior("truncatednormal", mu=0.0, sigma=sigma, lower=-10.0, upper=0.0)
    of = {"steepening_d": {"turn": to_steeper}, "flattening_d": {"turn": to_flatter}}
    return lambda card: of.get(card, {})


def same(**priors: fs.Prior) -> Priors:
    """The same of all cards."""
    return lambda card: priors


EQUAL = (1, 1, 1)
TAKEN = ("averaged, equal odds (taken)", "the same, as `breaks` does it")
CANDIDATES = (
    *(Candidate(card, [card], [1]) for card in CARDS),
    Candidate(TAKEN[0], AVERAGED, EQUAL),
    Candidate(TAKEN[1], AVERAGED, EQUAL, as_breaks=True),
    Candidate("odds 4 : 1 : 1", AVERAGED, (4, 1, 1)),
    Candidate("noise half-normal 0.05", AVERAGED, EQUAL, same(sigma=fs.Prior("halfnormal", sigma=0.05))),
    Candidate("noise lognormal, median 0.01", AVERAGED, EQUAL, same(sigma=fs.Prior("lognormal", median=0.01, sigma=1))),
    Candidate("turns half as wide", AVERAGED, EQUAL, turns(1.0)),
    Candidate("turns 1.5 times as wide", AVERAGED, EQUAL, turns(3.0)),
    Candidate("floors beta(1, 1/2)", AVERAGED, EQUAL, same(floor_share=fs.Prior("beta", alpha=1, beta=0.5))),
    Candidate("floors beta(2, 1)", AVERAGED, EQUAL, same(floor_share=fs.Prior("beta", alpha=2, beta=1))),
    Candidate("steeper, flatter, equal odds", CARDS[1:3], (1, 1)),
    Candidate("and M4, equal odds", CARDS, (1, 1, 1, 1)),
)
TRUTHS: dict[str, Callable[[Any], Any]] = {
    "a floor": lambda x: 0.3 + 40 * x**-0.5,
    "a line": lambda x: 0.001 + 2 * x**-0.25,
    "a plateau before the fall": lambda x: 0.05 + 0.8 * x**-0.02 * (1 + (x / 3e5) ** (1 / 0.3)) ** (-0.5 * 0.3),
    "a fall that slows": lambda x: 0.1 + 30 * x**-0.4 * (1 + (x / 2e5) ** (1 / 0.3)) ** (0.25 * 0.3),
}


def curves(folder: Path) -> Iterator[Curve]:
    """All of them that leave enough points to fit."""
    for group, name, size, loss in [*_of_tables(folder), *_skills()]:
        order = np.argsort(size)
        size, loss = (np.asarray(values, dtype=float)[order] for values in (size, loss))
        most = 14 if group == "constant rate" else ABOUT
        if len(size) > most + 2:
            gaps = np.abs(np.log(size) - np.log(np.geomspace(size[0], size[-1], most))[:, None])
            kept = np.unique(gaps.argmin(axis=1))
            size, loss = size[kept], loss[kept]
        if len(size) - HELD >= FEWEST:
            points = pd.DataFrame({"n_examples": size, "loss": loss})
            yield Curve(group, name, points[:-HELD], points[-HELD:])


def _of_tables(folder: Path) -> Iterator[tuple[str, str, Any, Any]]:
    """Group, name, sizes and losses, of tables."""
    tables = {path.stem: pd.read_csv(path) for path in folder.glob("*.csv")}
    for name, of in tables["opt_trajectories"].groupby("model_size"):
        yield "OPT", str(name), of["n_tokens"], of["loss"]
    for name, of in fs.load_dataset("openeurollm").table.query("suspect_hp_extrapolation == 0").groupby("n_params"):
        yield "OpenEuroLLM", f"{name:g}", of["n_tokens"], of["loss"]
    hoffmann = fs.load_dataset("hoffmann2022").table.query("dropped_by_besiroglu == 0")
    for name, of in hoffmann.groupby(hoffmann["n_params"].round(-6)):
        of = of.sort_values("n_tokens")
        apart = of[of["n_tokens"].diff().fillna(np.inf) > 0.2 * of["n_tokens"].shift().fillna(0)]
        if len(apart) >= FEWEST + HELD:
            yield "Hoffmann et al.", f"{name:g}", apart["n_tokens"], apart["loss"]
    for name, of in tables["gadre_overtraining"].groupby(["train_data", "n_params"]):
        once = of.groupby("n_tokens", as_index=False).first()
        for loss in ("loss_c4_val", PROGRAMS):
            yield "Gadre et al.", f"{name} {loss}", once["n_tokens"], once[loss]
    constant = tables["multipowerlaw_curves"].query("schedule == 'constant_72000'")
    for name, of in constant.groupby("n_params_nominal"):
        yield "constant rate", f"{name:g}", of["step"], of["loss"]
    for name, of in fs.load_dataset("pile_families").table.groupby("family"):
        yield "families", str(name), of["n_params"], of["loss"]
    largest = tables["gadre_downstream"].query("train_data == 'rpj' and 3e8 < n_params < 5e8")
    for name, of in largest.groupby("task"):
        once = of.groupby("n_tokens", as_index=False).first()
        error = 1 - once["accuracy"]
        if error.iloc[0] - error.iloc[-1] > 6 * np.sqrt(error * (1 - error) / once["n_items"]).mean():
            yield "error rates", str(name), once["n_tokens"], error


def _skills() -> Iterator[tuple[str, str, Any, Any]]:
    """Error rates E + sum of w_k exp(-x / tau_k): skills as common as powers, each learned at its own size."""
    rng = np.random.default_rng(20)
    for i in range(24):
        k = np.arange(1, int(10 ** rng.uniform(0.7, 4)) + 1.0)
        share, learned = k ** -(1 + rng.uniform(0.1, 0.8)), k ** rng.uniform(0.8, 1.6)
        floor, top = max(0.03, rng.choice([0, rng.uniform(0.0, 0.4)])), rng.uniform(0.4, 1)
        size = 10 ** rng.uniform(-1, 1.5) * 2.0 ** np.arange(rng.integers(10, 15))
        left = np.exp(-size[:, None] / learned) @ (share / share.sum())
        error, scatter = floor + (top - floor) * left, 10 ** rng.uniform(-2.7, -1.7)
        kept = error > 0.01
        yield "skills", str(i), size[kept], error[kept] * np.exp(scatter * rng.standard_normal(kept.sum()))


@cache
def _card(name: str) -> Any:
    return fs.load_model(name).renamed({"n_tokens": "n_examples"})


def fitted(card: str, seen: pd.DataFrame, ahead: Any) -> Fitted:
    """One card on one curve, converged or not; of fewer points than parameters as well, which `fs.fit` refuses."""
    runs = fs.Observations.from_frame(seen)
    model, settings = at_runs(_card(card), runs), Settings(draws=500, thin=4)
    data = model.data(runs)
    drawn = sample(model, data, settings, 1, progress=False)
    found = drawn.posterior, drawn.sample_stats
    fit = Fit(model, runs, *found, 1, settings, diagnose(*found, 0.5))
    evidence = log_evidence(model, data, fit.posterior, np.random.default_rng(1))
    ahead = fs.forecast(fit, {"n_examples": ahead}, random_seed=0).draws
    curve, run = (np.log(ahead[kind].transpose("chain", "draw", "point").to_numpy()) for kind in ("mean", "run"))
    return Fitted(fit, evidence, curve, run)


def averaged(candidate: Candidate, fits: Mapping[str, Fitted]) -> tuple[Any, Any]:
    """4,000 draws of log loss, shape (draw, point), of the curve and of a run, under a candidate."""
    ratios, evidence, cards = [], [], candidate.of(fits)
    for card in cards:
        (fit, logs), log_ratio = fits[card][:2], np.zeros(fits[card].curve.shape[:2])
        own = fit.model.free_priors()
        for name, prior in candidate.priors(card).items():
            values = fit.posterior[name].transpose("chain", "draw").to_numpy()
            log_ratio += prior.logpdf(values) - own[name].logpdf(values)
        evidence.append(logs + np.logaddexp.reduce(log_ratio, axis=1) - np.log(log_ratio.shape[1]))
        ratios.append(np.exp(log_ratio - np.logaddexp.reduce(log_ratio, axis=None)).ravel())
    chances = weighing.probabilities(np.stack(evidence, axis=1), candidate.odds[: len(cards)])
    weights = np.concatenate([chance * ratio for chance, ratio in zip(chances, ratios, strict=True)])
    rows = np.random.default_rng(2).choice(len(weights), size=4000, p=weights / weights.sum())
    curves, runs = zip(*(fits[card][2:] for card in cards), strict=True)
    curve, run = (np.concatenate(each).reshape(-1, each[0].shape[-1])[rows] for each in (curves, runs))
    return curve, run


def scores(curve: Curve) -> pd.DataFrame:
    """A row of each candidate at each point held out."""
    from scoringrules import crps_ensemble

    truth = np.log(curve.held["loss"].to_numpy())
    fits = {card: fitted(card, curve.seen, curve.held["n_examples"].to_numpy()) for card in CARDS}
    parts = []
    for candidate in CANDIDATES:
        middle, run = averaged(candidate, fits)
        low, high = np.quantile(run, [0.05, 0.95], axis=0)
        found = {"error": np.median(middle, axis=0) - truth, "inside": ((low <= truth) & (truth <= high)).astype(float)}
        found["crps"] = crps_ensemble(truth, run, m_axis=0, estimator="qd", backend="numpy")
        failed = float(not all(fits[card].fit.diagnostics.passed for card in candidate.of(fits)))
        parts.append(pd.DataFrame({"candidate": candidate.name, "failed": failed, **found}))
    return pd.concat(parts).assign(group=curve.group, curve=curve.name)


def held_truths(tables: int) -> pd.DataFrame:
    """Whether 90 % bands of the averaged curve held simulated truths, a row of each table and distance."""
    size, taken, rows = np.logspace(4, 7, 14), next(one for one in CANDIDATES if one.name == TAKEN[0]), []
    ahead = size[-1] * np.array([2.0, 8.0])
    for seed in range(tables):
        for kind, truth in TRUTHS.items():
            scatter = 0.01 * np.random.default_rng([seed, len(kind)]).standard_normal(len(size))
            seen = pd.DataFrame({"n_examples": size, "loss": truth(size) * np.exp(scatter)})
            curve, _ = averaged(taken, {card: fitted(card, seen, ahead) for card in AVERAGED})
            low, middle, high = np.quantile(curve - np.log(truth(ahead)), [0.05, 0.5, 0.95], axis=0)
            for at, times in enumerate((2, 8)):
                held = {"held": bool(low[at] <= 0 <= high[at]), "error": middle[at]}
                rows.append({"truth": kind, "table": seed, "times": times, **held})
    return pd.DataFrame(rows)
