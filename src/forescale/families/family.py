"""Families: one law for several families of runs, which differ by as much as the runs say, and each of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.model import Model
from forescale.belief.noise import Noise
from forescale.belief.spreads import LEVEL
from forescale.errors import DataError
from forescale.estimates.draws import INTERVAL_KIND, band, interval_rows
from forescale.families.model import FamilyModel, factor_name
from forescale.laws import Law
from forescale.sampling.joint import Joint
from forescale.tables.observations import Observations

_NEW = 21  # stream of random numbers for families not seen, apart from those of forescale.fit and discrepancy


@dataclass(frozen=True, eq=False)
class Family:
    """What is known of one family: an `Estimate`, so that every verb works on it.

    Attributes
    ----------
    name : str
        The model, the table and the family.
    model : Model
        The law, priors, noise and spreads.
    observations : Observations or None
        The family's own runs, which drift is measured from; of a family not seen, all runs.
    posterior : xarray.Dataset
        Draws of its parameters as printed and of effects at the reference, dims ("chain", "draw").
    seed : int
        Of the fit.
    """

    name: str
    model: Model
    observations: Observations = field(repr=False)
    posterior: xr.Dataset = field(repr=False)
    seed: int

    @property
    def law(self) -> Law:
        """The law."""
        return self.model.law

    @property
    def noise(self) -> Noise:
        """How log loss scatters about the law."""
        return self.model.noise

    def departure(self, points: Mapping[str, Any]) -> xr.DataArray | None:
        """Draws of the model's drift at points; see `Fit.departure`. One draw is of all families: they err together."""
        fitted = {name: self.observations.column(name) for name in self.law.inputs}
        shape = (self.posterior.sizes["chain"], self.posterior.sizes["draw"])
        part = self.model.discrepancy
        drawn = part.draws(fitted, points, self.law.inputs, self.posterior, shape, self.seed)
        dims, told = ("chain", "draw", "point"), {"discrepancy": str(part)}
        return None if drawn is None else xr.DataArray(drawn, dims=dims, attrs=told)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Posterior of each parameter.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per parameter of law and noise: parameter, median, lower, upper, prob, interval.
        """
        names = self.model.parameters
        rows = pd.concat([interval_rows(self.posterior[name], prob) for name in names], ignore_index=True)
        rows.insert(0, "parameter", names)
        return rows

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {band(self.posterior[name], '{:.4g}'.format)}" for name in self.model.parameters)
        return f"{self.name}: {values} (median [90 % {INTERVAL_KIND}])"


@dataclass(frozen=True, eq=False)
class Families:
    """A posterior of several families together: what they share, by how much they differ, and each of them.

    ``families["Pythia"]`` is a `Family`, an estimate for `forecast`, `allocate` and every other verb.

    Attributes
    ----------
    model : Model
        With its spreads between families.
    observations : Observations
        All runs.
    by : str
        The column that says which family a run is of.
    labels : tuple of str
        The families, in alphabetical order.
    joint : Joint
        Draws of what is shared (dims chain, draw), of spreads (``E_spread``), and of the log of what each family's
        parameters are times the shared ones (``E_log_factor``, dims chain, draw, family); with seed, settings and
        diagnostics.
    """

    model: Model
    observations: Observations
    by: str
    labels: tuple[str, ...]
    joint: Joint = field(repr=False)

    @property
    def name(self) -> str:
        """The model and the table."""
        return f"{self.model.name} on families of {self.observations.name}"

    def __iter__(self) -> Iterator[str]:
        return iter(self.labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, label: str) -> Family:
        if label not in self.labels:
            raise DataError(
                f"{self.name} has no family {label!r}; there are {', '.join(self.labels)}, and .new for one not seen"
            )
        i = self.labels.index(label)
        factors = self.log_factors.isel(family=i, drop=True)
        return self._family(label, self.runs(label), dict(factors))

    @cached_property
    def new(self) -> Family:
        """A family of which no run has been seen: for each draw one from its spreads between families."""
        rng = np.random.default_rng([self.joint.seed, _NEW])
        draws = self.joint.posterior
        factors = {
            name: draws[f"{name}_spread"] * rng.standard_normal(draws[f"{name}_spread"].shape)
            for name in self.model.families
        }
        return self._family("one not seen", self.observations, factors)

    def runs(self, label: str) -> Observations:
        """The runs of a family."""
        return self.observations.where(self.observations.labels(self.by) == label)

    @property
    def log_factors(self) -> xr.Dataset:
        """Logs of what each varied parameter of each family is times the shared one; dims (chain, draw, family)."""
        return xr.Dataset({name: self.joint.posterior[factor_name(name)] for name in self.model.families})

    def save(self, path: str | Path) -> Path:
        """Write everything to one NetCDF file, whole or not at all; ``load_families`` reads it."""
        from forescale.families.archive import save

        return save(self, path)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """What families share, and by how much they differ.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed intervals.

        Returns
        -------
        pandas.DataFrame
            Two rows per varied parameter: parameter (``A_effect`` is in nats at the reference; ``loss`` is a factor on
            all losses), of ("median", the parameter of a family in the middle, or "spread", the standard deviation
            between families of its log, 0.1 for about 10 %), median, lower, upper, prob, interval.
        """
        rows = []
        for name, drawn in self._families.varied.items():
            middle = {} if name == LEVEL else {"median": self.joint.posterior[drawn]}
            for of, draws in {**middle, "spread": self.joint.posterior[f"{name}_spread"]}.items():
                rows.append(interval_rows(draws, prob).assign(parameter=drawn, of=of))
        return pd.concat(rows, ignore_index=True)[["parameter", "of", "median", "lower", "upper", "prob", "interval"]]

    def by_family(self, prob: float = 0.9) -> pd.DataFrame:
        """Each family's parameters.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed intervals.

        Returns
        -------
        pandas.DataFrame
            A row per family and varied parameter: family, runs, parameter, median, lower, upper, prob, interval. The
            last family is one not seen. A factor on all losses is in floor and effects already.
        """
        rows = []
        for label in [*self.labels, None]:
            family = self.new if label is None else self[label]
            told: dict[str, Any] = {
                "family": label or "(new)",
                "runs": 0 if label is None else len(family.observations),
            }
            rows += [interval_rows(family.posterior[name], prob).assign(parameter=name, **told) for name in self.varied]
        order = ["family", "runs", "parameter", "median", "lower", "upper", "prob", "interval"]
        return pd.concat(rows, ignore_index=True)[order]

    @property
    def varied(self) -> list[str]:
        """What differs between families, by its name in a posterior; a factor on all losses is in floor and effects."""
        return [drawn for name, drawn in self._families.varied.items() if name != LEVEL]

    @property
    def _families(self) -> FamilyModel:
        return FamilyModel(self.model, len(self.labels))

    def _family(self, label: str, runs: Observations, factors: Mapping[Any, Any]) -> Family:
        shared = self.joint.posterior
        values = self._families.parameters(shared, factors)
        like = shared[self.model.noise.parameters[0]]
        posterior = xr.Dataset({name: (value + xr.zeros_like(like)) for name, value in values.items()})
        title = f"{self.model.name} on {self.observations.name}, family {label}"
        return Family(title, self.model, runs, posterior.transpose("chain", "draw"), self.joint.seed)

    def __repr__(self) -> str:
        posterior = self.joint.posterior
        lines = [f"Families of {self.name}: {len(self.observations)} runs of {len(self)} families"]
        for name, drawn in self._families.varied.items():
            middle = "" if name == LEVEL else f"{band(posterior[drawn], '{:.4g}'.format)}, "
            spread = band(100 * posterior[f"{name}_spread"], "{:.2g}".format)
            lines.append(f"  {drawn}: {middle}between families {spread} %")
        return "\n".join([*lines, f"(median [90 % {INTERVAL_KIND}])", repr(self.joint.diagnostics)])
