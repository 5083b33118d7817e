"""`forescale contradiction`."""

import json
import re

import pytest
from commandline import call, check_page

import forescale as fs

pytestmark = pytest.mark.usefixtures("eighty_columns")


def test_contradiction_of_a_card_shows_the_point_and_equals_the_library():
    shown = call("contradiction", "kaplan2020").stdout
    assert re.search(r"C\*, FLOPs +1\.81e24 +1\.25e23 +1\.12e25 +24\.26 \[23\.10, 25\.05\]", shown)
    assert "alpha_C   scale" in shown
    check_page(shown)
    document = json.loads(call("contradiction", "kaplan2020", "--json", "--compute", "1e24,1e25").stdout)
    found = fs.contradiction(fs.published_trends("kaplan2020"))
    assert [row["median"] for row in document["rows"]] == list(found.table()["median"])
    assert [row["crossed"] for row in document["probabilities"]] == list(found.probabilities([1e24, 1e25])["crossed"])
    assert len(document["elasticities"]) == 3


def test_contradiction_of_points_has_no_bands():
    shown = call("contradiction", "kaplan2020_eq67").stdout
    assert "No bands" in shown
    assert "lower" not in shown
    assert re.search(r"in PF-days +1\.06e5", shown)


def test_contradiction_of_a_joint_law_says_why_there_is_none_and_its_limits_have_one():
    shown = call("contradiction", "besiroglu2024", "--compute", "1e24").stdout
    assert "No contradiction by besiroglu2024" in shown
    assert "0.0732 [0.0631, 0.0850]" in shown
    document = json.loads(call("contradiction", "besiroglu2024", "--json").stdout)
    assert document["crossing"] is False
    assert len(document["rows"]) == 3 * 11
    limits = json.loads(call("contradiction", "besiroglu2024", "--limits", "1e19,1e22", "--json").stdout)
    assert limits["rows"][0]["median"] == pytest.approx(4.19e23, rel=0.01)


def test_contradiction_of_a_table_of_runs(tmp_path):
    csv = tmp_path / "odd.csv"
    fs.load_dataset("openeurollm").table[["n_params", "n_tokens", "loss"]].to_csv(csv, index=False)
    shown = call("contradiction", "--runs", csv, "--seed", "1").stdout
    assert "runs that no run of at most their tokens beats" in shown
    assert "Change of log10 C*" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give either a source or --runs"),
        (["kaplan2020", "--runs", "x.csv"], "give either a source or --runs"),
        (["--runs", "x.csv", "--limits", "1e19,1e22"], "--limits goes with"),
        (["besiroglu2024", "--limits", "1e22"], r"\(low, high\) in FLOPs"),
        (["kaplan2020_n"], "cannot split compute"),
        (["nothing"], "is no file"),
    ],
)
def test_contradiction_says_what_it_wants(words, message):
    failed = call("contradiction", *words, code=2)
    assert re.search(message, failed.stderr)


def test_show_of_trends_tells_their_spread():
    shown = call("show", "kaplan2020_pivoted").stdout
    assert "Trends kaplan2020_pivoted" in shown
    assert "half a unit of the last digit" in " ".join(shown.split())
