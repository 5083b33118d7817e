"""Budgets and bounds as people write them, and the range of sizes that bounds leave on a budget line."""

import numpy as np
import pytest

from forescale.errors import DataError, ModelError
from forescale.laws import LAWS
from forescale.numbers.budgets import check_splits, positive, size_range
from forescale.units import COST_MODELS, cost_model

FREE = (None, None)


@pytest.mark.parametrize("given", [1e21, "1e21", [1e21], np.array([1e21]), np.float64(1e21), ("1,000,000P",)])
def test_quantities_as_people_write_them(given):
    assert positive("compute", given).tolist() == [1e21]


def test_text_and_numbers_mix():
    assert positive("n_params", ["70B", 1e9, np.int64(3)]).tolist() == [70e9, 1e9, 3.0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([], "compute is empty"),
        ([1e21, 0], "compute must be above zero; entry 1 is 0"),
        (-1e21, "compute must be above zero; entry 0 is -1e\\+21"),
        (["1e21", "much"], "compute, entry 1: 'much' is not a quantity"),
        (np.inf, "compute, entry 0: inf is not a quantity"),
        ([1e20, np.nan], "compute, entry 1: nan is not a quantity"),
        ([1e20, None], "compute, entry 1: None is not a quantity"),
    ],
)
def test_quantities_that_are_none(given, words):
    with pytest.raises(DataError, match=words):
        positive("compute", given)


@pytest.mark.parametrize("cost", COST_MODELS)
def test_the_range_is_where_the_budget_line_meets_the_bounds(cost):
    cost, flops = cost_model(cost), np.array([1e21, 1e22])
    low, high = size_range(cost, flops, FREE, FREE)
    assert low.tolist() == [0, 0]
    assert high.tolist() == [np.inf, np.inf]
    low, high = size_range(cost, flops, ("1B", "10B"), ("20B", None))
    assert low.tolist() == [1e9, 1e9]
    np.testing.assert_allclose(high, np.minimum(10e9, cost.n_params(flops, 20e9)))
    low, high = size_range(cost, flops, ("1B", None), (None, "1T"))
    np.testing.assert_allclose(low, np.maximum(1e9, cost.n_params(flops, 1e12)))
    assert high.tolist() == [np.inf, np.inf]


@pytest.mark.parametrize("cost", COST_MODELS)
@pytest.mark.parametrize(
    ("n_params", "n_tokens"),
    [((None, 7e10), (None, 1.4e12)), ((7e10, None), (1.4e12, None)), ((7e10,) * 2, FREE)],
)
def test_a_budget_that_is_just_what_the_bounds_cost(cost, n_params, n_tokens):
    flops = np.array([cost_model(cost).flops(7e10, 1.4e12)])
    low, high = size_range(cost_model(cost), flops, n_params, n_tokens)
    assert (low <= high).all()
    sides = [low] if n_params[1] is None else [high]
    np.testing.assert_allclose(sides, 7e10, rtol=1e-12)


@pytest.mark.parametrize(
    ("n_params", "n_tokens", "words"),
    [
        (
            (None, "1B"),
            (None, "20B"),
            "1e\\+21 FLOPs cannot be spent .* largest budget possible is 1.2e\\+20",
        ),
        (("100B", None), ("1T", None), "1e\\+21 FLOPs cannot pay .* smallest budget possible is 6e\\+23"),
        (("2B", "1B"), FREE, "n_params_bounds: the lower bound '2B' is above the upper bound '1B'"),
        (FREE, ("x", None), "n_tokens_bounds, entry 0: 'x' is not a quantity"),
        ((None, -1.0), FREE, "n_params_bounds must be above zero"),
        (70e9, FREE, "n_params_bounds are \\(lower, upper\\)"),
        (("1B", "2B", "3B"), FREE, "n_params_bounds are \\(lower, upper\\)"),
    ],
)
def test_bounds_that_cannot_be_met(n_params, n_tokens, words):
    with pytest.raises(DataError, match=words):
        size_range(cost_model("6ND"), np.array([1e21]), n_params, n_tokens)


@pytest.mark.parametrize("law", LAWS.values(), ids=lambda law: law.name)
def test_laws_of_params_and_tokens_split_and_the_others_say_which_do(law):
    able = sorted(name for name, known in LAWS.items() if set(known.inputs) == {"n_params", "n_tokens"})
    if law.name in able:
        check_splits(law)
    else:
        with pytest.raises(ModelError, match=f"{law.name!r} with inputs .*cannot split.* {', '.join(able)} can"):
            check_splits(law)
