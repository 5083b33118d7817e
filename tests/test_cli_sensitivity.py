"""`forescale sensitivity`."""

import io
import json
import re

import pandas as pd
import pytest
from commandline import call, check_page, refused

import forescale as fs
from forescale.belief.catalog import model_card, trends_card
from forescale.verbs.targets import LABELS

pytestmark = pytest.mark.usefixtures("eighty_columns")

HEADINGS = ["Sensitivity of", "At 1e", "Share of the variance", "Elasticity and", "lower, upper", "held, conditioned"]


@pytest.fixture(scope="module")
def saved(hoffmann_fit, tmp_path_factory):
    return hoffmann_fit.save(tmp_path_factory.mktemp("sensitivity") / "fit.nc")


@pytest.fixture
def card(tmp_path):
    """``card(**values)``: a card of trends with other values, without a spread of its own but for one of alpha_C."""

    def write(alpha_c, rounding=None):
        text = re.sub(r"(?m)^alpha_C = .*$", f"alpha_C = {alpha_c}", trends_card("kaplan2020").partition("[spread")[0])
        path = tmp_path / "card.toml"
        path.write_text(f"{text}\n[spread.alpha_C]\nrounding = {rounding}\n" if rounding else text)
        return path

    return write


def tables(*words):
    """The tables of a CSV document by name, without the columns that are empty there."""
    rows = pd.read_csv(io.StringIO(call("sensitivity", *words, "--csv").stdout))
    return {
        name: part.drop(columns="table").dropna(axis="columns", how="all").reset_index(drop=True)
        for name, part in rows.groupby("table", sort=False)
    }


def assert_same(found, expected):
    pd.testing.assert_frame_equal(found[list(expected)], expected, check_dtype=False, rtol=1e-14)


def line_of(text, start):
    return next(number for number, line in enumerate(text.splitlines()) if line.startswith(start))


def test_a_page_answers_first_and_explains_last(saved):
    page = call("sensitivity", saved, "--compute", "1e26,1e21").stdout
    check_page(page)
    lines = [line_of(page, heading) for heading in HEADINGS]
    assert lines == sorted(lines)
    size = fs.sensitivity(fs.load_fit(saved), compute=["1e26", "1e21"])
    for flops in ("1e26", "1e21"):
        sentence = size.sentence(flops)
        assert f"\n{sentence[0].upper()}{sentence[1:]}\n" in page
        shares = size.shares()[lambda rows, flops=flops: rows["flops"] == float(flops)].set_index("known")["share"]
        cells = " +".join(f"{100 * shares[known]:.0f} %" for known in ("alpha", "beta", "alpha and beta"))
        assert re.search(rf"\n +{flops} +{cells}\n", page)
    assert "change of N* at 1e26 FLOPs" in page  # the largest, not the last
    slopes, moves = (
        table[(table["flops"] == 1e26) & (table["parameter"] == "alpha")]
        for table in (size.elasticities(), size.changes())
    )
    slopes, moves = slopes.set_index("measure").loc["elasticity"], moves.set_index("others")
    cells = [f"{slopes[end]:.1f}" for end in ("median", "lower", "upper")] + [f"{moves['step'].iloc[0]:.2g}"]
    cells += [f"x {10 ** moves.loc[others, 'median']:.3f}" for others in ("held", "conditioned")]
    assert re.search(rf"\n alpha +{' +'.join(cells)}\n", page)
    assert cells[-2] != cells[-1]
    flat = " ".join(page.split())
    assert "A moves with alpha, correlation 0.99" in flat
    assert "do not sum to one" in flat
    assert "90 % equal-tailed" in flat
    assert "no N*" not in flat


def test_some_decades_are_shown_when_none_is_asked_for(saved):
    page = call("sensitivity", saved, "--of", "tokens_per_param").stdout
    check_page(page)
    assert re.findall(r"^At (\w+) FLOPs", page, re.MULTILINE) == ["1e20", "1e22", "1e24", "1e26", "1e28"]


def test_documents_are_the_tables_of_the_library(saved):
    words = [saved, "--of", "loss", "--compute", "1e21", "--compute", "1e26", "--prob", "0.5"]
    result = fs.sensitivity(fs.load_fit(saved), "loss", compute=["1e21", "1e26"])
    expected = {"elasticities": result.elasticities(0.5), "changes": result.changes(0.5), "shares": result.shares()}
    found = tables(*words)
    assert list(found) == list(expected)
    document = json.loads(call("sensitivity", *words, "--json").stdout)
    assert [document["prob"], document["interval"], document["draws"]] == [0.5, "equal-tailed", 4000]
    assert document["sentences"] == [result.sentence(flops) for flops in (1e21, 1e26)]
    assert document["stand_ins"] == {"A": "alpha", "B": "beta"}
    for name, table in expected.items():
        assert_same(found[name], table)
        assert_same(pd.DataFrame(document[name]), table.drop(columns=["prob", "interval"], errors="ignore"))


def test_a_cost_reaches_the_library():
    document = json.loads(
        call("sensitivity", "besiroglu2024", "--compute", "1e24", "--cost", "6ND+attention", "--json").stdout
    )
    result = fs.sensitivity(fs.published("besiroglu2024"), compute="1e24", cost="6ND+attention")
    assert document["about"] == result.target.about
    assert_same(pd.DataFrame(document["shares"]), result.shares())
    assert not result.shares().equals(fs.sensitivity(fs.published("besiroglu2024"), compute="1e24").shares())


def test_the_loss_of_runs(saved):
    words = ["--of", "loss", "--at", "70B,1.4T", "--at", "n_tokens=15T,n_params=400B"]
    page = call("sensitivity", saved, *words).stdout
    check_page(page)
    assert re.search(r"At n_params 70B, n_tokens 1.4T, \d+ % of the spread in the loss is E and", page)
    assert re.search(r"\n n_params  n_tokens +E +alpha +beta", page)
    assert "change of the loss at n_params 400B, n_tokens 15T" in " ".join(page.split())
    assert re.search(r"\n E .+ \+0\.0\d+ +\+0\.0\d+\n", page)  # nats, not factors
    result = fs.sensitivity(fs.load_fit(saved), "loss", n_params=[70e9, 400e9], n_tokens=[1.4e12, 15e12])
    assert_same(tables(saved, *words)["shares"], result.shares())


def test_an_exponent_changes_by_a_difference(saved):
    page = call("sensitivity", saved, "--of", "a", "--compute", "1e21").stdout
    check_page(page)
    assert re.search(r"\n alpha +-0\.4\d+ .+ -0\.00\d+ +-0\.00\d+\n", page)  # differences, not factors


def test_a_crossing_is_that_of_the_card_and_not_of_the_joint_law():
    page = call("sensitivity", "kaplan2020", "--of", "crossing").stdout
    check_page(page)
    result = fs.sensitivity(fs.published_trends("kaplan2020"), "crossing")
    assert result.sentence() in page
    assert "change of C*\n" in page
    assert "by the trends, without their scatter" in " ".join(page.split())
    assert_same(tables("kaplan2020", "--of", "crossing")["changes"], result.changes())
    assert "law kaplan" in call("sensitivity", "kaplan2020").stdout


def test_a_crossing_that_may_never_be_says_how_often_and_of_what_its_shares_are(card):
    page = call("sensitivity", card(0.03, rounding=0.006), "--of", "crossing").stdout
    check_page(page)
    flat = " ".join(page.split())
    assert re.search(r"There is no C\* in \d+(\.\d)? % of draws, which are left out", flat)
    assert "variance of log C* or its rank" in flat
    assert "Too heavy a tail for a variance: shares are of the rank of C*." in flat
    alone = re.search(r"\(alpha_C alone: (\d+ %)\)", flat).group(1)
    assert re.search(rf"\n +{alone} ", page)  # as in the sentence: of ranks
    plain = " ".join(call("sensitivity", card(0.05, rounding=0.001), "--of", "crossing").stdout.split())
    assert "rank" not in plain
    assert "There is no C*" not in plain


def test_trends_that_never_cross_have_nothing_to_tell(card):
    page = call("sensitivity", card(0.02), "--of", "crossing").stdout
    check_page(page)
    assert "There is no C* in any of the draws." in page
    assert "nan" not in page


@pytest.mark.parametrize(
    ("words", "place"), [(["hoffmann2022"], " FLOPs +E"), (["kaplan2020_eq67", "--of", "crossing"], " +C_c")]
)
def test_a_single_draw_has_elasticities_only(words, place):
    page = call("sensitivity", *words).stdout
    check_page(page)
    assert f"No spread of {words[0]} is known" in page
    assert re.search(rf"\n{place} ", page)
    assert not re.search(r"lower|Share|held|nan", page)
    assert list(tables(*words)) == ["elasticities"]
    document = json.loads(call("sensitivity", *words, "--json").stdout)
    assert document["draws"] == 1
    assert "shares" not in document


def test_the_elasticities_of_a_single_draw_are_shown_at_every_budget():
    page = call("sensitivity", "hoffmann2022", "--compute", "1e22,1e26").stdout
    assert re.search(
        r"\n +1e22 +0\.00 +1\.61 +-1\.61 +-10\.7 +10\.4\n +1e26 +0\.00 +1\.61 +-1\.61 +-12\.9 +12\.6\n", page
    )


def test_priors_that_do_not_matter(saved):
    words = [saved, "--compute", "1e22,1e26", "--prior"]
    page = call("sensitivity", *words).stdout
    check_page(page)
    assert line_of(page, "Prior sensitivity") > line_of(page, "Shares do not sum")
    assert "Fine: the runs decide" in page
    assert re.search(r"\n N\* at 1e26 FLOPs +0\.\d{3} +0\.\d{3} +\w+ +fine\n", page)
    expected = fs.prior_sensitivity(fs.load_fit(saved), compute=["1e22", "1e26"]).table()
    assert_same(tables(*words)["prior"], expected)


def test_a_prior_that_decides_is_named(hoffmann, tmp_path):
    """A narrow prior on E at 1.6, where the runs alone say 1.81 +- 0.016."""
    prior = 'E = { dist = "lognormal", median = 1.6, sigma = 0.4 }'
    text = model_card("chinchilla")
    assert prior in text
    model = fs.Model.from_toml(text.replace(prior, 'E = { dist = "lognormal", median = 1.6, sigma = 0.02 }'))
    path = fs.fit(hoffmann, model, random_seed=1).save(tmp_path / "narrow.nc")
    page = call("sensitivity", path, "--of", "loss", "--at", "70B,1.4T", "--prior").stdout
    check_page(page)
    flat = " ".join(page.split())
    assert re.search(r"Prior-data conflict: .*E; .*the loss at n_params 70B, n_tokens 1.4T\.", flat)
    assert "Fine: the runs decide" not in flat


def test_help_names_every_forecast_and_table():
    page = call("sensitivity", "-h").stdout
    check_page(page)
    flat = " ".join(page.split())
    what = re.search(r"--of WHAT (.+?) --compute", flat).group(1)
    assert all(re.search(rf"\b{name}\b", what) for name in LABELS)
    assert all(name in flat for name in ("elasticities", "changes", "shares", "prior"))
    assert re.search(r"^  Example: forescale sensitivity .+\n\n", page, re.MULTILINE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["besiroglu2024", "--of", "size"],
            "--of size: .* there are n_params, n_tokens, tokens_per_param, loss, a, crossing",
        ),
        (["besiroglu2024", "--at", "70B,1.4T"], "--at names runs, and goes with --of loss; --of n_params is asked at"),
        (["besiroglu2024", "--of", "loss", "--at", "70B"], "a point of law 'chinchilla' is n_params,n_tokens"),
        (["besiroglu2024", "--of", "loss", "--at", "70B,1.4T", "--compute", "1e21"], "choose whose loss is meant"),
        (["besiroglu2024", "--of", "loss", "--at", "7B,1T", "--cost", "6ND+attention"], "choose whose loss is meant"),
        (["besiroglu2024", "--compute", "1e21,x"], "compute, entry 1: 'x' is not a quantity"),
        (["besiroglu2024", "--cost", "free"], "no cost model 'free'"),
        (
            ["besiroglu2024", "--prior"],
            "besiroglu2024 is no fit, and has no priors to scale; `forescale fit` makes one",
        ),
        (["besiroglu2024", "--of", "crossing"], "asked of a card of trends, kaplan2020, .*, not of besiroglu2024"),
        (["kaplan2020", "--of", "crossing", "--compute", "1e21"], "leave out --compute, --at and --cost"),
        (["kaplan2020", "--of", "crossing", "--prior"], "kaplan2020 is no fit"),
        (["kaplan2020_eq67"], "nothing can be asked but --of crossing"),
        (["kaplan2020_n"], "cannot split compute"),
        (["nothing"], "is no file"),
        (["missing.toml", "--of", "crossing"], "not a card of trends"),
    ],
)
def test_what_cannot_be_asked_is_one_line(words, message):
    assert re.search(message, refused("sensitivity", *words))
