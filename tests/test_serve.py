"""Models that are served: a cost of its own in every verb, and the cheapest model of a quality."""

import json
import re

import numpy as np
import pytest
from commandline import call, check_page, refused
from matplotlib.figure import Figure
from scipy.optimize import minimize_scalar
from toys import toy

import forescale as fs
from forescale.decisions.lifetime import growth_when_served, serving_weight
from forescale.errors import DataError, ModelError
from forescale.plots import plot_serving
from forescale.units import CostModel

TRUTH = {"E": 1.8, "A": 470.0, "B": 1900.0, "alpha": 0.345, "beta": 0.36}
#: As Sardana et al. 2024 (arXiv:2401.00448) use Hoffmann et al.'s law.
SARDANA = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.336, "beta": 0.283}


@pytest.fixture(scope="module")
def source():
    return fs.published("besiroglu2024")


class TestLifetime:
    def test_a_cost_is_training_and_serving_and_can_be_solved_for_either(self):
        cost = fs.Lifetime(served=1e12, weight=1.5)
        assert isinstance(cost, CostModel)
        n, d = np.array([1e9, 1e11]), np.array([1e10, 1e13])
        flops = cost.flops(n, d)
        np.testing.assert_allclose(flops, 6 * n * d + 2 * 1.5 * n * 1e12)
        np.testing.assert_allclose(cost.n_params(flops, d), n)
        np.testing.assert_allclose(cost.n_tokens(flops, n), d)
        np.testing.assert_allclose(cost.n_tokens(flops, cost.most_params(flops)) / d, 0, atol=1e-3)
        assert cost.flops_per_token(1e9) == 6e9
        assert cost.name == "6ND + 2NS x 1.5 with S = 1T tokens served"

    @pytest.mark.parametrize("served", [1e3, 1e11, 1e13, 1e15])
    def test_the_scan_finds_the_best_split_however_much_is_served(self, served):
        """A grid of the whole budget line; with most of the budget for serving, the end of it is near."""
        cost = fs.Lifetime(served)
        for flops in (1e20, 1e24):
            found = np.log(fs.allocate(toy("chinchilla", **TRUTH), flops, cost=cost).draws["n_params"].item())
            end = np.log(cost.n_params(flops, 1.0))
            sizes = np.concatenate([np.linspace(end - 25, end, 20001), end - np.geomspace(1e-9, 1e-3, 501)])
            tokens = cost.n_tokens(flops, np.exp(sizes))
            loss = TRUTH["E"] + TRUTH["A"] * np.exp(-TRUTH["alpha"] * sizes) + TRUTH["B"] / tokens ** TRUTH["beta"]
            assert found == pytest.approx(sizes[loss.argmin()], abs=2e-3)

    def test_next_to_no_demand_is_training_alone(self, source):
        alone = fs.allocate(source, 1e24).draws["n_params"]
        served = fs.allocate(source, 1e24, cost=fs.Lifetime(1.0)).draws["n_params"]
        np.testing.assert_allclose(served, alone, rtol=1e-5)

    def test_other_verbs_take_it(self):
        source, cost = fs.published("besiroglu2024", draws=100), fs.Lifetime(1e13)
        near = fs.near_optimal(source, 1e24, cost=cost)
        assert float(near.sure(0.9)["smallest"].item()) < float(near.draws["best"].median())
        price = fs.regret(source, 1e24, tokens_per_param=20, cost=cost).draws["wasted_compute"]
        assert float(price.median()) > 10
        plan = fs.rank_plans(source, {"a": ("7B", "2T")}, cost=cost).draws
        assert plan["flops"].item() == pytest.approx(6 * 7e9 * 2e12 + 2 * 7e9 * 1e13)

    @pytest.mark.parametrize("given", [{"served": 0}, {"served": 1e12, "weight": -1}])
    def test_lives_that_are_none(self, given):
        with pytest.raises(DataError, match="of a lifetime is a number above zero"):
            fs.Lifetime(**given)


class TestServe:
    def test_sardana_et_al_s_example(self):
        """Version 1, figure 1: the quality of Chinchilla's 13B, 2T tokens served: a 7B saves 1.7e22 FLOPs, 17 %."""
        law = toy("chinchilla", **SARDANA)
        A, B, alpha, beta = (SARDANA[name] for name in ("A", "B", "alpha", "beta"))
        tokens = (beta * B / (alpha * A) * 13e9**alpha) ** (1 / beta)
        found = fs.serve(law, "2T", compute=6 * 13e9 * tokens)
        assert found.trained["n_params"].item() == pytest.approx(13e9, rel=1e-6)
        draws = found.draws.squeeze()
        assert draws["n_params"].item() == pytest.approx(7e9, rel=0.01)
        assert draws["saving"].item() == pytest.approx(17, abs=0.5)
        of_all = 6 * 13e9 * tokens + 2 * 13e9 * 2e12
        assert of_all - draws["total"].item() == pytest.approx(1.7e22, rel=0.01)

    @pytest.mark.parametrize("weight", [1.0, 4.0])
    def test_against_brute_force_along_the_line_of_equal_loss(self, weight):
        E, A, B, alpha, beta = TRUTH.values()
        for demand in (1e11, 1e13, 1e15):

            def cost(log_size, demand=demand):
                rest = 2.0 - E - A * np.exp(-alpha * log_size)
                return np.log(6 * (B / rest) ** (1 / beta) + 2 * weight * demand) + log_size if rest > 0 else np.inf

            smallest = np.log((A / (2.0 - E)) ** (1 / alpha))
            found = minimize_scalar(
                cost, bounds=(smallest + 1e-6, smallest + 6), method="bounded", options={"xatol": 1e-9}
            )
            draws = fs.serve(toy("chinchilla", **TRUTH), demand, loss=2.0, weight=weight).draws.squeeze()
            assert np.log(draws["n_params"].item()) == pytest.approx(found.x, abs=1e-5)
            assert np.log(draws["total"].item()) == pytest.approx(found.fun, abs=1e-10)

    def test_closed_relation_and_search_agree(self, source):
        """The best split of a lifetime's budget is the cheapest of its loss: two ways to one model."""
        best = fs.allocate(source, 1e24, cost=fs.Lifetime(1e13, 2.0)).draws
        for draw in (0, 7, 11):
            here = best.isel(chain=0, draw=draw)
            parameters = {name: source.posterior[name].to_numpy()[0, draw] for name in source.law.parameters}
            found = fs.serve(
                toy("chinchilla", **parameters), 1e13, loss=here["loss"].item(), weight=2.0
            ).draws.squeeze()
            for name in ("n_params", "n_tokens"):
                assert found[name].item() == pytest.approx(here[name].item(), rel=1e-5)
            assert found["total"].item() == pytest.approx(1e24, rel=1e-6)

    def test_a_growth_solves_its_equation_and_one_without_the_weight_does_not(self):
        alpha, beta, ratio = np.array([0.3, 0.35]), np.array([0.3, 0.28]), np.array([1e-3, 100.0])
        smaller, longer = growth_when_served(alpha, beta, ratio)
        t = beta * longer
        np.testing.assert_allclose((1 + alpha / beta) * np.exp(t / beta) * np.expm1(t), ratio, rtol=1e-10)
        share = alpha / (alpha + beta)
        # the sum of both terms stays: beta / (alpha + beta) of it was of N, the rest of D
        np.testing.assert_allclose((1 - share) * np.exp(-alpha * smaller) + share * np.exp(-t), 1, rtol=1e-12)
        assert not np.allclose(growth_when_served(alpha, beta, 2 * ratio), [smaller, longer], rtol=1e-2)
        nothing = growth_when_served(alpha, beta, np.full(2, 1e-30))
        np.testing.assert_array_equal(nothing, np.zeros((2, 2)))

    def test_the_same_loss_and_never_dearer(self, source):
        demands = np.geomspace(1e6, 1e16, 6)
        found = fs.serve(source, demands, compute="5.76e23")
        at = {name: found.draws[name] for name in ("n_params", "n_tokens")}
        loss = source.law(at, source.posterior)
        np.testing.assert_allclose(loss, found.trained["loss"].broadcast_like(loss), rtol=1e-8)
        medians = found.draws.median(("chain", "draw"))
        assert (np.diff(medians["n_params"]) < 0).all()
        assert (np.diff(medians["n_tokens"]) > 0).all()
        assert (np.diff(medians["saving"]) > 0).all()
        assert float(found.draws["saving"].min()) >= 0
        assert medians["saving"][0] < 1e-3
        assert (found.draws["smaller"] <= 1).all()

    @pytest.mark.parametrize(("narrower", "covers"), [(1.0, True), (0.4, False)])
    def test_bands_cover_what_a_known_law_saves(self, narrower, covers):
        """An exponent known to 0.004, 300 times; bands of draws that are too narrow, the partner, do not cover."""
        rng = np.random.default_rng(6)
        seen = TRUTH["alpha"] + 0.004 * rng.standard_normal(300)
        draws = seen[:, None] + narrower * 0.004 * rng.standard_normal((300, 300))
        right = fs.serve(toy("chinchilla", **TRUTH), "10T", compute=1e24).draws["saving"].item()
        found = fs.serve(toy("chinchilla", **TRUTH | {"alpha": draws}), "10T", compute=1e24).draws["saving"]
        low, high = found.squeeze("demand").quantile([0.05, 0.95], "draw")
        share = float(((low <= right) & (right <= high)).mean())
        assert bool(abs(share - 0.9) < 3 * np.sqrt(0.9 * 0.1 / 300)) is covers

    def test_a_probability_is_the_share_of_draws(self, source):
        found = fs.serve(source, ["1T", "3T", "10T"], compute="5.76e23")
        table = found.probability(0.1)
        assert list(table["probability"]) == list((found.draws["saving"] > 10).mean(("chain", "draw")))
        assert table["probability"].iloc[0] < 0.1
        assert 0.1 < table["probability"].iloc[1] < 0.99
        assert table["probability"].iloc[2] == 1

    def test_tokens_that_repeat(self):
        source = fs.published("muennighoff2023")
        few = fs.serve(source, "1T", loss=2.4, unique_tokens="25B").draws.squeeze()
        loss = source.law(
            {"n_params": few["n_params"], "n_tokens": few["n_tokens"], "unique_tokens": 25e9},
            source.posterior.squeeze(),
        )
        assert loss.item() == pytest.approx(2.4, rel=1e-6)
        many = fs.serve(source, "1T", loss=2.4, unique_tokens="inf").draws.squeeze()
        assert few["total"].item() > many["total"].item()
        chinchilla = {name: source.posterior[name].item() for name in ("E", "A", "B", "alpha", "beta")}
        closed = fs.serve(toy("chinchilla", **chinchilla), "1T", loss=2.4).draws.squeeze()
        assert closed["n_params"].item() == pytest.approx(many["n_params"].item(), rel=1e-5)

    def test_hardware_gives_the_weight_and_money(self, source):
        training, serving = (fs.Accelerator(peak=1e15, utilisation=u, per_hour=2.0) for u in (0.4, 0.1))
        found = fs.serve(source, "1T", compute=1e23, training=training, serving=serving)
        assert found.weight == pytest.approx(4)
        assert found.units == {"accelerator_hours": "accelerator-hours", "money": "USD"}
        by_hand = 6 * found.draws["n_params"] * found.draws["n_tokens"] * training.money_per_flop
        by_hand = by_hand + 2 * found.draws["n_params"] * 1e12 * serving.money_per_flop
        np.testing.assert_allclose(found.draws["money"], by_hand)
        np.testing.assert_allclose(found.draws["money"], found.draws["total"] * training.money_per_flop)
        same = fs.serve(source, "1T", compute=1e23, weight=4.0)
        np.testing.assert_allclose(same.draws["n_params"], found.draws["n_params"])
        euros = fs.Accelerator(peak=1e15, utilisation=0.4, per_hour=2.0, currency="EUR")
        with pytest.raises(DataError, match="training is paid in USD and serving in EUR"):
            serving_weight(training, euros)

    def test_what_cannot_be_asked_is_refused(self, source):
        hardware = fs.Accelerator(peak=1e15, utilisation=0.4, per_hour=2.0)
        for given, words in (
            ({}, "state one quality"),
            ({"loss": 2.0, "compute": 1e23}, "state one quality"),
            ({"loss": 2.0, "training": hardware}, "hardware of both"),
            ({"loss": 2.0, "training": hardware, "serving": hardware, "weight": 2.0}, "weight= follows"),
            ({"loss": -2.0}, "loss must be above zero"),
            ({"loss": 2.0, "weight": 0}, "weight must be above zero"),
        ):
            with pytest.raises(DataError, match=words):
                fs.serve(source, "1T", **given)
        with pytest.raises(ModelError, match=r"\d+ of 4000 draws of besiroglu2024 never reach a loss of 1\.8"):
            fs.serve(source, "1T", loss=1.8)
        with pytest.raises(ModelError, match="cannot split compute"):
            fs.serve(fs.published("kaplan2020_n"), "1T", loss=2.0)
        with pytest.raises(ModelError, match="a single draw"):
            fs.serve(fs.published("hoffmann2022"), "1T", loss=2.0).probability(0.1)
        with pytest.raises(DataError, match="10 % is 0.1"):
            fs.serve(source, "1T", compute=1e23).probability(10)


def test_the_figure_is_the_table(source):
    found = fs.serve(source, ["1T", "10T", "100T"], compute="5.76e23")
    for quantity in ("saving", "n_params"):
        ax = plot_serving(found, Figure(layout="constrained").add_subplot(), quantity=quantity)
        rows = found.table().query("quantity == @quantity")
        np.testing.assert_allclose(ax.lines[0].get_ydata(), rows["median"])
        assert "90 % equal-tailed" in ax.get_legend().get_texts()[1].get_text()
    with pytest.raises(DataError, match="no 'loss' to draw"):
        plot_serving(found, quantity="loss")
    with pytest.raises(DataError, match="one demand is a point"):
        plot_serving(fs.serve(source, "1T", compute=1e23))


@pytest.mark.usefixtures("eighty_columns")
def test_the_command():
    words = ["serve", "besiroglu2024", "--compute", "5.76e23", "--demand", "1T,10T", "--saving", "0.2"]
    page = call(*words).stdout
    check_page(page)
    assert re.search(r"\n +10T .+ 0\.99\n|\n +10T .+ 1\.00\n", page)
    found = fs.serve(fs.published("besiroglu2024"), ["1T", "10T"], compute="5.76e23")
    document = json.loads(call(*words, "--json").stdout)
    assert [row["median"] for row in document["rows"]] == list(found.table()["median"])
    assert [row["probability"] for row in document["savings"]] == list(found.probability(0.2)["probability"])
    assert call(*words, "--csv").stdout.startswith("demand,quantity")
    hardware = [
        "--training",
        "peak=1e15,utilisation=0.4,per_hour=2",
        "--serving",
        "peak=1e15,utilisation=0.1,per_hour=2",
    ]
    paid = call("serve", "hoffmann2022", "--loss", "2.0", "--demand", "1T", *hardware).stdout
    check_page(paid)
    assert "USD" in paid
    assert "priced at 4 of training" in " ".join(paid.split())
    assert "state one quality" in refused("serve", "besiroglu2024", "--demand", "1T")
