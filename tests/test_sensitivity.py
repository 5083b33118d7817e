"""What a forecast hangs on: real draws read as a person would, and every number by another way."""

import re
from dataclasses import dataclass, field

import numpy as np
import pytest
import xarray as xr

import forescale as fs
from forescale.errors import DataError
from forescale.estimates.trends import published_trends
from forescale.numbers.budgets import DECADES
from forescale.verbs.sensitivity import sensitivity


@dataclass
class ToyTrends:
    """The least that is Trends, with an alpha_C of so wide a spread that some draws never cross."""

    posterior: xr.Dataset
    name: str = "toy"
    unit: float = 8.64e19
    pivots: dict = field(default_factory=dict)
    basis: str = "made up"


def wide_trends(spread, draws=8000):
    rng = np.random.default_rng(7)
    shape = (2, draws // 2)
    fixed = {"C_c": 2.6784e28, "D_c": 5.4e13, "D_1": 2e10}
    theta = {name: np.full(shape, value) for name, value in fixed.items()}
    for name, value, sd in (("alpha_C", 0.05, 0.05), ("alpha_D", 0.095, 0.04), ("b", 0.27, 0.04)):
        theta[name] = value * (1 + spread * sd * rng.standard_normal(shape))
    return ToyTrends(xr.Dataset({name: (("chain", "draw"), array) for name, array in theta.items()}))


@pytest.fixture(scope="module")
def size(hoffmann_fit):
    return sensitivity(hoffmann_fit)


def known(result, name, flops):
    rows = result.shares()
    return rows[(rows["known"] == name) & np.isclose(rows["flops"], flops)].iloc[0]


def neighbours_share(q, z):
    """Var(E[q | z]) / Var(q) with no form assumed: neighbours in z differ by what z does not explain."""
    return 1 - np.mean(np.diff(q[np.argsort(z)]) ** 2) / 2 / q.var()


def test_a_user_reads_off_what_the_spread_is(size):
    sentence = size.sentence("1e26")
    pattern = r"at 1e26 FLOPs, (\d+) % of the spread in N\* is alpha and beta \(beta alone: (\d+) %\)"
    both, alone = map(int, re.fullmatch(pattern, sentence).groups())
    assert both >= 97
    assert 50 <= alone <= 70
    assert both == round(100 * known(size, "alpha and beta", 1e26)["share"])
    assert f"    1e26 FLOPs: beta {alone} %; alpha and beta {both} %" in repr(size)


def test_the_spread_of_the_loss_far_out_is_the_irreducible_term(hoffmann_fit):
    result = sensitivity(hoffmann_fit, "loss", compute=["1e20", "1e26"])
    assert known(result, "E", 1e26)["share"] > 0.97
    assert known(result, "E", 1e20)["share"] < 0.6
    assert "of the spread in the loss is E and" in result.sentence("1e26")


def test_a_coefficient_that_moves_with_its_exponent_is_not_named_in_its_place(size):
    assert dict(size.attribution.stand_ins) == {"A": "alpha", "B": "beta"}
    there = size.shares()[lambda rows: np.isclose(rows["flops"], 1e26)].set_index("known")["share"]
    assert there["A and B"] == pytest.approx(there["alpha and beta"], abs=0.02)  # it says the same
    named = [name for place in range(11) for name, _ in size.attribution.leading(place)]
    assert not {"A", "B", "A and B", "A and beta", "B and alpha"} & set(named)
    assert "B and beta" in named  # inside the data: beside its exponent it is a term of the law


@pytest.mark.parametrize("name", ["E", "alpha", "beta"])
def test_shares_agree_with_neighbours_in_the_draws(size, hoffmann_fit, name):
    q = size.draws["forecast"].sel(at=8).to_numpy().ravel()
    by_neighbours = neighbours_share(q, hoffmann_fit.posterior[name].to_numpy().ravel())
    assert known(size, name, 1e26)["share"] == pytest.approx(by_neighbours, abs=0.05)


def test_slopes_and_variances_alone_do_not_give_shares(size):
    """The delta method as if parameters were independent: one of them alone more than all of the variance."""
    q = size.draws["forecast"].sel(at=8)
    slope = size.draws["semi_elasticity"].sel(at=8).mean(("chain", "draw"))
    alone = (slope * size.draws["step"]).sel(parameter="alpha") ** 2 / q.var()
    assert float(alone) > 1
    assert known(size, "alpha", 1e26)["share"] < 0.7


def test_all_parameters_explain_all_of_it(size):
    rows = size.shares()
    everything = rows[rows["known"] == "all"]
    assert (everything["count"] == 5).all()
    assert (everything["share"] > 0.999).all()
    singles = rows[(rows["count"] == 1) & np.isclose(rows["flops"], 1e26)]["share"].sum()
    assert singles > 1.5  # correlated parameters: no sum to one


def test_elasticities_are_those_of_the_closed_form(size, hoffmann_fit):
    alpha, beta = hoffmann_fit.posterior["alpha"], hoffmann_fit.posterior["beta"]
    expected = (1 / (alpha + beta)).median().item()
    rows = size.elasticities(prob=0.5).set_index(["parameter", "measure"])
    assert rows.loc[("A", "elasticity"), "median"].to_numpy() == pytest.approx(expected)
    assert rows.loc[("B", "elasticity"), "median"].to_numpy() == pytest.approx(-expected)
    assert (rows["prob"] == 0.5).all()
    tenfold = size.draws["semi_elasticity"] * size.draws["parameter"].copy(data=np.ones(5)) * np.log(10)
    values = hoffmann_fit.posterior["alpha"]
    np.testing.assert_allclose(
        (tenfold.sel(parameter="alpha") * values), size.draws["elasticity"].sel(parameter="alpha")
    )
    assert set(rows.loc[(slice(None), "semi_elasticity"), :].index.get_level_values(0)) == {"alpha", "beta"}


def test_a_conditioned_change_is_what_the_draws_say_and_a_held_one_is_not(size, hoffmann_fit):
    """E[q | alpha one sd up] - E[q | alpha], by the draws themselves: the slope of a regression of q on alpha."""
    q = size.draws["forecast"].sel(at=8).to_numpy().ravel()
    for name in ("alpha", "beta"):
        theta = hoffmann_fit.posterior[name].to_numpy().ravel()
        by_draws = np.polyfit(theta, q, 1)[0] * theta.std(ddof=1)
        rows = size.changes()[lambda rows, name=name: np.isclose(rows["flops"], 1e26) & (rows["parameter"] == name)]
        held, conditioned = rows.set_index("others").loc[["held", "conditioned"], "median"]
        assert conditioned == pytest.approx(by_draws, abs=0.002)
        assert abs(held - by_draws) > 0.05
        assert rows["step"].iloc[0] == pytest.approx(theta.std(ddof=1))


def test_held_and_conditioned_can_differ_in_sign(hoffmann_fit):
    """A larger alpha with all else held lowers the loss; learned from the runs it comes with a larger E."""
    rows = sensitivity(hoffmann_fit, "loss", compute="1e26").changes().set_index(["parameter", "others"])["median"]
    assert rows["alpha", "held"] < 0 < rows["alpha", "conditioned"]
    assert rows["E", "held"] == pytest.approx(hoffmann_fit.posterior["E"].std(ddof=1).item())


def test_a_searched_optimum_is_as_sensitive(hoffmann_fit):
    closed, sought = (
        sensitivity(hoffmann_fit, "tokens_per_param", compute="1e25", cost=cost)
        for cost in ("6ND", fs.units.SixNDAttention(n_ctx=0))
    )
    for name in closed.draws:
        np.testing.assert_allclose(sought.draws[name], closed.draws[name], rtol=1e-6, atol=1e-6)


def test_a_crossing_of_published_trends():
    result = sensitivity(published_trends("kaplan2020"), "crossing")
    assert "of the spread in C* is alpha_C and alpha_D (alpha_C alone: " in result.sentence()
    rows = result.elasticities().set_index(["measure", "parameter"])
    assert rows.loc[("elasticity", "alpha_C"), "median"] > 10  # d log C* / d log alpha_C
    assert rows.loc[("semi_elasticity", "alpha_D"), "median"] < 0
    assert "flops" not in result.shares()
    fixed = result.changes().set_index(["parameter", "others"])
    assert fixed.loc[("C_c", "held"), "step"] == 0
    assert fixed.loc[("C_c", "conditioned"), "median"] == 0
    assert result.shares().set_index("known").loc["C_c", "share"] == pytest.approx(0, abs=1e-12)


def test_trends_that_may_never_cross_are_conditional_and_say_so():
    trends = wide_trends(4)
    result = sensitivity(trends, "crossing")
    theta = {name: trends.posterior[name] for name in trends.posterior}
    never = float((theta["alpha_C"] <= theta["alpha_D"] * theta["b"]).mean())
    assert 0.01 < never < 0.2
    for table in (result.shares(), result.elasticities()):
        assert table["never"].to_numpy() == pytest.approx(never)
    changes = result.changes().set_index(["parameter", "others"])
    assert changes.loc[("alpha_D", "held"), "never"] > never  # a step that ends some crossings
    assert changes.loc[("alpha_C", "held"), "never"] == pytest.approx(never)
    assert np.isfinite(result.elasticities()[["median", "lower", "upper"]]).all(axis=None)
    assert f"in {never:.2g} of draws there is none" in result.sentence()
    assert f"no C* in {never:.2%} of draws" in repr(result)


def test_a_heavy_tail_is_shared_out_by_rank():
    heavy, light = (sensitivity(wide_trends(spread), "crossing") for spread in (4, 1))
    rows = heavy.shares().set_index("known")
    assert rows.loc["all", "share"] < 0.5  # nothing explains a variance that some draws near "never" make
    assert rows.loc["all", "rank_share"] > 0.95
    assert "the rank of C* is alpha_C and alpha_D" in heavy.sentence()
    assert "too heavy a tail" in repr(heavy)
    assert "rank" not in light.sentence()
    there = light.shares().set_index("known").loc[["alpha_C", "alpha_D", "alpha_C and alpha_D"]]
    np.testing.assert_allclose(there["share"], there["rank_share"], atol=0.03)


def test_a_single_draw_has_elasticities_and_no_spread():
    result = sensitivity(fs.published("kaplan2020"), compute=["1e22", "1e26"])
    assert np.isfinite(result.elasticities()["median"]).all()
    assert result.changes()[["step", "median"]].isna().all(axis=None)
    assert result.shares()["share"].isna().all()
    assert "a single draw: no spread is known" in repr(result)
    assert result.sentence("1e22") == (
        "at 1e22 FLOPs, the spread of N* is not known: too few draws, or draws that do not differ"
    )


def test_the_loss_of_runs():
    source = fs.published("besiroglu2024")
    result = sensitivity(source, "loss", n_params=["70B", "400B"], n_tokens=["1.4T", "15T"])
    assert "at n_params 70B, n_tokens 1.4T, " in result.sentence(n_params=70e9, n_tokens="1.4T")
    assert list(result.shares())[:2] == ["n_params", "n_tokens"]
    expected = fs.forecast(source, n_params=["70B", "400B"], n_tokens=["1.4T", "15T"]).draws["mean"]
    np.testing.assert_allclose(result.draws["forecast"], expected)
    for wrong in ({}, {"n_params": "70B"}, {"n_params": "71B", "n_tokens": "1.4T"}, {"flops": 1e26}):
        with pytest.raises(DataError, match="asked about: n_params 70B, n_tokens 1.4T; n_params 400B"):
            result.sentence(**wrong)


def test_tables_are_tidy(size):
    elasticities, changes, shares = size.elasticities(), size.changes(), size.shares()
    bands = ["median", "lower", "upper", "prob", "interval", "never"]
    assert list(elasticities) == ["flops", "parameter", "measure", *bands]
    assert list(changes) == ["flops", "parameter", "others", "step", *bands]
    assert list(shares) == ["flops", "known", "count", "share", "rank_share", "never"]
    assert [len(elasticities), len(changes), len(shares)] == [11 * 7, 11 * 10, 11 * 16]
    assert elasticities["flops"].tolist() == np.repeat(DECADES, 7).tolist()
    assert (elasticities["lower"] <= elasticities["upper"]).all()
    shares["share"] = 0.0
    assert size.shares()["share"].max() > 0.9  # a copy


def test_the_repr_fits_a_page(size, hoffmann_fit):
    runs = sensitivity(hoffmann_fit, "loss", n_params="70B", n_tokens="1.4T")
    for result in (size, runs, sensitivity(published_trends("kaplan2020_pivoted"), "crossing")):
        assert max(map(len, repr(result).splitlines())) <= 88
    assert "correlation 0.99" in repr(size)
    assert "do not sum to one" in repr(size)
