"""A link whose slope jumps at some loss, or does not: draws of it, and its evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from forescale.belief.link_model import COORDINATES, CURVE, LinkModel, loss_of_hits
from forescale.belief.priors import Prior
from forescale.sampling.bridge import evidence_of
from forescale.sampling.diagnostics import agreement, disagreements
from forescale.sampling.line import from_line, to_line
from forescale.sampling.tempered import temper

Array = NDArray[np.float64]

#: Which way the slope jumps as loss falls, and how likely beforehand: a break is an even chance, then either way is.
KINDS = {"smooth": (0.0, 0.5), "steeper": (1.0, 0.25), "flatter": (-1.0, 0.25)}
#: Of the log of the factor between the slopes: up to 12 in 90 %.
JUMP = Prior("halfnormal", sigma=1.5)
#: Of where the break is, in parts of the losses of the runs but `EDGE` at either end.
PLACE = Prior("uniform", lower=0.0, upper=1.0)
EDGE = 3  # runs on either side of a break, without which it could not be told from an end
_BEND = 0.02  # nats over which the slope changes: sharper than runs are apart, and yet smooth
_RUNS = 4  # of the sampler, each of which is a chain of the posterior


def bent(loss: Any, at: Any, jump: Any, anchor: Any) -> Any:
    """Loss in which a nat below ``at`` counts exp(jump) times a nat above it: the slope of any link of it jumps there.

    At ``anchor`` it is the loss itself, with slope 1, so that middle and span are of that side of the break. Put where
    runs tell most, it leaves the curve there as it was, whatever the break: without it the sampler could not follow.
    """
    gain = np.exp(jump) - 1
    below = (1 + np.tanh((at - anchor) / (2 * _BEND))) / 2  # the part of the slope at the anchor that is of below
    return anchor + (_one_sided(loss, at, gain) - _one_sided(anchor, at, gain)) / (1 + gain * below)


def _one_sided(loss: Any, at: Any, gain: Any) -> Any:
    """Loss in which what is below ``at`` counts ``1 + gain`` times."""
    below = at - loss
    return loss - gain * ((below + abs(below)) / 2 + _BEND * np.log(1 + np.exp(-abs(below) / _BEND)))


@dataclass(frozen=True, eq=False)
class Candidate:
    """A link of a kind, for the runs of a task.

    Parameters
    ----------
    model : LinkModel
        The link.
    kind : str
        One of `KINDS`.
    data : mapping of str to array, shape (run,)
        Loss, chance, items and hits of the runs.
    """

    model: LinkModel
    kind: str
    data: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """Its link and its kind."""
        return f"{self.model.name}, {self.kind}"

    def sample(self, draws: int, moves: int, seed: list[int]) -> tuple[xr.Dataset, Array, str]:
        """Draws, dims ("chain", "draw"); the log evidence by each chain; and in what chains disagree, or ""."""
        runs = []
        for run in range(_RUNS):
            rng = np.random.default_rng([*seed, run])
            runs.append(temper(self.densities, self._prior, len(COORDINATES), draws // 2, moves, rng))
        chains = np.stack(runs)
        names = [*COORDINATES, *self._others]
        moved = xr.Dataset({name: (("chain", "draw"), chains[..., i]) for i, name in enumerate(names)})
        evidence = evidence_of(lambda z: np.add(*self.densities(z)), chains, np.random.default_rng(seed))
        values = {name: (("chain", "draw"), of.reshape(chains.shape[:2])) for name, of in self._values(chains).items()}
        return xr.Dataset(values), evidence, "; ".join(disagreements(agreement(moved)))

    def _prior(self, draws: int, rng: np.random.Generator) -> Array:
        """Draws of the prior of what the sampler moves in, shape (draw, parameter)."""
        values = {name: prior.sample(draws, rng) for name, prior in (self._of_curve | self._others).items()}
        return np.column_stack([self.model.coordinates_of(values, self.data), to_line(self._others, values)])

    def densities(self, z: Array) -> tuple[Array, Array]:
        """Log prior density and log likelihood at points of what the sampler moves in, shape (draw, parameter)."""
        curve, at_prior = self.model.coordinates(z[:, : len(COORDINATES)].T, self.data)
        others, further = from_line(self._others, z[:, len(COORDINATES) :])
        at_prior = at_prior + further + sum(prior.logpdf(curve[name]) for name, prior in self._of_curve.items())
        values = {name: value[:, None] for name, value in {**curve, **self._broken(others)}.items()}
        seen = {**self.data, "loss": self.seen(self.data["loss"], values)}
        return at_prior, self.model.log_density(values, seen).sum(axis=-1)

    def seen(self, loss: Any, values: Any) -> Any:
        """The loss that the link is of: bent, where it has a break."""
        return bent(loss, values["break_at"], values["jump"], self._anchor) if self._direction else loss

    def _values(self, chains: Array) -> dict[str, Array]:
        """Parameters of points, shape (..., parameter), each in one row."""
        z = chains.reshape(-1, chains.shape[-1])
        curve, _ = self.model.coordinates(z[:, : len(COORDINATES)].T, self.data)
        return {**curve, **self._broken(from_line(self._others, z[:, len(COORDINATES) :])[0])}

    def _broken(self, others: Mapping[str, Array]) -> dict[str, Array]:
        """Where the break is and how the log slope jumps there, instead of its place and size."""
        found = dict(others)
        if self._direction:
            (low, high), place = self._ends, found.pop("place")
            found |= {"break_at": low + (high - low) * place, "jump": self._direction * found.pop("size")}
        return found

    @property
    def _direction(self) -> float:
        return KINDS[self.kind][0]

    @cached_property
    def _of_curve(self) -> dict[str, Prior]:
        return {name: self.model.priors[name] for name in CURVE}

    @cached_property
    def _others(self) -> dict[str, Prior]:
        further = {"place": PLACE, "size": JUMP} if self._direction else {}
        return {name: prior for name, prior in self.model.priors.items() if name not in CURVE} | further

    @cached_property
    def _anchor(self) -> Any:
        return loss_of_hits(self.data)

    @cached_property
    def _ends(self) -> tuple[float, float]:
        ordered = np.sort(self.data["loss"])
        return float(ordered[EDGE]), float(ordered[-1 - EDGE])
