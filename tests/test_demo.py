"""The demo: one run of the whole job, judged by what it says and what it leaves behind."""

import re
from pathlib import Path

import pandas as pd
import pytest

import forescale as fs
from forescale.errors import FileError
from forescale.terminal import demo

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "new" / "folder"
    folder.mkdir(parents=True)
    (folder / "mine.txt").write_text("mine")
    (folder / "summary.csv").write_text("left by an earlier run")
    return folder


@pytest.fixture(scope="module")
def said(folder: Path) -> str:
    pieces: list[str] = []
    demo.run(folder, progress=False, say=pieces.append)
    return "\n".join(pieces)


@pytest.fixture(scope="module")
def allocation(said: str, folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "allocation.csv")


def test_leaves_its_files_and_nothing_else(said, folder):
    assert {file.name for file in folder.iterdir()} == {*demo.FILES, "mine.txt"}
    assert (folder / "mine.txt").read_text() == "mine"
    for name in demo.FILES:
        if name.endswith(".png"):
            assert (folder / name).read_bytes().startswith(b"\x89PNG")


def test_says_it_in_eighty_columns(said):
    lines = [line for line in said.splitlines() if not line.startswith("6. Files in ")]
    assert max(map(len, lines)) <= 80
    assert [line[:2] for line in lines if re.match(r"\d\. ", line)] == ["1.", "2.", "3.", "4.", "5."]
    assert "diagnostics passed" in said
    assert "240 runs of hoffmann2022" in said
    assert all(name in said for name in demo.FILES)
    assert said.endswith("forescale fit YOUR.csv")


def test_fit_is_the_one_that_was_saved(said, folder):
    fit = fs.load_fit(folder / "fit.nc")
    summary = pd.read_csv(folder / "summary.csv", index_col="parameter")
    pd.testing.assert_series_equal(fit.summary()["median"], summary["median"], check_names=False)
    assert set(summary.index) == set(fit.model.parameters)
    assert f"{summary.loc['alpha', 'median']:.4f}" in said


def test_optimum_of_the_gopher_budget(allocation):
    at = allocation.query("flops == 5.76e23")
    mine = at[at["source"] == "chinchilla on hoffmann2022"].set_index("quantity")["median"]
    assert 60e9 < mine["n_params"] < 84e9
    assert 13 < mine["tokens_per_param"] < 27
    published = at[at["quantity"] == "n_params"].set_index("source")["median"]
    assert published["hoffmann2022"] == pytest.approx(32.2e9, rel=0.005)
    assert published["hoffmann2022_unrounded"] == pytest.approx(40.3e9, rel=0.005)
    assert published["besiroglu2024"] == pytest.approx(72.2e9, rel=0.02)


def test_exponents_stand_below_the_budgets_and_add_up(allocation):
    exponents = allocation[allocation["flops"].isna()].set_index(["source", "quantity"])["median"]
    a, b = (exponents.xs(name, level="quantity") for name in ("a", "b"))
    assert len(exponents) == len(a) + len(b)
    assert (a + b).to_numpy() == pytest.approx(1, abs=1e-3)
    assert 0.48 < a["chinchilla on hoffmann2022"] < 0.54


def test_forecast_bands(said, folder):
    forecast = pd.read_csv(folder / "forecast.csv").set_index(["point", "kind"])
    assert list(forecast.index.unique("point")) == ["Chinchilla", "Gopher", "best at 1e26"]
    assert 1.94 < forecast.loc[("Chinchilla", "mean"), "median"] < 2.0
    run, mean = forecast.xs("run", level="kind"), forecast.xs("mean", level="kind")
    assert (run["lower"] < mean["lower"]).all()
    assert (mean["upper"] < run["upper"]).all()
    assert f"{forecast.loc[('Gopher', 'mean'), 'median']:.3f}" in said


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(FileError, match="taken"):
        demo.run(tmp_path / "taken")
