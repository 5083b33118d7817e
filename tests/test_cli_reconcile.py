"""`forescale reconcile`."""

import json
import re

import pandas as pd
import pytest
from commandline import call, check_page, refused

import forescale as fs

pytestmark = pytest.mark.usefixtures("eighty_columns")


def test_the_page_sets_the_exponent_beside_those_of_the_papers():
    page = call("reconcile", "besiroglu2024").stdout
    check_page(page)
    assert re.search(r"a  Kaplan et al\.'s range +0\.776  0\.740  0\.806", page)
    assert re.search(r"a +pearce2024 +Besiroglu et al\.'s law at Kaplan et +0\.78", page)
    assert re.search(r"a +porian2024 +1 as Kaplan et al\., RefinedWeb +0\.835 +\[0\.82, 0\.85\]", page)
    assert page.count("besiroglu2024") == 2  # the source, and the paper of that name, once


def test_json_and_csv_equal_the_library(capsys):
    found = fs.reconcile(fs.published("besiroglu2024"), ["1e21", "1e24"])
    document = json.loads(call("reconcile", "besiroglu2024", "--compute", "1e21,1e24", "--json").stdout)
    assert [row["median"] for row in document["rows"]] == list(found.table()["median"])
    exponents = found.exponent_table()
    assert [row["median"] for row in document["exponents"]] == list(exponents["median"])
    assert [row["printed"] for row in document["exponents"]] == list(exponents["printed"])
    assert document["embeddings"] == {"omega": 47491.0, "gamma": pytest.approx(1 / 3)}
    csv = call("reconcile", "besiroglu2024", "--compute", "1e21", "--csv").stdout
    assert list(csv.splitlines()[0].split(",")) == list(found.table())
    assert len(pd.DataFrame(csv.splitlines()[1:])) == 5


def test_other_embeddings_are_taken():
    few = json.loads(call("reconcile", "besiroglu2024", "--omega", "1", "--gamma", "0.9", "--json").stdout)
    exponent = few["exponents"][0]["median"]
    assert exponent == pytest.approx(0.514, abs=0.02)  # next to no embeddings: the limit everywhere


def test_what_counts_no_embeddings_is_refused():
    assert "counts no embeddings" in refused("reconcile", "kaplan2020")
    assert "gamma between 0 and 1" in refused("reconcile", "besiroglu2024", "--gamma", "2")
