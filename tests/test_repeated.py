"""The data-constrained law: published numbers, its limits, tables with epochs, and the split of compute under a cap."""

import numpy as np
import pandas as pd
import pytest
from commandline import call
from toys import toy

import forescale as fs
from forescale import plots
from forescale.errors import DataError, ModelError
from forescale.laws import get_law
from forescale.verbs.allocate import allocate

LAW = get_law("data_constrained")
# https://github.com/huggingface/datablations, README: a, b, e, alpha, beta, rd_star, rn_star
PRINTED = {"E": np.exp(0.6254804), "A": np.exp(6.255414), "B": np.exp(7.3049974)}
PRINTED |= {"alpha": 0.3526596, "beta": 0.3526596, "R_D_star": 15.387756, "R_N_star": 5.309743}
UNEQUAL = {**PRINTED, "alpha": 0.33, "beta": 0.38}


def loss(n, d, u, values=PRINTED):
    return LAW({"n_params": n, "n_tokens": d, "unique_tokens": u}, values)


def test_the_published_card_holds_these_numbers():
    assert fs.published("muennighoff2023").values == pytest.approx(PRINTED, rel=1e-7)


def test_losses_that_the_authors_print():
    """In their README, beside the function: the two models of figure 1 on the right."""
    assert loss(6.34e9, 242e9, 25e9) == pytest.approx(2.2256440889984477, rel=1e-14)
    assert loss(8.67e9, 178e9, 25e9) == pytest.approx(2.2269634075087867, rel=1e-14)


@pytest.mark.parametrize("values", [PRINTED, UNEQUAL])
def test_new_tokens_and_no_excess_make_it_chinchilla(values):
    n, d = np.logspace(6, 9, 7), np.logspace(10, 12, 7)
    plain = get_law("chinchilla")({"n_params": n, "n_tokens": d}, values)
    for u in (d, 3 * d, np.inf):  # one epoch, a pool that is not used up, a pool without limit
        np.testing.assert_array_equal(loss(n, d, u, values), plain)
    # the partners: two epochs, and far more parameters
    assert np.all(loss(n, d, d / 2, values) > plain)
    assert np.all(loss(1e13, d, d, values) > get_law("chinchilla")({"n_params": 1e13, "n_tokens": d}, values))


@pytest.mark.parametrize("values", [PRINTED, UNEQUAL])
def test_excess_begins_where_chinchilla_is_compute_optimal(values):
    """No parameter is in excess at the split that the base law calls optimal, and one percent more are."""
    A, B, alpha, beta = (values[name] for name in ("A", "B", "alpha", "beta"))
    g = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    c = np.logspace(18, 24, 7) / 6
    n, d = g * c ** (beta / (alpha + beta)), c ** (alpha / (alpha + beta)) / g
    plain = get_law("chinchilla")
    np.testing.assert_allclose(loss(n, d, d, values), plain({"n_params": n, "n_tokens": d}, values), rtol=1e-13)
    more = {"n_params": 1.01 * n, "n_tokens": d}
    assert np.all(loss(1.01 * n, d, d, values) > plain(more, values) * (1 + 1e-9))


def test_worth_of_repeats_and_its_ends():
    """The first repeats are worth what new tokens are; all of them together, R_D* times the pool."""
    pool, n = 1e9, 1e6
    left = loss(n, pool * np.array([1.001, 1e6]), pool) - PRINTED["E"] - PRINTED["A"] / n ** PRINTED["alpha"]
    worth = (left / PRINTED["B"]) ** (-1 / PRINTED["beta"]) / pool
    np.testing.assert_allclose(worth, [1.001, 1 + PRINTED["R_D_star"]], rtol=1e-6)


def test_complex_steps_see_the_parameters_that_are_in_excess():
    """N_opt moves with A, B, alpha and beta: a slope that left it out would be off here."""
    n, d, u = 8e10, 2e11, 2e10
    for name, value in UNEQUAL.items():
        step = 1e-5 * value
        ends = [loss(n, d, u, {**UNEQUAL, name: np.float64(value + side)}) for side in (-step, step)]
        analytic = loss(n, d, u, {**UNEQUAL, name: np.complex128(value + 1e-20j)}).imag / 1e-20
        assert analytic == pytest.approx((ends[1] - ends[0]) / (2 * step), rel=1e-6)


def test_slope_is_continuous_where_repeats_and_excess_begin():
    step = 1e-4
    for at in ({"d": 1.0}, {"n": 1.0}):
        d0 = 1e10
        a = (PRINTED["A"] / PRINTED["B"]) ** (1 / (2 * PRINTED["alpha"]))
        n0 = a * a * d0

        def along(x, at=at, d0=d0, n0=n0):
            return np.log(loss(n0 * np.exp(x * at.get("n", 0)), d0 * np.exp(x * at.get("d", 0)), d0))

        left, right = (along(0) - along(-step)) / step, (along(step) - along(0)) / step
        assert left == pytest.approx(right, rel=2e-3)


def drawn(law="data_constrained", draws=60, seed=4):
    """Draws about the printed values, wider than a posterior."""
    rng = np.random.default_rng(seed)
    spread = {"E": 0.05, "A": 0.3, "B": 0.3, "alpha": 0.05, "beta": 0.05, "R_D_star": 0.5, "R_N_star": 0.5}
    law = get_law(law)
    values = {name: PRINTED[name] * np.exp(spread[name] * rng.standard_normal(draws)) for name in law.parameters}
    return toy(law.name, **values)


def test_allocation_that_the_authors_print():
    """Their README, by a grid of steps of 0.4 percent: 227B tokens, 9.1 epochs and 6.8B parameters."""
    source, budget = toy("data_constrained", **PRINTED), 6 * 8.67e9 * 178e9
    found = allocate(source, budget, unique_tokens="25B").draws.squeeze()
    assert float(found["n_tokens"]) == pytest.approx(227e9, rel=0.005)
    assert float(found["epochs"]) == pytest.approx(9.1, rel=0.005)
    assert float(found["n_params"]) == pytest.approx(6.8e9, rel=0.005)


@pytest.mark.parametrize("pool", [1e9, 1e12])
def test_allocation_is_the_lowest_of_a_fine_grid(pool):
    source = drawn()
    budgets = 6 * 0.05 * pool**2 * np.array([0.1, 1, 10, 100])  # 0.05 parameters a token are about N_opt
    found = allocate(source, budgets, unique_tokens=pool).draws
    at = {name: source.posterior[name].to_numpy()[..., None, None] for name in LAW.parameters}
    n = np.logspace(5, 14, 4001)
    by_grid = LAW({"n_params": n, "n_tokens": budgets[:, None] / (6 * n), "unique_tokens": pool}, at)
    assert np.all(found["loss"].to_numpy() <= by_grid.min(-1) * (1 + 1e-12))
    assert np.all(found["loss"].to_numpy() > by_grid.min(-1) * (1 - 1e-5))
    np.testing.assert_allclose(np.log(found["n_params"]), np.log(n[by_grid.argmin(-1)]), atol=0.02)
    np.testing.assert_allclose(found["epochs"] * pool, found["n_tokens"], rtol=1e-12)


def test_without_a_limit_the_allocation_is_chinchillas():
    source, budgets = drawn(), np.array([1e19, 1e22, 1e25])
    plain = allocate(drawn("chinchilla"), budgets).draws
    for pool in (float("inf"), "inf", "1e18"):
        found = allocate(source, budgets, unique_tokens=pool).draws
        np.testing.assert_allclose(found["n_params"], plain["n_params"], rtol=1e-4)
        np.testing.assert_allclose(found["loss"], plain["loss"], rtol=1e-12)
    # the partner: with 200B different tokens, enough for the least budget, the largest is spent otherwise
    capped = allocate(source, budgets, unique_tokens="200B").draws
    np.testing.assert_allclose(capped["n_params"][..., 0], plain["n_params"][..., 0], rtol=1e-4)
    dearer = (capped["loss"] / plain["loss"])[..., 2]
    assert dearer.min() > 1
    assert dearer.median() > 1.005


def test_compute_that_the_tokens_cannot_use_is_told():
    with pytest.warns(fs.ForescaleWarning, match=r"1B different tokens are used up in .* draws at 1e25 FLOPs: a quar"):
        allocate(drawn(), [1e19, 1e25], unique_tokens="1B")


def test_allocation_says_epochs():
    found = allocate(drawn(), ["1e21", "1e23"], unique_tokens="20B")
    assert set(found.table()["quantity"]) == {"n_params", "n_tokens", "tokens_per_param", "loss", "epochs"}
    assert ", epochs " in repr(found)
    plain = allocate(drawn("chinchilla"), "1e21")
    assert "epochs" not in repr(plain)
    assert "epochs" not in set(plain.table()["quantity"])


def test_refusals_say_what_to_do():
    with pytest.raises(ModelError, match=r"unique_tokens='100B'"):
        allocate(drawn(), 1e21)
    with pytest.raises(ModelError, match="fit data_constrained"):
        allocate(drawn("chinchilla"), 1e21, unique_tokens="20B")
    for bad in (0, "-1", "many", float("nan")):
        with pytest.raises(DataError, match="unique_tokens"):
            allocate(drawn(), 1e21, unique_tokens=bad)
    with pytest.raises(DataError, match="missing: unique_tokens"):
        fs.forecast(drawn(), n_params="1B", n_tokens="20B")
    with pytest.raises(ModelError, match="has no input n_layers"):
        LAW.given(n_layers=3)


def test_forecast_of_points_with_unique_tokens():
    source = toy("data_constrained", **PRINTED)
    found = fs.forecast(source, n_params="6.34B", n_tokens="242B", unique_tokens=["25B", "242B"]).table()
    assert found["median"][0] == pytest.approx(2.2256440889984477)
    assert found["median"][1] < found["median"][0]


TABLE = {"params": [1e8, 1e9, 3e9], "tokens": ["2B", "20B", "60B"], "loss": [3.5, 2.9, 2.7]}


def test_epochs_make_unique_tokens():
    runs = fs.Observations.from_frame(pd.DataFrame({**TABLE, "epochs": [1, 4, 2.5]}))
    np.testing.assert_allclose(runs.column("unique_tokens"), [2e9, 5e9, 24e9])
    assert any("derived from n_tokens and epochs" in note for note in runs.notes)
    told = fs.Observations.from_frame(
        pd.DataFrame({**TABLE, "unique_tokens": ["1B", "20B", "70B"], "epochs": [1, 4, 2]})
    )
    np.testing.assert_allclose(told.column("unique_tokens"), [1e9, 20e9, 70e9])  # as told; more than seen is allowed
    with pytest.raises(DataError, match="epochs must be above zero"):
        fs.Observations.from_frame(pd.DataFrame({**TABLE, "epochs": [0, 4, 2]}))
    words = fs.Observations.from_frame(pd.DataFrame({**TABLE, "epochs": ["one", "two", "two"]}))
    assert "unique_tokens" not in words.columns


def test_a_table_without_unique_tokens_is_refused_and_told_how():
    runs = fs.Observations.from_frame(pd.DataFrame(TABLE))
    with pytest.raises(DataError, match="needs unique_tokens.*n_tokens / epochs"):
        fs.load_model("data_constrained").check(runs)


def test_command_line(eighty_columns):
    page = call("allocate", "muennighoff2023", "--compute", "9.26e21", "--unique-tokens", "25B")
    assert "epochs" in page.stdout
    assert "9.07" in page.stdout
    assert max(map(len, page.stdout.splitlines())) <= 80
    asked = call("sensitivity", "muennighoff2023", "--compute", "9.26e21", "--unique-tokens", "25B").stdout
    assert "25B\ndifferent tokens" in asked
    assert "R_N_star" in asked
    assert "--unique-tokens 100B" in call("allocate", "muennighoff2023", "--compute", "1e21", code=2).stderr


def test_what_a_split_under_a_cap_hangs_on():
    """Elasticities of N* against allocations of draws nudged by a little; the cap moves them, and no cap does not."""
    source, budget, pool = drawn(), 9e22, "25B"
    found = fs.sensitivity(source, "n_params", compute=budget, unique_tokens=pool)
    assert "25B different tokens" in repr(found)
    draws = found.draws["elasticity"].isel(at=0)
    for name in ("alpha", "R_D_star", "R_N_star"):
        nudged = [drawn(), drawn()]
        for one, factor in zip(nudged, (np.exp(-0.01), np.exp(0.01)), strict=True):
            one.posterior[name] = one.posterior[name] * factor
        low, high = (np.log(allocate(one, budget, unique_tokens=pool).draws["n_params"].squeeze()) for one in nudged)
        np.testing.assert_allclose(draws.sel(parameter=name).squeeze(), (high - low) / 0.02, rtol=0.02, atol=2e-4)
    free = fs.sensitivity(source, "n_params", compute=budget, unique_tokens="inf").draws["elasticity"].isel(at=0)
    # all but nothing: without a cap parameters are in excess just above the optimum, where differences still reach
    assert np.abs(free.sel(parameter=["R_D_star", "R_N_star"])).max() < 0.005
    assert np.abs(draws.sel(parameter="R_D_star")).median() > 0.05  # the partner
    with pytest.raises(ModelError, match="every token is new"):
        fs.sensitivity(drawn("chinchilla"), "n_params", compute=budget, unique_tokens=pool)


def test_what_it_costs_to_take_repeats_for_new_tokens():
    """The split that the base law calls best, judged by the law: dear under a cap, and free without one."""
    source = toy(LAW.name, **PRINTED)
    base = toy("chinchilla", **{name: PRINTED[name] for name in get_law("chinchilla").parameters})
    price = [
        float(fs.regret(source, "9e22", like=one, unique_tokens=pool).draws["wasted_compute"].squeeze())
        for one, pool in ((base, "25B"), (base, "inf"), (source, "25B"))
    ]
    assert price[0] > 20
    assert price[1:] == pytest.approx([0, 0], abs=1e-3)  # right without a cap, and who knows the cap wastes nothing
    with pytest.raises(ModelError, match="unique_tokens='100B'"):
        fs.regret(source, "9e22", like=base)


def test_figure_of_epochs_draws_the_allocation():
    budgets = np.geomspace(1e20, 1e22, 3)
    capped, free = (allocate(drawn(), budgets, unique_tokens=pool) for pool in ("25B", "inf"))
    ax = plots.plot_epochs(capped, without=free)
    panels = dict(zip(("epochs", "n_params", "loss"), ax.child_axes, strict=True))
    for quantity, panel in panels.items():
        rows = capped.table().set_index("quantity").loc[quantity]
        np.testing.assert_allclose(panel.lines[0].get_ydata(), rows["median"])
        assert len(panel.collections) == 1
    beside = panels["epochs"].lines[1].get_ydata()
    np.testing.assert_allclose(beside, free.draws["n_tokens"].median(("chain", "draw")) / 25e9)
    assert ax.get_legend().get_texts()[0].get_text() == "25B different tokens"
    single = allocate(toy(LAW.name, **PRINTED), budgets, unique_tokens="25B")
    assert not plots.plot_epochs(single).child_axes[0].collections
    for bad in (free, allocate(drawn("chinchilla"), budgets)):
        with pytest.raises(DataError, match="without limit"):
            plots.plot_epochs(bad)
    with pytest.raises(DataError, match="two budgets"):
        plots.plot_epochs(allocate(drawn(), 1e21, unique_tokens="25B"))
