"""One contract over every link, and the fit of links: recovery, chance that says it does not know, refusals."""

import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from evaluations import evaluated

import forescale as fs
from forescale.belief.link_model import LinkModel, concentrations, draw_hits
from forescale.laws.links import LINKS, ceiling, get_link, powered

ALL = pytest.mark.parametrize("one", [*LINKS.values(), powered(LINKS["sigmoid"], 5)], ids=lambda one: one.name)
VALUES = {"middle": 2.6, "span": 1.4, "top": 0.8, "floor_ratio": 0.9}
LOSSES = np.linspace(1.0, 6.0, 41)


@ALL
def test_float_numpy_xarray_and_pytensor_agree(one):
    import pytensor.tensor as pt

    expected = [one(float(loss), VALUES, 0.25) for loss in LOSSES]
    np.testing.assert_allclose(one(LOSSES, VALUES, 0.25), expected, rtol=1e-13)
    np.testing.assert_allclose(one(xr.DataArray(LOSSES, dims="point"), VALUES, 0.25), expected, rtol=1e-13)
    by_pytensor = one(pt.as_tensor(LOSSES), VALUES, 0.25).eval(mode="FAST_COMPILE")
    np.testing.assert_allclose(by_pytensor, expected, rtol=1e-13)


@ALL
def test_accuracy_rises_from_floor_to_ceiling_as_loss_falls(one):
    assert (np.diff(one(LOSSES, VALUES, 0.0)) < 0).all()
    assert one(60.0, VALUES, 0.25) == pytest.approx(0.9 * 0.25) == one(np.float64(6e3), VALUES, 0.25)
    assert one(-60.0, VALUES, 0.25) == pytest.approx(0.225 + 0.775 * 0.8) == ceiling(VALUES, 0.25)
    assert one(60.0, VALUES, 0.0) == pytest.approx(0.0, abs=1e-9)  # guessing gets nothing right, nor does the floor


@pytest.mark.parametrize("one", LINKS.values(), ids=LINKS)
def test_middle_and_span_are_what_they_say(one):
    loss_of = {share: one.inverse(share, 2.6, 1.4) for share in (0.1, 0.5, 0.9)}
    assert one.share(2.6, 2.6, 1.4) == pytest.approx(0.5)
    assert loss_of[0.5] == pytest.approx(2.6)
    assert loss_of[0.1] - loss_of[0.9] == pytest.approx(1.4)


@ALL
def test_inverse_rate_and_steepness(one):
    losses = LOSSES[LOSSES > 1.5]  # nearer to the ceiling the share is all but 1, and has too few digits left
    share = one.share(losses, 2.6, 1.4)
    np.testing.assert_allclose(one.inverse(share, 2.6, 1.4), losses, rtol=1e-9)
    step = 1e-5
    slope = (np.log(one.share(losses + step, 2.6, 1.4)) - np.log(one.share(losses - step, 2.6, 1.4))) / (2 * step)
    np.testing.assert_allclose(-slope, one.steepness(share) * one.rate / 1.4, rtol=1e-5)


@ALL
def test_loss_of_an_accuracy_is_infinite_where_there_is_none(one):
    assert one.loss_at(one(2.8, VALUES, 0.25), VALUES, 0.25) == pytest.approx(2.8)
    assert one.loss_at(0.99, VALUES, 0.25) == -math.inf  # above the ceiling
    assert one.loss_at(0.2, VALUES, 0.25) == math.inf  # below the floor: at any loss


def test_the_exponential_is_gadres_where_loss_is_high_and_the_sigmoid_is_not_beyond_its_ceiling():
    gamma = np.log(np.log(0.1) / np.log(0.9)) / 1.4
    printed = np.log(2) * np.exp(-gamma * (LOSSES - 2.6))
    share = LINKS["exponential"].share(LOSSES, 2.6, 1.4)
    np.testing.assert_allclose(share[LOSSES > 5.5], printed[LOSSES > 5.5], rtol=1e-3)
    assert printed[0] > 1 > share[0]  # the partner: at low loss the printed form is no share


def test_answers_of_tokens_are_right_when_all_tokens_are():
    five = powered(LINKS["sigmoid"], 5)
    np.testing.assert_allclose(five.share(LOSSES, 2.6, 1.4), LINKS["sigmoid"].share(LOSSES, 2.6, 1.4) ** 5)
    assert powered(LINKS["sigmoid"], 1) is LINKS["sigmoid"]


def test_cards_are_read_and_written_and_mistakes_named(tmp_path):
    for name in fs.list_links():
        model = fs.load_link(name)
        assert LinkModel.from_toml(model.to_toml()).to_toml() == model.to_toml()
        assert model.link.name == name
    with pytest.raises(fs.ModelError, match="Did you mean 'sigmoid'"):
        get_link("sigmoyd")
    with pytest.raises(fs.ModelError, match="missing: scatter"):
        LinkModel("x", get_link("sigmoid"), {k: v for k, v in model.priors.items() if k != "scatter"})
    with pytest.raises(fs.ModelError, match="unknown: prior"):
        LinkModel.from_toml('link = "sigmoid"\nprior = 1\n[priors]\n')
    with pytest.raises(fs.ModelError, match="answer_tokens is a whole number"):
        LinkModel("x", get_link("sigmoid"), model.priors, answer_tokens=0)
    with pytest.raises(fs.ModelError, match="cannot be read as a card"):
        fs.load_link("nowhere.toml")
    (tmp_path / "mine.toml").write_text('link = "sigmoyd"\n[priors]\n')
    with pytest.raises(fs.ModelError, match=r"mine\.toml: no link is called 'sigmoyd'"):
        fs.load_link(tmp_path / "mine.toml")


def test_scatter_is_a_standard_deviation_where_accuracy_is_one_half():
    own, share = draw_hits(np.full(20_000, 0.5), np.full(20_000, 0.05), np.array(400.0), np.random.default_rng(0))
    assert own.std() == pytest.approx(0.05, rel=0.03)
    assert share.std() == pytest.approx(np.hypot(0.05, 0.5 / 20), rel=0.03)  # and the items' own
    alpha, beta = concentrations(np.array([0.0, 1.0]), 0.05)
    assert (alpha > 0).all()
    assert (beta > 0).all()


def test_the_model_is_the_density_that_its_formula_says():
    """The sampler's coordinates and their Jacobian: against the priors and SciPy's beta-binomial, at several points."""
    from scipy import stats

    model = fs.load_link("exponential")
    data = {
        name: np.array(v) for name, v in {"loss": [3.5, 3.0, 2.5], "chance": [0.25] * 3, "items": [100.0] * 3}.items()
    }
    data["hits"] = np.array([26.0, 33.0, 50.0])
    built = model.build(data)
    density = built.compile_logp(mode="FAST_COMPILE")
    outputs = [built[name] for name in ("middle", "span", "top")]
    point = {"z_w": 0.0, "z_span": 0.0, "z_t": 0.0, "floor_ratio_log__": 0.0, "scatter_log__": np.log(0.03)}
    curve = built.compile_fn(built.replace_rvs_by_values(outputs), on_unused_input="ignore", mode="FAST_COMPILE")

    names, step = ("z_w", "z_span", "z_t"), 1e-5

    def curve_at(at):
        return np.array(curve({name: at[name] for name in names}))

    def log_volume(at):  # |d(middle, span, top) / d(z)| by differences, which the model has by a formula
        sides = [[curve_at({**at, name: at[name] + sign * step}) for sign in (1, -1)] for name in names]
        return np.log(abs(np.linalg.det([(up - down) / (2 * step) for up, down in sides])))

    def expected(at):
        values = dict(zip(("middle", "span", "top"), curve_at(at), strict=True))
        values |= {name: np.exp(at[f"{name}_log__"]) for name in ("floor_ratio", "scatter")}
        prior = sum(float(model.priors[name].logpdf(value)) for name, value in values.items())
        prior += at["floor_ratio_log__"] + at["scatter_log__"] + log_volume(at)
        alpha, beta = concentrations(model.curve(data["loss"], values, 0.25), values["scatter"])
        return prior + stats.betabinom(100, alpha, beta).logpmf(data["hits"]).sum()

    for seed in range(4):
        rng = np.random.default_rng(seed)
        at = {name: np.asarray(value + rng.normal(0, 0.4)) for name, value in point.items()}
        assert density(at) == pytest.approx(expected(at), abs=1e-5)


def test_truth_is_recovered_and_a_task_at_chance_is_said_not_to_be_known(links_fit, evals_truth):
    for task, truth in evals_truth.items():
        posterior = links_fit.posterior.sel(task=task)
        for name, value in truth.items():
            draws = posterior[name].to_numpy().ravel()
            assert abs((np.log(value) - np.log(draws).mean()) / np.log(draws).std()) < 3.3, (task, name)
    ends = links_fit.accuracy([2.6, 1.5]).quantile([0.05, 0.95], ("chain", "draw"))
    width = (ends[1] - ends[0]).transpose("task", "point")
    assert width.sel(task="recall").max() < 0.25
    seen, unseen = width.sel(task="puzzle").values
    assert seen < 0.03  # chance, as all runs say
    assert unseen > 0.4  # and where none has been: anything from chance to most
    true = float(links_fit.model.curve(1.5, evals_truth["puzzle"], 0.25))
    lower, upper = ends.sel(task="puzzle").isel(point=1).values
    assert lower < true < upper
    # the partner: another curve is not what was recovered
    draws = np.log(links_fit.posterior["middle"].sel(task="recall").to_numpy().ravel())
    assert abs((np.log(evals_truth["recall"]["middle"] * 1.1) - draws.mean()) / draws.std()) > 3.3


def test_a_fit_says_what_it_found(links_fit):
    table = links_fit.table(prob=0.8)
    assert list(table.columns) == ["task", "quantity", "median", "lower", "upper", "prob", "interval"]
    assert table.groupby("task", sort=False).size().to_dict() == {"recall": 5, "puzzle": 5}
    assert set(table["interval"]) == {"equal-tailed"}
    assert "recall: middle" in repr(links_fit)
    assert links_fit.posterior["lowest_loss"].values.min() > 2.3
    assert all(joint.diagnostics.passed for joint in links_fit.joints.values())


def test_too_few_runs_are_refused():
    few = fs.Outcomes.from_frame(evaluated(seed=0).head(4))
    with pytest.raises(fs.DataError, match="task 'recall' of 'outcomes' has 4"):
        fs.fit_link(few)


def test_a_posterior_that_does_not_converge_is_refused(evals):
    with pytest.raises(fs.ConvergenceError, match="the link of task 'recall' in outcomes did not converge"):
        fs.fit_link(evals.where(task="recall"), draws=20, tune=100, random_seed=1, progress=False)


def test_printed_table_of_a_link_model():
    assert "middle: lognormal, median 2.3, sigma 0.4" in repr(fs.load_link("sigmoid"))
    assert isinstance(fs.load_link("sigmoid").prior_draws(10, np.random.default_rng(0))["top"], np.ndarray)
    assert pd.Series(fs.list_links()).is_unique
