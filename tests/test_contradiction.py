"""The point of contradiction: printed points, elasticities, never, and joint laws."""

from dataclasses import replace

import numpy as np
import pytest
import xarray as xr

import forescale as fs
from forescale.estimates.trends import PARAMETERS, SCALES, log_crossing, published_trends
from forescale.units import PF_DAY
from forescale.verbs.consistency import Consistency
from forescale.verbs.contradiction import contradiction


@pytest.fixture(scope="module")
def kaplan():
    return contradiction(published_trends("kaplan2020"))


def points(name, **changed):
    """A card's printed values as a single draw, some changed."""
    trends = published_trends(name)
    values = {**trends.values, **changed}
    return replace(trends, posterior=xr.Dataset({k: (("chain", "draw"), [[v]]) for k, v in values.items()}))


def test_the_printed_point():
    draws = contradiction(points("kaplan2020")).draws.isel(chain=0, draw=0)
    assert float(draws["flops"]) / PF_DAY == pytest.approx(1.12e4, rel=0.005)
    assert float(draws["n_params"]) == pytest.approx(1.2e12, rel=0.03)
    assert float(draws["n_tokens"]) == pytest.approx(2.5e11, rel=0.01)
    assert float(draws["loss"]) == pytest.approx(1.67, abs=0.005)


def test_both_trends_have_the_loss_of_the_point(kaplan):
    p = published_trends("kaplan2020").posterior
    np.testing.assert_allclose((p["D_c"] / kaplan.draws["n_tokens"]) ** p["alpha_D"], kaplan.draws["loss"])
    np.testing.assert_allclose((p["C_c"] / kaplan.draws["flops"]) ** p["alpha_C"], kaplan.draws["loss"])


def test_the_papers_own_estimates_explain_an_order_of_magnitude_and_rounding_does_not(kaplan):
    def decades(found):
        row = found.table(0.9).set_index("quantity").loc["flops"]
        return row["log10_upper"] - row["log10_lower"]

    assert 1.8 < decades(kaplan) < 2.2  # "an order of magnitude in either direction" is 2
    assert decades(contradiction(published_trends("kaplan2020_rounding"))) < 1
    assert decades(contradiction(published_trends("kaplan2020_pivoted"))) > 2.5


@pytest.mark.parametrize("exponent", list(SCALES))
@pytest.mark.parametrize("held", ["scale", "pivot"])
def test_elasticities_agree_with_finite_differences(exponent, held):
    trends = points("kaplan2020_pivoted")
    step, pivot, v = 1e-6, trends.pivots[exponent], dict(trends.values)

    def log10_c(change):
        moved = {**v, exponent: v[exponent] + change}
        if held == "pivot" and exponent == "b":
            moved["D_1"] = v["D_1"] * (pivot / trends.unit) ** -change
        elif held == "pivot":
            moved[SCALES[exponent]] = pivot * (v[SCALES[exponent]] / pivot) ** (v[exponent] / moved[exponent])
        return float(log_crossing({name: moved[name] for name in PARAMETERS}, trends.unit)) / np.log(10)

    numeric = (log10_c(step) - log10_c(-step)) / (2 * step)
    found = contradiction(trends).elasticities[exponent]
    assert float(found.sel(held=held).squeeze()) == pytest.approx(numeric, rel=1e-5)
    other = "pivot" if held == "scale" else "scale"
    assert float(found.sel(held=other).squeeze()) != pytest.approx(numeric, rel=0.1)  # partner


def test_never_is_counted_and_not_trimmed():
    trends = published_trends("kaplan2020", draws=1000)
    b = trends.posterior["b"].copy()
    b[0, :200] = 0.9  # the floor falls faster than the trend
    found = contradiction(replace(trends, posterior=trends.posterior.assign(b=b)))
    assert found.never == 0.2
    rows = found.table(0.9).set_index("quantity")
    assert rows.loc["flops", "upper"] == np.inf
    assert rows.loc["n_params", "upper"] == np.inf
    assert rows.loc["loss", "lower"] == 0
    assert np.isfinite(rows.loc["flops", "median"])
    kept = found.draws["flops"].to_numpy()[0, 200:]
    assert rows.loc["flops", "median"] > np.median(kept)  # partner: trimming would pull it down
    odds = found.probabilities(["1e20", "1e40"])
    assert list(odds["none_below"]) == [1.0, pytest.approx(0.2)]
    assert "never: 20.0%" in repr(found)
    assert np.isfinite(found.elasticity_table()["upper"]).all()


def test_trends_that_never_cross_have_no_elasticities():
    found = contradiction(points("kaplan2020", b=0.9))
    assert found.never == 1
    assert "C* never" in repr(found)
    with pytest.raises(fs.ModelError, match="no draw of kaplan2020 crosses"):
        found.elasticity_table()


def test_probabilities_are_of_all_draws(kaplan):
    odds = kaplan.probabilities(["1e23", "1e24", "1e25"])
    shares = [(kaplan.draws["flops"] <= c).mean() for c in (1e23, 1e24, 1e25)]
    np.testing.assert_allclose(odds["crossed"], shares)
    np.testing.assert_allclose(odds["crossed"] + odds["none_below"], 1)
    assert len(kaplan.probabilities()) == 11


@pytest.mark.parametrize("name", ["besiroglu2024", "kaplan2020"])
def test_a_joint_law_does_not_contradict_itself(name):
    source = fs.published(name)
    found = contradiction(source, compute=["1e21", "1e26"])
    assert isinstance(found, Consistency)
    assert (found.draws["gap"] > 0).all()
    best = fs.allocate(source, ["1e21", "1e26"]).draws
    p = source.posterior
    floor = {
        "besiroglu2024": lambda d: p["E"] + p["B"] / d ** p["beta"],
        "kaplan2020": lambda d: (p["D_c"] / d) ** p["alpha_D"],
    }[name](best["n_tokens"])
    np.testing.assert_allclose(found.draws["floor"], floor.transpose(*found.draws["floor"].dims))
    np.testing.assert_allclose(found.draws["gap"], best["loss"] - floor)
    assert "cannot cross" in repr(found)
    assert list(found.table(0.9)["quantity"]) == ["loss", "floor", "gap"] * 2


def test_what_has_no_trends_is_refused(hoffmann):
    with pytest.raises(fs.DataError, match="fit_trends"):
        contradiction(hoffmann)
    with pytest.raises(fs.ModelError, match="cannot split compute"):
        contradiction(fs.published("kaplan2020_n"))
