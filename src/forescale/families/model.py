"""The posterior of families: one law, whose parameters differ between families about medians that they share.

For a parameter p that differs, and family f, ``log p_f = log p + spread_p z_pf`` with z standard normal; p has the
prior of the card, and the spread a half-normal one. A factor on all losses of a family is one parameter more, of
median 1.

The z of a family cannot be sampled as they stand. Its runs say what it loses where they are, many times more surely
than which parameter makes it so: a thin sheet across all z, which turns as the spreads change. So the sampler moves in
what runs determine. Let J be the slopes of a family's log losses in the logs of its parameters, each in units of the
scale s of its spread's prior, and ``J = U S V'`` (singular values descending). With rows ``M_i = V_i spread / s`` made
orthogonal, ``M_i = sum_(j <= i) R_ij a_j``, runs that scatter by c know, to about c,

    y_i = U_i . (log law(p) - log law(p0)) + S_i sum_(j <= i) R_ij t_j,    t_j standard normal,

whose first term, of the family's runs by the shared parameters p, makes it a statement on the family, not on how it
differs from others: as p moves along its curved ridges, y stays. Where R_ii S_i / c is large y_i is what to sample, and
where it is small, families being alike or runs few, it is t_i; the coordinate is in between as that ratio is
(`FamilyModel.z`). With e standard normal, ``z = e + sum_i a_i (t_i - a_i . e)`` is standard normal whatever U, S and V
are, which therefore come from a rough fit, at p0, and are not functions of a draw. Shared parameters are moved in
`coordinates`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from forescale.belief.model import Model
from forescale.belief.spreads import LEVEL, NOISE, scaled, usual_scale
from forescale.laws import Named

Array = NDArray[np.float64]
MEMBER = "member_of"  # the row of the data that says which family a run is of
DIRECTION = "direction"  # coordinates of a family are called so, and numbered
_DIRECTIONS = 2  # at most, of a family: a third is seldom known, and compiles for long
_SCATTER = 0.01  # c, of log losses
_ROUGH = 0.03  # scatter of log loss about the law that is fitted roughly to all families alike
_STEP = 1e-4  # of differences, in logs


class Weights(NamedTuple):
    """What a table says of directions, as numbers.

    Attributes
    ----------
    v : array, shape (direction, varied, family)
        Rows of V.
    sharp : array, shape (direction, family)
        S / c, how sharply the runs of a family determine a direction.
    u : array, shape (direction, run)
        What each run adds to its family's direction: U / c.
    log_loss : array, shape (run,)
        By the law at the rough fit.
    """

    v: Array
    sharp: Array
    u: Array
    log_loss: Array


@dataclass(frozen=True)
class FamilyModel:
    """A model of a number of families.

    Attributes
    ----------
    model : Model
        With its spreads.
    count : int
        Number of families.
    """

    model: Model
    count: int

    @property
    def varied(self) -> dict[str, str]:
        """What differs between families: by its name in the card, that in a posterior (``A_effect``)."""
        law = self.model.law
        return {name: self.model.prior_name(name) if name in law.parameters else name for name in self.model.families}

    @property
    def moving(self) -> list[str]:
        """What of the varied moves a loss: all but noise."""
        return [name for name in self.varied if name not in self.model.noise.parameters]

    @property
    def directions(self) -> int:
        """Of a family, how many have coordinates of their own."""
        return min(_DIRECTIONS, len(self.moving))

    def data(self, given: Mapping[str, Any], member: Any) -> dict[str, Any]:
        """What the likelihood sees: the model's data, and which family each run is of, from 0."""
        return {**given, MEMBER: np.asarray(member, dtype=float)}

    def parameters(self, shared: Named, log_factors: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters as drawn and as printed: the shared ones, each varied one times a factor.

        On NumPy, xarray or PyTensor values that broadcast.
        """
        free = {name: shared[name] for name in self.model.free_priors()}
        for name, drawn in self.varied.items():
            if name != LEVEL:
                free[drawn] = free[drawn] * np.exp(log_factors[name])
        return scaled(self.model, {**free, **self.model.printed(free)}, log_factors.get(LEVEL, 0.0))

    def weights(self, data: Mapping[str, Any]) -> Weights:
        """Directions of a table, from slopes at a rough fit of its runs."""
        rough = self._rough(data)
        none, scales = dict.fromkeys(self.varied, 0.0), self.model.families.scales

        def log_loss(log_factors: Mapping[str, float]) -> Array:
            return np.asarray(np.log(self.model.law(data, self.parameters(rough, log_factors))))

        at = log_loss(none)
        slopes = np.array([scales[name] * (log_loss({**none, name: _STEP}) - at) / _STEP for name in self.moving])
        k, member = self.directions, data[MEMBER].astype(int)
        v, sharp = np.zeros((k, len(slopes), self.count)), np.zeros((k, self.count))
        u = np.zeros((k, len(at)))
        for family in range(self.count):
            mine = member == family
            left, s, rows = np.linalg.svd(slopes[:, mine].T)
            known = min(k, len(s))
            v[:, :, family] = rows[:k]
            sharp[:known, family] = s[:known] / _SCATTER
            u[:known, mine] = left[:, :known].T / _SCATTER
        return Weights(v, sharp, u, at)

    def _rough(self, data: Mapping[str, Any]) -> dict[str, float]:
        """Shared parameters by penalised least squares, all families alike; noise and kappa at priors' medians."""
        from scipy.optimize import least_squares

        medians = {name: prior.median for name, prior in self.model.free_priors().items()}
        names = [name for name, prior in self.model.free_priors().items() if prior.positive]
        names = [name for name in names if name not in self.model.noise.parameters]
        start, none = np.log([medians[name] for name in names]), dict.fromkeys(self.varied, 0.0)

        def shared(logs: Array) -> dict[str, float]:
            return medians | dict(zip(names, np.exp(logs).tolist(), strict=True))

        def errors(logs: Array) -> Array:
            law = np.log(self.model.law(data, self.parameters(shared(logs), none)))
            left = np.clip((law - data["observed_log_loss"]) / _ROUGH, -1e6, 1e6)
            return np.concatenate([np.nan_to_num(left, nan=1e6), (logs - start) / 0.5])

        return shared(least_squares(errors, start, loss="soft_l1", max_nfev=50).x)

    def z(self, ratio: Any, shift: list[Any], rest: Any, weights: Any, coordinate: Callable[..., Any]) -> Any:
        """The standard normal z of what moves a loss, shape (varied, ..., family).

        Parameters
        ----------
        ratio : array, shape (varied, ..., 1)
            Spreads, in units of their priors' scales.
        shift : list of array, shape (..., family)
            Of each direction, by how much shared parameters have moved it: U . (log law(p) - log law(p0)) / c.
        rest : array, shape (varied, ..., family)
            The e of each.
        weights : Weights
            Of which ``v`` broadcasts against these: NumPy's, or PyTensor's.
        coordinate : callable
            From the number of a direction, and mean and standard deviation of its coordinate, to the coordinate.
        """
        t: list[Any] = []
        along: list[Any] = []
        z = rest
        for i in range(self.directions):
            left, mean = weights.v[i] * ratio, shift[i]
            for value, before in zip(t, along, strict=True):
                part = (left * before).sum(axis=0)
                left, mean = left - part * before, mean + weights.sharp[i] * part * value
            length = (left**2).sum(axis=0) ** 0.5
            told = weights.sharp[i] * length
            sd = (1 + told**2) ** 0.5
            mean = mean * told / sd
            t.append((coordinate(i, mean, sd) - mean) / sd)
            along.append(left / length)
            z = z + along[i] * (t[i] - (along[i] * rest).sum(axis=0))
        return z

    def build(self, data: Mapping[str, Any], weights: Any) -> Any:
        """The PyMC model of `data`; the weights may be PyTensor's."""
        import pymc as pm
        import pytensor.tensor as pt

        model, scales = self.model, self.model.families.scales
        coords = {"run": np.arange(len(data["observed_log_loss"])), "family": np.arange(self.count)}
        with pm.Model(coords=coords, check_bounds=False) as built:
            given = {name: pm.Data(name, values, dims="run") for name, values in data.items()}
            shared = {name: prior.random_variable(name) for name, prior in model.free_priors().items()}
            spreads = {name: model.families.prior(name).random_variable(f"{name}_spread") for name in self.varied}
            rest = {name: pm.Normal(f"{name}_rest", dims="family") for name in self.varied}
            moved = (
                np.log(model.law(given, self.parameters(shared, dict.fromkeys(self.varied, 0.0)))) - weights.log_loss
            )
            of_family = pt.eq(given[MEMBER][:, None], np.arange(self.count)).astype("float64")
            z = self.z(
                pt.stack([spreads[name] / scales[name] for name in self.moving])[:, None],
                [(u * moved) @ of_family for u in (weights.u[i] for i in range(self.directions))],
                pt.stack([rest[name] for name in self.moving]),
                weights,
                lambda i, mean, sd: pm.Normal(f"{DIRECTION}_{i}", mean, sd, dims="family"),
            )
            rest |= {name: z[k] for k, name in enumerate(self.moving)}
            own = self.parameters(shared, {name: spreads[name] * rest[name] for name in self.varied})
            member = given[MEMBER].astype("int64")
            here = {name: (value + pt.zeros(self.count))[member] for name, value in own.items()}
            mu = np.log(model.law(given, here))
            model.noise.observe("log_loss", mu, here, given["observed_log_loss"], given.get("log_loss_se", 0.0))
        return built

    def log_factors(self, draws: Mapping[str, Array], data: Mapping[str, Any]) -> dict[str, Array]:
        """Logs of each family's factors, shape (draw, family), from draws (draw, ...) of what ``build`` has."""
        weights, scales = self.weights(data), self.model.families.scales
        wide = weights._replace(v=weights.v[:, :, None])
        shared = {name: draws[name][:, None] for name in self.model.free_priors()}
        moved = (
            np.log(self.model.law(data, self.parameters(shared, dict.fromkeys(self.varied, 0.0)))) - weights.log_loss
        )
        of_family = (data[MEMBER][:, None] == np.arange(self.count)).astype(float)
        rest = {name: draws[f"{name}_rest"] for name in self.varied}
        z = self.z(
            np.array([draws[f"{name}_spread"] / scales[name] for name in self.moving])[..., None],
            [(u * moved) @ of_family for u in weights.u],
            np.array([rest[name] for name in self.moving]),
            wide,
            lambda i, mean, sd: draws[f"{DIRECTION}_{i}"],
        )
        rest |= {name: z[k] for k, name in enumerate(self.moving)}
        return {name: draws[f"{name}_spread"][:, None] * rest[name] for name in self.varied}


def factor_name(parameter: str) -> str:
    """What a posterior calls the log of a family's parameter over the shared one."""
    return f"{parameter}_log_factor"


def scales_with_loss(model: Model) -> bool:
    """Whether the law times a factor is that law with floor and effects times it, so that families may differ in it."""
    if not (model.law.floor or model.law.terms) or model.law.judged is not None:
        return False
    values = model.printed({name: prior.median for name, prior in model.free_priors().items()})
    at = dict.fromkeys(model.law.inputs, 1e9)
    ratio = model.law(at, scaled(model, values, 0.1)) / model.law(at, values)
    return bool(np.isclose(np.log(ratio), 0.1, rtol=1e-6))


def with_usual_spreads(model: Model) -> Model:
    """The model with the spreads that its card gives, or else the usual one of each (`belief.spreads.USUAL`).

    Of each: a factor on all losses, where the law has a place for it and more than one term that it multiplies, and
    every parameter of the law and scale of noise that is above zero and not bounded. What couples terms, and how heavy
    the tails of noise are, are the same in all families.
    """
    if model.families:
        return model
    several = len(model.law.terms) + (model.law.floor is not None) > 1
    level = [LEVEL] if several and scales_with_loss(model) else []
    positive = [name for name, prior in model.priors.items() if prior.positive]
    names = [*level, *positive, *(name for name in model.noise_priors if name == NOISE)]
    return model.with_families(**{name: usual_scale(model.law, name) for name in names})
