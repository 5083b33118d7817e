"""Exponents and minima from isoFLOP profiles: the generating law's, where the valley is its; biased, where it is not.

The law has alpha = 0.5 and beta = 0.25, so that a = 1/3 and valleys are far from parabolas. All simulated tables have
six budgets of nine sizes, so that each shape is compiled once.
"""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import forescale as fs
from forescale.frontiers.approaches import approaches
from forescale.frontiers.envelope import Envelope
from forescale.frontiers.frontier import frontier
from forescale.laws import get_law
from forescale.numbers.optimum import closed_log_size, search_log_size
from forescale.units import SixND, SixNDAttention

LAW = get_law("chinchilla")
TRUTH = {"E": 1.8, "A": 20000.0, "B": 150.0, "alpha": 0.5, "beta": 0.25}
A_TRUE = TRUTH["beta"] / (TRUTH["alpha"] + TRUTH["beta"])
BUDGETS = np.geomspace(3e18, 1e21, 6)
MIDDLE = float(np.exp(np.log(BUDGETS).mean()))
EVEN = np.full(6, 2.2)  # how far the sizes of each budget reach from the optimum, in nats
NARROWING = np.linspace(3.0, 0.8, 6)


def best_size(flops):
    return np.exp(closed_log_size(LAW, np.log(flops), TRUTH))


def simulated(seed, *, tau=0.0, reach=EVEN, sigma=0.003, cost=SixND()):  # noqa: B008 (a constant)
    """Runs of the law about its own optima, which scatter by tau; and the scatter's factors."""
    rng = np.random.default_rng(seed)
    moved = np.exp(tau * rng.standard_normal(6))
    flops = np.repeat(BUDGETS, 9)
    best = np.exp(search_log_size(LAW, cost, np.log(flops), TRUTH)) if cost != SixND() else best_size(flops)
    n = best * np.exp(np.repeat(reach, 9) * np.tile(np.linspace(-1, 1, 9), 6))
    d = cost.n_tokens(flops * np.exp(rng.uniform(-0.05, 0.05, 54)), n)
    by = np.repeat(moved, 9)  # a valley moved by this factor of size, along its own budget line
    loss = LAW({"n_params": n / by, "n_tokens": d * by}, TRUTH) * np.exp(sigma * rng.standard_t(5, 54))
    runs = pd.DataFrame({"n_params": n, "n_tokens": d, "loss": loss})
    return fs.Observations.from_frame(runs, name="simulated", cost=cost), moved


def inside(draws, truth, prob=0.9, narrowed=1.0):
    """Whether truths are in equal-tailed intervals, made narrower by a factor about the middle of the log."""
    low, high = np.log(draws).quantile([(1 - prob) / 2, (1 + prob) / 2], dim=("chain", "draw")).to_numpy()
    return abs(np.log(truth) - (low + high) / 2) < (high - low) / 2 / narrowed


@pytest.fixture(scope="module")
def by_shape():
    runs, _ = simulated(1)
    return {shape: frontier(runs, shape=shape, random_seed=1) for shape in ("asymmetric", "quadratic")}


@pytest.fixture(scope="module")
def found(by_shape):
    return by_shape["asymmetric"]


@pytest.fixture(scope="module")
def on_hoffmann(hoffmann):
    return {shape: frontier(hoffmann, shape=shape, random_seed=1) for shape in ("asymmetric", "quadratic")}


def test_the_asymmetric_valley_recovers_the_closed_form_and_a_parabola_does_not(by_shape):
    def scores(result):
        flops = result.draws["budget"].to_numpy()
        off = np.log(result.draws["n_params"]) - np.log(best_size(flops))
        return (off.mean(("chain", "draw")) / off.std(("chain", "draw"))).to_numpy()

    assert abs(scores(by_shape["asymmetric"])).max() < 3.3  # 1 in 1000 for a normal posterior
    assert scores(by_shape["quadratic"]).min() > 3.3
    bias = np.log(by_shape["quadratic"].optimum(MIDDLE)["n_params"].median() / best_size(MIDDLE))
    assert 0.1 < float(bias) < 0.2


def test_exponent_and_frontier_of_the_law_are_inside_their_intervals(found):
    assert inside(found.posterior["a"], A_TRUE, 0.99)
    assert inside(found.posterior["p"], TRUTH["alpha"], 0.99)
    assert inside(found.posterior["q"], TRUTH["beta"], 0.99)
    assert not inside(found.posterior["a"], 0.38, 0.99)
    far = np.array([1e20, 1e24])
    assert inside(found.optimum(far)["n_params"], best_size(far), 0.99).all()
    assert not inside(found.optimum(far)["n_params"], best_size(far) * 2, 0.99).any()


def test_losses_at_the_minima_are_those_of_the_law(found):
    flops = found.draws["budget"].to_numpy()
    size = best_size(flops)
    loss = LAW({"n_params": size, "n_tokens": flops / 6 / size}, TRUTH)
    assert inside(found.draws["loss"], loss, 0.99).all()
    assert not inside(found.draws["loss"], loss * 1.02, 0.99).any()


def test_splits_spend_their_budget(found):
    split = found.optimum(["1e20", 5.76e23])
    for draws, flops in ((split, np.array([1e20, 5.76e23])), (found.draws, found.draws["budget"].to_numpy())):
        assert draws["n_params"].dims == ("chain", "draw", "budget")
        np.testing.assert_allclose(6 * draws["n_params"] * draws["n_tokens"] / flops, 1.0)
        np.testing.assert_allclose(draws["n_tokens"] / draws["n_params"], draws["tokens_per_param"])
    slope = np.log(split["n_params"]).diff("budget").squeeze() / np.log(5760)
    np.testing.assert_allclose(slope, found.posterior["a"])
    np.testing.assert_allclose(found.posterior["a"] + found.posterior["b"], 1.0)
    with pytest.raises(fs.DataError, match="above zero"):
        found.optimum(-1e20)


def test_profiles_that_narrow_as_compute_grows_bias_the_exponent_of_parabolas():
    runs, _ = simulated(5, reach=NARROWING)
    a = {shape: frontier(runs, shape=shape, random_seed=1).posterior["a"] for shape in ("asymmetric", "quadratic")}
    assert inside(a["asymmetric"], A_TRUE)
    assert not inside(a["quadratic"], A_TRUE)
    assert float(a["quadratic"].median()) < A_TRUE


_PARABOLAS = 4  # tables that parabolas are fitted to as well: they miss nearly all minima


@pytest.mark.parametrize(("tables", "narrowed"), [(4, 10), pytest.param(18, 3, marks=pytest.mark.slow)])
def test_intervals_cover_at_their_rate(tables, narrowed):
    """90 % intervals of minima and exponent, over tables whose minima scatter by a tau drawn from its prior.

    The six minima of a table hang together by the shape of its valleys: their share is compared with the binomial of
    as many trials as tables, the most cautious reading. The partners, intervals that are too narrow by a factor and
    parabolas on the same tables, fail.
    """
    minima, exponents, narrow, parabolas = [], [], [], []
    for seed in range(tables):
        tau = np.random.default_rng([7, seed]).gamma(2.0, 1 / 20)
        runs, moved = simulated(100 + seed, tau=tau)
        result = frontier(runs, random_seed=seed)
        truth = best_size(result.draws["budget"].to_numpy()) * moved
        minima += list(inside(result.draws["n_params"], truth))
        narrow += list(inside(result.draws["n_params"], truth, narrowed=narrowed))
        exponents.append(bool(inside(result.posterior["a"], A_TRUE)))
        if seed < _PARABOLAS:
            parabola = frontier(runs, shape="quadratic", random_seed=seed)
            parabolas += list(inside(parabola.draws["n_params"], truth))

    def at_its_rate(hits, tables=tables):
        least, most = stats.binom(tables, 0.9).interval(0.998)
        return least <= tables * np.mean(hits) <= most

    assert at_its_rate(minima), np.mean(minima)
    assert at_its_rate(exponents), np.mean(exponents)
    assert not at_its_rate(narrow), np.mean(narrow)
    assert not at_its_rate(parabolas, _PARABOLAS), np.mean(parabolas)


@pytest.mark.slow
def test_attention_moves_the_optimum_and_the_frontier_follows():
    cost = SixNDAttention(n_ctx=131072)
    runs, _ = simulated(3, cost=cost)
    result = frontier(runs, cost=cost, random_seed=1)
    flops = result.draws["budget"].to_numpy()
    truth = np.exp(search_log_size(LAW, cost, np.log(flops), TRUTH))
    assert inside(result.draws["n_params"], truth, 0.99).all()
    without = inside(result.draws["n_params"], best_size(flops), 0.99)
    assert not without[:4].any()  # attention costs most, beside parameters, in small models
    np.testing.assert_allclose(cost.flops(result.draws["n_params"], result.draws["n_tokens"]) / flops, 1.0)
    total = (result.posterior["a"] + result.posterior["b"]).median()  # tokens are dearer for larger models
    assert 1.02 < float(total) < 1.2


@pytest.mark.slow
def test_hoffmann_runs_say_about_a_half(on_hoffmann):
    for result in on_hoffmann.values():
        assert len(result.draws["budget"]) == 20
        assert 0.48 < float(result.posterior["a"].median()) < 0.51
        assert inside(result.posterior["a"], 0.49)  # Hoffmann et al.'s approach 2, on all of their runs
        assert not inside(result.posterior["a"], 0.73)  # Kaplan et al.
        loss = result.draws["loss"].median(("chain", "draw"))
        assert (loss.diff("budget") < 0).all()
    by_law = fs.allocate(fs.published("besiroglu2024"), 1e20).draws["n_params"].median().item()  # approach 3
    by_kaplan = 1.3e9 * (1e20 / 8.64e19) ** 0.73
    sizes = {shape: result.optimum(1e20)["n_params"] for shape, result in on_hoffmann.items()}
    for size in sizes.values():
        assert inside(size, by_law, 0.99)
        assert not inside(size, by_kaplan, 0.99)
    assert float(sizes["quadratic"].median()) < float(sizes["asymmetric"].median())  # as beta exceeds alpha


@pytest.mark.slow
def test_all_approaches_in_one_table(on_hoffmann, hoffmann, hoffmann_fit):
    curves = frontier(hoffmann, method="envelope", random_seed=1)
    assert isinstance(curves, Envelope)
    table = approaches(curves, *on_hoffmann.values(), hoffmann_fit, prob=0.8)
    assert list(table) == ["source", "approach", "exponent", "median", "lower", "upper", "prob", "interval"]
    ours = table[:8]
    assert [text[:10] for text in ours["approach"]] == [f"approach {k}" for k in (1, 1, 2, 2, 2, 2, 3, 3)]
    assert (ours["prob"] == 0.8).all()
    sums = ours.groupby("approach")["median"].sum()
    np.testing.assert_allclose(sums, 1.0, atol=1e-3)
    assert (ours.query("exponent == 'a'")["median"].between(0.45, 0.55)).all()


def test_the_published_exponents_stand_beside(found):
    table = approaches(found, fs.published("besiroglu2024"))
    printed = table.query("source == 'hoffmann2022' and exponent == 'a'").set_index("approach")
    assert printed["median"].tolist() == [0.50, 0.49, 0.46]
    assert printed.loc["approach 2, isoFLOP profiles", ["lower", "upper"]].tolist() == [0.462, 0.534]
    assert (printed["prob"] == 0.8).all()
    law = table.query("source == 'besiroglu2024' and exponent == 'a'")["median"]
    np.testing.assert_allclose(law, 0.513, atol=1e-3)
    same = found.exponent_table()[["median", "lower", "upper"]]
    pd.testing.assert_frame_equal(table.loc[:1, ["median", "lower", "upper"]], same)


def test_tables_are_tidy(found):
    table = found.table(prob=0.5)
    columns = ["flops", "runs", "sizes", "quantity", "median", "lower", "upper", "prob", "interval"]
    assert list(table) == columns
    assert table["quantity"].tolist() == ["n_params", "n_tokens", "tokens_per_param", "loss"] * 6
    assert (table["runs"] == 9).all()
    assert (table["lower"] < table["median"]).all()
    assert (table["median"] < table["upper"]).all()
    exponents = found.exponent_table()
    assert list(exponents) == ["exponent", "median", "lower", "upper", "prob", "interval"]
    assert exponents["exponent"].tolist() == ["a", "b"]


def test_the_result_says_how_it_was_made(found):
    assert found.joint.seed == 1
    assert found.diagnostics.passed
    assert found.left_out.empty
    text = repr(found)
    assert "Frontier of simulated by isoFLOP profiles: asymmetric valleys, 6ND" in text
    assert "N* ~ C^a: a 0.3" in text
    assert "90 % equal-tailed" in text
    assert max(map(len, text.splitlines())) <= 80


def test_one_budget_is_no_frontier():
    runs, _ = simulated(1)
    with pytest.raises(fs.DataError, match="'simulated' has one isoFLOP budget, of .* at least two"):
        frontier(runs.table.iloc[:9].drop(columns="run").pipe(fs.Observations.from_frame, name="simulated"))


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"method": "parametric"}, fs.DataError, "no method is called 'parametric'"),
        ({"shape": "cubic"}, fs.ModelError, "no valley is called 'cubic'"),
        ({"method": "envelope", "shape": "quadratic"}, fs.DataError, "are of method 'isoflop'"),
        ({"chains": 1}, fs.DataError, "at least 2 chains"),
    ],
)
def test_options_that_are_none(options, error, words):
    with pytest.raises(error, match=words):
        frontier(simulated(1)[0], **options)
