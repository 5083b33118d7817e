"""The price of a plan: nothing at the optimum, something elsewhere, and C' checked by splitting it again."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from toys import Toy, drawn_toy

from forescale.errors import DataError, ModelError
from forescale.laws import LAWS
from forescale.units import SixND, SixNDAttention, cost_model
from forescale.verbs.allocate import allocate
from forescale.verbs.regret import regret

BUDGETS = np.array([1e19, 5.76e23])
SPLITTERS = sorted(name for name, law in LAWS.items() if set(law.inputs) == {"n_params", "n_tokens"})
CLOSED = [name for name in SPLITTERS if LAWS[name].sum_of_powers]
COSTS = ["6ND", "6ND+attention"]


def toy(law: str, spread: float = 0.0, draws: int = 1, name: str = "toy") -> Toy:
    """Draw parameters about exponents of 0.3, scattered by so much in the log."""
    rng = np.random.default_rng(2)

    def about(value):
        return lambda shape: value * np.exp(spread * rng.standard_normal(shape))

    made = drawn_toy(
        law,
        (1, draws),
        exponent=about(0.3),
        effect=lambda size, shape: about(0.4 if size == "n_params" else 0.3)(shape),
        floor=about(1.8),
        coupling=about(0.6),
    )
    return replace(made, name=name)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("law", SPLITTERS)
def test_the_optimum_is_free_and_nothing_else_is(law, cost):
    source = toy(law)
    best = allocate(source, BUDGETS, cost=cost).draws["n_params"].to_numpy().ravel()
    free = regret(source, BUDGETS, n_params=best, cost=cost).draws
    assert float(free["extra_loss"].max()) < 1e-14
    assert float(free["wasted_compute"].max()) < 1e-7
    for factor in (0.5, 0.99, 1.01, 2.0):
        paid = regret(source, BUDGETS, n_params=factor * best, cost=cost).draws
        assert float(paid["extra_loss"].min()) > 1e-8
        assert float(paid["wasted_compute"].min()) > 1e-4


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("law", SPLITTERS)
@pytest.mark.parametrize("ratio", [1.0, 1000.0])
def test_the_optimum_of_what_is_not_wasted_has_the_loss_of_the_plan(law, cost, ratio):
    source = toy(law)
    for flops in BUDGETS:
        price = regret(source, flops, tokens_per_param=ratio, cost=cost).draws.squeeze(drop=True)
        best = allocate(source, flops, cost=cost).draws["loss"].item()
        needed = flops * (1 - price["wasted_compute"].item() / 100)
        again = allocate(source, needed, cost=cost).draws["loss"].item()
        assert again == pytest.approx(best + price["extra_loss"].item(), rel=1e-11)
        assert again > best
        planned = source.law({"n_params": price["n_params"], "n_tokens": price["n_tokens"]}, source.posterior).item()
        assert again == pytest.approx(planned, rel=1e-11)


@pytest.mark.parametrize("law", CLOSED)
def test_search_finds_the_closed_form(law):
    source = toy(law, spread=0.05, draws=100)
    closed = regret(source, BUDGETS, tokens_per_param=100, method="closed").draws
    found = regret(source, BUDGETS, tokens_per_param=100, method="search").draws
    np.testing.assert_allclose(found["extra_loss"], closed["extra_loss"], atol=2e-14)
    np.testing.assert_allclose(found["wasted_compute"], closed["wasted_compute"], atol=1e-7)
    assert float(closed["wasted_compute"].min()) >= 0
    assert float(closed["wasted_compute"].max()) < 100


def test_an_uncertain_law_has_a_price_for_every_plan():
    source = toy("chinchilla", spread=0.02, draws=400)
    middle = allocate(source, 5.76e23).draws["n_params"].median().item()
    rows = [
        regret(source, 5.76e23, n_params=size).table().query("quantity == 'extra_loss'")["median"].item()
        for size in (middle / 10, middle, 10 * middle)
    ]
    assert 0 < rows[1] < min(rows[0], rows[2])


@pytest.mark.parametrize("cost", [SixND(), SixNDAttention(n_ctx=131072)])
def test_a_ratio_is_kept_on_the_budget_line(cost):
    plan = regret(toy("chinchilla"), BUDGETS, tokens_per_param="20", cost=cost).draws
    np.testing.assert_allclose(plan["n_tokens"] / plan["n_params"], 20, rtol=1e-12)
    np.testing.assert_allclose(cost.flops(plan["n_params"], plan["n_tokens"]), BUDGETS, rtol=1e-12)
    if cost == SixND():
        np.testing.assert_allclose(plan["n_params"], np.sqrt(BUDGETS / 120), rtol=1e-12)


@pytest.mark.parametrize("cost", COSTS)
def test_following_another_law(cost):
    other = toy("kaplan", spread=0.01, draws=101, name="kaplan2020")
    other.posterior["N_c"] *= 100  # a law that asks for larger models
    result = regret(toy("chinchilla", spread=0.01, draws=50), BUDGETS, like=other, cost=cost)
    median = allocate(other, BUDGETS, cost=cost).draws["n_params"].median(("chain", "draw"))
    np.testing.assert_allclose(result.draws["n_params"], median)
    paid = cost_model(cost).flops(result.draws["n_params"], result.draws["n_tokens"])
    np.testing.assert_allclose(paid, BUDGETS)
    assert "the median optimal n_params of kaplan2020" in repr(result)
    itself = regret(other, BUDGETS, like=other, cost=cost).draws["wasted_compute"].median()
    assert float(itself) < float(result.draws["wasted_compute"].median())


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({}, "state one plan"),
        ({"tokens_per_param": 20, "n_params": "70B"}, "state one plan"),
        ({"tokens_per_param": -20}, "tokens_per_param must be above zero"),
        ({"n_params": ["1B", "2B", "3B"]}, "n_params has 3 entries for 2 budgets"),
        ({"n_params": "0.5"}, "1e\\+19 FLOPs cannot pay for the given n_params"),
        ({"n_params": 1e19}, "at least one parameter and one token"),
        ({"tokens_per_param": 1e30}, "1e\\+19 FLOPs cannot pay for 1e\\+30 tokens per parameter"),
        ({"n_params": ["1B", "big"]}, "n_params, entry 1: 'big' is not a quantity"),
    ],
)
def test_plans_that_are_none(plan, words):
    with pytest.raises(DataError, match=words):
        regret(toy("chinchilla"), BUDGETS, **plan)


def test_laws_without_a_split_are_refused():
    law = LAWS["power"].renamed({"x": "n_params"})
    posterior = xr.Dataset({"x_c": (("chain", "draw"), [[1e13]]), "alpha": (("chain", "draw"), [[0.1]])})
    with pytest.raises(ModelError, match="cannot split compute"):
        regret(Toy(law, posterior), 1e21, tokens_per_param=20)
    with pytest.raises(ModelError, match="cannot split compute"):
        regret(toy("chinchilla"), 1e21, like=Toy(law, posterior))


def test_table_is_tidy():
    table = regret(toy("chinchilla", spread=0.02, draws=200), BUDGETS, n_params="1B").table(prob=0.5)
    columns = ["flops", "n_params", "n_tokens", "quantity", "median", "lower", "upper", "prob", "interval"]
    assert list(table) == columns
    assert table["flops"].tolist() == np.repeat(BUDGETS, 2).tolist()
    assert table["quantity"].tolist() == ["extra_loss", "wasted_compute"] * 2
    assert (table["n_params"] == 1e9).all()
    np.testing.assert_allclose(6 * table["n_params"] * table["n_tokens"], table["flops"])
    assert (table["lower"] < table["upper"]).all()


def test_repr_says_what_the_bands_are():
    many = repr(regret(toy("chinchilla", spread=0.02, draws=200), BUDGETS, tokens_per_param=20))
    assert "Regret of 20 tokens per parameter, by toy" in many
    assert "5.76e23 FLOPs: N 69.3B, D 1.39T, extra loss in nats" in many
    assert "90 % equal-tailed" in many
    one = repr(regret(toy("chinchilla"), BUDGETS, tokens_per_param=20))
    assert "no uncertainty is known" in one
    assert "[" not in one
