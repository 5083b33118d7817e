"""NUTS: compile a model once a process, then sample it for any table.

Compilation takes seconds and sampling tenths of one, so compiled models are kept by what they are (the card's
text and the law's function), and data are swapped in.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from forescale.belief.model import Model
from forescale.belief.references import in_units_of_range
from forescale.errors import DataError
from forescale.progress import shown_on
from forescale.sampling import coordinates
from forescale.sampling.compilation import compile_density

_STATS = {  # nutpie's name to ArviZ's
    "diverging": "diverging",
    "energy": "energy",
    "depth": "tree_depth",
    "maxdepth_reached": "reached_max_treedepth",
    "n_steps": "n_steps",
    "step_size": "step_size",
    "mean_tree_accept": "acceptance_rate",
    "logp": "lp",
}
JITTER = 0.5  # half-width, on the sampler's scale, of the uniform scatter of starting points about the medians


@dataclass(frozen=True)
class Settings:
    """How long and how carefully to sample: each chain tunes, then keeps every ``thin``-th of thin x draws."""

    draws: int = 1000
    tune: int = 500
    chains: int = 4
    target_accept: float = 0.9
    thin: int = 1

    def __post_init__(self) -> None:
        if self.chains < 2 or min(self.draws, self.tune, self.thin) < 1 or not 0 < self.target_accept < 1:
            raise DataError(
                f"sampling wants at least 2 chains (R-hat compares them), at least 1 of draws, tune and thin, and "
                f"target_accept between 0 and 1; given were {self}"
            )

    def careful(self) -> Settings:
        """The settings of a second try: shorter steps, three times the tuning, four times the draws, thinned."""
        shorter = max(0.97, 1 - (1 - self.target_accept) / 3)
        return replace(self, tune=3 * self.tune, target_accept=shorter, thin=4 * self.thin)

    def as_dict(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Draws:
    """What the sampler returns: parameters and sampler statistics, dims ("chain", "draw")."""

    posterior: xr.Dataset
    sample_stats: xr.Dataset


@dataclass(frozen=True)
class _Sampler:
    """A compiled model: nutpie's, the data it wants, and the way back from its draws."""

    ready: Callable[[Mapping[str, Any]], Any]
    free: Callable[[xr.Dataset, Mapping[str, Any]], dict[str, Any]]


_SAMPLERS: dict[tuple[str, Any], _Sampler] = {}
_COMPILED: dict[Hashable, Any] = {}


def sample(
    model: Model, data: Mapping[str, Any], settings: Settings, seed: int, *, progress: bool | None = None
) -> Draws:
    """Sample the posterior of a model given ``model.data(observations)``.

    Parameters
    ----------
    model : Model
        Compiled at its first use in the process.
    data : mapping of str to array, shape (run,)
        What the likelihood sees.
    settings : Settings
        Draws, tuning, chains, target acceptance.
    seed : int
        The same seed gives the same draws; see ``forescale.fit`` for the one exception.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal or a notebook.

    Returns
    -------
    Draws
        All free variables and printed parameters.

    Raises
    ------
    KeyboardInterrupt
        When interrupted; nothing is kept.
    """
    same, data = in_units_of_range(model, data)
    key = (same.to_toml(), same.law.function)
    if key not in _SAMPLERS:
        _SAMPLERS[key] = _compile(same, data)
    sampler = _SAMPLERS[key]
    drawn, stats = run_nuts(sampler.ready(data), settings, seed, progress)
    free = sampler.free(drawn, data)
    values = {**model.printed(free), **free}
    posterior = xr.Dataset({name: (("chain", "draw"), values[name]) for name in sorted(values)}, stats.coords)
    return Draws(posterior, stats)


def sample_pymc(
    key: Hashable,
    build: Callable[[Mapping[str, Any]], Any],
    data: Mapping[str, Any],
    settings: Settings,
    seed: int,
    *,
    progress: bool | None = None,
) -> Draws:
    """Sample any PyMC model, compiled by nutpie once for each key and shape of the data.

    Parameters
    ----------
    key : hashable
        What the model is, beside the shapes of ``data``.
    build : callable
        From ``data`` to a pymc.Model that holds each array as ``pm.Data`` under its name.
    data : mapping of str to array
        What the model sees.
    settings, seed, progress
        As for ``sample``.

    Returns
    -------
    Draws
        All free variables and deterministics, under the model's names and dims.
    """
    import nutpie

    full_key = (key, build, *((name, np.shape(values)) for name, values in data.items()))
    if full_key not in _COMPILED:
        _COMPILED[full_key] = nutpie.compile_pymc_model(build(data))
    drawn, stats = run_nuts(_COMPILED[full_key].with_data(**data), settings, seed, progress)
    return Draws(drawn.assign_coords(stats.coords), stats)


def run_nuts(compiled: Any, settings: Settings, seed: int, progress: bool | None) -> tuple[xr.Dataset, xr.Dataset]:
    """Draws in the compiled model's own variables, and sampler statistics; both thinned."""
    import nutpie

    with _progress_bar(progress, settings) as callback:
        running = nutpie.sample(
            compiled,
            draws=settings.draws * settings.thin,
            tune=settings.tune,
            chains=settings.chains,
            target_accept=settings.target_accept,
            seed=seed,
            adaptation="low_rank",
            save_warmup=False,
            progress_bar=False,
            progress_callback=callback,
            blocking=False,
        )
        try:
            tree = running.wait()
        except BaseException:  # nutpie would return what it has; half a posterior is none
            running.cancel()
            raise
    kept = slice(settings.thin - 1, None, settings.thin)
    stats = tree["sample_stats"].dataset
    stats = stats.assign(diverging=stats["diverging"].rolling(draw=settings.thin).max() > 0).isel(draw=kept)
    named = {new: (("chain", "draw"), stats[old].values) for old, new in _STATS.items() if old in stats}
    coords = {"chain": np.arange(settings.chains), "draw": np.arange(settings.draws)}
    return tree["posterior"].dataset.isel(draw=kept), xr.Dataset(named, coords)


def _compile(model: Model, data: Mapping[str, Any]) -> _Sampler:
    return _compile_centred(model, data) or _compile_plain(model, data)


def _compile_centred(model: Model, data: Mapping[str, Any]) -> _Sampler | None:
    """The quick path: sampler coordinates of ``coordinates``, compiled by ``compilation``; None where that fails."""
    import pytensor
    import pytensor.tensor as pt
    from pytensor.graph import clone_replace

    def matrix(data: Mapping[str, Any]) -> Any:
        """The data, a row for each variable, then for each term its centre in a row of equal numbers."""
        centres = np.tile(coordinates.log_centre(model, data)[:, None], len(data["observed_log_loss"]))
        return np.vstack([*data.values(), centres])

    built = model.build(data)
    names, n = list(data), len(built.free_RVs)
    given = pytensor.shared(matrix(data), name="data", shape=(len(names) + len(model.law.terms), None))
    point = pt.vector("z", shape=(n,))
    z, centre = [point[i] for i in range(n)], given[len(names) :, 0]
    values, _, log_jacobian = coordinates.to_values(model, built, z, centre)
    observed = {built[name]: given[i] for i, name in enumerate(names)}
    density = clone_replace(built.logp(), {**values, **observed}) + log_jacobian
    start = coordinates.start(model, coordinates.log_centre(model, data))
    compiled = compile_density(point, given, density, start)
    if compiled is None:
        return None

    columns, at = [pt.matrix(f"z{i}") for i in range(n)], pt.vector("centre")
    _, free, _ = coordinates.to_values(model, built, columns, at)
    back = pytensor.function([*columns, at], list(free.values()), mode="FAST_COMPILE", on_unused_input="ignore")

    def to_free(draws: xr.Dataset, data: Mapping[str, Any]) -> dict[str, Any]:
        z = np.moveaxis(draws["z"].values, -1, 0)
        return dict(zip(free, back(*z, coordinates.log_centre(model, data)), strict=True))

    def ready(data: Mapping[str, Any]) -> Any:
        start = coordinates.start(model, coordinates.log_centre(model, data))  # of this table, not of the first

        def initial_point(seed: int) -> Any:
            return start + np.random.default_rng(seed).uniform(-JITTER, JITTER, n)

        return replace(compiled.with_data(data=matrix(data)), initial_point_func=initial_point)

    return _Sampler(ready, to_free)


def _compile_plain(model: Model, data: Mapping[str, Any]) -> _Sampler:
    """The plain path: nutpie compiles the PyMC model as it stands, in the card's own coordinates."""
    import nutpie

    names = list(model.free_priors())
    compiled = nutpie.compile_pymc_model(model.build(data), var_names=names)
    return _Sampler(
        lambda data: compiled.with_data(**data), lambda draws, _: {name: draws[name].values for name in names}
    )


@contextmanager
def _progress_bar(wanted: bool | None, settings: Settings) -> Iterator[Callable[[Any], None] | None]:
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console, shown = shown_on(wanted)
    if not shown:
        yield None
        return
    total = settings.chains * (settings.tune + settings.draws * settings.thin)
    columns = (TextColumn("sampling"), BarColumn(), TextColumn("{task.completed}/{task.total} draws"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task("sampling", total=total)
        yield lambda chains: bar.update(task, completed=sum(chain.finished_draws for chain in chains))
        bar.update(task, completed=total)
