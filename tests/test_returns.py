"""What more buys: closed forms where there are some, allocations at both ends elsewhere, and where it ends."""

import json

import numpy as np
import pytest
import xarray as xr
from commandline import call, check_page, refused
from test_regret import SPLITTERS, toy
from toys import Toy
from toys import toy as stated

import forescale as fs
from forescale.decisions.returns import BEST, RATIO
from forescale.laws import LAWS
from forescale.plots import plot_returns
from forescale.units import SixNDAttention
from forescale.verbs.allocate import allocate

TRUTH = {"E": 1.8, "A": 470.0, "B": 1900.0, "alpha": 0.345, "beta": 0.36}
N, D = 7e10, 1.4e12


def found(result, quantity):
    """Values of a quantity by what there is more of, at the first point."""
    here = result.draws.isel(chain=0, draw=0, place=slice(4))
    return dict(zip(here["more"].to_numpy(), here[quantity].to_numpy(), strict=True))


def test_closed_forms_of_hoffmanns_law():
    result = fs.returns(stated("chinchilla", **TRUTH), n_params=N, n_tokens=D, factor=5)
    a, b = TRUTH["A"] / N ** TRUTH["alpha"], TRUTH["B"] / D ** TRUTH["beta"]
    loss, gains = TRUTH["E"] + a + b, found(result, "gain")
    assert gains["n_params"] == pytest.approx(a * (1 - 5**-0.345), rel=1e-12)
    assert gains["n_tokens"] == pytest.approx(b * (1 - 5**-0.36), rel=1e-12)
    assert gains[RATIO] == pytest.approx(a * (1 - 5 ** (-0.345 / 2)) + b * (1 - 5 ** (-0.36 / 2)), rel=1e-12)
    slopes = found(result, "elasticity")
    assert slopes["n_params"] == pytest.approx(0.345 * a / loss, rel=1e-12)
    assert slopes[RATIO] == pytest.approx((0.345 * a + 0.36 * b) / 2 / loss, rel=1e-12)
    assert found(result, "reducible_elasticity")["n_tokens"] == pytest.approx(0.36 * b / (a + b), rel=1e-12)
    falls = TRUTH["alpha"] * TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])  # L* - E ~ C^-falls
    assert found(result, "reducible_elasticity")[BEST] == pytest.approx(falls, rel=1e-9)
    assert found(result, "reducible_percent")[BEST] == pytest.approx(100 * (1 - 5**-falls), rel=1e-9)
    assert found(result, "percent")["n_params"] == pytest.approx(100 * gains["n_params"] / loss, rel=1e-12)


@pytest.mark.parametrize("cost", ["6ND", "6ND+attention"])
@pytest.mark.parametrize("law", SPLITTERS)
def test_every_law_that_splits_gains_what_two_allocations_say(law, cost):
    source = toy(law, spread=0.02, draws=3)
    budgets = np.array([1e20, 1e24])
    result = fs.returns(source, compute=budgets, cost=cost).draws
    best = result.isel(place=result["more"].values == BEST)
    losses = [allocate(source, scale * budgets, cost=cost).draws["loss"].to_numpy() for scale in (1, 10)]
    np.testing.assert_allclose(best["gain"], losses[0] - losses[1], atol=1e-13)
    near = [allocate(source, scale * budgets, cost=cost).draws["loss"].to_numpy() for scale in (0.999, 1.001)]
    slopes = np.log(near[0] / near[1]) / np.log(1.001 / 0.999)
    np.testing.assert_allclose(best["elasticity"], slopes, rtol=1e-5)
    # at the best split a little more compute is worth the same however it is spent
    ratio = result.isel(place=result["more"].values == RATIO)
    np.testing.assert_allclose(ratio["elasticity"], best["elasticity"], rtol=1e-4)
    assert bool((best["gain"].values >= ratio["gain"].values - 1e-12).all())
    assert ("reducible_percent" in result) == (LAWS[law].floor is not None)


def test_the_same_ratio_is_kept_and_paid_for():
    cost = SixNDAttention(n_ctx=131072)
    law = stated("chinchilla", **TRUTH)
    gain = found(fs.returns(law, n_params=1e8, n_tokens=2e9, cost=cost), "gain")[RATIO]
    before = law.law({"n_params": 1e8, "n_tokens": 2e9}, TRUTH)
    growth = np.geomspace(1, 10, 200_001)
    at = growth[np.searchsorted(cost.flops(1e8 * growth, 2e9 * growth), 10 * cost.flops(1e8, 2e9))]
    assert gain == pytest.approx(before - law.law({"n_params": 1e8 * at, "n_tokens": 2e9 * at}, TRUTH), rel=1e-4)


def test_laws_of_other_inputs_are_asked_at_points():
    law = LAWS["power"].renamed({"x": "flops", "x_c": "C_c"})
    made = Toy(law, xr.Dataset({"C_c": (("chain", "draw"), [[1e26]]), "alpha": (("chain", "draw"), [[0.05]])}))
    result = fs.returns(made, flops=1e21).draws
    assert result["more"].values.tolist() == ["flops"]
    assert result["percent"].item() == pytest.approx(100 * (1 - 10**-0.05))
    assert result["elasticity"].item() == pytest.approx(0.05)
    repeated = fs.returns(fs.published("muennighoff2023"), n_params=1e9, n_tokens=2e11, unique_tokens=2e10)
    gains = dict(zip(repeated.draws["more"].values, repeated.draws["gain"].values.ravel(), strict=True))
    assert list(gains) == ["n_params", "n_tokens", "unique_tokens", RATIO]
    assert gains["unique_tokens"] > 0
    with_pool = fs.returns(fs.published("muennighoff2023"), compute=1e21, unique_tokens="25B").draws
    assert with_pool["more"].values.tolist() == ["n_params", "n_tokens", RATIO, BEST]
    with pytest.raises(fs.ModelError, match="cannot split compute"):
        fs.returns(made, compute=1e21)


@pytest.mark.parametrize("law", ["chinchilla", "coupled", "kaplan"])
def test_where_returns_end_is_where_allocations_say(law):
    source = toy(law, spread=0.02, draws=4)
    thresholds = [0.2, 0.05]
    ends = fs.returns_until(source, thresholds, factor=3).draws["flops"]
    for i, threshold in enumerate(thresholds):
        for draw in range(4):
            one = Toy(source.law, source.posterior.isel(draw=[draw]))
            flops = ends.isel(chain=0, draw=draw, below=i).item()
            losses = allocate(one, [flops, 3 * flops], cost="6ND").draws["loss"].to_numpy().ravel()
            assert losses[0] - losses[1] == pytest.approx(threshold, rel=1e-8)


def test_where_returns_end_in_a_closed_form():
    source = stated("chinchilla", **TRUTH)
    falls = TRUTH["alpha"] * TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
    size = (allocate(source, 1e21).draws["loss"].item() - TRUTH["E"]) * 1e21**falls
    for cost in ("6ND", SixNDAttention(n_ctx=0)):  # which is searched, and costs the same
        found = fs.returns_until(source, 0.01, cost=cost).draws["flops"].item()
        assert found == pytest.approx((size * (1 - 10**-falls) / 0.01) ** (1 / falls), rel=1e-6)


def test_returns_that_never_end_or_were_never_there():
    table = fs.returns_until(toy("kaplan", spread=0.01, draws=50), [1e-9, 1e9]).table()
    assert table["median"].tolist() == [np.inf, 0.0]
    assert table["never"].tolist() == [1.0, 0.0]
    assert table["always"].tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "say where"),
        ({"compute": 1e21, "n_params": 1e9, "n_tokens": 1e10}, "say where"),
        ({"compute": 1e21, "factor": 1}, "above one"),
        ({"compute": 1e21, "factor": -2}, "factor must be above zero"),
        ({"n_params": 1e9}, "missing: n_tokens"),
    ],
)
def test_questions_that_are_none(given, words):
    with pytest.raises(fs.DataError, match=words):
        fs.returns(stated("chinchilla", **TRUTH), **given)


def test_bands_come_with_their_kind():
    result = fs.returns(fs.published("besiroglu2024"), compute=[1e21, 1e24])
    table = result.table(0.5)
    assert (table["lower"] < table["upper"]).all()
    assert "of the law's curve, no discrepancy" in repr(result)
    assert "no uncertainty is known" in repr(fs.returns_until(stated("chinchilla", **TRUTH), 0.1))
    drawn = plot_returns(result, quantity="reducible_percent")
    assert [line.get_label() for line in drawn.lines] == ["parameters N", "tokens D", "compute C, best split"]
    with pytest.raises(fs.DataError, match="two or more"):
        plot_returns(fs.returns(fs.published("besiroglu2024"), compute=1e21))


@pytest.mark.usefixtures("eighty_columns")
def test_command():
    words = ("returns", "besiroglu2024", "--compute", "1e24", "--below", "0.1")
    page = call(*words).stdout
    check_page(page)
    assert "C, best split" in page
    document = json.loads(call(*words, "--json").stdout)
    until = fs.returns_until(fs.published("besiroglu2024"), 0.1).table()
    assert document["until"][0]["median"] == until["median"].item()
    assert "above one" in refused("returns", "besiroglu2024", "--at", "70B,1.4T", "--factor", "0.5")
