"""Whether families fitted together forecast better than each by itself.

Two designs. In the first ("new ladder") the runs of one family are cut, its cheapest are fitted with all runs of the
other families, and its others forecast, each family in turn; in the second ("alike") all families are cut at one size.
Each is forecast in three ways: *pooled*, by `fit_families` with its usual spreads between families, which were set
before any of this was scored (spreads.py); *separate*, each family by itself; *complete*, one law for the runs of all.
All have the card's drift, measured from the runs of a family by itself but for the last.

Tables are `pile_families` (Cerebras-GPT, its muP variant, Pythia and Pythia-deduped), its parameters counted as
published and without embeddings, which Cerebras-GPT counts once and Pythia twice; and, with --tables, Gadre et al.'s
104 runs on three training sets (gadre_overtraining.csv, github.com/mlfoundations/scaling, MIT; --losses names columns
of evaluation losses). The card is the package's default, or --card. On `pile_families` tokens are fixed, or tied to
size, within a family, whose four or five runs carry no law of both: separate fits are by the card power_n there.
Points count that all forecast. Scores are of 100 log loss, interval scores of 90 % bands.

Run::

    python benchmarks/families.py --tables FOLDER --json families.json

With --smoke one simulated table is fitted briefly, by a model that the tests have compiled. What it showed: README.md
beside this file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from measure import conclude, load_average, parser, print_table
from populations import BRIEF, card, simulated

import forescale as fs
from forescale.belief.catalog import DEFAULT_MODEL
from forescale.families.model import with_usual_spreads

FAMILIES = ["Cerebras-GPT", "Cerebras-GPT-muP", "Pythia", "Pythia-deduped"]
SMALL = "power_n"  # the card that a ladder of four runs can be fitted by
SETTINGS = {"draws": 1500}  # with the usual 1,000 some fits need a second, far longer try
SMOKE = {"draws": 500, "tune": 500}
MEANS = ["covered_50", "covered_90", "width", "interval_score", "crps", "bias"]


class Design(NamedTuple):
    """A table, cards, together and for each family by itself, and which runs are cut: by what, within what, where."""

    name: str
    runs: fs.Observations
    card: str | fs.Model
    alone: str | fs.Model
    by: str
    within: str | None
    cuts: list[float]


def designs(usual: str, folder: Path | None, losses: list[str]) -> Iterator[Design]:
    """What is forecast."""
    pile = fs.load_dataset("pile_families").where(family=FAMILIES).table
    for counted, sizes in (("", "n_params"), (" without embeddings", "n_params_no_embed")):
        frame = pile[["run", "family", "n_tokens", "loss"]].assign(n_params=pile[sizes], released=pile["n_params"])
        runs = fs.Observations.from_frame(frame, name=f"pile_families{counted}", counts_embeddings=not counted)
        yield Design(f"{runs.name}, new ladder", runs, usual, SMALL, "released", "family", [1.4e9])  # four runs of each
        yield Design(f"{runs.name}, alike", runs, usual, SMALL, "released", None, [1.4e9, 3e9])
    if folder is None:
        return
    gadre = pd.read_csv(folder / "gadre_overtraining.csv").rename(columns={"train_data": "family"})
    for loss in losses:
        frame = gadre[["family", "n_params", "n_tokens"]].assign(loss=gadre[f"loss_{loss}"])
        runs = fs.Observations.from_frame(frame, name=f"gadre {loss}", counts_embeddings=True)
        some = [float(np.quantile(runs.column("flops"), 0.4))]
        yield Design(f"gadre {loss}, new ladder", runs, usual, usual, "flops", "family", some)
        yield Design(f"gadre {loss}, alike", runs, usual, usual, "flops", None, some)


def scored(design: Design, settings: dict[str, int], *, brief: bool) -> pd.DataFrame:
    """A row for each forecaster and held-out run that all forecast."""
    card, alone = (fs.load_model(one).with_families() for one in (design.card, design.alone))
    pooled = replace(with_usual_spreads(fs.load_model(design.card)), name=f"pooled {card.name}")
    together = [pooled] if brief else [pooled, replace(card, name=f"complete {card.name}")]
    found = [backtested(design, design.runs, together, design.within, settings)]
    for label in () if brief else sorted(set(design.runs.labels("family"))):
        runs = design.runs.where(family=label)
        cuts = [at for at in design.cuts if runs.column(design.by).max() > at]
        one = design._replace(cuts=cuts)
        found.append(backtested(one, runs, [replace(alone, name=f"separate {alone.name}")], None, {}))
    points = pd.concat(found, ignore_index=True)
    points["at"] = points["cut"].str.split(" up to ").str[-1]
    forecast_by = points.groupby(["at", "run"])["model"].transform("nunique")
    family = design.runs.labels("family")[pd.Index(design.runs.labels("run")).get_indexer(points["run"])]
    points = points.assign(design=design.name, family=family)
    return points[forecast_by == points["model"].nunique()]


def backtested(
    design: Design, runs: fs.Observations, models: list[fs.Model], within: str | None, settings: dict[str, int]
) -> pd.DataFrame:
    """Scores of runs beyond the cuts."""
    how: dict[str, Any] = {"baselines": (), "random_seed": 1, "workers": 1, "progress": False, **settings}
    found = fs.backtest(runs, models, by=design.by, within=within, cuts=design.cuts, **how)
    for row in found.failures.to_dict("records"):
        print(f"refused: {row['model']}, {design.name}, {row['cut']}: {row['error'][:150]}", flush=True)
    return found.scored(common=False)


def told(points: pd.DataFrame) -> list[dict[str, Any]]:
    """Print mean scores of each forecaster of one design, and hand them back, with the CRPS of each family."""
    points["width"] = 100 * np.log(points["upper"] / points["lower"])
    groups = points.groupby(["design", "model"], sort=False)
    means = groups[MEANS].mean().assign(points=groups.size()).reset_index()
    each = points.pivot_table(index="model", columns="family", values="crps")
    records: list[dict[str, Any]] = means.assign(by_family=means["model"].map(each.to_dict("index"))).to_dict("records")
    print(f"\n{points['design'].iloc[0]}")
    rows = [[row["model"], str(row["points"]), *(f"{row[name]:.2f}" for name in MEANS)] for row in records]
    print_table(["fit", "runs", "50 %", "90 %", "width", "score", "CRPS", "bias"], rows)
    print("CRPS by family")
    cells = [
        [str(model), *(f"{value:.2f}" for value in row)] for model, row in zip(each.index, each.values, strict=True)
    ]
    print_table(["fit", *map(str, each.columns)], cells)
    sys.stdout.flush()
    return records


def main() -> None:
    arguments = parser(__doc__, repeats=1)
    arguments.add_argument("--tables", type=Path, metavar="FOLDER", help="where gadre_overtraining.csv is")
    arguments.add_argument("--losses", nargs="+", default=["c4_val"], help="of Gadre et al.: c4_val")
    arguments.add_argument("--card", default=DEFAULT_MODEL, help="what is pooled: %(default)s")
    arguments.add_argument("--only", metavar="WORD", default="", help="designs whose name has this word")
    given, load = arguments.parse_args(), load_average()
    if given.smoke:
        runs, _ = simulated(card(BRIEF), np.random.default_rng(1))
        runs = runs.where((runs.labels("family") == "family 1") | (runs.column("n_params") < 5e9))  # one to be cut
        asked = [Design("simulated, new ladder", runs, card(BRIEF), "power_n", "n_params", "family", [5e9])]
    else:
        asked = [one for one in designs(given.card, given.tables, given.losses) if given.only in one.name]
    found = [
        row for design in asked for row in told(scored(design, SMOKE if given.smoke else SETTINGS, brief=given.smoke))
    ]
    conclude(__file__, given, load, {"scores": found})


if __name__ == "__main__":
    main()
