"""A sharp rise of exact match that calls for a break, and what says that none does."""

import evaluations
import numpy as np
import pandas as pd
import pytest

import forescale as fs
from forescale.accuracy.break_model import JUMP, bent, break_probability
from forescale.belief.link_model import draw_hits
from forescale.laws.links import get_link, powered


def exact_match(tokens, middle, span, *, steeper=1.0, at=2.9, seed=0, items=1000):
    """Answers of tokens that are on a sigmoid in loss, ``steeper`` times as steep below a loss."""
    rng = np.random.default_rng(seed)
    loss = evaluations.losses(*evaluations.ladder(), rng)
    values = {"middle": middle, "span": span, "top": 0.95, "floor_ratio": 1.0}
    centre = powered(get_link("sigmoid"), tokens)(bent(loss, at, np.log(steeper)), values, 0.0)
    _, share = draw_hits(centre, np.array(0.005), np.array(float(items)), rng)
    table = pd.DataFrame({"loss": loss, "accuracy": share, "items": items, "chance": 0.0, "task": "sums"})
    return fs.Outcomes.from_frame(table)


def test_a_bent_loss_counts_more_below_the_bend_only():
    loss = np.linspace(2.0, 4.0, 201)
    np.testing.assert_allclose(bent(loss, 3.0, 0.0), loss)
    slope = np.diff(bent(loss, 3.0, np.log(4.0))) / np.diff(loss)
    np.testing.assert_allclose(slope[loss[1:] < 2.8], 4.0, rtol=1e-3)
    np.testing.assert_allclose(slope[loss[:-1] > 3.2], 1.0, rtol=1e-3)
    assert (slope > 0).all()


def test_probability_of_a_break_is_that_of_savage_and_dickey():
    rng = np.random.default_rng(0)
    prior = JUMP.sample(20_000, rng)
    assert break_probability(prior) == pytest.approx(0.5, abs=0.02)  # nothing learned
    # normal prior N(0, 1.5^2) and normal data y | j ~ N(j, 0.3^2): the Bayes factor is known
    y, sd = 0.9, 0.3
    var = 1 / (1 / 1.5**2 + 1 / sd**2)
    draws = rng.normal(var * y / sd**2, np.sqrt(var), 20_000)
    odds = np.exp(-0.5 * y**2 * (1 / sd**2 - 1 / (sd**2 + 1.5**2))) * np.sqrt((sd**2 + 1.5**2) / sd**2)
    assert break_probability(draws) == pytest.approx(1 / (1 + odds), abs=0.03)
    assert break_probability(rng.normal(0.0, 0.05, 4000)) < 0.05
    assert break_probability(rng.normal(3.0, 0.1, 4000)) == pytest.approx(1 - 1 / 4000, abs=1e-4)  # and no surer


def test_what_cannot_be_asked_is_refused():
    table = exact_match(5, 3.6, 2.0)
    with pytest.raises(fs.DataError, match="10 runs or more; 'outcomes' has 8"):
        fs.emergence(table.where(np.arange(25) < 8), 5)
    with pytest.raises(fs.ModelError, match="answer_tokens is a whole number"):
        fs.emergence(table, 0)
    both = pd.concat([table.table, table.table.assign(task="other")])
    with pytest.raises(fs.DataError, match=r"one task at a time; 'outcomes' has 2: sums, other"):
        fs.emergence(both, 5)


@pytest.mark.slow
def test_a_break_is_found_where_there_is_one():
    """Its partner is above: draws of a jump that has not been learned, or is zero, are no break."""
    table = exact_match(5, 2.9, 4.0, steeper=6.0)
    found = fs.emergence(table, 5, draws=250, tune=600, random_seed=1, progress=False)
    assert found.probability > 0.95, found
    assert found.elpd_difference[0] > 5
    rows = found.table().set_index("quantity")
    assert rows.loc["break_at", "lower"] < 2.9 < rows.loc["break_at", "upper"]
    assert rows.loc["steeper", "lower"] < 6 < rows.loc["steeper", "upper"]
    assert rows.loc["token_onset", "median"] > rows.loc["answer_onset", "median"] + 0.2  # tokens rise long before
    assert "calls for a break" in found.sentence()
    assert set(found.curves([3.0, 2.6])) == {"token", "answer", "broken"}
    assert {"elpd_smooth", "elpd_broken", "pareto_k_smooth", "refitted_broken"} <= set(found.runs)
