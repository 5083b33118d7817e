"""Gadre et al.'s over-training law on their own runs, beside what they print and beside laws with two exponents.

The table is that of github.com/mlfoundations/scaling (MIT), as ``gadre_overtraining.csv`` in a folder of tables; it is
not part of this project. Losses are those on C4's validation set, in nats per token, N counts embeddings, and there are
three training sets: C4, RedPajama and RefinedWeb, 34 or 35 runs each of 11M to 6.9B parameters and 5 to 640 tokens per
parameter. For each training set:

1. the authors' estimator (scaling/laws.py and shared.py there): least squares on five runs, the four sizes up to 412M
   at 20 tokens per parameter and the 11M at 320. Their code keeps a / 6^eta in place of a; here it is a, as in the
   paper. Then its errors on the runs of 1.4B and 6.9B, of which it has seen none;
2. the posterior of the card on the same five runs, with normal noise (five runs do not say how heavy tails are), and
   its 90 % bands of those runs;
3. the posterior of the card on all runs up to 412M, and of `chinchilla` and `coupled`, with bands of the same runs;
4. the three laws on all runs: leave-one-out elpd, and
5. the three in a backtest that cuts the tables by compute.

In 3 to 5 no model has a drift: that of `chinchilla` and `coupled` was learned from ladders of which these are some, and
the question here is which law is nearer.

Run, three minutes on two cores::

    python benchmarks/overtraining.py --tables FOLDER --json overtraining.json --keep

With --smoke one table is simulated from the published constants, and fits are short. What it showed: README.md beside
this file.
"""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import Beside, conclude, load_average, parser, print_table
from scipy.optimize import curve_fit

import forescale as fs
from forescale.estimates.draws import band

SETS = {"c4_original": "gadre2024_c4", "rpj": "gadre2024_redpajama", "rw_original": "gadre2024_refinedweb"}
SIZES = (10569312.0, 78914048.0, 153677376.0, 411616256.0, 1439795200.0, 6889410560.0)
LARGEST_FITTED = 4.2e8
PRINTED_ERRORS = {("rpj", 1.4, 640): 0.71, ("rpj", 6.9, 20): 0.73}  # percent of loss, of runs not fitted
MODELS = ("overtraining", "chinchilla", "coupled")
SMOKE = {"draws": 500, "tune": 500}


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """The runs, by training set."""
    table = pd.read_csv(folder / "gadre_overtraining.csv").rename(columns={"loss_c4_val": "loss", "name": "run"})
    table = table.astype({"n_params": float, "n_tokens": float})
    columns = ["run", "n_params", "n_tokens", "loss"]
    return {name: table.loc[table["train_data"] == name, columns].reset_index(drop=True) for name in SETS}


def simulated() -> dict[str, pd.DataFrame]:
    """One table of a like design, from the published constants, with one percent of noise."""
    source = fs.published(SETS["rpj"])
    grid = [*itertools.product(SIZES[:4], 5 * 2.0 ** np.arange(8)), (SIZES[4], 20.0), (SIZES[4], 640.0)]
    n, m = np.array(grid).T
    frame = pd.DataFrame({"run": [f"{i}" for i in range(len(n))], "n_params": n, "n_tokens": m * n})
    scatter = 0.01 * np.random.default_rng(0).standard_normal(len(frame))
    return {"rpj": frame.assign(loss=source.law(frame, source.values) * np.exp(scatter))}


def five(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs that the authors fit."""
    ratio = runs["n_tokens"] / runs["n_params"]
    small = runs["n_params"] < LARGEST_FITTED
    tiny = runs["n_params"] == SIZES[0]
    return runs[(small & np.isclose(ratio, 20, rtol=0.01)) | (tiny & np.isclose(ratio, 320, rtol=0.01))]


def by_authors(runs: pd.DataFrame) -> dict[str, float]:
    """Their least squares, from their grid of starts."""
    law = fs.load_model("overtraining").law
    at = {name: runs[name].to_numpy() for name in law.inputs}
    target = runs["loss"].to_numpy()

    def curve(_: Any, first: float, b: float, power: float, floor: float) -> Any:
        eta = -power / 2
        return law(at, {"E": floor, "a": first * 6**eta, "b": b, "eta": eta})

    best, least = None, np.inf
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        for start in itertools.product((1e2, 3e2, 1e3, 3e3), (1e2, 3e2, 1e3, 3e3), (-0.1, -0.3), (0.0, 1.0, 2.0, 10.0)):
            try:
                found, _ = curve_fit(curve, np.zeros(len(target)), target, start, maxfev=10_000)
            except RuntimeError:
                continue
            squares = float(((curve(None, *found) - target) ** 2).sum())
            best, least = (found, squares) if squares < least else (best, least)
    first, b, power, floor = map(float, best)
    return {"E": floor, "a": first * 6 ** (-power / 2), "b": b, "eta": -power / 2}


def fitted(name: str, runs: pd.DataFrame, model: fs.Model, settings: dict[str, int]) -> fs.Fit:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fs.ForescaleWarning)
        table = fs.Observations.from_frame(runs, name=name, counts_embeddings=True)
        return fs.fit(table, model, random_seed=1, progress=False, **settings)


def plain(name: str) -> fs.Model:
    """A card without its drift."""
    return fs.load_model(name).with_discrepancy(None)


def errors(source: fs.Fit, held: pd.DataFrame) -> list[str]:
    """Of each held-out run: error of the median forecast and the 90 % band of a new run, percent of its loss."""
    at = {name: held[name].to_numpy() for name in source.law.inputs}
    table = fs.forecast(source, **at, random_seed=1).table(prob=0.9)
    table = table[table["kind"] == "run"]
    off = 100 * (table[["median", "lower", "upper"]].to_numpy() / held["loss"].to_numpy()[:, None] - 1)
    return [f"{middle:+.2f} [{low:+.1f}, {high:+.1f}]" for middle, low, high in off]


def constants(source: fs.Fit) -> list[str]:
    return [band(source.posterior[name], "{:.4g}".format) for name in ("E", "a", "b", "eta")]


def beside(name: str, source: fs.Fit) -> list[Beside]:
    """The card's constants beside the printed ones, which are of five of these runs."""
    summary, printed = source.summary(prob=0.9), fs.published(SETS[name])
    table, note = f"{name} of Gadre et al., up to 412M", "published: least squares on five of these runs"
    return [
        Beside(
            "overtraining",
            table,
            len(source.observations),
            key,
            printed.values[key],
            printed.name,
            *(float(summary.loc[key, end]) for end in ("median", "lower", "upper")),
            note=note,
        )
        for key in ("E", "a", "b", "eta")
    ]


def measured(name: str, runs: pd.DataFrame, settings: dict[str, int]) -> dict[str, Any]:
    """What 1 to 4 say of one training set, printed."""
    law = fs.load_model("overtraining").law
    printed = fs.published(SETS[name]).values
    chosen, small = five(runs), runs[runs["n_params"] < LARGEST_FITTED]
    held = runs[runs["n_params"] > LARGEST_FITTED].sort_values(["n_params", "n_tokens"])
    theirs = by_authors(chosen)
    off = 100 * (law(held, theirs) / held["loss"] - 1)
    normal = plain("overtraining").with_noise("normal")
    on_five, on_small = fitted(name, chosen, normal, settings), fitted(name, small, plain("overtraining"), settings)
    keys = ("E", "a", "b", "eta")
    rows = [
        ["published", "5", *(f"{printed[key]:g}" for key in keys)],
        ["1 least squares", str(len(chosen)), *(f"{theirs[key]:.4g}" for key in keys)],
        ["2 the card", str(len(chosen)), *constants(on_five)],
        ["3 the card", str(len(small)), *constants(on_small)],
    ]
    print(f"\n{name}\n")
    print_table(["estimate", "runs", *keys], rows)
    laws = MODELS[:1] if settings else MODELS
    fits = {"overtraining": on_small, **{other: fitted(name, small, plain(other), settings) for other in laws[1:]}}
    told = [["1 least squares", *(f"{value:+.2f}" for value in off)], ["2 the card, 5 runs", *errors(on_five, held)]]
    told += [[f"3 {other}, {len(small)} runs", *errors(source, held)] for other, source in fits.items()]
    heads = [f"{n / 1e9:.1f}B, M {d / n:.0f}" for n, d in zip(held["n_params"], held["n_tokens"], strict=True)]
    print("\nerror on runs not fitted, percent of loss, [90 % band of a new run]\n")
    print_table(["estimate", *heads], told)
    everything = [fitted(name, runs, plain(other), settings) for other in laws]
    judged = [*everything, fs.published(SETS[name])]  # the constants have an rms error, and no elpd
    found = fs.compare(*judged, runs=everything[0].observations, random_seed=1, progress=False)
    scores = found.scores[["rms_percent", "elpd", "elpd_diff", "elpd_diff_se", "weight"]]
    print(f"\n4 all {len(runs)} runs, left out one at a time\n")
    lines = []
    for law_name, row in scores.iterrows():
        behind = f"{-row['elpd_diff']:.1f} ± {row['elpd_diff_se']:.1f}" if row["elpd_diff"] else "best"
        told_of = f"{row['elpd']:.1f}", behind, f"{row['weight']:.2f}"
        lines.append([str(law_name), f"{row['rms_percent']:.2f}", *("" if "nan" in cell else cell for cell in told_of)])
    print_table(["law", "rms, %", "elpd", "behind by", "weight"], lines)
    kept = beside(name, on_small)
    for n, d, error in zip(held["n_params"], held["n_tokens"], off, strict=True):
        size, ratio = round(n / 1e9, 1), round(d / n)
        if (name, size, ratio) in PRINTED_ERRORS:
            what = f"error of {size}B at {ratio} tokens per parameter, %"
            told_where, note = f"{name} of Gadre et al.", "the authors' least squares, done again; absolute errors"
            error_printed = PRINTED_ERRORS[name, size, ratio]
            kept.append(Beside("overtraining", told_where, 5, what, error_printed, SETS[name], abs(error), note=note))
    return {"constants": rows, "errors": told, "heads": heads, "scores": scores.to_dict("index"), "beside": kept}


def in_backtest(tables: dict[str, pd.DataFrame]) -> dict[str, Any]:
    """The three laws on every table, cut by compute."""
    runs = [fs.Observations.from_frame(frame, name=name, counts_embeddings=True) for name, frame in tables.items()]
    found = fs.backtest(runs, [plain(name) for name in MODELS], by="flops", random_seed=1, workers=1, progress=False)
    print("\n5 backtest by compute, the laws without drift\n")
    print(found)
    print(found.by_table().to_string(index=False))
    return {"total": found.table(None).to_dict("records"), "by_table": found.by_table().to_dict("records")}


def main() -> None:
    arguments = parser(__doc__, repeats=1)
    arguments.add_argument("--tables", type=Path, metavar="FOLDER", help="where gadre_overtraining.csv is")
    given, load = arguments.parse_args(), load_average()
    if given.tables is None and not given.smoke:
        arguments.error("name the folder with gadre_overtraining.csv by --tables, or take --smoke")
    tables = simulated() if given.smoke else read(given.tables)
    found: dict[str, Any] = {
        name: measured(name, frame, SMOKE if given.smoke else {}) for name, frame in tables.items()
    }
    kept = [row for of in found.values() for row in of.pop("beside")]
    if not given.smoke:
        found |= {"backtest": in_backtest(tables)}
    conclude(__file__, given, load, found, kept)


if __name__ == "__main__":
    main()
