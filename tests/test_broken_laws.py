"""Laws of one input that bend: breaks, a ceiling, and cards that are read over the range of the runs."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import forescale as fs
from forescale.belief.catalog import model_card
from forescale.belief.model import Model
from forescale.belief.references import at_runs, in_units_of_range
from forescale.laws import get_law

X = np.logspace(2, 10, 33)
PLAIN = {"E": 0.3, "A": 40.0, "alpha": 0.4}
ONE = {**PLAIN, "c_1": 0.3, "d_1": 1e6, "f_1": 0.3}
CARDS = ["unbroken_d", "steepening_d", "flattening_d", "twice_broken_d", "m4_d"]


def table(law, values, sizes, *, scatter=0.01, seed=0):
    noise = scatter * np.random.default_rng(seed).standard_normal(len(sizes))
    loss = get_law(law)({"x": sizes}, values) * np.exp(noise)
    return fs.Observations.from_frame(pd.DataFrame({"n_tokens": sizes, "loss": loss}), name=law)


def test_broken_laws_are_caballeros():
    """Equation 1 of arXiv:2210.14891, in its letters."""
    a, b, c_0, c_1, d_1, f_1, c_2, d_2, f_2 = 0.3, 5.0, 0.2, 0.35, 3e5, 0.25, -0.6, 2e7, 0.4
    once = b * X**-c_0 * (1 + (X / d_1) ** (1 / f_1)) ** (-c_1 * f_1)
    mine = {"E": a, "A": b, "alpha": c_0, "c_1": c_1, "d_1": d_1, "f_1": f_1}
    np.testing.assert_allclose(get_law("broken")({"x": X}, mine), a + once, rtol=1e-12)
    twice = once * (1 + (X / d_2) ** (1 / f_2)) ** (-c_2 * f_2)
    mine |= {"c_2": c_2, "d_2": d_2, "f_2": f_2}
    np.testing.assert_allclose(get_law("twice_broken")({"x": X}, mine), a + twice, rtol=1e-12)


def test_laws_without_their_breaks_are_the_simpler_ones():
    at = {"x": X}
    plain = get_law("shifted_power")(at, PLAIN)
    np.testing.assert_allclose(get_law("unbroken")(at, PLAIN), plain, rtol=1e-13)
    np.testing.assert_allclose(get_law("broken")(at, {**ONE, "c_1": 0.0}), plain, rtol=1e-13)
    more = {**ONE, "c_2": 0.0, "d_2": 1e5, "f_2": 0.2}
    np.testing.assert_allclose(get_law("twice_broken")(at, more), get_law("broken")(at, ONE), rtol=1e-13)
    assert get_law("twice_broken")(at, {**more, "c_2": 0.1})[16] < get_law("broken")(at, ONE)[16] - 0.01


def test_exponents_on_either_side_of_a_break_and_a_rise():
    def slope(c_1, sizes):
        loss = get_law("broken")({"x": np.array(sizes)}, {**ONE, "E": 0.0, "c_1": c_1, "f_1": 0.2})
        return np.diff(np.log(loss))[0] / np.diff(np.log(sizes))[0]

    assert slope(0.3, [1e2, 1e3]) == pytest.approx(-0.4, abs=1e-6)
    assert slope(0.3, [1e9, 1e10]) == pytest.approx(-0.7, abs=1e-6)
    assert slope(-0.6, [1e9, 1e10]) == pytest.approx(0.2, abs=1e-6)  # loss rises beyond the break


@pytest.mark.parametrize("gamma", [0.01, 0.3, 1.0, 4.0, 50.0])
def test_m4_solves_its_equation(gamma):
    """The printed form, in its letters, at sizes near neither floor nor ceiling."""
    E, E_0, B, c = 0.3, 2.3, 40.0, 0.4
    values = {"E": E, "E_0": E_0, "A": B * (E_0 - E) ** gamma, "alpha": c, "gamma": gamma}
    loss = get_law("m4")({"x": X}, values)
    assert np.all((loss > E) & (loss <= E_0))
    within = loss < E + 0.99 * (E_0 - E)  # at the ceiling a difference of near equals tells nothing
    assert within.sum() >= 10
    loss, sizes = loss[within], X[within]
    np.testing.assert_allclose((loss - E) / (E_0 - loss) ** gamma, B * sizes**-c, rtol=1e-9)


def test_m4_far_below_its_ceiling_is_the_shifted_power():
    at = {"x": X[X > 1e6]}
    m4 = get_law("m4")(at, {**PLAIN, "E_0": 1e9, "gamma": 1.7})
    np.testing.assert_allclose(m4, get_law("shifted_power")(at, PLAIN), rtol=1e-8)


@pytest.mark.parametrize(
    ("name", "values"),
    [("broken", ONE), ("m4", {**PLAIN, "E_0": 2.3, "gamma": 0.3}), ("m4", {**PLAIN, "E_0": 2.3, "gamma": 3.0})],
)
def test_slopes_by_complex_steps_are_those_of_differences(name, values):
    """Sensitivity steps into the complex plane; sizes are on both sides of the break and on both asymptotes of M4."""
    law = get_law(name)
    for parameter, value in values.items():
        step = 1e-5 * value
        ends = [law({"x": X}, {**values, parameter: value + sign * step}) for sign in (1, -1)]
        exact = law({"x": X.astype(complex)}, {**values, parameter: value + 1e-200j}).imag / 1e-200
        np.testing.assert_allclose(exact, (ends[0] - ends[1]) / (2 * step), rtol=1e-5, atol=1e-9 / abs(value))


JUDGED = {
    "unbroken": {"level": 0.2, "floor_share": 0.4, "fall": 1.3},
    "broken": {"level": 0.2, "floor_share": 0.4, "fall": 0.9, "turn": -1.5, "place": 0.4, "width": 0.3},
    "twice_broken": {"level": 0.2, "floor_share": 0.4, "fall": -0.3, "turn_1": -2.0, "turn_2": 3.0}
    | {"place": 0.3, "further": 0.5, "width": 0.2},
    "m4": {"level": 0.2, "floor_share": 0.4, "ceiling_share": 0.3, "fall": 1.2, "gamma": 0.8},
}


@pytest.mark.parametrize("name", ["unbroken", "broken", "twice_broken"])
def test_judged_losses_are_those_of_the_law(name):
    """At the ends of the range the curve has the losses that level and fall say; breaks are where they are said."""
    low, high, judged = 1e3, 1e6, JUDGED[name]
    printed = get_law(name).as_printed({"x": (low, high)}, judged)
    loss = get_law(name)({"x": np.array([low, high])}, printed)
    assert loss[-1] == pytest.approx(0.2)
    assert np.log(loss[0] / loss[1]) == pytest.approx(judged["fall"], rel=1e-10)
    assert printed["E"] == pytest.approx(0.4 * loss.min())
    turns = [value for key, value in judged.items() if key.startswith("turn")]
    assert [printed[f"c_{i}"] * np.log(1000) for i in range(1, len(turns) + 1)] == pytest.approx(turns)
    if name == "twice_broken":
        assert np.log([printed["d_1"] / low, printed["d_2"] / low]) / np.log(1000) == pytest.approx([0.3, 0.65])
    if name == "broken":
        assert printed["d_1"] == pytest.approx(1e3**0.6 * 1e6**0.4)
        tenth, nine = (1 / (1 + np.exp(np.log(9) * sign)) for sign in (1, -1))
        ends = printed["d_1"] * 1000 ** np.array([-0.15, 0.15])  # the width is 0.3 of three decades
        np.testing.assert_allclose(1 / (1 + (ends / printed["d_1"]) ** (-1 / printed["f_1"])), [tenth, nine])


def test_m4_is_judged_by_level_slope_and_shares():
    printed = get_law("m4").as_printed({"x": (1e3, 1e7)}, JUDGED["m4"])
    ends = 1e5 * np.exp([-1e-5, 0.0, 1e-5])
    loss = get_law("m4")({"x": ends}, printed)
    assert loss[1] == pytest.approx(0.2)
    assert -np.diff(np.log(loss[[0, 2]]))[0] / 2e-5 == pytest.approx(1.2 / np.log(1e4), rel=1e-6)
    assert (printed["E"], printed["E_0"]) == pytest.approx((0.08, 0.2 / 0.3))


@pytest.mark.parametrize("name", JUDGED)
def test_judged_laws_are_the_same_in_any_unit_and_power_of_the_input(name):
    """What lets a fit put the range of its runs there, and one compiled model serve every table."""
    law, sizes = get_law(name), np.geomspace(10, 1e8, 9)
    here = law({"x": sizes}, law.as_printed({"x": (1e2, 1e6)}, JUDGED[name]))
    scaled, ends = (7 * np.array(each) ** 0.3 for each in (sizes, (1e2, 1e6)))
    np.testing.assert_allclose(law({"x": scaled}, law.as_printed({"x": tuple(ends)}, JUDGED[name])), here, rtol=1e-9)


@pytest.mark.parametrize("card", CARDS)
def test_a_range_is_that_of_the_runs_and_no_loss_is_looked_at(card):
    model = fs.load_model(card)
    sizes = np.geomspace(3e4, 2e8, 12)
    runs = [table("unbroken", {**PLAIN, "A": scale * 4.0}, sizes, seed=seed) for seed, scale in ((0, 1.0), (1, 5.0))]
    moved = at_runs(model, runs[0])
    assert moved.reference["n_tokens"] == pytest.approx((3e4, 2e8))
    assert at_runs(model, runs[1]) == moved == at_runs(moved, {"n_tokens": sizes})
    assert dataclasses.replace(moved, reference=model.reference) == model
    assert Model.from_toml(moved.to_toml()) == moved
    same, data = in_units_of_range(moved, moved.data(runs[0]))
    assert (data["n_tokens"].min(), data["n_tokens"].max()) == pytest.approx((np.exp(-1), np.exp(1)))
    draws = model.sample_prior(5, np.random.default_rng(0))
    free = {name: draws[name].to_numpy()[0, :, None] for name in model.believed}
    np.testing.assert_allclose(
        same.law({"n_tokens": data["n_tokens"]}, same.printed(free)),
        moved.law({"n_tokens": sizes}, moved.printed(free)),
        rtol=1e-6,
    )


def test_other_models_stay_where_they_are():
    runs = table("unbroken", PLAIN, X)
    model = fs.load_model("shifted_power_d")
    assert at_runs(model, runs) is model
    assert in_units_of_range(model, model.data(runs))[0] is model


@pytest.mark.parametrize("given", ["2e9", "[1e12, 1e8]", "[1e8]", "[1e8, -1]", '["1", 2]'])
def test_a_law_judged_over_a_range_wants_one(given):
    text = model_card("steepening_d").replace("[1e8, 1e12]", given)
    with pytest.raises(fs.ModelError, match="reference n_tokens must be a range, such as"):
        Model.from_toml(text)
