"""What each verb says of each card's law: an answer where it has the inputs, else a refusal that names a law that has.

Draws lie within a fifth of a percent of a truth, so that no answer hangs on a sampler. Cards come from the catalogue: a
new one is held to this without a line here.
"""

import numpy as np
import pytest
import xarray as xr
from test_recovery import TRUTH
from toys import Toy

import forescale as fs
from forescale.belief.points import usual_points
from forescale.laws import LAWS

CARDS = fs.list_models()
POOL = {"unique_tokens": 1e11}  # an allocation has to know it of laws in which tokens repeat
CANDIDATES = usual_points().iloc[2:5]
SPENDS = ("returns_until", "compute_gain", "compute_to")  # which a law of compute alone answers too
SPLITS = {
    "allocate": lambda source, **pool: fs.allocate(source, [1e21, 1e23], **pool),
    "regret": lambda source, **pool: fs.regret(source, 1e21, tokens_per_param=20, **pool),
    "near_optimal": lambda source, **pool: fs.near_optimal(source, 1e21, **pool),
    "rank_plans": lambda source, **pool: fs.rank_plans(source, {"one": ("1B", "20B"), "two": ("2B", "10B")}, **pool),
    "returns": lambda source, **pool: fs.returns(source, compute=1e21, **pool),
    "returns_until": lambda source, **pool: fs.returns_until(source, 0.05, **pool),
    "compute_gain": lambda source, **pool: fs.compute_gain(source, source, 1e21, **pool),
    "compute_to": lambda source, **pool: fs.compute_to(source, 3.0, **pool),
    "serve": lambda source, **pool: fs.serve(source, "1T", compute=1e21, **pool),
    "sensitivity of the split": lambda source, **pool: fs.sensitivity(source, "n_params", compute=1e21, **pool),
    "next_runs": lambda source, **pool: fs.next_runs(source, CANDIDATES, "n_params", compute=1e21, **pool),
    "contradiction": lambda source: fs.contradiction(source, compute=[1e21]),
}


def estimate(card):
    model, rng = fs.load_model(card), np.random.default_rng(1)
    noise = {"sigma": 0.01, "nu": 5.0}
    values = {**TRUTH[card], **{name: noise[name] for name in model.noise.parameters}}
    draws = {
        name: (("chain", "draw"), value * (1 + 0.002 * rng.standard_normal((2, 50)))) for name, value in values.items()
    }
    toy = Toy(model.law, xr.Dataset(draws, {"chain": range(2), "draw": range(50)}), card)
    toy.noise = model.noise
    return toy


def names_a_law_that_can(message):
    return [name for name, law in LAWS.items() if name in message and {"n_params", "n_tokens"} <= set(law.inputs)]


@pytest.mark.parametrize("card", CARDS)
def test_any_law_forecasts_and_says_on_what_it_depends(card):
    source = estimate(card)
    points = usual_points()[list(source.law.inputs)].iloc[2:5]
    table = fs.forecast(source, points, random_seed=1).table(0.9)
    assert np.isfinite(table[["median", "lower", "upper"]].to_numpy()).all()
    assert set(table["kind"]) == {"mean", "run"}
    found = fs.sensitivity(source, "loss", **{name: points[name].to_numpy() for name in points}).elasticities(0.9)
    assert np.isfinite(found["median"]).all()
    assert np.isfinite(fs.returns(source, points).table(0.9)["median"]).all()


@pytest.mark.parametrize("verb", SPLITS)
@pytest.mark.parametrize("card", CARDS)
def test_laws_of_parameters_and_tokens_split_compute_and_others_say_which_could(card, verb):
    source = estimate(card)
    if set(source.law.inputs) == {"n_params", "n_tokens"} or (source.law.inputs == ("flops",) and verb in SPENDS):
        assert repr(SPLITS[verb](source))
        return
    if verb != "contradiction" and "unique_tokens" in source.law.inputs:
        assert repr(SPLITS[verb](source, **POOL))
    with pytest.raises(fs.ModelError) as refused:
        SPLITS[verb](source)
    assert names_a_law_that_can(str(refused.value)), str(refused.value)


def test_the_reader_of_refusals_sees_one_that_helps_nobody():
    assert not names_a_law_that_can("this law has no such thing")
