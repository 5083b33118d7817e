"""The posterior of the chinchilla card on the Hoffmann runs, from a second implementation (numpyro_chinchilla.py).

First densities, which must agree to rounding: they see what a posterior of 240 runs hardly shows, such as the prior of
sigma. Then draws, which see the sampler and all that follows from a fit.

Draws are compared in mean, standard deviation and five quantiles of twelve quantities. Each difference, divided by
the Monte Carlo standard errors of both sides together, is standard normal if the posteriors are one; that the largest
of all exceeds BOUND then has a probability of at most FALSE_ALARM (Bonferroni).
"""

import subprocess
import sys
from pathlib import Path

import arviz_stats as az
import numpy as np
import pytest
from scipy import stats

import forescale as fs

PROGRAM = Path(__file__).with_name("numpyro_chinchilla.py")
FREE = ("E", "A_effect", "B_effect", "alpha", "beta", "sigma", "nu")
QUANTITIES = (*FREE, "A", "B", "a", "n_opt", "chinchilla_loss")
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
STATISTICS = ("mean", "sd", *QUANTILES)
FALSE_ALARM = 1e-3
BOUND = stats.norm.isf(FALSE_ALARM / 2 / len(QUANTITIES) / len(STATISTICS))
DRAWS = 3000  # of each of four chains, on both sides
CAUGHT = 0.1  # posterior standard deviations by which a mean that is wrong is found 19 times in 20


def second(folder, runs, **asked):
    """What the program makes of the runs and of points or a number of draws."""
    columns = {name: runs.column(name) for name in ("n_params", "n_tokens", "loss")}
    given, made = folder / "given.npz", folder / "made.npz"
    np.savez(given, **columns, **asked)
    subprocess.run([sys.executable, PROGRAM, given, made], check=True)
    with np.load(made) as archive:
        return dict(archive)


def ours(fit):
    """Draws of the same quantities, from forescale's own verbs."""
    split = fs.allocate(fit, 5.76e23).draws
    at = fs.forecast(fit, {"n_params": "70B", "n_tokens": "1.4T"}).draws["mean"]
    derived = {"a": split["a"], "n_opt": split["n_params"], "chinchilla_loss": at}
    found = {**{name: fit.posterior[name] for name in (*FREE, "A", "B")}, **derived}
    return {name: values.squeeze().transpose("chain", "draw").to_numpy() for name, values in found.items()}


def statistic(values, what):
    """A statistic of draws (chain, draw), and its Monte Carlo standard error."""
    if what in QUANTILES:
        return np.quantile(values, what), az.mcse(values, method="quantile", prob=what)
    return getattr(np, {"sd": "std"}.get(what, what))(values), az.mcse(values, method=what)


def differences(one, other):
    """Each statistic's difference in Monte Carlo standard errors."""
    found = {}
    for name in QUANTITIES:
        for what in STATISTICS:
            (left, left_se), (right, right_se) = (statistic(side[name], what) for side in (one, other))
            found[name, what] = float((left - right) / np.hypot(left_se, right_se))
    return found


def largest(found):
    return max(map(abs, found.values()))


def test_densities_are_equal(hoffmann, tmp_path):
    """To 1e-8 nats, at points from the prior and at points that a posterior may visit."""
    model = fs.load_model("chinchilla")
    prior = model.sample_prior(10, np.random.default_rng(1))
    near = {"E": 1.8, "A_effect": 0.8, "B_effect": 0.83, "alpha": 0.345, "beta": 0.36, "sigma": 0.004, "nu": 2.9}
    rng = np.random.default_rng(2)
    points = {
        name: np.concatenate([prior[name][0], near[name] * np.exp(0.05 * rng.standard_normal(10))]) for name in FREE
    }
    built = model.build(model.data(hoffmann))
    density = built.compile_logp(jacobian=False, mode="FAST_COMPILE")
    values = {built.rvs_to_values[built[name]].name: np.log(points[name]) for name in FREE}
    expected = [float(density({name: at[i] for name, at in values.items()})) for i in range(20)]
    found = second(tmp_path, hoffmann, **points)
    # PyMC's normalising constants are rounded, by 2e-9 in all, the same at every point
    np.testing.assert_allclose(found.pop("right"), expected, rtol=0, atol=1e-8)
    # the partners: a prior changed, and a Jacobian that is not due
    assert len(found) == 4
    for variant, densities in found.items():
        assert np.abs(densities - expected).max() > 0.1, variant


@pytest.mark.slow
def test_posteriors_agree(hoffmann, hoffmann_fit, tmp_path):
    """Within Monte Carlo error, where that is small enough to see a tenth of a standard deviation."""
    fit = fs.fit(hoffmann, "chinchilla", draws=DRAWS, random_seed=2)
    made = second(tmp_path, hoffmann, draws=DRAWS)
    theirs = {variant: {name: made[f"{variant}/{name}"] for name in QUANTITIES} for variant in ("right", "other alpha")}
    mine = ours(fit)
    for side in (mine, theirs["right"]):
        assert max(float(az.rhat(side[name])) for name in QUANTITIES) < 1.01
    seen = {
        name: np.hypot(*(az.mcse(side[name]) for side in (mine, theirs["right"]))) / mine[name].std()
        for name in QUANTITIES
    }
    assert (BOUND + stats.norm.isf(0.05)) * max(seen.values()) < CAUGHT, seen

    found = differences(mine, theirs["right"])
    assert largest(found) < BOUND, found
    # the partner: a prior of alpha 1.6 times as large, which moves it by a tenth of a standard deviation
    assert largest(differences(mine, theirs["other alpha"])) > BOUND
    # and the fit that the other tests share, of fewer draws, is of the same posterior
    assert largest(differences(ours(hoffmann_fit), theirs["right"])) < BOUND
