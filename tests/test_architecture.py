"""The layers of the house, read from the imports."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "forescale"

LAYERS = [
    {"errors", "files", "progress"},
    {"frozen", "seeds", "units"},
    {"laws", "tables", "work"},
    {"numbers"},
    {"belief"},
    {"sampling"},
    {"estimates"},
    {"families", "verbs"},
    {"frontiers", "decisions"},
    {"accuracy"},
    {"checking"},
    {"plots"},
    {"pages"},
    {"terminal"},
    {"commands"},
    {"cli"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FILES = sorted(path for path in SOURCE.rglob("*.py") if path != SOURCE / "__init__.py")


def room(path):
    """The folder that a file is in, or its own name."""
    return path.stem if path.parent == SOURCE else path.parent.name


def imports(path, *, lazy):
    """Modules of forescale that a file imports, in full: at its top, or anywhere when ``lazy``."""
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
                names = [alias.name for alias in node.names]
                yield from [module] if "." in module else [f"{module}.{name}" for name in names] if module else names


def test_every_file_has_a_layer():
    assert {room(path) for path in FILES} == set(LEVEL)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_run_strictly_down(path):
    own = {room(path)} if path.parent != SOURCE else set()
    rooms = {name.partition(".")[0] for name in imports(path, lazy=False)} - own
    up = [name for name in rooms if LEVEL.get(name, -1) >= LEVEL[room(path)]]
    assert not up, f"{path.name} imports {up}, which are not below it"


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES} - {SOURCE}), ids=lambda folder: folder.name)
def test_no_two_files_of_a_room_need_each_other(folder):
    TopologicalSorter(
        {f"{folder.name}.{path.stem}": set(imports(path, lazy=False)) for path in folder.glob("[a-z]*.py")}
    ).prepare()


def test_the_reader_of_imports_sees_an_import_that_runs_up(tmp_path):
    bad = tmp_path / "laws.py"
    bad.write_text("from forescale.cli import main\n")
    assert list(imports(bad, lazy=False)) == ["cli.main"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_only_figures_import_matplotlib(path):
    assert room(path) == "plots" or "matplotlib" not in path.read_text()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_file_holds_two_ideas(path):
    assert len(path.read_text().splitlines()) <= 300
