"""The layers of the house, read from the imports."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "forescale"

LAYERS = [
    {"errors", "files", "literature", "terms"},
    {"units", "prices", "frozen", "seeds", "progress", "fronts", "shares", "embeddings", "uniformity", "proportions"},
    {
        "laws",
        "lifetime",
        "priors",
        "noise",
        "points",
        "cells",
        "columns",
        "rules",
        "critical_batch",
        "recount",
        "results",
        "work",
    },
    {"intake", "links", "outcome_columns", "schedules", "drift", "structured", "own_laws", "processes", "cluster"},
    {"support", "discrepancy", "workers", "references", "spreads"},
    {"observations", "outcomes", "model_card"},
    {"model", "link_model", "draws", "cuts", "scoring", "checkpoints"},
    {"isoflop", "curves", "catalog", "coordinates", "compilation", "diagnostics", "optimum", "budgets", "designs"},
    {"sampling", "best_losses", "trends", "break_model", "family_model"},
    {"targets", "sbc"},
    {"attribution"},
    {"fit", "published", "huber", "joint", "tempered"},
    {"valley", "link_fit", "breaks", "family_sampling"},
    {"power_split"},
    {"trend_models", "envelope"},
    {"archive", "emergence", "trend_fit", "left_out", "frozen_forecast", "families"},
    {"family_fit", "family_archive"},
    {
        "forecast",
        "next_runs",
        "allocate",
        "routing",
        "anchors",
        "transferred",
        "sensitivity",
        "prior_sensitivity",
        "calibrate",
        "loo",
        "sources",
    },
    {
        "regret",
        "shrinkage",
        "compute_to",
        "serve",
        "downstream",
        "returns",
        "freeze",
        "finish",
        "consistency",
        "limits",
        "efficient",
        "reconcile",
        "baselines",
        "stacking",
        "scored",
    },
    {
        "near_optimal",
        "plans",
        "contradiction",
        "compute_gain",
        "reach",
        "returns_until",
        "score_frozen",
        "separation",
        "tasks",
    },
    {"frontier", "backtest", "plan"},
    {"approaches"},
    {"compare"},
    {"plots"},
    {"report"},
    {"demo", "console", "arguments"},
    {"facts", "app", "plan_arguments"},
    {"cards"},
    {"commands"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path.stem != "__init__")


def room(path):
    """The name of a file, or of the folder that it is in: commands are one room, and so are plots."""
    return path.stem if path.parent == SOURCE else path.parent.name


def imports(path, *, lazy):
    """Modules of forescale that a file imports: at its top, or anywhere when ``lazy``."""
    tree = ast.parse(path.read_text())
    guarded = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and "TYPE_CHECKING" in ast.dump(block.test)
        for node in ast.walk(block)
    }
    nodes = ast.walk(tree) if lazy else tree.body
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node not in guarded and node.module:
            package, _, module = node.module.partition(".")
            if package == "forescale":
                yield from [module.partition(".")[0]] if module else [alias.name for alias in node.names]


def test_every_file_has_a_layer():
    assert {room(path) for path in FILES} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_strictly_down(path):
    own = {room(path)} if path.parent != SOURCE else set()
    up = [name for name in imports(path, lazy=False) if name not in own and LEVEL.get(name, -1) >= LEVEL[room(path)]]
    assert not up, f"{path.name} imports {up}, which are not below it"


def test_the_reader_of_imports_sees_an_import_that_runs_up(tmp_path):
    bad = tmp_path / "laws.py"
    bad.write_text("from forescale.cli import main\n")
    assert list(imports(bad, lazy=False)) == ["cli"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_figures_import_matplotlib(path):
    assert room(path) == "plots" or "matplotlib" not in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_holds_two_ideas(path):
    assert len(path.read_text().splitlines()) <= 300
