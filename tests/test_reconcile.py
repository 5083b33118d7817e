"""Chinchilla in Kaplan's terms: the closed form against brute force, and the figures of the literature."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import toys
import xarray as xr
from scipy.optimize import minimize_scalar
from scipy.stats import binom

import forescale as fs
from forescale.errors import DataError, ForescaleWarning, ModelError
from forescale.laws import LAWS, get_law
from forescale.numbers import recount
from forescale.numbers.embeddings import Embeddings
from forescale.numbers.literature import literature_exponents
from forescale.verbs.reconcile import KAPLAN_FLOPS, reconcile

BESIROGLU = (482.01, 0.3478, 2085.43, 0.3658)  # A, alpha, B, beta
TRUTH = {"E": 1.8, "A": 482.0, "B": 2085.0, "alpha": 0.348, "beta": 0.366}
HOFFMANN = (406.4, 0.3392, 410.7, 0.2849)
CASES = [
    (BESIROGLU, Embeddings()),
    (HOFFMANN, Embeddings(47491, 0.34)),
    ((9e4, 0.5, 1500.0, 0.3), Embeddings(2e5, 0.5)),
]
LOG_BUDGETS = np.log(10) * np.array([13.0, 15.0, 17.0, 19.0, 22.0, 26.0])


@dataclass
class Toy(toys.Toy):
    """The least that is an Estimate, with what it counts."""

    counts_embeddings: bool | None = True


def toy(law="chinchilla", **values):
    values = values or TRUTH
    return Toy(**vars(toys.toy(law, **values)))


class WithoutElasticity(Embeddings):
    """Embeddings that forget that they grow with N."""

    def elasticity(self, log_size):
        return 1.0 + 0.0 * log_size

    def log_elasticity_slope(self, log_size):
        return 0.0 * log_size


def brute_force(powers, counted, log_budget):
    """Log N* by minimising the sum of powers itself, in log N, from a grid."""
    A, alpha, B, beta = powers

    def loss(log_size):
        tokens = np.exp(log_budget - log_size) / 6
        return A / counted.n_total(np.exp(log_size)) ** alpha + B / tokens**beta

    grid = np.linspace(0, log_budget - np.log(6), 2000)
    best = grid[np.argmin(loss(grid))]
    step = grid[1] - grid[0]
    return minimize_scalar(loss, bounds=(best - step, best + step), method="bounded", options={"xatol": 1e-10}).x


@pytest.mark.parametrize(("powers", "counted"), CASES)
def test_the_closed_form_is_the_minimum(powers, counted):
    found = recount.log_optimal_size(powers, counted, LOG_BUDGETS)
    brute = [brute_force(powers, counted, budget) for budget in LOG_BUDGETS]
    np.testing.assert_allclose(found, brute, atol=1e-5)
    np.testing.assert_allclose(recount.log_compute(powers, counted, found), LOG_BUDGETS, rtol=1e-12)


@pytest.mark.parametrize(("powers", "counted"), CASES)
def test_forgetting_that_embeddings_grow_misses_the_minimum(powers, counted):
    careless = WithoutElasticity(counted.omega, counted.gamma)
    found = recount.log_optimal_size(powers, careless, LOG_BUDGETS)
    brute = [brute_force(powers, counted, budget) for budget in LOG_BUDGETS]
    assert np.abs(found - brute)[:3].min() > 0.1


@pytest.mark.parametrize(("powers", "counted"), CASES)
def test_the_local_exponent_is_the_derivative(powers, counted):
    log_size, step = np.log(10) * np.linspace(1, 13, 49), 1e-4
    rise = recount.log_compute(powers, counted, log_size + step) - recount.log_compute(powers, counted, log_size - step)
    np.testing.assert_allclose(recount.local_exponent(powers, counted, log_size), 2 * step / rise, rtol=1e-7)
    careless = WithoutElasticity(counted.omega, counted.gamma)
    assert np.abs(recount.local_exponent(powers, careless, log_size) - 2 * step / rise).max() > 0.05


@pytest.mark.parametrize(("powers", "counted"), CASES)
def test_limits_of_small_and_large_models(powers, counted):
    _, alpha, _, beta = powers
    small, large = recount.local_exponent(powers, counted, np.log(np.array([1e-12, 1e40])))
    assert small == pytest.approx(beta / (beta + alpha * counted.gamma), abs=1e-5)
    assert large == pytest.approx(beta / (alpha + beta), abs=1e-5)


@pytest.mark.parametrize(("powers", "counted"), CASES)
def test_near_its_limit_from_a_size_on(powers, counted):
    _, alpha, _, beta = powers
    limit, within = beta / (alpha + beta), 0.01
    at = recount.log_size_near_limit(powers, counted, within)
    assert recount.local_exponent(powers, counted, at) == pytest.approx(limit + within, abs=1e-9)
    assert (np.abs(recount.local_exponent(powers, counted, at + np.linspace(0.01, 20, 50)) - limit) < within).all()
    assert recount.log_size_near_limit(powers, counted, 0.9) == -np.inf


def test_several_optima_are_seen():
    counted = Embeddings()
    log_size = np.linspace(-20, 60, 4001)
    for alpha, beta in [(0.02, 0.05), (0.05, 0.1), (0.1, 0.1), (0.12, 0.12), (0.3, 0.3)]:
        powers = (400.0, alpha, 400.0, beta)
        rises = bool((np.diff(recount.log_compute(powers, counted, log_size)) > 0).all())
        assert bool(recount.has_one_optimum(powers, counted)) == rises, (alpha, beta)
    assert not recount.has_one_optimum((400.0, 0.02, 400.0, 0.05), counted)
    assert recount.has_one_optimum((400.0, 0.12, 400.0, 0.12), counted)
    source = toy(E=1.8, A=400.0, B=400.0, alpha=[0.02, 0.3], beta=[0.05, 0.3])
    with pytest.raises(ModelError, match="1 of 2 draws of toy have exponents so small"):
        reconcile(source)


def pearce_and_song(powers, counted=None):
    """Their calculation: best of 20 sizes from 10^2.9 to 10^9.2 at 100 budgets, and the slope of its log."""
    A, alpha, B, beta = powers
    counted = counted or Embeddings()
    sizes, tokens = np.logspace(2.9, 9.2, 20), np.logspace(6, 25, 4000)
    budgets = np.logspace(*np.log10(KAPLAN_FLOPS), 100)
    loss = A / counted.n_total(sizes)[:, None] ** alpha + B / tokens**beta
    at = [np.argmin(np.abs(6 * n * tokens[:, None] - budgets), axis=0) for n in sizes]
    best = np.argmin([row[columns] for row, columns in zip(loss, at, strict=True)], axis=0)
    return np.polyfit(np.log(budgets), np.log(sizes[best]), 1)[0]


@pytest.mark.parametrize(("name", "powers", "printed"), [
    ("hoffmann2022_unrounded", HOFFMANN, 0.74),
    ("besiroglu2024", BESIROGLU, 0.78),
])  # fmt: skip
def test_the_figures_of_pearce_and_song(name, powers, printed):
    source = fs.published(name)
    point = replace(source, posterior=xr.Dataset({k: (("chain", "draw"), [[v]]) for k, v in source.values.items()}))
    slope = reconcile(point).draws["range_exponent"].item()
    assert round(slope, 2) == printed
    assert round(pearce_and_song(powers), 2) == printed  # theirs has a grid of sizes, ours has none
    assert slope == pytest.approx(pearce_and_song(powers), abs=0.01)
    assert printed in literature_exponents().query("paper == 'pearce2024'")["value"].tolist()
    careless = reconcile(point, embeddings=WithoutElasticity()).draws["range_exponent"].item()
    assert round(careless, 2) != printed


def test_the_band_of_besiroglu_holds_kaplans_exponent_and_excludes_a_half():
    draws = reconcile(fs.published("besiroglu2024"), "1e27").draws
    low, high = draws["range_exponent"].quantile([0.005, 0.995])
    assert low < 0.73 < high
    assert draws["range_exponent"].min() > 0.6
    a = fs.allocate(fs.published("besiroglu2024"), 1e21).draws["a"]
    np.testing.assert_allclose(draws["limit"], a)
    np.testing.assert_allclose(draws["exponent"].squeeze("budget"), a, atol=1e-3)


def test_large_budgets_are_those_of_allocate():
    source = fs.published("besiroglu2024")
    ours, theirs = reconcile(source, 1e30).draws, fs.allocate(source, 1e30).draws
    for name in ("n_params", "n_total", "n_tokens"):
        expected = theirs[name.replace("n_total", "n_params")]
        np.testing.assert_allclose(ours[name], expected, rtol=1e-3)
    np.testing.assert_allclose(ours["loss"], theirs["loss"], rtol=1e-6)


@pytest.mark.parametrize("law", sorted(name for name in LAWS if LAWS[name].sum_of_powers))
def test_every_sum_of_powers_is_read(law):
    values = {
        "chinchilla": TRUTH,
        "kaplan": {"N_c": 6.4e13, "D_c": 1.8e13, "alpha_N": 0.076, "alpha_D": 0.103},
        "kaplan_additive": {"E": 1.8, "N_c": 5e7, "D_c": 1.2e9, "alpha_N": 0.348, "alpha_D": 0.366},
    }
    values["kaplan_floor"] = values["kaplan_additive"]
    values["coupled"] = {**values["chinchilla"], "kappa": 0.6}
    values["overtraining"] = {"E": 1.8, "a": 210.0, "b": 370.0, "eta": 0.136}
    source = toy(law, **values[law])
    draws = reconcile(source, [1e16, 1e20]).draws.squeeze(("chain", "draw"), drop=True)
    for budget in (1e16, 1e20):
        here = draws.sel(budget=budget)

        def loss(log_size, budget=budget):
            size = np.exp(log_size)
            inputs = {"n_params": Embeddings().n_total(size), "n_tokens": budget / (6 * size)}
            return source.law(inputs, values[law])

        at = np.log(here["n_params"].item())
        assert here["loss"].item() == pytest.approx(loss(at), rel=1e-12)
        assert here["loss"].item() <= min(loss(at - 0.01), loss(at + 0.01))


def test_parts_of_the_result_agree():
    result = reconcile(fs.published("besiroglu2024", draws=50), ["1e15", "1e21"], n_params=["1M", "1B"])
    draws = result.draws
    assert draws["n_params"].dims == ("chain", "draw", "budget")
    assert draws["size_exponent"].dims == ("chain", "draw", "size")
    np.testing.assert_allclose(6 * draws["n_params"] * draws["n_tokens"], draws["budget"].broadcast_like(draws["loss"]))
    np.testing.assert_allclose(draws["n_total"], Embeddings().n_total(draws["n_params"]))
    again = reconcile(fs.published("besiroglu2024", draws=50), draws["size_flops"].isel(draw=0).values.ravel())
    np.testing.assert_allclose(again.draws["n_params"].isel(draw=0), [[1e6, 1e9]], rtol=1e-9)
    np.testing.assert_allclose(again.draws["exponent"].isel(draw=0), draws["size_exponent"].isel(draw=0), rtol=1e-9)


def test_the_loss_is_nearly_a_power_of_compute_over_the_range():
    draws = reconcile(toy(), np.geomspace(*KAPLAN_FLOPS, 100)).draws.squeeze()
    slope, level = np.polyfit(np.log(draws["budget"]), np.log(draws["loss"]), 1)
    assert draws["loss_exponent"].item() == pytest.approx(-slope, rel=1e-9)
    residual = np.log(draws["loss"]) - slope * np.log(draws["budget"]) - level
    assert float(np.abs(residual).max()) < 0.06
    assert 0.05 < -slope < 0.075  # Kaplan et al. print 0.050 to 0.057 for runs of their own


def test_sources_that_count_no_embeddings_are_refused():
    with pytest.raises(ModelError, match="kaplan2020 counts no embeddings"):
        reconcile(fs.published("kaplan2020"))
    source = toy()
    source.counts_embeddings = None
    with pytest.warns(ForescaleWarning, match="toy does not say whether its N counts embeddings"):
        result = reconcile(source)
    assert "does not say whether its N counts embeddings" in repr(result)
    assert "does not say" not in repr(reconcile(toy()))


@pytest.mark.parametrize("counts", [True, False])
def test_a_fit_counts_as_its_table_does(hoffmann_fit, counts):
    table = replace(hoffmann_fit.observations, counts_embeddings=counts)
    source = replace(hoffmann_fit, observations=table)
    if counts:
        assert reconcile(source).counts_embeddings is True
    else:
        with pytest.raises(ModelError, match="counts no embeddings"):
            reconcile(source)


def test_the_fit_of_the_hoffmann_runs(hoffmann_fit):
    draws = reconcile(hoffmann_fit).draws
    low, high = draws["range_exponent"].quantile([0.05, 0.95])
    assert low < 0.78 < high
    assert float(draws["limit"].median()) < 0.56 < float(draws["range_exponent"].min())


def test_what_cannot_be_asked_is_refused():
    with pytest.raises(DataError, match="compute must be above zero"):
        reconcile(toy(), -1)
    with pytest.raises(DataError, match="n_params"):
        reconcile(toy(), n_params=0)
    with pytest.raises(ModelError, match="cannot split compute"):
        reconcile(fs.published("kaplan2020_n"))
    with pytest.raises(ModelError, match="no compute-optimal split of 5 FLOPs"):
        reconcile(toy(), 5)
    with pytest.raises(ModelError, match="1 of 2 draws"):
        reconcile(toy(E=1.8, A=400.0, B=400.0, alpha=[0.3, -0.1], beta=[0.3, 0.3]))


def test_tables_are_tidy():
    result = reconcile(fs.published("besiroglu2024", draws=200), [1e18, 1e24], n_params=["1M", "1B"])
    table = result.table(prob=0.5)
    assert list(table) == ["flops", "quantity", "median", "lower", "upper", "prob", "interval"]
    assert table["quantity"].tolist() == ["n_params", "n_total", "n_tokens", "loss", "exponent"] * 2
    assert (table["lower"] < table["upper"]).all()
    exponents = result.exponent_table(prob=0.5)
    columns = ["exponent", "what", "n_params", "median", "lower", "upper", "prob", "interval", "source"]
    assert list(exponents) == [*columns, "printed"]
    own = exponents[~exponents["printed"]]
    assert own["exponent"].tolist() == ["a", "c", "a", "a", "a"]
    assert own["n_params"].tolist()[2:4] == [1e6, 1e9]
    assert set(exponents["source"]) == {"besiroglu2024", "kaplan2020", "hoffmann2022", "pearce2024", "porian2024"}


def test_repr_fits_a_terminal_and_says_what_the_bands_are():
    many = repr(reconcile(fs.published("besiroglu2024")))
    assert max(map(len, many.splitlines())) <= 80
    assert "90 % equal-tailed" in many
    assert "beside 0.73, 0.88 (Kaplan et al.), 0.74, 0.78 (Pearce & Song)" in many
    one = repr(reconcile(toy()))
    assert "no uncertainty is known" in one
    assert "[" not in one


def test_literature_is_as_printed():
    table = literature_exponents()
    porian = table[table["paper"] == "porian2024"]
    assert porian[porian["data"] == "RefinedWeb"]["value"].tolist() == [0.835, 0.706, 0.602, 0.571, 0.497]
    assert porian[porian["data"] == "OpenWebText2"]["value"].tolist() == [0.864, 0.699, 0.603, 0.574, 0.518]
    hoffmann = table[table["paper"] == "hoffmann2022"]
    assert hoffmann[hoffmann["exponent"] == "a"]["value"].tolist() == [0.50, 0.49, 0.46]
    assert hoffmann["prob"].eq(0.8).all()
    assert set(table["exponent"]) == {"a", "b", "c"}
    assert (table["lower"].isna() == table["interval"].eq("")).all()
    assert table["citation"].str.contains("arXiv:").all()
    assert set(table["seen"]) <= {"source", "notes"}


def readings(simulate, seeds):
    """Draws of the exponents of the truth in TRUTH, from a table simulated and fitted for each seed."""
    for seed in seeds:
        runs = replace(simulate(get_law("chinchilla"), TRUTH, seed=seed), counts_embeddings=True)
        yield reconcile(fs.fit(runs, random_seed=seed)).draws


def hits(readings, name, prob):
    """How many bands of so much probability hold the truth's exponent over the range."""
    truth = reconcile(toy(**TRUTH)).draws["range_exponent"].item()
    ends = (draws[name].quantile([(1 - prob) / 2, (1 + prob) / 2]) for draws in readings)
    return sum(bool(low < truth < high) for low, high in ends)


def test_a_band_contains_the_truth(simulate):
    both = list(readings(simulate, range(2)))
    assert hits(both, "range_exponent", 0.99) == 2
    assert hits(both, "limit", 0.99) == 0


@pytest.mark.slow
def test_bands_cover_at_their_rate(simulate):
    all_of_them = list(readings(simulate, range(100, 120)))
    low, high = binom.ppf([0.005, 0.995], len(all_of_them), 0.9)
    assert low <= hits(all_of_them, "range_exponent", 0.9) <= high
    assert hits(all_of_them, "limit", 0.9) < low  # the exponent of the law as it counts
    assert hits(all_of_them, "range_exponent", 0.4) < low  # 40 % bands that claim 90 %
