"""Whether sampling stays fast when reference and data are decades apart.

A coefficient and its exponent are nearly collinear at sizes far from those of the data. forescale moves in each
term's effect at the centre of the data, wherever the card reads its priors (``forescale.sampling.coordinates``); its
plain path, for comparison, moves in the card's own coordinates with the same sampler.

Measured: least bulk effective sample size over the law's and the noise's parameters, per second of sampling (tuning
included; everything is compiled before), for the card ``chinchilla``

- as it is, and with its reference 3 decades lower and 3 decades higher, on the Hoffmann et al. runs. The priors keep
  their numbers, so that such a card also believes something else: a misplaced reference, as one would write it;
- as it is, on simulated runs of the same sizes, 3 decades smaller and 3 decades larger ones (both n_params and
  n_tokens), with the same losses;

and for the card ``chinchilla_literal``, without a reference, on the Hoffmann et al. runs.

Target: forescale's figure falls by less than half as reference or data move.

Run::

    python benchmarks/reference.py --json reference.json

What it showed: README.md beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from measure import conclude, fresh, hand_back, load_average, middle, parser, print_table, seconds_of, spread

DECADES = (-3, 0, 3)
TRUTH = {"E": 1.82, "A": 482.0, "B": 2085.0, "alpha": 0.348, "beta": 0.366}  # Besiroglu et al. 2024, table 1
SIGMA, NU = 0.005, 4.0  # of the scatter of log loss


def simulated(decades: int) -> Any:
    """Runs of the Hoffmann et al. sizes moved by decades, with losses of the law in units of the moved sizes."""
    import numpy as np

    import forescale as fs

    runs = fs.load_dataset("hoffmann2022")
    sizes = {name: runs.column(name) for name in ("n_params", "n_tokens")}
    law = fs.load_model("chinchilla").law
    noise = SIGMA * np.random.default_rng(20).standard_t(NU, len(runs))
    loss = law(sizes, TRUTH) * np.exp(noise)
    return fs.Observations({**{name: size * 10.0**decades for name, size in sizes.items()}, "loss": loss})


def cases() -> dict[str, tuple[Any, Any]]:
    """What is sampled: a model and runs, by what moves and by how many decades."""
    import forescale as fs

    runs, model = fs.load_dataset("hoffmann2022"), fs.load_model("chinchilla")
    found = {}
    for decades in DECADES:
        moved = {name: size * 10.0**decades for name, size in model.reference.items()}
        found[f"reference {decades:+d}"] = (replace(model, reference=moved), runs)
    for decades in DECADES:
        found[f"data {decades:+d}"] = (model, simulated(decades))
    found["literal card"] = (fs.load_model("chinchilla_literal"), runs)
    return found


def child(task: Mapping[str, Any]) -> None:
    """All cases by one path in one process, in turns."""
    from forescale.sampling import nuts as sampling
    from forescale.sampling.diagnostics import diagnose

    if task["path"] == "plain":
        sampling._compile_centred = lambda model, data: None
    settings = sampling.Settings(draws=task["draws"])
    short = sampling.Settings(draws=10, tune=10, chains=2)
    chosen = {name: case for name, case in cases().items() if name in task["cases"]}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in chosen}
    for model, runs in chosen.values():
        sampling.sample(model, model.data(runs), short, seed=0, progress=False)  # compiles
    for repeat in range(task["repeats"]):
        for name, (model, runs) in chosen.items():
            once = partial(sampling.sample, model, model.data(runs), settings, seed=repeat, progress=False)
            drawn, seconds = seconds_of(once)
            checked = diagnose(drawn.posterior[list(model.parameters)], drawn.sample_stats, 0.5)
            ess = float(checked.table["ess_bulk"].min())
            found[name].append(
                {
                    "ess_per_second": ess / seconds,
                    "ess": ess,
                    "steps": float(drawn.sample_stats["n_steps"].mean()),
                    "divergences": checked.divergences,
                    "worst_r_hat": float(checked.table["r_hat"].max()),
                }
            )
    hand_back({"found": found})


def main() -> None:
    arguments = parser(__doc__, repeats=9)
    given = arguments.parse_args()
    if given.child:
        child(json.loads(given.child))
        return
    load = load_average()
    groups = ("reference", "data")
    names = [f"{group} {decades:+d}" for group in groups for decades in DECADES] + ["literal card"]
    paths, draws = ("centred", "plain"), 1000
    if given.smoke:
        given.repeats, draws = 1, 200
        paths, names = paths[:1], [name for name in names if name in ("reference +0", "data +0", "data +3")]
        print(f"skipped: the plain path; all cases but {', '.join(names)}; 200 draws a chain (smoke)")

    found = {}
    for path in paths:
        task = {"path": path, "draws": draws, "cases": names, "repeats": given.repeats}
        found[path] = fresh(__file__, task)["found"]
    rows = []
    for name in names:
        row = [name]
        for path in paths:
            runs = found[path][name]
            row += [spread(one["ess_per_second"] for one in runs), f"{middle(one['steps'] for one in runs):.3g}"]
            row.append(f"{sum(one['worst_r_hat'] > 1.01 or one['divergences'] > 0 for one in runs)}")
        rows.append(row)
    head = ["case"]
    for path in paths:
        head += [f"{path}: ESS/s", "steps a draw", "bad fits"]
    print_table(head, rows)

    falls: dict[str, dict[str, float]] = {}
    print("\nESS/s where nothing is moved, in multiples of that where it is (median of pairs); below 2 is the target:")
    for path in paths:
        falls[path] = {}
        for name in names:
            still = "data +0" if name.startswith("data") else "reference +0"
            if name != still:
                pairs = zip(found[path][still], found[path][name], strict=True)
                falls[path][name] = middle(a["ess_per_second"] / b["ess_per_second"] for a, b in pairs)
    moved = [name for name in names if not name.endswith("+0")]
    print_table(["case", *paths], [[name, *(f"{falls[path][name]:.3g}" for path in paths)] for name in moved])
    conclude(__file__, given, load, {"found": found, "falls": falls})


if __name__ == "__main__":
    main()
