"""Routed models: the law, what its card's priors are on, its verbs, and what other verbs say of it."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from commandline import call, check_page, refused
from toys import toy

import forescale as fs
from forescale import plots
from forescale.laws import LAWS, get_law

PUBLISHED = ("clark2022_sbase", "clark2022_rlr", "clark2022_hash")
EXPERTS = 2.0 ** np.arange(10)
SIZES = np.array([15e6, 25e6, 55e6, 130e6, 370e6, 1.3e9])


def table(values, *, scatter=0.006, seed=0):
    """Runs as Clark et al. have them: 6 sizes, 1 to 512 experts."""
    frame = pd.DataFrame(
        {
            "n_params": np.repeat(SIZES, EXPERTS.size),
            "n_experts": np.tile(EXPERTS, SIZES.size),
        }
    )
    noise = scatter * np.random.default_rng(seed).standard_normal(len(frame))
    return frame.assign(loss=get_law("routed")(frame, values) * np.exp(noise))


@pytest.fixture(scope="module")
def fit():
    runs = fs.Observations.from_frame(table(fs.published("clark2022_sbase").values), name="as S-BASE")
    return fs.fit(runs, "routed", random_seed=1)


def dense_twin(source, n_params, n_experts):
    """By bisection, the dense size with the loss of a routed model, at the printed values."""
    low, high = 1e3, 1e18
    wanted = source.law({"n_params": n_params, "n_experts": n_experts}, source.values)
    for _ in range(200):
        middle = np.sqrt(low * high)
        above = source.law({"n_params": middle, "n_experts": 1.0}, source.values) > wanted
        low, high = (middle, high) if above else (low, middle)
    return middle


def test_experts_count_from_e_start_to_e_max():
    """With one expert Ehat is E_start, with ever more E_max; in between E - 1 and what it started with."""
    values = {
        "a": 0.0,
        "b": 1.0,
        "c": 0.0,
        "d": 0.0,
        "E_start": 1.85,
        "E_max": 314.0,
    }  # loss is Ehat
    ehat = get_law("routed")({"n_params": 1e9, "n_experts": np.array([1.0, 8.0, 1e12])}, values)
    first = 1 / (1 / 1.85 - 1 / 314.0)
    np.testing.assert_allclose(ehat, [1.85, 1 / (1 / (7 + first) + 1 / 314.0), 314.0], rtol=1e-9)


@pytest.mark.parametrize("one", [one for one in LAWS.values() if one.judged], ids=lambda one: one.name)
def test_what_is_judged_makes_every_parameter_under_any_names(one):
    rng = np.random.default_rng(0)
    judged = {name: rng.uniform(0.1, 0.9, 3) for name in one.judged_by}
    reference = dict.fromkeys(one.judged_at, (1e3, 1e6) if one.judged_over else 1e3)
    printed = one.as_printed(reference, judged)
    assert tuple(printed) == one.parameters
    for i in range(3):
        alone = one.as_printed(reference, {name: float(value[i]) for name, value in judged.items()})
        np.testing.assert_allclose([value[i] for value in printed.values()], list(alone.values()), rtol=1e-12)
    names = {name: f"my_{name}" for name in (*one.inputs, *one.parameters)}
    mine = one.renamed(names)
    again = mine.as_printed(
        {names[name]: value for name, value in reference.items()},
        {names.get(name, name): value for name, value in judged.items()},
    )
    assert tuple(again) == mine.parameters
    np.testing.assert_array_equal(list(again.values()), list(printed.values()))


def test_a_law_that_does_not_say_how_it_is_judged_says_so():
    with pytest.raises(fs.ModelError, match="does not say how"):
        get_law("chinchilla").as_printed({}, {})


def test_judged_quantities_are_what_the_card_says_they_are():
    """At the reference: loss with one expert, its slope, what experts save, and how that changes with size."""
    model = fs.load_model("routed")
    free = {
        "L_1": 2.7,
        "slope": 0.08,
        "saving": 0.12,
        "fading": 0.03,
        "E_start": 2.0,
        "E_span": 300.0,
    }
    assert set(free) == set(model.believed) == set(model.priors)
    values, size, experts = (
        model.printed(free),
        model.reference["n_params"],
        model.reference["n_experts"],
    )

    def log_loss(n, e):
        return np.log(model.law({"n_params": n, "n_experts": e}, values))

    assert np.exp(log_loss(size, 1)) == pytest.approx(2.7, rel=1e-12)
    assert log_loss(10 * size, 1) - log_loss(size, 1) == pytest.approx(-0.08 * np.log(10))
    assert log_loss(size, 1) - log_loss(size, experts) == pytest.approx(0.12)
    assert log_loss(10 * size, 1) - log_loss(10 * size, experts) == pytest.approx(0.09)
    assert values["E_max"] == 302.0


def test_without_a_reference_priors_are_on_the_letters():
    card = fs.load_model("routed").to_toml()
    bare = re.sub(r"\[reference\]\nn_params = \S+\nn_experts = \S+\n", "", card)
    with pytest.raises(
        fs.ModelError,
        match="prior missing for: a, b, c, d, E_max; unknown: L_1, slope, saving, fading, E_span",
    ):
        fs.Model.from_toml(bare)
    with pytest.raises(
        fs.ModelError,
        match="reference 'n_tokens' is no size of law 'routed'",
    ):
        fs.Model.from_toml(card.replace("[reference]\n", "[reference]\nn_tokens = 1.0\n"))


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize(("n_params", "n_experts"), [(15e6, 512), (1.3e9, 64), (1e11, 8)])
def test_effective_size_has_the_loss_of_the_routed_model(name, n_params, n_experts):
    source = fs.published(name)
    found = fs.effective_params(source, n_params, n_experts).draws
    assert found["effective_params"].item() == pytest.approx(dense_twin(source, n_params, n_experts), rel=1e-9)
    assert found["factor"].item() == pytest.approx(found["effective_params"].item() / n_params)


def test_one_expert_is_the_dense_model():
    assert fs.effective_params(fs.published("clark2022_hash"), "7B", 1).draws["factor"].item() == pytest.approx(1.0)


def test_cutoff_is_where_experts_cease_to_help():
    """About 1e12 for S-BASE, from its printed b and c; below it more experts lower the loss, above they raise it."""
    for name, log_cutoff in (
        ("clark2022_sbase", 12.0),
        ("clark2022_rlr", 10.5),
        ("clark2022_hash", 136 / 12),
    ):
        source = fs.published(name)
        cutoff = fs.routing_cutoff(source).draws["n_params"].item()
        assert np.log10(cutoff) == pytest.approx(log_cutoff)
        for size, better in ((cutoff / 2, True), (cutoff * 2, False)):
            few, many = (source.law({"n_params": size, "n_experts": e}, source.values) for e in (8, 64))
            assert bool(many < few) is better


def test_cutoff_keeps_draws_in_which_routing_never_stops():
    source = toy("routed", a=[[-0.08] * 4], b=[[-0.1] * 4], c=[[0.01, 0.0, -0.01, 0.02]], d=[[1.1] * 4],
                 E_start=[[1.8] * 4], E_max=[[300.0] * 4])  # fmt: skip
    found = fs.routing_cutoff(source)
    np.testing.assert_allclose(found.draws["n_params"], [[1e10, np.inf, np.inf, 1e5]])
    assert found.never == 0.5
    assert "it never stops in 50% of draws" in repr(found)
    rows = found.table(prob=0.5).set_index("quantity")
    assert rows.loc["n_params", "upper"] == np.inf
    assert rows.loc["log10_n_params", "lower"] == pytest.approx(5.0)
    assert set(rows["interval"]) == {"equal-tailed"}


@pytest.mark.slow
def test_a_fit_recovers_the_constants_and_the_verbs_their_consequences(fit):
    source = fs.published("clark2022_sbase")
    rows = fit.summary(prob=0.99)
    for name, value in source.values.items():
        assert rows.loc[name, "lower"] < value < rows.loc[name, "upper"], name
    assert not rows.loc["b", "lower"] < -0.25 < rows.loc["b", "upper"]  # the partner: another truth is not in them
    worth = fs.effective_params(fit, ["15M", "1.3B"], 512).table(prob=0.99)
    worth = worth[worth["quantity"] == "effective_params"]
    for row, n in zip(worth.itertuples(), (15e6, 1.3e9), strict=True):
        assert row.lower < dense_twin(source, n, 512) < row.upper
        assert row.upper / row.lower < 2
    cutoff = fs.routing_cutoff(fit).table(prob=0.99).set_index("quantity").loc["log10_n_params"]
    assert cutoff["lower"] < 12 < cutoff["upper"]
    assert "90 % equal-tailed" in repr(fs.routing_cutoff(fit))
    assert "N 15M, E 512: N_eff " in repr(fs.effective_params(fit, "15M", 512))


@pytest.mark.slow
def test_what_other_verbs_say_of_it(fit, tmp_path):
    fit.save(tmp_path / "routed.nc")
    xr.testing.assert_equal(fs.load_fit(tmp_path / "routed.nc").posterior, fit.posterior)
    more = fs.forecast(fit, n_params="3B", n_experts=[1, 128]).draws["mean"].median(("chain", "draw"))
    assert more[1] < more[0]
    assert "routed" in repr(fs.sensitivity(fit, "loss", n_params="3B", n_experts=64))
    with pytest.raises(
        fs.ModelError,
        match="cannot split compute between n_params and n_tokens; chinchilla",
    ):
        fs.allocate(fit, 1e21)
    with pytest.raises(
        fs.ModelError,
        match="a Huber fit is of laws made of powers.* fit\\(\\) takes it",
    ):
        fs.huber_fit(fit.observations, "routed")


def test_verbs_refuse_what_they_cannot_answer():
    with pytest.raises(fs.ModelError, match="asked of routed models.*hoffmann2022 has law 'chinchilla'"):
        fs.effective_params(fs.published("hoffmann2022"), "1B", 8)
    with pytest.raises(fs.ModelError, match="asked of routed models"):
        fs.routing_cutoff(fs.published("hoffmann2022"))
    with pytest.raises(fs.DataError, match="at least 1, not 0.5"):
        fs.effective_params(fs.published("clark2022_sbase"), "1B", [2, 0.5])
    flat = toy("routed", a=0.1, b=-0.1, c=0.01, d=1.1, E_start=1.8, E_max=300.0)
    with pytest.raises(
        fs.ModelError,
        match="in 1 of 1 draws of toy the loss of dense models does not fall",
    ):
        fs.effective_params(flat, "1B", 8)


@pytest.mark.usefixtures("eighty_columns")
def test_command_line():
    page = call("routing", "clark2022_sbase", "--at", "1.3B,64", "--at", "1.3B,512").stdout
    check_page(page)
    assert re.search(r"1\.3B +512 +dense size of the same loss +5\.95B", page)
    assert re.search(r"log10_n_params +12\.00", page)
    document = json.loads(call("routing", "clark2022_sbase", "--at", "1.3B,512", "--json").stdout)
    found = fs.effective_params(fs.published("clark2022_sbase"), "1.3B", 512).table()
    assert [row["median"] for row in document["worth"]] == list(found["median"])
    assert document["cutoff"][1]["median"] == pytest.approx(12.0)
    csv = call("routing", "clark2022_sbase", "--at", "1.3B,512", "--csv").stdout
    assert [line.split(",")[0] for line in csv.splitlines()] == ["table", "cutoff", "cutoff", "worth", "worth"]
    assert "cutoff" in json.loads(call("routing", "clark2022_sbase", "--json").stdout)
    assert "asked of routed models" in refused("routing", "hoffmann2022")
    assert "at least 1, not 0.5" in refused("routing", "clark2022_sbase", "--at", "1B,0.5")


def test_figure_of_experts_draws_what_forecasts_say():
    rng = np.random.default_rng(0)
    printed = fs.published("clark2022_sbase").values
    source = toy("routed", **{name: value * np.exp(0.01 * rng.standard_normal(200)) for name, value in printed.items()})
    ax = plots.plot_routing(source, n_params=["15M", 1.3e9], n_experts=(1, 256))
    assert [line.get_label() for line in ax.lines] == ["N = 15M", "N = 1.3B"]
    rows = fs.forecast(source, n_params="1.3B", n_experts=[1, 256]).table(0.9, "mean")
    np.testing.assert_allclose(ax.lines[1].get_ydata()[[0, -1]], rows["median"])
    assert len(ax.collections) == 2  # a band for each size
    assert "90 % equal-tailed" in ax.get_title(loc="left")
    assert "stop helping at N = " in ax.get_title(loc="left")
    assert not plots.plot_routing(fs.published("clark2022_sbase"), n_params=["1B"]).collections
    with pytest.raises(fs.DataError, match="told which sizes"):
        plots.plot_routing(source)
    with pytest.raises(fs.DataError, match="7 sizes cannot be told apart"):
        plots.plot_routing(source, n_params=[1e9] * 7)
    with pytest.raises(fs.DataError, match="from fewest to most"):
        plots.plot_routing(source, n_params=[1e9], n_experts=(0, 8))
    with pytest.raises(fs.ModelError, match="asked of routed models"):
        plots.plot_routing(fs.published("hoffmann2022"), n_params=[1e9])
