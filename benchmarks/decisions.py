"""Whether the bands of every decision hold the truth, and its probabilities come true, on simulated tables.

Each truth is drawn from the priors of the card ``chinchilla``, without its drift, since the law is right here; 24 runs
from 30M to 3B parameters and 5 to 320 tokens per parameter are done with normal noise of about half a percent, and
fitted by MCMC. Every verb answers from the fit, and from the truth itself; questions hang on the table at most and
never on the truth. So bands must hold it at their rate, if sampler and verbs are right, and probabilities must come
true. The 50 % bands are the partner: no band may hold more or less than it says. The recipe that a gain is over is the
truth before.

Run::

    python benchmarks/decisions.py --json decisions.json

What it showed: README.md beside this file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from measure import conclude, load_average, parser, print_table

import forescale as fs

MODEL = fs.load_model("chinchilla").with_discrepancy(None)
SCATTER = fs.Prior("lognormal", median=0.005, sigma=0.3)
MODEL = MODEL.with_noise("normal", sigma=SCATTER)
LAW = MODEL.law
#: What the card has priors on, all lognormal; A and B by the nats that they cost at the reference.
NAMES = ("E", "A", "B", "alpha", "beta")
SIZES, RATIOS = np.geomspace(3e7, 3e9, 6), (5.0, 20.0, 80.0, 320.0)
BUDGET, ENOUGH, DEMAND = 1e23, 3e22, 1e13
PLANS = {"small": ("6B", "2T"), "large": ("20B", "600B")}
PLANNED = {"n_params": 7e9, "n_tokens": 1.4e11}
BANDS = (0.9, 0.5)


@dataclass
class Point:
    """The truth, as an estimate of one draw."""

    posterior: xr.Dataset
    law: fs.Law = LAW
    name: str = "truth"
    noise: None = None
    departure: None = None


def truth(rng: np.random.Generator) -> tuple[Point, float]:
    """Parameters and noise from their priors."""
    drawn = {name: float(MODEL.priors[name].sample(1, rng)[0]) for name in NAMES}
    ref = MODEL.reference
    drawn["A"] *= ref["n_params"] ** drawn["alpha"]
    drawn["B"] *= ref["n_tokens"] ** drawn["beta"]
    values = {name: (("chain", "draw"), np.array([[value]])) for name, value in drawn.items()}
    return Point(xr.Dataset(values)), float(SCATTER.sample(1, rng)[0])


def loss_of(point: Point, runs: Any) -> np.ndarray:
    """Losses without noise."""
    return np.asarray(LAW(runs, {name: float(values.item()) for name, values in point.posterior.items()}))


def table(point: Point, sigma: float, rng: np.random.Generator) -> pd.DataFrame:
    """The runs that are done."""
    n = np.repeat(SIZES, len(RATIOS))
    runs = pd.DataFrame({"n_params": n, "n_tokens": n * np.tile(RATIOS, len(SIZES))})
    return runs.assign(loss=loss_of(point, runs) * np.exp(sigma * rng.standard_normal(len(runs))))


def told(source: Any, other: Any, runs: pd.DataFrame) -> Iterator[tuple[str, str, np.ndarray]]:
    """Each verb's quantities by one estimate, as draws; ``other`` is of another recipe."""
    split = fs.allocate(source, BUDGET).draws
    yield "allocate", "N* at 1e23 FLOPs", split["n_params"]
    yield "allocate", "loss there", split["loss"]
    waste = fs.regret(source, BUDGET, tokens_per_param=20).draws
    yield "regret", "compute wasted by 20 tokens per parameter", waste["wasted_compute"]
    near = fs.near_optimal(source, BUDGET).draws
    yield "near_optimal", "smallest size within 0.1 %", near["smallest"]
    yield "near_optimal", "largest", near["largest"]
    ranked = fs.rank_plans(source, PLANS).draws["loss"]
    yield "rank_plans", "loss of one plan less that of another", ranked.isel(plan=0) - ranked.isel(plan=1)
    served = fs.serve(source, DEMAND, compute=BUDGET).draws
    yield "serve", "N for 10T tokens served", served["n_params"]
    yield "serve", "what that saves", served["saving"]
    lower = 0.95 * float(runs["loss"].min())
    yield "compute_to", "compute of a loss 5 % below all runs", fs.compute_to(source, lower).draws["compute"]
    gain = fs.compute_gain(other, source, 1e22).draws
    yield "compute_gain", "gain over another recipe at 1e22 FLOPs", gain["gain"]
    more = fs.returns(source, compute=BUDGET).draws["gain"]
    for place, way in enumerate(more["more"].to_numpy()):
        yield "returns", f"ten times more: {way}", more.isel(place=place)
    yield "returns_until", "where ten times more is worth 0.05 nats", fs.returns_until(source, 0.05).draws["flops"]


def chances(fit: fs.Fit, runs: pd.DataFrame) -> Iterator[tuple[str, str, float]]:
    """Probabilities that verbs state."""
    size = float(fs.allocate(fit, BUDGET).draws["n_params"].median())
    near = fs.near_optimal(fit, BUDGET).probability(1.4 * size)
    yield "near_optimal", "1.4 times the median N* is nearly best", float(near["probability"].iloc[0])
    yield "rank_plans", "the small plan is the better", fs.rank_plans(fit, PLANS).best()["small"]
    saves = fs.serve(fit, DEMAND, compute=BUDGET).probability(0.3)
    yield "serve", "it saves more than 30 %", float(saves["probability"].iloc[0])
    lower = 0.95 * float(runs["loss"].min())
    yield (
        "compute_to",
        "3e22 FLOPs are enough for it",
        float(fs.compute_to(fit, lower).probability(ENOUGH)["probability"].iloc[0]),
    )


def came(point: Point, fit: fs.Fit, runs: pd.DataFrame) -> list[float]:
    """Whether what `chances` are of is so."""
    size = 1.4 * float(fs.allocate(fit, BUDGET).draws["n_params"].median())
    near = fs.near_optimal(point, BUDGET).draws
    losses = fs.rank_plans(point, PLANS).draws["loss"].squeeze()
    saved = fs.serve(point, DEMAND, compute=BUDGET).draws["saving"].item()
    takes = fs.compute_to(point, 0.95 * float(runs["loss"].min())).draws["compute"].item()
    return [
        float(near["smallest"].item() <= size <= near["largest"].item()),
        float(losses[0] < losses[1]),
        float(saved > 30),
        float(takes <= ENOUGH),
    ]


@dataclass
class Case:
    """A truth, its runs and their fit."""

    seed: int
    point: Point
    sigma: float
    runs: pd.DataFrame
    fit: fs.Fit


def case(seed: int, draws: int) -> Case:
    """Draw a truth, do its runs, and fit them."""
    rng = np.random.default_rng(seed)
    point, sigma = truth(rng)
    runs = table(point, sigma, rng)
    return Case(seed, point, sigma, runs, fs.fit(runs, MODEL, draws=draws, random_seed=seed, progress=False))


def rows_of(case: Case, before: Case) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Bands and probabilities of one truth, beside another recipe."""
    bands, probable = [], []
    ours_and_true = (told(case.fit, before.fit, case.runs), told(case.point, before.point, case.runs))
    for (verb, what, ours), (_, _, right) in zip(*ours_and_true, strict=True):
        bands.append({"verb": verb, "what": what, **held(ours, float(np.asarray(right).item()))})
    noise = case.sigma * np.random.default_rng([case.seed, 1]).standard_normal()
    lower = 0.95 * float(case.runs["loss"].min())
    takes = fs.compute_to(case.fit, lower, kind="run", random_seed=case.seed).draws["compute"]
    right = fs.compute_to(case.point, lower * np.exp(-noise)).draws["compute"].item()
    bands.append({"verb": "compute_to", "what": "the same of a run", **held(takes, right)})
    planned = float(loss_of(case.point, PLANNED) * np.exp(noise))
    scores = fs.score_frozen(fs.freeze(case.fit, PLANNED, random_seed=case.seed), planned).scores
    kept = {f"{band:g}": float(scores[f"covered_{100 * band:.0f}"].iloc[0]) for band in BANDS}
    bands.append({"verb": "freeze, score", "what": "loss of a run of 7B on 140B tokens", **kept})
    for (verb, what, chance), so in zip(
        chances(case.fit, case.runs), came(case.point, case.fit, case.runs), strict=True
    ):
        probable.append({"verb": verb, "what": what, "stated": chance, "came": so})
    return bands, probable


def held(draws: Any, right: float) -> dict[str, float]:
    """Whether equal-tailed bands hold the truth; infinities count as ends."""
    values = np.asarray(draws).ravel()
    found = {}
    for band in BANDS:
        low, high = np.quantile(values, [(1 - band) / 2, (1 + band) / 2], method="inverted_cdf")
        found[f"{band:g}"] = float(low <= right <= high)
    return found


def share(values: Any) -> str:
    """A share with its standard error."""
    mean = float(np.mean(values))
    return f"{mean:.2f} ± {np.sqrt(max(mean * (1 - mean), 1e-9) / len(values)):.2f}"


def main() -> None:
    given, load = parser(__doc__, repeats=120).parse_args(), load_average()
    warnings.simplefilter("ignore", fs.ForescaleWarning)
    bands, probable, refused = [], [], 0
    before = None
    for seed in range(2 if given.smoke else 1 + given.repeats):
        try:
            here = case(seed, draws=300 if given.smoke else 1000)
        except fs.ConvergenceError:
            refused += 1
            continue
        if before is not None:
            one, other = rows_of(here, before)
            bands += one
            probable += other
        before = here
    print(f"{refused} tables were refused, since their fit did not converge\n")
    frame = pd.DataFrame(bands)
    kept = [f"{band:g}" for band in BANDS]
    lines = [
        [verb, what, *(share(rows[band]) for band in kept)]
        for (verb, what), rows in frame.groupby(["verb", "what"], sort=False)
    ]
    print_table(["verb", "of", *(f"in {100 * band:g} % bands" for band in BANDS)], lines)
    print(
        "\nprobabilities: the mean stated, the share that came true, and the squared error beside that of the share\n"
    )
    sure = [
        [verb, what, f"{rows['stated'].mean():.2f}", share(rows["came"]), brier(rows)]
        for (verb, what), rows in pd.DataFrame(probable).groupby(["verb", "what"], sort=False)
    ]
    print_table(["verb", "that", "stated", "came true", "Brier score, of a constant"], sure)
    conclude(__file__, given, load, {"bands": lines, "probabilities": sure, "refused": refused})


def brier(rows: pd.DataFrame) -> str:
    """Mean squared error of the probabilities, and of their share as a constant."""
    base = rows["came"].mean()
    return f"{((rows['stated'] - rows['came']) ** 2).mean():.3f}, {base * (1 - base):.3f}"


if __name__ == "__main__":
    main()
