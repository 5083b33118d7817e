"""Choosing runs by what they tell, against a geometric ladder and chance, at equal compute.

Each truth is drawn from the priors of the card ``chinchilla``, with noise of half a percent. Eight small runs are done
and fitted by MCMC. Then every strategy spends the same compute, its runs are done, and all are fitted again:

- ``next_runs``: the batch that `next_runs` chooses for the forecast, among 40 candidates;
- ``ladder``: five runs at 20 tokens per parameter, each of four times the compute of the one before;
- ``chance``: candidates at random until the compute is spent.

Measured per forecast: the posterior standard deviation afterwards, over that before, and the error of the median, both
on the scale of the forecast (log10 N*, nats), beside what `next_runs` had promised. Strategies are compared truth by
truth, with an interval by resampling truths.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import pandas as pd
from measure import conclude, load_average, parser, print_table

import forescale as fs

SIGMA, NU = 0.005, 5.0
SIZES = np.geomspace(3e7, 3e8, 4)
START = pd.DataFrame({"n_params": np.repeat(SIZES, 2), "n_tokens": np.repeat(SIZES, 2) * np.tile([10.0, 40.0], 4)})
#: Compute that is left: about ten times that of the eight runs.
BUDGET = 1e20
GRID = [(n, r) for n in np.geomspace(3e7, 2e9, 8) for r in (3, 10, 30, 100, 300)]
CANDIDATES = pd.DataFrame([{"n_params": n, "n_tokens": r * n} for n, r in GRID if 6 * n * r * n <= BUDGET])
FORECASTS: dict[str, dict[str, Any]] = {
    "loss of 7B on 140B tokens": {"of": "loss", "n_params": 7e9, "n_tokens": 1.4e11},
    "log10 N* at 1e23 FLOPs": {"of": "n_params", "compute": 1e23},
}
STRATEGIES = ("next_runs", "ladder", "chance")
SMOKE = {"draws": 60, "tune": 100, "chains": 2, "retry": False}
REAL = {"draws": 500, "tune": 500, "retry": False}


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


def done(law: fs.Law, truth: dict[str, float], runs: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Runs with their losses."""
    loss = law(runs, truth) * np.exp(SIGMA * rng.standard_t(NU, len(runs)))
    return runs[["n_params", "n_tokens"]].assign(loss=loss)


def fitted(frame: pd.DataFrame, settings: dict[str, Any], seed: int) -> fs.Fit | None:
    """A fit, or nothing where it does not converge (in a smoke run, whatever came)."""
    runs = frame.reset_index(drop=True).assign(run=lambda f: [f"run {i}" for i in range(len(f))])
    try:
        return fs.fit(runs, MODEL, random_seed=seed, progress=False, **settings)
    except fs.ConvergenceError as error:
        return error.fit if settings is SMOKE else None  # type: ignore[return-value]


MODEL = fs.load_model("chinchilla").with_discrepancy(None)


def asked(source: fs.Fit, question: dict[str, Any]) -> np.ndarray:
    """Draws of a forecast."""
    if question["of"] == "loss":
        at = {name: question[name] for name in ("n_params", "n_tokens")}
        return fs.forecast(source, at, random_seed=0).draws["mean"].to_numpy().ravel()
    return np.log10(fs.allocate(source, question["compute"]).draws["n_params"].to_numpy().ravel())


def true(law: fs.Law, truth: dict[str, float], question: dict[str, Any]) -> float:
    """What is to be forecast."""
    if question["of"] == "loss":
        return float(law(question, truth))
    a, alpha, b, beta = law.powers(truth)
    size = (alpha * a / (beta * b)) ** (1 / (alpha + beta)) * (question["compute"] / 6) ** (beta / (alpha + beta))
    return float(np.log10(size))


def of_a_truth(seed: int, settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Every strategy on one truth: a row for each forecast and strategy; none where a fit fails."""
    rng = np.random.default_rng(seed)
    law = MODEL.law
    truth = {name: float(values[0, 0]) for name, values in MODEL.sample_prior(1, rng).items()}
    before = fitted(start := done(law, truth, START, rng), settings, seed)
    if before is None:
        return []
    rows, fits = [], {}
    for name, question in FORECASTS.items():
        now = asked(before, question)
        chosen = fs.next_runs(before, CANDIDATES, **question, budget=BUDGET)
        batches = {"next_runs": chosen.batch, "ladder": ladder(), "chance": chance(np.random.default_rng([seed, 1]))}
        for strategy, batch in batches.items():
            key = (name if strategy == "next_runs" else "", strategy)  # the others do not depend on the question
            if key not in fits:
                news = done(law, truth, batch, np.random.default_rng([seed, 2]))
                fits[key] = fitted(pd.concat([start, news]), settings, seed)
            if fits[key] is None:
                return []
            then = asked(fits[key], question)
            row = {"truth": seed, "forecast": name, "strategy": strategy, "runs": len(batch)}
            row |= {"sd": then.std() / now.std(), "error": abs(np.median(then) - true(law, truth, question))}
            row |= {"error_before": abs(np.median(now) - true(law, truth, question))}
            row |= {"promised": float(np.sqrt(chosen.batch["remaining"].iloc[-1]))} if strategy == "next_runs" else {}
            rows.append(row)
    return rows


def interval(values: np.ndarray, how: Any = np.median) -> str:
    """A statistic over truths, with its 90 % interval by resampling them."""
    rng = np.random.default_rng(0)
    again = [how(values[rng.integers(len(values), size=len(values))]) for _ in range(2000)]
    low, high = np.quantile(again, [0.05, 0.95])
    return f"{how(values):.2f} [{low:.2f}, {high:.2f}]"


def main() -> None:
    arguments = parser(__doc__, repeats=40)
    given, load = arguments.parse_args(), load_average()
    truths, settings = (1, SMOKE) if given.smoke else (given.repeats, REAL)
    warnings.simplefilter("ignore", fs.ForescaleWarning)
    rows = [row for seed in range(truths) for row in of_a_truth(seed, settings)]
    table = pd.DataFrame(rows)
    print(f"{table['truth'].nunique()} of {truths} truths, all of whose fits converged\n")
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
    conclude(__file__, given, load, {"rows": rows, "told": told})


if __name__ == "__main__":
    main()
