"""Families as a DataTree and as one NetCDF file, from which they can be fitted again."""

from __future__ import annotations

import json
from pathlib import Path

import xarray as xr

from forescale.belief.model import Model
from forescale.estimates.archive import attributes, read_tree, runs_of, table_of, write_tree
from forescale.families.family import Families
from forescale.sampling.diagnostics import convergence
from forescale.sampling.joint import Joint
from forescale.sampling.nuts import Settings

FAMILIES = "families"


def to_tree(families: Families) -> xr.DataTree:
    """Groups posterior, sample_stats and constant_data (the whole table of runs), and what made them as attributes."""
    joint, runs = families.joint, families.observations
    tree = xr.DataTree.from_dict(
        {"posterior": joint.posterior, "sample_stats": joint.sample_stats, "constant_data": table_of(runs)}
    )
    tree.attrs = attributes(FAMILIES, families.model, runs, joint.seed, joint.settings)
    tree.attrs |= {"name": joint.name, "by": families.by}
    return tree


def save(families: Families, path: str | Path) -> Path:
    """Write the tree of families as NetCDF, whole or not at all."""
    return write_tree(to_tree(families), path)


def load_families(path: str | Path) -> Families:
    """Read families that ``Families.save`` wrote.

    Parameters
    ----------
    path : str or Path
        The NetCDF file.

    Returns
    -------
    Families
        With the draws, the table, the card, the seed and the settings that were written; diagnostics are computed anew.

    Raises
    ------
    FileError
        If the file is absent, truncated, not of families, or written in a format newer than this one reads.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.fit_families(fs.load_dataset("pile_families"), random_seed=1).save("families.nc")  # doctest: +SKIP
    >>> fs.load_families("families.nc")["Pythia"].table(prob=0.9)  # doctest: +SKIP
    """
    return read_tree(path, FAMILIES, _from_tree)


def _from_tree(tree: xr.DataTree) -> Families:
    attrs = tree.attrs
    posterior, stats = tree["posterior"].to_dataset(), tree["sample_stats"].to_dataset()
    settings = Settings(**json.loads(attrs["settings"]))
    joint = Joint(attrs["name"], posterior, stats, int(attrs["random_seed"]), settings, convergence(posterior, stats))
    labels = tuple(str(label) for label in posterior["family"].values)
    return Families(Model.from_toml(attrs["model_card"]), runs_of(tree), attrs["by"], labels, joint)
