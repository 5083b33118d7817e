"""Choosing runs by what they tell, against a geometric ladder and chance, at equal compute.

Each truth is drawn from the priors of the card ``chinchilla``, with normal noise of half a percent. Eight small runs
are done, and the posterior is found. Then every strategy spends the same compute, its runs are done, and the posterior
is found again:

- ``next_runs``: the batch that `next_runs` chooses for the forecast, among the candidates;
- ``one by one``: the same, but each run is done, and the posterior found again, before the next is chosen;
- ``single``: the one run that leaves least variance;
- ``ladder``: five runs at 20 tokens per parameter, each of four times the compute of the one before;
- ``chance``: candidates at random until the compute is spent.

Posteriors are draws about the mode, weighed by the exact density in five rounds, drawn anew by their weights and then
moved by differential evolution (ter Braak 2006), since weights alone leave a few draws of a thin curved posterior. So
many fits by MCMC would take hours; ``--fits N`` sets what is promised, and what is left, on the first N truths beside
fits by MCMC of the same runs.

Measured for each forecast: the posterior standard deviation afterwards over that before, and the error of the median,
on the scale of the forecast (log10 N*, nats), beside what `next_runs` had promised. Strategies are compared truth by
truth, with intervals by resampling truths.
"""

from __future__ import annotations

import sys
import warnings
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from measure import conclude, load_average, parser, print_table
from scipy.optimize import least_squares

import forescale as fs

SIGMA = 0.005
SIZES = np.geomspace(3e7, 3e8, 4)
START = pd.DataFrame({"n_params": np.repeat(SIZES, 2), "n_tokens": np.repeat(SIZES, 2) * np.tile([10.0, 40.0], 4)})
#: Compute that is left: three times that of the eight runs.
BUDGET = 1e20
GRID = [(n, r) for n in np.geomspace(3e7, 2e9, 8) for r in (3, 10, 30, 100, 300)]
CANDIDATES = pd.DataFrame([{"n_params": n, "n_tokens": r * n} for n, r in GRID if 6 * n * r * n <= BUDGET])
FORECASTS: dict[str, dict[str, Any]] = {
    "loss of 7B on 140B tokens": {"of": "loss", "n_params": 7e9, "n_tokens": 1.4e11},
    "log10 N* at 1e23 FLOPs": {"of": "n_params", "compute": 1e23},
}
STRATEGIES = ("next_runs", "one by one", "single", "ladder", "chance")
MODEL = fs.load_model("chinchilla").with_discrepancy(None)
LAW = MODEL.law
#: What the card has priors on, all lognormal; A and B by the nats that they cost at the reference.
NAMES = ("E", "A", "B", "alpha", "beta")
MIDDLE = np.log([MODEL.priors[name].median for name in NAMES])
WIDTH = np.array([MODEL.priors[name].to_table()["sigma"] for name in NAMES])
DRAWS, DF = 4000, 5
#: Steps of differential evolution: every tenth is long, from one mode or end of a ridge to another.
MOVES, LONG = (5 if "--smoke" in sys.argv else 150), 10


@dataclass
class Posterior:
    """Draws that the verbs take for an estimate."""

    posterior: xr.Dataset
    law: fs.Law = LAW
    name: str = "posterior"
    noise: None = None
    departure: None = None


def printed(logs: np.ndarray) -> dict[str, np.ndarray]:
    """Parameters as printed, from the logs of what the card has priors on (last axis)."""
    E, A, B, alpha, beta = np.exp(np.moveaxis(np.asarray(logs), -1, 0))
    ref = MODEL.reference
    return {"E": E, "A": A * ref["n_params"] ** alpha, "B": B * ref["n_tokens"] ** beta, "alpha": alpha, "beta": beta}


def posterior(frame: pd.DataFrame, rng: np.random.Generator) -> Posterior:
    """Draws about the mode, weighed by the exact density, and moved."""
    n, d, y = (frame[name].to_numpy() for name in ("n_params", "n_tokens", "loss"))

    def errors(logs: np.ndarray) -> np.ndarray:
        p = {name: value[..., None] for name, value in printed(logs).items()}
        off = (np.log(LAW({"n_params": n, "n_tokens": d}, p)) - np.log(y)) / SIGMA
        return np.concatenate([off, (logs - MIDDLE) / WIDTH], axis=-1)

    mode = least_squares(errors, MIDDLE, x_scale="jac")
    centre, covariance = mode.x, np.linalg.inv(mode.jac.T @ mode.jac)
    for power in (0.2, 0.5, 1.0, 1.0, 1.0):  # a Student-t, moved to where the weights of the one before are
        root = np.linalg.cholesky(1.2 * covariance)
        z = rng.standard_normal((4 * DRAWS, len(NAMES))) / np.sqrt(rng.chisquare(DF, 4 * DRAWS) / DF)[:, None]
        logs = np.clip(centre + z @ root.T, MIDDLE - 6 * WIDTH, MIDDLE + 6 * WIDTH)  # further out nothing has weight
        log_weight = -power * (errors(logs) ** 2).sum(axis=-1) / 2
        log_weight += (DF + len(NAMES)) / 2 * np.log1p((z**2).sum(axis=-1) / DF)
        weight = np.exp(log_weight - log_weight.max())
        centre, covariance = np.average(logs, axis=0, weights=weight), np.cov(logs.T, aweights=weight)
    kept = moved(
        lambda at: -(errors(at) ** 2).sum(axis=-1) / 2, logs[rng.choice(len(logs), DRAWS, p=weight / weight.sum())], rng
    )
    draws = {name: (("chain", "draw"), value[None]) for name, value in printed(kept).items()}
    return Posterior(xr.Dataset(draws))


def moved(log_density: Callable[[np.ndarray], np.ndarray], draws: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draws after Metropolis steps along differences of pairs of others, which keep the density as it is.

    The two halves take turns: one moves, and pairs come from the other, so that proposals are symmetric.
    """
    halves = list(np.array_split(draws, 2))
    known = [log_density(half) for half in halves]
    dims = draws.shape[1]
    for step in range(MOVES):
        for side in (0, 1):
            here, others = halves[side], halves[1 - side]
            first, second = (others[rng.integers(len(others), size=len(here))] for _ in range(2))
            scale = 1.0 if step % LONG == 0 else 2.38 / np.sqrt(2 * dims) * rng.uniform(0.3, 1.0, (len(here), 1))
            there = here + scale * (first - second) + 1e-4 * rng.standard_normal(here.shape)
            found = log_density(there)
            taken = np.log(rng.uniform(size=len(here))) < found - known[side]
            halves[side], known[side] = np.where(taken[:, None], there, here), np.where(taken, found, known[side])
    return np.concatenate(halves)


def ladder(rungs: int = 5, step: float = 4.0) -> pd.DataFrame:
    """Runs at 20 tokens per parameter whose compute grows by a factor and is the budget in all."""
    flops = step ** np.arange(rungs)
    n = np.sqrt(flops * BUDGET / flops.sum() / 120)
    return pd.DataFrame({"n_params": n, "n_tokens": 20 * n})


def chance(rng: np.random.Generator) -> pd.DataFrame:
    """Candidates at random, each that the compute left pays for."""
    chosen, left = [], BUDGET
    for i in rng.permutation(len(CANDIDATES)):
        n, d = CANDIDATES.iloc[i]
        if 6 * n * d <= left:
            chosen.append(i)
            left -= 6 * n * d
    return CANDIDATES.iloc[chosen]


def done(truth: dict[str, float], runs: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Runs with their losses."""
    loss = LAW(runs, truth) * np.exp(SIGMA * rng.standard_normal(len(runs)))
    return runs[["n_params", "n_tokens"]].assign(loss=loss)


def one_by_one(
    before: Posterior, start: pd.DataFrame, question: dict[str, Any], truth: dict[str, float], rng: np.random.Generator
) -> pd.DataFrame:
    """Runs chosen one at a time, each with the losses of those before it known; until no candidate can be paid for."""
    known, left, now = start, BUDGET, before
    flops = 6 * CANDIDATES["n_params"] * CANDIDATES["n_tokens"]
    rest = CANDIDATES.assign(flops=flops)
    while (rest["flops"] <= left).any():
        rest = rest[rest["flops"] <= left]
        batch = fs.next_runs(now, rest[["n_params", "n_tokens"]], **question, budget=left, scatter=SIGMA).batch
        place = (
            np.abs(np.log(rest[["n_params", "n_tokens"]] / batch[["n_params", "n_tokens"]].iloc[0]))
            .sum(axis=1)
            .idxmin()
        )
        run = rest.loc[[place]]
        left -= float(run["flops"].iloc[0])
        rest = rest.drop(index=place)
        known = pd.concat([known, done(truth, run, rng)], ignore_index=True)
        now = posterior(known, rng)
    return known


def asked(source: Any, question: dict[str, Any]) -> np.ndarray:
    """Draws of a forecast."""
    if question["of"] == "loss":
        at = {name: question[name] for name in ("n_params", "n_tokens")}
        return fs.forecast(source, at, random_seed=0).draws["mean"].to_numpy().ravel()
    return np.log10(fs.allocate(source, question["compute"]).draws["n_params"].to_numpy().ravel())


def true(truth: dict[str, float], question: dict[str, Any]) -> float:
    """What is to be forecast."""
    if question["of"] == "loss":
        return float(LAW(question, truth))
    a, alpha, b, beta = LAW.powers(truth)
    size = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (question["compute"] / 6) ** (beta / (alpha + beta))
    return float(np.log10(size))


def of_a_truth(seed: int) -> list[dict[str, Any]]:
    """Every strategy on one truth: a row for each forecast and strategy."""
    rng = np.random.default_rng(seed)
    truth = {name: float(v) for name, v in printed(MIDDLE + WIDTH * rng.standard_normal(len(NAMES))).items()}
    start = done(truth, START, rng)
    before, rows = posterior(start, rng), []
    for name, question in FORECASTS.items():
        now = asked(before, question)
        chosen = fs.next_runs(before, CANDIDATES, **question, budget=BUDGET, scatter=SIGMA)
        alone = fs.next_runs(before, CANDIDATES, **question, by="variance", scatter=SIGMA).batch
        batches = {"next_runs": chosen.batch, "single": alone, "ladder": ladder()}
        batches |= {"chance": chance(np.random.default_rng([seed, 1]))}
        runs = {
            strategy: pd.concat([start, done(truth, batch, np.random.default_rng([seed, 2]))])
            for strategy, batch in batches.items()
        }
        runs["one by one"] = one_by_one(before, start, question, truth, np.random.default_rng([seed, 3]))
        promises = {"next_runs": chosen.batch, "single": alone}
        for strategy, known in runs.items():
            after = posterior(known, rng)
            then, came = asked(after, question), true(truth, question)
            row = {
                "truth": seed,
                "forecast": name,
                "strategy": strategy,
                "runs": len(known) - len(start),
            }
            row |= {"sd": then.std() / now.std(), "error": abs(np.median(then) - came)}
            row |= {"inside": float(np.quantile(then, 0.05) <= came <= np.quantile(then, 0.95))}
            if strategy in promises:
                row["promised"] = float(np.sqrt(promises[strategy]["remaining"].iloc[-1]))
            rows.append(row)
    return rows


def beside_mcmc(truths: int) -> list[list[str]]:
    """What is promised, and what is left once the batch is done, by moved draws and by MCMC: sd after over before."""
    rows, known = [], MODEL.with_noise("normal", sigma=fs.Prior("lognormal", median=SIGMA, sigma=0.001))
    for seed in range(truths):
        rng = np.random.default_rng(seed)
        truth = {name: float(v) for name, v in printed(MIDDLE + WIDTH * rng.standard_normal(len(NAMES))).items()}
        start = done(truth, START, rng)
        fitted = fs.fit(start, known, random_seed=seed, progress=False)
        before = posterior(start, rng)
        for name, question in FORECASTS.items():
            batch = fs.next_runs(fitted, CANDIDATES, **question, budget=BUDGET).batch
            runs = pd.concat([start, done(truth, batch, rng)], ignore_index=True)
            after = {"moved": posterior(runs, rng), "MCMC": fs.fit(runs, known, random_seed=seed, progress=False)}
            now = {"moved": before, "MCMC": fitted}
            left = [asked(after[how], question).std() / asked(now[how], question).std() for how in after]
            ends = [f"{np.median(x):.4g} ± {x.std():.3g}" for x in (asked(each, question) for each in after.values())]
            promised = np.sqrt(batch["remaining"].iloc[-1])
            rows.append([str(seed), name, f"{promised:.2f}", *(f"{share:.2f}" for share in left), *ends])
    return rows


def interval(values: np.ndarray, how: Any = np.median) -> str:
    """A statistic over truths, with its 90 % interval by resampling them."""
    rng = np.random.default_rng(0)
    again = [how(values[rng.integers(len(values), size=len(values))]) for _ in range(2000)]
    low, high = np.quantile(again, [0.05, 0.95])
    return f"{how(values):.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    arguments = parser(__doc__, repeats=60)
    arguments.add_argument("--fits", type=int, default=0, metavar="N", help="set so many truths beside fits by MCMC")
    given, load = arguments.parse_args(), load_average()
    warnings.simplefilter("ignore", fs.ForescaleWarning)
    truths = 1 if given.smoke else given.repeats
    table = pd.DataFrame([row for seed in range(truths) for row in of_a_truth(seed)])
    held = table.groupby("strategy")["inside"].mean()
    print(f"truths inside 90 % bands afterwards: {', '.join(f'{k} {v:.2f}' for k, v in held.items())}\n")
    lines, told = [], defaultdict(dict)
    for name in FORECASTS:
        here = table[table["forecast"] == name].pivot(index="truth", columns="strategy")
        for strategy in STRATEGIES:
            sd, error = here["sd", strategy].to_numpy(), here["error", strategy].to_numpy()
            versus = np.log(here["sd", strategy] / here["sd", "next_runs"]).to_numpy()
            errors = (error / here["error", "next_runs"]).to_numpy()
            cells = {
                "runs": f"{here['runs', strategy].median():.0f}",
                "sd after / before": interval(sd),
                "median error": f"{np.median(error):.3g}",
                "sd / that of next_runs": interval(np.exp(versus)),
                "error / that of next_runs": interval(errors),
            }
            lines.append([name, strategy, *cells.values()])
            told[name][strategy] = cells
        for strategy in ("next_runs", "single"):
            promised = interval(here["promised", strategy].to_numpy(float))
            told[name][f"{strategy} promised"] = promised
            lines.append([name, f"{strategy}, as promised", "", promised, "", "", ""])
    print_table(["forecast", "strategy", *cells], lines)
    beside = beside_mcmc(given.fits)
    if beside:
        print("\nthe batch of next_runs: sd after over before, and the forecast afterwards, median ± sd\n")
        head = ["truth", "forecast", "promised", "left (moved)", "left (MCMC)", "forecast (moved)", "forecast (MCMC)"]
        print_table(head, beside)
    conclude(__file__, given, load, {"rows": table.to_dict("records"), "told": told, "mcmc": beside})


if __name__ == "__main__":
    main()
