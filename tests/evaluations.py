"""Simulated evaluations: two tasks, one that the runs learn and one at which all of them are at chance."""

import numpy as np
import pandas as pd
import xarray as xr

import forescale as fs
from forescale.accuracy.link_fit import LinkFit
from forescale.belief.link_model import draw_hits
from forescale.laws.links import get_link

TRUTH = {
    "recall": {"middle": 2.9, "span": 1.2, "top": 0.85, "floor_ratio": 1.0, "scatter": 0.02},
    "puzzle": {"middle": 1.5, "span": 0.9, "top": 0.9, "floor_ratio": 1.0, "scatter": 0.02},
}
CHANCE = {"recall": 0.0, "puzzle": 0.25}
LAW = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36}


def ladder():
    """Runs of five sizes, five durations each: N and D."""
    n = np.repeat([1e7, 4e7, 1.2e8, 4e8, 8e8], 5)
    return n, np.tile([4.0, 10.0, 20.0, 50.0, 100.0], 5) * n


def losses(n, d, rng, sigma=0.004):
    """Losses of the law that all of this is made with."""
    mean = fs.load_model("chinchilla").law({"n_params": n, "n_tokens": d}, LAW)
    return mean * np.exp(sigma * rng.standard_normal(len(n)))


def evaluated(seed, link="sigmoid", items=1500, truth=TRUTH):
    """A row for each run and task, in the columns of Outcomes."""
    rng = np.random.default_rng(seed)
    n, d = ladder()
    loss = losses(n, d, rng)
    tables = []
    for task, values in truth.items():
        centre = get_link(link)(loss, values, CHANCE[task])
        _, share = draw_hits(centre, np.array(values["scatter"]), np.array(float(items)), rng)
        known = {"items": items, "chance": CHANCE[task], "n_params": n, "n_tokens": d}
        tables.append(pd.DataFrame({"task": task, "loss": loss, "accuracy": share, **known}))
    return pd.concat(tables, ignore_index=True)


def as_if_fitted(outcomes, draws=500):
    """Links about the truth, as if fitted, without the wait."""
    rng = np.random.default_rng(0)
    values = {name: np.array([truth[name] for truth in TRUTH.values()]) for name in TRUTH["recall"]}
    spread = {name: value * np.exp(0.02 * rng.standard_normal((4, draws, 2))) for name, value in values.items()}
    posterior = xr.Dataset({name: (("chain", "draw", "task"), array) for name, array in spread.items()})
    known = {"chance": list(CHANCE.values()), "items": [1500.0] * 2, "lowest_loss": [outcomes.column("loss").min()] * 2}
    posterior = posterior.assign({name: ("task", array) for name, array in known.items()})
    posterior = posterior.assign_coords(task=list(TRUTH))
    return LinkFit("sigmoid on outcomes", fs.load_link("sigmoid"), outcomes, posterior, {}, 1)
