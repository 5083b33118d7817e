"""Transfer: the law at its ends, what printed constants give, a fit of simulated runs, and what it refuses."""

import numpy as np
import pandas as pd
import pytest
from commandline import call, check_page, refused
from toys import toy

import forescale as fs
from forescale.laws import get_law

LAW = get_law("transfer")
TRUTH = {"E": 1.0, "N_c": 3e7, "D_c": 1.1e9, "alpha_N": 0.3, "alpha_D": 0.28, "k": 1.9e4, "alpha": 0.18, "beta": 0.38}


@pytest.fixture(scope="module")
def fit():
    """60 simulated runs, half of them from scratch: there is no published table of single runs to fit."""
    rng = np.random.default_rng(2)
    n, d = 10 ** rng.uniform(6, 9.5, 60), 10 ** rng.uniform(5.5, 9, 60)
    table = pd.DataFrame({"n_params": n, "n_tokens": d, "n_stages": np.resize([1.0, 2.0], 60)})
    loss = LAW(table, TRUTH) * np.exp(0.005 * rng.standard_normal(60))
    return fs.fit(fs.Observations.from_frame(table.assign(loss=loss)), "transfer", random_seed=1)


def test_pre_training_is_worth_the_tokens_that_it_is_said_to_be():
    """The loss after D_F is that from scratch after D_E."""
    n, d = np.array([1e7, 1e9]), np.array([1e6, 1e8])
    found = fs.effective_data(toy("transfer", **TRUTH), n, d).draws.squeeze(("chain", "draw"))
    np.testing.assert_allclose(found["transferred"], 1.9e4 * d**0.18 * n**0.38)
    tuned = LAW({"n_params": n, "n_tokens": d, "n_stages": 2.0}, TRUTH)
    scratch = LAW({"n_params": n, "n_tokens": found["effective"].to_numpy(), "n_stages": 1.0}, TRUTH)
    np.testing.assert_allclose(tuned, scratch, rtol=1e-13)
    np.testing.assert_allclose(found["multiplier"], found["effective"] / d)
    at_the_end = fs.effective_data(toy("transfer", **TRUTH), n, found["fades_at"].to_numpy()).draws
    np.testing.assert_allclose(at_the_end["multiplier"].squeeze(), 1.1)


def test_what_printed_constants_say():
    """Ten times the model is worth what 100 times the data are (beta is about 2 alpha); code is nearer."""
    text, code = (
        fs.effective_data(f"hernandez2021_{name}", ["1B", "10B"], 1e7).draws.squeeze() for name in ("text", "code")
    )
    larger = float(text["transferred"][1] / text["transferred"][0])
    longer = fs.effective_data("hernandez2021_text", "1B", [1e7, 1e9]).draws["transferred"].squeeze()
    assert larger == pytest.approx(float(longer[1] / longer[0]), rel=0.06)
    assert np.all(code["transferred"] > text["transferred"])
    assert "in characters" in repr(fs.effective_data("hernandez2021_text", "1B", 1e7))


def test_an_exponent_of_one_never_fades():
    source = toy("transfer", **{**TRUTH, "alpha": np.array([0.5, 1.0, 1.2])})
    fades = fs.effective_data(source, 1e9, 1e8).draws["fades_at"].squeeze()
    assert np.isfinite(fades[0])
    assert np.isinf(fades[1:]).all()
    sooner = fs.effective_data(source, 1e9, 1e8, share=1.0).draws["fades_at"].squeeze()
    assert sooner[0] < fades[0]


@pytest.mark.slow
def test_a_fit_recovers_what_pre_training_is_worth(fit):
    rows = fit.summary(prob=0.99)
    for name, value in TRUTH.items():
        assert rows.loc[name, "lower"] < value < rows.loc[name, "upper"], name
    n, d = [1e7, 1e9], [1e6, 1e8]
    found = fs.effective_data(fit, n, d).table(prob=0.99).query("quantity == 'transferred'")
    truth = 1.9e4 * np.array(d) ** 0.18 * np.array(n) ** 0.38
    assert np.all((found["lower"] < truth) & (truth < found["upper"]))
    assert not np.any((found["lower"] < 3 * truth) & (3 * truth < found["upper"]))  # the partner
    assert "in tokens" in repr(fs.effective_data(fit, n, d))
    assert "transfer" in repr(fs.sensitivity(fit, "loss", n_params=1e9, n_tokens=1e8, n_stages=2))
    with pytest.raises(fs.ModelError, match="cannot split compute"):
        fs.allocate(fit, 1e20)


def test_refusals():
    with pytest.raises(fs.ModelError, match="asked of fine-tuned models.*hoffmann2022 has law 'chinchilla'"):
        fs.effective_data(fs.published("hoffmann2022"), "1B", "1B")
    with pytest.raises(fs.ModelError, match="there are hernandez2021_text, hernandez2021_code"):
        fs.effective_data("hernandez", "1B", "1B")
    with pytest.raises(fs.DataError, match="share"):
        fs.effective_data("hernandez2021_text", "1B", "1B", share=0)


@pytest.mark.usefixtures("eighty_columns")
def test_command_line():
    page = call("transfer", "hernandez2021_text", "--at", "1B,100M").stdout
    check_page(page)
    assert "characters" in page
    assert "multiplier" in page
    csv = call("transfer", "hernandez2021_text", "--at", "1B,100M", "--csv").stdout.splitlines()
    assert csv[0].startswith("n_params,n_tokens,quantity,median")
    assert len(csv) == 5
    assert "asked of fine-tuned models" in refused("transfer", "hoffmann2022", "--at", "1B,1B")
