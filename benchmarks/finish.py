"""Final losses of training runs, forecast from their first parts: bands, and baselines beside them.

The table is ``multipowerlaw_curves.csv`` in a folder of tables, the curves of github.com/thu-yao-01-luo/MultiPowerLaw
(MIT): three sizes, each under nine schedules, with 2,160 steps of warm-up. It is not part of this project.

Each curve is stopped at some shares of its steps; its final loss is forecast from what was seen and the learning rates
still to come. Beside `forescale.finish` stand

- *last loss*: the last one seen;
- *power of steps*: E + B / step^beta through the same points by least squares, without the schedule;
- *least squares*: the law of `finish` through the same points, without its priors.

These have no bands of their own and are given normal ones on log loss, with the mean and standard deviation of their
errors at that share on the curves of the two other sizes: they are told how wrong they are, `finish` is not.

What was chosen on these curves was chosen on those of 25M parameters, where the law's form was looked at, too: the
standard error of a point (0.15 %), how much is left out after warm-up, and the number of points. The memory of 1,000
steps is Tissue et al.'s. So 100M and 400M are the test, though no blind one: least-squares fits of all three sizes, and
forecasts of these two, had been looked at while this was built.

*finish, told R* is finish with a prior of R, what annealing takes off, from the whole annealed curves of the other
sizes: lognormal about the median of their medians, with their spread and at least 0.15. A laboratory would do so
that has annealed runs of the same recipe before.

Two more questions: the law fitted to some schedules forecasts the final losses of the others, and the law of several
sizes, fitted to 25M and 100M, those of 400M.

Run::

    python benchmarks/finish.py --tables FOLDER --json finish.json

With --smoke the curves are simulated, and few. What it showed: README.md beside this file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import conclude, load_average, parser, print_table
from scipy.optimize import least_squares

import forescale as fs
from forescale.checking.scoring import score

WARMUP = 2160
SHARES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
#: Which schedules the law is fitted to, whole, to forecast the others'.
FITTED = (("constant_24000", "cosine_24000"), ("constant_72000", "wsdcon_9"), ("cosine_24000", "wsdcon_3"))
BASELINES = ("last loss", "power of steps", "least squares")
Curves = Mapping[tuple[float, str], pd.DataFrame]


def read(folder: Path) -> Curves:
    """A curve for each size and schedule: step, lr, loss."""
    frame = pd.read_csv(folder / "multipowerlaw_curves.csv").sort_values("step")
    return {key: curve[["step", "lr", "loss"]] for key, curve in frame.groupby(["n_params_nominal", "schedule"])}


def simulated() -> Curves:
    """Curves of the same kind, from the law itself."""
    law, step = fs.load_model("annealed_sizes").law, np.arange(2200, 12_001, 100)
    truth = {"E": 1.7, "A": 400.0, "alpha": 0.34, "B": 45.0, "beta": 0.55, "R": 0.12, "gamma": 1.0}
    plans = {
        "constant_24000": fs.Schedule.constant(12_000, warmup=WARMUP),
        "cosine_24000": fs.Schedule.cosine(12_000, warmup=WARMUP),
    }
    made = {}
    for size in (25e6, 100e6, 400e6):
        for name, plan in plans.items():
            at = {"n_params": size, "peak_steps": plan.peak_steps(step), "cooling": plan.cooling(step)}
            made[size, name] = pd.DataFrame({"step": step, "lr": plan.rate(step), "loss": law(at, truth)})
    return made


def plan_of(curve: pd.DataFrame) -> fs.Schedule:
    """All its learning rates."""
    return fs.Schedule.from_table(curve["step"], curve["lr"], warmup=WARMUP)


def points_of(*curves: pd.DataFrame, sizes: tuple[float, ...] = ()) -> fs.Observations:
    """Points of whole curves, each on its own schedule."""
    tables = [curve[["step", "loss"]].assign(run=f"curve {i}") for i, curve in enumerate(curves)]
    for table, size in zip(tables, sizes, strict=False):
        table["n_params"] = size
    plans = {f"curve {i}": plan_of(curve) for i, curve in enumerate(curves)}
    return fs.checkpoints(pd.concat(tables), plans)


def least(residuals: Callable[[Any], Any], start: list[float]) -> Any:
    """Least squares in the logs of positive parameters."""
    with np.errstate(over="ignore"):
        found = least_squares(residuals, np.log(start), bounds=(np.log(1e-4), np.log(1e3)), x_scale=0.1)
    return np.exp(found.x)


def plain(seen: pd.DataFrame, plan: fs.Schedule) -> dict[str, float]:
    """Log of the final loss by each baseline."""
    runs = fs.checkpoints(seen, plan)
    step, loss = runs.column("step") / 1e4, np.log(runs.column("loss"))
    s, x = runs.column("peak_steps") / 1e4, runs.column("cooling")
    end = plan.steps
    one = least(lambda z: np.log(np.exp(z[0]) + np.exp(z[1]) * step ** -np.exp(z[2])) - loss, [2.3, 0.4, 0.6])

    def law(p: Any, s: Any, x: Any) -> Any:
        return np.log(p[0] + p[1] * s ** -p[2] + p[3] * x ** -p[4])

    own = least(lambda z: law(np.exp(z), s, x) - loss, [2.3, 0.3, 0.6, 0.1, 1.0])
    return {
        "last loss": float(np.log(seen["loss"].iloc[-1])),
        "power of steps": float(np.log(one[0] + one[1] * (end / 1e4) ** -one[2])),
        "least squares": float(law(own, plan.peak_steps(end) / 1e4, plan.cooling(end))),
    }


def told(curves: Curves, size: float, **settings: Any) -> fs.Model:
    """The card with a prior of R from annealed curves of the other sizes."""
    logs = []
    for (other, schedule), curve in curves.items():
        if other != size and not schedule.startswith("constant"):
            fit = fs.fit(points_of(curve), "annealed", random_seed=1, **settings)
            logs.append(float(np.log(fit.posterior["R"]).median()))
    prior = fs.Prior("lognormal", median=float(np.exp(np.median(logs))), sigma=max(0.15, float(np.std(logs))))
    print(f"R told to {size / 1e6:.0f}M, from {len(logs)} curves of other sizes: {prior.in_words}")
    return fs.load_model("annealed").with_priors(R=prior)


def forecasts(curves: Curves, shares: tuple[float, ...], models: Mapping[float, Any], **settings: Any) -> pd.DataFrame:
    """A row for each curve, share and method: draws of the final loss, or its log without a band; or a refusal."""
    rows = []
    for (size, schedule), curve in curves.items():
        plan, final = plan_of(curve), float(curve["loss"].iloc[-1])
        for share in shares:
            seen = curve.loc[curve["step"] <= share * plan.steps, ["step", "loss"]]
            where = {"size": size, "schedule": schedule, "share": share, "final": final}
            asked = {"at": [plan.steps], "random_seed": 1, "progress": False, **settings}
            try:
                found = fs.finish(seen, plan, **asked)
                own = fs.finish(seen, plan, model=models[size], **asked) if size in models else None
            except fs.ForescaleError as error:
                rows.append({**where, "method": "finish", "refused": f"{type(error).__name__}: {error}"})
                continue
            for method, made in (("finish", found), ("finish, told R", own)):
                if made is not None:
                    rows.append({**where, "method": method, "draws": made.final.to_numpy().ravel(), "refused": ""})
            rows += [{**where, "method": name, "log": log, "refused": ""} for name, log in plain(seen, plan).items()]
    return pd.DataFrame(rows)


def with_bands(found: pd.DataFrame) -> pd.DataFrame:
    """Scores of every forecast; baselines with normal bands from their errors on the other sizes at that share."""
    rng, rows = np.random.default_rng(0), []
    asked = found[found["refused"] == ""]
    for row in asked.to_dict("records"):
        draws = row.get("draws")
        if row["method"] in BASELINES:
            like = asked[(asked["method"] == row["method"]) & (asked["share"] == row["share"])]
            others = like[like["size"] != row["size"]]
            errors = np.log(others["final"]) - others["log"]
            if len(errors) < 3:
                continue
            draws = np.exp(row["log"] + errors.mean() + errors.std(ddof=1) * rng.standard_normal(4000))
        scores = {name: float(value[0]) for name, value in score([row["final"]], draws[:, None]).items()}
        width = 100 * np.log(scores["upper"] / scores["lower"])
        rows.append({name: row[name] for name in ("size", "schedule", "share", "method")} | scores | {"width": width})
    return pd.DataFrame(rows)


def by(scores: pd.DataFrame, *keys: str) -> pd.DataFrame:
    """Means of the scores of a method, and the root mean square of its medians' errors."""
    held = {f"{p} %": (f"covered_{p}", "mean") for p in (50, 80, 90)}
    ordered = scores.sort_values([*keys], kind="stable") if keys else scores
    return ordered.groupby([*keys, "method"], sort=False).agg(
        forecasts=("crps", "size"),
        **held,
        width=("width", "mean"),
        crps=("crps", "mean"),
        rms=("bias", lambda error: float(np.sqrt(np.mean(error**2)))),
    )


def show(title: str, table: pd.DataFrame) -> None:
    """Print a table of scores."""
    print(f"\n{title}")
    flat = table.reset_index()
    cells = [[f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row] for row in flat.to_numpy()]
    print_table([str(name) for name in flat], cells)


def across(curves: Curves, **settings: Any) -> pd.DataFrame:
    """The law fitted to whole curves of some schedules of a size, at the final losses of its other schedules."""
    rows = []
    for size in dict.fromkeys(size for size, _ in curves):
        for fitted in FITTED:
            if not all((size, name) in curves for name in fitted):
                continue
            fit = fs.fit(points_of(*(curves[size, name] for name in fitted)), "annealed", random_seed=1, **settings)
            rest = [name for other, name in curves if other == size and name not in fitted]
            told = {"size": size, "method": " + ".join(fitted)}
            rows += [told | {"schedule": name} | scored(fit, curves[size, name]) for name in rest]
    return pd.DataFrame(rows)


def to_larger(curves: Curves, **settings: Any) -> pd.DataFrame:
    """The law of sizes, fitted to all but the largest, at the final losses of that."""
    largest = max(size for size, _ in curves)
    fitted = [key for key in curves if key[0] < largest]
    runs = points_of(*(curves[key] for key in fitted), sizes=tuple(size for size, _ in fitted))
    fit = fs.fit(runs, "annealed_sizes", random_seed=1, **settings)
    told = {"size": largest, "method": "annealed_sizes"}
    rest = {name: curve for (size, name), curve in curves.items() if size == largest}
    return pd.DataFrame([{**told, "schedule": name} | scored(fit, curve, largest) for name, curve in rest.items()])


def scored(fit: fs.Fit, curve: pd.DataFrame, size: float | None = None) -> dict[str, float]:
    """Scores of a fit at the last step of a curve."""
    plan = plan_of(curve)
    at = {"peak_steps": plan.peak_steps([plan.steps]), "cooling": plan.cooling([plan.steps])}
    run = fs.forecast(fit, at | ({} if size is None else {"n_params": [size]}), random_seed=1).draws["run"]
    scores = score([float(curve["loss"].iloc[-1])], run.to_numpy().reshape(-1, 1))
    found = {name: float(value[0]) for name, value in scores.items()}
    return found | {"width": 100 * float(np.log(found["upper"] / found["lower"]))}


def main() -> None:
    arguments = parser(__doc__, repeats=1)
    arguments.add_argument("--tables", type=Path, metavar="FOLDER", help="where multipowerlaw_curves.csv is")
    given, load = arguments.parse_args(), load_average()
    if given.tables is None and not given.smoke:
        arguments.error("name the folder with multipowerlaw_curves.csv by --tables, or take --smoke")
    warnings.simplefilter("ignore", fs.ForescaleWarning)
    curves = simulated() if given.smoke else read(given.tables)
    careful = {"progress": False, "tune": 1000, "target_accept": 0.97}
    if given.smoke:
        found = forecasts({key: curves[key] for key in list(curves)[:3]}, (0.1, 0.6), {}, draws=300, tune=600)
    else:
        models = {size: told(curves, size, **careful) for size in dict.fromkeys(size for size, _ in curves)}
        found = forecasts(curves, SHARES, models)
    refused = found[found["refused"] != ""]
    print(f"{len(found[found['method'] == 'finish'])} asked, {len(refused)} refused:")
    for (share, why), rows in refused.assign(why=refused["refused"].str.split(":").str[0]).groupby(["share", "why"]):
        print(f"  at {share:.0%}: {len(rows)}, {why}")
    scores = with_bands(found)
    test = scores[scores["size"] > 25e6]
    results = {
        "scores": scores.to_dict("records"),
        "refused": refused.drop(columns=["draws", "log"]).to_dict("records"),
    }
    if not given.smoke:
        show(
            "100M and 400M, by share of the run seen (width of 90 % bands, CRPS and rms error in % of loss)",
            by(test, "share"),
        )
        show("100M and 400M, all shares", by(test))
        show("25M, on which was chosen", by(scores[scores["size"] == 25e6]))
        mine = test[test["method"].str.startswith("finish")]
        show("finish on 100M and 400M, by schedule", by(mine, "schedule"))
    else:
        show("simulated", by(scores))
    others = across(curves, **careful)
    if len(others):
        show("Final losses of other schedules, by the law fitted to whole curves", by(others, "size"))
    larger = pd.DataFrame() if given.smoke else to_larger(curves, **careful)
    if len(larger):
        show("Final losses of the largest size, by the law of sizes fitted to the smaller ones", by(larger))
    conclude(
        __file__, given, load, {**results, "across": others.to_dict("records"), "larger": larger.to_dict("records")}
    )


if __name__ == "__main__":
    main()
