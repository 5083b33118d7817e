"""Every line of the README runs as pasted."""

import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from commandline import call

README = (Path(__file__).parents[1] / "README.md").read_text()


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def test_python(tmp_path, monkeypatch, hoffmann_fit):
    monkeypatch.chdir(tmp_path)
    _, code, _ = blocks("python")
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["fit"].posterior.equals(hoffmann_fit.posterior)
    assert (tmp_path / "hoffmann.nc").is_file()


def test_decisions(tmp_path, monkeypatch, hoffmann_fit, capsys):
    """What the block of decisions prints is what is quoted below it, but for last digits."""
    monkeypatch.chdir(tmp_path)
    hoffmann_fit.save("fit.nc")
    decide, quoted = re.search(
        r"^```python\n(.*?)^```\n\n```text\n(.*?)^```$", README, re.DOTALL | re.MULTILINE
    ).groups()
    capsys.readouterr()
    exec(compile(decide, "README.md", "exec"), {})
    printed = capsys.readouterr().out.splitlines()
    assert [without_numbers(line) for line in printed] == [without_numbers(line) for line in quoted.splitlines()]


@pytest.mark.slow
def test_shell(tmp_path, monkeypatch, eighty_columns):
    setup, tests, use, _ = blocks("sh")
    assert setup.startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert tests.endswith(".venv/bin/pytest\n")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    monkeypatch.chdir(tmp_path)
    first, *others = use.splitlines()
    subprocess.run(first, shell=True, check=True, env={**os.environ, "PATH": path})  # as pasted, into a shell
    printed = [""]
    for line in others:  # into this process, which compiles each law once
        program, *words = shlex.split(line)
        assert program == "forescale"
        printed.append(call(*words).stdout)
    assert "70B      1.4T  mean" in printed[1]
    assert "5.76e23" in printed[2]
    outputs = dict(zip(use.splitlines(), printed, strict=True))
    quoted = [block.splitlines() for block in blocks("text") if block.startswith("$ ")]
    assert len(quoted) == 9
    for command, *lines in quoted:
        shown = {without_numbers(line) for line in outputs[command.removeprefix("$ ")].splitlines()}
        missing = [line for line in lines if line != "..." and without_numbers(line) not in shown]
        assert not missing, command


@pytest.mark.slow
def test_clusters(tmp_path):
    """A cluster in a script, and one of commands, whose address is another where that of the README is taken."""
    pytest.importorskip("distributed")
    script, (scheduler, worker, backtest) = blocks("python")[2], blocks("sh")[3].splitlines()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    place = {"cwd": tmp_path, "env": {**os.environ, "PATH": path, "COLUMNS": "80"}}
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, **place)
    assert "interval_score" in done.stdout, done.stderr
    words = [line.removesuffix(" &").replace("8786", port).split() for line in (scheduler, worker)]
    running = [subprocess.Popen(each, stderr=subprocess.DEVNULL, **place) for each in words]
    try:
        done = subprocess.run(
            backtest.replace("8786", port).split(), capture_output=True, text=True, timeout=300, **place
        )
    finally:
        for process in reversed(running):
            process.terminate()
            process.wait()
    assert "Backtest by flops" in done.stdout, done.stderr
    # whoever did the fits, the figures are the same
    scores = [sorted(path.read_text().splitlines()[1:]) for path in tmp_path.glob("*.jsonl")]
    assert len(scores) == 2
    assert scores[0] == scores[1]


def without_numbers(line):
    """What a line says but for its figures, whose last digits differ from machine to machine."""
    return re.sub(r"\s+", " ", re.sub(r"-?[\d.]+(e-?\d+)?[KMBT]?\b", "#", line)).strip()


def test_the_reader_of_quoted_lines_sees_other_words():
    assert without_numbers(" a  limit   0.511") == without_numbers(" a  limit   0.498")
    assert without_numbers(" a  limit   0.511") != without_numbers(" a  range   0.511")
