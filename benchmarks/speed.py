"""How fast a fit is, beside the models that one would write by hand.

Measured on the Hoffmann et al. runs, for each side:

ESS/s
    least bulk effective sample size over E, A, B, alpha, beta, sigma and nu, per second of sampling: tuning
    included, compilation excluded (forescale samples a second time for this; the others say what they spent).
process
    wall time of a fresh process that imports, loads the table, builds, compiles, samples and computes the
    effective sample sizes. ``cold``: with an empty compilation cache of PyTensor; ``warm``: with the cache that
    the cold process left. NumPyro keeps no such cache.

Sides, 4 chains of 1,000 draws each:

forescale
    ``forescale.fit`` with the card ``chinchilla``; 500 tuning steps, its default.
pymc
    The law with A and B as printed, weak priors and Student-t noise on
    log loss, sampled by ``pm.sample(nuts_sampler="pymc")``; 1,000 tuning steps, its default.
pymc-default
    The same, sampled by ``pm.sample()``. PyMC 6.4 then takes nutpie where it is installed and PyTensor compiles
    with numba, as it does by default; the table says which sampler ran. Its tuning is that sampler's default.
numpyro
    The same in NumPyro: NUTS, 64 bit, 4 host devices in parallel, 1,000 tuning steps.
numpyro-centred
    The same law in NumPyro with priors on the terms' effects at 1e9 parameters and 2e10 tokens.
numpyro-centred-dense
    The same with a dense mass matrix.

Targets: at least 100 times the ESS/s of ``pymc``, and a process of at most a twelfth of its time.

Run::

    python benchmarks/speed.py --json speed.json
    python benchmarks/speed.py --sides forescale pymc-default --repeats 9

What it showed: README.md beside this file.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from measure import conclude, fresh, hand_back, load_average, middle, parser, print_table, seconds_of, spread

PARAMETERS = ("E", "A", "B", "alpha", "beta", "sigma", "nu")
LITERAL = {"E": (1.7, 0.35), "A": (400.0, 2.0), "B": (1000.0, 2.0), "alpha": (0.32, 0.35), "beta": (0.32, 0.35)}
CENTRED = {**LITERAL, "A": (0.35, 0.8), "B": (0.45, 0.8)}  # lognormal: median, sigma
REFERENCE = {"n_params": 1e9, "n_tokens": 2e10}

# A side first does what a user's process does and yields its draws by parameter, arrays (chain, draw); then it
# yields draws again, with the seconds that sampling alone took and the sampler's name.
Side = Iterator[Any]


def forescale(task: Mapping[str, Any]) -> Side:
    import forescale as fs

    fit = fs.fit(fs.load_dataset("hoffmann2022"), "chinchilla", random_seed=task["seed"], progress=False)
    yield fit.posterior
    from forescale.sampling.nuts import Settings, sample

    data = fit.model.data(fit.observations)
    drawn, seconds = seconds_of(lambda: sample(fit.model, data, Settings(), task["seed"] + 1, progress=False))
    yield drawn.posterior, seconds, "nutpie, low-rank mass matrix"


def pymc(task: Mapping[str, Any], nuts_sampler: str | None = "pymc") -> Side:
    import numpy as np
    import pymc as pm

    import forescale as fs

    runs = fs.load_dataset("hoffmann2022")
    with pm.Model():
        E, A, B, alpha, beta = (pm.LogNormal(name, math.log(m), s) for name, (m, s) in LITERAL.items())
        sigma = pm.HalfNormal("sigma", 0.05)
        nu = pm.Gamma("nu", 2, 0.1)
        mu = pm.math.log(E + A / runs.column("n_params") ** alpha + B / runs.column("n_tokens") ** beta)
        pm.StudentT("log_loss", nu=nu, mu=mu, sigma=sigma, observed=np.log(runs.column("loss")))
        tree = pm.sample(
            random_seed=task["seed"], nuts_sampler=nuts_sampler, progressbar=False, quiet=True, **task["length"]
        )
    posterior = tree["posterior"].dataset
    yield posterior
    library = posterior.attrs["inference_library"]
    yield posterior, posterior.attrs["sampling_time"], f"{library}, diagonal mass matrix"


def pymc_default(task: Mapping[str, Any]) -> Side:
    return pymc(task, nuts_sampler=None)


def numpyro(task: Mapping[str, Any], centred: bool = False, dense: bool = False) -> Side:
    import jax
    import numpy as np
    import numpyro
    import numpyro.distributions as dist
    from jax import numpy as jnp

    import forescale as fs

    length = task["length"]
    numpyro.enable_x64()
    numpyro.set_host_device_count(length["chains"])
    runs = fs.load_dataset("hoffmann2022")
    n_params, n_tokens, loss = (runs.column(name) for name in ("n_params", "n_tokens", "loss"))
    if centred:
        n_params, n_tokens = n_params / REFERENCE["n_params"], n_tokens / REFERENCE["n_tokens"]

    def model() -> None:
        priors = (CENTRED if centred else LITERAL).items()
        E, A, B, alpha, beta = (numpyro.sample(name, dist.LogNormal(math.log(m), s)) for name, (m, s) in priors)
        sigma = numpyro.sample("sigma", dist.HalfNormal(0.05))
        nu = numpyro.sample("nu", dist.Gamma(2.0, 0.1))
        mu = jnp.log(E + A / n_params**alpha + B / n_tokens**beta)
        numpyro.sample("log_loss", dist.StudentT(nu, mu, sigma), obs=np.log(loss))

    sampler = numpyro.infer.MCMC(
        numpyro.infer.NUTS(model, dense_mass=dense),
        num_warmup=length.get("tune", 1000),
        num_samples=length.get("draws", 1000),
        num_chains=length["chains"],
        chain_method="parallel",
        progress_bar=False,
    )

    compiling = 0.0

    def count(event: str, seconds: float, **_: Any) -> None:
        nonlocal compiling
        compiling += seconds if event.startswith("/jax/core/compile/") else 0.0

    def draws() -> dict[str, Any]:
        sampler.run(jax.random.PRNGKey(task["seed"]))
        return {name: np.asarray(value) for name, value in sampler.get_samples(group_by_chain=True).items()}

    jax.monitoring.register_event_duration_secs_listener(count)  # every run of an MCMC object compiles anew
    found, seconds = seconds_of(draws)
    if centred:
        found["A"] = found["A"] * REFERENCE["n_params"] ** found["alpha"]
        found["B"] = found["B"] * REFERENCE["n_tokens"] ** found["beta"]
    yield found
    yield found, seconds - compiling, f"numpyro, {'dense' if dense else 'diagonal'} mass matrix"


def numpyro_centred(task: Mapping[str, Any]) -> Side:
    return numpyro(task, centred=True)


def numpyro_centred_dense(task: Mapping[str, Any]) -> Side:
    return numpyro(task, centred=True, dense=True)


SIDES: dict[str, Callable[[Mapping[str, Any]], Side]] = {
    "forescale": forescale,
    "pymc": pymc,
    "pymc-default": pymc_default,
    "numpyro": numpyro,
    "numpyro-centred": numpyro_centred,
    "numpyro-centred-dense": numpyro_centred_dense,
}


def least_ess(draws: Mapping[str, Any]) -> float:
    import arviz_stats
    import numpy as np

    return min(float(arviz_stats.ess(np.asarray(draws[name]), method="bulk")) for name in PARAMETERS)


def child(task: Mapping[str, Any]) -> None:
    side = SIDES[task["side"]](task)
    result = {"process_ess": least_ess(next(side))}
    finished = time.time()
    if task["sampling"]:
        draws, seconds, sampler = next(side)
        ess = least_ess(draws)
        result |= {"ess": ess, "sampling": seconds, "ess_per_second": ess / seconds, "sampler": sampler}
    hand_back(result, finished)


def measure(name: str, seed: int, length: Mapping[str, int]) -> dict[str, Any]:
    """A side's process with an empty cache, then one with the cache that the first left, and its sampling."""
    task = {"side": name, "seed": seed, "length": length}
    with tempfile.TemporaryDirectory() as cache:
        flags = ",".join(filter(None, (os.environ.get("PYTENSOR_FLAGS"), f"base_compiledir={cache}")))
        cold = fresh(__file__, {**task, "sampling": False}, {"PYTENSOR_FLAGS": flags})
        warm = fresh(__file__, {**task, "sampling": True}, {"PYTENSOR_FLAGS": flags})
    return {**warm, "cold": cold["wall"], "warm": warm["wall"]}


def smoke(name: str, length: Mapping[str, int]) -> dict[str, Any]:
    """A side's process, once, with whatever cache there is."""
    one = fresh(__file__, {"side": name, "seed": 0, "length": length, "sampling": True})
    return {**one, "cold": math.nan, "warm": one["wall"]}


def main() -> None:
    arguments = parser(__doc__, repeats=3)
    arguments.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    given = arguments.parse_args()
    if given.child:
        child(json.loads(given.child))
        return
    load = load_average()
    length, sides = {"chains": 4}, given.sides
    if given.smoke:
        given.repeats, length = 1, {"chains": 2, "draws": 10, "tune": 10}
        sides = [name for name in sides if name in ("forescale", "pymc", "numpyro-centred")]
    if importlib.util.find_spec("numpyro") is None:
        sides = [name for name in sides if not name.startswith("numpyro")]
    for name in given.sides:
        if name not in sides:
            print(f"skipped: {name} ({'smoke' if given.smoke else 'NumPyro is not installed'})")
    if given.smoke:
        print("skipped: cold processes. All sides but forescale draw 2 x 10 times: their figures mean nothing")

    found = []
    for repeat in range(given.repeats):
        for name in sides:  # sides take turns, so that all meet the same neighbours on the machine
            one = smoke(name, length) if given.smoke else measure(name, 100 * repeat, length)
            found.append({"side": name, "repeat": repeat, **one})
            print(f"{repeat + 1}/{given.repeats} {found[-1]}", flush=True)

    of = {name: [one for one in found if one["side"] == name] for name in sides}
    columns = ("ess_per_second", "sampling", "ess", "cold", "warm")
    print()
    rows = [[name, of[name][0]["sampler"], *(spread(one[c] for one in of[name]) for c in columns)] for name in sides]
    print_table(["side", "sampler", "ESS/s", "sampling s", "least ESS", "cold process s", "warm process s"], rows)
    ratios = {}
    if "forescale" in sides:
        print()
        for name in sides:
            pairs = list(zip(of["forescale"], of[name], strict=True))
            ratios[name] = {
                "ess_per_second": middle(ours["ess_per_second"] / one["ess_per_second"] for ours, one in pairs),
                "warm": middle(one["warm"] / ours["warm"] for ours, one in pairs),
                "cold": middle(one["cold"] / ours["cold"] for ours, one in pairs),
            }
        print_table(
            ["forescale against", "ESS/s", "warm process", "cold process"],
            [[name, *(f"{value:.3g} times" for value in ratio.values())] for name, ratio in ratios.items()],
        )
    conclude(__file__, given, load, {"length": length, "runs": found, "ratios": ratios})


if __name__ == "__main__":
    main()
