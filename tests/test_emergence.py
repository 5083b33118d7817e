"""A sharp rise of exact match: a smooth rise of tokens is none, a jump is one, few answers right cannot tell."""

import evaluations
import numpy as np
import pandas as pd
import pytest
from scipy.stats import gaussian_kde

import forescale as fs
from forescale import plots
from forescale.accuracy.break_model import JUMP, bent
from forescale.accuracy.emergence import BEFOREHAND
from forescale.belief.link_model import draw_hits
from forescale.laws.links import get_link, powered


def exact_match(tokens, middle, span, *, steeper=1.0, at=2.9, seed=0, items=1000):
    """Answers of tokens that are on a sigmoid in loss, ``steeper`` times as steep below a loss."""
    rng = np.random.default_rng(seed)
    loss = evaluations.losses(*evaluations.ladder(), rng)
    values = {"middle": middle, "span": span, "top": 0.95, "floor_ratio": 1.0}
    seen = bent(loss, at, np.log(steeper), anchor=6.0)
    centre = powered(get_link("sigmoid"), tokens)(seen, values, 0.0)
    _, share = draw_hits(centre, np.array(0.005), np.array(float(items)), rng)
    table = pd.DataFrame({"loss": loss, "accuracy": share, "items": items, "chance": 0.0, "task": "sums"})
    return fs.Outcomes.from_frame(table)


@pytest.fixture(scope="module")
def smooth():
    return fs.emergence(exact_match(5, 3.6, 2.0), 5, draws=600, random_seed=1)


@pytest.fixture(scope="module")
def broken():
    return fs.emergence(exact_match(5, 2.9, 4.0, steeper=6.0), 5, draws=600, random_seed=1)


def test_a_bent_loss_counts_more_below_the_bend_only():
    loss = np.linspace(2.0, 4.0, 201)
    np.testing.assert_allclose(bent(loss, 3.0, 0.0, 2.5), loss)
    for anchor, above, below in ((3.5, 1.0, 4.0), (2.5, 0.25, 1.0)):
        slope = np.diff(bent(loss, 3.0, np.log(4.0), anchor)) / np.diff(loss)
        np.testing.assert_allclose(slope[loss[1:] < 2.8], below, rtol=1e-3)
        np.testing.assert_allclose(slope[loss[:-1] > 3.2], above, rtol=1e-3)
        assert (slope > 0).all()
        assert bent(anchor, 3.0, np.log(4.0), anchor) == anchor
    near = [bent(3.01 + step, 3.0, np.log(4.0), 3.01) for step in (-1e-6, 1e-6)]
    assert (near[1] - near[0]) / 2e-6 == pytest.approx(1.0, abs=1e-6)  # the slope at the anchor, in the bend as well


def test_a_smooth_rise_of_tokens_is_no_break(smooth):
    """Answers of five tokens go from 0 to 68 % over the last third of the losses, which looks sharp."""
    assert smooth.runs["accuracy"].max() > 0.6
    assert smooth.probability < BEFOREHAND
    assert "calls for no break: a smooth rise of tokens, of which all 5 must be right" in smooth.sentence()


def test_a_jump_is_called_a_break(broken):
    """The partner of the test above: what is found nowhere would not be found where it is."""
    assert broken.probability > 0.99, broken
    assert broken.probability_se < 0.01
    rows = broken.table().set_index("quantity")
    assert rows.loc["break_at", "lower"] < 2.9 < rows.loc["break_at", "upper"]
    assert rows.loc["steeper", "lower"] < 6 < rows.loc["steeper", "upper"]
    assert "calls for a break" in broken.sentence()
    assert max(map(len, repr(broken).splitlines())) <= 100


def test_where_few_answers_are_right_the_runs_cannot_tell():
    """Of 20 tokens all must be right: 2 % of answers at best."""
    found = fs.emergence(exact_match(20, 3.0, 1.5), 20, draws=600, random_seed=1)
    assert found.runs["accuracy"].max() < 0.05
    assert abs(found.probability - BEFOREHAND) < 0.15
    assert float(found.draws["steeper"].quantile(0.95)) > 5  # and a jump may be as large as it might beforehand


def test_evidence_agrees_with_the_ratio_of_savage_and_dickey(smooth, broken):
    """Both are exact for nested models: one from weights of the sampler, one from the density of no jump."""
    jump = smooth.broken["jump"].to_numpy().ravel()
    log_odds = float(JUMP.logpdf(0.0)) - np.log(gaussian_kde(jump)(0.0)[0])
    by_evidence = np.logaddexp.reduce(smooth.log_evidence.to_numpy(), axis=0)
    assert by_evidence[1] - by_evidence[0] == pytest.approx(log_odds, abs=0.8)
    assert float(broken.log_evidence.diff("model").mean()) > 10  # the partner: where no draw is near zero, it is sure


def test_runs_of_the_sampler_that_disagree_are_refused(smooth, monkeypatch):
    assert smooth.disagreement == ""
    shifted = smooth.broken.assign(jump=smooth.broken["jump"] + 3.0 * (smooth.broken["chain"] == 0))
    monkeypatch.setattr(
        "forescale.accuracy.emergence._weighed", lambda *given: (smooth.smooth, shifted, smooth.log_evidence)
    )
    with pytest.raises(fs.ConvergenceError, match="R-hat above 1.1 of the broken link: jump") as refused:
        fs.emergence(exact_match(5, 3.6, 2.0), 5)
    assert isinstance(refused.value.fit, fs.Emergence)


def test_figure_shows_tokens_and_answers(broken):
    ax = plots.plot_emergence(broken)
    heads = {panel.get_ylabel() for panel in ax.child_axes}
    assert {"share of tokens right", "accuracy: all of 5 tokens right"} <= heads
    assert set(broken.curves([3.0, 2.6])) == {"token", "answer", "broken"}


def test_what_cannot_be_asked_is_refused():
    table = exact_match(5, 3.6, 2.0)
    with pytest.raises(fs.DataError, match="10 runs or more; 'outcomes' has 8"):
        fs.emergence(table.where(np.arange(25) < 8), 5)
    with pytest.raises(fs.ModelError, match="answer_tokens is a whole number"):
        fs.emergence(table, 0)
    with pytest.raises(fs.DataError, match="at least 200"):
        fs.emergence(table, 5, draws=50)
    both = pd.concat([table.table, table.table.assign(task="other")])
    with pytest.raises(fs.DataError, match=r"one task at a time; 'outcomes' has 2: sums, other"):
        fs.emergence(both, 5)
