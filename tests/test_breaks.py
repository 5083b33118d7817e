"""How many breaks a curve has: the evidence is right, curves get the breaks they have, verbs take the result."""

import dataclasses
import json
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from commandline import call

import forescale as fs
from forescale import plots
from forescale.laws import get_law
from forescale.numbers import weighing
from forescale.sampling.bridge import log_evidence

SIZES = np.logspace(4, 7, 14)
STRAIGHT = ("unbroken", {"E": 0.001, "A": 2.0, "alpha": 0.25})
PLATEAU = ("broken", {"E": 0.05, "A": 0.8, "alpha": 0.02, "c_1": 0.5, "d_1": 3e5, "f_1": 0.3})
U_SHAPED = ("broken", {"E": 0.05, "A": 20.0, "alpha": 0.35, "c_1": -0.6, "d_1": 2e5, "f_1": 0.4})


def curve(of, sizes=SIZES, *, scatter=0.01, seed=0):
    law, values = of
    loss = get_law(law)({"x": sizes}, values) * np.exp(
        scatter * np.random.default_rng(seed).standard_normal(len(sizes))
    )
    return fs.Observations.from_frame(pd.DataFrame({"n_tokens": sizes, "loss": loss}), name=law)


@pytest.fixture(scope="module")
def plateau():
    return fs.breaks(curve(PLATEAU), draws=500, random_seed=1)


def test_evidence_is_the_likelihood_averaged_over_the_prior():
    """Of six runs that scatter so much that a hundred thousand prior draws do."""
    model = fs.load_model("unbroken_d").with_noise("normal", sigma=fs.Prior("lognormal", median=0.5, sigma=0.2))
    runs = curve(STRAIGHT, SIZES[::3], scatter=0.4)
    fit = fs.fit(runs, model, random_seed=1)
    model, data = fit.model, fit.model.data(runs)
    free = model.sample_prior(200_000, np.random.default_rng(0))
    values = {name: free[name].to_numpy()[0][:, None] for name in free}
    error = data["observed_log_loss"] - model.log_curve(data, values)
    exact = np.log(np.exp(model.noise.logpdf(error, values).sum(axis=1)).mean())
    found = log_evidence(model, data, fit.posterior, np.random.default_rng(0))
    assert found.shape == (4,)
    np.testing.assert_allclose(found, exact, atol=0.1)
    # the partner: of priors that do not reach the losses of these runs the evidence is another
    narrow = model.with_priors(level=fs.Prior("lognormal", median=0.5, sigma=1.0))
    assert np.abs(log_evidence(narrow, data, fit.posterior, np.random.default_rng(0)) - exact).min() > 0.3


def test_probabilities_and_their_errors():
    """Three chains, two models: by hand."""
    log_evidence = np.log([[1.0, 2.0], [3.0, 2.0], [2.0, 2.0]])
    assert weighing.probabilities(log_evidence, [2, 1]).tolist() == pytest.approx([2 / 3, 1 / 3])
    left_out = [2 * z / (2 * z + 2) for z in (2.5, 1.5, 2.0)]
    error = np.sqrt(2 / 3 * ((left_out - np.mean(left_out)) ** 2).sum())
    assert weighing.probabilities_se(log_evidence, [2, 1]).tolist() == pytest.approx([error, error])


def test_a_model_that_counts_and_did_not_converge_is_refused(plateau):
    def failed(*of):
        return dataclasses.replace(plateau, failures=of).diagnostics.failures

    assert failed("", "", "") == failed("R-hat", "", "R-hat") == ()  # what has no probability does no harm
    assert failed("", "R-hat", "") == ("steepening_d, of probability 1.00, did not converge: R-hat",)
    apart = plateau.log_evidence.copy(data=[[0.0, change, -50.0] for change in (1.0, 0.0, -1.0, 2.0)])
    said = dataclasses.replace(plateau, log_evidence=apart, failures=("", "", "")).diagnostics.failures
    assert [each.split("0.")[0] for each in said] == ["probability of unbroken_d ", "probability of steepening_d "]


def test_models_are_tried_again_as_long_as_they_count():
    done, failed = True, False
    low, high = -20.0 * np.ones(4), np.zeros(4)

    def again(evidence, passed, tried):
        return weighing.again(np.stack(evidence, axis=1), (1, 1), passed, tried, 3)

    assert again([low, high], [failed, failed], [1, 1]) == [1]
    assert again([high, low], [failed, done], [1, 2]) == [0]  # a new fit of the other, and now this one counts
    assert again([high, low], [failed, done], [3, 2]) == []
    assert again([high, high], [done, done], [1, 1]) == []


def test_a_break_is_found_where_it_is_and_the_curve_extrapolated(plateau):
    assert plateau.probability[1] > 0.99
    places = plateau.places().set_index("quantity")
    assert places.loc["size", "lower"] < 3e5 < places.loc["size", "upper"]
    assert places.loc["change", "lower"] > 0
    beyond = np.logspace(7.2, 8, 4)
    truth = get_law("broken")({"x": beyond}, PLATEAU[1])
    low, high = fs.forecast(plateau, n_tokens=beyond).draws["mean"].quantile([0.05, 0.95], ("chain", "draw")).values
    assert np.all((low < truth) & (truth < high))


def test_a_straight_curve_is_given_no_break():
    found = fs.breaks(curve(STRAIGHT), draws=500, random_seed=1)
    assert found.probability[0] > 0.6
    assert (found.posterior["c_1"] == 0).mean() == pytest.approx(found.probability[0], abs=0.01)


def test_runs_of_several_curves_are_told(monkeypatch):
    monkeypatch.setattr("forescale.estimates.breaks._weighed", mock.Mock(side_effect=fs.ModelError("not weighed")))
    sizes, tokens = np.tile([1e8, 1e9], 8), np.logspace(9, 11, 16)
    grid = pd.DataFrame({"n_params": sizes, "n_tokens": tokens, "loss": np.linspace(4, 3, 16)})
    told = pytest.warns(fs.ForescaleWarning, match=r"several curves, .* where\(n_params=")
    with told, pytest.raises(fs.ModelError, match="not weighed"):
        fs.breaks(grid)
    for curve in (grid[::2], grid.assign(n_params=tokens / 20)):  # of one size, and of sizes that grow with tokens
        with pytest.raises(fs.ModelError, match="not weighed"):
            fs.breaks(curve)


def test_table_and_words(plateau):
    table = plateau.table()
    columns = [
        "breaks",
        "model",
        "prior",
        "log_evidence",
        "log_evidence_se",
        "probability",
        "probability_se",
        "converged",
    ]
    assert list(table) == columns
    assert table["probability"].sum() == pytest.approx(1)
    assert table["prior"].tolist() == pytest.approx([1 / 3] * 3)
    assert dict(plateau.posterior.sizes) == {"chain": 4, "draw": 500}
    assert set(plateau.posterior) == {*plateau.law.parameters, *plateau.noise.parameters, "model", "breaks"}
    assert "if steepening_d, break 1: at " in repr(plateau)
    assert max(map(len, repr(plateau).splitlines())) <= 100
    with pytest.raises(fs.ModelError, match="broken"):  # there is nothing to split
        fs.allocate(plateau, "1e21")


def test_figure_shows_runs_bands_and_where_a_break_is(plateau):
    held = pd.DataFrame({"n_tokens": [2e7], "loss": [0.1]})
    ax = plots.plot_breaks(plateau, held=held)
    labels = ax.get_legend_handles_labels()[1]
    assert {"14 runs fitted", "1 held out", "median", "posterior of breaks' places"} <= set(labels)
    assert ax.get_title(loc="left") == "broken: a break with probability 1.00"
    (steps,) = ax.patches
    heights, edges, _ = steps.get_data()
    assert edges[heights.argmax()] == pytest.approx(3e5, rel=1)
    assert heights.max() == pytest.approx(0.2, rel=0.01)
    assert ax.get_xlim()[1] > 2e7
    with pytest.raises(fs.DataError, match="there is no loss"):
        plots.plot_breaks(plateau, held=held[["n_tokens"]])


@pytest.mark.usefixtures("eighty_columns")
def test_command_says_what_the_library_says(plateau, tmp_path):
    path = tmp_path / "curve.csv"
    plateau.observations.table.rename(columns={"n_tokens": "examples"}).to_csv(path, index=False)
    given = ("breaks", str(path), "--columns", "n_tokens=examples", "--at", "20M", "--draws", "500", "--seed", "1")
    document = json.loads(call(*given, "--json").stdout)
    assert document["breaks"][0]["probability"] < 0.01
    assert [row["breaks"] for row in document["breaks"]] == [0, 1, 1]
    assert [row["kind"] for row in document["forecast"]] == ["mean", "run"]
    assert document["seed"] == 1


def test_what_cannot_be_weighed_is_refused():
    runs = curve(STRAIGHT)
    with pytest.raises(fs.ModelError, match="the simplest first"):
        fs.breaks(runs, ["steepening_d", "unbroken_d"])
    with pytest.raises(fs.ModelError, match="an odd above zero for each of 3"):
        fs.breaks(runs, prior=[1, 1])
    with pytest.raises(fs.DataError, match="at least 200"):
        fs.breaks(runs, draws=10)
    with pytest.raises(fs.DataError, match="needs n_examples"):
        fs.breaks(runs, size="n_examples")


def test_models_with_more_parameters_than_runs_are_left_out():
    found = fs.breaks(curve(STRAIGHT, SIZES[::2]), draws=500, random_seed=1)
    assert len(found.models) == 1
    assert "steepening_d, flattening_d: left out" in repr(found)
    assert found.probability == {0: pytest.approx(1.0)}
