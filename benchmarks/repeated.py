"""What repeated tokens and excess parameters are worth: the data-constrained law on the runs of its authors.

Muennighoff et al. (2023) hold E, A, B, alpha and beta to a fit of 54 points that were read off Hoffmann et al.'s C4
figure, and fit R_D* and R_N* alone, by Huber's loss on 182 of their runs: 15.39 and 5.31 (utils/parametric_fit.ipynb in
their repository). Here, on those runs of the table that they fit:

1. their estimator, begun at what they print and from everywhere, with a bootstrap over runs;
2. the posterior of the card with the base law held to their numbers, within 0.1 percent;
3. the posterior of the card as it is, which learns the base law from the same runs;
4. the same without the runs that overfit: those whose loss is 0.5 percent above that of a run with fewer epochs or
   fewer parameters, and otherwise alike. The law cannot rise, so it has nothing to say of them;
5. chinchilla on the runs of 3, for which every token is new.

Then what a budget buys, by printed numbers and by 4: the best split of the FLOPs of their 8.7B model with 25B different
tokens, for which their own grid search gives 227B tokens, 9.1 epochs and 6.8B parameters.

Run, a minute and a half on two cores::

    python benchmarks/repeated.py --tables FOLDER --json repeated.json --keep

FOLDER holds datablations.csv: run_name, n_params, n_tokens, unique_tokens, loss (C4 validation, nats per token) and
variant. With --smoke a simulated table takes its place. What it showed: README.md beside this file.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from measure import Beside, conclude, load_average, print_table
from scipy.optimize import minimize

import forescale as fs
from forescale.estimates.draws import band

STARS = ("R_D_star", "R_N_star")
PRINTED = fs.published("muennighoff2023")
BASE = {name: value for name, value in PRINTED.values.items() if name not in STARS}
# Runs that the authors' notebook takes for outliers: commented out where it loads what it fits, in its order.
OUTLIERS = """
2b84b4b 2b88b4b 2b812b4b 2b816b4b 2b824b4b 2b855b1b25 4b212b12b 4b224b12b 4b284b1b9 4b284b6b 2b8100m100m 14m7b5100m
14m300b100m 1b12b7100m 1b13b9100m 1b15b9100m 1b17b5100m 619m3b9100m 619m5b9100m 619m7b5100m 2b84b8100m 1b58b8100m
1b112b100m 619m22b100m 221m91b400m 221m174b400m 221m600b400m 8b712b12b 8b712b1b5 8b712b400m 8b712b100m 3b926b1b5
2b836b1b5 2b836b400m 2b836b100m 2b246b400m 2b246b100m 1b566b1b5 1b566b100m 1b191b400m 1b191b1b5 1b1250b1b5 1b5174b1b5
2b291b1b5 2b2174b1b5 8b720b1b5 2b877b1b5 421m300b1b5
"""
LAW = PRINTED.law
BUDGET, POOL = 6 * 8.67e9 * 178e9, 25e9


def authors_runs(folder: Path) -> pd.DataFrame:
    """The runs that the authors fit, without repeated seeds; one of their 182, 8b7178b13b, is not in the table."""
    table = pd.read_csv(folder / "datablations.csv")
    fitted = table[(table["variant"] == "standard") & ~table["run_name"].isin(OUTLIERS.split())]
    return fitted.rename(columns={"run_name": "run"})[["run", "n_params", "n_tokens", "unique_tokens", "loss"]]


def simulated(runs: int = 60) -> pd.DataFrame:
    """A table of the printed law, with one percent of noise."""
    rng = np.random.default_rng(0)
    n, u = 10 ** rng.uniform(7, 10, runs), 10 ** rng.uniform(8, 11, runs)
    table = pd.DataFrame({"n_params": n, "n_tokens": u * 10 ** rng.uniform(0, 2, runs), "unique_tokens": u})
    return table.assign(loss=LAW(table, PRINTED.values) * np.exp(0.01 * rng.standard_normal(runs)))


def overfits(runs: pd.DataFrame, tolerance: float = 0.005) -> np.ndarray:
    """Whether a run is above one of fewer epochs, or of fewer parameters, that is otherwise alike."""
    found = np.zeros(len(runs), dtype=bool)
    for longer in ("n_tokens", "n_params"):
        alike = [name for name in ("n_params", "n_tokens", "unique_tokens") if name != longer]
        ordered = runs.sort_values(longer, kind="stable")
        least = ordered.groupby(alike)["loss"].cummin().reindex(runs.index)
        found |= (runs["loss"] > (1 + tolerance) * least).to_numpy()
    return found


def huber(log_stars: Any, runs: pd.DataFrame, delta: float = 1e-3) -> float:
    """The authors' objective: Huber's loss of the log loss, the base law held."""
    values = {**BASE, **dict(zip(STARS, np.exp(log_stars), strict=True))}
    at = {name: runs[name].to_numpy() for name in (*LAW.inputs, "loss")}  # a Series takes ten times as long
    off = np.abs(np.log(LAW(at, values) / at["loss"]))
    return float(np.where(off < delta, off**2 / 2, delta * (off - delta / 2)).sum())


def minimum(runs: pd.DataFrame, starts: list[tuple[float, float]]) -> tuple[np.ndarray, float]:
    """The lowest of the minima found from some starts."""
    options = {"xatol": 1e-6, "fatol": 1e-12}
    found = [minimize(huber, np.log(start), (runs,), method="Nelder-Mead", options=options) for start in starts]
    best = min(found, key=lambda each: each.fun)
    return np.exp(best.x), float(best.fun)


def by_huber(runs: pd.DataFrame, refits: int) -> tuple[list[list[str]], dict[str, Any]]:
    """The authors' minimum, the lowest, and intervals of it over tables of runs drawn again."""
    theirs, at_theirs = minimum(runs, [tuple(PRINTED.values[star] for star in STARS)])
    everywhere = [(d, n) for d in (5.0, 15.0, 45.0) for n in (2.0, 6.0)]
    lowest, at_lowest = minimum(runs, everywhere)
    rng = np.random.default_rng(1)
    again = [runs.sample(len(runs), replace=True, random_state=rng) for _ in range(refits)]
    drawn = np.array([minimum(table, [(15.0, 5.0), (45.0, 2.3)])[0] for table in again])
    ends = np.quantile(drawn, [0.05, 0.95], axis=0)
    interval = [f" [{low:.3g}, {high:.3g}]" for low, high in ends.T]
    rows = [
        [
            "1 Huber, the authors' minimum",
            str(len(runs)),
            *(f"{value:.2f}" for value in theirs),
            "",
            f"{at_theirs:.6f}",
        ],
        ["1 Huber, lowest; bootstrap", str(len(runs))]
        + [f"{value:.2f}{told}" for value, told in zip(lowest, interval, strict=True)]
        + ["", f"{at_lowest:.6f}"],
    ]
    return rows, {"theirs": theirs.tolist(), "lowest": lowest.tolist(), "bootstrap": drawn.tolist()}


def held() -> fs.Model:
    """The card with the base law as printed, within 0.1 percent."""
    model = fs.load_model("data_constrained")
    sizes = {name: model.reference[term.size] ** BASE[term.exponent] for name, term in model.law.terms.items()}
    at = {name: float(value / sizes.get(name, 1.0)) for name, value in BASE.items()}
    return model.with_priors(**{name: fs.Prior("lognormal", median=at[name], sigma=1e-3) for name in BASE})


def fitted(runs: pd.DataFrame, model: fs.Model | str, settings: dict[str, int]) -> fs.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fs.ForescaleWarning)  # of few draws, and of residuals: the table tells of both
        try:
            return fs.fit(fs.Observations.from_frame(runs, columns={"flops": None}), model, random_seed=1, **settings)
        except fs.ConvergenceError as error:
            print(f"not converged: {str(error)[:60]}...")
            return error.fit


def off_by(source: fs.Fit) -> float:
    """Median absolute error of the posterior median curve, percent of loss."""
    runs = source.observations
    at = {name: xr.DataArray(runs.column(name), dims="run") for name in source.law.inputs}
    curve = source.law(at, source.posterior).median(("chain", "draw"))
    return 100 * float(np.median(np.abs(np.log(curve.to_numpy() / runs.column("loss")))))


def interval(values: Any) -> str:
    return band(values, "{:.3g}".format)


def by_posterior(name: str, source: fs.Fit) -> list[str]:
    stars = [interval(source.posterior[star]) if star in source.posterior else "" for star in STARS]
    exponents = f"{float(source.posterior['alpha'].median()):.3f}, {float(source.posterior['beta'].median()):.3f}"
    return [name, str(len(source.observations)), *stars, exponents, f"{off_by(source):.2f} %"]


def splits(sources: dict[str, Any]) -> tuple[list[list[str]], dict[str, Any]]:
    """The best split of the budget, with the pool and without a limit."""
    rows, numbers = [], {}
    for name, source in sources.items():
        for pool in (POOL, float("inf")):
            found = fs.allocate(source, BUDGET, unique_tokens=pool).draws.isel(budget=0)
            told = [interval(found[of] / unit) for of, unit in (("n_params", 1e9), ("n_tokens", 1e9), ("epochs", 1))]
            if np.isinf(pool):
                told[-1] = ""
            rows.append([name, "no limit" if np.isinf(pool) else f"{pool / 1e9:g}B", *told])
            numbers[f"{name}, {pool:g}"] = told
    return rows, numbers


def beside(numbers: dict[str, Any], runs: int, fits: dict[str, fs.Fit]) -> list[Beside]:
    """R_D* and R_N* beside what is printed: by the authors' estimator, and by the posteriors of the card."""
    tables = "Muennighoff et al.'s runs"
    drawn = np.quantile(numbers["bootstrap"], [0.05, 0.95], axis=0)
    found = [
        Beside("data_constrained", tables, runs, star, PRINTED.values[star], PRINTED.name, value, low, high, note)
        for star, value, low, high in zip(STARS, numbers["lowest"], *drawn, strict=True)
        for note in ("the authors' estimator, its lowest minimum; bootstrap over runs",)
    ]
    for name, source in fits.items():
        for star in (star for star in STARS if star in source.posterior):
            low, middle, high = source.posterior[star].quantile([0.05, 0.5, 0.95]).to_numpy().tolist()
            size, printed = len(source.observations), (PRINTED.values[star], PRINTED.name)
            ours = (middle, low, high, f"posterior, {name[2:]}")
            found.append(Beside("data_constrained", tables, size, star, *printed, *ours))
    return found


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=Path, metavar="FOLDER", help="where datablations.csv is")
    parser.add_argument("--smoke", action="store_true", help="tiny sizes, and a simulated table: does it still work?")
    parser.add_argument("--json", type=Path, metavar="PATH", help="also write every number to this file")
    parser.add_argument("--keep", action="store_true", help="keep numbers beside published ones in beside.json")
    parser.set_defaults(repeats=1)
    given = parser.parse_args()
    if not given.smoke and given.tables is None:
        parser.error("--tables says where datablations.csv is; --smoke needs none")
    return given


def main() -> None:
    given, load = arguments(), load_average()
    runs = simulated() if given.smoke else authors_runs(given.tables)
    settings = {"draws": 200, "tune": 200, "chains": 2} if given.smoke else {}
    rows, numbers = by_huber(runs, 3 if given.smoke else 200)
    free = "data_constrained"
    rest = runs if given.smoke else runs[~overfits(runs)]
    fits = {"3 card": fitted(runs, free, settings)}
    if not given.smoke:
        fits = {"2 card, base held": fitted(runs, held(), settings), **fits}
        fits |= {
            "4 card, none overfits": fitted(rest, free, settings),
            "5 chinchilla": fitted(runs, "chinchilla", settings),
        }
    rows += [by_posterior(name, source) for name, source in fits.items()]
    published = ", ".join(f"{star} {PRINTED.values[star]:.2f}" for star in STARS)
    print(f"published: {published}; 90 % equal-tailed intervals\n")
    print_table(["estimate", "runs", "R_D*", "R_N*", "alpha, beta", "objective, or typical error"], rows)
    best = fits["3 card" if given.smoke else "4 card, none overfits"]
    print(f"\nthe best split of {BUDGET:.3g} FLOPs; bands of kind mean, the law's curve\n")
    found, of_splits = splits({"printed": PRINTED, "card": best})
    print_table(["estimate", "different tokens", "N, 1e9", "D, 1e9", "epochs"], found)
    results = {"table": rows, "huber": numbers, "splits": of_splits}
    conclude(__file__, given, load, results, beside(numbers, len(runs), fits))


if __name__ == "__main__":
    main()
