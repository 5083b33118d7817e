"""Every notebook runs from top to bottom, in silence, and leaves nothing behind but what is kept for the site."""

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EXECUTED = ROOT / "build" / "notebooks"  # from which the documentation site takes them

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@each_notebook
def test_notebook_says_what_it_is_and_is_kept_clean(path):
    first, *others = nbformat.read(path, as_version=4).cells
    assert first.cell_type == "markdown"
    title, summary = first.source.split("\n\n")
    assert re.fullmatch("# [^\n]+", title)
    assert re.fullmatch(r"[^\n]+[.]", summary)
    assert not re.search("[.!?] [A-Z]", summary), "one sentence"
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in others), "kept without outputs"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the kernel's own libraries
@each_notebook
def test_notebook_runs(path, tmp_path):
    notebook = nbformat.read(path, as_version=4)
    here = {"metadata": {"path": str(tmp_path)}}
    # without the times of cells, so that the same notebook and seed give the same file
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources=here, record_timing=False).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    complaints = [output.text for output in outputs if output.get("name") == "stderr"]
    assert not complaints, "warnings and errors on stderr"
    assert not list(tmp_path.iterdir()), "a notebook writes to temporary directories only"
    EXECUTED.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, EXECUTED / path.name)
