"""Simulation-based calibration of families: of what they share, by how much they differ, one of them, and one not seen.

Truths are drawn from the priors of the card shifted_power_n with the usual spreads between families, of floor, effect,
exponent, a factor on all losses, and noise: six families, five of seven runs each and one of four small ones,
and a seventh of which there is no run. `fit_families` fits them as a user would; truths are ranked among 99 of its
draws. If the fits are right all ranks are uniform: of shared parameters, of spreads, of the small family's parameters
and of its loss a hundred times beyond its largest run, and of the family not seen (`Families.new`) there. A fit that is
refused is counted, and ranked all the same if its R-hat is below 1.05: leaving out what is hard would bend the ranks.

Two mistakes must be found: *told too alike*, families that differ ten times as much as is believed; and *one for all*,
in which the family not seen is taken to be the shared law, without a spread. And where families do not differ at all,
what they are believed to be and one law for all runs must agree: the share of forecasts of the small family whose
medians are within one standard deviation, and the ratio of widths, are printed.

Run::

    python benchmarks/populations.py --fits 200 --json populations.json

What it showed: README.md beside this file.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from measure import conclude, load_average, parser, print_table

import forescale as fs
from forescale.belief.spreads import LEVEL
from forescale.errors import ConvergenceError, DataError, ForescaleWarning
from forescale.families.model import FamilyModel, with_usual_spreads
from forescale.numbers.uniformity import chi2_p, coverage, ecdf_p, spaced
from forescale.tables.cells import MOST_LOSS

FAMILIES, RUNS, FEW = 6, 7, 4
SIZES = np.geomspace(3e7, 3e10, RUNS)
FAR = 100 * SIZES[FEW - 1]
BRIEF = {"E": 0.1, "A": 0.1, "alpha": 0.1}  # spreads that the tests have compiled
KEPT = 99
R_HAT_MAX = 1.05
FAILS_BELOW = 0.01
SMALL, UNSEEN = "family 0", "not seen"
SETTINGS = {"draws": 1000, "tune": 500}
Values = dict[str, Any]


def card(spreads: Mapping[str, float]) -> fs.Model:
    """The law of size with a floor, whose parameters differ."""
    return fs.load_model("shifted_power_n").with_noise("normal").with_families(**spreads)


def usual(share: float = 1.0) -> dict[str, float]:
    """The usual spreads, or a share of them."""
    return {name: share * scale for name, scale in with_usual_spreads(card({})).families.scales.items()}


def simulated(model: fs.Model, rng: np.random.Generator, *, differ: bool = True) -> tuple[fs.Observations, Values]:
    """A table drawn from the priors, and what it was drawn from; the last family has no runs."""
    families = FamilyModel(model, FAMILIES)
    shared = {name: prior.sample(1, rng)[0] for name, prior in model.free_priors().items()}
    spreads = {name: model.families.prior(name).sample(1, rng)[0] * differ for name in model.families}
    factors = {name: spread * rng.standard_normal(FAMILIES + 1) for name, spread in spreads.items()}
    values = families.parameters(shared, factors)
    member = np.repeat(np.arange(FAMILIES), [FEW, *[RUNS] * (FAMILIES - 1)])
    sizes = np.concatenate([SIZES[:FEW], *[SIZES] * (FAMILIES - 1)])
    own = {name: (value + np.zeros(FAMILIES + 1))[member] for name, value in values.items()}
    loss = model.law({"n_params": sizes}, own) * np.exp(model.noise.sample(own, sizes.shape, rng))
    table = {"n_params": sizes, "loss": loss, "family": np.array([f"family {i}" for i in member])}
    truth = {**shared, **{f"{name}_spread": spread for name, spread in spreads.items()}}
    for i, label in ((0, SMALL), (FAMILIES, UNSEEN)):
        one = {name: np.broadcast_to(value, FAMILIES + 1)[i] for name, value in values.items()}
        truth |= {f"far loss, {label}": float(model.law({"n_params": FAR}, one))}
        if label == SMALL:
            truth |= {f"{drawn}, {label}": one[drawn] for name, drawn in families.varied.items() if name != LEVEL}
    if loss.max() > MOST_LOSS:  # no table: drawn again, which changes no posterior, since it depends on losses alone
        return simulated(model, rng, differ=differ)
    return fs.Observations.from_frame(pd.DataFrame(table), name="simulated"), truth


def said(found: fs.Families) -> tuple[Values, Values]:
    """Draws of what a truth is ranked among; and those where the family not seen is taken for the shared law."""
    draws = dict(found.joint.posterior.drop_dims("family"))
    small, law = found["family 0"], found.model.law
    draws |= {f"{name}, {SMALL}": small.posterior[name] for name in found.varied}
    none = dict.fromkeys(found.model.families, 0.0)
    shared = FamilyModel(found.model, FAMILIES).parameters(found.joint.posterior, none)
    alike = law({"n_params": FAR}, shared)
    draws |= {f"far loss, {SMALL}": law({"n_params": FAR}, small.posterior)}
    draws |= {f"far loss, {UNSEEN}": law({"n_params": FAR}, found.new.posterior)}
    return {name: np.ravel(of) for name, of in draws.items()}, {f"far loss, {UNSEEN}": np.ravel(alike)}


def ranks(truth: Mapping[str, float], draws: Mapping[str, Any]) -> dict[str, int]:
    """The number of kept draws below each truth."""
    return {name: int((of[spaced(len(of), KEPT)] < truth[name]).sum()) for name, of in draws.items() if name in truth}


def fitted(runs: fs.Observations, model: fs.Model, seed: int) -> tuple[fs.Families | None, bool]:
    """Families, or None where R-hat is beyond use; and whether a user would have had them."""
    try:
        return fs.fit_families(runs, model, random_seed=seed, progress=False, **SETTINGS), True
    except DataError as error:
        print(f"table {seed}: {error}", flush=True)
        return None, False
    except ConvergenceError as error:
        print(f"table {seed} refused: {str(error)[:140]}", flush=True)
        joint = error.fit
        labels = tuple(sorted(set(runs.labels("family"))))
        usable = joint.diagnostics.table["r_hat"].max() < R_HAT_MAX
        return (fs.Families(model, runs, "family", labels, joint) if usable else None), False


def calibrated(
    fits: int, differ: Mapping[str, float], believed: Mapping[str, float], seed: int
) -> tuple[dict[str, list[Any]], int]:
    """Ranks of truths of families that differ so, and are believed to; and how many were refused."""
    rows: dict[str, list[Any]] = {}
    refused = 0
    for fit in range(fits):
        rng = np.random.default_rng([seed, fit])
        runs, truth = simulated(card(differ), rng)
        found, passed = fitted(runs, card(believed), fit)
        refused += not passed
        if found is None:
            continue
        draws, alike = said(found)
        for name, rank in ranks(truth, draws).items():
            rows.setdefault(name, []).append(rank)
        for name, rank in ranks(truth, alike).items():
            rows.setdefault(f"{name}, one for all", []).append(rank)
    return rows, refused


def judged(what: str, rows: Mapping[str, list[Any]], refused: int) -> list[dict[str, Any]]:
    """Print and hand back a row for each quantity: coverage of 90 % intervals, and p-values of uniform ranks."""
    found = [
        {
            "believed": what,
            "quantity": name,
            "fits": len(of),
            "refused": refused,
            "covered_90": coverage(of, KEPT + 1, 0.9),
            "ecdf_p": ecdf_p(of, KEPT + 1),
            "chi2_p": chi2_p(of, KEPT + 1),
        }
        for name, of in rows.items()
    ]
    print(f"\n{what}: {refused} tables refused")
    cells = [
        [str(row["quantity"]), str(row["fits"]), *(f"{row[key]:.3g}" for key in ("covered_90", "ecdf_p", "chi2_p"))]
        for row in found
    ]
    print_table(["quantity", "fits", "90 % covers", "p (ECDF)", "p (chi2)"], cells)
    proper = [row for row in found if "one for all" not in str(row["quantity"])]
    least = 2 * len(proper) * min(np.nanmin([row["ecdf_p"], row["chi2_p"]]) for row in proper)
    print(f"least p times their number: {min(1.0, least):.2g}", flush=True)
    return found


def alike(fits: int, seed: int) -> dict[str, float]:
    """Where families do not differ: forecasts of the small family, together and by one law for all runs."""
    moved, wider = [], []
    for fit in range(fits):
        runs, _ = simulated(card(usual()), np.random.default_rng([seed, fit]), differ=False)
        together, _ = fitted(runs, card(usual()), fit)
        try:
            one = fs.fit(runs, card({}), random_seed=fit, progress=False)
        except (ConvergenceError, DataError):
            continue
        if together is None:
            continue
        logs = [np.log(np.ravel(of.law({"n_params": FAR}, of.posterior))) for of in (together["family 0"], one)]
        moved.append((np.median(logs[0]) - np.median(logs[1])) / logs[0].std())
        wider.append(logs[0].std() / logs[1].std())
    told = {"fits": len(moved), "within_sd": float(np.mean(np.abs(moved) < 1)), "ratio": float(np.median(wider))}
    print(
        f"\nno spread: of {told['fits']} forecasts {told['within_sd']:.2f} are within one standard deviation of one "
        f"law for all runs, and {told['ratio']:.2f} times as wide (median)"
    )
    return told


def main() -> None:
    arguments = parser(__doc__, repeats=1)
    arguments.add_argument("--fits", type=int, default=200, help="tables; default: %(default)s")
    given, load = arguments.parse_args(), load_average()
    warnings.simplefilter("ignore", ForescaleWarning)
    fits, differ = (1, BRIEF) if given.smoke else (given.fits, usual())
    found = judged("as they do", *calibrated(fits, differ, differ, 1))
    if not given.smoke:
        found += judged("told too alike", *calibrated(fits // 2, differ, usual(0.1), 2))
    conclude(__file__, given, load, {"ranks": found, "alike": {} if given.smoke else alike(fits // 4, 3)})


if __name__ == "__main__":
    main()
