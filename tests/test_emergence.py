"""A sharp rise of exact match: a smooth rise of tokens is none, a jump is one, few answers right cannot tell."""

import dataclasses
import json

import evaluations
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from commandline import call, check_page
from scipy import stats
from scipy.special import betaln

import forescale as fs
from forescale import plots
from forescale.accuracy import emergence as verb
from forescale.accuracy.break_model import KINDS, Candidate, bent
from forescale.accuracy.link_fit import task_data
from forescale.accuracy.weighed_links import BEFOREHAND
from forescale.belief.link_model import CURVE, draw_hits
from forescale.laws.links import get_link, powered
from forescale.numbers import weighing
from forescale.sampling.bridge import StudentT, evidence_of
from forescale.sampling.tempered import temper


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
    return fs.emergence(exact_match(5, 3.6, 2.0), 5, ["sigmoid"], draws=400, random_seed=1)


@pytest.fixture(scope="module")
def broken():
    return fs.emergence(exact_match(5, 2.9, 4.0, steeper=6.0), 5, ["sigmoid"], draws=400, random_seed=1)


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
    assert max(broken.weights()["log_evidence_se"]) < 0.1
    rows = broken.table().set_index("quantity")
    assert rows.loc["break_at", "lower"] < 2.9 < rows.loc["break_at", "upper"]
    assert rows.loc["steeper", "lower"] < 6 < rows.loc["steeper", "upper"]
    assert "calls for a break" in broken.sentence()
    assert max(map(len, repr(broken).splitlines())) <= 100


def test_links_share_the_verdict(smooth, broken):
    """Two links, as if fitted: each has its part of all that is told."""
    other = [
        dataclasses.replace(each, model=dataclasses.replace(each.model, name="other")) for each in broken.candidates
    ]
    evidence = np.tile(np.log([1, 4, 1, 2, 12, 2]), (4, 1))
    both = dataclasses.replace(
        broken,
        candidates=(*broken.candidates, *other),
        posteriors=(*broken.posteriors, *smooth.posteriors),
        log_evidence=xr.DataArray(evidence, dims=("chain", "model")),
        failures=("",) * 6,
    )
    assert both.prior == (0.25, 0.125, 0.125) * 2
    assert both.of_link == pytest.approx({"sigmoid": 0.28, "other": 0.72})
    assert both.of_kind == pytest.approx({"smooth": 0.24, "steeper": 0.64, "flatter": 0.12})
    assert both.probability == pytest.approx(0.64)
    assert both.probability_se == pytest.approx(0, abs=1e-12)
    of_other = np.isin(both.draws["steeper"].values, np.exp(smooth.posteriors[1]["jump"].values))
    assert of_other.mean() == pytest.approx(0.75, abs=0.01)


def averaged(data, kind, middle=2.3):
    """Log of the likelihood averaged over prior draws, by hand: no coordinates of a sampler, no densities of ours."""
    rng, many, losses = np.random.default_rng(0), (40_000, 1), np.sort(data["loss"])
    middle, span = (np.exp(np.log(m) + s * rng.standard_normal(many)) for m, s in ((middle, 0.4), (1.3, 0.6)))
    top, scatter = rng.beta(3, 1, many), abs(0.05 * rng.standard_normal(many))
    at, jump = rng.uniform(losses[3], losses[-4], many), KINDS[kind][0] * abs(1.5 * rng.standard_normal(many))
    seen = bent(data["loss"], at, jump, np.average(data["loss"], weights=data["hits"]))
    token = 1 / (1 + np.exp(np.minimum(2 * np.log(9) * (seen - middle) / span, 700)))
    accuracy, total = np.clip(top * token**5, 1e-9, 1 - 1e-9), 1 / (4 * np.maximum(scatter, 1e-4) ** 2)
    hits, missed = data["hits"], data["items"] - data["hits"]
    chances = betaln(hits + accuracy * total, missed + (1 - accuracy) * total)
    chances -= betaln(accuracy * total, (1 - accuracy) * total)
    chances -= betaln(hits + 1, missed + 1) + np.log(hits + missed + 1)
    return np.logaddexp.reduce(chances.sum(axis=1)) - np.log(many[0])


def test_evidence_is_the_likelihood_averaged_over_the_prior():
    """Of 13 runs and 20 items, which say so little that prior draws do, and nothing of a break."""
    data = task_data(exact_match(5, 3.6, 2.0, items=20).where(np.arange(25) % 2 == 0))["sums"]
    model = dataclasses.replace(fs.load_link("sigmoid"), answer_tokens=5)
    found = {kind: Candidate(model, kind, data).sample(400, 9, [1])[1].mean() for kind in KINDS}
    assert found == pytest.approx({kind: averaged(data, kind) for kind in KINDS}, abs=0.1)
    steeper = weighing.probabilities(np.array([[found[kind] for kind in KINDS]]), [0.5, 0.25, 0.25])[1]
    assert steeper == pytest.approx(BEFOREHAND, abs=0.05)
    # the partner: other priors have another
    assert abs(averaged(data, "smooth", middle=3.3) - found["smooth"]) > 0.3


def test_particles_and_bridge_know_two_modes_apart():
    """A prior of sd 3 and a likelihood of two bumps, the one three times as likely as the other: by hand."""

    def densities(z):
        bumps = stats.norm.logpdf(z[..., 0][:, None], [-3, 3], 0.3) + np.log([0.75, 0.25])
        return stats.norm.logpdf(z, 0, 3).sum(axis=1), np.logaddexp.reduce(bumps, axis=1)

    def sampled(moves):
        def prior(draws, rng):
            return 3 * rng.standard_normal((draws, 2))

        return np.stack([temper(densities, prior, 0, 400, moves, np.random.default_rng(run)) for run in range(4)])

    chains = sampled(9)
    exact = stats.norm.logpdf(3, 0, np.hypot(3, 0.3))
    found = evidence_of(lambda z: np.add(*densities(z)), chains, np.random.default_rng(0))
    np.testing.assert_allclose(found, exact, atol=0.1)
    assert (chains[..., 0] < 0).mean() == pytest.approx(0.75, abs=0.03)
    # the partner: of draws of one mode alone the evidence is another
    one = chains[..., 0] < 0
    alone = np.stack([chain[few][: one.sum(axis=1).min()] for chain, few in zip(chains, one, strict=True)])
    assert np.abs(evidence_of(lambda z: np.add(*densities(z)), alone, np.random.default_rng(0)) - exact).min() > 0.2


def test_a_t_is_laid_over_copies_of_few_draws():
    """As particles may be early on: without it the sampler ended in an error of linear algebra."""
    rng = np.random.default_rng(0)
    over = StudentT.over(np.repeat(rng.standard_normal((3, 6)), 40, axis=0))
    assert np.isfinite(over.logpdf(over.sample(10, rng))).all()


def test_what_the_sampler_moves_in_is_the_links_own(smooth):
    """There and back, for draws of the posterior."""
    posterior, of = smooth.posteriors[0], smooth.candidates[0]
    values = {name: posterior[name].to_numpy().ravel() for name in CURVE}
    back, _ = of.model.coordinates(of.model.coordinates_of(values, of.data).T, of.data)
    for name in CURVE:
        np.testing.assert_allclose(back[name], values[name], rtol=1e-6)


def test_candidates_that_count_and_disagree_are_tried_again_and_refused(smooth, monkeypatch):
    assert smooth.doubts == []
    tries, ready = [], dict(zip(KINDS, smooth.posteriors, strict=True))
    evidence = dict(zip(KINDS, smooth.log_evidence.to_numpy().T, strict=True))

    def sample(self, draws, moves, seed):
        tries.append((self.kind, draws, moves))
        low = evidence[self.kind] - (20 if self.kind == "flatter" else 0)
        return ready[self.kind], low, "" if self.kind == "smooth" else "r_hat above 1.01: z_w 1.3"

    monkeypatch.setattr(Candidate, "sample", sample)
    with pytest.raises(fs.ConvergenceError, match=r"sigmoid, steeper, of probability 0\.\d\d, did not conv") as refused:
        fs.emergence(exact_match(5, 3.6, 2.0), 5, ["sigmoid"], draws=400)
    assert isinstance(refused.value.fit, fs.Emergence)
    assert "flatter" not in str(refused.value)  # which does not count
    assert tries[:3] == [(kind, 400, 9) for kind in KINDS]
    assert tries[3:] == [("steeper", times * 400, moves) for times, moves in verb._TRIES[1:]]


def test_a_link_that_gets_flatter_is_no_smooth_one(smooth):
    apart = smooth.log_evidence + np.array([0.0, 0.0, 9.0])
    assert (
        "and for no smooth one: one that gets flatter has" in dataclasses.replace(smooth, log_evidence=apart).sentence()
    )
    told = dataclasses.replace(smooth, log_evidence=smooth.log_evidence + np.array([0.0, 2.0, 0.0])).sentence()
    assert "leaves it open" in told


def test_figure_shows_tokens_and_answers(broken):
    ax = plots.plot_emergence(broken)
    heads = {panel.get_ylabel() for panel in ax.child_axes}
    assert {"share of tokens right", "accuracy: all of 5 tokens right"} <= heads
    assert set(broken.curves([3.0, 2.6])) == {"token", "answer", "broken_token", "broken_answer"}


def test_the_command_says_what_the_result_says(broken, monkeypatch, tmp_path, eighty_columns):
    asked = []
    monkeypatch.setattr(fs, "emergence", lambda *given, **how: asked.append((given[1:], how)) or broken)
    exact_match(5, 2.9, 4.0).table.rename(columns={"loss": "c4"}).to_csv(tmp_path / "evals.csv", index=False)
    words = ("emergence", tmp_path / "evals.csv", "--answer-tokens", "5", "--columns", "loss=c4")
    page = call(*words).stdout
    check_page(page)
    assert "sums calls for a break" in page
    assert "sigmoid  steeper" in page
    document = json.loads(call(*words, "--link", "sigmoid", "--json").stdout)
    assert [row["median"] for row in document["rows"]] == list(broken.table()["median"])
    assert document["of_link"] == broken.of_link
    assert [given for given, _ in asked] == [(5, ("sigmoid", "exponential")), (5, ["sigmoid"])]
    assert call(*words, "--csv").stdout.splitlines()[0].split(",") == list(broken.table())


def test_what_cannot_be_asked_is_refused():
    table = exact_match(5, 3.6, 2.0)
    with pytest.raises(fs.DataError, match="10 runs or more; 'outcomes' has 8"):
        fs.emergence(table.where(np.arange(25) < 8), 5)
    with pytest.raises(fs.ModelError, match="answer_tokens is a whole number"):
        fs.emergence(table, 0)
    with pytest.raises(fs.DataError, match="at least 200"):
        fs.emergence(table, 5, draws=50)
    with pytest.raises(fs.ModelError, match="none twice"):
        fs.emergence(table, 5, ["sigmoid", "sigmoid"])
    both = pd.concat([table.table, table.table.assign(task="other")])
    with pytest.raises(fs.DataError, match=r"one task at a time; 'outcomes' has 2: sums, other"):
        fs.emergence(both, 5)
