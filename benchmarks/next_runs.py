"""Choosing runs by what they tell, against a geometric ladder and chance, at equal compute.

Each truth is drawn from the priors of the card ``chinchilla``, with normal noise of half a percent. Eight small runs
are done, and the posterior is found. Then every strategy spends the same compute, its runs are done, and the posterior
is found again:

- ``next_runs``: the batch that `next_runs` chooses for the forecast, among the candidates;
- ``ladder``: five runs at 20 tokens per parameter, each of four times the compute of the one before;
- ``chance``: candidates at random until the compute is spent.

Posteriors are draws about the mode, weighed by the exact density, in five rounds (so many fits by MCMC would take
hours); ``--fits N`` sets those of the first N truths beside fits by MCMC.

Measured for each forecast: the posterior standard deviation afterwards over that before, and the error of the median,
on the scale of the forecast (log10 N*, nats), beside what `next_runs` had promised. Strategies are compared truth by
truth, with intervals by resampling truths.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
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
STRATEGIES = ("next_runs", "ladder", "chance")
MODEL = fs.load_model("chinchilla").with_discrepancy(None)
LAW = MODEL.law
#: What the card has priors on, all lognormal; A and B by the nats that they cost at the reference.
NAMES = ("E", "A", "B", "alpha", "beta")
MIDDLE = np.log([MODEL.priors[name].median for name in NAMES])
WIDTH = np.array([MODEL.priors[name].to_table()["sigma"] for name in NAMES])
DRAWS, DF = 4000, 5
#: Effective share of the weighed draws, four times as many, below which a truth is left out.
LEAST_SHARE = 0.01


@dataclass
class Posterior:
    """Draws that the verbs take for an estimate."""

    posterior: xr.Dataset
    share: float
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
    """Draws about the mode, weighed by the exact density; ``share`` is the effective share of them."""
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
        share = float(weight.sum() ** 2 / (weight**2).sum() / len(weight))
        centre, covariance = np.average(logs, axis=0, weights=weight), np.cov(logs.T, aweights=weight)
    kept = logs[rng.choice(len(logs), DRAWS, p=weight / weight.sum())]
    draws = {name: (("chain", "draw"), value[None]) for name, value in printed(kept).items()}
    return Posterior(xr.Dataset(draws), share)


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
        batches = {"next_runs": chosen.batch, "ladder": ladder(), "chance": chance(np.random.default_rng([seed, 1]))}
        for strategy, batch in batches.items():
            news = done(truth, batch, np.random.default_rng([seed, 2]))
            after = posterior(pd.concat([start, news]), rng)
            then, came = asked(after, question), true(truth, question)
            row = {
                "truth": seed,
                "forecast": name,
                "strategy": strategy,
                "runs": len(batch),
                "share": min(before.share, after.share),
            }
            row |= {"sd": then.std() / now.std(), "error": abs(np.median(then) - came)}
            row |= {"inside": float(np.quantile(then, 0.05) <= came <= np.quantile(then, 0.95))}
            row |= {"promised": float(np.sqrt(chosen.batch["remaining"].iloc[-1]))} if strategy == "next_runs" else {}
            rows.append(row)
    return rows


def beside_mcmc(truths: int) -> list[list[str]]:
    """Median and standard deviation of each forecast, by weighed draws and by MCMC, after the ladder."""
    rows, known = [], MODEL.with_noise("normal", sigma=fs.Prior("lognormal", median=SIGMA, sigma=0.001))
    for seed in range(truths):
        rng = np.random.default_rng(seed)
        truth = {name: float(v) for name, v in printed(MIDDLE + WIDTH * rng.standard_normal(len(NAMES))).items()}
        runs = pd.concat([done(truth, START, rng), done(truth, ladder(), rng)], ignore_index=True)
        fit = fs.fit(runs, known, random_seed=seed, progress=False)
        for name, question in FORECASTS.items():
            ours, theirs = asked(posterior(runs, rng), question), asked(fit, question)
            cells = [f"{np.median(x):.4g} ± {x.std():.3g}" for x in (ours, theirs)]
            rows.append([str(seed), name, *cells])
    return rows


def interval(values: np.ndarray, how: Any = np.median) -> str:
    """A statistic over truths, with its 90 % interval by resampling them."""
    rng = np.random.default_rng(0)
    again = [how(values[rng.integers(len(values), size=len(values))]) for _ in range(2000)]
    low, high = np.quantile(again, [0.05, 0.95])
    return f"{how(values):.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    arguments = parser(__doc__, repeats=200)
    arguments.add_argument("--fits", type=int, default=0, metavar="N", help="set so many truths beside fits by MCMC")
    given, load = arguments.parse_args(), load_average()
    warnings.simplefilter("ignore", fs.ForescaleWarning)
    truths = 3 if given.smoke else given.repeats
    table = pd.DataFrame([row for seed in range(truths) for row in of_a_truth(seed)])
    thin = table.groupby("truth")["share"].min() < LEAST_SHARE
    print(f"{truths} truths, of which {thin.sum()} are left out: too few draws carry the weight of a posterior")
    table = table[~table["truth"].isin(thin.index[thin])]
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
        promised = here["promised", "next_runs"].to_numpy()
        told[name]["promised"] = interval(promised.astype(float))
        lines.append([name, "as promised", "", told[name]["promised"], "", "", ""])
    print_table(["forecast", "strategy", *cells], lines)
    beside = beside_mcmc(given.fits)
    if beside:
        print("\nposteriors by weighed draws, and by MCMC: median ± sd\n")
        print_table(["truth", "forecast", "weighed", "MCMC"], beside)
    conclude(__file__, given, load, {"rows": table.to_dict("records"), "told": told, "mcmc": beside})


if __name__ == "__main__":
    main()
