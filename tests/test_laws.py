"""One contract over every registered law: same result on every kind of value, limits as declared."""

import numpy as np
import pytest
import xarray as xr

from forescale.errors import ModelError
from forescale.laws import LAWS, get_law, law
from forescale.laws.terms import Amplitude, CriticalSize
from forescale.tables.schedules import Schedule

ALL = pytest.mark.parametrize("one", LAWS.values(), ids=LAWS)
INPUTS = {"n_params": 3e9, "n_tokens": 7e10, "min_steps": 2e4, "x": 4e9, "unique_tokens": 2e10, "n_experts": 32.0}
INPUTS |= {"peak_steps": 2e4, "cooling": 8.0, "n_stages": 200.0}  # a hundredth of each is one that can be
# Plausible values by what a name means, so that a new law needs no entry unless it brings a new name.
VALUES = {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": 0.33, "beta": 0.29, "N_c": 6e13, "D_c": 2e13, "x_c": 9e13}
VALUES |= {"c_1": 0.2, "d_1": 1e9, "f_1": 0.3, "c_2": 0.1, "d_2": 1e10, "f_2": 0.2, "E_0": 9.0, "gamma": 0.8}
VALUES |= {"R_D_star": 15.0, "R_N_star": 5.0}
VALUES |= {"a": -0.082, "b": -0.108, "c": 0.009, "d": 1.104, "E_start": 1.8, "E_max": 310.0}
VALUES |= {"R": 0.1, "gamma": 0.9}
VALUES |= {"alpha_N": 0.076, "alpha_D": 0.103, "S_c": 2e3, "alpha_S": 0.76, "kappa": 0.5}
VALUES |= {"eta": 0.12}
VALUES |= {"k": 2e4}
OWN = {"overtraining": {"a": 140.0, "b": 190.0}}  # of laws whose papers give another law's letters another meaning


def parameters(one):
    return {name: {**VALUES, **OWN.get(one.name, {})}[name] for name in one.parameters}


def inputs(one):
    return {name: INPUTS[name] for name in one.inputs}


@ALL
def test_float_numpy_xarray_and_pytensor_agree(one):
    import pytensor.tensor as pt

    sizes = {name: value * np.array([0.01, 1.0, 100.0]) for name, value in inputs(one).items()}
    draws = {name: value * np.array([0.9, 1.1]) for name, value in parameters(one).items()}
    expected = [
        [one({k: float(v[i]) for k, v in sizes.items()}, {k: float(v[j]) for k, v in draws.items()}) for i in range(3)]
        for j in range(2)
    ]
    by_numpy = one(sizes, {name: value[:, None] for name, value in draws.items()})
    by_xarray = one(
        {name: xr.DataArray(value, dims="point") for name, value in sizes.items()},
        {name: xr.DataArray(value, dims="draw") for name, value in draws.items()},
    )
    by_pytensor = one(
        {name: pt.as_tensor(value) for name, value in sizes.items()},
        {name: pt.as_tensor(value[:, None]) for name, value in draws.items()},
    ).eval(mode="FAST_COMPILE")
    np.testing.assert_allclose(by_numpy, expected, rtol=1e-13)
    np.testing.assert_allclose(by_xarray.transpose("draw", "point"), expected, rtol=1e-13)
    np.testing.assert_allclose(by_pytensor, expected, rtol=1e-13)


@ALL
def test_loss_falls_with_every_size(one):
    here, there = inputs(one), parameters(one)
    for name in one.inputs:
        assert one({**here, name: 2 * here[name]}, there) < one(here, there)


@pytest.mark.parametrize("one", [one for one in LAWS.values() if one.judged_over], ids=lambda one: one.name)
def test_laws_rise_only_where_they_say_so(one):
    """Of laws that are judged over a range: at what they print of draws in which any fall may be a rise."""
    rng = np.random.default_rng(0)
    judged = {name: rng.uniform(0.1, 0.9, 300) for name in one.judged_by}
    falls = [name for name in one.judged_by if name.startswith("fall")]
    judged |= {name: judged[name] * (rng.choice([-1, 1], 300) if one.may_rise else 1) for name in falls}
    printed = one.as_printed(dict.fromkeys(one.judged_at, (1e3, 1e6)), judged)
    sizes = np.geomspace(1e3, 1e6, 50)[:, None]
    losses = one(dict.fromkeys(one.inputs, sizes), printed)
    assert np.all(losses > 0)
    assert (np.diff(losses, axis=0).max() > 0.01) == one.may_rise


@ALL
def test_terms_cover_every_input_and_slopes_tend_to_the_exponents(one):
    """With the other inputs unlimited, log(L - floor) against log size falls at the declared exponent."""
    values = parameters(one)
    if one.judged is None:  # a law says in one of two ways what its parameters mean
        assert {term.size for term in one.terms.values()} == set((one.base or one).inputs)
    for term in one.terms.values():
        unlimited = dict.fromkeys(one.inputs, 1e300)
        sizes = np.array([1e20, 1e21])
        # the floor is set to zero, and the other terms vanish at 1e300, so nothing is lost to rounding
        loss = one({**unlimited, term.size: sizes}, {**values, **({one.floor: 0.0} if one.floor else {})})
        slope = np.diff(np.log(loss)) / np.diff(np.log(sizes))
        assert -slope[0] == pytest.approx(term.steepness(values[term.exponent]), rel=1e-6)


@ALL
def test_floor_is_what_remains(one):
    remains = one(dict.fromkeys(one.inputs, 1e300), parameters(one))
    assert remains == pytest.approx(VALUES[one.floor] if one.floor else 0.0, abs=1e-6)


@ALL
def test_effect_of_a_term_is_the_loss_it_leaves(one):
    """exp(log_effect) is the loss with all else unlimited and no floor, and log_value inverts it."""
    values = parameters(one)
    for name, term in one.terms.items():
        size = INPUTS[term.size]
        left = (one.base or one)(
            {**dict.fromkeys(one.inputs, 1e300), term.size: size},
            {**values, **({one.floor: 0.0} if one.floor else {})},
        )
        effect = term.log_effect(np.log(values[name]), np.log(size), values[term.exponent])
        assert np.exp(effect) == pytest.approx(left, rel=1e-9)
        back = term.log_value(effect, np.log(size), values[term.exponent])
        assert np.exp(back) == pytest.approx(values[name], rel=1e-9)


@pytest.mark.parametrize("one", [one for one in LAWS.values() if one.base], ids=lambda one: one.name)
def test_law_is_its_base_or_on_one_side_of_it(one):
    """The base with all its terms, where the further inputs are as declared; elsewhere what they do."""
    assert one.judged or one.base.terms == one.terms
    here, values = inputs(one), parameters(one)
    further = {name: one.base_at for name in one.inputs if name not in one.base.inputs}
    here["n_params"] *= 0.01 if np.isinf(one.base_at) else 100  # a size that these tokens suffice for, or do not
    assert one({**here, **further}, values) == one.base(here, values)
    apart = np.log(one(here, values) / one.base(here, values))
    assert (apart if np.isinf(one.base_at) else -apart) > 0.001


@ALL
def test_law_falls_strictly_with_its_sum_of_powers(one):
    if one.sum_of_powers is None:
        with pytest.raises(ModelError, match="sum of two powers"):
            one.powers(parameters(one))
        return
    rng = np.random.default_rng(0)
    values = parameters(one)
    a, alpha, b, beta = one.powers(values)
    n, d = 10 ** rng.uniform(7, 12, 200), 10 ** rng.uniform(8, 13, 200)
    order = np.argsort(a / n**alpha + b / d**beta)
    assert np.all(np.diff(one({"n_params": n, "n_tokens": d}, values)[order]) > 0)


def test_renamed_law_is_the_same_law_under_other_names():
    renamed = LAWS["power"].renamed({"x": "n_tokens", "x_c": "D_c", "alpha": "alpha_D"})
    assert renamed.inputs == ("n_tokens",)
    assert renamed.parameters == ("D_c", "alpha_D")
    assert renamed.terms["D_c"] == CriticalSize("n_tokens", "alpha_D")
    assert renamed({"n_tokens": 2e9}, {"D_c": 5.4e13, "alpha_D": 0.095}) == (5.4e13 / 2e9) ** 0.095
    assert renamed.__doc__ == LAWS["power"].__doc__ == LAWS["power"].function.__doc__
    again = renamed.renamed({"alpha_D": "slope"})
    assert again({"n_tokens": 2e9}, {"D_c": 5.4e13, "slope": 0.095}) == (5.4e13 / 2e9) ** 0.095


def test_bad_names_are_refused():
    with pytest.raises(ModelError, match="Did you mean 'chinchilla'"):
        get_law("chinchila")
    with pytest.raises(ModelError, match="has no y to rename"):
        LAWS["power"].renamed({"y": "n_tokens"})
    with pytest.raises(ModelError, match="two names become one"):
        LAWS["power"].renamed({"x": "alpha"})
    with pytest.raises(ModelError, match="does not"):

        @law(terms={"A": Amplitude("size", "slope")})
        def wrong(x, *, A, alpha):
            return A / x**alpha


def test_kaplan_2020_joint_law_at_its_limits():
    """With unlimited data the joint law is L(N) of equation 1.1 (arXiv:2001.08361, below equation 1.5)."""
    p = {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103}
    assert LAWS["kaplan"]({"n_params": 1e9, "n_tokens": 1e300}, p) == pytest.approx((6.4e13 / 1e9) ** 0.076)
    assert LAWS["kaplan"]({"n_params": 1e300, "n_tokens": 1e10}, p) == pytest.approx((1.8e13 / 1e10) ** 0.103)


def test_kaplan_additive_is_chinchilla_in_other_letters():
    p = {"E": 1.7, "N_c": 1e8, "D_c": 3e9, "alpha_N": 0.34, "alpha_D": 0.37}
    q = {"E": 1.7, "A": 1e8**0.34, "B": 3e9**0.37, "alpha": 0.34, "beta": 0.37}
    at = {"n_params": 7e9, "n_tokens": 1.4e11}
    assert LAWS["kaplan_additive"](at, p) == pytest.approx(LAWS["chinchilla"](at, q), rel=1e-14)


def test_learning_curve_converges_to_the_power_of_size():
    """Table 3 of arXiv:2001.08361: after S_c steps a run is one nat above where it converges."""
    p = {"N_c": 6.5e13, "S_c": 2.1e3, "alpha_N": 0.077, "alpha_S": 0.76}
    converged = LAWS["power"]({"x": 1e9}, {"x_c": 6.5e13, "alpha": 0.077})
    assert LAWS["learning_curve"]({"n_params": 1e9, "min_steps": 1e300}, p) == pytest.approx(converged, rel=1e-14)
    assert LAWS["learning_curve"]({"n_params": 1e9, "min_steps": 2.1e3}, p) == pytest.approx(converged + 1, rel=1e-14)


def test_annealed_law_is_that_of_tissue_et_al():
    """At gamma = 1, L0 + A S1^-alpha - C S2 (arXiv:2408.11029) in other letters, at every step of a schedule."""
    plan = Schedule.wsd(6000, decay=2000, warmup=500, final=0.1, shape="1-sqrt", peak=3e-4)
    step = np.arange(1000, 6001, 250)
    memory, l0, a, alpha, c = 500.0, 2.6, 0.4, 0.5, 0.5
    theirs = l0 + a * plan.forward_area(step) ** -alpha - c * plan.annealing_area(step, memory)
    r = c * plan.peak * memory
    ours = {"E": l0 - r, "B": a * plan.peak**-alpha, "beta": alpha, "R": r, "gamma": 1.0}
    at = {"peak_steps": plan.peak_steps(step), "cooling": plan.cooling(step, memory)}
    np.testing.assert_allclose(LAWS["annealed"](at, ours), theirs, rtol=1e-12)
    sizes = {**ours, "E": 1.0, "A": (l0 - r - 1.0) * 1e8**0.3, "alpha": 0.3}
    np.testing.assert_allclose(LAWS["annealed_sizes"]({**at, "n_params": 1e8}, sizes), theirs, rtol=1e-12)


def test_coupled_law_holds_hoffmanns_and_kaplans():
    n, d = np.logspace(6, 12, 7), np.logspace(12, 8, 7)
    sizes, coupled = {"n_params": n, "n_tokens": d}, get_law("coupled")
    additive = parameters(get_law("chinchilla"))
    np.testing.assert_allclose(
        coupled(sizes, {**additive, "kappa": 1.0}), get_law("chinchilla")(sizes, additive), rtol=1e-13
    )
    kaplan = parameters(get_law("kaplan_floor"))
    exponents = {"alpha": kaplan["alpha_N"], "beta": kaplan["alpha_D"], "kappa": kaplan["alpha_D"]}
    sizes_of = {"A": kaplan["N_c"] ** kaplan["alpha_N"], "B": kaplan["D_c"] ** kaplan["alpha_D"]}
    np.testing.assert_allclose(
        coupled(sizes, {"E": kaplan["E"], **sizes_of, **exponents}), get_law("kaplan_floor")(sizes, kaplan), rtol=1e-12
    )
    # the partner: at no other coupling
    other = coupled(sizes, {"E": kaplan["E"], **sizes_of, **exponents, "kappa": 2 * kaplan["alpha_D"]})
    assert np.abs(other / get_law("kaplan_floor")(sizes, kaplan) - 1).max() > 0.01


def test_overtraining_law_is_hoffmanns_with_one_exponent_and_the_papers_form():
    """Gadre et al. write it in compute and tokens per parameter; M* = (b / a)^(1 / (2 eta)) at every budget."""
    p = {"E": 1.84, "a": 212.0, "b": 367.0, "eta": 0.136}
    n, d = np.logspace(7, 10, 7), np.logspace(12, 9, 7)
    here = get_law("overtraining")({"n_params": n, "n_tokens": d}, p)
    m, c = d / n, 6 * n * d
    printed = p["E"] + (p["a"] * m ** p["eta"] + p["b"] * m ** -p["eta"]) * c ** -p["eta"]
    np.testing.assert_allclose(here, printed, rtol=1e-13)
    exponents = {"alpha": 2 * p["eta"], "beta": 2 * p["eta"]}
    q = {"E": p["E"], "A": p["a"] / 6 ** p["eta"], "B": p["b"] / 6 ** p["eta"], **exponents}
    np.testing.assert_allclose(here, get_law("chinchilla")({"n_params": n, "n_tokens": d}, q), rtol=1e-13)
    a, alpha, b, beta = get_law("overtraining").powers(p)
    assert (a, b, alpha, beta) == (q["A"], q["B"], q["alpha"], q["beta"])
    assert (alpha * a / (beta * b)) ** (-2 / (alpha + beta)) == pytest.approx((367 / 212) ** (1 / (2 * 0.136)))
