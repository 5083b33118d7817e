"""Approach 1: the exponent from the switches between training curves, and how sure it may be."""

import numpy as np
import pandas as pd
import pymc as pm
import pytest
from scipy.stats import beta, binom, lognorm, multivariate_normal, norm, t

import forescale as fs
from forescale.errors import DataError
from forescale.frontiers.curves import Switches, curves, switches
from forescale.frontiers.envelope import build, envelope, switch_data

LAW = {"E": 1.8, "A": 482.0, "B": 2085.0, "alpha": 0.348, "beta": 0.366}
TRUE_A = LAW["beta"] / (LAW["alpha"] + LAW["beta"])
SIZES = np.geomspace(5e7, 8e9, 9)


def checkpoints(seed, *, sizes=SIZES, of_points=0.002, of_runs=0.002, points=25):
    """Checkpoints of each size by the chinchilla law, with noise of single points and of whole runs."""
    rng = np.random.default_rng(seed)
    blocks = []
    for size in sizes:
        tokens = size * np.geomspace(2, 300, points)
        loss = LAW["E"] + LAW["A"] / size ** LAW["alpha"] + LAW["B"] / tokens ** LAW["beta"]
        noise = of_points * rng.standard_normal(points) + of_runs * rng.standard_normal()
        blocks.append(pd.DataFrame({"n_params": size, "n_tokens": tokens, "loss": loss * np.exp(noise)}))
    return fs.Observations.from_frame(pd.concat(blocks), name=f"checkpoints {seed}")


@pytest.fixture(scope="module")
def found():
    return envelope(checkpoints(0), random_seed=1)


def optimum(flops):
    """Log N* of the law in closed form."""
    level = np.log(LAW["alpha"] * LAW["A"] / LAW["beta"] / LAW["B"]) / (LAW["alpha"] + LAW["beta"])
    return level + TRUE_A * np.log(flops / 6)


def test_the_exponent_and_the_size_are_recovered(found):
    assert len(found.switches.table) == 8
    low, high = found.posterior["a"].quantile([0.005, 0.995])
    assert low < TRUE_A < high
    assert high - low < 0.25
    np.testing.assert_allclose(found.posterior["a"] + found.posterior["b"], 1.0)
    split = found.optimum(["1e19", "1e21"])
    bands = np.log(split["n_params"]).quantile([0.005, 0.995], dim=("chain", "draw"))
    assert (bands[0] < optimum(np.array([1e19, 1e21]))).all()
    assert (bands[1] > optimum(np.array([1e19, 1e21]))).all()
    np.testing.assert_allclose(
        6 * split["n_params"] * split["n_tokens"], split["budget"].broadcast_like(split["n_params"])
    )
    np.testing.assert_allclose(split["tokens_per_param"], split["n_tokens"] / split["n_params"])


def test_swapping_the_axes_misses_it(found):
    """A partner: compute regressed on size and read as size on compute."""
    low, high = (1 / found.posterior["a"]).quantile([0.005, 0.995])
    assert not low < TRUE_A < high


def test_more_noise_widens_the_band():
    def width(seed, noise):
        result = envelope(checkpoints(seed, of_points=noise, of_runs=noise), random_seed=1)
        low, high = result.posterior["a"].quantile([0.05, 0.95])
        return float(high - low)

    quiet, noisy = (np.mean([width(seed, noise) for seed in range(4)]) for noise in (0.001, 0.008))
    assert noisy > 2 * quiet


def test_the_density_is_that_of_the_stated_model():
    """The model's log density against SciPy's multivariate normal with the stated covariance."""
    table = switches(curves(checkpoints(1))).table.drop(index=4)  # a gap, across which no size is shared
    data = switch_data(Switches("gap", table, table))
    assert len(table) == 7
    model = build(data)
    logp = model.compile_logp(jacobian=False)
    for a, offset, tau, slope, rho in [
        (0.5, 0.1, 0.3, 0.3, 0.5),
        (0.45, -0.2, 0.1, 0.0, 0.95),
        (0.8, 0.5, 1.0, 0.5, 0.1),
    ]:
        small, large = np.log(table["n_params_small"].to_numpy()), np.log(table["n_params_large"].to_numpy())
        size, gap, log_flops = (small + large) / 2, large - small, np.log(table["flops"].to_numpy())
        middle = log_flops.mean()
        centre = middle + (size - 0.5 * (middle - np.log(120)) - offset) / a
        scale = tau * np.exp(slope * (size - size.mean())) * np.exp(np.log(gap).mean()) / gap
        linked = np.abs(np.subtract.outer(np.arange(7), np.arange(7))) == 1
        linked[3, 4] = linked[4, 3] = False
        covariance = np.outer(scale, scale) * (np.eye(7) - rho / 2 * linked)
        expected = multivariate_normal(centre, covariance).logpdf(log_flops) + 7 / 2 * np.log(2 * np.pi)
        expected += (
            lognorm(s=0.4, scale=0.5).logpdf(a) + norm(0, 2).logpdf(offset) + lognorm(s=1, scale=0.3).logpdf(tau)
        )
        expected += norm(0.3, 0.2).logpdf(slope) + beta(2, 2).logpdf(rho)
        point = {"a_log__": np.log(a), "offset": offset, "tau_log__": np.log(tau), "tau_slope": slope}
        point["rho_logodds__"] = np.log(rho / (1 - rho))
        assert float(logp(point)) == pytest.approx(expected, abs=1e-7)  # PyMC's own priors differ by 2e-8
        unlinked = multivariate_normal(centre, np.diag(scale**2)).logpdf(log_flops)
        assert abs(unlinked - multivariate_normal(centre, covariance).logpdf(log_flops)) > 0.01
    assert isinstance(model, pm.Model)


def test_the_hoffmann_runs(hoffmann):
    result = envelope(hoffmann, random_seed=1)
    low, high = result.posterior["a"].quantile([0.05, 0.95])
    assert low < 0.50 < high  # approach 1 as printed
    assert high - low > 5 * (0.502 - 0.488)  # and the width of its interval, which takes 1500 points for as many


def test_tables_and_repr(found):
    exponents = found.exponent_table(prob=0.5)
    assert list(exponents) == ["exponent", "median", "lower", "upper", "prob", "interval"]
    assert exponents["exponent"].tolist() == ["a", "b"]
    table = found.table()
    columns = ["flops", "n_params_small", "n_params_large", "quantity", "median", "lower", "upper", "prob", "interval"]
    assert list(table) == columns
    assert table["quantity"].tolist() == ["n_params", "n_tokens"] * 8
    assert found.exponents.data_vars.keys() == {"a", "b"}
    assert found.diagnostics.passed
    text = repr(found)
    assert "8 switches" in text
    assert "90 % equal-tailed" in text
    assert max(map(len, text.splitlines())) <= 80
    assert found.name == "envelope of training curves of checkpoints 0"


def test_the_same_seed_gives_the_same_draws(found):
    again = envelope(checkpoints(0), random_seed=1)
    np.testing.assert_array_equal(again.posterior["a"], found.posterior["a"])
    assert again.joint.seed == 1


def test_too_few_switches_are_refused():
    with pytest.raises(DataError, match=r"shows 2 switches of the best size, and at least 3 are needed"):
        envelope(checkpoints(0, sizes=SIZES[:3]))
    short = checkpoints(0).table.query("n_tokens < 6 * n_params")
    with pytest.raises(DataError, match="its curve ends before another's crosses it"):
        envelope(short.drop(columns=["run", "flops"]))


def naive(runs, points=1500):
    """Hoffmann et al.'s regression: the best size at 1500 budgets between the first and the last switch."""
    found = curves(runs, spacing=1.0)
    ends = np.log(switches(found).table["flops"].iloc[[0, -1]])
    at = np.linspace(*ends, points)
    losses = np.array([curve(at) for curve in found.curves])
    sizes = np.log([curve.n_params for curve in found.curves])
    best = sizes[np.nanargmin(losses, axis=0)]
    (slope, _), covariance = np.polyfit(at, best, 1, cov=True)
    return slope, t.ppf(0.95, points - 2) * np.sqrt(covariance[0, 0])


def coverage(seeds, **noise):
    """How many 90 % intervals hold the exponent: ours, and the naive regression's."""
    ours = theirs = 0
    for seed in seeds:
        runs = checkpoints(seed, **noise)
        low, high = envelope(runs, random_seed=seed).posterior["a"].quantile([0.05, 0.95])
        slope, margin = naive(runs)
        ours += bool(low < TRUE_A < high)
        theirs += abs(slope - TRUE_A) < margin
    return ours, theirs


def test_few_intervals_of_many_points_hold_the_exponent():
    seeds = range(40)
    hits = sum(abs(slope - TRUE_A) < margin for slope, margin in (naive(checkpoints(seed)) for seed in seeds))
    assert hits < binom.ppf(0.001, len(seeds), 0.9)


@pytest.mark.slow
@pytest.mark.parametrize("noise", [
    {"of_points": 0.002, "of_runs": 0.002},
    {"of_points": 0.003, "of_runs": 0.0},
    {"of_points": 0.0, "of_runs": 0.003},
    {"of_points": 0.002, "of_runs": 0.002, "sizes": np.geomspace(5e7, 8e9, 30)},
], ids=["both", "points", "runs", "many sizes"])  # fmt: skip
def test_intervals_cover_at_their_rate(noise):
    seeds = range(200, 240)
    ours, theirs = coverage(seeds, **noise)
    low = binom.ppf(0.005, len(seeds), 0.9)
    assert ours >= low
    assert theirs < low
