"""The compute-optimal split: closed form, search, a grid and printed numbers must tell the same."""

import numpy as np
import pytest
import xarray as xr
from toys import Toy, drawn_toy, toy

from forescale.errors import DataError, ModelError
from forescale.laws import LAWS
from forescale.units import SixNDAttention, cost_model
from forescale.verbs.allocate import allocate

SPLITTERS = sorted(name for name, law in LAWS.items() if set(law.inputs) == {"n_params", "n_tokens"})
CLOSED = [name for name in SPLITTERS if LAWS[name].sum_of_powers]
BUDGETS = np.array([1e18, 1e21, 5.76e23])

HOFFMANN = {"E": 1.69, "A": 406.4, "B": 410.7, "alpha": 0.34, "beta": 0.28}
UNROUNDED = {
    "E": np.exp(0.5267228),
    "A": np.exp(6.0073404),
    "B": np.exp(6.0179186),
    "alpha": 0.33917084,
    "beta": 0.2849083,
}
BESIROGLU = {"E": 1.81686, "A": 482.006, "B": 2085.434, "alpha": 0.34781, "beta": 0.36585}


def random_toy(law: str, draws: int = 200, seed: int = 1) -> Toy:
    """Draw parameters far wider than any posterior, in 2 chains."""
    rng = np.random.default_rng(seed)
    return drawn_toy(
        law,
        (2, draws // 2),
        exponent=lambda shape: rng.uniform(0.15, 0.5, shape),
        effect=lambda _, shape: np.exp(rng.uniform(np.log(0.1), np.log(1.0), shape)),
        floor=lambda shape: rng.uniform(0.5, 2.5, shape),
        coupling=lambda shape: rng.uniform(0.2, 1.0, shape),
    )


def loss_at(source: Toy, n_params, flops, cost="6ND"):
    tokens = cost_model(cost).n_tokens(flops, n_params)
    return source.law({"n_params": n_params, "n_tokens": tokens}, source.posterior)


def moved(source: Toy, draws: xr.Dataset, factor: float, cost="6ND"):
    """Loss at a size other than the optimal by a factor, on the same budget line."""
    return loss_at(source, draws["n_params"] * factor, draws["budget"], cost)


def flatness(source: Toy, draws: xr.Dataset, step: float = 0.05):
    """Curvature d^2 L / d log N^2 along the budget line at the optimum."""
    sides = moved(source, draws, np.exp(step)) + moved(source, draws, np.exp(-step))
    return (sides - 2 * draws["loss"]) / step**2


@pytest.mark.parametrize("law", CLOSED)
def test_search_finds_the_closed_form(law):
    source = random_toy(law)
    closed = allocate(source, BUDGETS, method="closed").draws
    found = allocate(source, BUDGETS, method="search").draws
    np.testing.assert_allclose(found["loss"], closed["loss"], rtol=1e-14)
    # Losses within a rounding of the lowest cannot be told apart: |log N - log N*| < sqrt(2 k eps L / L''),
    # with k = 4 roundings for the law's own; the search stops at sqrt(eps) |log N|.
    eps = np.finfo(float).eps
    allowed = np.sqrt(2 * 4 * eps * closed["loss"] / flatness(source, closed))
    allowed = allowed + 2 * np.sqrt(eps) * np.log(closed["n_params"])
    assert float(allowed.max()) < 1e-4
    error = abs(np.log(found["n_params"]) - np.log(closed["n_params"]))
    assert bool((error < allowed).all())


@pytest.mark.parametrize("cost", ["6ND", "6ND+attention"])
@pytest.mark.parametrize("law", SPLITTERS)
def test_a_perturbed_size_is_worse(law, cost):
    source = random_toy(law)
    best = allocate(source, BUDGETS, cost=cost).draws
    for factor in (0.5, 0.99, 1.01, 2.0):
        assert bool((moved(source, best, factor, cost) > best["loss"]).all())


@pytest.mark.parametrize("cost", ["6ND", "6ND+attention", SixNDAttention(n_ctx=131072)])
@pytest.mark.parametrize("law", SPLITTERS)
def test_no_point_of_a_fine_grid_is_better(law, cost):
    source = random_toy(law, draws=4)
    for flops in BUDGETS:
        best = allocate(source, flops, cost=cost).draws.isel(budget=0)
        top = cost_model(cost).n_params(flops, 1.0)
        grid = xr.DataArray(np.geomspace(1.0, top, 100_001), dims="size")
        losses = loss_at(source, grid, flops, cost)
        assert bool((best["loss"] <= losses.min("size") * (1 + 1e-15)).all())
        nearest = grid[losses.argmin("size")]
        spacing = float(np.log(grid[1] / grid[0]))
        assert bool((abs(np.log(nearest / best["n_params"])) <= spacing).all())


@pytest.mark.parametrize(("parameters", "billions"), [(HOFFMANN, 32.19), (UNROUNDED, 40.36), (BESIROGLU, 72.35)])
@pytest.mark.parametrize("method", ["closed", "search"])
def test_optimum_of_printed_constants(parameters, billions, method):
    best = allocate(toy("chinchilla", **parameters), "5.76e23", method=method).draws
    assert best["n_params"].item() == pytest.approx(billions * 1e9, abs=5e6)
    assert (6 * best["n_params"] * best["n_tokens"]).item() == pytest.approx(5.76e23, rel=1e-12)
    assert best["tokens_per_param"].item() == pytest.approx((best["n_tokens"] / best["n_params"]).item(), rel=1e-12)


def test_exponents_of_printed_constants():
    table = allocate(toy("chinchilla", **BESIROGLU), 1e21).exponent_table().set_index("exponent")
    assert table.loc["a", "median"] == pytest.approx(0.513, abs=5e-4)  # as printed
    assert table.loc["b", "median"] == pytest.approx(1 - table.loc["a", "median"])


@pytest.mark.parametrize("law", CLOSED)
def test_exponents_are_the_slope_of_the_optimum(law):
    source = random_toy(law)
    closed = allocate(source, [1e20, 1e22])
    assert closed.exponents["a"].dims == ("chain", "draw")
    for name, size in (("a", "n_params"), ("b", "n_tokens")):
        slope = np.log(closed.draws[size]).diff("budget").isel(budget=0, drop=True) / np.log(100)
        np.testing.assert_allclose(closed.exponents[name], slope, rtol=1e-10)
    local = allocate(source, [1e20, 1e22], method="search").exponents
    assert local["a"].dims == ("chain", "draw", "budget")
    for name in ("a", "b"):
        everywhere = closed.exponents[name].expand_dims(budget=2, axis=-1)
        np.testing.assert_allclose(local[name], everywhere, atol=2e-5)


def test_attention_bends_the_exponents_and_vanishes_without_context():
    source = toy("chinchilla", **BESIROGLU)
    plain = allocate(source, BUDGETS)
    no_context = allocate(source, BUDGETS, cost=SixNDAttention(n_ctx=0))
    np.testing.assert_allclose(no_context.draws["n_params"], plain.draws["n_params"], rtol=1e-5)
    bent = allocate(source, BUDGETS, cost=SixNDAttention(n_ctx=131072))
    cost = SixNDAttention(n_ctx=131072)
    np.testing.assert_allclose(cost.flops(bent.draws["n_params"], bent.draws["n_tokens"])[0, 0], BUDGETS)
    slope = np.diff(np.log(bent.draws["n_params"][0, 0])) / np.diff(np.log(BUDGETS))
    local = bent.exponents["a"][0, 0].to_numpy()
    assert min(local) - 1e-3 < slope.min()
    assert slope.max() < max(local) + 1e-3
    assert abs(local - plain.exponents["a"].item()).max() > 1e-3


def test_coefficients_near_the_largest_float():
    """G = (alpha A / (beta B))^(...) would overflow; its log does not. By symmetry N* = D* = sqrt(C / 6)."""
    source = toy("chinchilla", E=1.0, A=1e308, B=1e308, alpha=30.0, beta=30.0)
    best = allocate(source, 6e20, method="closed").draws
    np.testing.assert_allclose(best["n_params"], 1e10, rtol=1e-12)
    np.testing.assert_allclose(best["n_tokens"], 1e10, rtol=1e-12)


@pytest.mark.parametrize("cost", ["6ND", "6ND+attention"])
@pytest.mark.parametrize("what", ["n_params", "n_tokens"])
@pytest.mark.parametrize("side", [0, 1])
def test_a_bound_moves_just_the_draws_beyond_it(cost, what, side):
    source = random_toy("chinchilla")
    free = allocate(source, 1e21, cost=cost)
    limit = float(free.draws[what].quantile(0.3))
    bounds = {f"{what}_bounds": (limit, None) if side == 0 else (None, limit)}
    held = allocate(source, 1e21, cost=cost, **bounds)
    beyond = free.draws[what] < limit if side == 0 else free.draws[what] > limit
    assert bool((held.draws["bound"] == beyond).all())
    np.testing.assert_allclose(held.draws[what], np.where(beyond, limit, free.draws[what]), rtol=1e-12)
    assert bool((held.draws["loss"].where(beyond) > free.draws["loss"]).sum() == beyond.sum())
    paid = cost_model(cost).flops(held.draws["n_params"], held.draws["n_tokens"])
    np.testing.assert_allclose(paid, 1e21, rtol=1e-12)
    assert set(held.table()["bound_share"]) == {float(beyond.mean())}
    assert set(free.table()["bound_share"]) == {0.0}
    assert "a bound binds in" in repr(held)
    assert "bound" not in repr(free)
    xr.testing.assert_allclose(held.exponents, free.exponents)  # the exponents are those without bounds


def test_bounds_on_both_hold_together_and_are_kept_exactly():
    source = random_toy("chinchilla")
    held = allocate(source, ["1e21", "3e22"], n_params_bounds=("500M", "30B"), n_tokens_bounds=("20B", "1T")).draws
    assert 500e6 <= held["n_params"].min() < held["n_params"].max() <= 30e9
    assert 20e9 * (1 - 1e-12) <= held["n_tokens"].min() < held["n_tokens"].max() <= 1e12 * (1 + 1e-12)
    assert bool(held["bound"].any())
    assert not bool(held["bound"].all())


@pytest.mark.parametrize("method", ["closed", "search"])
def test_draws_without_an_optimum_are_counted(method):
    rows = {name: np.full(8, value) for name, value in HOFFMANN.items()}
    allocate(toy("chinchilla", **rows), 1e21, method=method)  # all is well as they are
    rows["alpha"][:3] = 1e-12  # size does not help: all compute to tokens
    rows["beta"][3] = 1e-12  # tokens do not help
    source = toy("chinchilla", **rows)
    with pytest.raises(ModelError, match="4 of 8 draws of toy .* in 1 .* more parameters, in 3 to more tokens, in 0 "):
        allocate(source, [1e21, 1e22], method=method)
    held = allocate(source, 1e21, method=method, n_params_bounds=("1M", None), n_tokens_bounds=("1M", None)).draws
    assert held["bound"].squeeze().to_numpy().tolist() == [True] * 4 + [False] * 4
    np.testing.assert_allclose(held["n_params"].squeeze()[:3], 1e6)
    np.testing.assert_allclose(held["n_tokens"].squeeze()[3], 1e6)


@pytest.mark.parametrize("method", ["closed", "search"])
def test_parameters_that_are_no_numbers_are_counted(method):
    source = toy("chinchilla", **(HOFFMANN | {"A": np.nan}))
    with pytest.raises(ModelError, match="1 of 1 draws .* in 1 the parameters allow none"):
        allocate(source, 1e21, method=method)


def test_budgets_that_are_none():
    source = random_toy("kaplan")
    with pytest.raises(DataError, match="compute must be above zero; entry 1 is 0"):
        allocate(source, ["1e21", 0])
    with pytest.raises(DataError, match="the largest budget possible is 6e\\+20"):
        allocate(source, 1e21, n_params_bounds=(None, "1B"), n_tokens_bounds=(None, "100B"))


def test_laws_without_a_split_are_refused_with_those_that_have_one():
    with pytest.raises(ModelError, match=f"'power' with inputs n_params .*{', '.join(SPLITTERS)} can"):
        allocate(Toy(LAWS["power"].renamed({"x": "n_params"}), xr.Dataset()), 1e21)


def test_a_renamed_law_still_splits():
    law = LAWS["chinchilla"].renamed({"A": "a_n", "alpha": "p"})
    posterior = toy("chinchilla", **HOFFMANN).posterior.rename(A="a_n", alpha="p")
    assert allocate(Toy(law, posterior), 5.76e23).draws["n_params"].item() == pytest.approx(32.2e9, abs=5e7)


@pytest.mark.parametrize(("law", "cost", "method"), [("kaplan", "6ND+attention", "closed"), ("kaplan", "6ND", "x")])
def test_methods_that_there_are_not(law, cost, method):
    with pytest.raises(ModelError, match=f"'{law}' under cost '.*' has no method '{method}'"):
        allocate(random_toy(law), 1e21, cost=cost, method=method)


def test_table_is_tidy_and_its_quantiles_are_those_of_the_logs():
    source = random_toy("chinchilla", draws=2002)
    result = allocate(source, ["1e20", "5.76e23"])
    table = result.table(prob=0.8)
    columns = ["flops", "quantity", "median", "lower", "upper", "prob", "interval", "bound_share"]
    assert list(table) == columns
    assert table["flops"].tolist() == [1e20] * 4 + [5.76e23] * 4
    assert table["quantity"].tolist() == ["n_params", "n_tokens", "tokens_per_param", "loss"] * 2
    logs = np.log(result.draws["n_params"][..., 1]).quantile([0.5, 0.1, 0.9])
    np.testing.assert_allclose(table.loc[4, ["median", "lower", "upper"]].astype(float), np.exp(logs), rtol=1e-3)
    assert list(result.exponent_table()) == ["exponent", "median", "lower", "upper", "prob", "interval"]
    local = allocate(source, ["1e20", "5.76e23"], cost="6ND+attention").exponent_table()
    assert list(local)[:2] == ["flops", "exponent"]
    assert local["exponent"].tolist() == ["a", "b"] * 2


def test_draws_keep_their_labels():
    source = random_toy("kaplan")
    source.posterior = source.posterior.assign_coords(chain=[3, 5])
    draws = allocate(source, 1e21).draws
    assert draws["chain"].to_numpy().tolist() == [3, 5]
    assert draws["n_params"].dims == ("chain", "draw", "budget")


def test_repr_says_what_the_bands_are():
    many = repr(allocate(random_toy("chinchilla"), np.geomspace(1e20, 1e24, 12)))
    assert "90 % equal-tailed" in many
    assert "of the law's curve, no discrepancy" in many
    assert "4 budgets more" in many
    one = allocate(toy("chinchilla", **HOFFMANN), "5.76e23")
    assert "5.76e23 FLOPs: N 32.2B, D 2.98T" in repr(one)
    assert "no uncertainty is known" in repr(one)
    assert "[" not in repr(one)
    table = one.table()
    assert (table["upper"] == table["lower"]).all()
