"""Plans ranked: each is priced as `regret` prices it, and compared with the others within draws."""

import json
import re

import numpy as np
import pytest
from commandline import call, check_page, refused
from matplotlib.figure import Figure
from toys import toy

import forescale as fs
from forescale.errors import DataError, ModelError
from forescale.plots import plot_plans

PLANS = {"Gopher": ("280B", "300B"), "Chinchilla": ("70B", "1.4T"), "67B": ("67B", "1.46T")}


@pytest.fixture(scope="module")
def ranking():
    return fs.rank_plans(fs.published("besiroglu2024"), PLANS)


def test_a_plan_is_priced_as_by_regret_and_forecast(ranking):
    source = fs.published("besiroglu2024")
    for place, (n_params, n_tokens) in enumerate([(280e9, 300e9), (70e9, 1.4e12), (67e9, 1.46e12)]):
        here = ranking.draws.isel(plan=place)
        price = fs.regret(source, 6 * n_params * n_tokens, n_params=n_params).draws
        for name in ("extra_loss", "wasted_compute"):
            np.testing.assert_array_equal(here[name], price[name].squeeze("budget"))
        loss = fs.forecast(source, n_params=n_params, n_tokens=n_tokens).draws["mean"]
        np.testing.assert_allclose(here["loss"], loss.squeeze("point"), rtol=1e-14)


def test_probabilities_are_shares_of_draws_and_sum_to_one(ranking):
    best = ranking.best()
    losses = ranking.draws["loss"].stack(each=("chain", "draw")).transpose("each", "plan").to_numpy()
    assert list(best.values()) == pytest.approx(np.bincount(losses.argmin(axis=1), minlength=3) / len(losses))
    assert sum(best.values()) == pytest.approx(1)
    assert 0.1 < best["67B"] < best["Chinchilla"] < 0.9
    assert list(ranking.draws["plan"].to_numpy()[ranking.order]) == ["Chinchilla", "67B", "Gopher"]


def test_bands_overlap_where_every_draw_has_the_same_order():
    """Plans are compared within draws: independent bands, the partner that fails, would call this undecided."""
    floors = np.linspace(1.7, 1.9, 200)
    source = toy("chinchilla", E=floors, A=470.0, B=1900.0, alpha=0.345, beta=0.36)
    found = fs.rank_plans(source, {"worse": ("7B", "1T"), "better": ("8B", "1T")})
    assert found.best() == {"worse": 0.0, "better": 1.0}
    worse, better = found.draws["loss"].transpose("plan", ...).to_numpy()
    independent = (better.ravel()[:, None] < worse.ravel()).mean()
    assert independent < 0.6


def test_where_tokens_repeat_plans_are_of_those_that_there_are():
    source = fs.published("muennighoff2023")
    found = fs.rank_plans(source, {"few": ("2B", "200B"), "many": ("4B", "60B")}, unique_tokens="5B").draws
    for place, (n_params, n_tokens) in enumerate([(2e9, 2e11), (4e9, 6e10)]):
        loss = fs.forecast(source, n_params=n_params, n_tokens=n_tokens, unique_tokens="5B").draws["mean"]
        price = fs.regret(source, 6 * n_params * n_tokens, n_params=n_params, unique_tokens="5B").draws
        here = found.isel(plan=place)
        assert here["loss"].item() == pytest.approx(loss.item())
        assert here["wasted_compute"].item() == price["wasted_compute"].item()


def test_equal_plans_share_and_ranks_by_waste_differ():
    source = toy("chinchilla", E=1.8, A=[470.0, 471.0], B=1900.0, alpha=0.345, beta=0.36)
    assert fs.rank_plans(source, {"a": ("1B", "1T"), "b": ("1B", "1T")}).best() == {"a": 0.5, "b": 0.5}
    plans = {"dear": ("8B", "15T"), "cheap": ("8B", "150B")}
    assert fs.rank_plans(source, plans).order == [0, 1]
    assert fs.rank_plans(source, plans, by="wasted_compute").order == [1, 0]


def test_the_table_is_tidy_and_in_order(ranking):
    table = ranking.table(0.5)
    assert list(table)[:7] == ["rank", "plan", "n_params", "n_tokens", "flops", "best", "quantity"]
    assert table["plan"].tolist() == np.repeat(["Chinchilla", "67B", "Gopher"], 3).tolist()
    assert table["rank"].tolist() == np.repeat([1, 2, 3], 3).tolist()
    assert "1. Chinchilla (N 70B, D 1.4T, C 5.88e23)" in repr(ranking)


def test_a_single_draw_ranks_and_has_no_probabilities():
    found = fs.rank_plans(fs.published("hoffmann2022"), PLANS)
    assert found.table()["best"].isna().all()
    assert "best with" not in repr(found)
    with pytest.raises(ModelError, match="a single draw"):
        found.best()
    assert plot_plans(found).get_legend() is not None


@pytest.mark.parametrize(
    ("plans", "words"),
    [
        ({}, "no plans to rank"),
        ({"a": "70B"}, "plans are pairs"),
        ({"a": ("70B", "-1")}, "plan 'a' must be above zero"),
    ],
)
def test_plans_that_are_none(plans, words):
    with pytest.raises(DataError, match=words):
        fs.rank_plans(fs.published("besiroglu2024"), plans)


def test_other_questions_are_refused():
    with pytest.raises(DataError, match="ranked by loss or wasted_compute, not by 'size'"):
        fs.rank_plans(fs.published("besiroglu2024"), PLANS, by="size")
    with pytest.raises(ModelError, match="cannot split compute"):
        fs.rank_plans(fs.published("kaplan2020_n"), PLANS)


def test_the_figure_is_the_table(ranking):
    for quantity in ("wasted_compute", "loss"):
        ax = plot_plans(ranking, Figure(layout="constrained").add_subplot(), quantity=quantity)
        rows = ranking.table().query("quantity == @quantity")
        np.testing.assert_allclose(ax.lines[0].get_xdata().astype(float), rows["median"])
        assert [tick.get_text().split("\n")[0] for tick in ax.get_yticklabels()] == list(rows["plan"].unique())
        assert [text.get_text() for text in ax.texts] == [f"best: {chance:.2f}" for chance in rows["best"]]
    with pytest.raises(DataError, match="no 'size'"):
        plot_plans(ranking, quantity="size")


@pytest.mark.usefixtures("eighty_columns")
class TestCommands:
    def test_near_optimal(self):
        words = ["near-optimal", "besiroglu2024", "--compute", "1e22,5.76e23", "--size", "70B"]
        page = call(*words).stdout
        check_page(page)
        found = fs.near_optimal(fs.published("besiroglu2024"), ["1e22", "5.76e23"])
        document = json.loads(call(*words, "--json").stdout)
        assert [row["median"] for row in document["rows"]] == list(found.table()["median"])
        assert [row["smallest"] for row in document["sure"]] == list(found.sure(0.9)["smallest"])
        assert [row["probability"] for row in document["sizes"]] == list(found.probability("70B")["probability"])
        assert call(*words, "--csv").stdout.startswith("flops,quantity,median")
        single = call("near-optimal", "hoffmann2022", "--compute", "1e22").stdout
        check_page(single)
        assert "No bands" in single

    def test_rank(self):
        words = ["rank", "besiroglu2024", "--plan", "big=280B,300B", "--plan", "right=70B,1.4T"]
        page = call(*words).stdout
        check_page(page)
        assert re.search(r"\n right +70B +1.4T .+ 1.00\n", page)
        document = json.loads(call(*words, "--json", "--by", "wasted_compute").stdout)
        assert [row["plan"] for row in document["rows"]][::3] == ["right", "big"]
        check_page(call("rank", "hoffmann2022", "--plan", "right=70B,1.4T").stdout)

    def test_what_cannot_be_asked_is_one_line(self):
        assert "a plan is NAME=N,D" in refused("rank", "besiroglu2024", "--plan", "big=70B")
        assert "another plan of that name" in refused("rank", "besiroglu2024", "--plan", "a=1B,1T", "--plan", "a=2B,1T")
        assert "no plans to rank" in refused("rank", "besiroglu2024")
        assert "a single draw" in refused("near-optimal", "hoffmann2022", "--compute", "1e21", "--size", "1B")
