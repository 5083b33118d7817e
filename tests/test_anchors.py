"""Exponents read as theory reads them: against the formulas, at their ends, and refused where there is none."""

import json

import numpy as np
import pytest
from commandline import call, check_page, refused
from toys import toy

import forescale as fs

CHINCHILLA = {"E": 1.7, "A": 400.0, "B": 900.0, "alpha": [0.2, 0.4, 0.5], "beta": [0.25, 0.4, 1.0]}


def test_dimension_is_four_over_the_exponent_of_each_size():
    found = fs.intrinsic_dimension(toy("chinchilla", **CHINCHILLA))
    np.testing.assert_allclose(found.draws["dimension"].sel(size="n_params"), [[20, 10, 8]])
    np.testing.assert_allclose(found.draws["dimension"].sel(size="n_tokens"), [[16, 10, 4]])
    np.testing.assert_allclose(found.ratio, [[1.25, 1.0, 2.0]])
    np.testing.assert_allclose(found.beyond, [0, 1 / 3])  # an exponent of one is no dimension
    assert "in 33% of draws it is 1 or more" in repr(found)
    lipschitz = fs.intrinsic_dimension(toy("chinchilla", **CHINCHILLA), smoothness=1)
    np.testing.assert_allclose(4 * lipschitz.draws["dimension"], found.draws["dimension"])
    rows = found.table(prob=0.5).set_index(["size", "quantity"])
    assert rows.loc[("n_params", "dimension"), "median"] == 10
    assert rows.loc[("both", "ratio"), "median"] == 1.25
    assert set(rows["interval"]) == {"equal-tailed"}
    assert set(rows["prob"]) == {0.5}


@pytest.mark.parametrize("name", ["kaplan2020", "kaplan2020_n", "gadre2024_c4", "hoffmann2022"])
def test_exponents_are_the_slopes_where_nothing_else_limits(name):
    """Measured on the law itself, a decade apart, beside what is read."""
    source = fs.published(name)
    found = fs.intrinsic_dimension(source).draws["exponent"]
    for size in found["size"].to_numpy():
        at = {**dict.fromkeys(source.law.inputs, 1e300), size: np.array([1e20, 1e21])}
        loss = source.law(at, {**source.values, "E": 0.0})
        assert -np.diff(np.log10(loss))[0] == pytest.approx(float(found.sel(size=size).squeeze()), rel=1e-6)


def test_one_size_has_no_ratio():
    found = fs.intrinsic_dimension(fs.published("kaplan2020_n"))
    assert found.ratio is None
    assert list(found.table()["quantity"]) == ["exponent", "dimension"]
    assert "both measure" not in repr(found)


def test_zipf_tail_inverts_hutters_formula_and_has_no_end_at_one():
    gamma = np.array([0.1, 0.5, 2.0])
    found = fs.zipf_exponent(toy("chinchilla", **{**CHINCHILLA, "beta": gamma / (1 + gamma)}))
    np.testing.assert_allclose(found.draws["gamma"], [gamma])
    ends = fs.zipf_exponent(toy("chinchilla", **{**CHINCHILLA, "beta": [0.5, 1.0, 1.3]}))
    np.testing.assert_array_equal(ends.draws["gamma"], [[1, np.inf, np.inf]])
    assert ends.table().set_index("quantity").loc["gamma", "upper"] == np.inf
    assert "beta" in repr(found)


def test_hutters_model_itself_learns_at_this_rate():
    """Things of frequencies rank^-(1 + gamma), each known once seen: the error falls as n^-(gamma / (1 + gamma))."""
    gamma, ranks = 0.5, np.arange(1.0, 3e6)
    frequency = ranks ** -(1 + gamma)
    frequency /= frequency.sum()
    error = [np.sum(frequency * np.exp(n * np.log1p(-frequency))) for n in (1e3, 1e5)]
    slope = -np.log(error[1] / error[0]) / np.log(1e2)
    assert slope == pytest.approx(gamma / (1 + gamma), abs=0.01)
    assert slope != pytest.approx(gamma, abs=0.1)  # the partner


def test_verbs_refuse_laws_without_the_powers():
    with pytest.raises(fs.ModelError, match="law 'routed' has no power of n_params or n_tokens"):
        fs.intrinsic_dimension(fs.published("clark2022_sbase"))
    with pytest.raises(fs.ModelError, match="no power of n_tokens"):
        fs.zipf_exponent(fs.published("kaplan2020_n"))
    with pytest.raises(fs.ModelError, match="no power"):
        fs.intrinsic_dimension(fs.published("kaplan2020_c"))
    for bad in (0, -4, float("nan")):
        with pytest.raises(fs.DataError, match="smoothness"):
            fs.intrinsic_dimension(fs.published("hoffmann2022"), smoothness=bad)


def test_the_manifold_card_has_the_prior_that_its_dimension_makes():
    """d lognormal of median 20 and sigma 0.5, as the card says, and 2 eta = 4 / d."""
    model = fs.load_model("manifold")
    rng = np.random.default_rng(0)
    eta = model.priors["eta"].sample(200_000, rng)
    d = 20 * np.exp(0.5 * rng.standard_normal(200_000))
    quantiles = [0.05, 0.5, 0.95]
    np.testing.assert_allclose(np.quantile(eta, quantiles), np.quantile(2 / d, quantiles), rtol=0.01)
    np.testing.assert_allclose(np.quantile(2 / eta, quantiles), [8.8, 20, 45.5], rtol=0.02)
    drawn = toy("overtraining", E=1.7, a=140.0, b=190.0, eta=eta[:100])
    np.testing.assert_allclose(fs.intrinsic_dimension(drawn).draws["dimension"].sel(size="n_params"), [2 / eta[:100]])
    others = fs.load_model("overtraining")
    assert {k: v for k, v in model.priors.items() if k != "eta"} == {
        k: v for k, v in others.priors.items() if k != "eta"
    }
    assert model.law.name == others.law.name == "overtraining"


@pytest.mark.usefixtures("eighty_columns")
def test_command_line():
    page = call("dimension", "besiroglu2024").stdout
    check_page(page)
    assert "d by N over d by D" in page
    document = json.loads(call("dimension", "besiroglu2024", "--smoothness", "2", "--json").stdout)
    found = fs.intrinsic_dimension(fs.published("besiroglu2024"), smoothness=2).table()
    assert [row["median"] for row in document["rows"]][:-1] == list(found["median"])
    assert document["rows"][-1]["quantity"] == "gamma"
    assert "gamma" not in call("dimension", "kaplan2020_n", "--csv").stdout
    assert "no power of n_params" in refused("dimension", "clark2022_sbase")
