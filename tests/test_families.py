"""Families: known families are recovered, one not seen is covered, few runs borrow, and bad tables are refused."""

import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commandline import call, check_page, refused

import forescale as fs
from forescale.belief.spreads import LEVEL, USUAL, scaled, usual_scale
from forescale.checking.tasks import forecasters
from forescale.errors import DataError, FileError, ModelError
from forescale.estimates.draws import Estimate
from forescale.families.model import FamilyModel, Weights, scales_with_loss, with_usual_spreads
from forescale.tables.cuts import make_cuts

ROOT = Path(__file__).parents[1]
CARDS = pytest.mark.parametrize("card", fs.list_models())
SPREAD = {"E": 0.05, "A": 0.15, "alpha": 0.08}  # of the truth, between families
TRUTH = {"E": 1.8, "A_effect": 1.1, "alpha": 0.28}


def power(**spreads):
    """The law of size with a floor."""
    return fs.load_model("shifted_power_n").with_noise("normal").with_families(**spreads)


def simulated(seed, *, families=6, runs=8, few=5, sigma=0.003, spread=1.0):
    """Families of a law with a floor, the first of few small runs; what each was made from."""
    rng = np.random.default_rng(seed)
    model, rows, truths = power(), [], {}
    for i in range(families):
        label = f"family {i}"
        z = {name: np.exp(spread * SPREAD[name] * rng.standard_normal()) for name in SPREAD}
        z |= {"A_effect": z["A"]}
        free = {name: value * z[name] for name, value in TRUTH.items()}
        truths[label] = {**free, **model.printed(free)}
        sizes = np.geomspace(3e7, 3e10, runs)[: few if i == 0 else runs]
        losses = model.law({"n_params": sizes}, truths[label]) * np.exp(rng.normal(0, sigma, len(sizes)))
        rows.append(pd.DataFrame({"n_params": sizes, "loss": losses, "family": label}))
    return fs.Observations.from_frame(pd.concat(rows), name=f"simulated {seed}"), truths


@pytest.fixture(scope="module")
def made():
    runs, truths = simulated(1)
    return fs.fit_families(runs, power(E=0.1, A=0.1, alpha=0.1), random_seed=1, progress=False), truths


# The law


@CARDS
def test_floor_and_effects_times_a_factor_are_the_law_times_it(card):
    model = fs.load_model(card)
    values = model.sample_prior(5, np.random.default_rng(1))
    at = dict.fromkeys(model.law.inputs, 300000000.0)
    ratio = model.law(at, scaled(model, values, 0.2)) / model.law(at, values)
    assert np.allclose(np.log(ratio), 0.2) == scales_with_loss(model)
    spreads = with_usual_spreads(model).families
    assert (LEVEL in spreads) == (scales_with_loss(model) and len(model.law.parameters) > 2)
    assert all({**model.priors, **model.noise_priors}[name].positive for name in spreads if name != LEVEL)
    assert all(usual_scale(model.law, name) == scale for name, scale in spreads.scales.items())


def test_usual_spreads_are_what_ladders_of_others_taught():
    learned = tomllib.loads((ROOT / "models" / "spreads" / "learned.toml").read_text())
    assert dict(USUAL) == {kind: float(f"{scale:.1g}") for kind, scale in learned["scales"].items()}
    law = fs.load_model("coupled").law
    names = {"loss": "loss", "E": "floor", "A": "effect", "beta": "exponent", "sigma": "noise"}
    assert {name: usual_scale(law, name) for name in names} == {name: USUAL[kind] for name, kind in names.items()}
    rows = pd.read_csv(ROOT / "models" / "spreads" / "ladders.csv")
    assert rows["ladder"].nunique() == learned["ladders"]
    assert not rows["ladder"].str.contains("gadre|cerebras|pythia", case=False).any()  # which families are judged by


def test_whatever_the_weights_z_is_standard_normal():
    families = FamilyModel(power(E=0.1, A=0.2, alpha=0.3), 1)
    rng, draws = np.random.default_rng(1), 200_000
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0][:, :, None]
    weights = Weights(turn[:2, :, None], np.array([[3.0], [0.5]]), np.zeros((2, 1)), np.zeros(1))
    rest, ratio = rng.standard_normal((3, draws, 1)), np.array([0.3, 1.0, 2.0])[:, None, None]

    def coordinate(i, mean, sd):
        return mean + sd * rng.standard_normal((draws, 1))

    z = families.z(ratio, [0.0, 0.0], rest, weights, coordinate)
    np.testing.assert_allclose(np.cov(z[..., 0]), np.eye(3), atol=0.012)
    wrong = families.z(ratio, [0.0, 0.0], rest, weights, lambda i, mean, sd: 1.3 * coordinate(i, mean, sd))
    assert np.abs(np.cov(wrong[..., 0]) - np.eye(3)).max() > 0.1  # partner: a coordinate of another distribution


def test_directions_are_what_runs_determine():
    runs, _ = simulated(1, sigma=1e-4)
    labels, member = np.unique(runs.labels("family"), return_inverse=True)
    model = power(E=0.1, A=0.1, alpha=0.1)
    families = FamilyModel(model, len(labels))
    weights = families.weights(families.data(model.data(runs), member))
    assert (weights.sharp > 1).all()
    one_size = runs.where(runs.column("n_params") < 4e7)
    sharp = families.weights(families.data(model.data(one_size), np.arange(6))).sharp
    assert (sharp[0] > 1).all()
    assert (sharp[1] == 0).all()


# The belief


def test_a_card_says_how_families_differ():
    model = fs.load_model("chinchilla").with_families(loss=0.05, E=0.1, sigma=0.3)
    again = fs.Model.from_toml(model.to_toml())
    assert again == model
    assert dict(again.families.scales) == {"loss": 0.05, "E": 0.1, "sigma": 0.3}
    assert "[families]" not in model.with_families().to_toml()
    renamed = model.renamed({"E": "floor"})
    assert set(renamed.families) == {"loss", "floor", "sigma"}


@pytest.mark.parametrize(
    ("card", "spreads", "message"),
    [
        ("chinchilla", {"gamma": 0.1}, "differ in 'gamma', which is no parameter; there are E, A, B, alpha, beta"),
        ("chinchilla", {"E": 0.0}, "a number above zero"),
        ("chinchilla", {"E": True}, "a number above zero"),
        ("coupled", {"kappa": 0.1}, "need not be above zero or is bounded"),
        ("routed", {"loss": 0.1}, "no floor or effects"),
    ],
)
def test_what_families_cannot_differ_in_is_refused(card, spreads, message):
    with pytest.raises(ModelError, match=message):
        fs.load_model(card).with_families(**spreads)


def test_bad_tables_are_refused(made):
    runs = made[0].observations
    with pytest.raises(DataError, match="of one family, family 1: families are at least two"):
        fs.fit_families(runs.where(family="family 1"), power())
    with pytest.raises(DataError, match="no column 'recipe' that says which family.*sequence of tables"):
        fs.fit_families(runs, power(), by="recipe")
    with pytest.raises(ModelError, match="fit_families fits it, and model.with_families"):
        fs.fit(runs, power(E=0.1))
    counted = [fs.Observations(dict(runs.columns), name, counts) for name, counts in (("a", True), ("b", False))]
    with pytest.raises(DataError, match="differ in counts_embeddings"):
        fs.fit_families(counted, power())


# The outcome


def test_known_families_are_recovered(made):
    families, truths = made
    inside = []
    for label, truth in truths.items():
        table = families[label].table(0.9).set_index("parameter")
        inside += [table.loc[name, "lower"] < truth[name] < table.loc[name, "upper"] for name in power().law.parameters]
    assert np.mean(inside) >= 0.75
    other = [truths[f"family {(i + 1) % 6}"] for i in range(6)]  # partner: the truth of another family is not
    missed = []
    for label, truth in zip(truths, other, strict=True):
        said = fs.forecast(families[label], n_params=[1e8, 1e10]).table(0.9, kind="mean")
        right = families.model.law({"n_params": np.array([1e8, 1e10])}, truth)
        missed += list((said["lower"] < right) & (right < said["upper"]))
    assert np.mean(missed) <= 0.5


def test_what_is_shared_and_by_how_much_families_differ(made):
    families, _ = made
    table = families.table(0.9).set_index(["parameter", "of"])
    for name, truth in TRUTH.items():
        assert table.loc[(name, "median"), "lower"] < truth < table.loc[(name, "median"), "upper"]
    for name, key in (("A_effect", "A"), ("alpha", "alpha")):
        assert table.loc[(name, "spread"), "lower"] < SPREAD[key] < table.loc[(name, "spread"), "upper"]
    assert "between families" in repr(families)


def test_every_family_is_an_estimate_and_one_not_seen_is_wider_than_any(made):
    families, truths = made
    assert list(families) == list(truths)
    said = {label: fs.forecast(families[label], n_params="100B", random_seed=1) for label in families}
    new = fs.forecast(families.new, n_params="100B", random_seed=1)
    assert isinstance(families["family 1"], Estimate)
    assert isinstance(families.new, Estimate)
    width = {label: float(np.ptp(of.draws["mean"].quantile([0.05, 0.95]).values)) for label, of in said.items()}
    assert max(width.values()) < 0.7 * np.ptp(new.draws["mean"].quantile([0.05, 0.95]).values)
    assert max(width, key=width.__getitem__) == "family 0"  # of five small runs
    table = families.by_family(0.9)
    assert set(table["family"]) == {*truths, "(new)"}
    assert table.set_index(["family", "parameter"]).loc[("family 0", "alpha"), "runs"] == 5
    with pytest.raises(DataError, match=r"no family 'Pythia'; there are family 0, .*and \.new for one not seen"):
        families["Pythia"]


def test_one_not_seen_differs_by_as_much_as_families_do(made):
    from scipy.stats import kstest

    families, _ = made
    draws = families.joint.posterior

    def differ(of, name, key):
        return (np.log(of[name] / draws[name]) / draws[f"{key}_spread"]).values.ravel()[::4]

    z = [differ(families.new.posterior, name, key) for name, key in (("E", "E"), ("A_effect", "A"), ("alpha", "alpha"))]
    assert min(kstest(one, "norm").pvalue for one in z) > 0.01
    assert np.abs(np.corrcoef(z) - np.eye(3)).max() < 0.1
    seen = differ(families["family 1"].posterior, "E", "E")  # partner: of one that is seen, runs say by how much
    assert kstest(seen, "norm").pvalue < 1e-6


def test_drift_is_from_a_familys_own_runs(made):
    families, _ = made
    asked = {"n_params": np.array([3e8, 3e10])}
    few, many = (families[label].departure(asked) for label in ("family 0", "family 1"))
    assert (many == 0).all()
    assert (few.isel(point=0) == 0).all()
    assert (few.isel(point=1) != 0).any()


def test_a_family_of_few_runs_borrows(made):
    """By itself it hardly knows its exponent; the others do."""
    families, truths = made
    alone = fs.fit(families.runs("family 0"), power(), random_seed=1, progress=False)
    at = families.model.law({"n_params": 3e10}, truths["family 0"])
    said = {}
    for name, of in (("alone", alone), ("together", families["family 0"])):
        draws = fs.forecast(of, n_params=3e10).draws["mean"]
        low, high = draws.quantile([0.05, 0.95])
        assert low < at < high
        said[name] = float(high - low)
    assert said["together"] < 0.5 * said["alone"]


def test_tables_are_joined_and_one_without_families_is_one():
    from forescale.families.fit import joined

    runs, _ = simulated(2)
    plain = fs.Observations({"n_params": [1e8, 2e8], "loss": [3.0, 2.9], "run": ["x", "y"]}, "mine")
    both = joined([runs, plain], "family")
    assert set(both.labels("family")) == {*runs.labels("family"), "mine"}
    nameless = fs.Observations.from_frame(runs.table.assign(recipe=["", *runs.labels("family")[1:]]))
    with pytest.raises(DataError, match="1 runs of 'runs' have no recipe: run-001"):
        joined(nameless, "recipe")


def test_on_the_command_line(made, monkeypatch, eighty_columns, tmp_path):
    families, _ = made
    taken = {}

    def instead(runs, model, **settings):
        taken.update(settings, model=model, runs=runs)
        return families

    monkeypatch.setattr(fs, "fit_families", instead)
    path = tmp_path / "runs.csv"
    families.observations.table.to_csv(path, index=False)
    words = ["families", path, "--model", "shifted_power_n", "--vary", "E,A=0.2"]
    page = call(*words, "--at", "1B", "--of", "family 0", "--of", "new", "--quiet").stdout
    check_page(page)
    assert dict(taken["model"].families.scales) == {"E": 0.4, "A": 0.2}
    assert "spread" in page
    assert "family 1 " not in page
    assert "run: a new run" in page
    document = json.loads(call(*words, "--at", "1B", "--json").stdout)
    assert {row["family"] for row in document["forecasts"]} == {*families, "new"}
    assert document["interval"] == "equal-tailed"
    assert len(document["shared"]) == 6
    assert "--vary takes NAME or NAME=SCALE" in refused(*words, "--vary", "E=much")
    assert "has no such family; there are family 0" in refused(*words, "--of", "Pythia")


def test_the_figure_has_a_line_for_each_family(made):
    from forescale.plots import plot_families

    families, _ = made
    own = fs.Shrinkage(families, {}, {"family 0": "too few runs"})
    panels = plot_families(own).child_axes
    assert [len(panel.lines) for panel in panels] == [12, 12, 12]  # an interval and a median
    assert [label.get_text() for label in panels[0].get_yticklabels()] == list(families)
    assert "family 0 has no fit of its own: too few runs" in repr(own)
    table = own.table(0.8)
    assert table["own_median"].isna().all()
    assert (table["lower"] < table["upper"]).all()


def test_a_file_holds_families_whole(made, tmp_path):
    families, _ = made
    path = families.save(tmp_path / "families.nc")
    again = fs.load_families(path)
    assert (again.labels, again.by, again.model) == (families.labels, families.by, families.model)
    assert again.observations.sha256 == families.observations.sha256
    assert (again.joint.seed, again.joint.settings) == (families.joint.seed, families.joint.settings)
    assert again["family 0"].posterior.equals(families["family 0"].posterior)
    assert again.new.posterior.equals(families.new.posterior)
    assert repr(again) == repr(families)
    with pytest.raises(FileError, match=r"what forescale.load_families\(\) reads, and not load_fit\(\)"):
        fs.load_fit(path)
    with pytest.raises(FileError, match="no such file"):
        fs.load_families(tmp_path / "nowhere.nc")


# Backtests


def test_cuts_within_families_leave_the_others_whole():
    runs, _ = simulated(3)
    cuts = make_cuts(runs, "n_params", 2e9, within="family")
    assert len(cuts) == 5  # the first family has no runs beyond
    for cut in cuts:
        fitted, held = cut.split(runs)
        (label,) = set(held.labels("family"))
        assert held.column("n_params").min() > 2e9
        others = runs.labels("family") != label
        assert sum(fitted.labels("family") != label) == others.sum()
    with pytest.raises(DataError, match="leaves nothing to fit"):
        make_cuts(runs, "n_params", 1e3, within="family")


def test_models_of_families_are_set_beside_separate_ones():
    models = [power(E=0.1), fs.load_model("power_n")]
    found = forecasters(models, ["separate"])
    assert [(who.name, who.kind) for who in found] == [
        ("shifted_power_n", "fit"),
        ("power_n", "fit"),
        ("separate shifted_power_n", "separate"),
    ]
    assert "[families]" not in found[-1].card


def test_a_backtest_fits_families_with_shorter_steps(monkeypatch):
    from forescale.checking import tasks

    taken = []

    def instead(runs, model, **how):
        taken.append(how["target_accept"])
        raise DataError("enough")

    monkeypatch.setattr(tasks, "fit_families", instead)
    runs, _ = simulated(3)
    found = fs.backtest(runs, power(E=0.1), by="n_params", cuts=[2e9], baselines=(), workers=1, random_seed=1)
    assert taken == [0.97]
    assert found.failures["error"].tolist() == ["DataError: enough"]
