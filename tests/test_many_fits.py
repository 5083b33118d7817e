"""Real fits in many processes: the same table whoever makes it, one compilation a process, nothing lost, nothing twice.

A law that has never been compiled on this machine rounds otherwise in the process that compiles it first (see `fit`),
so that each test first lets other processes fill the cache of compiled code.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from jobs import lines, two_dask_workers

import forescale as fs
from forescale.checking.backtest import backtest
from forescale.checking.calibrate import calibrate
from forescale.checking.tasks import Task, forecasters
from forescale.sampling import nuts as sampling
from forescale.sampling.nuts import Settings
from forescale.tables.cuts import make_cuts
from forescale.work.workers import run_all

pytestmark = pytest.mark.slow
TRUTH = {"E": 1.8, "A": 480.0, "B": 2000.0, "alpha": 0.35, "beta": 0.36}
ASKED = {"models": ["chinchilla"], "draws": 300, "tune": 300, "bootstrap": 20, "random_seed": 1}
ASKED |= {"progress": False}


@pytest.fixture(scope="module")
def runs(simulate):
    return simulate(fs.load_model("chinchilla").law, TRUTH, runs=40, seed=3)


@pytest.fixture(scope="module")
def client():
    pytest.importorskip("distributed")
    with two_dask_workers() as client:
        yield client


@pytest.fixture(scope="module")
def warm(runs):
    backtest(runs, workers=2, **{**ASKED, "baselines": []})


def command(code, *words):
    """A script without a guard of its main part, for a fresh process."""
    return [sys.executable, "-c", code, *map(str, words)]


BACKTEST = f"""
import sys, forescale as fs
from forescale.checking.backtest import backtest
table, out, workers, results = sys.argv[1:]
runs = fs.Observations.read(table, name="simulated chinchilla")
found = backtest(runs, workers=int(workers), results=results or None, **{ASKED})
found.points.to_pickle(out)
"""


@pytest.fixture(scope="module")
def table(runs, tmp_path_factory):
    """The runs as a file, for other processes."""
    path = tmp_path_factory.mktemp("table") / "runs.parquet"
    runs.table.to_parquet(path)
    return path


@pytest.fixture(scope="module")
def alone(warm, table, tmp_path_factory):
    """The points by one process that does everything."""
    out = tmp_path_factory.mktemp("alone") / "points.pickle"
    subprocess.run(command(BACKTEST, table, out, 1, ""), check=True)
    return pd.read_pickle(out)


def test_the_table_is_the_same_whoever_makes_it(runs, alone, client):
    assert set(alone["error"]) == {""}
    pd.testing.assert_frame_equal(backtest(runs, workers=2, **ASKED).points, alone)
    pd.testing.assert_frame_equal(backtest(runs, client=client, **ASKED).points, alone)
    other = backtest(runs, workers=2, **{**ASKED, "random_seed": 2}).points  # the partner
    assert not other["median"].equals(alone["median"])


@pytest.mark.parametrize("victim", ["worker", "dask worker", "driver"])
def test_whoever_is_killed_nothing_is_lost_or_done_twice(runs, table, alone, tmp_path, request, victim):
    kept, out = tmp_path / "scores.jsonl", tmp_path / "points.pickle"

    def wait():
        ends = time.monotonic() + 120
        while len(lines(kept)) < 5 and time.monotonic() < ends:
            time.sleep(0.01)

    if victim == "driver":
        killed = subprocess.Popen(command(BACKTEST, table, out, 2, kept))
        wait()
        killed.kill()
        killed.wait()
        assert not out.exists()
        where = {"workers": 2}
    else:
        where = {"client": request.getfixturevalue("client")} if victim == "dask worker" else {"workers": 2}

        def kill():
            wait()
            if victim == "dask worker":
                pid = next(iter(where["client"].run(os.getpid).values()))
            else:
                pid = processes_of(os.getpid())[0]
            os.kill(pid, signal.SIGKILL)

        threading.Thread(target=kill).start()
    if victim == "driver":
        before = kept.read_bytes()
        whole = before[: before.rfind(b"\n") + 1]
    found = backtest(runs, results=kept, **where, **ASKED)
    pd.testing.assert_frame_equal(found.points, alone)
    keys = [line["key"] for line in lines(kept)]
    assert len(keys) == len(set(keys)) == len(alone[["model", "cut"]].drop_duplicates())
    if victim == "driver":
        assert kept.read_bytes().startswith(whole)


def processes_of(parent):
    """Those that loky has started for a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words, status = (folder / "cmdline").read_text(), (folder / "stat").read_text()
        except OSError:
            continue
        if "popen_loky" in words and int(status.rpartition(")")[2].split()[1]) == parent:
            found.append(int(folder.name))
    return sorted(found)


@dataclass(frozen=True)
class Counted:
    """A task of a backtest, that also says how often its process has compiled a model until now."""

    task: Task

    @property
    def key(self):
        return self.task.key

    def run(self):
        if not hasattr(sampling, "compilations"):
            sampling.compilations, compile_model = 0, sampling._compile

            def counted(*args):
                sampling.compilations += 1
                return compile_model(*args)

            sampling._compile = counted
        rows = self.task.run()
        return {"pid": os.getpid(), "compilations": sampling.compilations, "error": rows[0]["error"]}

    def failed(self, error):
        return {"error": str(error)}


@pytest.mark.parametrize("cluster", [False, True])
def test_a_model_is_compiled_once_a_process(runs, request, cluster):
    where = {"client": request.getfixturevalue("client")} if cluster else {"workers": 2}
    models = [fs.load_model("chinchilla"), fs.load_model("kaplan")]
    *by_model, line = forecasters(models, ["last-point"])
    cuts = make_cuts(runs, "flops", np.quantile(runs.column("flops"), np.linspace(0.4, 0.8, 6)))
    told = [(who, cut) for who in (line, *by_model) for cut in cuts]
    tasks = [Counted(Task(runs, "t", "flops", who, cut, Settings(600, 600), 20, 1)) for who, cut in told]
    done = run_all(tasks, "fits", progress=False, **where)
    assert {row["error"] for row in done} == {""}
    assert len({row["pid"] for row in done}) == 2
    assert 1 <= max(row["compilations"] for row in done) <= len(models)  # of 12 fits


def test_calibration_is_the_same_whoever_does_it(client, tmp_path):
    asked = {"fits": 20, "random_seed": 2, "progress": False}
    calibrate("power_n", workers=2, **asked)
    kept = tmp_path / "ranks.jsonl"
    first = calibrate("power_n", workers=2, results=kept, **asked)
    pd.testing.assert_frame_equal(first.fits, calibrate("power_n", client=client, **asked).fits)
    assert len(lines(kept)) == 20
    more = calibrate("power_n", workers=1, results=kept, **{**asked, "fits": 21})
    pd.testing.assert_frame_equal(more.fits.loc[:19], first.fits)
    assert len(lines(kept)) == 21


OWN_LAW = """
import sys, forescale as fs
from forescale.checking.backtest import backtest
from forescale.laws.terms import Amplitude

@fs.law(terms={"A": Amplitude("n_params", "alpha"), "B": Amplitude("n_tokens", "beta")}, floor="E")
def homemade(n_params, n_tokens, *, E, A, B, alpha, beta):
    return E + A / n_params**alpha + B / n_tokens**beta

card = fs.load_model("chinchilla").to_toml().replace('law = "chinchilla"', 'law = "homemade"')
model = fs.Model.from_toml(card.replace('name = "chinchilla"', 'name = "mine"'))
table, address = sys.argv[1:]
if address:
    from distributed import Client
    where = {"client": Client(address)}
else:
    where = {"workers": 2}
found = backtest(fs.Observations.read(table), model, random_seed=1, draws=300, bootstrap=20, progress=False, **where)
print(sorted(set(found.points["error"])), len(found.points["model"].unique()))
"""


@pytest.mark.parametrize("cluster", [False, True])
def test_a_law_of_a_script_is_known_to_its_processes(table, request, cluster):
    address = request.getfixturevalue("client").scheduler.address if cluster else ""
    done = subprocess.run(command(OWN_LAW, table, address), capture_output=True, text=True, check=True)
    assert done.stdout == "[''] 3\n"
