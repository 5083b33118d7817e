"""How far published ladders strayed from laws fitted to their cheaper runs: the reference class of the cards' drift.

``--collect`` fits the cheaper runs of each ladder and measures the others: of each fit one row, the coefficient c of

    log loss - log law = c sqrt(d),    d decades outside the runs fitted (`forescale.belief.drift`),

by least squares over the runs held out, and the standard deviation that it has if the law is right (the posterior's,
and noise), both in percent. It writes them to ``models/drift/ladders.csv``. The rows of each card are then fitted by

    c ~ Normal(bias + sqrt(rho) s z, c_sd^2 + (1 - rho) s^2),    log s = m + w_source e_source + w_table e_table,

with e and z standard normal and one s and z a table, since some ladders keep to a law and others do not; cuts of a
table err alike as far as rho says. What a ladder of a new source may have, the cards' priors of bias and scale, is in
``models/drift/learned.toml``; a test holds the cards to it.

In the class are losses on text in the languages that a model was trained on. Whose bands are judged by it is left out
with all its tables: benchmarks/outside.py.
"""

from __future__ import annotations

import argparse
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
from ladders import Ladder, ladders

import forescale as fs
from forescale.belief.discrepancy import Discrepancy
from forescale.belief.drift import Drift, decades_outside, growth
from forescale.belief.model import Model
from forescale.tables.cuts import Cut, make_cuts

SHELF = Path(__file__).parent.parent / "models" / "drift"
#: Which cards a ladder of these inputs is fitted with.
CARDS = {
    ("n_params", "n_tokens"): ("coupled", "chinchilla", "kaplan_floor", "kaplan"),
    ("n_tokens",): ("shifted_power_d", "power_d"),
    ("n_params",): ("shifted_power_n", "power_n"),
}
#: Cards of the same law, or with few ladders of their own, learn from the rows of others.
LIKE = {
    "chinchilla_literal": ("chinchilla",),
    "kaplan_additive": ("chinchilla",),
    **dict.fromkeys(("shifted_power_n", "shifted_power_d", "shifted_power_c"), ("shifted_power_n", "shifted_power_d")),
    **dict.fromkeys(("power_n", "power_d", "power_c", "power_cmin"), ("power_n", "power_d")),
}
#: Translations: sentence pairs in place of tokens, and losses that are lower. Not fitted without a floor.
_TRANSLATION = {
    "E": fs.Prior("lognormal", median=0.35, sigma=0.7),
    "B": fs.Prior("lognormal", median=0.2, sigma=1.0),
    "beta": fs.Prior("lognormal", median=0.32, sigma=0.5),
}


def model_of(card: str, source: str) -> Model:
    """A card as a ladder is fitted with it, without discrepancy."""
    model = fs.load_model(card).with_discrepancy(None)
    if source == "google_nmt":
        return replace(model.with_priors(**_TRANSLATION), reference={"n_tokens": 1e7})
    return model


def cuts(ladder: Ladder) -> list[Cut]:
    """The same for all cards."""
    most = max(len(fs.load_model(card).parameters) for card in CARDS[ladder.inputs])
    by = "flops" if len(ladder.inputs) > 1 else ladder.inputs[0]
    return make_cuts(ladder.runs, by, n_parameters=most)


def departure(ladder: Ladder, card: str, cut: Cut, seed: int) -> dict[str, Any]:
    """One row: a fit of a ladder's cheaper runs, and how far the others strayed from it."""
    model, (fitted, held) = model_of(card, ladder.source), cut.split(ladder.runs)
    row = {"card": card, "source": ladder.source, "table": ladder.table, "fitted": len(fitted), "held": len(held)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", fs.ForescaleWarning)
        try:
            found = fs.fit(fitted, model, draws=500, random_seed=seed, progress=False)
        except fs.ForescaleError as error:
            return row | {"error": f"{type(error).__name__}: {error}"[:120]}
    points = {name: held.column(name) for name in model.law.inputs}
    distance = decades_outside({name: fitted.column(name) for name in model.law.inputs}, points, model.law.inputs)
    root = growth(distance)
    if not root.any():
        return row | {"error": "no run held out lies outside those fitted"}
    run = fs.forecast(found, points, random_seed=seed).draws["run"].stack(sample=("chain", "draw")).to_numpy()
    strayed = (np.log(held.column("loss"))[:, None] - np.log(run)).T @ root / (root @ root)
    low, middle, high = 100 * np.quantile(strayed, [0.1587, 0.5, 0.8413])
    row |= {"span": np.ptp(np.log10(ladder.runs.column(cut_by(ladder))[list(cut.fitted)])), "reach": distance.max()}
    return row | {"c": middle, "c_sd": (high - low) / 2, "error": ""}


def cut_by(ladder: Ladder) -> str:
    """The column that a ladder is cut by."""
    return "flops" if len(ladder.inputs) > 1 else ladder.inputs[0]


def collect(folder: Path | None, workers: int) -> pd.DataFrame:
    """A row of each cut of each ladder, by each card."""
    tasks = [
        (ladder, card, cut, seed)
        for ladder in ladders(folder)
        for seed, cut in enumerate(cuts(ladder))
        for card in CARDS[ladder.inputs]
        if (ladder.source, card) != ("google_nmt", "power_d")
    ]
    with ProcessPoolExecutor(workers) as pool:
        rows = []
        for row in pool.map(departure, *zip(*tasks, strict=True)):
            rows.append(row)
            print(f"{len(rows)}/{len(tasks)}", *list(row.values())[:5], row["error"], flush=True)
    return pd.DataFrame(rows)


def rows_of(rows: pd.DataFrame, card: str, without: str = "") -> pd.DataFrame:
    """What a card learns from: its rows, or those of cards like it, without a source."""
    return rows[rows["card"].isin(LIKE.get(card, (card,))) & (rows["source"] != without) & (rows["error"] == "")]


def learn(rows: pd.DataFrame, seed: int = 1) -> Drift:
    """What a ladder of a new source may have, from rows: priors of bias and scale, in log loss."""
    import pymc as pm

    table, tables = pd.factorize(rows["table"])
    source, sources = pd.factorize(rows.drop_duplicates("table")["source"])  # in the order of tables
    with pm.Model():
        bias, rho = pm.Normal("bias", 0, 3), pm.Uniform("rho", 0, 1)
        m = pm.Normal("m", np.log(2), 1)
        w_source, w_table = pm.HalfNormal("w_source", 1), pm.HalfNormal("w_table", 0.5)
        e_source, e_table = pm.Normal("e_source", shape=len(sources)), pm.Normal("e_table", shape=len(tables))
        scale = pm.math.exp(m + w_source * e_source[source] + w_table * e_table)
        mean = bias + (rho**0.5 * scale * pm.Normal("z", shape=len(tables)))[table]
        noise = (rows["c_sd"].to_numpy() ** 2 + (1 - rho) * scale[table] ** 2) ** 0.5
        pm.Normal("c", mean, noise, observed=rows["c"].to_numpy())
        tree = pm.sample(
            1000,
            tune=1500,
            chains=4,
            nuts_sampler="nutpie",
            target_accept=0.97,
            random_seed=seed,
            progressbar=False,
        )
    drawn = {name: values.to_numpy().ravel() for name, values in tree["posterior"].dataset.items() if name[0] != "e"}
    spread = np.hypot(drawn["w_source"], drawn["w_table"])
    logs = drawn["m"] + spread * np.random.default_rng(seed).standard_normal(spread.size)  # of a table of a new source
    low, middle, high = np.quantile(logs, [0.1587, 0.5, 0.8413])
    return Drift(
        fs.Prior("normal", mu=_rounded(drawn["bias"].mean() / 100), sigma=_rounded(drawn["bias"].std() / 100)),
        fs.Prior("lognormal", median=_rounded(np.exp(middle) / 100), sigma=_rounded((high - low) / 2)),
    )


def _rounded(value: float) -> float:
    return float(f"{value:.2g}")


def main() -> None:
    """Collect, if asked to, and learn."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--collect", action="store_true", help="fit all ladders again; without it, learn only")
    arguments.add_argument("--tables", type=Path, metavar="FOLDER", help="where the tables of others are")
    arguments.add_argument("--workers", type=int, default=2)
    given = arguments.parse_args()
    if given.collect:
        SHELF.mkdir(exist_ok=True)
        collect(given.tables, given.workers).round(4).to_csv(SHELF / "ladders.csv", index=False)
    rows = pd.read_csv(SHELF / "ladders.csv", keep_default_na=False, na_values={"c": "", "c_sd": ""})
    learned = {}
    for card in [*dict.fromkeys(card for cards in CARDS.values() for card in cards), *LIKE]:
        used = rows_of(rows, card)
        counts = {"fits": len(used), "sources": used["source"].nunique()}
        learned[card] = {**Discrepancy(learn(used)).to_table()["drift"], **counts}
        print(card, learned[card], flush=True)
    (SHELF / "learned.toml").write_text(tomli_w.dumps(dict(sorted(learned.items()))), encoding="utf-8")


if __name__ == "__main__":
    main()
