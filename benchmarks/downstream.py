"""Links from loss to accuracy on Gadre et al.'s evaluations: small runs fitted, the 1.4B and 6.9B runs forecast.

The tables are Gadre et al.'s (github.com/mlfoundations/scaling, MIT), as ``gadre_downstream.csv`` and
``gadre_overtraining.csv`` in a folder of tables; they are not part of this project. Three training sets, 31 or 32 runs
each of 11M to 412M parameters and 5 to 640 tokens per parameter, and three of 1.4B and 6.9B; 20 tasks. Accuracies are
exact match where a task is of language modelling. Loss is on C4 validation text: models of one such loss differ by what
they were trained on, so that each training set has links and a loss law of its own.

For every training set and task the link is fitted to the runs below a billion parameters. Scored are bands of accuracy
of the nine larger runs, with the drift of the link learned without that task (``link_drift.py``), and without any,
- at their measured loss, so that the link alone is scored;
- at a loss forecast by the law fitted to the same small runs (``--law``), drift and noise included: the whole chain.

Beside it stands the published link, error = epsilon - k exp(-gamma L), by least squares with 100 bootstrap refits over
runs, its bands with the residuals of the fit drawn as noise. For the mean over tasks, which is what Gadre et al.
forecast, both are taken as the mean over tasks of each draw, and the published link is also fitted to the mean itself,
as they do. Shares inside bands of 50, 80 and 90 %; CRPS, interval score and width of 90 % in points of accuracy, lower
is better; bias, above zero where accuracy was forecast too high. Tasks of which a link does not converge are counted,
and left out of all.

With ``--ranks N`` N tables are drawn from the priors of each link, of 30 runs each, half of them with four choices, and
fitted: ranks of truths among 99 draws are uniform if sampler and model agree (simulation-based calibration). What did
not converge is counted, and left out. A quarter as many tables whose runs scatter twice as far as said must fail.

Run::

    python benchmarks/downstream.py --tables FOLDER --json downstream.json
    python benchmarks/downstream.py --ranks 100 --json link_ranks.json

With --smoke two tasks are simulated, and fits are short.

What it showed: README.md beside this file.
"""

from __future__ import annotations

import tomllib
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import Beside, conclude, load_average, parser, print_table
from scipy.optimize import least_squares

import forescale as fs
from forescale.belief.discrepancy import Discrepancy
from forescale.belief.link_model import SCATTER, draw_hits, wandered
from forescale.laws.links import floor
from forescale.numbers.uniformity import chi2_p, coverage, ecdf_p, spaced

DRIFT = Path(__file__).parent.parent / "models" / "drift" / "links.toml"
SMALL = 1e9
PROBS = (0.5, 0.8, 0.9)
BOOTSTRAP = 100
SMOKE = {"draws": 300, "tune": 300}
FULL = {"draws": 600}
MEAN = "mean over tasks"
COLUMNS = ["in_50", "in_80", "in_90", "crps", "interval", "width", "bias"]
SETS = {"c4_original": "C4", "rpj": "RedPajama", "rw_original": "RefinedWeb"}


def read(folder: Path) -> fs.Outcomes:
    """All runs and tasks."""
    return fs.Outcomes.read(folder / "gadre_downstream.csv", columns={"loss": "loss_c4_val"}, name="gadre")


def simulated() -> fs.Outcomes:
    """A table of the same columns: one training set, one task that is learned and one that small runs do not show."""
    rng = np.random.default_rng(0)
    n = np.repeat([1.1e7, 7.9e7, 1.5e8, 4.1e8, 1.4e9, 6.9e9], 5)
    d = np.tile([5.0, 20.0, 80.0, 160.0, 320.0], 6) * n
    loss = (1.8 + 480 / n**0.35 + 2000 / d**0.36) * np.exp(0.004 * rng.standard_normal(len(n)))
    tables = []
    for task, middle, chance in (("learned", 2.8, 0.0), ("hidden", 1.9, 0.25)):
        values = {"middle": middle, "span": 1.2, "top": 0.9, "floor_ratio": 1.0}
        _, share = draw_hits(fs.load_link("sigmoid").link(loss, values, chance), np.array(0.02), np.array(1000.0), rng)
        known = {"items": 1000, "chance": chance, "train_data": "simulated", "task": task}
        tables.append(pd.DataFrame({"n_params": n, "n_tokens": d, "loss": loss, "accuracy": share, **known}))
    return fs.Outcomes.from_frame(pd.concat(tables, ignore_index=True), name="simulated")


def score(accuracy: np.ndarray[Any, Any], draws: np.ndarray[Any, Any]) -> pd.DataFrame:
    """Scores of draws of shape (draw, run), in points of accuracy; coverage by the place among jittered draws."""
    from scoringrules import crps_ensemble, interval_score

    x, y = 100 * draws, 100 * accuracy
    low, high = np.quantile(x, [0.05, 0.95], axis=0)
    found = {
        "crps": crps_ensemble(y, x, m_axis=0, estimator="qd", backend="numpy"),
        "interval": interval_score(y, low, high, 0.1, backend="numpy"),
        "width": high - low,
        "bias": np.median(x, axis=0) - y,
    }
    for prob in PROBS:
        ends = np.quantile(x, [(1 - prob) / 2, (1 + prob) / 2], axis=0)
        found[f"in_{100 * prob:g}"] = ((ends[0] <= y) & (y <= ends[1])).astype(float)
    return pd.DataFrame(found)


def published_link(loss: Any, error: Any, rng: np.random.Generator) -> tuple[Any, Any]:
    """Least squares of error = epsilon - k exp(-gamma L), of runs drawn anew each time; and the residuals."""

    def fitted(x: Any, y: Any, start: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            return least_squares(lambda p: _error(p, x) - y, start, max_nfev=100).x

    rise = np.log(max(np.ptp(error), 0.01))
    starts = [(error.max(), gamma * loss.min() + rise, np.log(gamma)) for gamma in (0.5, 1.5, 4)]
    best = min((fitted(loss, error, start) for start in starts), key=lambda p: np.sum((_error(p, loss) - error) ** 2))
    drawn = (rng.integers(len(loss), size=len(loss)) for _ in range(BOOTSTRAP))
    return np.array([fitted(loss[rows], error[rows], best) for rows in drawn]), error - _error(best, loss)


def _error(p: Any, loss: Any) -> Any:
    return p[0] - np.exp(np.minimum(p[1] - np.exp(np.minimum(p[2], 50.0)) * loss, 50.0))


def published_draws(fit: tuple[Any, Any], loss: Any, rng: np.random.Generator) -> Any:
    """Accuracy at losses of shape (draw, run): a bootstrap refit for each draw, and a residual for each run of it."""
    refits, residuals = fit
    picked = refits[rng.integers(len(refits), size=len(loss))].T[:, :, None]
    return np.clip(1 - _error(picked, loss) - rng.choice(residuals, size=loss.shape), 0.0, 1.0)


def of_training_set(
    table: fs.Outcomes, law: str, links: tuple[str, ...], settings: dict[str, int]
) -> tuple[pd.DataFrame, list[dict[str, str]], list[Beside]]:
    """Scores of every task and forecast of one training set, what did not converge, and means beside those measured."""
    rng = np.random.default_rng(1)
    small, large = (table.where(lambda t, sign=sign: sign * (SMALL - t["n_params"]) > 0) for sign in (1, -1))
    sizes = ["n_params", "n_tokens", "loss"]
    one = small.tasks[0]
    fit = fs.fit(small.where(task=one).table[sizes], law, random_seed=1, progress=False, **settings)
    big = large.where(task=one).table[sizes]
    forecast = fs.forecast(fit, big[sizes[:2]], random_seed=1).draws["run"].to_numpy().reshape(-1, len(big))
    losses = {"measured": np.broadcast_to(big["loss"].to_numpy(), forecast.shape), "forecast": forecast}
    rows, failed, kept = [], [], {}
    for task in small.tasks:
        seen, came = small.where(task=task), large.where(task=task)
        accuracy, draws = came.column("accuracy"), {}
        for link in links:
            try:
                found = fs.fit_link(seen, link, random_seed=1, progress=False, **settings)
            except fs.ConvergenceError as error:
                failed.append({"task": task, "link": link, "why": "; ".join(error.fit.diagnostics.failures)})
                continue
            posterior = found.posterior.isel(task=0)
            flat = {
                str(name): values.to_numpy().reshape(-1, 1)
                for name, values in posterior.data_vars.items()
                if values.dims
            }
            order = rng.permutation(len(flat["middle"]))
            mixed = {name: v[order] for name, v in flat.items()}
            low, strayed = floor(mixed, came.column("chance")), drift(link, task, len(order), rng)
            for source, loss in losses.items():
                centre = found.model.curve(loss, mixed, came.column("chance"))
                by = {link: centre}
                if strayed is not None:
                    below = np.maximum(seen.column("loss").min() - loss, 0.0)
                    by[f"{link} with drift"] = wandered(centre, low, strayed[:, None] * below)
                for name, about in by.items():
                    _, share = draw_hits(about, mixed[SCATTER], came.column("items"), rng)
                    draws[name, source] = share
        if {link for link, _ in draws} & set(links) != set(links):
            continue
        refits = published_link(seen.column("loss"), 1 - seen.column("accuracy"), rng)
        draws |= {("published", source): published_draws(refits, loss, rng) for source, loss in losses.items()}
        for (link, source), share in draws.items():
            scored = score(accuracy, share)
            rows.append(scored.assign(task=task, link=link, loss=source, n_params=came.column("n_params")))
            kept.setdefault((link, source), []).append(share)
    truth = np.mean([large.where(task=task).column("accuracy") for task in _tasks(rows)], axis=0)
    sized = {"task": MEAN, "n_params": big["n_params"].to_numpy()}
    for (link, source), shares in kept.items():
        rows.append(score(truth, np.mean(shares, axis=0)).assign(link=link, loss=source, **sized))
    errors = 1 - np.mean([small.where(task=task).column("accuracy") for task in _tasks(rows)], axis=0)
    refits = published_link(small.where(task=one).column("loss"), errors, rng)
    for source, loss in losses.items():
        direct = score(truth, published_draws(refits, loss, rng))
        rows.append(direct.assign(link="published, of the mean", loss=source, **sized))
    name, tasks = str(table.labels("train_data")[0]), len(_tasks(rows))
    where = f"Gadre et al., {SETS.get(name, name)}, mean over {tasks} tasks", len(small.where(task=one).table)
    chains = ((link, np.mean(kept[link, "forecast"], axis=0)) for link in links)
    beside = [each for link, draws in chains for each in beside_measured(link, where, big, truth, draws)]
    return pd.concat(rows, ignore_index=True), failed, beside


def beside_measured(link: str, where: tuple[str, int], big: pd.DataFrame, truth: Any, draws: Any) -> list[Beside]:
    """The mean accuracy of each run forecast, as its authors measured it, and as the chain forecast it."""
    rows, note = [], "published: as measured; ours: forecast from runs of at most 412M, loss forecast as well"
    for run, measured, of in zip(big.itertuples(), truth, draws.T, strict=True):
        what = f"accuracy in %, {run.n_params / 1e9:.1f}B, {run.n_tokens / run.n_params:.0f} tokens per parameter"
        low, middle, high = 100 * np.quantile(of, [0.05, 0.5, 0.95])
        rows.append(
            Beside(f"{link} link", *where, what, round(100 * measured, 1), "Gadre et al. 2024", middle, low, high, note)
        )
    return rows


def drift(link: str, task: str, draws: int, rng: np.random.Generator) -> Any:
    """Draws of the drift by which forecasts of a task are judged, learned from other tasks; one bias for all tasks."""
    learned = tomllib.loads(DRIFT.read_text(encoding="utf-8")).get(link, {}).get("without", {})
    if task not in learned:
        return None
    of = Discrepancy.from_table({"drift": learned[task]}).drift
    bias = of.bias.sample(draws, np.random.default_rng(7))
    return bias + of.scale.sample(draws, rng) * rng.standard_normal(draws)


def _tasks(rows: list[pd.DataFrame]) -> list[str]:
    return [str(task) for task in dict.fromkeys(row["task"].iloc[0] for row in rows) if task != MEAN]


def ranks(link: str, fits: int, scatter_factor: float = 1.0) -> dict[str, Any]:
    """Ranks of truths drawn from the priors of a link among draws of fits of what they make.

    A ``scatter_factor`` other than one is a mistake on purpose: runs scatter so many times as far as the truth says.
    """
    model, rng = fs.load_link(link), np.random.default_rng(0)
    loss = np.geomspace(2.4, 6.0, 30)
    found: dict[str, list[int]] = {name: [] for name in model.priors}
    refused = 0
    for i in range(fits):
        chance = 0.25 * (i % 2)
        truth = {name: values[0] for name, values in model.prior_draws(1, rng).items()}
        scatter = np.array(scatter_factor * truth[SCATTER])
        _, share = draw_hits(model.curve(loss, truth, chance), scatter, np.array(1000.0), rng)
        table = pd.DataFrame({"loss": loss, "accuracy": share, "items": 1000, "chance": chance, "task": "made"})
        try:
            fit = fs.fit_link(table, model, draws=500, random_seed=i, progress=False)
        except fs.ConvergenceError:
            refused += 1
            continue
        for name in found:
            if name == "floor_ratio" and not chance:
                continue
            draws = fit.posterior[name].to_numpy().ravel()
            found[name].append(int((draws[spaced(draws.size, 99)] < truth[name]).sum()))
    rows = [
        [name, str(len(given)), f"{ecdf_p(given, 100):.3f}", f"{chi2_p(given, 100):.3f}"]
        + [f"{coverage(given, 100, prob):.2f}" for prob in PROBS]
        for name, given in found.items()
    ]
    tests = [test(given, 100) for given in found.values() for test in (ecdf_p, chi2_p)]
    p = min(1.0, min(tests) * len(tests))  # Bonferroni
    made, should = (f", scatter {scatter_factor:g} times", "fail") if scatter_factor != 1 else ("", "pass")
    print(f"\n{link}{made}: {fits} tables, {refused} not converged; p = {p:.2g}, must {should}")
    print_table(["parameter", "fits", "p of ranks", "p of histogram", *(f"in {100 * p:g} %" for p in PROBS)], rows)
    return {"ranks": found, "refused": refused, "p": p}


def main() -> None:
    arguments = parser(__doc__, repeats=1)
    arguments.add_argument("--tables", type=Path, metavar="FOLDER", help="where gadre_downstream.csv is")
    arguments.add_argument("--law", default="coupled", help="default: %(default)s")
    arguments.add_argument("--links", nargs="+", default=["sigmoid", "exponential"], help="default: %(default)s")
    arguments.add_argument("--sets", nargs="+", metavar="NAME", help="training sets; all by default")
    arguments.add_argument("--ranks", type=int, metavar="N", help="instead: ranks of N truths from the priors")
    given, load = arguments.parse_args(), load_average()
    if given.ranks:
        many = {1.0: given.ranks, 2.0: max(given.ranks // 4, 20)}
        kept = {f"{link}, scatter {by:g}": ranks(link, n, by) for by, n in many.items() for link in given.links}
        conclude(__file__, given, load, kept)
        return
    if given.tables is None and not given.smoke:
        arguments.error("name the folder with gadre_downstream.csv by --tables, or take --smoke")
    table, settings = (simulated(), SMOKE) if given.smoke else (read(given.tables), FULL)
    links = tuple(given.links[:1] if given.smoke else given.links)
    found, failed, beside = [], [], []
    for name in given.sets or np.unique(table.labels("train_data")):
        scored, missed, set_beside = of_training_set(table.where(train_data=name), given.law, links, settings)
        found.append(scored.assign(train_data=SETS.get(name, name)))
        failed += [{"train_data": name, **each} for each in missed]
        beside += set_beside
    scores = pd.concat(found, ignore_index=True)
    tasks, means = scores[scores["task"] != MEAN], scores[scores["task"] == MEAN]
    show("Tasks", tasks, ["loss", "link"])
    show("The mean over tasks", means, ["loss", "link"])
    show("By training set", tasks[tasks["link"] != "published"], ["train_data", "loss", "link"])
    show(f"By task, link {links[0]}, loss measured", tasks.query("link == @links[0] and loss == 'measured'"), ["task"])
    told = [f"{each['task']} of {each['train_data']} ({each['link']})" for each in failed]
    print(f"\n{len(failed)} links did not converge: {', '.join(told) or 'none'}")
    results = {"scores": scores.to_dict("records"), "failed": failed}
    conclude(__file__, given, load, results, sorted(beside, key=lambda each: each.law))


def show(title: str, scores: pd.DataFrame, by: list[str]) -> None:
    """Print means by group."""
    print(f"\n{title}: shares inside, and points of accuracy")
    groups = scores.groupby(by, sort=False)[COLUMNS]
    rows = [[*map(str, key), str(len(of)), *(f"{value:.2f}" for value in of.mean())] for key, of in groups]
    print_table([*by, "runs", *COLUMNS], rows)


if __name__ == "__main__":
    main()
