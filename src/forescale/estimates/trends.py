"""Trends: the three power laws whose extrapolations Kaplan et al. found to contradict each other.

    L(C) = (C_c / C)^alpha_C        loss of compute-efficient training
    L(D) = (D_c / D)^alpha_D        loss that so many tokens allow, however large the model
    D(C) = D_1 (C / C_1)^b          tokens of compute-efficient training

Beyond the compute where the first falls below the second at D(C), they cannot both hold.
Source: Kaplan et al. 2020 (arXiv:2001.08361), section 6.3.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xarray as xr

from forescale.belief.catalog import trends_card
from forescale.errors import ModelError

#: What the crossing depends on, in the order of the formulas.
PARAMETERS = ("C_c", "alpha_C", "D_c", "alpha_D", "D_1", "b")
#: Each exponent, with the scale that goes with it.
SCALES = {"alpha_C": "C_c", "alpha_D": "D_c", "b": "D_1"}
_FURTHER = ("N_1", "a")
_SPREAD = {"estimates", "rounding", "relative_rounding", "why"}


@runtime_checkable
class Trends(Protocol):
    """Draws of the three trends.

    Attributes
    ----------
    name : str
        What to call them in a table.
    posterior : xarray.Dataset
        Draws, dims ("chain", "draw"), of C_c in FLOPs, D_c in tokens, alpha_C, alpha_D and b; D_1 in tokens at
        compute ``unit``; N_1 and a of N(C) = N_1 (C / unit)^a, parameters.
    unit : float
        C_1, the FLOPs in the unit of compute of D_1 and N_1.
    pivots : mapping of str to float
        For each exponent, the compute (alpha_C, b; FLOPs) or tokens (alpha_D) at which the trend is best known.
    basis : str
        Where the draws come from, in words.
    """

    @property
    def name(self) -> str: ...
    @property
    def posterior(self) -> xr.Dataset: ...
    @property
    def unit(self) -> float: ...
    @property
    def pivots(self) -> Mapping[str, float]: ...
    @property
    def basis(self) -> str: ...


@dataclass(frozen=True, eq=False)
class PublishedTrends:
    """Trends from printed values and a stated spread; see `Trends` for the attributes not listed.

    Attributes
    ----------
    values : mapping of str to float
        The parameters as printed, in FLOPs, tokens and parameters.
    title, citation : str
        Which trends, and where they are printed.
    spread : mapping of str to str
        For each parameter that varies, how and why, in words.
    """

    name: str
    values: Mapping[str, float]
    posterior: xr.Dataset = field(repr=False)
    unit: float
    pivots: Mapping[str, float]
    basis: str
    title: str
    citation: str
    spread: Mapping[str, str]

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {value:.6g}" for name, value in self.values.items())
        spread = [f"  {name}: {why}" for name, why in self.spread.items()] or ["  no spread: these are points"]
        return "\n".join([f"{self.name}: {self.title}", f"  {values}", f"  {self.citation}", *spread])


def denominator(values: Mapping[str, Any]) -> Any:
    """alpha_C - alpha_D b: by how much faster the trend falls than the floor, per log C."""
    return values["alpha_C"] - values["alpha_D"] * values["b"]


def log_crossing(values: Mapping[str, Any], unit: float) -> Any:
    """Log of C* in FLOPs, where L(C) = L(D(C)).

    ``log(C* / C_1) = [alpha_C log(C_c / C_1) - alpha_D log(D_c / D_1)] / (alpha_C - alpha_D b)``; where the
    denominator is not above zero the floor falls at least as fast as the trend, there is no crossing ahead, and
    the result is infinite.

    Parameters
    ----------
    values : mapping of str to array
        `PARAMETERS` by name, C_c in FLOPs.
    unit : float
        C_1 in FLOPs.
    """
    gap = values["alpha_C"] * (np.log(values["C_c"]) - np.log(unit)) - values["alpha_D"] * (
        np.log(values["D_c"]) - np.log(values["D_1"])
    )
    below = denominator(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(np.real(below) > 0, gap / below + np.log(unit), np.inf)


def published_trends(
    card: str | Path, *, draws: int = 4000, random_seed: int | np.random.Generator | None = 0
) -> PublishedTrends:
    """Printed trends as draws, with the spread that their card states.

    For a parameter with ``estimates`` one of these is drawn, each as likely as the others, and a uniform rounding
    of half a unit of the last printed digit is added. Where the card has a pivot for an exponent, the scale that
    goes with it moves so that the trend keeps its printed value at the pivot; otherwise the scale stays. N(C) D(C)
    keeps its printed value.

    Parameters
    ----------
    card : str or Path
        One of ``list_trends()``, or the path of a card of one's own.
    draws : int
        Number of draws, where the card has a spread.
    random_seed : int, Generator or None
        Seed; fixed by default, so that published trends are the same each time.

    Returns
    -------
    PublishedTrends
        For `contradiction` and `sensitivity`; draws of dims ("chain", "draw"), one where the card has no spread.

    Raises
    ------
    ModelError
        If there is no such card, or it lacks a trend.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, section 6.3; each card has its own ``citation``.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.published_trends("kaplan2020").values["alpha_C"]
    0.05
    """
    is_path = isinstance(card, Path) or card.endswith(".toml")
    try:
        text = Path(card).read_text(encoding="utf-8") if is_path else trends_card(str(card))
        read = tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ModelError(f"{card}: not a card of trends: {error}") from error
    values, spread, pivots = read.get("values", {}), read.get("spread", {}), read.get("pivots", {})
    _check(str(card), values, spread, pivots)
    unit = float(read["unit"])
    return PublishedTrends(
        name=read.get("name", Path(card).stem),
        values=values,
        posterior=_draws(values, spread, pivots, unit, draws if spread else 1, np.random.default_rng(random_seed)),
        unit=unit,
        pivots=pivots,
        basis=" ".join(read.get("basis", "printed values").split()).rstrip("."),
        title=read.get("title", ""),
        citation=read.get("citation", ""),
        spread={name: " ".join(entry.get("why", "").split()) for name, entry in spread.items()},
    )


def _check(card: str, values: Mapping[str, Any], spread: Mapping[str, Any], pivots: Mapping[str, Any]) -> None:
    trends = {"L(C)": ("C_c", "alpha_C"), "L(D)": ("D_c", "alpha_D"), "D(C)": ("D_1", "b"), "N(C)": ("N_1", "a")}
    absent = [f"{trend} ({', '.join(names)})" for trend, names in trends.items() if not set(names) <= set(values)]
    unknown = sorted(set(values) - {*PARAMETERS, *_FURTHER} | set(spread) - set(PARAMETERS) | set(pivots) - set(SCALES))
    if absent or unknown:
        missing, strange = (", ".join(names) or "none" for names in (absent, unknown))
        raise ModelError(
            f"{card}: a card of trends has [values] for three trends and N(C), a [spread] of their parameters and "
            f"[pivots] of their exponents; missing: {missing}; unknown: {strange}"
        )
    for name, value in values.items():
        if not (isinstance(value, int | float) and value > 0):
            raise ModelError(f"{card}: {name} must be a number above zero, not {value!r}")
    for name, entry in spread.items():
        if not set(entry) <= _SPREAD or not set(entry) - {"why"}:
            raise ModelError(f"{card}: the spread of {name} is stated by {', '.join(sorted(_SPREAD))}, not {entry!r}")


def _draws(
    values: Mapping[str, float],
    spread: Mapping[str, Any],
    pivots: Mapping[str, float],
    unit: float,
    draws: int,
    rng: np.random.Generator,
) -> xr.Dataset:
    theta = {name: np.full(draws, float(values[name])) for name in (*PARAMETERS, *_FURTHER)}
    for name, entry in spread.items():
        if "estimates" in entry:
            theta[name] = rng.choice(np.array(entry["estimates"], dtype=float), draws)
        width = entry.get("rounding", 0.0) + entry.get("relative_rounding", 0.0) * values[name]
        theta[name] = theta[name] + width * rng.uniform(-1, 1, draws)
    for name, pivot in pivots.items():
        scale = SCALES[name]
        if name == "b":
            theta[scale] = theta[scale] * (pivot / unit) ** (values[name] - theta[name])
        else:
            theta[scale] = pivot * (theta[scale] / pivot) ** (values[name] / theta[name])
    theta["a"] = values["a"] + values["b"] - theta["b"]
    theta["N_1"] = values["N_1"] * values["D_1"] / theta["D_1"]
    return xr.Dataset({name: (("chain", "draw"), array[None]) for name, array in theta.items()})
