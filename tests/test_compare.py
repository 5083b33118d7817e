"""Comparison: the truth is preferred, the figures on the Hoffmann runs, and what disagreement costs."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from toys import Toy

import forescale as fs
from forescale.checking.separation import STACK, separations
from forescale.errors import DataError, ModelError
from forescale.laws import get_law
from forescale.units import SixND, SixNDAttention

BUDGETS = [1e22, 1e25]
POINTS = {"n_params": ["70B", "1T"], "n_tokens": ["1.4T", "20T"]}


@pytest.fixture(scope="module")
def kaplan_fit(hoffmann):
    return fs.fit(hoffmann, "kaplan", random_seed=1)


@pytest.fixture(scope="module")
def two(hoffmann_fit, kaplan_fit):
    return fs.compare(hoffmann_fit, kaplan_fit, compute=BUDGETS, points=POINTS, random_seed=1)


def toy(alpha, *, size_at_1e22=1e10, spread=0.02, draws=400, name="toy"):
    """A chinchilla law with N* = size (C / 1e22)^(0.35 / (alpha + 0.35)), up to a scatter in alpha and size."""
    rng = np.random.default_rng(7)
    alphas = alpha * np.exp(spread * rng.standard_normal((1, draws)))
    sizes = size_at_1e22 * np.exp(10 * spread * rng.standard_normal((1, draws)))
    beta, log_tokens = 0.35, np.log(1e22 / 6) - np.log(sizes)
    values = {"E": 1.8 + 0 * alphas, "B": 2000 + 0 * alphas, "alpha": alphas, "beta": beta + 0 * alphas}
    # at the optimum alpha A / N^alpha = beta B / D^beta
    values["A"] = beta / alphas * 2000 * np.exp(alphas * np.log(sizes) - beta * log_tokens)
    return Toy(get_law("chinchilla"), xr.Dataset({k: (("chain", "draw"), v) for k, v in values.items()}), name)


# The figures on the Hoffmann runs


def test_chinchilla_beats_the_joint_kaplan_law(two):
    scores = two.scores
    assert scores.index.tolist() == ["chinchilla", "kaplan"]
    assert scores["elpd_diff"].tolist() == [0, pytest.approx(-229, abs=4)]
    assert scores["elpd_diff_se"]["kaplan"] == pytest.approx(21, abs=1)
    assert scores["p_loo"].between(7, 12).all()
    assert (scores["refitted"] == 0).all()
    assert scores["weight"]["chinchilla"] > 0.9
    assert scores["weight"].sum() == pytest.approx(1)
    assert not any("do not tell" in note for note in two.notes)


@pytest.mark.slow
def test_a_floor_alone_does_not_save_the_joint_law(hoffmann, hoffmann_fit):
    found = fs.compare(hoffmann_fit, fs.fit(hoffmann, "kaplan_floor", random_seed=1))
    assert found.scores["elpd_diff"]["kaplan_floor"] == pytest.approx(-176, abs=5)
    assert found.scores["elpd_diff_se"]["kaplan_floor"] == pytest.approx(21, abs=1)


@pytest.mark.slow
def test_one_law_in_two_notations_ties(hoffmann, hoffmann_fit):
    found = fs.compare(hoffmann_fit, fs.fit(hoffmann, "kaplan_additive", random_seed=1))
    assert found.scores["elpd_diff"].abs().max() < 0.5
    assert any("do not tell which predicts better" in note for note in found.notes)
    assert found.separation()["larger"].isna().all()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:residuals of:forescale.errors.ForescaleWarning")
def test_noises_are_told_apart_and_runs_with_high_k_refitted(hoffmann, hoffmann_fit):
    normal = fs.fit(hoffmann, fs.load_model("chinchilla").with_noise("normal"), random_seed=1)
    # on the brink of being told (p is .992 to .996 by the seed), so pushed over it
    normal = replace(normal, diagnostics=replace(normal.diagnostics, residual_scale_p=0.999))
    found = fs.compare(hoffmann_fit, normal)
    scores = found.scores
    assert scores.index.tolist() == ["chinchilla (studentt)", "chinchilla (normal)"]
    assert scores["elpd_diff"].iloc[1] == pytest.approx(-38, abs=4)
    assert scores["elpd_diff_se"].iloc[1] == pytest.approx(11.5, abs=1)
    assert scores["pareto_k"].iloc[1] > 0.7
    assert scores["refitted"].tolist()[0] == 0 < scores["refitted"].tolist()[1]
    assert any("chinchilla (normal): residuals are not of the scale" in note for note in found.notes)


# Simulated truth


@pytest.mark.parametrize("true", ["chinchilla", "kaplan"])
def test_the_true_law_is_preferred(simulate, true):
    truths = {
        "chinchilla": {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36},
        "kaplan": {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
    }
    # with half the noise the false law's posterior has tails that some refits without a run do not sample
    runs = simulate(get_law(true), truths[true], runs=60, sigma=0.01, seed=21)
    fits = [fs.fit(runs, model, random_seed=1) for model in truths]
    found = fs.compare(*fits, compute=1e24, random_seed=1)
    assert found.scores.index[0] == true
    best, other = found.scores.iloc[0], found.scores.iloc[1]
    assert best["weight"] > 0.95
    assert other["elpd_diff"] < -4 * other["elpd_diff_se"]
    assert best["rms_percent"] < other["rms_percent"]
    # whoever follows the false law pays more than who follows the true one, and the stack follows the true one
    wasted = found.regret().query("quantity == 'wasted_compute' and true == @true").set_index("followed")["median"]
    false = next(name for name in truths if name != true)
    assert wasted[true] < wasted[false] / 3
    assert wasted[STACK] < 2 * wasted[true]
    assert any("60 runs are few" in note for note in found.notes)


# The stack


def test_bands_of_the_stack_are_of_the_mixture(two, hoffmann_fit, kaplan_fit):
    weights = two.scores["weight"]
    for table, by in ((two.allocation(), ["flops", "quantity"]), (two.forecast(), ["n_params", "kind"])):
        rows = {name: block.set_index(by) for name, block in table.groupby("source")}
        members = [rows["chinchilla"], rows["kaplan"]]
        assert (rows[STACK]["lower"] >= np.minimum(*(member["lower"] for member in members)) * (1 - 1e-3)).all()
        assert (rows[STACK]["upper"] <= np.maximum(*(member["upper"] for member in members)) * (1 + 1e-3)).all()
    # P(N* < x) is the weighted one, and not that of the best fit alone
    found = {
        name: two.disagreement.allocations[name].draws["n_params"].isel(budget=1) for name in (*weights.index, STACK)
    }
    at = float(found["kaplan"].median())
    below = {name: float((draws < at).mean()) for name, draws in found.items()}
    mixed = sum(weights[name] * below[name] for name in weights.index)
    assert below[STACK] == pytest.approx(mixed, abs=2e-3)
    assert abs(below["chinchilla"] - mixed) > 4e-3


def test_the_same_seed_gives_the_same_bands(two, hoffmann_fit, kaplan_fit):
    again = fs.compare(hoffmann_fit, kaplan_fit, compute=BUDGETS, points=POINTS, random_seed=1)
    pd.testing.assert_frame_equal(two.forecast(), again.forecast())
    pd.testing.assert_frame_equal(two.allocation(), again.allocation())
    other = fs.compare(hoffmann_fit, kaplan_fit, compute=BUDGETS, points=POINTS, random_seed=2)
    assert not two.forecast().equals(other.forecast())


def test_members_are_as_their_own_verbs_say(two, hoffmann_fit, kaplan_fit):
    rows = two.allocation(0.5).query("source == 'kaplan'").drop(columns="source").reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, fs.allocate(kaplan_fit, BUDGETS).table(0.5))
    rows = two.forecast(0.5).query("source == 'chinchilla'").drop(columns="source").reset_index(drop=True)
    pd.testing.assert_frame_equal(rows, fs.forecast(hoffmann_fit, POINTS, random_seed=1).table(0.5))
    rows = two.regret(0.5).query("followed == 'kaplan' and true == 'chinchilla'")
    own = fs.regret(hoffmann_fit, BUDGETS, like=kaplan_fit).table(0.5)
    pd.testing.assert_frame_equal(rows.drop(columns=["followed", "true"]).reset_index(drop=True), own)
    assert len(two.regret()) == 3 * 2 * 2 * 2  # followed (and the stack), true, budget, quantity


# Separation


@pytest.mark.parametrize("cost", [SixND(), SixNDAttention(n_ctx=8192)])
@pytest.mark.parametrize("prob", [0.5, 0.9])
def test_separation_agrees_with_looking_everywhere(cost, prob):
    sources = {"flat": toy(0.45, draws=100), "steep": toy(0.25, draws=100)}  # they cross at 1e22
    between = (1e15, 1e28)
    table = separations(sources, cost, between, prob)
    budgets = np.geomspace(1e16, 9e27, 60)
    bands = {
        name: fs.allocate(source, budgets, cost=cost).table(prob).query("quantity == 'n_params'")
        for name, source in sources.items()
    }
    for larger, smaller in (("flat", "steep"), ("steep", "flat")):
        apart = bands[larger]["lower"].to_numpy() > bands[smaller]["upper"].to_numpy()
        said = np.zeros(len(budgets), dtype=bool)
        for row in table[table["larger"] == larger].itertuples():
            said |= (budgets > row.flops_from) & (budgets < row.flops_to)
        np.testing.assert_array_equal(said, apart)
        assert 5 < apart.sum() < 55  # the partner: neither all nor nothing would do
    assert table["larger"].tolist() == ["flat", "steep"]
    assert table["flops_from"].iloc[0] == between[0]
    assert table["flops_to"].iloc[1] == between[1]
    for edge in (table["flops_to"].iloc[0], table["flops_from"].iloc[1]):
        at = [fs.allocate(s, edge, cost=cost).table(prob).iloc[0][["lower", "upper"]] for s in sources.values()]
        gap = min(abs(at[0]["lower"] / at[1]["upper"] - 1), abs(at[1]["lower"] / at[0]["upper"] - 1))
        assert gap < 1e-5


def test_wider_bands_separate_later():
    sources = {"flat": toy(0.45), "steep": toy(0.25)}
    wide, narrow = (separations(sources, SixND(), (1e22, 1e28), prob)["flops_from"].iloc[0] for prob in (0.95, 0.5))
    assert narrow < wide


def test_bands_that_are_points_are_apart_everywhere_but_where_they_cross():
    sources = {"flat": toy(0.45, spread=0.0, draws=1), "steep": toy(0.25, spread=0.0, draws=1)}
    table = separations(sources, SixND(), (1e18, 1e26), 0.9)
    assert table["larger"].tolist() == ["flat", "steep"]
    assert table["flops_to"].iloc[0] == pytest.approx(1e22, rel=1e-6)
    assert table["flops_from"].iloc[1] == pytest.approx(1e22, rel=1e-6)


def test_bands_that_always_meet_have_a_row_that_says_so():
    table = separations({"one": toy(0.35), "other": toy(0.35)}, SixND(), (1e18, 1e28), 0.9)
    assert table[["first", "second"]].to_numpy().tolist() == [["one", "other"]]
    assert table[["larger", "flops_from", "flops_to"]].isna().all(axis=None)


def test_separation_on_the_hoffmann_runs(two):
    (row,) = two.separation().itertuples()
    assert row.larger == "kaplan"
    assert row.flops_from == pytest.approx(7e19, rel=0.3)
    assert row.flops_to == 1e28
    low, high = (fs.allocate(s, row.flops_from).table().iloc[0] for s in two.sources.values())
    assert low["upper"] == pytest.approx(high["lower"], rel=1e-6)


# Estimates without a noise model


def test_published_estimates_have_errors_and_no_scores(hoffmann, hoffmann_fit):
    published = [fs.published(name) for name in ("besiroglu2024", "kaplan2020")]
    found = fs.compare(hoffmann_fit, *published, compute=BUDGETS, points=POINTS)
    scores = found.scores
    silent = scores.loc[["besiroglu2024", "kaplan2020"]]
    assert silent[["elpd", "elpd_diff", "p_loo", "weight", "pareto_k", "refitted"]].isna().all(axis=None)
    table, values = hoffmann.table, published[1].values
    error = 100 * (np.log(get_law("kaplan")(table, values)) - np.log(table["loss"]))
    assert scores["rms_percent"]["kaplan2020"] == pytest.approx(np.sqrt((error**2).mean()))
    assert scores["bias_percent"]["kaplan2020"] == pytest.approx(error.mean())
    assert scores["rms_percent"]["kaplan2020"] > 5 > 1 > scores["rms_percent"]["chinchilla"]
    assert STACK not in set(found.allocation()["source"]) | set(found.forecast()["source"])  # one fit is no mixture
    assert set(found.forecast().query("source == 'kaplan2020'")["kind"]) == {"mean"}
    notes = " ".join(found.notes)
    assert "besiroglu2024, kaplan2020: no noise model" in notes
    assert "kaplan2020: no usable uncertainty" in notes
    assert "kaplan2020: its N counts no embeddings, that of hoffmann2022 counts embeddings" in notes
    assert "besiroglu2024: its N" not in notes  # the partner: where both count them there is no note


def test_counting_that_is_not_stated_is_said(hoffmann):
    unstated = replace(hoffmann, counts_embeddings=None)
    found = fs.compare(fs.published("hoffmann2022"), fs.published("besiroglu2024"), runs=unstated, compute=1e24)
    assert sum("may or may not count embeddings" in note for note in found.notes) == 2


def test_a_bootstrap_is_compared_too(hoffmann, hoffmann_fit):
    huber = fs.huber_fit(hoffmann, "chinchilla")
    found = fs.compare(hoffmann_fit, huber, compute=BUDGETS)
    assert found.scores.index.tolist() == ["chinchilla", "chinchilla (Huber)"]
    assert found.scores["rms_percent"].max() < 1


# What is refused, and how sources are named


def test_different_tables_are_refused(hoffmann, hoffmann_fit):
    fewer = hoffmann.where(np.arange(240) < 200)
    with pytest.raises(DataError, match=r"40 runs are only in the first \(.*, \.\.\.\)"):
        fs.compare(hoffmann_fit, fs.published("kaplan2020"), runs=fewer)
    loss = hoffmann.column("loss").copy()
    loss[3] *= 1.001
    changed = replace(hoffmann, columns={**hoffmann.columns, "loss": loss})
    with pytest.raises(DataError, match=f"loss differs in 1 runs \\({hoffmann.labels('run')[3]}\\)"):
        fs.compare(hoffmann_fit, fs.huber_fit(changed))
    turned = replace(hoffmann, columns={name: values[::-1] for name, values in hoffmann.columns.items()})
    with pytest.raises(DataError, match="the same runs in another order"):
        fs.compare(hoffmann_fit, fs.published("kaplan2020"), runs=turned)
    wider = replace(hoffmann, columns={**hoffmann.columns, "depth": np.arange(240.0)})
    with pytest.raises(DataError, match="only one has depth"):
        fs.compare(hoffmann_fit, fs.published("kaplan2020"), runs=wider)
    renamed = replace(hoffmann, name="another name")  # the partner: the same runs under another name will do
    assert len(fs.compare(hoffmann_fit, fs.published("kaplan2020"), runs=renamed, compute=1e24).scores) == 2


@pytest.mark.parametrize(
    ("count", "given", "error", "words"),
    [
        (0, {}, DataError, "at least two estimates; got 0"),
        (1, {}, DataError, "at least two estimates; got 1"),
        (2, {}, DataError, "pass the runs to compare on, runs="),
        (2, {"runs": "hoffmann", "compute": -1}, DataError, "compute must be above zero"),
        (2, {"runs": "hoffmann", "until": 1e15}, DataError, "1e\\+15 is not above 1.39724e\\+18 FLOPs"),
        (2, {"runs": "hoffmann", "points": {"n_params": "1B"}}, DataError, "missing: n_tokens"),
        (3, {"runs": "hoffmann", "compute": 1e24}, ModelError, "cannot split compute"),
    ],
)
def test_what_cannot_be_compared(hoffmann, count, given, error, words):
    sources = [fs.published(name) for name in ("hoffmann2022", "kaplan2020", "kaplan2020_n")][:count]
    with pytest.raises(error, match=words):
        fs.compare(*sources, **{k: hoffmann if v == "hoffmann" else v for k, v in given.items()})


def test_sources_of_one_name_are_told_apart(hoffmann, hoffmann_fit):
    alike = replace(fs.published("hoffmann2022"), name="chinchilla")
    found = fs.compare(hoffmann_fit, hoffmann_fit, alike, compute=1e24)
    assert found.scores.index.tolist() == ["chinchilla (studentt) #1", "chinchilla (studentt) #2", "chinchilla"]
    assert any("means nothing" in note for note in found.notes)
    stack = replace(fs.published("hoffmann2022"), name=STACK)
    assert "stack #1" in fs.compare(hoffmann_fit, stack, compute=1e24).scores.index


# Laws that do not split compute


@pytest.mark.slow
def test_laws_of_one_size_are_scored_without_a_split(hoffmann, hoffmann_fit):
    found = fs.compare(hoffmann_fit, fs.fit(hoffmann, "shifted_power_n", random_seed=1), points=POINTS, random_seed=1)
    assert found.scores["elpd_diff"]["shifted_power_n"] < -100
    assert set(found.allocation()["source"]) == {"chinchilla"}
    assert set(found.forecast()["source"]) == {"chinchilla", "shifted_power_n", STACK}
    assert found.separation().empty
    assert any("No stack of optimal splits" in note for note in found.notes)


def test_nothing_is_split_where_no_law_can(hoffmann):
    found = fs.compare(fs.published("kaplan2020_n"), fs.published("kaplan2020_d"), runs=hoffmann)
    assert found.allocation().empty
    assert found.regret().empty
    assert found.forecast().empty
    assert found.separation().empty
    assert repr(found).startswith("Comparison on hoffmann2022: 240 runs")


# Presentation


def test_tables_are_tidy(two):
    ends = ["median", "lower", "upper", "prob", "interval"]
    assert list(two.allocation()) == ["source", "flops", "quantity", *ends, "bound_share"]
    assert list(two.forecast()) == ["source", "n_params", "n_tokens", "kind", *ends]
    assert list(two.separation()) == ["first", "second", "larger", "flops_from", "flops_to", "prob", "interval"]
    assert list(two.regret())[:5] == ["followed", "true", "flops", "n_params", "n_tokens"]
    assert (two.separation(0.5)["prob"] == 0.5).all()


def test_budgets_by_default_reach_far_beyond_the_runs(hoffmann, hoffmann_fit):
    found = fs.compare(hoffmann_fit, fs.published("kaplan2020"))
    most = (6 * hoffmann.column("n_params") * hoffmann.column("n_tokens")).max()
    np.testing.assert_allclose(found.allocation()["flops"].unique(), most * np.array([1, 100, 10_000]))


def test_a_person_can_quote_the_repr(two):
    text = repr(two)
    assert max(map(len, text.splitlines())) <= 82
    assert "Comparison on hoffmann2022: 240 runs" in text
    assert "best" in text
    assert "± 21." in text
    assert "90 % equal-tailed" in text
    assert "chinchilla and kaplan: from" in text
    assert "Price at 1e25 FLOPs of following the row if the column is true" in text
