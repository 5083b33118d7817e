"""What a run would tell: conjugate regression where all is normal, reweighted draws where it is not."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from commandline import call, check_page, refused
from made_fits import CHINCHILLA, made_fit
from scipy import stats
from scipy.integrate import quad
from toys import Toy
from toys import toy as stated

import forescale as fs
from forescale.decisions.next_runs import _noise_variance as noise_variance
from forescale.laws import LAWS
from forescale.plots import plot_next_runs

SCATTER = 1e-4
GRID = pd.DataFrame({"n_params": np.repeat([1e8, 1e9, 1e10], 3), "n_tokens": np.tile([2e9, 2e10, 2e11], 3)})


@pytest.fixture(scope="module")
def line():
    """Log loss a - alpha log C, a and alpha as good as normal: (estimate, covariance of a and alpha)."""
    rng = np.random.default_rng(1)
    alpha, a = rng.multivariate_normal([0.05, 3.0], [[1e-9, 4e-8], [4e-8, 4e-6]], 4000).T
    draws = {"C_c": np.exp(a / alpha), "alpha": alpha}
    law = LAWS["power"].renamed({"x": "flops", "x_c": "C_c"})
    made = Toy(law, xr.Dataset({name: (("chain", "draw"), values[None]) for name, values in draws.items()}))
    return made, np.cov(a, alpha)


def conjugate(covariance, asked, seen):
    """Share of the variance of log loss at a compute that is left once others are seen."""
    rows = np.array([[1.0, -np.log(flops)] for flops in seen])
    after = np.linalg.inv(np.linalg.inv(covariance) + rows.T @ rows / SCATTER**2)
    k = np.array([1.0, -np.log(asked)])
    return (k @ after @ k) / (k @ covariance @ k)


def test_one_run_tells_what_conjugate_regression_says(line):
    source, covariance = line
    flops = [1e18, 1e20, 1e22]
    found = fs.next_runs(source, {"flops": flops}, scatter=SCATTER, flops=1e24)
    exact = {f: conjugate(covariance, 1e24, [f]) for f in flops}
    np.testing.assert_allclose(found.runs["remaining"], [exact[f] for f in found.runs["flops"]], rtol=0.01)
    np.testing.assert_allclose(found.runs["information"], -np.log(found.runs["remaining"]) / 2)
    assert found.runs["per_flop"].is_monotonic_decreasing


def test_a_batch_tells_what_conjugate_regression_says(line):
    source, covariance = line
    flops = [1e18, 1e19, 1e20, 1e22]
    batch = fs.next_runs(source, {"flops": flops}, scatter=SCATTER, flops=1e24, runs=4, by="variance").batch
    exact = [conjugate(covariance, 1e24, batch["flops"][: i + 1]) for i in range(4)]
    np.testing.assert_allclose(batch["remaining"], exact, rtol=0.02)
    assert batch["total_flops"].iloc[-1] == sum(flops)
    left = batch["remaining"].iloc[1]
    pairs = [conjugate(covariance, 1e24, [one, two]) for one in flops for two in flops if one < two]
    assert left <= min(pairs) * 1.3  # one by one is near the best pair


def reweighted(source, candidate, question, scatter, rng, repeats=300):
    """Mean over outcomes of the variance that is left, by weighing draws with the likelihood of each outcome."""
    log_loss = np.log(source.law(candidate, source.posterior)).to_numpy().ravel()
    g = fs.forecast(source, question).draws["mean"].to_numpy().ravel()
    left = []
    for truth in rng.integers(len(g), size=repeats):
        weight = stats.norm.pdf(log_loss[truth] + scatter * rng.standard_normal(), log_loss, scatter)
        mean = np.average(g, weights=weight)
        left.append(np.average((g - mean) ** 2, weights=weight))
    return np.mean(left) / g.var()


def test_what_is_expected_is_what_comes():
    source, rng = fs.published("besiroglu2024"), np.random.default_rng(4)
    question = {"n_params": 7e10, "n_tokens": 1.4e12}
    for n, d in ((1e10, 2e11), (1e8, 2e11), (3e10, 6e10)):
        found = fs.next_runs(source, {"n_params": n, "n_tokens": d}, scatter=0.01, **question)
        came = reweighted(source, {"n_params": n, "n_tokens": d}, question, 0.01, rng)
        assert found.runs["remaining"].item() == pytest.approx(came, rel=0.1)
    # a run without noise is promised to tell more than this one does
    sure = fs.next_runs(source, {"n_params": n, "n_tokens": d}, scatter=1e-5, **question)
    assert sure.runs["remaining"].item() < 0.8 * came


def test_noise_counts_by_its_information():
    fit = made_fit(fs.load_model("chinchilla"), CHINCHILLA, spread=1e-9)
    sigma, nu = CHINCHILLA["sigma"], CHINCHILLA["nu"]
    t = stats.t(nu, scale=sigma)
    information, _ = quad(
        lambda x: ((nu + 1) * x / (nu * sigma**2 + x**2)) ** 2 * t.pdf(x), -200 * sigma, 200 * sigma, limit=500
    )
    np.testing.assert_allclose(noise_variance(fit, GRID, None), 1 / information, rtol=1e-4)
    known = made_fit(fs.load_model("chinchilla").with_noise("known"), {**CHINCHILLA}, spread=1e-9)
    with pytest.raises(fs.DataError, match="a column loss_se"):
        noise_variance(known, GRID, None)
    got = noise_variance(known, GRID.assign(loss_se=0.02), None)
    assert (got > sigma**2).all()


def test_a_budget_is_kept_and_the_better_rule_taken():
    source = fs.published("besiroglu2024")
    question = {"of": "n_params", "compute": 1e24, "scatter": 0.01}
    batch = fs.next_runs(source, GRID, **question, budget="2e22").batch
    assert batch["total_flops"].iloc[-1] <= 2e22
    for by in ("flops", "variance"):
        count = len(batch)
        other = fs.next_runs(source, GRID, **question, runs=count, by=by).batch
        spent = other["total_flops"] <= 2e22
        assert batch["remaining"].iloc[-1] <= other["remaining"][spent].min() + 1e-12
    assert batch["remaining"].is_monotonic_decreasing
    assert not batch["run"].duplicated().any()
    drawn = plot_next_runs(fs.next_runs(source, GRID, **question, budget="2e22"))
    assert len(drawn.lines[0].get_xdata()) == len(GRID)


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"of": "n_params", "compute": 1e24}, fs.ModelError, "no noise model"),
        ({"of": "n_params", "compute": [1e22, 1e24], "scatter": 0.01}, fs.DataError, "one forecast at a time"),
        ({"of": "n_params", "compute": 1e24, "scatter": -1}, fs.DataError, "scatter must be above zero"),
        ({"of": "n_params", "compute": 1e24, "scatter": 0.01, "runs": 99}, fs.DataError, "between 1 and 9"),
        ({"of": "n_params", "compute": 1e24, "scatter": 0.01, "budget": 1e3}, fs.DataError, "pay for no candidate"),
        ({"of": "n_params", "compute": 1e24, "scatter": 0.01, "by": "luck"}, fs.DataError, "not by 'luck'"),
        ({"of": "fame", "scatter": 0.01}, fs.DataError, "no forecast 'fame'"),
    ],
)
def test_questions_that_are_none(given, error, words):
    with pytest.raises(error, match=words):
        fs.next_runs(fs.published("besiroglu2024"), GRID, **given)


def test_nothing_to_learn_is_said():
    one = stated("chinchilla", E=1.8, A=470.0, B=1900.0, alpha=0.345, beta=0.36)
    with pytest.raises(fs.ModelError, match="single draw"):
        fs.next_runs(one, GRID, "n_params", compute=1e24, scatter=0.01)
    same = stated("chinchilla", E=1.8 + np.zeros(200), A=470.0, B=1900.0, alpha=0.345, beta=0.36)
    with pytest.raises(fs.ModelError, match="nothing to learn"):
        fs.next_runs(same, GRID, "n_params", compute=1e24, scatter=0.01)


@pytest.mark.usefixtures("eighty_columns")
def test_command(tmp_path):
    table = tmp_path / "candidates.csv"
    GRID.to_csv(table, index=False)
    words = ("next", "besiroglu2024", "--candidates", table, "--at", "70B,1.4T", "--scatter", "0.01", "--runs", "2")
    page = call(*words).stdout
    check_page(page)
    document = json.loads(call(*words, "--json").stdout)
    found = fs.next_runs(fs.published("besiroglu2024"), GRID, n_params=7e10, n_tokens=1.4e12, scatter=0.01, runs=2)
    assert [row["remaining"] for row in document["rows"]] == found.runs["remaining"].tolist()
    assert [row["run"] for row in document["batch"]] == found.batch["run"].tolist()
    assert "no noise model" in refused("next", "besiroglu2024", "--run", "1B,20B", "--at", "70B,1.4T")
