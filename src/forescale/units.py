"""Quantities as people write them, and what training costs: FLOPs, PF-days and C = 6ND."""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from numbers import Real
from typing import Any, ClassVar

from forescale.errors import DataError

#: One petaFLOP/s-day in FLOPs: 1e15 FLOP/s for 86,400 s.
PF_DAY = 8.64e19

_SUFFIXES = {"": 1.0, "K": 1e3, "M": 1e6, "B": 1e9, "G": 1e9, "T": 1e12, "P": 1e15}
_QUANTITY = re.compile(
    r"\s*(?P<number>[+-]?(?:\d{1,3}(?:,\d{3})+|\d+(?:_\d+)*)?(?:\.\d*)?(?:e[+-]?\d+)?)\s*(?P<suffix>[KMBGTP]?)\s*",
    re.IGNORECASE | re.ASCII,
)


def parse_quantity(value: object) -> float:
    """Read a number as people write it: ``70B``, ``1.4T``, ``5.76e23``, ``1_000``, ``1,000``.

    Parameters
    ----------
    value : str or real number
        A number, with an optional suffix K (1e3), M (1e6), B or G (1e9), T (1e12), P (1e15) in either
        case and optional spaces. A comma groups thousands; it is never a decimal comma.

    Returns
    -------
    float
        The number, of either sign; whether a negative one makes sense is for the caller to judge.

    Raises
    ------
    DataError
        If `value` is not a finite number written in one of these ways.
    """
    number = math.nan
    if isinstance(value, str):
        match = _QUANTITY.fullmatch(value)
        if match and any(map(str.isdigit, match["number"].lower().partition("e")[0])):
            number = float(re.sub("[,_]", "", match["number"])) * _SUFFIXES[match["suffix"].upper()]
    elif isinstance(value, Real) and not isinstance(value, bool):
        number = float(value)
    if not math.isfinite(number):
        raise DataError(f"{value!r} is not a quantity; write a finite number such as 70B, 1.4T, 350M or 5.76e23.")
    return number


def format_quantity(value: float) -> str:
    """Write a number with three significant digits: ``70B``, ``1.4T``, ``5.76e23``.

    Parameters
    ----------
    value : float
        Any number. The suffixes K, M, B and T serve from 1e3 up to 1e15, powers of ten beyond.

    Returns
    -------
    str
        The text; for finite numbers `parse_quantity` reads it back, to the three digits kept.
    """
    rounded = float(f"{value:.2e}")  # first, so that 999,999 becomes 1M and not 1000K
    size = abs(rounded)
    if 1e3 <= size < 1e15:
        suffix = next(letter for letter in "TBMK" if size >= _SUFFIXES[letter])
        return f"{rounded / _SUFFIXES[suffix]:.3g}{suffix}"
    if 1e-3 <= size < 1e3 or size == 0 or not math.isfinite(size):
        return f"{rounded:.3g}"
    mantissa, _, exponent = f"{rounded:.2e}".partition("e")
    return f"{float(mantissa):g}e{int(exponent)}"


def pf_days_to_flops(pf_days: Any) -> Any:
    """FLOPs in so many petaFLOP/s-days: ``flops = 8.64e19 pf_days``; floats, NumPy or xarray alike."""
    return PF_DAY * pf_days


def flops_to_pf_days(flops: Any) -> Any:
    """PetaFLOP/s-days in so many FLOPs: ``pf_days = flops / 8.64e19``; floats, NumPy or xarray alike."""
    return flops / PF_DAY


@dataclass(frozen=True)
class CostModel(ABC):
    """What training costs: ``flops = flops_per_token(n_params) * n_tokens``.

    A cost model states `flops_per_token` and its inverse `n_params`; the rest follows, unless it charges for more than
    tokens (`forescale.decisions.lifetime`). All methods are
    plain arithmetic, so that Python numbers, NumPy arrays and xarray objects go through alike. Parameters and
    tokens are counts, compute is in FLOPs.
    """

    name: ClassVar[str]

    @abstractmethod
    def flops_per_token(self, n_params: Any) -> Any:
        """Training FLOPs per token of a model with `n_params` parameters."""

    @abstractmethod
    def n_params(self, flops: Any, n_tokens: Any) -> Any:
        """Parameters that `flops` can train on `n_tokens`: `flops` solved for the size."""

    def flops(self, n_params: Any, n_tokens: Any) -> Any:
        """FLOPs to train `n_params` parameters on `n_tokens` tokens."""
        return self.flops_per_token(n_params) * n_tokens

    def n_tokens(self, flops: Any, n_params: Any) -> Any:
        """Tokens on which `flops` can train `n_params` parameters."""
        return flops / self.flops_per_token(n_params)

    def most_params(self, flops: Any) -> Any:
        """Parameters at which `flops` pay for no token any more: infinite if only tokens cost."""
        return math.inf


@dataclass(frozen=True)
class SixND(CostModel):
    """The usual convention: ``flops = 6 n_params n_tokens``.

    Two FLOPs per parameter and token forward, twice that backward; attention over the context is left out.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, section 2.1.
    """

    name: ClassVar[str] = "6ND"

    def flops_per_token(self, n_params: Any) -> Any:
        """``6 n_params``."""
        return 6.0 * n_params

    def n_params(self, flops: Any, n_tokens: Any) -> Any:
        """``flops / (6 n_tokens)``."""
        return flops / (6.0 * n_tokens)


@dataclass(frozen=True)
class SixNDAttention(CostModel):
    """6ND and attention over the context: ``flops = 6 n_params (1 + n_ctx / (12 d_model)) n_tokens``.

    Kaplan et al. count ``2 N + 2 n_layer n_ctx d_model`` FLOPs per token forward, and three times that in
    training. With ``N = 12 n_layer d_model^2`` and ``d_model = aspect_ratio n_layer`` the width is
    ``d_model = (aspect_ratio N / 12)^(1/3)`` and ``n_layer d_model = N / (12 d_model)``. The correction is
    small once ``d_model`` is far above ``n_ctx / 12``, as the paper says.

    Parameters
    ----------
    n_ctx : int
        Tokens of context.
    aspect_ratio : float
        Width over depth, ``d_model / n_layer``.

    Notes
    -----
    N counts no embeddings here, since it stands for ``12 n_layer d_model^2``.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, section 2.1 and table 1.
    """

    name: ClassVar[str] = "6ND+attention"
    n_ctx: int = 2048
    aspect_ratio: float = 100.0

    def __post_init__(self) -> None:
        if not (self.n_ctx >= 0 and 0 < self.aspect_ratio < math.inf):
            raise DataError(
                f"The cost model {self.name} needs n_ctx >= 0 and a positive, finite aspect_ratio "
                f"(d_model / n_layer); got n_ctx={self.n_ctx!r}, aspect_ratio={self.aspect_ratio!r}."
            )

    def flops_per_token(self, n_params: Any) -> Any:
        """``6 n_params (1 + n_ctx / (12 d_model))`` with ``d_model = (aspect_ratio n_params / 12)^(1/3)``."""
        d_model = (self.aspect_ratio / 12.0 * n_params) ** (1 / 3)
        return 6.0 * n_params * (1.0 + self.n_ctx / (12.0 * d_model))

    def n_params(self, flops: Any, n_tokens: Any) -> Any:
        """Solve ``6 x^3 + k x^2 = flops / n_tokens`` for ``n_params = x^3``, with k the weight of attention.

        Newton's method from 6ND's answer, which is an upper bound; the left side is convex, so that every
        step comes closer from above.
        """
        per_token = flops / n_tokens
        k = 0.5 * self.n_ctx * (12.0 / self.aspect_ratio) ** (1 / 3)
        x = (per_token / 6.0) ** (1 / 3)
        for _ in range(40):
            x = x - (6.0 * x**3 + k * x**2 - per_token) / (18.0 * x**2 + 2.0 * k * x)
        return x**3


#: The known cost models by name, read off the classes above.
COST_MODELS: dict[str, type[CostModel]] = {cls.name: cls for cls in CostModel.__subclasses__()}


def cost_model(name_or_instance: str | CostModel) -> CostModel:
    """Return the cost model of this name, or the instance itself.

    Parameters
    ----------
    name_or_instance : str or CostModel
        A key of `COST_MODELS`, or a cost model with settings of its own.

    Raises
    ------
    DataError
        If no cost model has this name.
    """
    if isinstance(name_or_instance, CostModel):
        return name_or_instance
    if name_or_instance not in COST_MODELS:
        known = ", ".join(repr(name) for name in COST_MODELS)
        raise DataError(f"There is no cost model {name_or_instance!r}; the known ones are {known}.")
    return COST_MODELS[name_or_instance]()
