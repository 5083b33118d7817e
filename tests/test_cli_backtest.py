"""`forescale backtest`."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pandas as pd
import pytest
from commandline import call, check_page, refused
from jobs import hears_interrupts, lines

import forescale as fs
from forescale.checking.backtest import backtest
from forescale.checking.tasks import COLUMNS

pytestmark = pytest.mark.usefixtures("eighty_columns")
QUICK = ["--draws", 300, "--bootstrap", 20, "--cut", "1e20", "--workers", 1]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The scores of two tables, so that only the first call fits."""
    path = tmp_path_factory.mktemp("backtest") / "scores.jsonl"
    call("backtest", "openeurollm", "hoffmann2022", *QUICK, "--results", path, "--json", "-q")
    return path


def test_the_page_answers_how_good_bands_are_beside_the_baselines(kept):
    before = kept.read_bytes()
    page = call("backtest", "openeurollm", "hoffmann2022", *QUICK, "--results", kept).stdout
    check_page(page)
    assert kept.read_bytes() == before
    assert "Backtest by flops: 2 tables, 3 models, 2 cuts" in page
    assert re.search(r"huber chinchilla +127( +0\.\d\d){4}( +\d+\.\d\d){3} +[+-]\d\.\d\d\n", page)
    assert re.search(r"hoffmann2022( +0\.\d\d of 104){3}\n", page)
    assert page.index("percent of loss") < page.index("by decades of flops") < page.index("by table")
    assert "Failed" not in page


def test_json_and_csv_equal_the_library(kept):
    words = ["backtest", "openeurollm", *QUICK, "--results", kept]
    document = json.loads(call(*words, "--json").stdout)
    found = backtest(
        fs.load_dataset("openeurollm").where(recommended=1),
        cuts="1e20",
        draws=300,
        bootstrap=20,
        random_seed=0,
        workers=1,
    )
    assert [row["crps"] for row in document["rows"]] == list(found.points["crps"])
    assert [row["interval_score"] for row in document["scores"]] == list(found.table(None)["interval_score"])
    assert [row["distance"] for row in document["by_distance"]] == list(map(str, found.table()["distance"]))
    assert document["seed"] == 0
    assert document["failures"] == []
    csv = call(*words, "--csv").stdout
    assert csv.splitlines()[0].split(",") == COLUMNS
    assert len(csv.splitlines()) == 1 + len(found.points)


def test_other_columns_models_and_baselines():
    words = ["backtest", "hoffmann2022", "--model", "power_n", "--by", "n_params", "--cut", "1B", "--baseline", "none"]
    page = call(*words, "--draws", 300, "--workers", 1, "-q").stdout
    check_page(page)
    assert "Backtest by n_params: 1 table, 1 model, 1 cut" in page


def test_what_fails_is_told_and_the_code_says_if_nothing_is_left():
    words = ["backtest", "openeurollm", "--draws", 20, "--tune", 50, "--cut", "1e20", "--workers", 1]
    result = call(*words, "--baseline", "none", "-q", code=2)
    check_page(result.stdout)
    assert "Failed: 1\n" in result.stdout
    assert "ConvergenceError" in result.stdout
    assert "nothing could be scored" in result.stderr
    assert "Failed: 1\n" in call(*words, "--baseline", "last-point", "-q").stdout


def test_what_cannot_be_asked_is_refused(tmp_path, monkeypatch):
    (text := tmp_path / "text").write_text("my thesis\n")
    assert "something else" in refused("backtest", "openeurollm", "-q", "--results", text)
    assert text.read_text() == "my thesis\n"
    (empty := tmp_path / "empty.csv").write_text("N,D,loss\n")
    assert "empty.csv: The table has no runs" in refused("backtest", "openeurollm", empty, "-q")
    assert "no column 'colour'" in refused("backtest", "openeurollm", "-q", "--by", "colour")
    assert "no baseline is called 'magic'" in refused("backtest", "openeurollm", "-q", "--baseline", "magic")
    assert "no model is called" in refused("backtest", "openeurollm", "-q", "--model", "nothing")
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert "forescale[cluster]" in refused("backtest", "openeurollm", "-q", "--scheduler", "tcp://127.0.0.1:1")


def test_a_wrong_scheduler_is_an_error_and_not_a_wait():
    pytest.importorskip("distributed")
    command = "from forescale.cli import main; main()"
    words = ["backtest", "openeurollm", "-q", "--scheduler", "tcp://127.0.0.1:1"]
    done = subprocess.run([sys.executable, "-c", command, *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("forescale: no Dask scheduler answers at tcp://127.0.0.1:1; ")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_scheduler_gives_the_same(kept):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as workers:
        words = ["backtest", "openeurollm", "--cut", "1e20", "--baseline", "last-point", "--draws", 300, "-q", "--csv"]
        here = call(*words, "--workers", 2).stdout
        assert call(*words, "--scheduler", workers.scheduler_address).stdout == here
        assert "without a client" in refused(*words, "--workers", 2, "--scheduler", workers.scheduler_address)


@pytest.mark.slow
def test_an_interrupted_backtest_says_how_to_go_on(tmp_path):
    kept = tmp_path / "scores.jsonl"
    words = ["backtest", "openeurollm", "--model", "power_n", "--draws", "300", "-q", "--results", str(kept)]
    command = [sys.executable, "-c", "from forescale.cli import main; main()", *words, "--workers"]
    alone = {"start_new_session": True, "preexec_fn": hears_interrupts}
    stopped = subprocess.Popen([*command, "2"], stderr=subprocess.PIPE, text=True, **alone)
    while not lines(kept) and stopped.poll() is None:
        time.sleep(0.01)
    os.killpg(stopped.pid, signal.SIGINT)
    said = stopped.communicate(timeout=60)[1]
    assert said == f"forescale: interrupted; what had finished is in {kept}, and the same command goes on from there\n"
    assert stopped.returncode == 130
    finished = lines(kept)
    points = pd.DataFrame([row for line in finished for row in line["rows"]])
    assert json.loads(call(*words, "--json").stdout)["rows"]
    assert lines(kept)[: len(finished)] == finished
    assert not points.empty
