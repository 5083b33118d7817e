"""Simulation-based calibration of every model card, and of two mistakes that it must find.

For each card: parameters are drawn from its priors, a table of 60 runs is simulated, the card is fitted (2 chains of
250 draws after 500 of tuning), and the truth is ranked among 99 draws; over tables the ranks of each parameter, of
the likelihood, and of the loss at a point far outside are uniform if the fits are right (``forescale.calibrate``).
The p of a card is the least p-value of its two tests of each quantity, times their number. With 16 cards, one p below
0.01 is to be expected in about every tenth run of a program that is right.

Then a card (``--partner``, ``chinchilla``) with tables that it did not make: noise 1.5 times as large, and degrees of
freedom of the noise from another prior. Both must fail.

With ``--curves`` tables are of 20 runs spread evenly over four decades of size, as learning curves are.

Measured: fits per minute, everything compiled before.

Target: 500 fits of ``chinchilla`` in under 3 minutes on 2 cores, 167 a minute; every card passes; both partners fail.

Run::

    python benchmarks/sbc.py --json sbc.json
    python benchmarks/sbc.py --fits 1000 --cards kaplan power_n
    python benchmarks/sbc.py --curves --fits 100 --cards flattening_d m4_d --partner flattening_d

What it showed: README.md beside this file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from measure import conclude, fresh, hand_back, load_average, middle, parser, print_table, seconds_of, spread

CARD = "chinchilla"
SIZES = np.geomspace(1e8, 1e12, 20)  # of the runs of a curve
PARTNERS = {"noise 1.5 times": {"noise_factor": 1.5}, "wrong prior of nu": {"truth": {"nu": (80.0, 1.0)}}}
FAILS_BELOW = 0.01


def child(task: Mapping[str, Any]) -> None:
    """The names of the cards, or the calibration of one."""
    import forescale as fs
    from forescale.checking.calibrate import calibrate

    if "card" not in task:
        hand_back({"cards": fs.list_models()})
        return
    mistake = dict(task["mistake"])
    if priors := mistake.pop("truth", None):
        mistake["truth"] = {name: fs.Prior("gamma", alpha=a, beta=b) for name, (a, b) in priors.items()}
    card = fs.load_model(task["card"])
    design = {card.law.inputs[0]: SIZES} if task["curves"] else None
    once = partial(calibrate, card, design, progress=False, **mistake)
    once(fits=20, random_seed=0)  # compiles
    found, seconds = seconds_of(partial(once, fits=task["fits"], random_seed=task["seed"]))
    table = found.table().set_index("quantity")
    hand_back(
        {
            "fits_per_minute": 60 * len(found.fits) / seconds,
            "seconds": seconds,
            "p": found.p_value,
            "worst": table[["ecdf_p", "chi2_p"]].min(axis=1).idxmin(),
            "coverage": float(table["coverage"].drop("log_likelihood").mean()),
            "discarded": found.discarded["error"].tolist(),
            "retried": int(found.fits["retried"].sum()),
            "table": table.reset_index().to_dict("records"),
        }
    )


def main() -> None:
    arguments = parser(__doc__, repeats=1)
    arguments.add_argument("--fits", type=int, default=500, help="tables a card; default: %(default)s")
    arguments.add_argument("--cards", nargs="+", metavar="CARD", help="default: every card of the package")
    arguments.add_argument("--curves", action="store_true", help="tables of 20 runs over four decades of size")
    arguments.add_argument("--partner", default=CARD, metavar="CARD", help="also with mistakes; default: %(default)s")
    given = arguments.parse_args()
    if given.child:
        child(json.loads(given.child))
        return
    load = load_average()
    if given.smoke:
        given.repeats, given.fits, given.cards = 1, 20, given.cards or [CARD]
        print("smoke: 20 fits of one card; ranks so few say nothing of it, only of gross mistakes")
    cards = given.cards or fresh(__file__, {})["cards"]

    work: dict[str, dict[str, Any]] = {card: {"card": card, "mistake": {}} for card in cards}
    if (card := given.partner) in cards and not given.smoke:
        work |= {f"{card}, {name}": {"card": card, "mistake": mistake} for name, mistake in PARTNERS.items()}
    found: dict[str, list[dict[str, Any]]] = {}
    sized = {"fits": given.fits, "curves": given.curves}
    for name, task in work.items():
        found[name] = [fresh(__file__, {**task, **sized, "seed": 1 + i}) for i in range(given.repeats)]
        last = found[name][-1]
        print(f"{name}: {last['seconds']:.0f} s, p = {last['p']:.2g}, load {load_average()[0]}", flush=True)

    print()
    rows = []
    for name, runs in found.items():
        p = middle(run["p"] for run in runs)
        should = "must fail" if work[name]["mistake"] else "should pass"
        verdict = "passed" if p >= FAILS_BELOW else "failed"
        rows.append(
            [
                name,
                f"{given.fits}",
                spread(run["fits_per_minute"] for run in runs),
                spread(run["p"] for run in runs),
                runs[0]["worst"],
                f"{middle(run['coverage'] for run in runs):.3f}",
                f"{sum(len(run['discarded']) for run in runs)}",
                f"{sum(run['retried'] for run in runs)}",
                f"{verdict} ({should})",
            ]
        )
    head = [
        "card",
        "fits",
        "fits a minute",
        "p",
        "least for",
        "90 % covers",
        "discarded",
        "retried",
        "verdict",
    ]
    print_table(head, rows)
    conclude(__file__, given, load, {"fits": given.fits, "found": found})


if __name__ == "__main__":
    main()
