"""The command line: what it prints, for people and for scripts, what it refuses, and how it ends."""

import inspect
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import warnings
from unittest import mock

import numpy as np
import pandas as pd
import pytest
from commandline import COMMANDS, ESCAPE, call, check_page, refused
from jobs import hears_interrupts

import forescale as fs
from forescale.belief import catalog
from forescale.tables.columns import LOSS_UNITS
from forescale.terminal import arguments, demo
from forescale.units import COST_MODELS, format_quantity

SHELVES = sorted({*fs.list_datasets(), *fs.list_models(), *fs.list_published(), *fs.list_trends(), *fs.list_links()})

pytestmark = pytest.mark.usefixtures("eighty_columns")


def records(frame):
    return json.loads(json.dumps(frame.drop(columns=["prob", "interval"]).to_dict("records")))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cli")


@pytest.fixture(scope="module")
def made(folder):
    """What `forescale fit ... --json` printed; the fit is in the folder, as fit.nc."""
    words = ["fit", "hoffmann2022", "--seed", "1", "--draws", "500", "--chains", "2", "--json", "--prob", "0.8"]
    return call(*words, "--out", folder / "fit.nc")


@pytest.fixture
def saved(made, folder, monkeypatch):
    """The name of the fit's file, in the working directory."""
    monkeypatch.chdir(folder)
    return "fit.nc"


@pytest.fixture
def fitted(saved):
    return fs.load_fit(saved)


@pytest.fixture
def no_fit(monkeypatch):
    """A stand-in for the sampler, that must not or need not run."""
    stand_in = mock.create_autospec(fs.fit, side_effect=fs.ForescaleError("sampled"))
    monkeypatch.setattr(fs, "fit", stand_in)
    return stand_in


# Help.


def test_help_loads_nothing_heavy():
    code = f"""
import sys
from typer.testing import CliRunner
from forescale.cli import app
for words in [[], *([name] for name in {COMMANDS})]:
    assert CliRunner().invoke(app, [*words, "--help"]).exit_code == 0
assert CliRunner().invoke(app, ["--version"]).exit_code == 0
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert "typer" in loaded
    assert not loaded & {"numpy", "pandas", "xarray", "scipy", "pymc", "pytensor", "numba", "matplotlib", "rich"}


def test_every_command_is_listed_and_helps_in_eighty_columns():
    listed = re.findall(r"^  ([\w-]+)  +\w", call("--help").stdout.partition("Fit and forecast:")[2], re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)
    for words in ([], *([name] for name in COMMANDS)):
        check_page(re.sub(r"^(Usage: .+) \S+\.\.\.$", r"\1", call(*words, "-h").stdout, flags=re.MULTILINE))
    for name in set(COMMANDS) - {"datasets", "models", "published", "show", "demo"}:
        assert re.search(rf"^  Example: forescale {name} .+\n\n", call(name, "-h").stdout, re.MULTILINE)


def test_help_names_every_choice():
    assert all(unit in call("fit", "-h").stdout for unit in LOSS_UNITS)
    assert all(name in call("allocate", "-h").stdout for name in COST_MODELS)


def test_the_default_of_the_command_line_is_that_of_the_library():
    assert arguments.DEFAULT_MODEL == catalog.DEFAULT_MODEL == inspect.signature(fs.fit).parameters["model"].default


def test_version():
    assert re.fullmatch(r"forescale \d+\.\d+\S*\n", call("--version").stdout)


# For people.


@pytest.mark.parametrize("name", SHELVES)
def test_show_fits_eighty_columns_and_says_every_kind(name):
    page = call("show", name).stdout
    check_page(page)
    titles = {"Dataset": fs.list_datasets(), "Model": fs.list_models(), "Published estimate": fs.list_published()}
    titles["Trends"] = fs.list_trends()
    for title, names in titles.items():
        assert (f"{title} {name}" in page.splitlines()) == (name in names)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("datasets", fs.list_datasets()),
        ("models", fs.list_models()),
        ("published", fs.list_published() + fs.list_trends()),
    ],
)
def test_lists_name_everything(command, names):
    page = call(command).stdout
    check_page(page)
    assert [line.split()[0] for line in page.splitlines() if re.match(r" (?!name )[a-z]\w+ ", line)] == names
    rows = json.loads(call(command, "--json").stdout)["rows"]
    assert [row["name"] for row in rows] == names
    assert all(row["title"] for row in rows)
    assert list(pd.read_csv(io.StringIO(call(command, "--csv").stdout))["name"]) == names


def test_show_of_a_model_has_formula_priors_and_what_they_allow(tmp_path):
    page = call("show", "chinchilla").stdout
    assert "L(N, D) = E + A / N^alpha + B / D^beta" in page
    model = fs.load_model("chinchilla")
    assert all(re.search(rf"^ {name} ", page, re.MULTILINE) for name in (*model.free_priors(), *model.parameters))
    [card] = json.loads(call("show", "chinchilla", "--json").stdout)["cards"]
    for row in card["priors"]:
        if row["parameter"] in model.free_priors():
            assert row["median"] == pytest.approx(model.free_priors()[row["parameter"]].median, rel=0.02)
    assert [row["n_params"] for row in card["prior_predictive"]] == [10.0**power for power in range(6, 13)]
    assert all(row["n_tokens"] == 20 * row["n_params"] for row in card["prior_predictive"])
    path = tmp_path / "mine.toml"
    path.write_text(model.to_toml().replace('name = "chinchilla"', 'name = "mine"'))
    assert call("show", path).stdout.startswith("Model mine\n")


def test_show_of_a_renamed_law_says_what_it_calls_what():
    assert "with x = n_params, x_c = N_c" in " ".join(call("show", "power_n").stdout.split())


def test_show_of_a_model_whose_inputs_are_of_another_kind(tmp_path):
    names = {"x": "n_examples"}
    model = fs.load_model("shifted_power_n")
    card = model.to_toml().replace("n_params", names["x"])
    path = tmp_path / "examples.toml"
    path.write_text(card)
    page = call("show", path).stdout
    check_page(page)
    assert "priors allow" not in page


def test_show_of_a_fit(saved, fitted):
    page = call("show", saved).stdout
    check_page(page)
    assert f"Fit of {fitted.name}" in page
    for said in (fitted.observations.sha256, "Diagnostics passed", "pymc 6", "studentt"):
        assert said in page
    [card] = json.loads(call("show", saved, "--json", "--prob", "0.5").stdout)["cards"]
    assert card["seed"] == 1
    assert card["data_sha256"] == fitted.observations.sha256
    assert fs.Model.from_toml(card["model_card"]) == fitted.model
    expected = fitted.summary(0.5).rename_axis("parameter").reset_index()
    pd.testing.assert_frame_equal(pd.DataFrame(card["rows"]), expected, check_exact=True)


def test_fit_says_what_it_read_and_what_comes_next(saved, fitted, monkeypatch):
    monkeypatch.setattr(fs, "fit", lambda *args, **rest: fitted)
    page = call("fit", "hoffmann2022", "--out", saved, "--force").stdout
    check_page(page)
    for said in (
        "240 runs",
        "n_params from 'n_params'",
        "5 of 245 runs are left out",
        "90 % equal-tailed",
        "Diagnostics passed",
        f"Saved in {saved}; the seed is 1.",
        f"  forescale forecast {saved} --at 70B,1.4T\n",
        f"  forescale allocate {saved} --compute 5.76e23\n",
        f"  forescale report {saved}\n",
        "  forescale backtest hoffmann2022 --results scores.jsonl\n",
    ):
        assert said in page
    assert all(re.search(rf"^ {name} ", page, re.MULTILINE) for name in fitted.model.parameters)
    quiet = call("fit", "hoffmann2022", "--out", saved, "--force", "--quiet").stdout
    assert "Saved" not in quiet
    assert "Read" not in quiet
    assert "Diagnostics passed" in quiet


def test_a_forecast_states_its_bands(saved, fitted):
    page = call("forecast", saved, "--at", "70B,1.4T", "--at", "n_tokens=300B,n_params=280B", "--prob", "0.5").stdout
    check_page(page)
    assert "50 % equal-tailed" in page
    assert "mean: the law's curve." in page
    assert "run: a new run" in page
    row = fs.forecast(fitted, n_params=280e9, n_tokens=300e9).table(0.5, "mean").iloc[0]
    line = next(line for line in page.splitlines() if "280B" in line and "mean" in line)
    assert line.split() == ["280B", "300B", "mean", *(f"{row[end]:.3f}" for end in ("median", "lower", "upper"))]


def test_an_allocation_states_its_bands(saved, fitted):
    page = call("allocate", saved, "--compute", "1e21,5.76e23", "--compute", "1e26", "--max-tokens", "15T").stdout
    check_page(page)
    assert "90 % equal-tailed" in page
    assert "Band mean: the law's curve" in " ".join(page.split())
    assert re.search(r"A bound moved the split in \d.* % of draws at 1e26 FLOPs", page)
    split = fs.allocate(fitted, "5.76e23").table()
    sizes = split.set_index("quantity").loc["n_params"]
    assert f"[{format_quantity(sizes['lower'])}, {format_quantity(sizes['upper'])}]" in page
    assert "5.76e23" in page
    assert not re.search(r"\d{6}", page)


def test_an_allocation_whose_exponents_change_with_compute(saved):
    page = call("allocate", saved, "--compute", "1e21,1e24", "--cost", "6ND+attention").stdout
    check_page(page)
    assert "any" not in page.partition("Exponents")[2].split()


def test_a_published_estimate_without_uncertainty_has_no_bands():
    for words in (["forecast", "hoffmann2022", "--at", "70B,1.4T"], ["allocate", "hoffmann2022", "--compute", "1e24"]):
        page = call(*words).stdout
        check_page(page)
        assert "No bands" in page
        assert "lower" not in page
        assert "[" not in page
        assert json.loads(call(*words, "--json").stdout)["draws"] == 1


def test_a_published_estimate_with_uncertainty_has_bands_of_the_curve():
    source = next(name for name in fs.list_published() if fs.published(name).posterior.sizes["draw"] > 1)
    page = call("forecast", source, "--at", "70B,1.4T").stdout
    check_page(page)
    row = fs.forecast(fs.published(source), n_params="70B", n_tokens="1.4T").table().iloc[0]
    assert f"{row['lower']:.3f}  {row['upper']:.3f}" in page
    assert "run" not in page
    assert re.search(rf"^ {source} .* yes ", call("published").stdout, re.MULTILINE)
    assert "equal-tailed" in call("show", source).stdout


# For scripts.


def test_the_json_of_a_fit(made, fitted):
    document = json.loads(made.stdout)
    assert {
        "command": "fit",
        "source": fitted.name,
        "prob": 0.8,
        "interval": "equal-tailed",
    }.items() <= document.items()
    assert document["seed"] == fitted.seed == 1
    assert document["diagnostics"]["passed"] is True
    assert document["rows"] == records(fitted.summary(0.8).rename_axis("parameter").reset_index())
    assert "n_params from 'n_params'" in made.stderr
    assert "Next:" in made.stderr


def test_json_equals_the_library(saved, fitted):
    document = json.loads(call("forecast", saved, "--at", "70B,1.4T", "--prob", "0.95", "--seed", "4", "--json").stdout)
    expected = fs.forecast(fitted, n_params="70B", n_tokens="1.4T", random_seed=4).table(0.95)
    assert document["rows"] == records(expected)
    assert document["command"] == "forecast"
    assert (document["source"], document["prob"], document["interval"]) == (fitted.name, 0.95, "equal-tailed")
    split = fs.allocate(fitted, ["1e21", "1e24"], n_tokens_bounds=(None, "1T"))
    document = json.loads(call("allocate", saved, "--compute", "1e21,1e24", "--max-tokens", "1T", "--json").stdout)
    assert document["rows"][:-2] == records(split.table())
    for row, expected in zip(document["rows"][-2:], records(split.exponent_table()), strict=True):
        assert row == {"quantity": expected.pop("exponent"), **expected, "flops": None, "bound_share": None}


def test_csv_round_trips(saved, fitted):
    def read(*words):
        result = call(*words, "--csv")
        assert result.stderr == ""
        return pd.read_csv(io.StringIO(result.stdout), engine="python")

    expected = fs.forecast(fitted, n_params=7e10, n_tokens=1.4e12, random_seed=0).table()
    pd.testing.assert_frame_equal(read("forecast", saved, "--at", "70B,1.4T"), expected, check_exact=True)
    split = fs.allocate(fitted, "1e24")
    table = read("allocate", saved, "--compute", "1e24")
    pd.testing.assert_frame_equal(table[:-2], split.table(), check_exact=True)
    assert table["median"].tolist()[-2:] == split.exponent_table()["median"].tolist()


def test_one_kind_of_band(saved):
    for kind in ("mean", "run"):
        rows = json.loads(call("forecast", saved, "--at", "70B,1.4T", "--kind", kind, "--json").stdout)["rows"]
        assert [row["kind"] for row in rows] == [kind]


def test_what_is_not_finite_is_null_in_json():
    document = json.loads(call("allocate", "hoffmann2022", "--compute", "1e24", "--json").stdout)
    assert document["rows"][-1]["flops"] is None


def test_points_from_a_file(saved, fitted, tmp_path):
    path = tmp_path / "points.csv"
    path.write_text('n_tokens,name,n_params\n1.4T,a,70B\n"2,000,000",b,1e9\n')
    rows = json.loads(call("forecast", saved, "--points", path, "--json").stdout)["rows"]
    expected = fs.forecast(fitted, {"n_params": [7e10, 1e9], "n_tokens": [1.4e12, 2e6]}, random_seed=0)
    assert rows == records(expected.table())


# What is read.


@pytest.fixture
def odd(tmp_path):
    """A table under headers of its own; a loss in bits."""
    path = tmp_path / "odd.csv"
    size = np.geomspace(1e8, 1e10, 6)
    frame = pd.DataFrame(
        {"Net": size, "Seen": 20 * size, "final": np.linspace(5, 4, 6), "loss": 1, "kin": list("ababab")}
    )
    frame.to_csv(path, index=False)
    return path


def test_odd_headers_units_and_filters(odd, no_fit, tmp_path):
    words = ["fit", odd, "--columns", "n_params=Net", "--columns", "n_tokens=Seen", "--columns", "loss=final"]
    words += ["--loss-unit", "bits", "--where", "kin=a", "--model", "kaplan", "--seed", "7", "--draws", "9"]
    result = call(*words, "--out", tmp_path / "o.nc", code=2)
    runs, model = no_fit.call_args.args
    settings = no_fit.call_args.kwargs
    assert (model.name, settings["random_seed"], settings["draws"], settings["progress"]) == ("kaplan", 7, 9, False)
    assert runs.column("n_params") == pytest.approx(np.geomspace(1e8, 1e10, 6)[::2])
    assert runs.column("loss") == pytest.approx(np.linspace(5, 4, 6)[::2] * np.log(2))
    assert "n_params from 'Net'" in result.stdout
    assert "Kept 3 of 6 rows" in result.stdout
    words = ["plan", odd, *words[2:10], "--budget", "1e22"]  # who reads a table reads it in the same ways
    assert "n_params from 'Net'" in call(*words, code=2).stdout
    assert no_fit.call_args.args[0].column("loss") == pytest.approx(np.linspace(5, 4, 6) * np.log(2))


def test_where_takes_numbers_and_more_than_one_value(odd, no_fit, tmp_path):
    words = ["fit", odd, "--columns", "n_params=Net", "--columns", "n_tokens=Seen", "--columns", "loss=final"]
    call(*words, "--where", "n_params=100M", "--where", "n_params=1e10", "--out", tmp_path / "o.nc", code=2)
    assert no_fit.call_args.args[0].column("n_params").tolist() == [1e8, 1e10]


def test_the_filter_of_a_dataset_can_be_turned_off(no_fit, tmp_path):
    for words, count in (([], 240), (["--all-runs"], 245)):
        call("fit", "hoffmann2022", *words, "--out", tmp_path / "o.nc", code=2)
        assert len(no_fit.call_args.args[0]) == count


def test_a_file_wins_over_a_dataset_of_its_name(no_fit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "hoffmann2022").write_text("x")
    assert "not from 'no suffix'" in refused("fit", "hoffmann2022")


# What is refused.


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("fit hofmann2022", "no dataset is called 'hofmann2022'.*Did you mean 'hoffmann2022'"),
        ("fit nowhere.csv", "nowhere.csv"),
        ("fit hoffmann2022 --model chinchila", "Did you mean 'chinchilla'"),
        ("fit hoffmann2022 --model mine.toml", "mine.toml"),
        ("fit hoffmann2022 --where famly=a", "no column 'famly'"),
        ("fit hoffmann2022 --where run", "--where takes NAME=VALUE"),
        ("fit hoffmann2022 --columns n_params=a", "its card states its columns"),
        ("fit odd.csv --columns loss=", "loss.*--columns NAME=HEADER"),
        ("fit odd.csv --all-runs", "--all-runs"),
        ("fit odd.csv --columns loss=final --loss-unit bit", "--loss-unit bit is not one of"),
        ("plan odd.csv --budget abc", "budget, entry 0: 'abc' is not a quantity"),
        ("plan hoffmann2022 --budget 1e24 --model power_n", "cannot split compute"),
        ("next besiroglu2024 --run 1B --at 70B,1T --scatter 0.01", "--run 1B: a point"),
        ("next besiroglu2024 --run 1B,20B --scatter 0.01", "say which: --compute"),
        ("next besiroglu2024 --run 1B,20B --at 70B,1T", r"\(--scatter 0.01\)"),
        ("gain hoffmann2022 kaplan2020 --compute 1e20", "--other-counts compares all the same"),
        ("serve hoffmann2022 --demand 1T", "--loss, in nats per token, or --compute,"),
        ("compute-to hoffmann2022 --loss 2 --kind run", "ask for --kind mean"),
        ("compute-to hoffmann2022 --loss 2 --on peak=1T,utilisation=x", "--on, utilisation: 'x' is not a quantity"),
        ("fit hoffmann2022 --out no/such/fit.nc", "no folder no/such"),
        ("fit hoffmann2022 --out .", "is a folder"),
        ("fit odd.csv --out odd.csv --force", "odd.csv is what is to be read"),
        ("forecast hofmann2022 --at 70B,1T", "no file.*Did you mean 'hoffmann2022'"),
        ("forecast nowhere.nc --at 70B,1T", "nowhere.nc: no such file"),
        ("forecast odd.csv --at 70B,1T", r"odd.csv is a table of runs: fit it first \(forescale fit odd.csv\)"),
        ("forecast openeurollm --at 70B,1T", "openeurollm is a table of runs: fit it first"),
        ("forecast hoffmann2022 --at 70B", "n_params,n_tokens"),
        ("forecast hoffmann2022 --at 70B,1T,3", "n_params,n_tokens"),
        ("forecast hoffmann2022 --at n_params=70B,flops=3", "n_params,n_tokens"),
        ("forecast hoffmann2022 --at n_params=70B,1T", "--at takes NAME=VALUE"),
        ("forecast hoffmann2022 --at 70X,1T", "'70X' is not a quantity"),
        ("forecast hoffmann2022 --at 70B,-1", "n_tokens must be above zero"),
        ("forecast hoffmann2022 --at 70B,1T --kind run", "no noise model"),
        ("forecast hoffmann2022 --at 70B,1T --kind all", "kind 'mean' or 'run'"),
        ("forecast hoffmann2022 --points nowhere.csv", "nowhere.csv"),
        ("forecast hoffmann2022 --points odd.csv", "missing: n_params, n_tokens, given: "),
        ("allocate kaplan2020_n --compute 1e21", "cannot split compute"),
        ("allocate hoffmann2022 --compute 1e21,", "'' is not a quantity"),
        ("allocate hoffmann2022 --compute 1e21 --cost 7ND", "no cost model '7ND'"),
        ("show hofmann2022", "Did you mean 'hoffmann2022'"),
        ("show odd.csv", "odd.csv"),
    ],
)
def test_a_refusal_is_one_line(words, said, odd, no_fit, monkeypatch):
    monkeypatch.chdir(odd.parent)
    assert re.search(said, refused(*words.split()))
    assert not no_fit.called
    assert os.listdir() == ["odd.csv"]


@pytest.mark.parametrize(
    "words",
    [
        "fit",
        "fit hoffmann2022 --draws 0",
        "fit hoffmann2022 --chains 1",
        f"fit hoffmann2022 --seed {2**64}",
        "fit hoffmann2022 --prob 1",
        "fit hoffmann2022 --json --csv",
        "fit hoffmann2022 --drws 4",
        "forecast hoffmann2022",
        "forecast hoffmann2022 --at 1,1 --points p.csv",
        "allocate hoffmann2022",
        "forcast",
    ],
)
def test_wrong_usage_ends_with_2_and_no_box(words, no_fit):
    result = call(*words.split(), code=2)
    assert result.stdout == ""
    assert "Error: " in result.stderr
    assert "Usage: forescale" in result.stderr
    assert result.stderr.isascii()


def test_a_truncated_fit_is_refused(saved, tmp_path):
    broken = tmp_path / "broken.nc"
    with open(saved, "rb") as whole:
        broken.write_bytes(whole.read()[:5000])
    assert "truncated" in refused("show", broken)
    assert "truncated" in refused("forecast", broken, "--at", "70B,1T")


def test_a_fit_is_not_overwritten_unless_told(saved, no_fit):
    with open(saved, "rb") as stream:
        before = stream.read()
    assert "--force" in refused("fit", "hoffmann2022", "--out", saved)
    assert not no_fit.called
    call("fit", "hoffmann2022", "--out", saved, "--force", code=2)
    assert no_fit.called
    with open(saved, "rb") as stream:
        assert stream.read() == before


def test_a_fit_that_fails_is_kept_on_request_only_and_serves_no_forecast(tmp_path, monkeypatch, made):
    monkeypatch.chdir(tmp_path)
    words = ["fit", "hoffmann2022", "--draws", "20", "--tune", "20", "--chains", "2", "--out", "f.nc", "--quiet"]
    said = refused(*words)
    assert re.search(r"did not converge: .*ess_bulk below 400.*f.nc is not written; --keep-failed", said)
    assert os.listdir() == []
    assert "the draws are in f.failed.nc" in refused(*words, "--keep-failed")
    assert os.listdir() == ["f.failed.nc"]
    assert "Diagnostics FAILED" in call("show", "f.failed.nc").stdout
    assert "did not converge" in refused("forecast", "f.failed.nc", "--at", "70B,1T")
    assert "f.failed.nc exists" in refused(*words, "--keep-failed")


# How it ends.


def test_a_warning_is_a_note(monkeypatch):
    from forescale.terminal import cards

    listed = cards.list_models()

    def warn():
        for _ in range(2):
            warnings.warn("look\nhere", fs.ForescaleWarning, stacklevel=1)
        return listed

    monkeypatch.setattr(cards, "list_models", warn)
    result = call("models", "--json")
    assert result.stderr == "forescale: note: look here\n" * 2
    json.loads(result.stdout)


def test_a_full_disk_is_one_line(saved, fitted, monkeypatch, tmp_path):
    monkeypatch.setattr(fs, "fit", lambda *args, **rest: fitted)
    monkeypatch.setattr(fs.Fit, "save", mock.Mock(side_effect=OSError(28, "No space left on device")))
    result = call("fit", "hoffmann2022", "--out", tmp_path / "f.nc", "--quiet", code=2)
    assert re.fullmatch(r"forescale: .*f.nc cannot be written: No space left on device\n", result.stderr)


def test_an_interruption_is_one_line_and_tells_what_is_written(monkeypatch, tmp_path, saved, fitted):
    stop = mock.Mock(side_effect=KeyboardInterrupt)
    monkeypatch.setattr(fs, "fit", stop)
    result = call("fit", "hoffmann2022", "--out", tmp_path / "f.nc", "-q", code=130)
    assert result.stderr == "forescale: interrupted; nothing was written\n"
    monkeypatch.setattr(fs, "fit", lambda *args, **rest: fitted)
    monkeypatch.setattr(fs.Fit, "summary", stop)
    result = call("fit", "hoffmann2022", "--out", tmp_path / "f.nc", "-q", code=130)
    assert result.stderr == f"forescale: interrupted; {tmp_path / 'f.nc'} is written\n"


@pytest.mark.slow
def test_interrupting_the_sampler_leaves_nothing(tmp_path):
    code = """
import sys, nutpie
sample = nutpie.sample
def tell(*args, **settings):
    running = sample(*args, **settings)
    print("sampling", file=sys.stderr, flush=True)
    return running
nutpie.sample = tell
from forescale.cli import main
sys.argv = ["forescale", "fit", "hoffmann2022", "--draws", "1000000", "--out", "f.nc", "--quiet"]
main()
"""
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": tmp_path}
    with subprocess.Popen([sys.executable, "-c", code], preexec_fn=hears_interrupts, **quiet) as process:
        assert process.stderr.readline() == "sampling\n"
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        try:
            out, error = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, out, error) == (130, "", "forescale: interrupted; nothing was written\n")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_who_leaves_early_gets_no_traceback():
    words = [sys.executable, "-c", "from forescale.cli import main; main()", "show", "hoffmann2022"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_colour_is_honoured(monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert ESCAPE in call("models").stdout
    monkeypatch.setenv("NO_COLOR", "1")
    assert not re.search(ESCAPE + r"\[[0-9;]*3[0-9]", call("models").stdout)


def test_demo_is_wired(monkeypatch, tmp_path):
    run = mock.create_autospec(demo.run)
    monkeypatch.setattr(demo, "run", run)
    run.side_effect = lambda *args, say, **rest: say("told")
    assert call("demo", "--out", tmp_path, "--seed", "3").stdout == "told\n"
    assert call("demo", "--out", tmp_path, "--quiet").stdout == ""
    bound = inspect.signature(demo.run).bind(*run.call_args.args, **run.call_args.kwargs).arguments
    assert bound["folder"] == tmp_path
    run.side_effect = KeyboardInterrupt
    assert f"what was written by then is in {tmp_path}" in call("demo", "--out", tmp_path, code=130).stderr
