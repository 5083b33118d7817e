"""NUTS for families: compile once a process and number of families, swap data, sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forescale.families.model import DIRECTION, MEMBER, FamilyModel, Weights, factor_name
from forescale.sampling import coordinates
from forescale.sampling.compilation import compile_density
from forescale.sampling.joint import Joint, sample_checked
from forescale.sampling.nuts import JITTER, Draws, Settings, run_nuts

Array = NDArray[np.float64]


@dataclass(frozen=True)
class _Sampler:
    """A compiled model of families: nutpie's for a table, and the way back from its draws."""

    ready: Callable[[Mapping[str, Any]], Any]
    named: Callable[[xr.Dataset, Mapping[str, Any]], xr.Dataset]


_SAMPLERS: dict[Any, _Sampler] = {}


def sample_families(
    what: str,
    families: FamilyModel,
    labels: Sequence[str],
    data: Mapping[str, Any],
    settings: Settings,
    seed: int,
    *,
    progress: bool | None,
) -> Joint:
    """Sample the posterior of families; see `forescale.sampling.joint.sample_joint`.

    Returns
    -------
    Joint
        Of shared parameters, as drawn (``A_effect``); of spreads, ``E_spread``; and by family, ``E_log_factor``.
    """
    key = (families.model.to_toml(), families.model.law.function, families.count)
    if key not in _SAMPLERS:
        _SAMPLERS[key] = _compile(families, data)
    sampler = _SAMPLERS[key]

    def draw(attempt: Settings) -> Draws:
        drawn, stats = run_nuts(sampler.ready(data), attempt, seed, progress)
        posterior = _by_factors(families, sampler.named(drawn, data), data)
        return Draws(posterior.assign_coords({**stats.coords, "family": list(labels)}), stats)

    return sample_checked(what, draw, settings, seed)


def _by_factors(families: FamilyModel, drawn: xr.Dataset, data: Mapping[str, Any]) -> xr.Dataset:
    """Draws with logs of factors in place of the coordinates that these are made of."""
    shape = drawn.sizes["chain"], drawn.sizes["draw"]
    flat = {str(name): values.values.reshape(-1, *values.shape[2:]) for name, values in drawn.items()}
    factors = families.log_factors(flat, data)
    dims = ("chain", "draw", "family")
    made = {factor_name(name): (dims, values.reshape(*shape, -1)) for name, values in factors.items()}
    return drawn.drop_vars([name for name, values in drawn.items() if "family" in values.dims]).assign(made)


def _compile(families: FamilyModel, data: Mapping[str, Any]) -> _Sampler:
    return _compile_quickly(families, data) or _compile_plainly(families, data)


def _compile_quickly(families: FamilyModel, data: Mapping[str, Any]) -> _Sampler | None:
    """As `sampling` compiles one law: shared parameters in sampler coordinates; None where that fails."""
    import pytensor
    import pytensor.tensor as pt
    from pytensor.graph import clone_replace

    model, count = families.model, families.count
    names, terms, k = list(data), len(model.law.terms), families.directions
    moving = len(families.moving)
    own = len(names) + k + 1  # rows of which each run has its own
    rows = np.cumsum([own, terms, k * moving * count, k * count])

    def matrix(data: Mapping[str, Any]) -> Array:
        """A row each: the data and the weights of runs; then, of equal numbers, centres of terms and other weights."""
        weights = families.weights(data)
        constant = [coordinates.log_centre(model, data), weights.v.ravel(), weights.sharp.ravel()]
        wide = np.tile(np.concatenate(constant)[:, None], len(data[MEMBER]))
        return np.vstack([*(data[name] for name in names), weights.u, weights.log_loss, wide])

    given = pytensor.shared(matrix(data), name="data", shape=(int(rows[-1]), None))
    v, sharp = (given[low:high, 0] for low, high in pairwise(rows[1:]))
    weights = Weights(
        v.reshape((k, moving, count)), sharp.reshape((k, count)), given[len(names) : own - 1], given[own - 1]
    )
    built = families.build(data, weights)
    shared, spreads = list(model.free_priors()), [f"{name}_spread" for name in families.varied]
    vectors = [*(f"{name}_rest" for name in families.varied), *(f"{DIRECTION}_{i}" for i in range(k))]
    scalars = len(shared) + len(spreads)
    n = scalars + count * len(vectors)
    parts = {name: slice(scalars + i * count, scalars + (i + 1) * count) for i, name in enumerate(vectors)}

    point, centre = pt.vector("z", shape=(n,)), given[rows[0] : rows[1], 0]
    values, _, log_jacobian = coordinates.to_values(model, built, [point[i] for i in range(len(shared))], centre)
    values |= {built.rvs_to_values[built[name]]: point[len(shared) + i] for i, name in enumerate(spreads)}
    values |= {built.rvs_to_values[built[name]]: point[part] for name, part in parts.items()}
    observed = {built[name]: given[i] for i, name in enumerate(names)}
    density = clone_replace(built.logp(), {**values, **observed}) + log_jacobian

    def start(data: Mapping[str, Any]) -> Array:
        """Medians of the priors."""
        medians = [np.log(model.families.prior(name).median) for name in families.varied]
        shared_medians = coordinates.start(model, coordinates.log_centre(model, data))
        return np.concatenate([shared_medians, medians, np.zeros(n - scalars)])

    compiled = compile_density(point, given, density, start(data))
    if compiled is None:
        return None

    columns, at = [pt.matrix(f"z{i}") for i in range(len(shared))], pt.vector("centre")
    _, free, _ = coordinates.to_values(model, built, columns, at)
    back = pytensor.function([*columns, at], list(free.values()), mode="FAST_COMPILE", on_unused_input="ignore")

    def named(draws: xr.Dataset, data: Mapping[str, Any]) -> xr.Dataset:
        z = np.moveaxis(draws["z"].values, -1, 0)
        found = dict(zip(free, back(*z[: len(shared)], coordinates.log_centre(model, data)), strict=True))
        found |= {name: np.exp(z[len(shared) + i]) for i, name in enumerate(spreads)}
        dims = ("chain", "draw", "family")
        by_family = {name: (dims, np.moveaxis(z[part], 0, -1)) for name, part in parts.items()}
        return xr.Dataset({**{name: (dims[:2], value) for name, value in found.items()}, **by_family})

    def ready(data: Mapping[str, Any]) -> Any:
        begin = start(data)

        def initial_point(seed: int) -> Any:
            return begin + np.random.default_rng(seed).uniform(-JITTER, JITTER, n)

        return replace(compiled.with_data(data=matrix(data)), initial_point_func=initial_point)

    return _Sampler(ready, named)


def _compile_plainly(families: FamilyModel, data: Mapping[str, Any]) -> _Sampler:
    """The plain path: nutpie compiles the PyMC model of each table as it stands, in the card's own coordinates."""
    import nutpie

    names = [variable.name for variable in families.build(data, families.weights(data)).free_RVs]

    def ready(data: Mapping[str, Any]) -> Any:
        return nutpie.compile_pymc_model(families.build(data, families.weights(data)), var_names=names)

    return _Sampler(ready, lambda draws, _: draws[names].drop_vars("family", errors="ignore"))
