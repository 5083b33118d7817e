"""What a recipe is worth: exact factors where laws differ by one, floors that end a gain, and pairs of estimates."""

import json

import numpy as np
import pytest
import xarray as xr
from commandline import call, check_page, refused
from made_fits import CHINCHILLA, made_fit
from scipy import stats
from test_regret import SPLITTERS, toy
from toys import Toy
from toys import toy as stated

import forescale as fs
from forescale.plots import plot_gain
from forescale.verbs.allocate import allocate

TRUTH = {"E": 1.8, "A": 470.0, "B": 1900.0, "alpha": 0.345, "beta": 0.36}
FALLS = TRUTH["alpha"] * TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])  # L* - E ~ C^-falls
BUDGETS = np.array([1e19, 1e22, 1e25])


def better(factor, **changed):
    """A law that needs so many times less compute: both terms smaller by factor^-falls."""
    scale = factor**-FALLS
    return stated("chinchilla", **{**TRUTH, "A": TRUTH["A"] * scale, "B": TRUTH["B"] * scale, **changed})


@pytest.mark.parametrize("factor", [0.2, 1.0, 7.0])
@pytest.mark.parametrize("cost", ["6ND", "6ND+attention"])
def test_terms_smaller_by_a_factor_are_worth_an_exact_factor(factor, cost):
    found = fs.compute_gain(stated("chinchilla", **TRUTH), better(factor), BUDGETS, cost=cost).draws
    exact = {"rtol": 1e-8} if cost == "6ND" else {"rtol": 0.05}  # attention is a share of the cost that changes with N
    np.testing.assert_allclose(found["gain"].values.ravel(), factor, **exact)
    np.testing.assert_allclose(found["slope"].values.ravel(), 0, atol=1e-8 if cost == "6ND" else 0.02)
    np.testing.assert_allclose(found["trend"].values, 0, atol=1e-8 if cost == "6ND" else 0.02)


@pytest.mark.parametrize("cost", ["6ND", "6ND+attention"])
@pytest.mark.parametrize("law", SPLITTERS)
def test_the_compute_saved_reaches_the_loss(law, cost):
    old, new = toy(law, spread=0.02, draws=3), toy("chinchilla", spread=0.02, draws=3)
    new.posterior["E"] = new.posterior["E"] * 0 + 1e-3
    found = fs.compute_gain(old, new, 1e21, cost=cost, paired=True).draws
    target = allocate(old, 1e21, cost=cost).draws["loss"].to_numpy().ravel()
    for draw in range(3):
        one = Toy(new.law, new.posterior.isel(draw=[draw]))
        again = allocate(one, 1e21 / found["gain"].values.ravel()[draw], cost=cost).draws["loss"].item()
        assert again == pytest.approx(target[draw], rel=1e-9)


def test_slopes_are_those_of_the_gain():
    old, new = stated("chinchilla", **TRUTH), better(3, E=1.75, alpha=0.34)
    near = fs.compute_gain(old, new, [1e22 / 1.001, 1e22, 1e22 * 1.001]).draws
    gain = np.log(near["gain"].values.ravel())
    slope = (gain[2] - gain[0]) / (2 * np.log(1.001))
    assert near["slope"].values.ravel()[1] == pytest.approx(slope, rel=1e-5)
    assert near["trend"].item() == pytest.approx(slope, rel=1e-5)


def test_a_lower_floor_grows_and_a_higher_one_never_arrives():
    old, lower, higher = stated("chinchilla", **TRUTH), better(1, E=1.6), better(1, E=2.0)
    grown = fs.compute_gain(old, lower, BUDGETS).draws["gain"].values.ravel()
    assert (np.diff(np.log10(grown)) > 0.5).all()
    slope = fs.compute_gain(old, lower, 1e39).draws["slope"].item()
    assert slope == pytest.approx(1, abs=2e-3)  # what is needed tends to a constant
    faded = fs.compute_gain(old, higher, BUDGETS)
    gains = faded.draws["gain"].values.ravel()
    assert 0 < gains[0] < 1
    assert gains[2] == 0
    assert faded.draws["trend"].item() == -np.inf
    assert faded.table().query("quantity == 'gain'")["never"].tolist() == [0, 0, 1]
    much = fs.compute_gain(old, stated("chinchilla", **{**TRUTH, "E": 1e-3, "A": 1e-6, "B": 1e-6}), 1e20)
    assert much.draws["gain"].item() == np.inf


def test_a_plan_is_matched_as_it_is():
    old, new = stated("chinchilla", **TRUTH), better(4)
    found = fs.compute_gain(old, new, n_params="280B", n_tokens="300B").draws
    assert found["budget"].item() == 6 * 280e9 * 300e9
    wasted = fs.regret(old, 6 * 280e9 * 300e9, n_params=280e9).draws["wasted_compute"].item()
    assert found["gain"].item() == pytest.approx(4 / (1 - wasted / 100), rel=1e-8)


def pair_of_estimates(rng, width=1.0, draws=200):
    """Two estimates that err by what their draws scatter (times 1 / width); the true gain is 3."""
    made = []
    for factor in (1.0, 3.0):
        off = 0.02 * rng.standard_normal((2, 1))
        log_a, log_b = off + 0.02 * width * rng.standard_normal((2, draws))
        scale = factor**-FALLS
        made.append(stated("chinchilla", E=1.8, A=470 * scale * np.exp(log_a), B=1900 * scale * np.exp(log_b),
                           alpha=0.345, beta=0.36))  # fmt: skip
    return made


@pytest.mark.parametrize(("width", "honest"), [(1.0, True), (0.4, False)])
def test_bands_of_simulated_pairs_cover_the_true_gain(width, honest):
    rng = np.random.default_rng(8)
    inside = 0
    for _ in range(100):
        gain = fs.compute_gain(*pair_of_estimates(rng, width), 1e21).draws["gain"]
        low, high = np.quantile(gain, [0.1, 0.9])
        inside += low <= 3 <= high
    assert (stats.binomtest(int(inside), 100, 0.8).pvalue > 0.01) == honest


def test_pairs_and_chance():
    rng = np.random.default_rng(1)
    shared = np.exp(0.05 * rng.standard_normal(400))
    old = stated("chinchilla", **{**TRUTH, "A": 470 * shared, "B": 1900 * shared})
    scale = 3**-FALLS
    new = stated("chinchilla", **{**TRUTH, "A": 470 * scale * shared, "B": 1900 * scale * shared})
    np.testing.assert_allclose(fs.compute_gain(old, new, 1e21, paired=True).draws["gain"], 3, rtol=1e-7)
    free = fs.compute_gain(old, new, 1e21)
    spread = np.log(free.draws["gain"]).std().item()
    assert spread == pytest.approx(np.sqrt(2) * 0.05 / FALLS, rel=0.1)
    assert free.draws.equals(fs.compute_gain(old, new, 1e21).draws)
    few = Toy(new.law, new.posterior.isel(draw=slice(7)))
    assert fs.compute_gain(old, few, 1e21).draws.sizes["draw"] == 400
    with pytest.raises(fs.ModelError, match="cannot be paired"):
        fs.compute_gain(old, few, 1e21, paired=True)


def test_probabilities_of_growing_holding_and_fading():
    rng = np.random.default_rng(2)
    old = stated("chinchilla", **TRUTH)
    new = better(2, E=1.8 + 0.02 * rng.standard_normal(500))
    trend = fs.compute_gain(old, new, BUDGETS, hold=0.05).trend()
    assert trend["grows"] + trend["holds"] + trend["fades"] + trend["unknown"] == pytest.approx(1)
    assert abs(trend["grows"] - trend["fades"]) < 0.15
    assert fs.compute_gain(old, new, BUDGETS, hold=1e9).trend()["grows"] == 0
    lower = fs.compute_gain(old, better(2, E=1.7 + 0.001 * rng.standard_normal(50)), BUDGETS).trend()
    assert lower["grows"] == 1
    with pytest.raises(fs.ModelError, match="no probabilities"):
        fs.compute_gain(old, better(2), BUDGETS).trend()


def test_what_cannot_be_compared_is_refused():
    fit = made_fit(fs.load_model("chinchilla"), CHINCHILLA)
    with pytest.raises(fs.ModelError, match=r"the same runs, so of one recipe; compare\(\)"):
        fs.compute_gain(fit, fit, 1e21)
    with pytest.raises(fs.ModelError, match="besiroglu2024 counts embeddings as parameters and kaplan2020 does not"):
        fs.compute_gain(fs.published("kaplan2020"), fs.published("besiroglu2024"), 1e21)
    fs.compute_gain(fs.published("kaplan2020"), fs.published("besiroglu2024"), 1e21, other_counts=True)
    power = Toy(fs.laws.LAWS["power"], xr.Dataset())
    with pytest.raises(fs.ModelError, match="cannot split compute"):
        fs.compute_gain(power, better(2), 1e21)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "either budgets"),
        ({"n_params": 1e9}, "either budgets"),
        ({"compute": 1e21, "n_params": 1e9}, "either budgets"),
        ({"compute": -1}, "compute must be above zero"),
        ({"compute": 1e21, "hold": 0}, "hold is a share"),
    ],
)
def test_questions_that_are_none(given, words):
    with pytest.raises(fs.DataError, match=words):
        fs.compute_gain(better(1), better(2), **given)


def test_repr_and_figure():
    rng = np.random.default_rng(3)
    found = fs.compute_gain(better(1), better(2, E=1.8 + 0.01 * rng.standard_normal(50)), BUDGETS)
    assert "combined at random, as of independent fits; one evaluation set taken for granted" in repr(found)
    assert plot_gain(found).get_xscale() == "log"
    with pytest.raises(fs.DataError, match="two budgets or more"):
        plot_gain(fs.compute_gain(better(1), better(2), 1e21))


@pytest.mark.usefixtures("eighty_columns")
def test_command():
    words = ("gain", "hoffmann2022", "besiroglu2024", "--compute", "1e20,1e22")
    page = call(*words).stdout
    check_page(page)
    assert "in probability: grows" in page
    document = json.loads(call(*words, "--json").stdout)
    found = fs.compute_gain(fs.published("hoffmann2022"), fs.published("besiroglu2024"), ["1e20", "1e22"])
    assert [row["median"] for row in document["rows"]] == found.table()["median"].tolist()
    assert document["trend"]["grows"] == found.trend()["grows"]
    assert "counts embeddings" in refused("gain", "kaplan2020", "besiroglu2024", "--compute", "1e20")
