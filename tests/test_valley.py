"""The shapes of valleys against the law they come from, by closed form and by search."""

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import minimize_scalar

import forescale as fs
from forescale.frontiers.isoflop import isoflop_groups
from forescale.frontiers.valley import (
    PRIORS,
    SHAPES,
    Builder,
    asymmetric,
    get_shape,
    growth,
    minima,
    quadratic,
    valley_data,
)
from forescale.laws import get_law
from forescale.numbers.optimum import closed_log_size, loss_on_line, search_log_size
from forescale.units import SixND, SixNDAttention

LAW = get_law("chinchilla")
TRUTH = {"E": 1.8, "A": 20000.0, "B": 150.0, "alpha": 0.5, "beta": 0.25}
LOG_BUDGET = np.log(np.geomspace(3e18, 1e21, 6))


def minimum_of_law(log_budget, log_size, cost):
    """The minimum of a law's valley, and its curvature by alpha beta (L* - E) or, for any cost, K (alpha + beta g)."""
    size, slope = np.exp(log_size), growth(log_size, cost)
    tokens = cost.n_tokens(np.exp(log_budget), size)
    scale = TRUTH["alpha"] * TRUTH["A"] / size ** TRUTH["alpha"]
    return {
        "loss": LAW({"n_params": size, "n_tokens": tokens}, TRUTH),
        "log_params": log_size,
        "log_tokens": np.log(tokens),
        "curvature": scale * (TRUTH["alpha"] + TRUTH["beta"] * slope),
        "growth": slope,
    }


def test_a_law_is_an_asymmetric_valley_wherever_its_runs_lie():
    low = minimum_of_law(LOG_BUDGET, closed_log_size(LAW, LOG_BUDGET, TRUTH), SixND())
    np.testing.assert_allclose(low["curvature"], TRUTH["alpha"] * TRUTH["beta"] * (low["loss"] - TRUTH["E"]))
    rng = np.random.default_rng(1)
    run = {name: low[name] + rng.normal(0, 2, (50, 6)) for name in ("log_params", "log_tokens")}
    law = LAW({"n_params": np.exp(run["log_params"]), "n_tokens": np.exp(run["log_tokens"])}, TRUTH)
    exponents = {"p": TRUTH["alpha"], "q": TRUTH["beta"]}
    np.testing.assert_allclose(asymmetric(run, low, exponents), law, rtol=1e-12)
    swapped = asymmetric(run, low, {"p": TRUTH["beta"], "q": TRUTH["alpha"]})
    assert abs(swapped / law - 1).max() > 0.05


def test_a_parabola_is_the_valley_only_near_its_minimum():
    low = minimum_of_law(LOG_BUDGET, closed_log_size(LAW, LOG_BUDGET, TRUTH), SixND())

    def gap(away):
        size = low["log_params"] + away
        run = {"log_params": size, "log_tokens": low["log_tokens"] - away, "log_beyond": 0.0}
        exact = asymmetric(run, low, {"p": TRUTH["alpha"], "q": TRUTH["beta"]})
        return abs(quadratic(run, low, {"a": 1 / 3, "e": 0.05}) - exact).max()

    assert gap(0.01) / gap(0.02) == pytest.approx(1 / 8, rel=0.02)  # what is left is of third order
    assert gap(2.0) > 0.02  # nats: several times what runs scatter by


def test_a_parabola_moves_along_the_frontier():
    low = minimum_of_law(LOG_BUDGET, closed_log_size(LAW, LOG_BUDGET, TRUTH), SixND())
    step, a = 0.01, TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
    beyond = minimum_of_law(LOG_BUDGET + step, closed_log_size(LAW, LOG_BUDGET + step, TRUTH), SixND())
    elasticity = -(np.log(beyond["loss"]) - np.log(low["loss"])) / step
    run = {"log_params": beyond["log_params"], "log_beyond": step}
    np.testing.assert_allclose(quadratic(run, low, {"a": a, "e": elasticity}), beyond["loss"], rtol=1e-12)


@pytest.mark.parametrize("cost", [SixND(), SixNDAttention(n_ctx=16384)])
def test_the_minimum_is_the_optimum_of_the_law_under_any_cost(cost):
    log_size = search_log_size(LAW, cost, LOG_BUDGET, TRUTH)
    low = minimum_of_law(LOG_BUDGET, log_size, cost)

    def lowest(index, slope):
        here = {name: values[index] for name, values in low.items()} | {"growth": slope}

        def loss(size):
            tokens = LOG_BUDGET[index] - np.log(cost.flops_per_token(np.exp(size)))
            return asymmetric({"log_params": size, "log_tokens": tokens}, here, {"p": 0.5, "q": 0.25})

        return minimize_scalar(loss, bracket=(log_size[index] - 1, log_size[index] + 1)).x

    for index, slope in enumerate(low["growth"]):
        assert lowest(index, slope) == pytest.approx(log_size[index], abs=1e-4)
        assert abs(lowest(index, slope * 1.1) - log_size[index]) > 0.05
        away = log_size[index] + 1.0
        run = {"log_params": away, "log_tokens": LOG_BUDGET[index] - np.log(cost.flops_per_token(np.exp(away)))}
        here = {name: values[index] for name, values in low.items()}
        exact = loss_on_line(LAW, cost, away, LOG_BUDGET[index], TRUTH)
        assert asymmetric(run, here, {"p": 0.5, "q": 0.25}) == pytest.approx(exact, rel=1e-5)


def test_growth_of_cost():
    assert growth(np.log(1e9), SixND()) == pytest.approx(1.0, abs=1e-12)
    small, large = growth(np.log([1e6, 1e14]), SixNDAttention(n_ctx=16384))
    assert 2 / 3 < small < 0.8
    assert 0.99 < large < 1.0


def one_draw(rng):
    """Values of every parameter, as if a chain had drawn them once."""
    values = {name: prior.sample(1, rng)[0] for name, prior in PRIORS.items()}
    return (
        values
        | {name: rng.normal(size=6) for name in ("root_tau_z", "root_scatter_w")}
        | {"log_loss_min": rng.normal(size=6)}
    )


def test_minima_are_the_same_in_numpy_xarray_and_pytensor():
    import pytensor.tensor as pt

    values, cost = one_draw(np.random.default_rng(2)), SixNDAttention()
    plain = minima(LOG_BUDGET, values, cost)
    labelled = minima(
        xr.DataArray(LOG_BUDGET, dims="budget"),
        {name: xr.DataArray(value, dims=("budget",)[: np.ndim(value)]) for name, value in values.items()},
        cost,
    )
    symbolic = minima(pt.as_tensor(LOG_BUDGET), {name: pt.as_tensor(v) for name, v in values.items()}, cost)
    for name, expected in plain.items():
        np.testing.assert_allclose(labelled[name], expected)
        np.testing.assert_allclose(symbolic[name].eval(), expected)
    middle = plain["log_params"] - values["tau"] ** 0.5 * values["root_tau_z"]
    np.testing.assert_allclose(np.diff(middle), values["a"] * np.diff(LOG_BUDGET))


@pytest.mark.parametrize("shape", SHAPES)
def test_the_model_holds_its_data_and_its_density_is_that_of_its_parts(shape, hoffmann):
    """The density at a point, term by term from SciPy: nothing that the docstring does not say is in the model."""
    from scipy import stats

    groups = isoflop_groups(hoffmann, least=8)
    valley = get_shape(shape)
    data = valley_data(groups, valley)
    model = Builder(shape, groups.cost)(data)
    assert set(data) <= {variable.name for variable in model.data_vars}
    point = model.initial_point()
    terms = dict(zip([v.name for v in model.basic_RVs], model.compile_logp(sum=False)(point), strict=True))

    started = ("a", "offset", "curvature_slope", "log_loss_min")
    assert not any(np.any(point[f"{name}_steps"]) for name in started)  # so that they are where the sampler starts:
    offset = data["log_params_low"].mean() - np.log(np.sqrt(np.exp(data["log_budget"].mean()) / 120))
    values = {"a": 0.5, "offset": offset, "curvature_slope": -0.15}
    values |= {name: np.exp(point[f"{name}_log__"]) for name in ("tau", "curvature_middle", "curvature_scatter")}
    values |= {name: np.exp(point[f"{name}_log__"]) for name in ("sigma", "nu", *valley.priors)}
    values |= {"log_loss_min": data["log_loss_low"], **{name: point[name] for name in ("root_tau_z", "root_scatter_w")}}
    low = {name: array[data["which"]] for name, array in minima(data["log_budget"], values, groups.cost).items()}
    residual = data["observed_log_loss"] - np.log(valley.loss(data, low, values))
    expected = stats.t(df=values["nu"], scale=values["sigma"]).logpdf(residual)
    np.testing.assert_allclose(terms["log_loss"], expected)
    for name in ("a", "offset", "curvature_slope"):  # sampled in steps of 0.1
        assert terms[f"{name}_steps"] == pytest.approx(PRIORS[name].logpdf(values[name]) + np.log(0.1))
    np.testing.assert_allclose(
        terms["log_loss_min_steps"], PRIORS["log_loss_min"].logpdf(data["log_loss_low"]) + np.log(0.02)
    )
    for name, prior in valley.priors.items():
        assert terms[name] == pytest.approx(prior.logpdf(values[name]) + np.log(values[name]))
    for name, scale in (("root_tau_z", "tau"), ("root_scatter_w", "curvature_scatter")):
        np.testing.assert_allclose(terms[name], stats.norm(scale=values[scale] ** 0.5).logpdf(point[name]))


def test_models_of_one_kind_are_compiled_once():
    assert Builder("asymmetric", SixND()) == Builder("asymmetric", SixND())
    assert hash(Builder("asymmetric", SixND())) == hash(Builder("asymmetric", SixND()))
    assert Builder("asymmetric", SixND()) != Builder("quadratic", SixND())
    assert Builder("asymmetric", SixND()) != Builder("asymmetric", SixNDAttention())


def test_the_priors_hold_what_the_docstring_says():
    rng = np.random.default_rng(3)
    for prior, low, high in (
        (SHAPES["asymmetric"].priors["p"], 0.18, 0.68),
        (PRIORS["tau"], 0.018, 0.237),
        (PRIORS["curvature_middle"], 0.07 / 5, 0.07 * 5),
    ):
        draws = prior.sample(200_000, rng)
        assert np.mean((draws > low) & (draws < high)) == pytest.approx(0.9, abs=0.01)
    # tokens per parameter at the middle budget: D / N = 20 exp(-2 offset)
    assert np.mean(np.abs(2 * PRIORS["offset"].sample(200_000, rng)) < np.log(700)) == pytest.approx(0.9, abs=0.01)
    law = fs.published("besiroglu2024").values
    log_size = closed_log_size(LAW, np.log(1e20), law)
    best = LAW({"n_params": np.exp(log_size), "n_tokens": 1e20 / 6 / np.exp(log_size)}, law)
    assert law["alpha"] * law["beta"] * (best - law["E"]) == pytest.approx(0.09, abs=0.005)


def test_shapes_that_there_are():
    with pytest.raises(fs.ModelError, match="no valley is called 'cubic'; there are asymmetric, quadratic"):
        get_shape("cubic")
