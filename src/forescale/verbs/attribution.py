"""What the spread of a forecast is put down to: variance shares by name, the leading ones, and a sentence.

Where a coefficient and its exponent are all but collinear, as A and alpha are in any posterior from runs far from
N = 1, the shares of A are those of alpha over again: to know the one is to know the other. To name both would count
the same thing twice, and to name A alone would blame the loss of a model of one parameter. So the exponents come
first: a parameter that moves with an exponent (it "stands in" for it) is named only beside that exponent, where the
two are one whole term of the law. The tables hold every parameter and every pair all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import norm, rankdata

from forescale.errors import DataError
from forescale.numbers.budgets import positive
from forescale.numbers.shares import Array, variance_shares
from forescale.units import format_quantity
from forescale.verbs.targets import PLAIN, Target

#: Correlation from which a parameter says the same as an exponent.
STANDS_IN = 0.95
#: Share that all parameters together must reach, or a quadratic cannot be trusted with the forecast.
TRUSTED = 0.9


@dataclass(frozen=True, eq=False)
class Attribution:
    """Variance shares of a forecast by parameter and pair of parameters.

    Attributes
    ----------
    target : Target
        The forecast.
    table : pandas.DataFrame
        What ``Sensitivity.shares`` returns.
    stand_ins : mapping of str to str
        Each parameter with a correlation of 0.95 or more with an exponent, and which.
    """

    target: Target
    table: pd.DataFrame = field(repr=False)
    stand_ins: Mapping[str, str]

    def at(self, place: int) -> pd.DataFrame:
        """The rows of one place."""
        return rows_at(self.target, self.table, place)

    def measure(self, place: int) -> str:
        """``share``, or ``rank_share`` where only that can be trusted.

        A heavy tail, say of a crossing that is nearly never, has no variance worth dividing, and no quadratic
        explains it; its ranks are well-behaved.
        """
        everything = self.at(place).iloc[-1]
        return "rank_share" if everything["share"] < TRUSTED < everything["rank_share"] else "share"

    def leading(self, place: int) -> list[tuple[str, float]]:
        """The parameter and the pair that take the most of the spread, as far as shares are known."""
        rows, measure = self.at(place), self.measure(place)
        found = []
        for count in (1, 2):
            these = rows[rows["count"] == count]
            shares = dict(zip(these["known"], these[measure], strict=True))
            named = {known: share for known, share in shares.items() if self._is_named(known) and np.isfinite(share)}
            if named:
                found.append(max(named.items(), key=lambda item: item[1]))
        return found

    def sentence(self, place: int) -> str:
        """``at 1e26 FLOPs, 80 % of the spread in N* is alpha and beta (beta alone: 50 %)``."""
        where, label = f"at {written(self.target, place)}, " if len(self.target.at.columns) else "", self.target.label
        found, never = self.leading(place), float(self.at(place)["never"].iloc[0])
        if not found:
            return f"{where}the spread of {label} is not known: too few draws, or draws that do not differ"
        (alone, least), (known, most) = found[0], found[-1]
        text = f"{where}{100 * most:.0f} % of the spread in {self.spread_of(place)} is {known}"
        text += f" ({alone} alone: {100 * least:.0f} %)" if len(found) > 1 else ""
        return f"{text}, where there is one: in {never:.2g} of draws there is none" if never else text

    def spread_of(self, place: int) -> str:
        """Name what the shares of a place are of: the forecast, or its rank."""
        return self.target.label if self.measure(place) == "share" else f"the rank of {self.target.label}"

    def _is_named(self, known: str) -> bool:
        names = known.split(" and ")
        return all(name not in self.stand_ins or self.stand_ins[name] in names for name in names)


def attribute(target: Target, forecast: Array, coordinates: Array, correlation: Array) -> Attribution:
    """Share out the variance of a forecast.

    Parameters
    ----------
    target : Target
        The forecast.
    forecast : array, shape (draw, at)
        On the scale whose variance is meant; not finite where there is no such forecast.
    coordinates : array, shape (draw, parameter)
        Draws of the parameters.
    correlation : array, shape (parameter, parameter)
        Their correlations.
    """
    names = target.parameters
    known: dict[str, tuple[int, ...]] = {name: (index,) for index, name in enumerate(names)}
    known |= {f"{names[i]} and {names[j]}": (i, j) for i, j in combinations(range(len(names)), 2)}
    if len(names) > 2:
        known["all"] = tuple(range(len(names)))
    sets = pd.DataFrame({"known": list(known), "count": [len(subset) for subset in known.values()]})
    both = np.column_stack([forecast, normal_scores(forecast)])
    share, rank_share = np.split(variance_shares(both, coordinates, list(known.values())), 2, axis=1)
    columns = {
        "share": share.T.ravel(),
        "rank_share": rank_share.T.ravel(),
        "never": np.repeat(1 - np.isfinite(forecast).mean(axis=0), len(sets)),
    }
    table = target.at.merge(sets, how="cross").assign(**columns)
    return Attribution(target, table, _stand_ins(target, correlation))


def normal_scores(forecast: Array) -> Array:
    """Each finite draw's normal quantile at its rank, column by column; NaN for the others."""
    scores = np.full(forecast.shape, np.nan)
    for column, q in zip(scores.T, forecast.T, strict=True):
        finite = np.isfinite(q)
        column[finite] = norm.ppf((rankdata(q[finite]) - 0.5) / max(1, finite.sum()))
    return scores


def written(target: Target, place: int) -> str:
    """A place as people write it: ``1e26 FLOPs``, ``n_params 70B, n_tokens 1.4T``."""
    row = {str(name): format_quantity(float(value)) for name, value in target.at.iloc[place].items()}
    return f"{row['flops']} FLOPs" if list(row) == ["flops"] else ", ".join(f"{k} {v}" for k, v in row.items())


def place_of(target: Target, given: Mapping[str, Any]) -> int:
    """The row of ``target.at`` that somebody names; nothing needs to be named where there is one.

    Raises
    ------
    DataError
        If it was not asked about.
    """
    names = [str(name) for name in target.at.columns]
    if not given and len(target.at) == 1:
        return 0
    if set(given) == set(names):
        close = [np.isclose(target.at[name], positive(name, given[name])[0]) for name in names]
        if np.all(close, axis=0).any():
            return int(np.all(close, axis=0).argmax())
    asked = "; ".join(written(target, place) for place in range(len(target.at)))
    named = ", ".join(f"{name} {value}" for name, value in given.items()) or "nothing"
    raise DataError(f"{named} is not one of the places asked about: {asked or 'the one where trends meet'}")


def rows_at(target: Target, table: pd.DataFrame, place: int) -> pd.DataFrame:
    """The rows of one place, of a table that has as many of each."""
    size = len(table) // len(target.at)
    return table.iloc[place * size : (place + 1) * size]


def scale_of(target: Target) -> str:
    """The scale on which the spread of a forecast is a variance."""
    return target.label if target.of in PLAIN else f"log {target.label}"


def _stand_ins(target: Target, correlation: Array) -> dict[str, str]:
    columns = [target.parameters.index(name) for name in target.exponents]
    close = {name: row[columns] for name, row in zip(target.parameters, np.abs(correlation), strict=True)}
    return {
        name: target.exponents[int(row.argmax())]
        for name, row in close.items()
        if name not in target.exponents and len(row) and row.max() >= STANDS_IN
    }
