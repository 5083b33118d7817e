"""Clark et al.'s law of routed models on their own runs, beside the constants that they print.

The table is that of github.com/google-deepmind/scaling_laws_for_routing (data CC-BY 4.0), final losses as
``routing_final.csv`` in a folder of tables; it is not part of this project. As in the example there, a fit has the runs
of one routing method with every other layer routed, one expert a token and the authors' first seed, and the dense runs
as models of one expert. All were trained on 130e9 tokens, so that tokens are no input. N is the dense parameter count:
368,123,904 at width 1,536 and 12 blocks is 12 (13 width^2 + 4 width), which leaves no room for embeddings. Losses are
in nats per token: the refit of Hoffmann et al.'s law by Besiroglu et al. gives the dense 370M run 2.50, the table 2.46,
which in bits would be 1.71 nats.

Printed are, for each method: every constant as published, with the 90 % interval of the fit and whether it holds it;
the root mean square error in percent of the fit's median curve and of the published constants, which have three
decimals, so that a alone may move losses by 1 %; where routing stops paying; and the dense size that a 1.3B model of
512 experts is worth. Each quantity as [lower, upper] is an equal-tailed 90 % interval of the law's curve.

Run::

    python benchmarks/routed.py --tables FOLDER --json routed.json --keep

With --smoke the table is simulated from the published constants of S-BASE, and the fit is short.

What it showed: README.md beside this file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import Beside, conclude, load_average, parser, print_table

import forescale as fs
from forescale.estimates.draws import band
from forescale.units import format_quantity

METHODS = {"S-Base": "clark2022_sbase", "RL-R": "clark2022_rlr", "Hash": "clark2022_hash"}
SMOKE = {"draws": 300, "tune": 300}
SIZES = (15e6, 25e6, 55e6, 130e6, 370e6, 1.3e9)


def read(folder: Path) -> dict[str, pd.DataFrame]:
    """The runs that the published constants were fitted to, by routing method."""
    frame = pd.read_csv(folder / "routing_final.csv")
    chosen = frame[(frame["k"] == 1) & (frame["routing_frequency"] == 0.5) & (frame["seed"] == 42)]
    chosen = chosen.rename(columns={"num_experts": "n_experts"})
    columns = ["n_params", "n_experts", "loss"]
    return {method: chosen[chosen["router_type"].isin([method, "Dense"])][columns] for method in METHODS}


def simulated() -> dict[str, pd.DataFrame]:
    """A table of the same design, from the published constants of S-BASE."""
    source = fs.published(METHODS["S-Base"])
    experts = 2.0 ** np.arange(10)
    frame = pd.DataFrame({"n_params": np.repeat(SIZES, len(experts)), "n_experts": np.tile(experts, len(SIZES))})
    scatter = 0.005 * np.random.default_rng(0).standard_normal(len(frame))
    return {"S-Base": frame.assign(loss=source.law(frame, source.values) * np.exp(scatter))}


def measured(method: str, frame: pd.DataFrame, settings: dict[str, int]) -> dict[str, Any]:
    """Everything of one method, with the table of its constants printed."""
    published = fs.published(METHODS[method])
    runs = fs.Observations.from_frame(frame, name=method, counts_embeddings=False)
    fit = fs.fit(runs, "routed", random_seed=1, progress=False, **settings)
    summary = fit.summary(prob=0.9)
    constants, rows = {}, []
    for name in fit.law.parameters:
        low, middle, high = (float(summary.loc[name, key]) for key in ("lower", "median", "upper"))
        printed = published.values[name]
        constants[name] = {"published": printed, "median": middle, "lower": low, "upper": high}
        holds = "yes" if low <= printed <= high else "no"
        rows.append([name, f"{printed:g}", f"{middle:.4g}", f"[{low:.4g}, {high:.4g}]", holds])
    print(f"\n{method}: {len(frame)} runs")
    print_table(["", "published", "median", "90 %", "holds it"], rows)
    log_loss = np.log(frame["loss"].to_numpy())
    medians = {name: constants[name]["median"] for name in constants}
    errors = {
        source: 100 * float(np.sqrt(np.mean((np.log(fit.law(frame, values)) - log_loss) ** 2)))
        for source, values in (("fit", medians), ("published", dict(published.values)))
    }
    told = {}
    for source, of in (("published", published), ("fit", fit)):
        cutoff = band(fs.routing_cutoff(of).draws["n_params"], format_quantity)
        worth = band(fs.effective_params(of, 1.3e9, 512).draws["effective_params"], format_quantity)
        told[source] = {"cutoff": cutoff, "effective_params": worth, "rms_percent": errors[source]}
    return {"runs": len(frame), "constants": constants, **told}


def main() -> None:
    arguments = parser(__doc__, repeats=1)
    arguments.add_argument("--tables", type=Path, metavar="FOLDER", help="where routing_final.csv is")
    given, load = arguments.parse_args(), load_average()
    if given.tables is None and not given.smoke:
        arguments.error("name the folder with routing_final.csv by --tables, or take --smoke")
    tables = simulated() if given.smoke else read(given.tables)
    found = {method: measured(method, frame, SMOKE if given.smoke else {}) for method, frame in tables.items()}
    print("\nN_cutoff, beyond which more experts do not help; N_eff, dense size of the loss of 1.3B with 512 experts")
    rows = [
        [method, source, of[source]["cutoff"], of[source]["effective_params"], f"{of[source]['rms_percent']:.2f}"]
        for method, of in found.items()
        for source in ("published", "fit")
    ]
    print_table(["", "constants", "N_cutoff", "N_eff", "rms error, %"], rows)
    beside = [
        Beside(
            "routed", f"{method} and dense runs of Clark et al.", of["runs"], name, source=METHODS[method], **constant
        )
        for method, of in found.items()
        for name, constant in of["constants"].items()
    ]
    conclude(__file__, given, load, {"methods": found}, beside)


if __name__ == "__main__":
    main()
