"""Breaks: models of a learning curve without, with one and with two breaks, weighed, as one estimate."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.model import Model
from forescale.belief.noise import Noise
from forescale.estimates.draws import INTERVAL_KIND, check_prob
from forescale.laws import Law
from forescale.numbers import weighing
from forescale.tables.observations import Observations
from forescale.units import format_quantity

LAWS = ("unbroken", "broken", "twice_broken")  # by number of breaks
_SHOWN = 20  # draws, at least, of which quantiles are shown


def count(model: Model) -> int:
    """How many breaks a model has."""
    return LAWS.index(model.law.name)


@dataclass(frozen=True)
class Weighable:
    """Whether models can be weighed.

    Attributes
    ----------
    failures : tuple of str
        Why they cannot; empty where they can.
    """

    failures: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Breaks:
    """Posterior of the number of breaks of a curve, and of the curve under all of them: an estimate for every verb.

    Attributes
    ----------
    name : str
        Of the table.
    observations : Observations
        The runs.
    models : tuple of Model
        What was weighed, as they were fitted.
    prior : tuple of float
        Probability of each beforehand.
    log_evidence : xarray.DataArray
        Log probability density of the log losses under each, by each chain of its fit; dims ("chain", "model").
    failures : tuple of str
        In what the fit of each model did not converge, or "".
    posterior : xarray.Dataset
        Draws of the law's parameters, of noise, of ``model``, the index of the one that a draw is of, and of
        ``breaks``, their number; dims ("chain", "draw"). Breaks that a draw has not have an exponent's change c of
        zero.
    left_out : str
        Which models the table is too short for, in words, or "".
    """

    name: str
    observations: Observations
    models: tuple[Model, ...] = field(repr=False)
    prior: tuple[float, ...]
    log_evidence: xr.DataArray = field(repr=False)
    failures: tuple[str, ...] = field(repr=False)
    posterior: xr.Dataset = field(repr=False)
    seed: int
    left_out: str = ""

    @property
    def law(self) -> Law:
        """The law with the most breaks, of which the others are cases."""
        return max(self.models, key=count).law

    @property
    def noise(self) -> Noise:
        """How log loss scatters about it."""
        return self.models[-1].noise

    @property
    def departure(self) -> None:
        """None: these models have no discrepancy."""
        return

    @property
    def probability(self) -> dict[int, float]:
        """Posterior probability of each number of breaks."""
        found = dict.fromkeys(sorted(map(count, self.models)), 0.0)
        for model, each in zip(self.models, self._probabilities, strict=True):
            found[count(model)] += float(each)
        return found

    @property
    def _probabilities(self) -> Any:
        return weighing.probabilities(self.log_evidence.to_numpy(), self.prior)

    def table(self) -> pd.DataFrame:
        """Evidence and probability of each model.

        Returns
        -------
        pandas.DataFrame
            A row for each: breaks, model, prior, log_evidence (of log loss, natural logarithm), its standard error over
            chains (log_evidence_se), probability, its standard error (probability_se), and whether its fit converged.
        """
        evidence = self.log_evidence.to_numpy()
        return pd.DataFrame(
            {
                "breaks": [count(model) for model in self.models],
                "model": [model.name for model in self.models],
                "prior": self.prior,
                **weighing.columns(evidence, self.prior),
                "converged": [not failed for failed in self.failures],
            }
        )

    @property
    def diagnostics(self) -> Weighable:
        """Whether models that count have converged, and all have a probability that is known well enough."""
        names = [model.name for model in self.models]
        return Weighable(tuple(weighing.doubts(names, self.log_evidence.to_numpy(), self.prior, self.failures)))

    def places(self, prob: float = 0.9) -> pd.DataFrame:
        """Where breaks are, and by how much the exponent changes there, if there are any.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row for each model, each of its breaks, and each quantity: breaks, model, break, quantity (size, in the
            unit of the input; change, of the exponent: above zero is steeper), median, lower, upper, prob, interval,
            and the model's probability. No row for what has less than 20 draws.
        """
        tail, rows = (1 - check_prob(prob)) / 2, []
        for index, (model, probability) in enumerate(zip(self.models, self._probabilities, strict=True)):
            drawn = self.posterior["model"].to_numpy() == index
            for i in range(1, count(model) + 1 if drawn.sum() >= _SHOWN else 1):
                for quantity, letter in (("size", "d"), ("change", "c")):
                    low, middle, high = np.quantile(
                        self.posterior[f"{letter}_{i}"].to_numpy()[drawn], [tail, 0.5, 1 - tail]
                    )
                    row = {"breaks": count(model), "model": model.name, "break": i, "quantity": quantity}
                    row |= {"median": middle, "lower": low, "upper": high}
                    rows.append(row | {"prob": prob, "interval": INTERVAL_KIND, "probability": float(probability)})
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        lines = [f"Breaks of {self.name}: {len(self.observations)} runs, seed {self.seed}"]
        lines += [
            f"  {row.breaks}, {row.model}: probability {row.probability:.2f} +- {row.probability_se:.2f} (beforehand "
            f"{row.prior:.2f}); log evidence {row.log_evidence:.1f} +- {row.log_evidence_se:.1f}"
            for row in self.table().itertuples()
        ]
        for (model, i), of in self.places().groupby(["model", "break"], sort=False) if len(self.places()) else ():
            size, change = (of[of["quantity"] == quantity].iloc[0] for quantity in ("size", "change"))
            ends = " to ".join(format_quantity(size[end]) for end in ("lower", "upper"))
            lines.append(
                f"  if {model}, break {i}: at {format_quantity(size['median'])} [{ends}], exponent "
                f"{change['median']:+.2f} [{change['lower']:+.2f}, {change['upper']:+.2f}]"
            )
        lines += [f"  {self.left_out}"] if self.left_out else []
        return "\n".join([*lines, f"  (medians, 90 % {INTERVAL_KIND})"])
