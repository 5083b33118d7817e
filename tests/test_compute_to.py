"""What a loss takes: a root of the law along its best splits, infinite where the law never gets there."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import xarray as xr
from commandline import call, check_page, refused
from made_fits import CHINCHILLA, made_fit
from matplotlib.figure import Figure
from scipy.stats import norm
from toys import Toy, drawn_toy, toy

import forescale as fs
from forescale.errors import DataError, ModelError
from forescale.laws import LAWS
from forescale.numbers.optimum import MOST_FLOPS, log_compute_to
from forescale.plots import plot_compute_to
from forescale.units import SixND

TRUTH = {"E": 1.8, "A": 470.0, "B": 1900.0, "alpha": 0.345, "beta": 0.36}
SPLITTERS = sorted(name for name, law in LAWS.items() if set(law.inputs) == {"n_params", "n_tokens"})


@pytest.fixture(scope="module")
def source():
    return fs.published("besiroglu2024")


def test_hoffmann_et_al_s_law_has_a_closed_form():
    """L* - E = S0 (C/6)^-s with s = alpha beta / (alpha + beta)."""
    A, B, alpha, beta = (TRUTH[name] for name in ("A", "B", "alpha", "beta"))
    G = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    scale = A * G**-alpha + B * G**beta
    losses = np.array([2.5, 2.0, 1.81])
    expected = 6 * (scale / (losses - TRUTH["E"])) ** ((alpha + beta) / (alpha * beta))
    found = fs.compute_to(toy("chinchilla", **TRUTH), losses).draws
    np.testing.assert_allclose(found["compute"].squeeze(), expected, rtol=1e-8)
    np.testing.assert_allclose(6 * found["n_params"] * found["n_tokens"], found["compute"])


@pytest.mark.parametrize("cost", ["6ND", "6ND+attention"])
@pytest.mark.parametrize("law", SPLITTERS)
def test_the_best_split_of_what_a_loss_takes_has_that_loss(law, cost):
    rng = np.random.default_rng(2)

    def about(value):
        return lambda shape: value * np.exp(0.05 * rng.standard_normal(shape))

    made = drawn_toy(
        law,
        (1, 5),
        exponent=about(0.3),
        effect=lambda size, shape: about(0.4)(shape),
        floor=about(1.5),
        coupling=about(0.6),
    )
    flops = np.array([1e20, 1e24])
    along = fs.allocate(made, flops, cost=cost).draws
    for place in range(2):
        losses = along["loss"].isel(budget=place).to_numpy().ravel()
        taken = fs.compute_to(made, losses, cost=cost).draws["compute"].squeeze("chain").to_numpy()
        np.testing.assert_allclose(np.diag(taken), flops[place], rtol=1e-6)


def test_search_finds_the_closed_form(source):
    values = {name: source.posterior[name].to_numpy()[:, :50, None] for name in source.law.parameters}
    losses = np.log([2.2, 1.95])
    closed, found = (log_compute_to(source.law, SixND(), losses, values, closed=how) for how in (True, False))
    np.testing.assert_allclose(found, closed, atol=1e-6)


def test_repeated_tokens_put_a_loss_out_of_reach():
    source = fs.published("muennighoff2023")
    new, few = (
        fs.compute_to(source, [2.2, 2.0], unique_tokens=pool).draws["compute"].squeeze() for pool in ("inf", "10B")
    )
    assert np.isfinite(new).all()
    assert few[1] == np.inf
    assert few[0] > new[0]
    again = fs.allocate(source, new[0].item(), unique_tokens="inf").draws["loss"].item()
    assert again == pytest.approx(2.2, rel=1e-6)


def test_what_is_below_the_floor_is_never_reached_and_counts_as_infinite():
    floors = np.linspace(1.7, 1.9, 101)
    found = fs.compute_to(toy("chinchilla", **TRUTH | {"E": floors}), [2.1, 1.8, 1.6])
    compute = found.draws["compute"].squeeze("chain").transpose("loss", "draw").to_numpy()
    assert (np.isinf(compute[1]) == (floors > 1.8 - 1e-3)).mean() > 0.97
    assert np.isinf(compute[1][floors >= 1.8]).all()
    assert (compute[np.isfinite(compute)] <= MOST_FLOPS).all()
    assert found.never.to_numpy() == pytest.approx([0, np.isinf(compute[1]).mean(), 1])
    table = found.table(0.9).query("quantity == 'compute'").set_index("loss")
    assert np.isfinite(table.loc[1.8, "lower"])
    assert np.isinf(table.loc[1.8, "upper"])
    assert np.isinf(table.loc[1.6, "lower"])
    assert "never in 100 % of draws" in repr(found)


def test_a_probability_is_the_share_of_draws_whose_split_gets_there(source):
    found = fs.compute_to(source, [1.95, 1.85])
    table = found.probability(["1e24", "1e27"])
    for row in table.to_dict("records"):
        loss = fs.allocate(source, row["flops"]).draws["loss"]
        assert row["probability"] == float((loss <= row["loss"]).mean())
    assert 0.1 < table["probability"].iloc[0] < 0.9
    with pytest.raises(DataError, match="compute must be above zero"):
        found.probability(0)


@pytest.mark.parametrize(("narrower", "covers"), [(1.0, True), (0.4, False)])
def test_bands_cover_what_a_known_law_takes(narrower, covers):
    """A floor known to 0.02 nats, 300 times; bands of draws that are too narrow, the partner, do not cover."""
    rng = np.random.default_rng(4)
    truth = fs.compute_to(toy("chinchilla", **TRUTH), 2.0).draws["compute"].item()
    seen = TRUTH["E"] + 0.02 * rng.standard_normal(300)
    draws = seen[:, None] + narrower * 0.02 * rng.standard_normal((300, 400))
    parts = {name: (("chain", "draw"), np.full(draws.shape, value)) for name, value in TRUTH.items()}
    parts["E"] = (("chain", "draw"), draws)
    compute = fs.compute_to(Toy(LAWS["chinchilla"], xr.Dataset(parts)), 2.0).draws["compute"].squeeze("loss")
    low, high = compute.quantile([0.05, 0.95], "draw", method="inverted_cdf")
    share = float(((low <= truth) & (truth <= high)).mean())
    assert bool(abs(share - 0.9) < 3 * np.sqrt(0.9 * 0.1 / 300)) is covers


class TestOfARun:
    """Kind "run": curve, drift and noise, one draw of each for all budgets."""

    def test_of_noise_alone_it_has_a_closed_form(self):
        """A run of a known law has L* where the curve has L* e^-e: quantiles of e go over into those of C."""
        truth = {**CHINCHILLA, "sigma": 0.01}
        fit = made_fit(fs.load_model("chinchilla").with_discrepancy(None).with_noise("normal"), truth, spread=1e-9)
        found = fs.compute_to(fit, 2.2, kind="run", random_seed=2).draws["compute"].squeeze("loss").to_numpy().ravel()
        curve = toy("chinchilla", **TRUTH)
        for q in (0.25, 0.5, 0.75):
            at = 2.2 * np.exp(0.01 * norm.ppf(q))
            expected = fs.compute_to(curve, at).draws["compute"].item()
            error = 1.25 * np.sqrt(q * (1 - q) / found.size) / norm.pdf(norm.ppf(q)) * 0.01  # of log loss
            slope = np.log(fs.compute_to(curve, at * 1.01).draws["compute"].item() / expected) / np.log(1.01)
            assert np.log(np.quantile(found, 1 - q) / expected) == pytest.approx(0, abs=4 * abs(slope) * error)

    def test_its_probability_is_that_of_a_planned_run(self):
        """How often the curve of a run has come down by a budget is how often a run of that budget has the loss."""
        fit = made_fit(fs.load_model("chinchilla"), CHINCHILLA, draws=2000)
        budgets = np.array([1e22, 1e24, 1e26])
        sizes = fs.allocate(fit, budgets).draws["n_params"].median(("chain", "draw")).to_numpy()
        planned = fs.forecast(fit, n_params=sizes, n_tokens=budgets / 6 / sizes, random_seed=3)
        losses = planned.draws["run"].median(("chain", "draw")).to_numpy()
        run, mean = (fs.compute_to(fit, losses, kind=kind, random_seed=1) for kind in ("run", "mean"))
        wanted = planned.probability(losses, kind="run")["probability"].to_numpy().reshape(3, 3).T
        got = run.probability(budgets)["probability"].to_numpy().reshape(3, 3)
        np.testing.assert_allclose(got, wanted, atol=0.04)
        # the partner: of the law's curve alone budgets are all but surely enough, or not, beyond the data
        assert np.abs(mean.probability(budgets)["probability"].to_numpy().reshape(3, 3) - wanted).max() > 0.2
        ends = [np.log(found.draws["compute"].isel(loss=1)).quantile([0.25, 0.75]) for found in (run, mean)]
        assert ends[0][1] - ends[0][0] > 2 * (ends[1][1] - ends[1][0])
        assert "of a new run: the law's curve, drift beyond the data and noise)" in repr(run)
        # and what decides is how far the run strays, which the law's parameters do not know
        needs = run.conditions(1e24).set_index("parameter").query("loss == @losses[1]")
        (first,) = needs.index[:1]
        assert (first, needs.loc[first, "side"]) == ("run above the curve, %", "below")
        assert needs.loc[first, "if_reached"] < needs.loc[first, "threshold"] < needs.loc[first, "if_missed"]
        assert needs.loc[first, "told"] > 0.9 > needs["told"].iloc[1]
        assert first not in set(mean.conditions(1e24)["parameter"])

    def test_draws_that_cannot_split_the_least_budgets_are_no_obstacle(self):
        """Few draws may have no best split; a median does not mind them."""
        fit = made_fit(fs.load_model("chinchilla"), CHINCHILLA)
        odd = fit.posterior["A"].copy()
        odd[0, 0] = 1e-9
        fit = replace(fit, posterior=fit.posterior.assign(A=odd))
        with pytest.raises(ModelError, match="1 of 200 draws"):
            fs.allocate(fit, 1e18)
        assert np.isfinite(fs.compute_to(fit, 2.2, kind="run").draws["compute"].median())

    def test_what_has_no_run_is_refused(self, source):
        with pytest.raises(ModelError, match="no noise model"):
            fs.compute_to(source, 2.0, kind="run")
        with pytest.raises(DataError, match="'mean' or 'run', not 'both'"):
            fs.compute_to(source, 2.0, kind="both")
        fit = made_fit(fs.load_model("chinchilla"), CHINCHILLA)
        with pytest.raises(DataError, match="most runs of 1"):
            fs.compute_to(fit, 1e3, kind="run")


class TestConditions:
    def test_the_parameter_that_decides_tells_all_draws(self):
        rng = np.random.default_rng(0)
        floors = 1.8 + 0.05 * rng.standard_normal(400)
        other = 470 * np.exp(1e-3 * rng.standard_normal(400))
        found = fs.compute_to(toy("chinchilla", **TRUTH | {"E": floors, "A": other}), 1.9)
        table = found.conditions(1e25)
        first = table.iloc[0]
        assert [first["parameter"], first["side"]] == ["E", "below"]
        assert first["told"] > 0.98
        reached = found.draws["compute"].to_numpy().ravel() <= 1e25
        assert first["probability"] == reached.mean()
        assert first["if_reached"] == np.median(floors[reached])
        assert first["if_missed"] == np.median(floors[~reached])
        assert first["shift_sd"] == pytest.approx((first["if_reached"] - first["if_missed"]) / floors.std())
        assert abs(floors[reached].max() - first["threshold"]) < 5e-3
        rest = table.set_index("parameter")
        assert rest.loc["A", "told"] < 0.6
        assert rest.loc["beta", ["told", "shift_sd"]].tolist() == [0.5, 0.0]

    def test_a_threshold_is_the_best_of_all(self, source):
        found = fs.compute_to(source, 1.95)
        reached = found.draws["compute"].squeeze("loss").to_numpy().ravel() <= 1e24
        for row in found.conditions(1e24).to_dict("records"):
            values = source.posterior[row["parameter"]].to_numpy().ravel()
            sign = 1 if row["side"] == "below" else -1

            def right(limit, values=values, sign=sign):
                under = values <= limit if sign > 0 else values > limit
                return (under[reached].mean() + (~under)[~reached].mean()) / 2

            assert right(row["threshold"]) == pytest.approx(row["told"])
            assert max(map(right, np.quantile(values, np.linspace(0, 1, 101)))) <= row["told"] + 1e-12

    def test_where_all_draws_agree_there_is_no_contrast(self, source):
        table = fs.compute_to(source, [2.5, 1.5]).conditions(1e24)
        assert table["probability"].tolist() == [1.0] * 5 + [0.0] * 5
        assert table[["if_reached", "if_missed", "shift_sd", "threshold", "told"]].isna().all(axis=None)


def test_a_planned_run_gets_there_with_a_probability_of_each_kind(source):
    found = fs.forecast(source, n_params=["70B", "7B"], n_tokens=["1.4T", "140B"])
    table = found.probability([2.0, 1.9])
    assert list(table) == ["n_params", "n_tokens", "kind", "loss", "probability"]
    for row in table.to_dict("records"):
        point = 0 if row["n_params"] == 70e9 else 1
        assert row["probability"] == float((found.draws[row["kind"]].isel(point=point) <= row["loss"]).mean())
    with pytest.raises(ModelError, match="no noise model"):
        found.probability(2.0, kind="run")
    with pytest.raises(ModelError, match="a single draw"):
        fs.forecast(fs.published("hoffmann2022"), n_params="70B", n_tokens="1.4T").probability(2.0)


def test_a_new_run_is_less_sure_than_the_curve():
    """Losses that the curve is sure of, above and below it, with the drift and noise of a new run."""
    fit = made_fit(fs.load_model("chinchilla"), CHINCHILLA, spread=1e-4)
    found = fs.forecast(fit, n_params="70B", n_tokens="1.4T", random_seed=1)
    middle = float(found.draws["mean"].median())
    chance = found.probability([1.02 * middle, 0.98 * middle]).pivot(index="kind", columns="loss", values="probability")
    assert chance.loc["mean"].tolist() == [0, 1]
    assert 0 < chance.loc["run"].iloc[0] < chance.loc["run"].iloc[1] < 1


class TestHardware:
    def test_a_bill_is_arithmetic(self):
        cluster = fs.Accelerator(peak=1e15, utilisation=0.5, per_hour=2.0, watts=700, count=1000, currency="EUR")
        bill = cluster.bill(np.array([1.8e18 * 24_000]))
        assert {name: float(value[0]) for name, value in bill.items()} == pytest.approx(
            {"accelerator_hours": 24_000, "money": 48_000, "energy": 16_800, "days": 1.0}
        )
        assert cluster.units["money"] == "EUR"
        assert list(fs.Accelerator(peak=1e15, utilisation=0.5).bill(1.0)) == ["accelerator_hours"]

    def test_a_bill_comes_with_what_a_loss_takes(self, source):
        cluster = fs.Accelerator(peak=1e15, utilisation=0.5, per_hour=2.0)
        found = fs.compute_to(source, [1.95, 1.5], on=cluster)
        np.testing.assert_allclose(found.draws["money"], found.draws["compute"] * cluster.money_per_flop)
        assert np.isinf(found.draws["money"].sel(loss=1.5)).all()
        assert "USD" in repr(found)
        assert set(found.table()["quantity"]) == {"compute", "n_params", "n_tokens", "accelerator_hours", "money"}

    @pytest.mark.parametrize(
        ("stated", "words"),
        [
            ({"peak": 0, "utilisation": 0.4}, "peak of an accelerator is a number above zero, not 0"),
            ({"peak": 1e15, "utilisation": 40}, "at most 1"),
            ({"peak": 1e15, "utilisation": 0.4, "watts": -1}, "watts of an accelerator"),
        ],
    )
    def test_hardware_that_is_none(self, stated, words):
        with pytest.raises(DataError, match=words):
            fs.Accelerator(**stated)
        with pytest.raises(DataError, match="no price"):
            _ = fs.Accelerator(peak=1e15, utilisation=0.4).money_per_flop


def test_what_cannot_be_asked_is_refused(source):
    single = fs.compute_to(fs.published("hoffmann2022"), 2.0)
    for ask in (lambda: single.probability(1e24), lambda: single.conditions(1e24), lambda: plot_compute_to(single)):
        with pytest.raises(ModelError, match="a single draw"):
            ask()
    with pytest.raises(DataError, match="takes no training: one parameter and one token have it"):
        fs.compute_to(source, 1e6)
    with pytest.raises(DataError, match="loss must be above zero"):
        fs.compute_to(source, -1)
    with pytest.raises(ModelError, match="cannot split compute"):
        fs.compute_to(fs.published("kaplan2020_n"), 2.0)
    with pytest.raises(ModelError, match="unique_tokens"):
        fs.compute_to(fs.published("muennighoff2023"), 2.0)


def test_the_figure_is_the_probability(source):
    found = fs.compute_to(source, [1.95, 1.85])
    ax = plot_compute_to(found, Figure(layout="constrained").add_subplot())
    for line, loss in zip(ax.lines, (1.95, 1.85), strict=True):
        asked = found.probability(line.get_xdata())
        expected = asked[asked["loss"] == loss]["probability"]
        np.testing.assert_allclose(line.get_ydata(), expected)
    told = [text.get_text() for text in ax.get_legend().get_texts()]
    assert told[0].startswith("1.95 nats: ")
    with pytest.raises(DataError, match="no loss is reached"):
        plot_compute_to(fs.compute_to(source, 1.2))
    with pytest.raises(DataError, match="7 losses"):
        plot_compute_to(fs.compute_to(source, np.linspace(1.9, 2.2, 7)))


@pytest.mark.usefixtures("eighty_columns")
class TestCommand:
    def test_the_page_has_what_it_takes_and_what_would_have_to_be_true(self):
        words = ["compute-to", "besiroglu2024", "--loss", "1.95,1.3", "--compute", "1e24", "--at", "70B,1.4T"]
        words += ["--on", "peak=989T,utilisation=0.4,per_hour=2,watts=1000,count=1024"]
        page = call(*words).stdout
        check_page(page)
        assert re.search(r"\n +1.3 +never +never +never +100 %\n", page)
        assert "What would have to be true for 1e24 FLOPs to reach 1.95" in page
        assert re.search(r"\n E .+ below 1\.8\d +0\.\d\d\n", page)
        found = fs.compute_to(fs.published("besiroglu2024"), [1.95, 1.3])
        document = json.loads(call(*words, "--json").stdout)
        medians = [row["median"] for row in document["rows"] if row["quantity"] == "compute"]
        assert medians == [found.table()["median"].iloc[0], None]
        assert [row["probability"] for row in document["budgets"]] == list(found.probability(1e24)["probability"])
        assert document["conditions"][0]["parameter"] == "E"
        assert document["units"]["energy"] == "kWh"
        assert len(document["plans"]) == 2
        assert call(*words, "--csv").stdout.startswith("loss,never,quantity")

    def test_a_single_draw_has_no_bands(self):
        page = call("compute-to", "hoffmann2022", "--loss", "2.0").stdout
        check_page(page)
        assert "No bands" in page

    def test_what_cannot_be_asked_is_one_line(self):
        loss = ["compute-to", "besiroglu2024", "--loss", "2.0"]
        assert "a single draw" in refused("compute-to", "hoffmann2022", "--loss", "2.0", "--compute", "1e24")
        assert "hardware has utilisation too" in refused(*loss, "--on", "peak=989T")
        assert "price is none of them" in refused(*loss, "--on", "peak=989T,utilisation=0.4,price=2")
        assert "NAME=VALUE" in refused(*loss, "--on", "H100")
