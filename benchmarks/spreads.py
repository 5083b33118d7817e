"""How much families of runs differ, from ladders that families are not judged by: the usual spreads of `fit_families`.

``--collect`` fits each ladder by itself, with a card whose priors are made twice as wide, and keeps what its runs alone
say of the logs of its parameters: mean and covariance of the posterior, with the prior divided out (both are close to
normal in logs; kappa, which families share, in log odds). It writes them to ``models/spreads/ladders.csv``. Ladders
come in collections, as a user's families do:

- *laboratories*: Hoffmann et al., Open-Euro-LLM, OLMo and Muennighoff et al., each with text and tokens of its own;
- *texts*: OLMo's runs, and Clark et al.'s dense ones, each by their loss on several texts;
- *architectures*: five models of translation (google_nmt).

OPT's checkpoints are not finished runs, and Gadre et al.'s runs and ``pile_families`` are what families are judged by
(families.py): none of these is here. A ladder i of collection c has

    log p_i ~ Normal(m_c, tau_c^2) for each parameter p, floor and effects with one more factor of theirs, lambda_c,
    tau_c ~ HalfNormal(scale of the kind of p),    scale ~ HalfNormal(0.5),

so that a scale is what `fit_families` asks a card for: that of the half-normal prior on the spread of families of a
collection not seen. Kinds are the floor, effects of terms at the reference, exponents, a factor on all losses, and
noise. Medians go to ``models/spreads/learned.toml``; a test holds the package's usual spreads to them, to one digit.

Run::

    python benchmarks/spreads.py --collect --tables FOLDER
    python benchmarks/spreads.py

What it showed: README.md beside this file.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tomli_w
from drift import model_of
from ladders import Ladder, ladders

import forescale as fs
from forescale.belief.model import Model

SHELF = Path(__file__).parent.parent / "models" / "spreads"
LABORATORIES = ("hoffmann2022", "openeurollm", "olmo c4_en", "datablations")
CARDS = {("n_params", "n_tokens"): "coupled", ("n_params",): "shifted_power_n", ("n_tokens",): "shifted_power_d"}
WIDER = 2.0  # than the card's
KINDS = ("loss", "floor", "effect", "exponent", "noise")
LEAST_PRECISION = 1.0  # of any direction in logs: what runs do not say is known to a factor of e
SEE = 0.5
SHARED = "kappa"  # what couples terms is the same in all families, as in `fit_families`
AS_ONE = 0.05  # their standard deviation between ladders, all but none
ODDS = np.pi / 3**0.5  # standard deviation of the log odds of what is uniform


def collections(folder: Path | None) -> dict[str, list[Ladder]]:
    """Ladders that differ as families do, by what they differ in."""
    found = ladders(folder)
    wanted = {
        "laboratories": [one for one in found if one.table in LABORATORIES],
        "texts of OLMo": [one for one in found if one.source == "olmo"],
        "texts of Clark et al.": [one for one in found if one.source == "routing"],
        "architectures": [one for one in found if one.source == "google_nmt"],
    }
    return {name: ones for name, ones in wanted.items() if len(ones) > 1}


def wide(ladder: Ladder) -> Model:
    """The card that a ladder is fitted with, its priors of law wider."""
    model = model_of(CARDS[ladder.inputs], ladder.source)
    priors = {
        name: fs.Prior("lognormal", median=prior.median, sigma=WIDER * dict(prior.arguments)["sigma"])
        for name, prior in model.priors.items()
        if prior.dist == "lognormal"
    }
    return model.with_priors(**priors)


def said_by(ladder: Ladder, collection: str) -> pd.DataFrame:
    """What a ladder's runs alone say of logs of parameters: a row for each, with its row of the covariance."""
    model = wide(ladder)
    found = fs.fit(ladder.runs, model, draws=1000, random_seed=1, progress=False)
    believed = {model.prior_name(name): prior for name, prior in model.priors.items() if prior.dist == "lognormal"}
    logs = {name: np.log(np.ravel(found.posterior[name])) for name in (*believed, "sigma")}
    logs |= {name: odds(model.priors[name], np.ravel(found.posterior[name])) for name in model.priors if name == SHARED}
    names, draws = list(logs), np.array([*logs.values()])
    mean, precision = draws.mean(axis=1), np.linalg.inv(np.cov(draws))
    spread = {name: dict(one.arguments)["sigma"] for name, one in believed.items()} | {"sigma": np.inf}
    prior = np.diag([spread.get(name, ODDS) ** -2 for name in names])
    middle = np.array([np.log(believed[name].median) if name in believed else 0.0 for name in names])
    size, turn = np.linalg.eigh(precision - prior)
    covariance = turn @ np.diag(1 / np.maximum(size, LEAST_PRECISION)) @ turn.T
    alone = covariance @ (precision @ mean - prior @ middle)
    columns = {f"with_{i}": covariance[:, i] for i in range(len(names))}
    told = {"collection": collection, "ladder": ladder.table, "card": model.name, "runs": len(ladder.runs)}
    return pd.DataFrame({**told, "parameter": names, "log_value": alone, **columns})


def odds(prior: fs.Prior, values: Any) -> Any:
    """Log odds of a parameter that is uniform between two ends: beforehand close to normal, of deviation `ODDS`."""
    low, high = (dict(prior.arguments)[end] for end in ("lower", "upper"))
    return np.log((values - low) / (high - values))


def collect(folder: Path | None) -> pd.DataFrame:
    """Rows of all ladders of all collections."""
    rows = []
    for collection, ones in collections(folder).items():
        for ladder in ones:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", fs.ForescaleWarning)
                    rows.append(said_by(ladder, collection))
            except fs.ForescaleError as error:
                print(f"refused: {ladder.table}: {error}", flush=True)
                continue
            values = dict(zip(rows[-1]["parameter"], np.exp(rows[-1]["log_value"]), strict=True))
            print(f"{ladder.table}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items()), flush=True)
    return pd.concat(rows, ignore_index=True)


def kind_of(parameter: str) -> str:
    """Of what kind a parameter is."""
    if parameter == "sigma":
        return "noise"
    return "floor" if parameter == "E" else "effect" if parameter.endswith("_effect") else "exponent"


def learn(rows: pd.DataFrame, seed: int = 1) -> Any:
    """Draws of the scales, and of each collection's spreads.

    What is sampled of a ladder is where in its own likelihood it is, since nearly all say far more than their fellows.
    """
    import nutpie
    import pymc as pm
    import pytensor.tensor as pt

    with pm.Model() as model:
        scales = {kind: pm.HalfNormal(kind, SEE) for kind in KINDS}
        for collection, group in rows.groupby("collection", sort=False):
            names = list(dict.fromkeys(group["parameter"]))
            values, roots = told(group, names)
            count = len(values)
            spreads = {
                name: pm.HalfNormal(f"{name}: {collection}", scales[kind_of(name)]) for name in names if name != SHARED
            }
            level = pm.HalfNormal(f"loss: {collection}", scales["loss"])
            scaled = np.array([kind_of(name) in ("floor", "effect") for name in names], dtype=float)
            middle = pm.Normal(f"middle: {collection}", values.mean(axis=0), 1.0, shape=len(names))
            within = pm.Normal(f"within: {collection}", shape=values.shape)
            own = values + (roots * within[:, None, :]).sum(axis=2)
            factor = level * pm.Normal(f"factor: {collection}", shape=count)
            apart = own - middle - factor[:, None] * scaled
            each = pt.stack([spreads.get(name, pt.constant(AS_ONE)) for name in names])
            pm.Potential(f"apart: {collection}", pm.logp(pm.Normal.dist(0.0, each), apart).sum())
    compiled = nutpie.compile_pymc_model(model)
    tree = nutpie.sample(compiled, draws=4000, tune=1500, chains=4, target_accept=0.95, seed=seed, progress_bar=False)
    return tree.posterior


def told(group: pd.DataFrame, names: list[str]) -> tuple[Any, Any]:
    """Values, shape (ladder, parameter), and roots of the covariances of a collection."""
    ladder = [one for _, one in group.groupby("ladder", sort=False)]
    values = np.array([one["log_value"].to_numpy() for one in ladder])
    columns = [f"with_{i}" for i in range(len(names))]
    return values, np.array([np.linalg.cholesky(one[columns].to_numpy()) for one in ladder])


def shown(posterior: Any, rows: pd.DataFrame) -> dict[str, float]:
    """Print spreads and scales, and hand back the medians of scales."""
    import arviz as az

    worst = az.summary(posterior, kind="diagnostics")
    print(f"R-hat at most {worst['r_hat'].astype(float).max():.3f}")

    def cell(name: str) -> str:
        low, middle, high = np.quantile(posterior[name], [0.05, 0.5, 0.95])
        return f"{middle:.3f} [{low:.3f}, {high:.3f}]"

    counts = rows.groupby("collection", sort=False)["ladder"].nunique()
    single = [str(name) for name, draws in posterior.items() if draws.ndim == 2]
    wanted = [[name, cell(name)] for name in single if ": " in name and not name.startswith("middle")]
    print("\nstandard deviations of logs between ladders of a collection, medians and 90 % intervals")
    print(pd.DataFrame(wanted, columns=["parameter: collection", "spread"]).to_string(index=False))
    print(f"ladders: {counts.to_dict()}\n\nscales of half-normal priors on spreads")
    print(pd.DataFrame([[kind, cell(kind)] for kind in KINDS], columns=["kind", "scale"]).to_string(index=False))
    return {kind: float(posterior[kind].median()) for kind in KINDS}


def reweighted(posterior: Any, see: float) -> dict[str, float]:
    """Medians of scales, had their prior been another half-normal: draws by their weight."""
    draws = np.array([np.ravel(posterior[kind]) for kind in KINDS])
    log_weight = -0.5 * (draws**2).sum(axis=0) * (see**-2 - SEE**-2)
    weight = np.exp(log_weight - log_weight.max())
    medians = {}
    for kind, values in zip(KINDS, draws, strict=True):
        order = np.argsort(values)
        medians[kind] = float(values[order][np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)])
    return medians


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--collect", action="store_true", help="fit the ladders anew; needs --tables")
    arguments.add_argument("--tables", type=Path, metavar="FOLDER", help="where the tables are: see ladders.py")
    given = arguments.parse_args()
    if given.collect:
        SHELF.mkdir(exist_ok=True)
        collect(given.tables).to_csv(SHELF / "ladders.csv", index=False, float_format="%.6g")
    rows = pd.read_csv(SHELF / "ladders.csv")
    posterior = learn(rows)
    found = shown(posterior, rows)
    for see in (SEE / 2, SEE * 2):
        said = ", ".join(f"{kind} {value:.3f}" for kind, value in reweighted(posterior, see).items())
        print(f"with HalfNormal({see:g}) on scales, medians: {said}")
    learned = {"ladders": int(rows["ladder"].nunique()), "scales": {k: float(f"{v:.2g}") for k, v in found.items()}}
    (SHELF / "learned.toml").write_text(tomli_w.dumps(learned), encoding="utf-8")


if __name__ == "__main__":
    main()
