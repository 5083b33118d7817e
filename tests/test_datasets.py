"""The datasets: each folder against its card, and against what is known of its source."""

import hashlib
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import least_squares
from scipy.special import huber

from forescale.tables.observations import Observations

DATASETS = Path(__file__).parents[1] / "datasets"
FOLDERS = sorted(card.parent for card in DATASETS.glob("*/card.toml"))
FIELDS = {
    "name": str,
    "title": str,
    "description": str,
    "source": dict,
    "citations": list,
    "licence": str,
    "units": dict,
    "counts_embeddings": (bool, str),
    "counts_embeddings_note": str,
    "imputed": dict,
    "known_flaws": list,
    "filter": dict,
    "sha256": str,
    "loss_unit": str,
    "published_fits": list,
}
# What a quantity of our columns can be at all; a wrong unit falls outside.
RANGES = {"n_params": (1e6, 1e13), "n_tokens": (1e8, 1e14), "flops": (1e15, 1e27), "loss": (0.1, 6.0)}

each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def card_of(folder):
    return tomllib.loads((folder / "card.toml").read_text(encoding="utf-8"))


def table_of(name):
    return pd.read_csv(DATASETS / name / "runs.csv")


def relative_rmse(law, table):
    return float(np.sqrt(np.mean((law / table["loss"] - 1) ** 2)))


@each
def test_card_says_everything(folder):
    card = card_of(folder)
    wrong = {field for field, kind in FIELDS.items() if not isinstance(card.get(field), kind)}
    assert not wrong
    assert card["name"] == folder.name
    assert card["counts_embeddings"] in (True, False, "unknown")
    assert card["loss_unit"] == "nats"
    assert set(card["imputed"]) <= set(card["units"])


@each
def test_card_is_of_this_table(folder):
    assert hashlib.sha256((folder / "runs.csv").read_bytes()).hexdigest() == card_of(folder)["sha256"]


@each
def test_every_column_has_a_unit(folder):
    header = (folder / "runs.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    assert list(card_of(folder)["units"]) == header


@each
def test_every_fit_names_a_citation_and_how_sure_it_is(folder):
    card = card_of(folder)
    keys = [citation["key"] for citation in card["citations"]]
    assert len(set(keys)) == len(keys)
    for citation in card["citations"]:
        assert set(citation) == {"key", "text", "arxiv", "gives"}
    for fit in card["published_fits"]:
        assert fit["source"] in keys
        assert fit["status"].split(" ")[0] in ("seen", "recomputed")
        assert set(fit["standard_errors"]) <= set(fit["parameters"])
        assert {"law", "form", "where"} <= set(fit)


@each
def test_rows_are_in_the_units_declared(folder):
    table = table_of(folder.name)
    for column, (least, most) in RANGES.items():
        if column in table:
            assert table[column].between(least, most).all(), column
    if "flops" in table:
        np.testing.assert_allclose(table["flops"], 6.0 * table["n_params"] * table["n_tokens"], rtol=1e-6)
    assert set(table["recommended"]) <= {0, 1}


@each
def test_filter_keeps_some_runs_and_says_why(folder):
    rule = card_of(folder)["filter"]
    assert (rule["column"], rule["keep"]) == ("recommended", 1)
    assert rule["why"]
    assert table_of(folder.name)["recommended"].sum() > 0


@each
def test_loads_as_observations(folder):
    runs = Observations.from_frame(table_of(folder.name), name=folder.name)
    assert len(runs) == len(table_of(folder.name))
    assert runs.where(recommended=1).column("loss").min() > 0
    np.testing.assert_allclose(Observations.read(folder / "runs.csv").column("loss"), runs.column("loss"))


def test_hoffmann2022_is_what_besiroglu_et_al_analysed():
    table = table_of("hoffmann2022")
    kept = table[table["recommended"] == 1]
    assert (len(table), len(kept)) == (245, 240)
    assert (kept["dropped_by_besiroglu"] == 0).all()
    assert table.loc[table["recommended"] == 0, "loss"].min() > kept["loss"].max()
    printed = {"n_params": (5.73e7, 1.62e10), "flops": (1.40e18, 1.30e22), "n_tokens": (2.45e8, 3.18e11)}
    for column, extremes in printed.items():
        np.testing.assert_allclose((table[column].min(), table[column].max()), extremes, rtol=5e-3)
    np.testing.assert_allclose((table["loss"].min(), table["loss"].max()), (2.077, 5.006), atol=5e-4)
    objective = huber(
        1e-3,
        np.log(1.81722 + 477.83 / kept["n_params"] ** 0.34731 + 2143.4 / kept["n_tokens"] ** 0.36717)
        - np.log(kept["loss"]),
    ).sum()
    assert objective == pytest.approx(0.00101827, abs=1e-7)


@pytest.mark.parametrize(("kept", "runs", "rmse"), [((0, 1), 51, 0.00710), ((1,), 49, 0.00713)])
def test_openeurollm_is_as_far_from_the_additive_law_as_its_card_says(kept, runs, rmse):
    table = table_of("openeurollm")
    table = table[table["recommended"].isin(kept)]
    logs = np.log(table[["n_params", "n_tokens", "loss"]].to_numpy())

    def curve(p):
        return p[0] + np.exp(p[1] - p[3] * (logs[:, 0] - 19.5)) + np.exp(p[2] - p[4] * (logs[:, 1] - 24.5))

    found = least_squares(lambda p: np.log(curve(p)) - logs[:, 2], [1.5, -0.5, -1.3, 0.3, 0.3]).x
    assert len(table) == runs
    assert relative_rmse(curve(found), table) == pytest.approx(rmse, abs=5e-6)
    fits = [fit["parameters"] for fit in card_of(DATASETS / "openeurollm")["published_fits"]]
    assert any(fit["alpha"] == pytest.approx(found[3], abs=2e-5) for fit in fits)


def test_openeurollm_is_nearly_a_full_grid():
    table = table_of("openeurollm")
    cells = table.groupby("n_params")["n_tokens"].nunique()
    assert cells.tolist() == [9, 9, 9, 9, 9, 6]
    assert table.loc[table["recommended"] == 0, "run"].tolist() == ["1.71B-120B", "1.71B-200B"]


def test_pile_families_follow_the_printed_law_in_the_flops_it_was_printed_for():
    table = table_of("pile_families")
    fitted = table[table["family"] == "Cerebras-GPT"]
    assert (len(table), len(fitted), table["family"].nunique()) == (30, 7, 6)
    (fit,) = card_of(DATASETS / "pile_families")["published_fits"]
    p = fit["parameters"]

    def law(flops):
        return p["E"] + (flops / p["C_c"]) ** -p["alpha"]

    assert relative_rmse(law(fitted["flops_as_reported"]), fitted) < 0.01
    assert relative_rmse(law(6.0 * fitted["n_params"] * fitted["n_tokens"]), fitted) > 0.015


def test_pile_families_flags_the_point_that_breaks_its_family():
    table = table_of("pile_families")
    rising = table.groupby("family")["loss"].diff() > 0
    assert table.loc[rising, "run"].tolist() == table.loc[table["recommended"] == 0, "run"].tolist()
    assert table.loc[rising, "run"].tolist() == ["Pythia-deduped-1.4B"]


def test_pile_families_are_of_the_same_sizes_without_embeddings():
    sizes = table_of("pile_families").set_index("run")
    share = 1 - sizes["n_params_no_embed"] / sizes["n_params"]
    assert share[["Cerebras-GPT-111M", "Pythia-70M"]].round(2).tolist() == [0.36, 0.73]
    for ours, theirs in (("1.3B", "1.4B"), ("2.7B", "2.8B"), ("6.7B", "6.9B")):  # one architecture, other tables
        assert (
            sizes.loc[f"Cerebras-GPT-{ours}", "n_params_no_embed"] == sizes.loc[f"Pythia-{theirs}", "n_params_no_embed"]
        )


def test_google_nmt_has_one_target_a_model():
    table = table_of("google_nmt")
    targets = table[table["is_train"] == 0]
    assert (len(table), len(targets)) == (53, 5)
    assert targets["family"].nunique() == 5
    assert set(targets["n_examples"]) == {512_000_000}
    assert "n_tokens" not in table
