"""`forescale compare`."""

import json
import re

import pandas as pd
import pytest
from commandline import call, check_page, refused

import forescale as fs

pytestmark = pytest.mark.usefixtures("eighty_columns")


@pytest.fixture(scope="module")
def folder(tmp_path_factory, hoffmann, hoffmann_fit):
    made = tmp_path_factory.mktemp("compare")
    hoffmann_fit.save(made / "chinchilla.nc")
    fs.fit(hoffmann, "kaplan", random_seed=1).save(made / "kaplan.nc")
    return made


@pytest.fixture
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def test_the_page_answers_which_predicts_better_and_what_it_costs(here):
    page = call(
        "compare", "chinchilla.nc", "kaplan.nc", "kaplan2020", "--compute", "5.76e23", "--at", "70B,1.4T"
    ).stdout
    check_page(page)
    assert re.search(r"chinchilla +0\.77 +-0\.09 +(88\d|879)\.\d +best", page)
    assert re.search(r"kaplan +1\.\d\d .*22\d\.\d ± 21\.\d", page)
    assert re.search(r"chinchilla +kaplan +kaplan +[67]\.\d+e19 +1e28", page)
    assert "counts no embeddings" in page
    assert page.index("elpd") < page.index("Compute-optimal split") < page.index("The price of following")


def test_json_and_csv_equal_the_library(here):
    words = ["compare", "chinchilla.nc", "kaplan.nc", "--compute", "1e22", "--prob", "0.8"]
    document = json.loads(call(*words, "--json").stdout)
    found = fs.compare(fs.load_fit("chinchilla.nc"), fs.load_fit("kaplan.nc"), compute="1e22", random_seed=0)
    assert [row["elpd"] for row in document["rows"]] == list(found.scores["elpd"])
    assert [row["median"] for row in document["allocation"]] == list(found.allocation(0.8)["median"])
    assert [row["lower"] for row in document["regret"]] == list(found.regret(0.8)["lower"])
    assert document["separation"][0]["flops_from"] == found.separation(0.8)["flops_from"].iloc[0]
    csv = pd.DataFrame([line.split(",") for line in call(*words, "--csv").stdout.splitlines()])
    assert list(csv.iloc[0]) == ["source", *found.scores.columns]


def test_published_estimates_are_compared_on_a_table():
    page = call("compare", "besiroglu2024", "hoffmann2022", "--runs", "hoffmann2022").stdout
    check_page(page)
    assert "elpd:" not in page
    assert "no noise model" in page


def test_what_cannot_be_compared_is_refused(here, tmp_path):
    simulated = fs.load_dataset("openeurollm")
    fs.fit(simulated, random_seed=1, draws=400).save(tmp_path / "other.nc")
    assert "differ" in refused("compare", "chinchilla.nc", tmp_path / "other.nc")
    assert "at least two" in refused("compare", "chinchilla.nc")
    assert "pass the runs" in refused("compare", "besiroglu2024", "kaplan2020")
