"""PowerRule, and the rules that Kaplan et al. print: each follows from the others to its digits, or is shown not to.

All numbers are of arXiv:2001.08361; C and C_min in PF-days.
"""

import dataclasses
import itertools

import numpy as np
import pytest
import xarray as xr

import forescale as fs
from forescale.errors import ModelError
from forescale.numbers.critical_batch import critical_batch_size
from forescale.numbers.rules import PowerRule
from forescale.units import PF_DAY

CMIN = fs.published("kaplan2020_cmin")
STEPS = fs.published("kaplan2020_steps")
JOINT = fs.published("kaplan2020")


def interval(text):
    """All that is printed so: half a unit of the last digit either way."""
    mantissa, _, power = text.partition("e")
    unit = 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
    return float(text) - unit / 2, float(text) + unit / 2


def prints(value, text):
    """Whether a value, rounded to the digits of a print, is that print."""
    low, high = interval(text)
    return low <= value <= high


def can_print(formula, text, *inputs):
    """Whether a formula of printed numbers gives a print, for some values that are printed like the inputs."""
    corners = [formula(*corner) for corner in itertools.product(*map(interval, inputs))]
    low, high = interval(text)
    return min(corners) <= high and low <= max(corners)


def test_the_reader_of_prints():
    assert prints(1.949e6, "1.9e6")
    assert not prints(1.951e6, "1.9e6")
    assert prints(0.0525, "0.052")
    assert not prints(0.0526, "0.052")
    assert can_print(lambda a, b: a / b, "3", "6", "2")
    assert not can_print(lambda a, b: a / b, "5", "6.0", "2.0")


# A rule


def test_a_rule_is_the_same_on_floats_numpy_and_xarray():
    rule = PowerRule("n_params", "min_flops", 1.3e9, 0.73, unit=PF_DAY)
    sizes = np.array([1e18, 1e24])
    expected = [1.3e9 * (size / 8.64e19) ** 0.73 for size in sizes]
    np.testing.assert_allclose(rule(sizes), expected, rtol=1e-15)
    assert rule(1e18) == expected[0]
    by_xarray = rule(xr.DataArray(sizes, dims="budget"))
    assert by_xarray.dims == ("budget",)
    np.testing.assert_allclose(by_xarray, expected, rtol=1e-15)


def test_a_rule_says_itself():
    rule = PowerRule("n_params", "min_flops", 1.3e9, 0.73, unit=PF_DAY)
    assert str(rule) == "n_params = 1.3e+09 (min_flops / 8.64e+19)^0.73"
    assert str(PowerRule("n_tokens", "n_params", 5e3, 0.74)) == "n_tokens = 5000 n_params^0.74"
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.unit = 1.0


TABLE = {"of": "min_flops", "coefficient": 1.3e9, "exponent": 0.73, "unit": 8.64e19}


def test_a_table_gives_a_rule():
    assert PowerRule.from_table("n_params", TABLE) == PowerRule("n_params", "min_flops", 1.3e9, 0.73, 8.64e19)
    other = PowerRule.from_table("n_params_naive", TABLE | {"gives": "n_params"})
    assert other == PowerRule.from_table("n_params", TABLE)
    assert PowerRule.from_table("x", {key: TABLE[key] for key in ("of", "coefficient", "exponent")}).unit == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"units": 1.0}, "unknown: units, missing: none"),
        ({"of": None}, "of of a rule is the name of a quantity"),
        ({"gives": ""}, "gives of a rule is the name of a quantity"),
        ({"coefficient": "1.3e9"}, "coefficient of a rule must be a finite number, not '1.3e9'"),
        ({"coefficient": 0.0}, "coefficient of a rule must be above zero"),
        ({"exponent": float("nan")}, "exponent of a rule must be a finite number"),
        ({"exponent": True}, "exponent of a rule must be a finite number"),
        ({"unit": -8.64e19}, "unit of a rule must be above zero"),
    ],
)
def test_tables_that_are_no_rule(change, says):
    with pytest.raises(ModelError, match=says):
        PowerRule.from_table("n_params", TABLE | change)


def test_a_table_without_what_a_rule_needs():
    with pytest.raises(ModelError, match="unknown: none, missing: coefficient, exponent"):
        PowerRule.from_table("n_params", {"of": "flops"})
    with pytest.raises(ModelError, match="a rule is a table"):
        PowerRule.from_table("n_params", 1.3e9)


# Table 6: what compute-efficient training uses


def test_the_cards_hold_what_is_printed():
    printed = {
        "n_params": (1.3e9, 0.73),
        "batch_tokens": (2.0e6, 0.24),
        "min_steps": (5.4e3, 0.03),
        "n_tokens": (2e10, 0.27),
        "n_tokens_eq_6_7": (4e10, 0.26),
    }
    assert {name: (rule.coefficient, rule.exponent) for name, rule in CMIN.rules.items()} == printed
    assert {rule.of for rule in CMIN.rules.values()} == {"min_flops"}
    assert {rule.unit for rule in CMIN.rules.values()} == {PF_DAY}
    assert CMIN.values == {"C_c_min": pytest.approx(3.1e8 * PF_DAY, rel=1e-12), "alpha_C_min": 0.050}
    assert STEPS.values == {"N_c": 6.5e13, "S_c": 2.1e3, "alpha_N": 0.077, "alpha_S": 0.76}
    naive = fs.published("kaplan2020_c").rules["n_params"]
    assert naive == PowerRule("n_params", "flops", 1.6e9, 0.88, PF_DAY)
    assert JOINT.rules["n_tokens_without_penalty"] == PowerRule("n_tokens", "n_params", 5e3, 0.74)


def test_a_rule_that_stands_in_two_cards_is_one_rule():
    assert JOINT.rules["n_params"] == CMIN.rules["n_params"]


def test_the_critical_batch_size_is_its_rule():
    loss = np.array([1.7, 3.0, 6.0])
    np.testing.assert_allclose(STEPS.rules["batch_tokens"](loss), critical_batch_size(loss, 2.1e8, 0.21), rtol=1e-13)
    assert prints(-STEPS.rules["batch_tokens"].exponent, "4.8")  # section 6.1, B ~ L^-4.8


def test_batch_size_follows_from_the_loss():
    """Table 6: B = B_* / L^(1/alpha_B) with L = L(C_min) is 2.0e6 C_min^0.24."""
    at_one = critical_batch_size((3.1e8) ** 0.050, 2.1e8, 0.21)
    assert prints(at_one, "2.0e6")
    assert prints(0.050 / 0.21, "0.24")
    # the partner: equations 1.4 and 5.3 print B_* as 2e8, with which the coefficient is another
    assert not prints(critical_batch_size((3.1e8) ** 0.050, 2.0e8, 0.21), "2.0e6")


def test_steps_follow_from_size_and_batch():
    """Table 6: S_min = C_min / (6 N B) is 5.4e3 C_min^0.03 within the digits of N and B; as they stand 5.5e3."""

    def steps(size, batch):
        return PF_DAY / (6 * size * batch)

    assert prints(steps(1.3e9, 2.0e6), "5.5e3")
    assert can_print(steps, "5.4e3", "1.3e9", "2.0e6")
    assert not can_print(steps, "5.4e3", "1.6e9", "2.0e6")  # the partner: the naive N is not what is meant
    assert prints(1 - 0.73 - 0.24, "0.03")


def test_tokens_follow_from_size_and_equation_6_7_prints_twice_as_many():
    """Table 6: D = 2 C_min / (6 N) = 2 B S_min is 2e10 C_min^0.27; equation 6.7 prints 4e10 C_min^0.26 for it."""

    def tokens(size):
        return 2 * PF_DAY / (6 * size)

    assert prints(tokens(1.3e9), "2e10")
    assert prints(2 * 2.0e6 * 5.4e3, "2e10")
    assert prints(1 - 0.73, "0.27")
    assert not can_print(tokens, "4e10", "1.3e9")
    assert prints(2 * tokens(1.3e9), "4e10")
    assert not prints(1 - 0.73, "0.26")


def test_data_trends_of_section_6_3():
    """Equation 6.6 and the text about 6.7: D ~ N^0.74 ~ C_min^0.54, and L(D(C_min)) ~ C_min^-0.03."""
    assert prints(0.74 * 0.73, "0.54")
    assert prints(0.095 * 0.27, "0.03")  # with the exponent of Table 6
    assert not prints(0.095 * 0.26, "0.03")  # and not with that of equation 6.7


# Equation 4.4: when finite data cost nothing


def tokens_without_penalty(n_params, penalty=0.02, exponent=None):
    """D at which L(N, D) is that much above L(N, infinity), by the joint law; in closed form, N^exponent given."""
    p = JOINT.values
    exponent = p["alpha_N"] / p["alpha_D"] if exponent is None else exponent
    return p["D_c"] * (n_params / p["N_c"]) ** exponent / ((1 + penalty) ** (1 / p["alpha_D"]) - 1)


def test_tokens_without_penalty_are_those_that_cost_two_per_cent():
    rule = JOINT.rules["n_tokens_without_penalty"]
    sizes = np.array([1e6, 1e9, 1e12])
    tokens = tokens_without_penalty(sizes)
    paid = JOINT.law({"n_params": sizes, "n_tokens": tokens}, JOINT.values)
    free = JOINT.law({"n_params": sizes, "n_tokens": np.inf}, JOINT.values)
    np.testing.assert_allclose(paid / free, 1.02, rtol=1e-12)
    assert prints(0.076 / 0.103, "0.74")
    assert prints(tokens_without_penalty(1.0), "5.5e3")
    assert prints(tokens_without_penalty(1.0, exponent=0.74), "5e3")
    assert tokens_without_penalty(1e9) == pytest.approx(rule(1e9), rel=0.06)
    # the partner: other penalties are not what is printed
    assert not prints(tokens_without_penalty(1.0, penalty=0.01, exponent=0.74), "5e3")
    assert not prints(tokens_without_penalty(1.0, penalty=0.03, exponent=0.74), "5e3")


def test_what_the_text_says_of_data():
    """Sections 1.1 and 4.2: 8 times the size wants about 5 times the data; 22B tokens do for 1e9 parameters."""
    rule = JOINT.rules["n_tokens_without_penalty"]
    assert prints(rule(8.0) / rule(1.0), "5")
    assert rule(1e9) == pytest.approx(22e9, rel=0.05)


# Equations 6.4, 6.5, B.5 and B.7: exponents from exponents


def harmonic(alpha_S, alpha_B, alpha_N):
    return 1 / (1 / alpha_S + 1 / alpha_B + 1 / alpha_N)


def test_the_derived_exponents():
    assert prints(harmonic(0.76, 0.21, 0.077), "0.052")  # B.7
    assert prints(harmonic(0.76, 0.21, 0.076), "0.052")
    assert prints(0.077 / 0.76, "0.10")  # B.5: efficient training stops 10 % above convergence
    assert prints(0.054 / 0.076, "0.71")  # 6.5, from 6.4
    assert not prints(harmonic(0.76, 0.21, 0.076) / 0.076, "0.71")


def test_equation_6_4_does_not_follow_from_the_printed_exponents():
    """0.054 is printed, and nothing that prints as their exponents do gives it: it wants alpha_B of 0.228, not 0.21."""
    assert not can_print(harmonic, "0.054", "0.76", "0.21", "0.077")
    assert can_print(harmonic, "0.052", "0.76", "0.21", "0.077")
    assert prints(harmonic(0.76, 0.228, 0.077), "0.054")
    assert not prints(harmonic(0.76, 0.227, 0.077), "0.054")


def test_what_the_text_says_of_the_critical_batch_size():
    """Figure 10: it about doubles for a loss 13 % lower."""
    rule = STEPS.rules["batch_tokens"]
    assert prints(rule(0.87) / rule(1.0), "1.9")


def test_what_stopping_early_saves():
    """B.12 to B.14: 10 % above convergence against 2 %, at one loss, 2.7 N, 0.13 S and 0.35 C."""
    f, late = 0.10, 0.02
    size = ((1 + f) / (1 + late)) ** (1 / 0.077)
    steps = ((1 + 1 / f) / (1 + 1 / late)) ** (1 / 0.76)
    p, loss = STEPS.values, 3.0
    for above, factors in ((late, (1.0, 1.0)), (f, (size, steps))):
        n_params = p["N_c"] * (1.02 / loss) ** (1 / 0.077) * factors[0]
        min_steps = p["S_c"] * (loss * late / 1.02) ** (-1 / 0.76) * factors[1]
        assert STEPS.law({"n_params": n_params, "min_steps": min_steps}, p) == pytest.approx(loss, rel=1e-12)
        assert loss / (p["N_c"] / n_params) ** 0.077 == pytest.approx(1 + above, rel=1e-12)
    assert prints(size, "2.7")
    assert prints(steps, "0.13")
    assert prints(size * steps, "0.35")
