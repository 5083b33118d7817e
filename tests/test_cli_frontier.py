"""`forescale frontier`."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from commandline import call, check_page, refused

import forescale as fs

pytestmark = pytest.mark.usefixtures("eighty_columns")


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    """IsoFLOP profiles of a known law, five budgets of seven sizes, under odd headers."""
    rng = np.random.default_rng(4)
    flops = np.repeat(np.geomspace(1e19, 1e21, 5), 7)
    best = fs.allocate(fs.published("besiroglu2024", draws=1), np.unique(flops)).draws["n_params"].squeeze()
    size = np.repeat(best.to_numpy(), 7) * np.tile(np.geomspace(0.25, 4, 7), 5)
    law, values = fs.published("besiroglu2024").law, fs.published("besiroglu2024").values
    loss = law({"n_params": size, "n_tokens": flops / (6 * size)}, values) * np.exp(0.002 * rng.standard_normal(35))
    path = tmp_path_factory.mktemp("frontier") / "runs.csv"
    pd.DataFrame({"Model Size": size, "Training FLOPs": flops, "Final Loss": loss}).to_csv(path, index=False)
    return path


WORDS = ["--seed", "1", "--columns", "n_params=Model Size"]


def test_the_page_sets_the_exponent_beside_the_papers_and_lists_the_minima(csv):
    page = call("frontier", csv, *WORDS, "--beside", "besiroglu2024", "--compute", "1e22").stdout
    check_page(page)
    a = float(re.search(r"a +isoFLOP profiles of runs.* (0\.\d{3}) ", page).group(1))
    assert a == pytest.approx(0.5126, abs=0.05)
    assert re.search(r"besiroglu2024 +approach 3, parametric fit +0\.51\d", page)
    assert len(re.findall(r"^ +1e19|^ +1e20|^ +1e21", page, re.MULTILINE)) == 3
    assert "Optimal split of budgets" in page
    assert "Diagnostics passed" in page


def test_json_equals_the_library(csv):
    document = json.loads(call("frontier", csv, *WORDS, "--compute", "1e22", "--json", "--quiet").stdout)
    runs = fs.Observations.read(csv, columns={"n_params": "Model Size"})
    found = fs.frontier(runs, random_seed=1)
    assert [row["median"] for row in document["rows"]] == list(found.table()["median"])
    assert [row["median"] for row in document["exponents"]] == list(fs.approaches(found)["median"])
    size = float(found.optimum("1e22")["n_params"].median())
    assert document["splits"][0]["median"] == pytest.approx(size)


def test_what_has_no_profiles_is_refused(tmp_path):
    ladder = tmp_path / "ladder.csv"
    sizes = np.geomspace(1e8, 1e10, 6)
    pd.DataFrame({"n_params": sizes, "n_tokens": 20 * sizes, "loss": np.linspace(3, 2, 6)}).to_csv(ladder, index=False)
    assert "sizes" in refused("frontier", ladder, "--quiet")
    assert "an envelope needs at least two" in refused("frontier", ladder, "--method", "envelope", "--quiet")
    assert "no method is called 'valley'" in refused("frontier", ladder, "--method", "valley", "--quiet")
