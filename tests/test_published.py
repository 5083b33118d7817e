"""Published estimates: the printed numbers, and draws that keep the printed uncertainty."""

import numpy as np
import pytest

import forescale as fs
from forescale.belief.catalog import published_card
from forescale.errors import ModelError
from forescale.estimates.published import from_toml


@pytest.mark.parametrize("name", fs.list_published())
def test_every_card_is_an_estimate(name):
    estimate = fs.published(name)
    assert estimate.name == name
    assert set(estimate.posterior.data_vars) == set(estimate.law.parameters)
    assert estimate.uncertainty
    assert "arXiv" in estimate.citation
    points = {"n_params": 1e9, "n_tokens": 2e10, "flops": 1.2e20, "min_flops": 6e19, "min_steps": 1e4, "n_experts": 64}
    points["unique_tokens"] = 1e10
    loss = fs.forecast(estimate, **{key: points[key] for key in estimate.law.inputs}).draws["mean"]
    assert 1.5 < float(loss.median()) < 4
    for key, value in estimate.values.items():
        assert float(estimate.posterior[key].median()) == pytest.approx(value, rel=0.05)
    assert name in repr(estimate)
    assert all(str(rule) in repr(estimate) for rule in estimate.rules.values())
    assert list(estimate.table()["printed"]) == [estimate.values[key] for key in estimate.law.parameters]


@pytest.mark.parametrize(
    ("name", "n_params"), [("hoffmann2022", 32.2e9), ("hoffmann2022_unrounded", 40.3e9), ("besiroglu2024", 72.35e9)]
)
def test_constants_give_the_optimum_that_they_are_known_for(name, n_params):
    estimate = fs.published(name)
    constants = from_toml(published_card(name).split("[standard_errors]")[0])
    optimum = fs.allocate(constants, compute=5.76e23).draws["n_params"]
    assert float(optimum.squeeze()) == pytest.approx(n_params, rel=0.002)
    assert estimate.values == constants.values


def test_besiroglu_abstract_rounds_to_another_optimum():
    """72.2B is what the four digits of the paper's abstract give; its table of estimates gives 72.35B."""
    card = published_card("besiroglu2024").split("[standard_errors]")[0]
    for long, short in (("482.006", "482.01"), ("2085.434", "2085.43"), ("0.34781", "0.3478"), ("0.36585", "0.3658")):
        assert long in card
        card = card.replace(long, short)
    optimum = fs.allocate(from_toml(card), compute=5.76e23).draws["n_params"]
    assert float(optimum.squeeze()) == pytest.approx(72.2e9, rel=0.001)


def test_unrounded_constants_are_those_of_the_tex():
    values = fs.published("hoffmann2022_unrounded").values
    logs = {"A": 6.0073404, "B": 6.0179186, "E": 0.5267228}
    for name, log in logs.items():
        assert np.log(values[name]) == pytest.approx(log, abs=1e-6)


def optimum(p):
    """N* at 5.76e23 FLOPs (Hoffmann et al. 2022, equation 4)."""
    g = (p["alpha"] * p["A"] / (p["beta"] * p["B"])) ** (1 / (p["alpha"] + p["beta"]))
    return g * (5.76e23 / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))


def test_besiroglu_draws_keep_the_printed_errors_and_a_sane_band():
    estimate = fs.published("besiroglu2024")
    draws = estimate.posterior
    for name, error in {"E": 0.02566, "alpha": 0.0154, "beta": 0.0206, "A": 124.522}.items():
        assert float(draws[name].std() / draws[name].median()) == pytest.approx(error / estimate.values[name], rel=0.07)
    a = draws["beta"] / (draws["alpha"] + draws["beta"])
    assert float(a.mean()) == pytest.approx(0.513, abs=0.001)
    assert float(a.std()) == pytest.approx(0.020, abs=0.001)
    low, high = optimum(draws).quantile([0.05, 0.95]).values
    assert 1.8 < high / low < 2.2  # the bootstrap itself: 104.5B / 54.7B
    shuffled = np.random.default_rng(0).permutation(draws["B"].values.ravel())
    low, high = optimum(draws.assign(B=draws["B"].copy(data=shuffled[None]))).quantile([0.05, 0.95]).values
    assert high / low > 4  # what draws of B that do not follow beta would say


def test_draws_are_the_same_each_time_and_can_be_others():
    one, two = fs.published("besiroglu2024").posterior, fs.published("besiroglu2024").posterior
    assert one.equals(two)
    assert not fs.published("besiroglu2024", random_seed=1).posterior.equals(one)
    assert fs.published("besiroglu2024", draws=7).posterior.sizes["draw"] == 7
    assert fs.published("hoffmann2022").posterior.sizes == {"chain": 1, "draw": 1}


def test_kaplan_one_at_a_time():
    assert float(fs.forecast(fs.published("kaplan2020_n"), n_params=1e9).draws["mean"].squeeze()) == pytest.approx(
        (8.8e13 / 1e9) ** 0.076
    )
    pf_days = 1e4
    flops = pf_days * 8.64e19
    assert float(fs.forecast(fs.published("kaplan2020_c"), flops=flops).draws["mean"].squeeze()) == pytest.approx(
        (1.6e7 / pf_days) ** 0.057
    )
    assert float(
        fs.forecast(fs.published("kaplan2020_cmin"), min_flops=flops).draws["mean"].squeeze()
    ) == pytest.approx((3.1e8 / pf_days) ** 0.050)


def test_kaplan_learning_curve():
    """Table 3 of arXiv:2001.08361; after very many steps the L(N) of equation 1.1, but for up to 1.2 %."""
    steps = fs.published("kaplan2020_steps")
    loss = float(fs.forecast(steps, n_params=1e9, min_steps=1e4).draws["mean"].squeeze())
    assert loss == pytest.approx((6.5e13 / 1e9) ** 0.077 + (2.1e3 / 1e4) ** 0.76, rel=1e-12)
    sizes = [1e6, 1e7, 1e8, 1e9]
    converged = fs.forecast(steps, n_params=sizes, min_steps=1e12).draws["mean"].squeeze()
    alone = fs.forecast(fs.published("kaplan2020_n"), n_params=sizes).draws["mean"].squeeze()
    assert float(np.abs(converged / alone - 1).max()) == pytest.approx(0.012, abs=0.0005)
    early = fs.forecast(steps, n_params=sizes, min_steps=1e4).draws["mean"].squeeze()
    assert np.all(np.abs(early / alone - 1) > 0.05)


def test_the_printed_rule_of_kaplan_is_not_the_optimum_of_the_joint_law():
    """Table 6 of arXiv:2001.08361: N = 1.3e9 C^0.73, so 1e12 parameters at about 1e4 PF-days."""
    kaplan = fs.published("kaplan2020")
    rule = kaplan.rules["n_params"]
    assert rule(8.64e19) == pytest.approx(1.3e9)
    assert rule(1.12e4 * 8.64e19) == pytest.approx(1.2e12, rel=0.03)
    judged = fs.regret(fs.published("besiroglu2024"), compute=["1e21", "5.76e23"], n_params=rule)
    np.testing.assert_allclose(judged.draws["n_params"], rule(np.array([1e21, 5.76e23])))
    assert "n_params = 1.3e+09 (min_flops / 8.64e+19)^0.73" in repr(judged)
    law = fs.allocate(kaplan, compute=5.76e23).draws["n_params"]
    assert rule(5.76e23) > 3 * float(law.squeeze())


def test_rules_cannot_be_changed_and_may_be_none():
    assert dict(fs.published("hoffmann2022").rules) == {}
    rules = fs.published("kaplan2020").rules
    with pytest.raises(TypeError):
        rules["n_params"] = rules["n_params"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("exponent = 0.73", "exponnt = 0.73"), "unknown: exponnt, missing: exponent"),
        (('of = "min_flops"', "of = 1"), "of of a rule is the name of a quantity"),
        (("coefficient = 1.3e9", "coefficient = -1.3e9"), "coefficient of a rule must be above zero"),
    ],
)
def test_bad_rules_are_refused_by_card_and_name(change, says):
    card = published_card("kaplan2020")
    assert change[0] in card
    with pytest.raises(ModelError, match=f"published estimate 'kaplan2020', rule 'n_params': .*{says}"):
        from_toml(card.replace(*change))


def test_bad_cards_are_refused():
    with pytest.raises(ModelError, match="Did you mean 'hoffmann2022'"):
        fs.published("hofmann2022")
    card = published_card("hoffmann2022")
    with pytest.raises(ModelError, match="has parameters E, A, B, alpha, beta"):
        from_toml(card.replace("alpha = 0.34", "alfa = 0.34"))
    crooked = published_card("besiroglu2024")
    start = crooked.index("matrix = [")
    with pytest.raises(ModelError, match="positive definite"):
        from_toml(crooked[:start] + "matrix = [[1.0, 2.0], [2.0, 1.0]]\n")
