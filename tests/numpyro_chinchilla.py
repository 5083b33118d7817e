"""The chinchilla card once more, in NumPyro: a program of its own, which shares no line with forescale.

Run by test_numpyro.py as ``python numpyro_chinchilla.py GIVEN MADE``, in a process of its own: JAX is set to 64 bits
and to several devices for all of a process, and no process with its threads should be forked. Both are NumPy archives.

GIVEN holds n_params, n_tokens, loss (run,), and either points, an array (point,) for each name of FREE, or ``draws``,
how many each of four chains is to make. Of points, MADE holds for each of VARIANTS the log density of parameters and
runs together, (point,); of chains, for each variant of SAMPLED ``<variant>/<name>``, (chain, draw).

In nats, parameters and tokens, with priors and references N_0 and D_0 as the card has them:

    log L_i ~ StudentT(nu, log(E + A / N_i^alpha + B / D_i^beta), sigma)
    A = A_effect N_0^alpha,  B = B_effect D_0^beta,  the card's priors of A and B being those of A_effect and B_effect

and derived: a = beta / (alpha + beta), the optimum N* = (alpha A / (beta B))^(1 / (alpha + beta)) (C / 6)^a at the
5.76e23 FLOPs of Gopher, and the loss of 70B parameters and 1.4T tokens.
"""

import sys
import tomllib
from pathlib import Path

import jax
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import numpy as jnp
from numpyro.infer import MCMC, NUTS
from numpyro.infer.util import log_density

CARD = tomllib.loads(Path(__file__).parents[1].joinpath("models", "chinchilla.toml").read_text())
# what is more in a card than this program knows is an error, not to be passed over
known = {"name", "title", "description", "law", "reference", "priors", "noise", "discrepancy"}
assert set(CARD) <= known, sorted(CARD)
assert set(CARD["discrepancy"]) == {"drift"}  # which is no part of the likelihood
assert (CARD["law"], CARD["noise"].pop("kind")) == ("chinchilla", "studentt")

FREE = {
    "E": CARD["priors"]["E"],
    "A_effect": CARD["priors"]["A"],
    "B_effect": CARD["priors"]["B"],
    "alpha": CARD["priors"]["alpha"],
    "beta": CARD["priors"]["beta"],
    **CARD["noise"],
}
DISTRIBUTIONS = {
    "lognormal": lambda median, sigma: dist.LogNormal(jnp.log(median), sigma),
    "halfnormal": dist.HalfNormal,
    "gamma": dist.Gamma,  # of shape alpha and rate beta
}

# What numbers of the model are multiplied by, or its density by: mistakes that one could make. A jacobian of 1 is that
# of effects and printed parameters, due only where the latter are drawn; -1 would make the posterior improper.
RIGHT = {"alpha": {"median": 1.0}, "sigma": {"sigma": 1.0}, "nu": {"beta": 1.0}, "jacobian": 0.0}
VARIANTS = {
    "right": RIGHT,
    "other alpha": RIGHT | {"alpha": {"median": 1.6}},
    "other sigma": RIGHT | {"sigma": {"sigma": 10.0}},
    "other nu": RIGHT | {"nu": {"beta": 2.0}},
    "jacobian": RIGHT | {"jacobian": 1.0},
}
SAMPLED = ("right", "other alpha")


def model(runs, factors):
    def draw(name):
        numbers = {
            key: value * factors.get(name, {}).get(key, 1.0) for key, value in FREE[name].items() if key != "dist"
        }
        return numpyro.sample(name, DISTRIBUTIONS[FREE[name]["dist"]](*numbers.values()))

    E, A_effect, B_effect, alpha, beta, sigma, nu = map(draw, FREE)
    log_n, log_d = (jnp.log(CARD["reference"][name]) for name in ("n_params", "n_tokens"))
    numpyro.factor("mistake", -factors["jacobian"] * (alpha * log_n + beta * log_d))

    A = numpyro.deterministic("A", A_effect * jnp.exp(alpha * log_n))
    B = numpyro.deterministic("B", B_effect * jnp.exp(beta * log_d))
    loss = E + A / runs["n_params"] ** alpha + B / runs["n_tokens"] ** beta
    numpyro.sample("log_loss", dist.StudentT(nu, jnp.log(loss), sigma), obs=jnp.log(runs["loss"]))

    a = numpyro.deterministic("a", beta / (alpha + beta))
    numpyro.deterministic("n_opt", (alpha * A / (beta * B)) ** (1 / (alpha + beta)) * (5.76e23 / 6) ** a)
    numpyro.deterministic("chinchilla_loss", E + A / 70e9**alpha + B / 1.4e12**beta)


def densities(runs, points, factors):
    return jax.vmap(lambda point: log_density(model, (runs, factors), {}, point)[0])(points)


def posteriors(runs, draws, variants):
    """Draws of each variant in turn: factors are arguments of a sampler that is compiled once."""
    kernel = NUTS(model, dense_mass=True, target_accept_prob=0.9)
    chains = {"num_warmup": 1000, "num_samples": draws, "num_chains": 4}
    sampler = MCMC(kernel, **chains, jit_model_args=True, progress_bar=False)
    for seed, (name, factors) in enumerate(variants.items()):
        sampler.run(jax.random.PRNGKey(seed), runs, factors)
        yield name, sampler.get_samples(group_by_chain=True)


def main(given, made):
    numpyro.set_platform("cpu")
    numpyro.enable_x64()
    numpyro.set_host_device_count(4)
    with np.load(given) as archive:
        values = {name: jnp.asarray(archive[name]) for name in archive}
    runs = {name: values[name] for name in ("n_params", "n_tokens", "loss")}
    variants = jax.tree.map(jnp.asarray, VARIANTS)
    if "draws" in values:
        sampled = posteriors(runs, int(values["draws"]), {name: variants[name] for name in SAMPLED})
        out = {f"{variant}/{name}": at for variant, found in sampled for name, at in found.items()}
    else:
        points = {name: values[name] for name in FREE}
        out = {name: densities(runs, points, factors) for name, factors in variants.items()}
    np.savez(made, **{key: np.asarray(value) for key, value in out.items()})


if __name__ == "__main__":
    main(*sys.argv[1:])
