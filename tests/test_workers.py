"""What is finished is never lost nor done again, whoever is killed; the order of the tasks is that of the rows."""

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from jobs import Note, hears_interrupts, lines, notes, pids, times_done, two_dask_workers

from forescale.errors import DataError, FileError
from forescale.work.processes import TRIES
from forescale.work.workers import run_all, seed_to_keep

DRIVER = Path(__file__).with_name("jobs.py")
HERE, LOCAL, CLUSTER = "this process", "processes", "cluster"


@pytest.fixture(scope="module")
def client():
    """A task is given up when it has ended two workers."""
    pytest.importorskip("distributed")
    with two_dask_workers(**{"distributed.scheduler.allowed-failures": 1}) as client:
        yield client


@pytest.fixture(params=[HERE, LOCAL, CLUSTER])
def where(request):
    return whereabouts(request)


@pytest.fixture(params=[LOCAL, CLUSTER])
def elsewhere(request):
    return whereabouts(request)


def whereabouts(request):
    """Arguments of run_all."""
    if request.param != CLUSTER:
        return {"workers": 1 if request.param == HERE else 2}
    client = request.getfixturevalue("client")
    client.wait_for_workers(2, timeout=120)  # the test before may have ended some
    return {"client": client}


def run(tasks, **given):
    return run_all(tasks, "notes", progress=False, **given)


def plain(log, count=40):
    """What an undisturbed run gives."""
    return run(notes(f"{log}.plain", count), workers=1)


def until(true, seconds=60):
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends, "waited in vain"
        time.sleep(0.01)


def is_alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text() if Path("/proc").is_dir() else True


def test_rows_come_in_the_order_of_the_tasks(where, tmp_path):
    backwards = [replace(note, seconds=0.02 * (note.number < 3)) for note in notes(tmp_path / "log", 12)]
    found = run(backwards, **where)
    assert [rows[0]["number"] for rows in found] == list(range(12))
    assert found[7] == [{"number": 7, "third": 7 / 3, "nan": pytest.approx(np.nan, nan_ok=True), "inf": -np.inf}]
    assert (os.getpid() in pids(tmp_path / "log")) == (where == {"workers": 1})


def test_whatever_goes_wrong_in_a_task_is_its_row(where, tmp_path):
    log = str(tmp_path / "log")
    bad = [Note(1, log, "raise"), Note(2, log, "exit"), Note(3, log, "nonsense"), Note(4, log)]
    found = run(bad, results=tmp_path / "r", **where)
    assert [rows[0].get("error", "").partition(":")[0] for rows in found] == ["Sealed", "WorkerError", "TypeError", ""]
    assert len(lines(tmp_path / "r")) == 4
    assert str(run(bad, results=tmp_path / "r", **where)) == str(found)
    assert max(times_done(log).values()) == 1


def test_what_is_kept_is_not_done_again(where, tmp_path):
    log, kept = tmp_path / "log", tmp_path / "results.jsonl"
    some = run(notes(log, 20)[5:10], results=kept, **where)
    found = run(notes(log, 20), results=kept, **where)
    assert str(found[5:10]) == str(some)
    assert str(found) == str(plain(log, 20))
    assert set(times_done(log).values()) == {1}
    other = [Note(number, str(log), "other question") for number in range(20)]
    assert run(other, results=kept, **where) == [[{"number": number}] for number in range(20)]
    assert set(times_done(log).values()) == {2}
    assert len({line["key"] for line in lines(kept)}) == len(lines(kept)) == 40


def test_tasks_of_one_key_are_done_once(where, tmp_path):
    log = tmp_path / "log"
    same = [notes(log)[i] for i in (1, 2, 1, 2, 1)]
    assert [rows[0]["number"] for rows in run(same, results=tmp_path / "r", **where)] == [1, 2, 1, 2, 1]
    assert times_done(log) == {1: 1, 2: 1}


def test_a_process_that_is_killed_costs_nothing_that_is_finished(elsewhere, tmp_path):
    log, kept = tmp_path / "log", tmp_path / "results.jsonl"
    killed = []

    def kill():
        until(lambda: len(lines(kept)) >= 10)
        killed.extend(line["key"] for line in lines(kept))
        os.kill(sorted(pids(log))[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    found = run(notes(log, seconds=0.05), results=kept, **elsewhere)
    killer.join()
    assert str(found) == str(plain(log))
    assert len(lines(kept)) == 40
    numbers = {note.key: note.number for note in notes(log)}
    assert {times_done(log)[numbers[key]] for key in killed} == {1}
    assert sum(times_done(log).values()) <= 42  # at most what the worker had to do is done again
    assert len(pids(log)) >= 2


def test_a_task_that_ends_its_process_once_is_done_again(elsewhere, tmp_path):
    log = str(tmp_path / "log")
    tasks = [Note(n, log, "die once" if n == 3 else "answer", seconds=0.02) for n in range(8)]
    assert run(tasks, **elsewhere)[3] == [{"number": 3}]
    assert times_done(log)[3] == 2


@pytest.mark.parametrize("deaths", [1, 2])
def test_a_task_that_ends_every_process_is_a_row_and_drags_none_down(elsewhere, tmp_path, deaths):
    log, kept = str(tmp_path / "log"), tmp_path / "results.jsonl"
    tasks = [Note(n, log, "die" if n < deaths else "answer", seconds=0.02) for n in range(12)]
    found = run(tasks, results=kept, **elsewhere)
    for number, rows in enumerate(found):
        assert rows[0]["number"] == number
        assert ("WorkerError: " in rows[0].get("error", "")) == (number < deaths)
    tried = {times_done(log)[number] for number in range(deaths)}
    assert tried == {TRIES} if "workers" in elsewhere else max(tried) <= 4
    assert len(lines(kept)) == 12 - deaths  # the others are tried again by the next call
    if "client" in elsewhere:
        elsewhere["client"].wait_for_workers(2, timeout=120)
    well = [replace(task, does="answer") for task in tasks]
    assert "error" not in str(run(well, results=kept, **elsewhere))


@pytest.mark.parametrize("scheduler", [False, True])
def test_a_driver_that_is_killed_loses_nothing_finished_and_repeats_nothing_finished(tmp_path, scheduler, request):
    log, kept = tmp_path / "log", tmp_path / "results.jsonl"
    where = {"client": request.getfixturevalue("client")} if scheduler else {"workers": 2}
    address = [where["client"].scheduler.address] if scheduler else []
    for count in (8, 20):
        driver = subprocess.Popen([sys.executable, DRIVER, log, kept, *address])
        until(lambda count=count: len(lines(kept)) >= count)
        driver.kill()
        driver.wait()
        with kept.open("a") as file:  # and it was in the middle of a line
            file.write('{"key": "0123456789abcdef", "rows": [{"numb')
    saved = [line["key"] for line in lines(kept)]
    if not scheduler:
        until(lambda: not any(map(is_alive, pids(log))))  # nobody goes on for nobody
    before = times_done(log)
    found = run(notes(log, seconds=0.05), results=kept, **where)
    assert str(found) == str(plain(log))
    keys = [line["key"] for line in lines(kept)]
    assert sorted(keys) == sorted(note.key for note in notes(log))
    assert keys[: len(saved)] == saved
    numbers = {note.key: note.number for note in notes(log)}
    for key in saved:
        assert times_done(log)[numbers[key]] == before[numbers[key]]
    assert "0123456789abcdef" not in kept.read_text()


def test_ctrl_c_leaves_the_file_whole_and_ends_the_processes(tmp_path):
    log, kept = tmp_path / "log", tmp_path / "results.jsonl"
    command = [sys.executable, DRIVER, log, kept]
    alone = {"start_new_session": True, "preexec_fn": hears_interrupts}
    driver = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **alone)
    until(lambda: len(lines(kept)) >= 8)
    os.killpg(driver.pid, signal.SIGINT)  # as a terminal does: to the processes as well
    _, said = driver.communicate(timeout=60)
    assert driver.returncode != 0
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert said.count("Traceback") == 1
    assert kept.read_bytes().endswith(b"\n")
    assert not any(map(is_alive, pids(log)))
    assert 8 <= len(lines(kept)) < 40
    assert str(run(notes(log, seconds=0.05), results=kept, workers=1)) == str(plain(log))


def test_a_cluster_that_goes_away_is_an_error_and_not_a_wait(tmp_path):
    distributed, dask = pytest.importorskip("distributed"), pytest.importorskip("dask")
    log, kept = tmp_path / "log", tmp_path / "results.jsonl"
    with (
        dask.config.set({"distributed.logging.distributed": "critical", "distributed.comm.timeouts.connect": "2s"}),
        distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        distributed.Client(cluster, timeout=2) as client,
    ):

        def close():
            until(lambda: len(lines(kept)) >= 3)
            cluster.close()

        closer = threading.Thread(target=close)
        closer.start()
        with pytest.raises(RuntimeError, match="scheduler is gone.* were left"):
            run(notes(log, seconds=0.05), results=kept, client=client)
        closer.join()
    assert len(run(notes(log), results=kept, workers=1)) == 40


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"workers": 0}, "at least 1"),
        ({"workers": 2, "client": object()}, "goes without a client"),
        ({"client": "tcp://127.0.0.1:8786"}, "is a dask.distributed.Client"),
    ],
)
def test_who_cannot_work(tmp_path, given, words):
    with pytest.raises(DataError, match=words):
        run(notes(tmp_path / "log"), **given)


def test_nothing_to_do_starts_nobody(tmp_path):
    assert run([], workers=2) == []
    (kept := tmp_path / "text").write_text("my thesis\n")
    with pytest.raises(FileError, match="something else"):
        run(notes(tmp_path / "log"), results=kept)
    assert kept.read_text() == "my thesis\n"
    assert not (tmp_path / "log").exists()


def test_results_want_a_seed():
    assert seed_to_keep(7, "results.jsonl") == 7
    assert seed_to_keep(None, None) >= 0
    with pytest.raises(DataError, match="give random_seed="):
        seed_to_keep(None, "results.jsonl")
