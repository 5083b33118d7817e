"""Published trends: printed values, the spread of their card, and the crossing."""

import numpy as np
import pytest

import forescale as fs
from forescale.belief.catalog import list_trends
from forescale.estimates.trends import PARAMETERS, SCALES, log_crossing, published_trends
from forescale.units import PF_DAY

CARD = """
unit = 8.64e19
[values]
C_c = 2.6784e28
alpha_C = 0.05
D_c = 5.4e13
alpha_D = 0.095
D_1 = 2e10
b = 0.27
N_1 = 1.3e9
a = 0.73
"""


def crossing(name, **changed):
    trends = published_trends(name)
    return float(np.exp(log_crossing({**trends.values, **changed}, trends.unit))) / PF_DAY


def test_the_printed_laws_cross_where_the_paper_says_and_where_equation_6_7_does():
    assert crossing("kaplan2020") == pytest.approx(1.12e4, rel=0.005)  # printed: about 1e4 PF-days
    assert crossing("kaplan2020_eq67") == pytest.approx(1.06e5, rel=0.005)
    assert crossing("kaplan2020_eq67") > 9 * crossing("kaplan2020")  # partner: the two are not one point


def test_a_small_change_of_an_exponent_moves_the_crossing_as_the_facts_say():
    at = crossing("kaplan2020")
    assert crossing("kaplan2020", alpha_C=1.04 * 0.050) / at == pytest.approx(2.2, abs=0.05)
    assert at / crossing("kaplan2020", alpha_D=1.04 * 0.095) == pytest.approx(2.4, abs=0.1)
    assert at / crossing("kaplan2020", alpha_D=0.103) == pytest.approx(7, abs=0.1)


def test_the_crossing_agrees_with_a_search_for_the_root():
    from scipy.optimize import brentq

    v = published_trends("kaplan2020").values

    def gap(log_c):
        c = np.exp(log_c)
        tokens = v["D_1"] * (c / PF_DAY) ** v["b"]
        return np.log(v["C_c"] / c) * v["alpha_C"] - np.log(v["D_c"] / tokens) * v["alpha_D"]

    assert brentq(gap, 40, 80) == pytest.approx(float(log_crossing(v, PF_DAY)), rel=1e-10)


@pytest.mark.parametrize("b", [0.0501 / 0.095, 0.6])
def test_trends_of_equal_or_opposite_slope_never_cross(b):
    v = {**published_trends("kaplan2020").values, "b": b}
    assert log_crossing(v, PF_DAY) == np.inf


@pytest.mark.parametrize("name", list_trends())
def test_every_card_says_where_its_spread_comes_from_and_holds_it(name):
    trends = published_trends(name)
    assert trends.basis
    assert trends.citation
    assert all(trends.spread.values())
    for parameter in PARAMETERS:
        draws = trends.posterior[parameter].to_numpy()
        moved = parameter in trends.spread or any(SCALES[e] == parameter for e in trends.pivots)
        assert (np.ptp(draws) > 0) == moved
        assert draws.min() <= trends.values[parameter] * (1 + 1e-12)
        assert draws.max() >= trends.values[parameter] * (1 - 1e-12)
    assert name in repr(trends)


def test_pivots_hold_the_trends_and_without_pivots_they_move():
    for name, held in (("kaplan2020_pivoted", True), ("kaplan2020", False)):
        trends = published_trends(name)
        p, v = trends.posterior, trends.values
        at = published_trends("kaplan2020_pivoted").pivots
        loss = (p["C_c"] / at["alpha_C"]) ** p["alpha_C"]
        floor = (p["D_c"] / at["alpha_D"]) ** p["alpha_D"]
        tokens = p["D_1"] * (at["b"] / trends.unit) ** p["b"]
        printed = [(v["C_c"] / at["alpha_C"]) ** v["alpha_C"], (v["D_c"] / at["alpha_D"]) ** v["alpha_D"]]
        printed.append(v["D_1"] * (at["b"] / trends.unit) ** v["b"])
        for values, value in zip((loss, floor, tokens), printed, strict=True):
            assert np.allclose(values, value) == held
        product = p["N_1"] * p["D_1"]
        np.testing.assert_allclose(product, v["N_1"] * v["D_1"])
        np.testing.assert_allclose(p["a"] + p["b"], 1.0)


def test_estimates_are_drawn_equally_often_and_rounded_uniformly():
    alpha = published_trends("kaplan2020", draws=40_000).posterior["alpha_D"].to_numpy().ravel()
    low = np.abs(alpha - 0.095) <= 0.0005
    assert low.mean() == pytest.approx(0.5, abs=0.02)
    assert np.all(low | (np.abs(alpha - 0.103) <= 0.0005))
    assert (alpha[low] - 0.095).std() == pytest.approx(0.0005 / np.sqrt(3), rel=0.05)


def test_a_card_of_ones_own_is_read_and_a_bad_one_refused(tmp_path):
    card = tmp_path / "mine.toml"
    card.write_text(CARD)
    assert published_trends(card).posterior["b"].shape == (1, 1)
    assert published_trends(card).name == "mine"
    for old, new, message in (
        ("alpha_D = 0.095\n", "", r"missing: L\(D\) \(D_c, alpha_D\)"),
        ("b = 0.27", "b = -0.27", "b must be a number above zero"),
        ("[values]", "[pivots]\nbeta = 1.0\n[values]", "unknown: beta"),
        ("[values]", "[spread.b]\nsd = 0.1\n[values]", "the spread of b is stated by"),
        ("[values]", "[values", "not a card of trends"),
    ):
        card.write_text(CARD.replace(old, new))
        with pytest.raises(fs.ModelError, match=message):
            published_trends(card)
    with pytest.raises(fs.ModelError, match="Did you mean 'kaplan2020"):
        published_trends("kaplan202")


def test_the_cards_repeat_what_the_published_estimates_print():
    loss, floor = fs.published("kaplan2020_cmin"), fs.published("kaplan2020_d")
    printed = {**floor.values, "C_c": loss.values["C_c_min"], "alpha_C": loss.values["alpha_C_min"]}
    for name in list_trends():
        trends = published_trends(name)
        rule = loss.rules["n_tokens_eq_6_7" if name.endswith("eq67") else "n_tokens"]
        of_rules = {"D_1": rule.coefficient, "b": rule.exponent}
        of_rules |= {"N_1": loss.rules["n_params"].coefficient, "a": loss.rules["n_params"].exponent}
        assert trends.values == {**printed, **of_rules}
        assert trends.unit == rule.unit == loss.rules["n_params"].unit
