"""The built wheel, installed elsewhere, has every card and works."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import forescale as fs

ROOT = Path(__file__).parents[1]

LOOK = """
import json, forescale as fs
from forescale.belief.catalog import dataset_card
shelves = {
    "models": [fs.load_model(name).name for name in fs.list_models()],
    "published": [fs.published(name).name for name in fs.list_published()],
    "datasets": [name for name in fs.list_datasets() if len(fs.load_dataset(name)) and dataset_card(name)],
}
print(json.dumps({"where": fs.__file__, **shelves}))
"""


@pytest.mark.slow
def test_wheel_from_sdist_installed_elsewhere_loads_every_card(tmp_path):
    source = tmp_path / "source"
    kept = shutil.ignore_patterns(".*", "build", "dist", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, ignore=kept)
    run = [sys.executable, "-m"]
    subprocess.run([*run, "build", "--outdir", tmp_path / "dist", source], check=True, capture_output=True)
    (wheel,) = (tmp_path / "dist").glob("*.whl")  # made from the sdist
    elsewhere = tmp_path / "elsewhere"
    subprocess.run([*run, "pip", "install", "-q", "--no-deps", "--target", elsewhere, wheel], check=True)
    looked = subprocess.run(
        [sys.executable, "-c", LOOK], cwd=tmp_path, env={"PYTHONPATH": str(elsewhere)}, check=True, capture_output=True
    )
    found = json.loads(looked.stdout)
    assert Path(found.pop("where")).is_relative_to(elsewhere)
    assert found == {
        "models": fs.list_models(),
        "published": fs.list_published(),
        "datasets": fs.list_datasets(),
    }
    assert (elsewhere / "forescale" / "py.typed").is_file()
    assert (elsewhere / "bin" / "forescale").is_file()
