"""A fit as an ArviZ DataTree, and as one NetCDF file from which it can be redone."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from forescale.diagnostics import diagnose
from forescale.errors import FileError, ForescaleError
from forescale.files import write_whole
from forescale.fit import PREDICTIVE, Fit, residuals, thinned
from forescale.model import Model
from forescale.observations import Observations
from forescale.sampling import Settings

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = 1
POINTWISE_MOST = 20_000_000  # values (draws x runs) in a pointwise group: 160 MB; beyond it, draws are thinned
_PRIOR = 4  # stream of random numbers, beside those of forescale.fit
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
        "constant_data": _table(runs, error["run"]),
    }
    tree = xr.DataTree.from_dict(groups)
    tree.attrs = _attributes(fit)
    return tree


def save(fit: Fit, path: str | Path) -> Path:
    """Write the fit's tree as NetCDF, whole or not at all."""
    small = {"zlib": True, "complevel": 1}
    packed = {
        f"/{group}": {str(name): small for name, values in node.data_vars.items() if values.dtype.kind in "fiu"}
        for group, node in fit.tree.children.items()
    }
    return write_whole(path, lambda beside: fit.tree.to_netcdf(beside, engine="h5netcdf", encoding=packed))


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
    path = Path(path)
    if not path.is_file():
        raise FileError(f"{path}: no such file; fit.save(path) or `forescale fit` writes one")
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
    try:
        return _from_tree(tree)
    except (KeyError, ValueError, ForescaleError) as error:
        raise FileError(f"{path}: a forescale fit with a part missing or damaged: {error}") from error


def _from_tree(tree: xr.DataTree) -> Fit:
    attrs = tree.attrs
    posterior, stats = tree["posterior"].to_dataset(), tree["sample_stats"].to_dataset()
    columns = {str(name): values.values for name, values in tree["constant_data"].to_dataset().variables.items()}
    runs = Observations(
        columns, attrs["observations_name"], json.loads(attrs["counts_embeddings"]), tuple(json.loads(attrs["notes"]))
    )
    if runs.sha256 != attrs["observations_sha256"]:
        raise ValueError("the table of runs is not the one that was fitted (sha256 differs)")
    result = Fit(
        model=Model.from_toml(attrs["model_card"]),
        observations=runs,
        posterior=posterior,
        sample_stats=stats,
        seed=int(attrs["random_seed"]),
        settings=Settings(**json.loads(attrs["settings"])),
        diagnostics=diagnose(posterior, stats, float(attrs["residual_scale_p"])),
    )
    result.__dict__["tree"] = tree  # what was saved, not made anew
    return result


def _table(runs: Observations, names: xr.DataArray) -> xr.Dataset:
    columns: Mapping[str, Any] = runs.columns
    values = {name: ("run", values) for name, values in columns.items() if name != "run"}
    return xr.Dataset(values, coords={"run": names})


def _attributes(fit: Fit) -> dict[str, Any]:
    return {
        "forescale_format": FORMAT,
        "forescale_version": version("forescale"),
        "versions": json.dumps({name: version(name) for name in _LIBRARIES}),
        "model_card": fit.model.to_toml(),
        "observations_name": fit.observations.name,
        "observations_sha256": fit.observations.sha256,
        "counts_embeddings": json.dumps(fit.observations.counts_embeddings),
        "notes": json.dumps(fit.observations.notes),
        "random_seed": fit.seed,
        "settings": json.dumps(fit.settings.as_dict()),
        "sampler": "nutpie NUTS, low-rank mass matrix",
        "residual_scale_p": fit.diagnostics.residual_scale_p,
    }
