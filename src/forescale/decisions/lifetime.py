"""What a model costs over its life: training, and serving as many tokens as will be asked of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise

from forescale.decisions.prices import Accelerator
from forescale.errors import DataError
from forescale.units import CostModel, format_quantity

Array = NDArray[np.float64]
#: Between which the growth t of `growth_when_served` is looked for: tokens grow by e^(t / beta).
_LEAST, _MOST = 1e-14, 60.0


@dataclass(frozen=True)
class Lifetime(CostModel):
    """Training and serving: ``flops = 6 n_params n_tokens + 2 weight n_params served``.

    A token served costs two FLOPs per parameter, one forward pass. So that a sum can be made of them, FLOPs of serving
    are counted in FLOPs of training, by their price.

    Parameters
    ----------
    served : float
        Tokens that the model reads and writes in its life, above zero.
    weight : float
        The price of a FLOP of serving over one of training: above one where serving uses hardware less well, below one
        where it runs in a cheaper number format; `serve` works it out of the hardware of both.

    Raises
    ------
    DataError
        If either is not a number above zero.

    References
    ----------
    Sardana et al. 2024, arXiv:2401.00448, equation 2 and, for the weight, section 4.

    Examples
    --------
    >>> import forescale as fs
    >>> cost = fs.Lifetime(served=1e13)
    >>> f"{cost.flops(70e9, 1.4e12):.3g} FLOPs, of which training {6 * 70e9 * 1.4e12:.3g}"
    '1.99e+24 FLOPs, of which training 5.88e+23'
    """

    name: ClassVar[str] = "6ND+2NS"
    served: float
    weight: float = 1.0

    def __post_init__(self) -> None:
        for what in ("served", "weight"):
            if not 0 < getattr(self, what) < np.inf:
                raise DataError(f"{what} of a lifetime is a number above zero, not {getattr(self, what)!r}")
        # an instance of its own name, since results tell of their cost by its name only
        times = "" if self.weight == 1 else f" x {self.weight:.3g}"
        object.__setattr__(self, "name", f"6ND + 2NS{times} with S = {format_quantity(self.served)} tokens served")

    def flops_per_token(self, n_params: Any) -> Any:
        """``6 n_params``, of a token trained on."""
        return 6.0 * n_params

    def flops(self, n_params: Any, n_tokens: Any) -> Any:
        """``6 n_params n_tokens + 2 weight n_params served``."""
        return n_params * (6.0 * n_tokens + 2.0 * self.weight * self.served)

    def n_tokens(self, flops: Any, n_params: Any) -> Any:
        """Tokens that the rest trains once serving is paid for; below zero where it takes more than all."""
        return flops / (6.0 * n_params) - self.weight * self.served / 3.0

    def n_params(self, flops: Any, n_tokens: Any) -> Any:
        """``flops / (6 n_tokens + 2 weight served)``."""
        return flops / (6.0 * n_tokens + 2.0 * self.weight * self.served)

    def most_params(self, flops: Any) -> Any:
        """``flops / (2 weight served)``: serving takes all."""
        return flops / (2.0 * self.weight * self.served)


def growth_when_served(alpha: Any, beta: Any, ratio: Any) -> tuple[Array, Array]:
    """How the cheapest model of a loss shifts with demand, where loss is a function of A / N^alpha + B / D^beta.

    Against the model that is cheapest to train, N0 and D0, at the same loss: with ``t > 0`` the root of
    ``(1 + alpha / beta) e^(t / beta) (e^t - 1) = w S / (3 D0)``,

        ``D = D0 e^(t / beta)``,  ``N = N0 (1 + (alpha / beta) (1 - e^-t))^(-1 / alpha)``.

    It follows from the condition that Sardana et al. 2024 (arXiv:2401.00448) solve by Newton's method: along a line of
    equal loss the cost ``6 N D + 2 w N S`` has no slope. Neither A, B nor the floor matter but through D0.

    Parameters
    ----------
    alpha, beta : array
        Exponents.
    ratio : array
        ``w S / (3 D0)``: FLOPs of serving over those of training, of the model that is cheapest to train.

    Returns
    -------
    ndarray, ndarray
        ``log N / N0``, at most zero, and ``log D / D0``, at least zero.
    """

    def excess(log_growth: Any, alpha: Any, beta: Any, log_ratio: Any) -> Any:
        t = np.exp(log_growth)
        return np.log1p(alpha / beta) + t / beta + np.log(np.expm1(t)) - log_ratio

    root = elementwise.find_root(excess, (np.log(_LEAST), np.log(_MOST)), args=(alpha, beta, np.log(ratio)))
    t = np.where(root.success, np.exp(root.x), 0.0)  # no root where next to nothing is served
    return np.asarray(-np.log1p(-alpha / beta * np.expm1(-t)) / alpha), np.asarray(t / beta)


def serving_weight(training: Accelerator, serving: Accelerator) -> float:
    """The price of a FLOP of serving over one of training, each on hardware that the user states.

    Raises
    ------
    DataError
        If one has no price, or their currencies differ.
    """
    if training.currency != serving.currency:
        raise DataError(f"training is paid in {training.currency} and serving in {serving.currency}; state both in one")
    return serving.money_per_flop / training.money_per_flop
