"""Leave-one-out: ArviZ's where it can be trusted, exact where it cannot; stacking weights and mixtures."""

import arviz_stats
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy import stats
from scipy.optimize import minimize
from scipy.special import logsumexp

import forescale as fs
import forescale.checking.loo
from forescale.checking.loo import LeaveOneOut, leave_one_out
from forescale.checking.stacking import mixture, score_notes, score_table, stacking_weights
from forescale.errors import DataError, ModelError

# Of residuals whose scale is not the noise's: in tables as small and as contrary as these that is so by design.
pytestmark = pytest.mark.filterwarnings("ignore:residuals of:forescale.errors.ForescaleWarning")

LEVER = 13  # the run that lies two decades from the others, and three percent from where they would have it


@pytest.fixture(scope="module")
def levered():
    rng, law = np.random.default_rng(4), fs.load_model("shifted_power_n").law
    n = np.append(np.geomspace(1e7, 1e9, LEVER), 1e11)
    loss = law({"n_params": n}, {"E": 1.9, "A": 450.0, "alpha": 0.34}) * np.exp(0.004 * rng.standard_normal(14))
    loss[LEVER] *= 1.03
    return fs.Observations.from_frame(pd.DataFrame({"n_params": n, "loss": loss}), name="levered")


def normal_fit(runs, seed):
    return fs.fit(runs, fs.load_model("shifted_power_n").with_noise("normal"), random_seed=seed)


def by_hand(runs, index, seed):
    """Log predictive density of a run by a fit of the others, with nothing of forescale.checking.loo."""
    table = runs.table
    draws = normal_fit(table.drop(index), seed).posterior
    mean = np.log(draws["E"] + draws["A"] / table["n_params"][index] ** draws["alpha"])
    density = stats.norm(mean, draws["sigma"]).logpdf(np.log(table["loss"][index]))
    return logsumexp(density) - np.log(density.size)


def toy_scores(elpd):
    """A LeaveOneOut for each column of log densities."""
    return {
        str(k): LeaveOneOut(
            str(k),
            xr.Dataset({"elpd": ("run", column), "p": ("run", 0 * column), "pareto_k": ("run", 0 * column)}).assign(
                refitted=("run", column > np.inf), mcse=("run", np.nan * column)
            ),
            0.5,
        )
        for k, column in enumerate(elpd.T)
    }


def test_it_is_arvizs_where_no_run_sways_the_fit(hoffmann_fit):
    score = leave_one_out(hoffmann_fit)
    known = arviz_stats.loo(hoffmann_fit.tree, var_name="log_loss", pointwise=True)
    assert score.refitted == 0
    np.testing.assert_allclose(score.runs["elpd"], known.elpd_i, rtol=1e-12)
    np.testing.assert_allclose(score.runs["pareto_k"], known.pareto_k, rtol=1e-12)
    assert (score.elpd, score.se, score.p) == pytest.approx((known.elpd, known.se, known.p))
    assert float(score.runs["pareto_k"].max()) < 0.5


def test_large_tables_are_scored_in_blocks_with_all_draws(hoffmann_fit, monkeypatch):
    whole = leave_one_out(hoffmann_fit)
    monkeypatch.setattr(forescale.checking.loo, "_MOST", 4000 * 100)
    xr.testing.assert_allclose(leave_one_out(hoffmann_fit).runs, whole.runs, rtol=1e-12)


def test_a_run_that_sways_the_fit_is_left_out_by_fitting_again(levered):
    exact = np.mean([by_hand(levered, LEVER, seed) for seed in range(3)])  # one has a sampling error of 0.05
    fit = normal_fit(levered, 1)
    score, unmended = leave_one_out(fit), leave_one_out(fit, threshold=np.inf)
    assert bool(score.runs["refitted"][LEVER])
    assert float(score.runs["elpd"][LEVER]) == pytest.approx(exact, abs=0.25)
    assert abs(float(unmended.runs["elpd"][LEVER]) - exact) > 0.5  # the partner: importance sampling is not enough
    assert float(score.runs["mcse"][LEVER]) < 0.15
    kept = ~score.runs["refitted"].to_numpy()
    np.testing.assert_array_equal(score.runs["elpd"][kept], unmended.runs["elpd"][kept])
    assert score.p - unmended.p == pytest.approx(unmended.elpd - score.elpd)
    assert "sampling error" in repr(score)
    xr.testing.assert_equal(leave_one_out(fit).runs, score.runs)  # seeds follow from the fit's


def test_every_run_agrees_with_leaving_it_out(levered):
    score = leave_one_out(normal_fit(levered, 1))
    exact = np.array([by_hand(levered, index, 50 + index) for index in range(len(levered))])
    off = np.abs(score.runs["elpd"] - exact)
    assert float(off.max()) < 0.25
    assert float(off.median()) < 0.03
    # the partner: in-sample densities, which see the run, are not it
    assert float(np.abs(score.runs["elpd"] + score.runs["p"] - exact).max()) > 1


def test_too_many_refits_are_refused_with_the_reason(levered):
    with pytest.raises(ModelError, match=r"of 14 runs \(.*run-014.*\) sway the fit .* at most 0 runs are refitted"):
        leave_one_out(normal_fit(levered, 1), refits=0)


def test_a_run_without_which_there_is_no_law_cannot_be_left_out():
    loss = [3.0, 3.01, 2.99, 3.0, 3.02, 3.0, 2.98, 3.01, 2.6]
    runs = fs.Observations.from_frame(pd.DataFrame({"n_params": [1e8] * 8 + [1e9], "loss": loss}), name="one size")
    with pytest.raises(DataError, match="run 'run-009' cannot be left out .* n_params to vary"):
        leave_one_out(normal_fit(runs, 1))


def test_table_and_repr(hoffmann_fit):
    score = leave_one_out(hoffmann_fit)
    table = score.table()
    assert list(table) == ["run", "elpd", "p", "pareto_k", "mcse", "refitted"]
    assert table["run"].tolist() == hoffmann_fit.observations.labels("run").tolist()
    assert table["elpd"].sum() == pytest.approx(score.elpd)
    assert "over 240 runs" in repr(score)
    assert "0 runs with k above 0.50 refitted" in repr(score)


def test_differences_are_paired_by_run():
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 10, 200)  # how hard a run is to predict, for both
    better = rng.normal(0.5, 0.1, 200)
    first, second = toy_scores(np.column_stack([hard + better, hard])).values()
    difference, se = first.above(second)
    assert difference == pytest.approx(better.sum())
    assert se == pytest.approx(np.sqrt(200) * better.std(ddof=1))
    assert se < first.se / 50  # the partner: as if unpaired, nothing would be seen


def test_stacking_is_the_best_mixture():
    rng = np.random.default_rng(1)
    elpd = rng.normal(3, 1, (120, 3)) - np.array([0.0, 0.3, 2.0])
    weights = np.array(list(stacking_weights(toy_scores(elpd)).values()))

    def loss(z):
        return -logsumexp(elpd, axis=1, b=np.exp(z - logsumexp(z))).sum()

    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000})
    assert -np.log(np.exp(elpd) @ weights).sum() == pytest.approx(best.fun, abs=1e-4)
    np.testing.assert_allclose(weights, np.exp(best.x - logsumexp(best.x)), atol=2e-3)
    assert loss(elpd.sum(axis=0)) > best.fun + 1  # the partner: weights by the sums alone


def test_stacking_stands_densities_beyond_any_number():
    elpd = np.random.default_rng(2).normal(3, 0.3, (60, 3))
    elpd[:10, 1] = -3000
    elpd[10:15, 0] = -900
    elpd[:, 2] -= 5000
    weights = stacking_weights(toy_scores(elpd))
    assert sum(weights.values()) == pytest.approx(1)
    assert weights["2"] < 1e-6
    assert weights["0"] > weights["1"] > 0.05  # each is needed: the other has runs that it holds impossible


def test_score_table_and_notes():
    rng = np.random.default_rng(3)
    base = rng.normal(0, 1, 150)
    elpd = np.column_stack([base - 1.0, base + 0.01 * rng.normal(size=150), base, base - 0.1 + rng.normal(0, 1, 150)])
    scores = toy_scores(elpd)
    table = score_table(scores)
    assert table["elpd"].is_monotonic_decreasing
    assert table["elpd_diff"].iloc[0] == 0
    assert (table["elpd_diff"].iloc[1:] < 0).all()
    notes = score_notes(scores)
    assert len(notes) == 2  # the twin, and the one that is two standard errors behind at most; not the worst
    assert ["means nothing" in note for note in notes] == [True, False]
    assert not any(note.startswith("0 and") for note in notes)
    few = score_notes(toy_scores(elpd[:50, [0, 2]]))
    assert few == ["50 runs are few: below 100 the standard error of a difference of elpd is too small."]
    assert score_table({}).empty


def parts():
    rng = np.random.default_rng(5)
    low, high = rng.normal(0, 1, (2, 500)), rng.normal(10, 1, (4, 1000))
    return {
        "low": xr.Dataset({"x": (("chain", "draw"), low), "y": (("chain", "draw"), 2 * low)}),
        "high": xr.Dataset({"x": (("chain", "draw"), high), "y": (("chain", "draw", "at"), 2 * high[..., None])}),
    }


def test_a_mixture_is_drawn_by_weight():
    mixed = mixture(parts(), {"low": 0.25, "high": 0.75}, 1)
    assert mixed["x"].dims == ("chain", "draw")
    assert mixed.sizes["draw"] == 4000
    assert float((mixed["x"] < 5).mean()) == 0.25
    # the mixture's distribution function is the weighted one, to the sampling of a quarter of one part
    for at in (-0.5, 9.0, 10.5):
        weighted = sum(w * float((parts()[k]["x"] < at).mean()) for k, w in {"low": 0.25, "high": 0.75}.items())
        assert float((mixed["x"] < at).mean()) == pytest.approx(weighted, abs=0.01)
        assert abs(float((parts()["high"]["x"] < at).mean()) - weighted) > 0.05  # the partner: one part alone
    np.testing.assert_allclose(mixed["y"].isel(at=0), 2 * mixed["x"])  # a draw stays one draw


def test_the_same_seed_picks_the_same_draws():
    weights = {"low": 0.25, "high": 0.75}
    first, again = mixture(parts(), weights, 1), mixture({k: part[["x"]] for k, part in parts().items()}, weights, 1)
    np.testing.assert_array_equal(first["x"], again["x"])
    assert (first["x"] != mixture(parts(), weights, 2)["x"]).any()
    only = mixture(parts(), {"low": 0.0, "high": 1.0}, 1)
    np.testing.assert_array_equal(np.sort(only["x"], axis=None), np.sort(parts()["high"]["x"], axis=None))
