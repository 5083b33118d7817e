"""Inputs held: an estimate of the law of the others, for every verb, and for a report of tokens that repeat."""

import numpy as np
import pandas as pd
import pytest
from made_fits import CHINCHILLA, made_fit
from test_recovery import TRUTH

import forescale as fs
from forescale.pages import answer, decisions, doubts, planned, redo
from forescale.pages.contents import Bullets, Code, Paragraph, Table
from forescale.pages.made import ask

BUDGETS = ["1e21", "1e23"]


@pytest.fixture(scope="module")
def fit():
    n_tokens = 20 * np.geomspace(1e8, 1e10, 30)
    values = {**TRUTH["data_constrained"], "sigma": 0.004, "nu": 3.0}
    epochs = np.resize([1.0, 4.0], 30)
    return made_fit(fs.load_model("data_constrained"), values, spread=0.01, draws=60, unique_tokens=n_tokens / epochs)


@pytest.fixture(scope="module")
def held(fit):
    return fs.hold(fit, unique_tokens="25B")


def test_verbs_say_what_they_say_of_the_number_held(fit, held):
    split, asked = fs.allocate(held, BUDGETS), fs.allocate(fit, BUDGETS, unique_tokens="25B")
    assert split.draws.equals(asked.draws.drop_vars("epochs"))
    sizes = {"n_params": [1e9, 7e9], "n_tokens": [1e10, 4e11]}
    told = fs.forecast(held, **sizes, random_seed=1).draws
    # of a pool that is not used up it does not matter how large it is
    full = fs.forecast(fit, **sizes, unique_tokens=[1e10, 25e9], random_seed=1).draws
    for kind in ("mean", "run"):
        np.testing.assert_allclose(told[kind], full[kind], rtol=1e-12)
    assert held.at(sizes)["unique_tokens"].tolist() == [1e10, 25e9]
    assert (held.name, held.noise, held.observations) == (fit.name, fit.noise, fit.observations)


def test_where_no_token_repeats_it_is_chinchilla(fit):
    new = fs.hold(fit, unique_tokens="inf")
    same = fs.hold(fs.published("muennighoff2023"), unique_tokens="inf")
    assert same.observations is same.departure({"n_params": 1e9, "n_tokens": 1e10}) is None
    few = {name: new.posterior[name] for name in CHINCHILLA if name in new.posterior}
    np.testing.assert_allclose(
        new.law({"n_params": 1e8, "n_tokens": 2e10}, new.posterior),
        fs.load_model("chinchilla").law({"n_params": 1e8, "n_tokens": 2e10}, few),
        rtol=1e-12,
    )


def test_the_limit_of_infinite_parameters_is_a_number(held):
    law, p = held.law, held.posterior
    limit = law({"n_params": np.inf, "n_tokens": 4e11}, p)
    np.testing.assert_allclose(limit, law({"n_params": 1e30, "n_tokens": 4e11}, p), rtol=1e-9)
    found = fs.contradiction(held, compute=BUDGETS)
    assert (found.draws["gap"] > 0).all()
    assert np.isfinite(fs.trends_of(held, ("1e19", "1e22")).posterior["alpha_D"]).all()


def test_two_estimates_are_compared_at_one_number(fit):
    other = fs.published("besiroglu2024")
    with pytest.raises(fs.ModelError, match="unique_tokens='100B'"):
        fs.compare(fit, other, compute=BUDGETS, refits=30, random_seed=1)
    found = fs.compare(
        fs.published("muennighoff2023"), other, runs=fit.observations, compute=BUDGETS, unique_tokens="25B"
    )
    sizes = found.allocation().query("quantity == 'n_params' and source == 'muennighoff2023'")["median"]
    alone = fs.allocate(fs.published("muennighoff2023"), BUDGETS, unique_tokens="25B").draws["n_params"]
    assert sizes.tolist() == pytest.approx(alone.to_numpy().ravel().tolist())
    with pytest.raises(fs.ModelError, match="every token is new"):
        fs.compare(other, fs.published("hoffmann2022"), runs=fit.observations, unique_tokens="25B")


def test_what_cannot_be_held_is_refused(fit):
    with pytest.raises(fs.ModelError, match="has no input n_experts"):
        fs.hold(fit, n_experts=8)
    with pytest.raises(fs.DataError, match="must be above zero"):
        fs.hold(fit, unique_tokens=0)
    with pytest.raises(fs.ModelError, match="no input: it has n_params, n_tokens alone"):
        fs.hold(fs.published("besiroglu2024"), n_params=1e9, n_tokens=1e10)


def test_a_report_is_of_the_tokens_that_there_are(fit):
    with pytest.raises(fs.ModelError, match="unique_tokens='100B'"):
        ask(fit, BUDGETS)
    question = ask(fit, BUDGETS, plans={"ours": ("10B", "300B")}, unique_tokens="25B")
    split = fs.allocate(fit, BUDGETS, unique_tokens="25B")
    epochs = split.table().query("quantity == 'epochs'")["median"]
    lines = next(part for part in answer.answer(question).parts if isinstance(part, Bullets)).items
    for line, seen in zip(lines, epochs, strict=True):
        assert f"{seen:.3g} epochs of 25B different tokens" in line
    table = next(part for part in decisions.allocation(question).parts if isinstance(part, Table))
    assert table.headers[-1] == "epochs"
    assert table.rows[0][-1].startswith(f"{epochs.iloc[0]:.3g}")
    assert any("12.5B different ones" in each for each in doubts.changes(question).parts[0].items)
    unknown = " ".join(doubts.unknown(question).parts[0].items)
    assert "beyond the 4 epochs, at most, of the runs" in unknown
    assert "once over the data" not in unknown
    assert question.planned.run["unique_tokens"] == 25e9
    ranked = next(part for part in planned.following(question).parts if isinstance(part, Table))
    assert ranked.headers[0].endswith("different tokens")
    call = next(part.text for part in redo.redo(question).parts if isinstance(part, Code))
    assert "unique_tokens=2.5e10," in call


def test_a_report_tells_first_that_tokens_are_used_up():
    parts = answer.answer(ask(fs.published("muennighoff2023"), ["1e26"], unique_tokens="1B")).parts
    assert parts[0] == Paragraph(parts[0].text, urgent=True)
    assert "1B different tokens are used up" in parts[0].text


def test_decades_beyond_the_runs_count_the_different_tokens(fit):
    """A run in the midst of the others' parameters and tokens, of which few are new, is not among them."""
    few, many = (ask(fit, ["1e21"], unique_tokens=pool) for pool in ("100M", "100B"))
    rows = [next(p for p in decisions.forecasts(q).parts if isinstance(p, Table)).rows[0] for q in (few, many)]
    assert [pd.to_numeric(row[4]) > 0.5 for row in rows] == [True, False]
