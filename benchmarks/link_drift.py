"""How far accuracy strayed from links below the losses that they were fitted to: what their drift is learned from.

``--collect`` fits links to Gadre et al.'s smallest runs of each task and training set (up to 79M, and up to 154M
parameters) and looks at the runs of up to 412M whose loss is below all of those fitted; nothing larger is looked at,
since `downstream.py` judges forecasts of the 1.4B and 6.9B runs. Of each fit one row: the log likelihood,
averaged over the draws of the link, of the coefficient c in

    log odds of the share of the way from floor to 1 = those of the link + c d,    d nats below the lowest loss fitted,

from -16 to 16: a whole curve, since of a task that did not rise where it might have it says that c is no more than so
much, and nothing else. It writes them to ``models/drift/links.csv``. They are then taken as of

    c ~ Normal(bias + sqrt(rho) s z, (1 - rho) s^2),    log s ~ Normal(m, w),

with one s and z a task, since a task strays alike in all training sets and cuts, as far as rho says. By sums over a
grid: nothing is sampled. What a new task may have, the cards' priors of bias and scale, is in
``models/drift/links.toml``, and beside it what is learned without each task, by which forecasts of that task are
judged. A test holds the cards to it.

Run::

    python benchmarks/link_drift.py --collect --tables FOLDER
    python benchmarks/link_drift.py
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
from downstream import read
from scipy.special import logsumexp

import forescale as fs
from forescale.belief.discrepancy import Discrepancy
from forescale.belief.drift import Drift
from forescale.belief.link_model import SCATTER, log_density, wandered
from forescale.laws.links import PARAMETERS, floor

SHELF = Path(__file__).parent.parent / "models" / "drift"
CUTS, LARGEST = (1.2e8, 3e8), 1e9  # parameters: runs below a cut are fitted, and none from the largest on is looked at
C = 16 * np.sinh(np.linspace(-4, 4, 121)) / np.sinh(4)  # where the log likelihood is kept: closest about zero
NAMES = [f"{c:.3f}" for c in C]
_DRAWS = 200  # of the link, over which a row averages

# The grid of the population, and its prior: bias about zero, scale about 2 log odds a nat, spread of the latter up to 2
BIAS, SCALE, RHO = np.linspace(-1.5, 2.5, 21), np.geomspace(0.05, 20, 31), np.array([0.1, 0.3, 0.5, 0.7, 0.9])
M, W = np.log(np.geomspace(0.1, 10, 25)), np.linspace(0.1, 3.0, 15)
_PRIOR = -0.5 * (BIAS[:, None, None] / 3) ** 2 - 0.5 * (M[:, None] - np.log(2)) ** 2 - 0.5 * W**2
_Z, _OF_Z = np.polynomial.hermite_e.hermegauss(9)


def departure(posterior: Any, model: fs.LinkModel, seen: fs.Outcomes, came: fs.Outcomes) -> dict[str, float]:
    """Log likelihood of c, at most zero, given what the runs that came scored, by draws of a link without drift."""
    thin = np.linspace(0, posterior.sizes["chain"] * posterior.sizes["draw"] - 1, _DRAWS).astype(int)
    values = {name: posterior[name].to_numpy().ravel()[thin][:, None] for name in (*PARAMETERS, SCATTER)}
    chance, loss = came.column("chance")[0], came.column("loss")
    below = seen.column("loss").min() - loss
    curve = model.curve(loss, values, chance)
    data = {"items": came.column("items"), "hits": came.hits}
    logs = []
    for c in C:
        centre = wandered(curve, floor(values, chance), c * below)
        logs.append(logsumexp(log_density(centre, values[SCATTER], data).sum(axis=1)))
    return dict(zip(NAMES, np.array(logs) - max(logs), strict=True))


def collect(folder: Path, links: list[str]) -> pd.DataFrame:
    """A row of each link, task, training set and cut."""
    table, rows = read(folder).where(lambda t: t["n_params"] < LARGEST), []
    for link in links:
        for cut in CUTS:
            for name in np.unique(table.labels("train_data")):
                for task in table.tasks:
                    here = table.where(train_data=name, task=task)
                    seen = here.where(lambda t, cut=cut: t["n_params"] < cut)
                    rows.append(
                        {"link": link, "task": task, "train_data": name, "cut": cut, **of_fit(here, seen, link)}
                    )
                    print(len(rows), *list(rows[-1].values())[:8], flush=True)
    return pd.DataFrame(rows)


def of_fit(here: fs.Outcomes, seen: fs.Outcomes, link: str) -> dict[str, Any]:
    """The row of one fit."""
    model, lowest = fs.load_link(link).with_discrepancy(None), seen.column("loss").min()
    came = here.where(lambda t: t["loss"] < lowest)
    row = {"fitted": len(seen), "came": len(came), "reach": lowest - came.column("loss").min()}
    try:
        fit = fs.fit_link(seen, model, draws=500, random_seed=1, progress=False)
    except fs.ConvergenceError:
        return {**row, "error": "not converged"}
    return {**row, "error": "", **departure(fit.posterior.isel(task=0), model, seen, came)}


def evidence(log_likelihood: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Log probability of what came of one task, shape (BIAS, M, W, RHO), from rows of shape (row, C)."""
    likelihood = np.exp(log_likelihood) * np.gradient(C)
    by_scale = np.empty((len(SCALE), len(BIAS), len(RHO)))
    for k, scale in enumerate(SCALE):
        for r, rho in enumerate(RHO):
            mean, sd = BIAS[:, None] + np.sqrt(rho) * scale * _Z, np.sqrt(1 - rho) * scale
            kernel = np.exp(-0.5 * ((C - mean[..., None]) / sd) ** 2)
            kernel /= (kernel * np.gradient(C)).sum(axis=-1, keepdims=True) + 1e-300
            rows = np.log(kernel @ likelihood.T + 1e-300).sum(axis=-1)  # given bias and z
            by_scale[k, :, r] = logsumexp(rows, axis=1, b=_OF_Z / _OF_Z.sum())
    weight = -0.5 * ((np.log(SCALE) - M[:, None, None]) / W[:, None]) ** 2
    weight = np.exp(weight - logsumexp(weight, axis=-1, keepdims=True))
    most = by_scale.max()
    return most + np.log(np.einsum("mws,sbr->bmwr", weight, np.exp(by_scale - most), optimize=True) + 1e-300)


def learn(tasks: list[np.ndarray[Any, Any]]) -> Drift:
    """What a new task may have, from the evidence of others."""
    log = sum(tasks) + _PRIOR[..., None]
    weights = np.exp(log - logsumexp(log)).sum(axis=3)  # of bias, m, w
    bias, m, w = weights.sum((1, 2)), weights.sum((0, 2)), weights.sum((0, 1))
    mean, middle = float(bias @ BIAS), float(m @ M)
    spread = np.sqrt(w @ W**2 + m @ (M - middle) ** 2)  # of the log scale of a new task
    sigma = np.sqrt(bias @ (BIAS - mean) ** 2)
    return Drift(
        fs.Prior("normal", mu=_rounded(mean), sigma=_rounded(sigma)),
        fs.Prior("lognormal", median=_rounded(np.exp(middle)), sigma=_rounded(spread)),
    )


def learned(rows: pd.DataFrame) -> dict[str, Any]:
    """Of all tasks, and without each."""
    used = rows[rows["error"] == ""]
    of = {str(task): evidence(group[NAMES].to_numpy(float)) for task, group in used.groupby("task")}
    found = {"fits": len(used), "tasks": len(of), **_table(learn(list(of.values())))}
    without = {task: _table(learn([each for name, each in of.items() if name != task])) for task in of}
    return {**found, "without": without}


def _table(drift: Drift) -> dict[str, Any]:
    return Discrepancy(drift).to_table()["drift"]


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def main() -> None:
    """Collect, if asked to, and learn."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--collect", action="store_true", help="fit all links again; without it, learn only")
    arguments.add_argument("--tables", type=Path, metavar="FOLDER", help="where gadre_downstream.csv is")
    arguments.add_argument("--links", nargs="+", default=["sigmoid"], help="default: %(default)s")
    given = arguments.parse_args()
    if given.collect:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", fs.ForescaleWarning)
            collect(given.tables, given.links).round(2).to_csv(SHELF / "links.csv", index=False)
    rows = pd.read_csv(SHELF / "links.csv", na_values=dict.fromkeys(NAMES, ""), keep_default_na=False)
    found = {str(link): learned(group) for link, group in rows.groupby("link")}
    for link, each in found.items():
        print(link, {name: value for name, value in each.items() if name != "without"})
    (SHELF / "links.toml").write_text(tomli_w.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
