"""Posteriors of models that are not one law: sampled, checked, and refused if they did not converge."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr

from forescale.errors import ConvergenceError
from forescale.sampling.diagnostics import Convergence, convergence
from forescale.sampling.nuts import Draws, Settings, sample_pymc


@dataclass(frozen=True, eq=False)
class Joint:
    """A posterior of several trends or profiles together, with what made it.

    Attributes
    ----------
    name : str
        What was sampled.
    posterior, sample_stats : xarray.Dataset
        Draws, dims ("chain", "draw") first.
    seed : int
        With the settings and the same machine, it gives the same draws again.
    settings : Settings
        Draws, tuning, chains, target acceptance.
    diagnostics : Convergence
        How the sampler converged.
    """

    name: str
    posterior: xr.Dataset = field(repr=False)
    sample_stats: xr.Dataset = field(repr=False)
    seed: int
    settings: Settings
    diagnostics: Convergence


def sample_joint(
    what: str,
    key: Hashable,
    build: Callable[[Mapping[str, Any]], Any],
    data: Mapping[str, Any],
    settings: Settings,
    seed: int,
    *,
    progress: bool | None = None,
) -> Joint:
    """Sample a PyMC model; once more, with more care, if its diagnostics fail.

    Parameters
    ----------
    what : str
        What is sampled, for the message of an error.
    key, build, data, settings, seed, progress
        As for ``sampling.sample_pymc``.

    Raises
    ------
    ConvergenceError
        If the diagnostics fail twice; it carries the posterior.
    """
    return sample_checked(
        what, lambda attempt: sample_pymc(key, build, data, attempt, seed, progress=progress), settings, seed
    )


def sample_checked(what: str, draw: Callable[[Settings], Draws], settings: Settings, seed: int) -> Joint:
    """Draw; once more, with more care, if the diagnostics fail.

    Parameters
    ----------
    what : str
        What is sampled, for the message of an error.
    draw : callable
        From settings to draws.
    settings : Settings
        Of the first try.
    seed : int
        What ``draw`` takes, to be recorded.

    Raises
    ------
    ConvergenceError
        If the diagnostics fail twice; it carries the posterior.
    """
    for attempt in (settings, settings.careful()):
        drawn = draw(attempt)
        checked = convergence(drawn.posterior, drawn.sample_stats)
        result = Joint(what, drawn.posterior, drawn.sample_stats, seed, attempt, checked)
        if checked.passed:
            return result
    raise ConvergenceError(
        f"the posterior of {what} did not converge: {'; '.join(result.diagnostics.failures)}. Try more draws or "
        "tuning (draws=, tune=); the error's .fit holds the draws for inspection",
        result,
    )
