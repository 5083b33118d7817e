"""Slopes of forecasts: against finite differences, against hand-derived formulas, and what cannot be asked."""

import numpy as np
import pytest
import xarray as xr
from toys import Toy, drawn_toy

import forescale as fs
from forescale.errors import DataError, ModelError
from forescale.estimates.trends import published_trends
from forescale.laws import LAWS, get_law
from forescale.numbers.optimum import closed_log_size
from forescale.units import SixND
from forescale.verbs.targets import LABELS, complex_step, target_of

BUDGETS = np.array([1e19, 5.76e23, 1e28])
SPLITTERS = sorted(name for name, law in LAWS.items() if set(law.inputs) == {"n_params", "n_tokens"})
SPLITS = [of for of in LABELS if of != "crossing"]


class Sought(SixND):
    """6ND under another type, so that the optimum is searched though there is a closed form."""


def toy(name, draws=6):
    """Exponents about 0.3, and effects of some tenths of a nat at 1e9 parameters and 2e10 tokens."""
    rng = np.random.default_rng(5)
    return drawn_toy(
        name,
        (1, draws),
        exponent=lambda shape: rng.uniform(0.25, 0.4, shape),
        effect=lambda _, shape: rng.uniform(0.3, 0.5, shape),
        floor=lambda shape: rng.uniform(1.6, 1.9, shape),
        coupling=lambda shape: rng.uniform(0.4, 0.9, shape),
    )


def ask(source, of, *, compute=None, cost="6ND", **inputs):
    target = target_of(source, of, compute=compute, cost=cost, inputs=inputs)
    return target, target.values(source.posterior)


def central_differences(target, values, step=1e-5):
    """d log forecast / d log parameter, of two evaluations."""
    found = []
    for name in target.parameters:
        up, down = ({**values, name: values[name] * np.exp(sign * step)} for sign in (1, -1))
        found.append((target.log_forecast(up) - target.log_forecast(down)) / (2 * step))
    return np.stack(found)


def elasticities(target, values):
    return target.slopes(values) * np.stack([values[name] for name in target.parameters])


@pytest.mark.parametrize("cost", ["6ND", "6ND+attention", Sought()], ids=["closed", "attention", "sought"])
@pytest.mark.parametrize("of", SPLITS)
@pytest.mark.parametrize("law", SPLITTERS)
def test_slopes_are_those_of_finite_differences(law, of, cost):
    target, values = ask(toy(law), of, compute=BUDGETS, cost=cost)
    slopes = elasticities(target, values)
    assert slopes.shape == (len(target.parameters), 1, 6, 3)
    np.testing.assert_allclose(slopes, central_differences(target, values), rtol=1e-6, atol=1e-7)


def test_a_one_sided_difference_is_not_as_good():
    target, values = ask(toy("chinchilla"), "n_params", compute=BUDGETS)
    up = {**values, "alpha": values["alpha"] * np.exp(1e-5)}
    one_sided = (target.log_forecast(up) - target.log_forecast(values)) / 1e-5
    error = np.abs(one_sided / elasticities(target, values)[3] - 1)
    assert error.max() > 1e-6  # what the test above allows


@pytest.mark.parametrize("of", SPLITS)
@pytest.mark.parametrize("law", [name for name in SPLITTERS if LAWS[name].sum_of_powers])
def test_a_searched_optimum_follows_as_the_closed_form_does(law, of):
    source = toy(law)
    (closed, values), (sought, _) = ask(source, of, compute=BUDGETS), ask(source, of, compute=BUDGETS, cost=Sought())
    np.testing.assert_allclose(sought.log_forecast(values), closed.log_forecast(values), rtol=1e-10)
    np.testing.assert_allclose(elasticities(sought, values), elasticities(closed, values), rtol=1e-8, atol=1e-9)


def test_an_optimum_that_does_not_follow_is_caught():
    """Slopes with the split held: right for the loss, which is flat there, and wrong for anything else."""
    for of, right in (("loss", True), ("n_params", False), ("n_tokens", False)):
        target, values = ask(toy("chinchilla"), of, compute=BUDGETS, cost=Sought())
        size = target._log_size(values)
        held = complex_step(lambda v, target=target, size=size: target._read(size, v), values, target.parameters)
        same = np.allclose(held, target.slopes(values), rtol=1e-6)
        assert same == right


def test_hand_derived_slopes_of_the_chinchilla_optimum():
    source = toy("chinchilla")
    target, v = ask(source, "n_params", compute=BUDGETS)
    A, B, alpha, beta = (v[name] for name in ("A", "B", "alpha", "beta"))
    log_n = target.log_forecast(v)
    expected = [
        0 * log_n,
        1 / (A * (alpha + beta)) + 0 * log_n,
        -1 / (B * (alpha + beta)) + 0 * log_n,
        (1 / alpha - log_n) / (alpha + beta),
        (np.log(BUDGETS / 6) - 1 / beta - log_n) / (alpha + beta),
    ]
    np.testing.assert_allclose(target.slopes(v), expected, rtol=1e-12, atol=1e-14)
    tokens, _ = ask(source, "n_tokens", compute=BUDGETS)
    np.testing.assert_allclose(tokens.slopes(v), -np.array(expected), rtol=1e-12, atol=1e-14)  # N D is C / 6
    with pytest.raises(AssertionError):  # as if the exponent moved only itself and not the size that it acts on
        np.testing.assert_allclose(target.slopes(v)[3], 1 / alpha / (alpha + beta) + 0 * log_n, rtol=0.1)

    exponent, _ = ask(source, "a", compute=BUDGETS)
    np.testing.assert_allclose(exponent.log_forecast(v), np.log(beta / (alpha + beta)) + 0 * log_n, rtol=1e-11)
    slopes = exponent.slopes(v) * (beta / (alpha + beta))
    np.testing.assert_allclose(slopes[3], -beta / (alpha + beta) ** 2 + 0 * log_n, rtol=1e-10)
    np.testing.assert_allclose(slopes[4], alpha / (alpha + beta) ** 2 + 0 * log_n, rtol=1e-10)

    loss, _ = ask(source, "loss", compute=BUDGETS)
    n, d = np.exp(log_n), BUDGETS / 6 / np.exp(log_n)
    slopes = loss.slopes(v) * np.exp(loss.log_forecast(v))
    by_hand = [1 + 0 * n, n**-alpha, d**-beta, -A * n**-alpha * np.log(n), -B * d**-beta * np.log(d)]
    np.testing.assert_allclose(slopes, by_hand, rtol=1e-11)


@pytest.mark.parametrize("law", ["power", "shifted_power", "chinchilla", "kaplan"])
def test_slopes_of_the_loss_of_runs(law):
    source = toy(law) if law in SPLITTERS else None
    if source is None:
        renamed = LAWS[law].renamed({"x": "flops"})
        scale = {"power": {"x_c": 1e27, "alpha": 0.05}, "shifted_power": {"E": 1.5, "A": 30.0, "alpha": 0.1}}[law]
        source = Toy(renamed, xr.Dataset({name: (("chain", "draw"), [[x, 1.1 * x]]) for name, x in scale.items()}))
    inputs = {"flops": ["1e22", 1e26]} if law not in SPLITTERS else {"n_params": "70B", "n_tokens": ["1T", "20T"]}
    target, values = ask(source, "loss", **inputs)
    assert list(target.at) == list(source.law.inputs)
    np.testing.assert_allclose(elasticities(target, values), central_differences(target, values), rtol=1e-7, atol=1e-9)


def test_slopes_of_a_crossing():
    trends = published_trends("kaplan2020")
    target, values = ask(trends, "crossing")
    log_c, v = target.log_forecast(values), values
    below = v["alpha_C"] - v["alpha_D"] * v["b"]
    by_hand = {
        "C_c": v["alpha_C"] / below,
        "D_c": -v["alpha_D"] / below,
        "D_1": v["alpha_D"] / below,
        "alpha_C": v["alpha_C"] * (np.log(v["C_c"]) - log_c) / below,
        "b": v["b"] * v["alpha_D"] * (log_c - np.log(trends.unit)) / below,
    }
    found = dict(zip(target.parameters, elasticities(target, values), strict=True))
    for name, expected in by_hand.items():
        np.testing.assert_allclose(found[name], expected, rtol=1e-10)
    # L* is the same by either trend, and the crossing does not care about the unit of loss
    np.testing.assert_allclose(found["alpha_D"], -found["alpha_C"], rtol=1e-10)
    assert not np.allclose(found["alpha_D"], found["alpha_C"])
    assert set(target.exponents) == {"alpha_C", "alpha_D", "b"}
    assert set(target.scales) == {"C_c", "D_c", "D_1"}
    assert len(target.at) == 1
    assert list(target.at) == []


def test_the_closed_optimum_takes_complex_parameters():
    law = get_law("chinchilla")
    values = {"E": 1.8, "A": 480 + 1e-30j, "B": 2000.0, "alpha": 0.35, "beta": 0.37}
    assert np.imag(closed_log_size(law, np.log(1e22), values)) / 1e-30 == pytest.approx(1 / 480 / 0.72)


def test_coordinates_go_back_and_forth():
    source = toy("kaplan_additive")
    target, values = ask(source, "loss", compute=BUDGETS)
    z = target.coordinates(values)
    assert target.scales == ("N_c", "D_c")
    np.testing.assert_allclose(z[:, 0], values["E"].ravel())
    np.testing.assert_allclose(z[:, 1], np.log(values["N_c"]).ravel())
    for name, back in target.from_coordinates(z, (1, 6, 1)).items():
        np.testing.assert_allclose(back, values[name])


def test_no_optimum_is_no_number():
    source = toy("chinchilla")
    source.posterior["beta"][0, 0] = 1e-12  # the loss falls all the way to more parameters
    for cost in ("6ND", Sought()):
        for of in SPLITS:
            target, values = ask(source, of, compute=1e22, cost=cost)
            assert np.isfinite(target.log_forecast(values)[0, :, 0]).tolist() == [False] + [True] * 5


@pytest.mark.parametrize(
    ("of", "asked", "error", "words"),
    [
        ("size", {}, DataError, "no forecast 'size'.*n_params.*crossing"),
        ("crossing", {}, ModelError, "law 'chinchilla', which cannot answer of='crossing'"),
        ("n_params", {"n_params": "70B"}, DataError, "go with of='loss'"),
        ("loss", {"n_params": "70B", "n_tokens": 1e12, "compute": 1e22}, DataError, "without compute="),
        ("loss", {"n_params": "70B"}, DataError, "missing: n_tokens"),
        ("loss", {"compute": -1}, DataError, "compute must be above zero"),
    ],
)
def test_what_cannot_be_asked_of_a_law(of, asked, error, words):
    with pytest.raises(error, match=words):
        ask(fs.published("besiroglu2024"), of, **asked)


def test_what_cannot_be_asked_of_trends_and_of_other_laws():
    trends = published_trends("kaplan2020")
    with pytest.raises(ModelError, match="three trends, which cannot answer of='n_params'"):
        ask(trends, "n_params")
    with pytest.raises(DataError, match="one point"):
        ask(trends, "crossing", compute=1e22)
    with pytest.raises(ModelError, match="cannot split compute"):
        ask(fs.published("kaplan2020_n"), "n_params")
