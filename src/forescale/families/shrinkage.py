"""shrinkage() -> Shrinkage: how far each family was moved from its own fit, and how much it borrows from the others."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from forescale.errors import ConvergenceError, DataError, ForescaleWarning
from forescale.estimates.draws import INTERVAL_KIND, interval_rows
from forescale.estimates.fit import Fit, fit
from forescale.families.family import Families


@dataclass(frozen=True, eq=False)
class Shrinkage:
    """Families fitted together, beside a fit of each by itself.

    Attributes
    ----------
    families : Families
        Fitted together.
    own : mapping of str to Fit
        By family, the same model fitted to its runs alone.
    refused : mapping of str to str
        By family without such a fit, why it has none: for one, it has fewer runs than the model has parameters.
    """

    families: Families
    own: Mapping[str, Fit] = field(repr=False)
    refused: Mapping[str, str] = field(repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """What the others change in each family.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed intervals.

        Returns
        -------
        pandas.DataFrame
            A row per family and varied parameter: family, runs, parameter; own_median, own_lower, own_upper of its own
            fit, NaN where there is none; median, lower, upper of the fit together; moved, the difference of the logs of
            the medians in standard deviations of its own; borrowed, the share of the variance of its log that the
            others take away (0: none; near 1: what is known of it comes from them; below 0 if they cast doubt); prob,
            interval.
        """
        rows = []
        for label in self.families:
            together, runs = self.families[label].posterior, len(self.families.runs(label))
            for name in self.families.varied:
                found: dict[str, Any] = {"family": label, "runs": runs, "parameter": name}
                of = interval_rows(together[name], prob).to_dict("records")[0]
                if label in self.own:
                    alone = self.own[label].posterior[name]
                    ends = interval_rows(alone, prob).iloc[0]
                    found |= {f"own_{key}": ends[key] for key in ("median", "lower", "upper")}
                    sd, own_sd = (float(np.log(draws).std()) for draws in (together[name], alone))
                    found["moved"] = (np.log(of["median"]) - np.log(ends["median"])) / own_sd
                    found["borrowed"] = 1 - (sd / own_sd) ** 2
                rows.append(found | {str(key): value for key, value in of.items()})
        own = ["own_median", "own_lower", "own_upper"]
        order = [
            "family",
            "runs",
            "parameter",
            *own,
            "median",
            "lower",
            "upper",
            "moved",
            "borrowed",
            "prob",
            "interval",
        ]
        return pd.DataFrame(rows).reindex(columns=order)

    def __repr__(self) -> str:
        lines = [f"Shrinkage of {self.families.name}: share of the variance of each log that others take away"]
        table = self.table().pivot(index="family", columns="parameter", values="borrowed")
        table = table.reindex(index=list(self.families), columns=self.families.varied)
        lines += [f"  {line}" for line in table.to_string(float_format="{:.2f}".format).splitlines()]
        lines += [f"  {label} has no fit of its own: {why}" for label, why in self.refused.items()]
        return "\n".join([*lines, f"(.table() has medians and 90 % {INTERVAL_KIND} intervals, own and together)"])


def shrinkage(families: Families, *, progress: bool | None = None) -> Shrinkage:
    """Fit each family by itself, with the model, the settings and the seed that the families were fitted with.

    Parameters
    ----------
    families : Families
        From `fit_families`.
    progress : bool or None
        Whether to show progress bars; None shows them in a terminal or a notebook.

    Returns
    -------
    Shrinkage
        With ``table``; families that cannot be fitted alone are in ``refused``.

    Raises
    ------
    ModelError
        If the law is one that this process does not have.

    References
    ----------
    Gelman and Pardoe 2006, doi:10.1198/004017005000000517, on measures of pooling.

    Examples
    --------
    >>> import forescale as fs
    >>> families = fs.fit_families(fs.load_dataset("pile_families"), "power_n", random_seed=1)  # doctest: +SKIP
    >>> fs.shrinkage(families).table()  # doctest: +SKIP
    """
    how: dict[str, Any] = {**families.joint.settings.as_dict(), "random_seed": families.joint.seed}
    own, refused = {}, {}
    for label in families:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ForescaleWarning)  # of one family: the fit is only compared with
            try:
                own[label] = fit(families.runs(label), families.model.with_families(), progress=progress, **how)
            except (DataError, ConvergenceError) as error:
                refused[label] = str(error)
    return Shrinkage(families, own, refused)
