"""PowerRule: one power of one quantity, as papers print beside their laws."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from forescale.errors import ModelError

_KEYS = {"of", "coefficient", "exponent", "unit", "gives"}


@dataclass(frozen=True)
class PowerRule:
    """A rule ``gives = coefficient * (of / unit)^exponent``.

    Called with values of ``of``, it gives values of ``gives``: floats, NumPy and xarray alike. A rule for n_params
    is a plan for `forescale.regret`, which calls it with the compute of the budget; one of min_flops then takes the
    budget for C_min, as if it were spent at batches far below the critical size.

    Parameters
    ----------
    gives, of : str
        What it gives, and of what: names of quantities in our units, such as n_params, n_tokens, batch_tokens
        (tokens in a batch), min_steps, flops, min_flops, loss (nats per token).
    coefficient : float
        What it gives at ``of = unit``; above zero.
    exponent : float
        Of either sign.
    unit : float
        The unit that the paper counts ``of`` in, 8.64e19 FLOPs for PF-days; above zero.

    Raises
    ------
    ModelError
        If a name is empty, or a number is not finite or not above zero where it must be.

    Examples
    --------
    >>> rule = PowerRule("n_params", "min_flops", coefficient=1.3e9, exponent=0.73, unit=8.64e19)
    >>> print(rule)
    n_params = 1.3e+09 (min_flops / 8.64e+19)^0.73
    >>> rule(8.64e19)
    1300000000.0
    """

    gives: str
    of: str
    coefficient: float
    exponent: float
    unit: float = 1.0

    def __post_init__(self) -> None:
        for name in ("gives", "of"):
            text = getattr(self, name)
            if not isinstance(text, str) or not text:
                raise ModelError(f"{name} of a rule is the name of a quantity, such as 'n_params', not {text!r}")
        for name in ("coefficient", "exponent", "unit"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ModelError(f"{name} of a rule must be a finite number, not {value!r}")
            if name != "exponent" and value <= 0:
                raise ModelError(f"{name} of a rule must be above zero, not {value!r}")

    @classmethod
    def from_table(cls, name: str, table: Any) -> Self:
        """From a card's table ``[rules.<name>]``: of, coefficient, exponent, and optionally unit and gives.

        Without ``gives``, the rule gives what its name says.

        Raises
        ------
        ModelError
            If a key is missing or unknown, or a value cannot be used.
        """
        if not isinstance(table, Mapping):
            raise ModelError(f"a rule is a table with of, coefficient and exponent, not {table!r}")
        unknown = sorted(set(table) - _KEYS)
        missing = sorted({"of", "coefficient", "exponent"} - set(table))
        if unknown or missing:
            raise ModelError(
                f"a rule has of, coefficient, exponent, and may have unit and gives; "
                f"unknown: {', '.join(unknown) or 'none'}, missing: {', '.join(missing) or 'none'}"
            )
        return cls(**{"gives": name, **table})

    def __call__(self, value: Any) -> Any:
        """What the rule gives at values of ``of``."""
        return self.coefficient * (value / self.unit) ** self.exponent

    def __str__(self) -> str:
        of = self.of if self.unit == 1.0 else f"({self.of} / {self.unit:g})"
        return f"{self.gives} = {self.coefficient:g} {of}^{self.exponent:g}"
