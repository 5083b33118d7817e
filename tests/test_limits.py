"""Power laws through the limits of a joint law."""

import numpy as np
import pytest

import forescale as fs
from forescale.verbs.contradiction import contradiction
from forescale.verbs.limits import trends_of


def test_slopes_are_those_of_the_law_in_a_narrow_range():
    source = fs.published("besiroglu2024")
    found = trends_of(source, ("0.999e21", "1.001e21")).posterior
    best = fs.allocate(source, "1e21").draws.isel(budget=0)
    p = source.posterior
    gap = best["loss"] - p["E"]
    floor = p["B"] / best["n_tokens"] ** p["beta"]
    np.testing.assert_allclose(found["b"], best["b"], rtol=1e-8)
    np.testing.assert_allclose(found["a"] + found["b"], 1, rtol=1e-8)
    exponent = p["alpha"] * p["beta"] / (p["alpha"] + p["beta"])
    np.testing.assert_allclose(found["alpha_C"], exponent * gap / best["loss"], rtol=1e-4)
    np.testing.assert_allclose(found["alpha_D"], p["beta"] * floor / (p["E"] + floor), rtol=1e-4)
    np.testing.assert_allclose((found["C_c"] / 1e21) ** found["alpha_C"], best["loss"], rtol=1e-4)
    np.testing.assert_allclose((found["D_c"] / best["n_tokens"]) ** found["alpha_D"], p["E"] + floor, rtol=1e-4)


def test_they_contradict_each_other_where_the_law_does_not():
    source = fs.published("hoffmann2022")
    found = contradiction(trends_of(source, ("1e19", "1e22")))
    assert 1e24 < float(found.draws["flops"].squeeze()) < 1e25
    assert float(found.draws["loss"].squeeze()) < source.values["E"]  # below what the law allows at all
    wider = contradiction(trends_of(source, ("1e19", "1e26")))
    assert float(wider.draws["flops"].squeeze()) > 10 * float(found.draws["flops"].squeeze())


def test_of_kaplans_joint_law_they_are_parallel_and_never_cross():
    found = contradiction(trends_of(fs.published("kaplan2020"), ("1e19", "1e22")))
    assert found.never == 1


@pytest.mark.parametrize("compute", [("1e22", "1e19"), ("1e22",), "1e21"])
def test_a_range_is_two_budgets(compute):
    with pytest.raises(fs.DataError, match=r"\(low, high\) in FLOPs"):
        trends_of(fs.published("hoffmann2022"), compute)
