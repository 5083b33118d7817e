"""Whether answers come from the runs or from the priors: a wrong prior is flagged, the card's are not."""

import numpy as np
import pytest
import xarray as xr
from arviz_stats import psense_summary
from made_fits import made_fit

import forescale as fs
from forescale.belief.catalog import model_card
from forescale.belief.model import Model
from forescale.errors import ModelError
from forescale.estimates import archive
from forescale.verbs.prior_sensitivity import (
    CONFLICT,
    FINE,
    STRONG,
    THRESHOLD,
    UNKNOWN,
    _diagnosis,
    _leader,
    _sensitivities,
    prior_sensitivity,
)

PRIOR = 'E = { dist = "lognormal", median = 1.6, sigma = 0.4 }'
ASKED = {"of": "loss", "compute": ["1e22", "1e26"]}


@pytest.fixture(scope="module")
def wrong_fit(hoffmann):
    """A fit with a narrow prior on E at 1.6, where the runs alone say 1.81 +- 0.016."""
    card = model_card("chinchilla")
    assert PRIOR in card
    narrow = card.replace(PRIOR, 'E = { dist = "lognormal", median = 1.6, sigma = 0.02 }')
    return fs.fit(hoffmann, Model.from_toml(narrow), random_seed=1)


def test_the_card_on_the_hoffmann_runs_is_fine(hoffmann_fit):
    result = prior_sensitivity(hoffmann_fit, **ASKED)
    assert result.passed
    assert (result.table()["prior"] < THRESHOLD).all()
    assert (result.table()["likelihood"] > THRESHOLD).all()


def test_a_narrow_wrong_prior_is_flagged_and_named(wrong_fit):
    result = prior_sensitivity(wrong_fit, **ASKED)
    assert not result.passed
    table = result.table().set_index("quantity")
    for quantity in ("E", "alpha", "loss"):
        assert (table.loc[[quantity], "diagnosis"] == CONFLICT).all()
        assert (table.loc[[quantity], "led_by"] == "E").all()
    assert table.loc["sigma", "diagnosis"] == FINE
    assert "prior-data conflict" in repr(result)


def test_a_prior_alone_decides_where_runs_say_nothing():
    """x has a prior that moves it and a likelihood that does not know it."""
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 4, 1000))
    dims = ("chain", "draw")
    tree = xr.DataTree.from_dict(
        {
            "posterior": xr.Dataset({"x": (dims, x), "never": (dims, np.where(x > 2, np.inf, x))}),
            "log_prior": xr.Dataset({"x": (dims, -(x**2) / 2 + x)}),
            "log_likelihood": xr.Dataset({"log_loss": ((*dims, "run"), -(y**2)[..., None] / 2)}),
        }
    )
    prior, likelihood = (_sensitivities(tree, group) for group in ("prior", "likelihood"))
    assert _diagnosis(prior["x"], likelihood["x"]) == STRONG
    assert _diagnosis(likelihood["x"], prior["x"]) == FINE
    assert np.isnan(prior["never"])
    assert _diagnosis(prior["never"], likelihood["never"]) == UNKNOWN
    assert _leader({"x": prior["never"]}) == UNKNOWN


def test_the_threshold_is_a_quarter_of_a_standard_deviation_for_each_doubling():
    """A normal x tilted by exp(k x): its mean moves by k log 2 for each doubling of the power."""
    x = np.random.default_rng(0).standard_normal((4, 5000))
    k = 0.25 / np.log(2)
    groups = {"posterior": x, "log_prior": k * x}
    tree = xr.DataTree.from_dict({name: xr.Dataset({"x": (("chain", "draw"), v)}) for name, v in groups.items()})
    assert _sensitivities(tree, "prior")["x"] == pytest.approx(THRESHOLD, rel=0.1)


def test_parameters_have_what_arviz_gives_them(wrong_fit):
    table = prior_sensitivity(wrong_fit, **ASKED).table().set_index("quantity")
    expected = psense_summary(wrong_fit.tree)
    for name in expected.index:
        assert table.loc[name, "prior"] == pytest.approx(expected.loc[name, "prior"], abs=6e-4)
        assert table.loc[name, "likelihood"] == pytest.approx(expected.loc[name, "likelihood"], abs=6e-4)


def test_thinned_draws_are_the_same_draws(wrong_fit, monkeypatch):
    whole = prior_sensitivity(wrong_fit, **ASKED).table()
    monkeypatch.setattr(archive, "POINTWISE_MOST", wrong_fit.posterior["E"].size * len(wrong_fit.observations) // 4)
    copy = fs.Fit(**{name: getattr(wrong_fit, name) for name in wrong_fit.__dataclass_fields__})
    assert copy.tree["log_likelihood"].attrs["thinned_by"] == 4
    thinned = prior_sensitivity(copy, **ASKED).table()
    # from every fourth draw, whichever is the first, the measure is up to 0.03 or a quarter above that of all draws
    np.testing.assert_allclose(thinned["prior"], whole["prior"], rtol=0.25, atol=0.03)
    np.testing.assert_allclose(thinned["likelihood"], whole["likelihood"], rtol=0.25, atol=0.03)

    likelihood = copy.tree["log_likelihood"].to_dataset()
    few = likelihood.sizes["draw"]
    first = {"posterior": copy.posterior.isel(draw=slice(few)), "log_likelihood": likelihood.drop_vars("draw")}
    misaligned = _sensitivities(
        xr.DataTree.from_dict({name: values.assign_coords(draw=range(few)) for name, values in first.items()}),
        "likelihood",
    )
    assert misaligned["E"] < whole.set_index("quantity").loc["E", "likelihood"] / 2  # other draws: nothing to see


def test_table_is_tidy(hoffmann_fit):
    table = prior_sensitivity(hoffmann_fit, compute="1e26").table()
    assert list(table) == ["quantity", "flops", "prior", "likelihood", "led_by", "led_by_prior", "diagnosis"]
    assert table["quantity"].tolist() == [*hoffmann_fit.posterior, "n_params"]
    assert table["flops"].isna().tolist() == [True] * 9 + [False]
    assert "N* at 1e26 FLOPs" in repr(prior_sensitivity(hoffmann_fit, compute="1e26"))


def test_a_flat_prior_leads_nowhere():
    values = {"E": 1.8, "A": 470.0, "B": 1900.0, "alpha": 0.345, "beta": 0.36, "kappa": 0.6, "sigma": 0.004, "nu": 3.0}
    table = prior_sensitivity(made_fit(fs.load_model("coupled"), values), **ASKED).table()
    assert "kappa" in set(table["quantity"])
    assert "kappa" not in set(table["led_by"])  # its prior is uniform
    assert table[["prior", "likelihood", "led_by_prior"]].notna().all(axis=None)


def test_what_is_no_fit_has_no_prior():
    with pytest.raises(ModelError, match="besiroglu2024 is a Published: prior sensitivity needs a fit"):
        prior_sensitivity(fs.published("besiroglu2024"))
