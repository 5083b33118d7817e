"""`forescale downstream`, and figures of links."""

import json

import evaluations
import numpy as np
import pytest
from commandline import call, check_page, refused

import forescale as fs
from forescale.plots.downstreams import plot_downstream, plot_link
from forescale.plots.saving import save_figure

pytestmark = pytest.mark.usefixtures("eighty_columns")
SOURCE = "besiroglu2024"


@pytest.fixture(scope="module")
def links(evals):
    return evaluations.as_if_fitted(evals)


@pytest.fixture
def table(evals, tmp_path, monkeypatch, links):
    """The evaluations as a file, whose fit is there already."""
    monkeypatch.setattr(fs, "fit_link", lambda *given, **how: links)
    evals.table.rename(columns={"loss": "c4"}).to_csv(tmp_path / "evals.csv", index=False)
    return tmp_path / "evals.csv"


def test_the_page_has_bands_and_what_an_accuracy_takes(table):
    words = ("downstream", SOURCE, table, "--columns", "loss=c4", "--at", "7B,140B", "--accuracy", "0.7")
    page = call(*words).stdout
    check_page(page)
    assert "mean over tasks" in page
    assert "recall" in page
    assert "reached" in page
    assert "90 % equal-tailed" in page


def test_json_and_csv_equal_the_library(table, links):
    words = ("downstream", SOURCE, table, "--columns", "loss=c4", "--at", "7B,140B")
    expected = fs.downstream(links, fs.published(SOURCE), n_params="7B", n_tokens="140B", random_seed=0).table()
    document = json.loads(call(*words, "--accuracy", "0.7", "--json").stdout)
    assert [row["median"] for row in document["rows"]] == list(expected["median"])
    assert document["interval"] == "equal-tailed"
    assert len(document["reach"]) == 8
    assert len(document["link_rows"]) == 10
    csv = call(*words, "--csv").stdout
    assert csv.splitlines()[0].split(",") == list(expected)


def test_what_is_wrong_is_said_in_one_line(table):
    assert "ask for something" in refused("downstream", SOURCE, table)
    assert "No column is recognised as loss" in refused("downstream", SOURCE, table, "--at", "7B,140B")
    assert "nowhere.csv: no such file" in refused("downstream", SOURCE, "nowhere.csv", "--at", "7B,140B")


def test_figures_draw_what_the_results_say(links, tmp_path):
    ax = plot_link(links, task="recall")
    assert ax.get_xlim()[0] > ax.get_xlim()[1]  # loss falls to the right
    assert ax.lines[0].get_xdata().size == 25
    median = links.accuracy([3.0]).sel(task="recall").median()
    drawn = np.interp(-3.0, -ax.lines[1].get_xdata(), ax.lines[1].get_ydata())
    assert drawn == pytest.approx(float(median), abs=0.01)
    assert save_figure(ax, tmp_path / "link.png").stat().st_size > 0
    along = plot_downstream(links, fs.published(SOURCE), compute=("1e19", "1e24"))
    assert along.get_xlabel() == "training compute C (FLOPs)"
    assert save_figure(along, tmp_path / "along.png").stat().st_size > 0
    with pytest.raises(fs.DataError, match="task= names one of recall, puzzle"):
        plot_link(links)
    with pytest.raises(fs.DataError, match="task= names one of recall, puzzle, or none"):
        plot_downstream(links, fs.published(SOURCE), task="sums")
