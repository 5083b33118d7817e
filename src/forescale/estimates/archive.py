"""A fit as an ArviZ DataTree, and as one NetCDF file from which it can be redone; what such files share."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from forescale.belief.model import Model
from forescale.errors import FileError, ForescaleError
from forescale.estimates.fit import PREDICTIVE, Fit, residuals, thinned
from forescale.files import write_whole
from forescale.sampling.diagnostics import diagnose
from forescale.sampling.nuts import Settings
from forescale.tables.observations import Observations

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FORMAT = 1
FIT = "fit"  # what a file is of, if it does not say
POINTWISE_MOST = 20_000_000  # values (draws x runs) in a pointwise group: 160 MB; beyond it, draws are thinned
_PRIOR = 4  # stream of random numbers, beside those of estimates.fit
_LIBRARIES = ("forescale", "pymc", "nutpie", "pytensor", "numba", "arviz", "numpy", "xarray")


def to_tree(fit: Fit) -> xr.DataTree:
    """The fit's DataTree.

    Groups: posterior, sample_stats, prior, ``log_prior`` of each free variable, ``log_likelihood`` and
    ``posterior_predictive`` of ``log_loss`` (dims chain, draw, run), observed_data (``log_loss``) and
    constant_data (the whole table of runs). Where draws x runs exceeds ``POINTWISE_MOST`` the two pointwise groups
    hold every k-th draw and say so in their attribute ``thinned_by``.
    """
    model, runs, draws = fit.model, fit.observations, fit.posterior
    data = model.data(runs)
    few = thinned(draws, len(runs), POINTWISE_MOST)
    step = {"thinned_by": -(-draws.sizes["draw"] // few.sizes["draw"])}
    error = residuals(model, data, few).assign_coords(run=runs.columns["run"])
    log_loss = xr.DataArray(data["observed_log_loss"], dims="run", coords={"run": error["run"]})
    noise = {name: few[name].values[..., None] for name in model.noise.parameters}
    log_se = data.get("log_loss_se", 0.0)
    likelihood = error.copy(data=model.noise.logpdf(error.values, noise, log_se))
    scatter = model.noise.sample(noise, error.shape, np.random.default_rng([fit.seed, PREDICTIVE]), log_se)
    predicted = (log_loss - error).transpose(*error.dims) + scatter
    log_prior = {name: draws[name].copy(data=p.logpdf(draws[name])) for name, p in model.free_priors().items()}
    groups: dict[str, xr.Dataset] = {
        "posterior": draws,
        "sample_stats": fit.sample_stats,
        "prior": model.sample_prior(1000, np.random.default_rng([fit.seed, _PRIOR])),
        "log_prior": xr.Dataset(log_prior),
        "log_likelihood": xr.Dataset({"log_loss": likelihood}, attrs=step),
        "posterior_predictive": xr.Dataset({"log_loss": predicted}, attrs=step),
        "observed_data": xr.Dataset({"log_loss": log_loss}),
        "constant_data": table_of(runs),
    }
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = attributes(FIT, model, runs, fit.seed, fit.settings)
    tree.attrs["residual_scale_p"] = fit.diagnostics.residual_scale_p
    return tree


def save(fit: Fit, path: str | Path) -> Path:
    """Write the fit's tree as NetCDF, whole or not at all."""
    return write_tree(fit.tree, path)


def write_tree(tree: xr.DataTree, path: str | Path) -> Path:
    """Write a tree as NetCDF, whole or not at all."""
    small = {"zlib": True, "complevel": 1}
    packed = {
        f"/{group}": {str(name): small for name, values in node.data_vars.items() if values.dtype.kind in "fiu"}
        for group, node in tree.children.items()
    }
    return write_whole(path, lambda beside: tree.to_netcdf(beside, engine="h5netcdf", encoding=packed))


def load_fit(path: str | Path) -> Fit:
    """Read a fit that ``Fit.save`` wrote.

    Parameters
    ----------
    path : str or Path
        The NetCDF file.

    Returns
    -------
    Fit
        With the draws, the table, the card, the seed and the settings that were written; diagnostics are computed anew.

    Raises
    ------
    FileError
        If the file is absent, truncated, not a forescale fit, or written in a format newer than this one reads.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.fit(fs.load_dataset("hoffmann2022"), random_seed=1).save("fit.nc")  # doctest: +SKIP
    >>> fs.load_fit("fit.nc").summary(prob=0.9)  # doctest: +SKIP
    """
    return read_tree(path, FIT, _from_tree)


def read_tree[T](path: str | Path, kind: str, made: Callable[[xr.DataTree], T]) -> T:
    """What ``made`` makes of the tree in a file of a kind.

    Raises
    ------
    FileError
        If the file is absent, truncated, of another kind, or written in a format newer than this one reads.
    """
    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path}: no such file; .save(path) of what was fitted writes one, as does `forescale fit`")
    try:
        with xr.open_datatree(path, engine="h5netcdf") as opened:
            tree = opened.load()
    except Exception as error:  # h5py and xarray raise whatever they stumble over
        raise FileError(f"{path}: not a readable NetCDF file (truncated, or of another kind): {error}") from error
    found = tree.attrs.get("forescale_format")
    if found is None:
        raise FileError(f"{path}: a NetCDF file, but not a forescale fit (no attribute forescale_format)")
    if int(found) > FORMAT:
        raise FileError(
            f"{path}: written in format {found} by forescale {tree.attrs.get('forescale_version', '?')}; this "
            f"forescale {version('forescale')} reads up to format {FORMAT}: upgrade it"
        )
    if (other := tree.attrs.get("forescale_kind", FIT)) != kind:
        raise FileError(f"{path}: what forescale.load_{other}() reads, and not load_{kind}()")
    try:
        return made(tree)
    except (KeyError, ValueError, ForescaleError) as error:
        raise FileError(f"{path}: a forescale fit with a part missing or damaged: {error}") from error


def _from_tree(tree: xr.DataTree) -> Fit:
    attrs = tree.attrs
    posterior, stats = tree["posterior"].to_dataset(), tree["sample_stats"].to_dataset()
    result = Fit(
        model=Model.from_toml(attrs["model_card"]),
        observations=runs_of(tree),
        posterior=posterior,
        sample_stats=stats,
        seed=int(attrs["random_seed"]),
        settings=Settings(**json.loads(attrs["settings"])),
        diagnostics=diagnose(posterior, stats, float(attrs["residual_scale_p"])),
    )
    result.__dict__["tree"] = tree  # what was saved, not made anew
    return result


def runs_of(tree: xr.DataTree) -> Observations:
    """The table of runs that a tree holds.

    Raises
    ------
    ValueError
        If it is not the one that was fitted.
    """
    attrs = tree.attrs
    columns = {str(name): values.values for name, values in tree["constant_data"].to_dataset().variables.items()}
    runs = Observations(
        columns, attrs["observations_name"], json.loads(attrs["counts_embeddings"]), tuple(json.loads(attrs["notes"]))
    )
    if runs.sha256 != attrs["observations_sha256"]:
        raise ValueError("the table of runs is not the one that was fitted (sha256 differs)")
    return runs


def table_of(runs: Observations) -> xr.Dataset:
    """A table of runs as a group of a tree, dims run."""
    columns: Mapping[str, Any] = runs.columns
    values = {name: ("run", values) for name, values in columns.items() if name != "run"}
    return xr.Dataset(values, coords={"run": columns["run"]})


def attributes(kind: str, model: Model, runs: Observations, seed: int, settings: Settings) -> dict[str, Any]:
    """What a tree says of how its draws were made, so that they can be made again."""
    return {
        "forescale_format": FORMAT,
        "forescale_kind": kind,
        "forescale_version": version("forescale"),
        "versions": json.dumps({name: version(name) for name in _LIBRARIES}),
        "model_card": model.to_toml(),
        "observations_name": runs.name,
        "observations_sha256": runs.sha256,
        "counts_embeddings": json.dumps(runs.counts_embeddings),
        "notes": json.dumps(runs.notes),
        "random_seed": seed,
        "settings": json.dumps(settings.as_dict()),
        "sampler": "nutpie NUTS, low-rank mass matrix",
    }
