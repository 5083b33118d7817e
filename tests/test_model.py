"""Models: cards, what they refuse, what their priors allow, what the sampler's coordinates preserve."""

import dataclasses

import numpy as np
import pytest

import forescale as fs
from forescale.belief.catalog import model_card
from forescale.belief.model import Model
from forescale.belief.points import usual_points
from forescale.belief.priors import Prior
from forescale.errors import ModelError
from forescale.laws import LAWS
from forescale.sampling import coordinates

ALL = pytest.mark.parametrize("name", fs.list_models())


@pytest.fixture(scope="module")
def runs(hoffmann):
    """The Hoffmann runs with every input that a card has, as if trained at a critical batch size of 2^19 tokens."""
    table = hoffmann.table.drop(columns="run")
    minima = {"min_flops": table["flops"] / 2, "min_steps": table["n_tokens"] / 2**20}
    minima["n_experts"] = np.resize([1.0, 8.0, 64.0], len(table))
    minima["n_stages"] = np.resize([1.0, 2.0], len(table))
    minima |= {"peak_steps": table["n_tokens"] / 2**20, "cooling": np.resize([1.0, 2.0, 10.0], len(table))}
    minima["loss_se"] = 0.01 * table["loss"]
    pool = {"unique_tokens": table["n_tokens"] / np.geomspace(1, 50, len(table))}
    return fs.Observations.from_frame(table.assign(**minima, **pool))


def test_every_law_has_a_card():
    assert {fs.load_model(name).law.name for name in fs.list_models()} == set(LAWS)


@ALL
def test_card_round_trip(name):
    model = fs.load_model(name)
    assert model.name == name
    assert Model.from_toml(model.to_toml()) == model
    assert model.title
    assert model.description


@ALL
def test_prior_predictive_is_right_for_language_models(name):
    """From 1e6 to 1e12 parameters at 20 tokens each (or 10,000 minimum steps): what the docs of the cards promise.

    At each size the central 90 % of the law's curve contains what the published laws say there, where they were
    fitted, and the prior median is a loss that a language model can have: below log(50,000) = 10.8 nats, the loss of
    a uniform guess over a usual vocabulary.
    """
    n = np.logspace(6, 12, 7)
    points = {"n_params": n, "n_tokens": 20 * n, "flops": 120 * n**2, "min_flops": 60 * n**2, "min_steps": 1e4}
    points["unique_tokens"] = points["n_tokens"]
    points |= {"n_experts": 64.0, "n_stages": 1.0}
    points |= {"peak_steps": 1e4, "cooling": 10.0}
    model = fs.load_model(name)
    low, middle, high = (
        model.prior_predictive(points, draws=20_000, random_seed=0)["mean"].quantile(
            [0.05, 0.5, 0.95], ("chain", "draw")
        )
    ).values
    if model.law.judged_over:  # of losses and error rates of any scale
        assert np.all(low < 0.1)
        assert np.all(high[n < 1e9] > 10)
        return
    if name == "chinchilla_literal":  # its card says why it is so wide
        assert np.all(high > 10)
        return
    besiroglu = (
        fs.forecast(fs.published("besiroglu2024"), n_params=n, n_tokens=20 * n).draws["mean"].median(("chain", "draw"))
    )
    fitted = (n >= 1e8) & (n <= 1e11)
    if "floor" in name or model.law.floor:
        assert np.all((low < besiroglu)[fitted])
        assert np.all((besiroglu < high)[fitted])
    assert np.all(middle < 10.8)
    of_size = any(np.size(points[name]) > 1 for name in model.law.inputs)
    assert np.all(np.diff(middle) < 0) if of_size else np.all(middle == middle[0])
    assert np.all(high / low < 8)


def test_usual_points_have_every_input_that_a_card_has():
    points = usual_points()
    np.testing.assert_allclose(points["flops"], 6 * points["n_params"] * points["n_tokens"])
    np.testing.assert_allclose(points["min_flops"], points["flops"] / 2)
    assert set(points["min_steps"]) == {1e4}
    for name in fs.list_models():
        assert set(fs.load_model(name).law.inputs) <= set(points)


def test_prior_predictive_is_seeded_and_has_dims():
    model = fs.load_model("chinchilla")
    points = {"n_params": [1e9, 1e10], "n_tokens": 2e11}
    one, two = (model.prior_predictive(points, draws=10, random_seed=3) for _ in range(2))
    assert one.equals(two)
    assert dict(one.sizes) == {"chain": 1, "draw": 10, "point": 2}
    assert not model.prior_predictive(points, draws=10, random_seed=4).equals(one)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("alpha = {", "alfa = {"), "prior missing for: alpha; unknown: alfa"),
        (('law = "chinchilla"', 'law = "chinchila"'), "Did you mean 'chinchilla'"),
        (
            ('dist = "lognormal", median = 0.75', 'dist = "cauchy", median = 0.75'),
            "prior of A: no distribution is called",
        ),
        (("n_params = 1e8", "n_layers = 1e8"), "reference 'n_layers' is no size of law"),
        (("n_params = 1e8", "n_params = -1"), "reference n_params must be a number above zero"),
        (('kind = "studentt"', 'kind = "student"'), "no noise is called 'student'"),
        (("[reference]", "[refrence]"), "unknown: refrence"),
        (("[reference]", "[reference"), "not TOML"),
        (
            ('A = { dist = "lognormal", median = 0.75, sigma = 0.6 }', 'A = { dist = "normal", mu = 1, sigma = 1 }'),
            "above zero",
        ),
        (('kind = "studentt"\n', 'kind = "normal"\n'), "unknown: nu"),
    ],
)
def test_bad_cards_are_refused(change, says, tmp_path):
    text = model_card("chinchilla")
    assert change[0] in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(*change))
    with pytest.raises(ModelError, match=says) as caught:
        fs.load_model(path)
    assert str(path) in str(caught.value)


def test_missing_card_file(tmp_path):
    with pytest.raises(ModelError, match="cannot be read"):
        fs.load_model(tmp_path / "none.toml")
    with pytest.raises(ModelError, match="Did you mean 'kaplan'"):
        fs.load_model("kaplen")


def test_model_cannot_be_changed():
    model = fs.load_model("chinchilla")
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.name = "x"
    with pytest.raises(TypeError):
        model.priors["A"] = Prior("halfnormal", sigma=1.0)


def test_with_priors_and_with_noise():
    model = fs.load_model("chinchilla")
    changed = model.with_priors(alpha=Prior("uniform", lower=0.1, upper=0.6), sigma=Prior("halfnormal", sigma=0.01))
    assert changed.priors["alpha"].dist == "uniform"
    assert changed.noise_priors["sigma"] == Prior("halfnormal", sigma=0.01)
    assert model.priors["alpha"].dist == "lognormal"
    with pytest.raises(ModelError, match="has no parameter gamma"):
        model.with_priors(gamma=Prior("halfnormal", sigma=1.0))
    assert model.with_noise("normal").noise.parameters == ("sigma",)
    with pytest.raises(ModelError, match="prior missing for: nu"):
        model.with_noise("normal").with_noise("studentt")


def test_renamed_model_fits_another_column():
    """A law of tokens, put to sentence pairs: the same posterior as if they were called tokens."""
    runs = fs.load_dataset("google_nmt").where(family="6 Enc, 6 Dec")
    model = fs.load_model("shifted_power_d").with_priors(
        E=Prior("halfnormal", sigma=1.0), B=Prior("lognormal", median=0.05, sigma=1.5)
    )
    with pytest.raises(fs.DataError, match="needs n_tokens"):
        model.check(runs)
    renamed = model.renamed({"n_tokens": "n_examples"})
    assert renamed.reference == {"n_examples": 2e9}
    assert Model.from_toml(renamed.to_toml()) == renamed
    fit = fs.fit(runs, renamed, random_seed=1)
    assert 0.05 < float(fit.posterior["beta"].mean()) < 1
    forecast = fs.forecast(fit, n_examples="1B")
    assert float(forecast.draws["mean"].median()) < runs.column("loss").min() + 0.02


@ALL
def test_printed_parameters_have_the_effect_that_was_drawn(name):
    model = fs.load_model(name)
    draws = model.sample_prior(5, np.random.default_rng(0))
    for parameter, term in model.law.terms.items():
        drawn = model.prior_name(parameter)
        if drawn != parameter:
            at = np.log(model.reference[term.size])
            effect = np.exp(term.log_effect(np.log(draws[parameter]), at, draws[term.exponent]))
            np.testing.assert_allclose(effect, draws[drawn], rtol=1e-10)


@ALL
@pytest.mark.parametrize("uniform_exponents", [False, True])
def test_sampler_coordinates_are_the_same_density(name, uniform_exponents, runs):
    """log p(z) - log p(values(z)) is the log of |d values / d z|, here by finite differences; start inverts."""
    import pytensor
    import pytensor.tensor as pt
    from pytensor.graph import clone_replace

    model = fs.load_model(name)
    if uniform_exponents:
        if not model.law.terms:
            pytest.skip("has no exponents of terms")
        flat = Prior("uniform", lower=0.01, upper=1.0)
        model = model.with_priors(**{term.exponent: flat for term in model.law.terms.values()})
    data = model.data(runs)
    built = model.build(data)
    centre = coordinates.log_centre(model, data)
    n = len(built.free_RVs)
    z = pt.vector("z", shape=(n,))
    values, free, log_jacobian = coordinates.to_values(model, built, [z[i] for i in range(n)], pt.as_tensor(centre))
    ordered = [values[built.rvs_to_values[rv]] for rv in built.free_RVs]
    names = [rv.name for rv in built.free_RVs]
    f = pytensor.function([z], [pt.stack(ordered), pt.as_tensor(log_jacobian), *free.values()], mode="FAST_COMPILE")
    start = coordinates.start(model, centre)
    at, jacobian, *scale = f(start)
    steps = np.eye(n) * 1e-6
    matrix = np.array([(f(start + s)[0] - f(start - s)[0]) / 2e-6 for s in steps])
    assert jacobian == pytest.approx(np.linalg.slogdet(matrix)[1], abs=1e-6)
    for parameter, value in zip(names, scale, strict=True):
        prior = model.free_priors()[parameter]
        if prior.dist in {"lognormal", "gamma", "halfnormal"}:  # chains start about the priors' medians
            assert value == pytest.approx(prior.median, rel=1e-6)
    moved = clone_replace(built.logp(), values)
    there = {built.rvs_to_values[rv]: pt.as_tensor(v) for rv, v in zip(built.free_RVs, at, strict=True)}
    plain = clone_replace(built.logp(), there).eval(mode="FAST_COMPILE")
    assert moved.eval({z: start}, mode="FAST_COMPILE") == pytest.approx(plain, rel=1e-9)
