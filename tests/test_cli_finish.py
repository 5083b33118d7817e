"""`forescale finish`, and the figure of what it finds."""

import json
import re

import pytest
from commandline import call, check_page, refused
from test_finish import PLAN, QUICK, curve, up_to

import forescale as fs
from forescale.errors import DataError
from forescale.plots import plot_finish

pytestmark = pytest.mark.usefixtures("eighty_columns")
WORDS = "wsd:20K,decay=4K,warmup=1000,final=0.1"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("curves") / "mine.csv"
    up_to(0.6).to_csv(path, index=False)
    return path


def test_the_page_says_how_it_ends_and_what_was_seen(path):
    page = call("finish", path, "--schedule", WORDS, "--seed", "1").stdout
    check_page(page)
    assert "Loss in nats per token of mine, 60% done" in page
    assert "annealing has not begun" in " ".join(page.split())
    assert len(re.findall(r"20,000 +x 3\.\d+ +(mean|run) +2\.\d{3}", page)) == 2


def test_json_and_csv_equal_the_library(path):
    found = fs.finish(path, PLAN, at=[18_000], random_seed=1)
    words = ("finish", path, "--schedule", WORDS, "--seed", "1", "--at", "18K")
    document = json.loads(call(*words, "--json").stdout)
    assert [row["median"] for row in document["rows"]] == found.table()["median"].tolist()
    assert document["last_seen"] == 12_000
    assert document["steps"] == 20_000
    assert call(*words, "--csv").stdout.splitlines()[0] == ",".join(found.table())


def test_what_cannot_tell_is_a_line(path):
    assert "give a schedule" in refused("finish", path)
    assert "no schedule is written" in refused("finish", path, "--schedule", "cosin:2")
    assert "nothing is to come" in refused("finish", path, "--schedule", "constant:9000")


def test_the_figure_shows_seen_and_to_come():
    found = fs.finish(up_to(0.85), PLAN, random_seed=1, **QUICK)
    ax = plot_finish(found, final=curve()["loss"].iloc[-1])
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels[:2] == ["seen", "points fitted"]
    assert "run (this run: curve and noise), 90 % equal-tailed" in labels
    assert any(label.startswith("came: 2.5") for label in labels)
    seen = ax.lines[0].get_xdata()
    assert seen.max() == 17_000
    assert seen.min() == PLAN.warmup
    alone = fs.finish(up_to(0.85), PLAN, at=[20_000], random_seed=1, **QUICK)
    with pytest.raises(DataError, match="two steps or more"):
        plot_finish(alone)
