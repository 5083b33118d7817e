"""Whether families fitted together forecast better than each by itself.

Two designs. In the first ("new ladder") the runs of one family are cut, its cheapest are fitted with all runs of the
other families, and its others forecast, each family in turn; in the second ("alike") all families are cut at one size.
Each is forecast in four ways by one card: *pooled*, by `fit_families` with its usual spreads between families, which
were set before any of this was scored; so, with noise that differs as well (*own noise*); *separate*, each family by
itself; *complete*, one law for the runs of all. All have the card's drift, measured from the runs of a family by itself
but for the last, or none of them has it.

Tables are `pile_families` (Cerebras-GPT, its muP variant, Pythia and Pythia-deduped; tokens are fixed or tied to size
within a family, so by the card power_n) and, with --tables, Gadre et al.'s 104 runs on three training sets
(gadre_overtraining.csv, github.com/mlfoundations/scaling, MIT; by the card chinchilla, some of its evaluation losses).
Points count that all forecast. Scores are of 100 log loss, interval scores of 90 % bands.

Run::

    python benchmarks/families.py --tables FOLDER --json families.json

With --smoke one small cut of pile_families is fitted briefly. What it showed: README.md beside this file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import conclude, load_average, parser, print_table

import forescale as fs
from forescale.families.model import with_usual_spreads

FAMILIES = ["Cerebras-GPT", "Cerebras-GPT-muP", "Pythia", "Pythia-deduped"]
LOSSES = ("c4_val", "openlm", "paloma_redpajama")
NOISE = 0.5  # of the spread between families of the noise's scale, where that differs: by about half
SMOKE = {"draws": 300, "tune": 300}
MEANS = ["covered_50", "covered_90", "width", "interval_score", "crps", "bias"]
Design = tuple[fs.Observations, str, str, str, str | None, list[float]]


def designs(folder: Path | None, losses: int, smoke: bool) -> Iterator[Design]:
    """Table, card, name, and which runs are cut: by what, within what, at which values."""
    pile = fs.load_dataset("pile_families").where(family=FAMILIES[::2] if smoke else FAMILIES)
    yield pile, "power_n", "pile_families, new ladder", "n_params", "family", [1.4e9]  # four runs of each
    if smoke:
        return
    yield pile, "power_n", "pile_families, alike", "n_params", None, [1.4e9, 3e9]
    if folder is None:
        return
    gadre = pd.read_csv(folder / "gadre_overtraining.csv").rename(columns={"train_data": "family"})
    for loss in LOSSES[:losses]:
        frame = gadre[["family", "n_params", "n_tokens"]].assign(loss=gadre[f"loss_{loss}"])
        runs = fs.Observations.from_frame(frame, name=f"gadre {loss}", counts_embeddings=True)
        some = [float(np.quantile(runs.column("flops"), 0.4))]
        yield runs, "chinchilla", f"gadre {loss}, new ladder", "flops", "family", some
        yield runs, "chinchilla", f"gadre {loss}, alike", "flops", None, some


def scored(design: Design, drift: bool, settings: dict[str, int]) -> pd.DataFrame:
    """A row for each forecaster and held-out run."""
    runs, card, name, by, within, cuts = design
    base = fs.load_model(card)
    base = base if drift else base.with_discrepancy(None)
    usual = with_usual_spreads(base)
    own = usual.with_families(**usual.families.scales, sigma=NOISE)
    models = [replace(usual, name="pooled"), replace(own, name="own noise"), replace(base, name="complete")]
    models = models[:1] if settings else models
    how: dict[str, Any] = {"by": by, "within": within, "cuts": cuts, "baselines": ("separate",), "random_seed": 1}
    found = fs.backtest(runs, models, workers=1, progress=False, **how, **settings)
    for row in found.failures.to_dict("records"):
        print(f"failed: {row['model']}, {name}, {row['cut']}: {row['error'][:150]}", flush=True)
    points = found.scored(common=True).assign(design=name, drift=drift)
    points = points[points["model"] != "separate own noise"]  # the same fit as that of pooled
    points["model"] = points["model"].replace({"separate pooled": "separate"})
    return points


def told(points: pd.DataFrame) -> list[dict[str, Any]]:
    """Print mean scores of each forecaster of one design, and hand them back."""
    points["width"] = 100 * np.log(points["upper"] / points["lower"])
    groups = points.groupby(["design", "drift", "model"], sort=False)
    means = groups[MEANS].mean().assign(points=groups.size()).reset_index()
    records: list[dict[str, Any]] = means.to_dict("records")
    drift = "with" if points["drift"].iloc[0] else "without"
    print(f"\n{points['design'].iloc[0]}, {drift} drift")
    rows = [[row["model"], str(row["points"]), *(f"{row[name]:.2f}" for name in MEANS)] for row in records]
    print_table(["fit", "runs", "50 %", "90 %", "width", "score", "CRPS", "bias"], rows)
    sys.stdout.flush()
    return records


def main() -> None:
    arguments = parser(__doc__, repeats=1)
    arguments.add_argument("--tables", type=Path, metavar="FOLDER", help="where gadre_overtraining.csv is")
    arguments.add_argument("--losses", type=int, default=len(LOSSES), help="of Gadre et al.: %(default)s")
    given, load = arguments.parse_args(), load_average()
    settings = SMOKE if given.smoke else {}
    found: list[dict[str, Any]] = []
    for drift in [True] if given.smoke else [True, False]:
        for design in designs(given.tables, given.losses, given.smoke):
            found += told(scored(design, drift, settings))
    conclude(__file__, given, load, {"scores": found})


if __name__ == "__main__":
    main()
