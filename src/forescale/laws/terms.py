"""Terms: how a parameter sets the size of a power, and the nats that it costs at a size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Amplitude:
    """The parameter A of a term A / (factor x^times)^exponent: its effect at a size x is that many nats.

    Most laws have A / x^alpha. Some share one exponent among powers of several steepness, and some measure x in another
    unit: compute of equal parameters and tokens, 6 x^2, has times 2 and factor 6.
    """

    size: str
    exponent: str
    times: float = 1.0
    factor: float = 1.0

    def log_effect(self, log_value: Any, log_size: Any, exponent: Any) -> Any:
        """Log of the term at a size, from the log of A."""
        return log_value - exponent * self._log_measure(log_size)

    def log_value(self, log_effect: Any, log_size: Any, exponent: Any) -> Any:
        """Log of A, from the log of the term at a size."""
        return log_effect + exponent * self._log_measure(log_size)

    def steepness(self, exponent: Any) -> Any:
        """The power of x by which the term falls."""
        return self.times * exponent

    def _log_measure(self, log_size: Any) -> Any:
        return self.times * log_size + math.log(self.factor)


@dataclass(frozen=True)
class CriticalSize:
    """The parameter x_c of a term (x_c / x)^alpha: its effect at a size x is (x_c / x)^alpha nats."""

    size: str
    exponent: str

    def log_effect(self, log_value: Any, log_size: Any, exponent: Any) -> Any:
        """Log of the term at a size, from the log of x_c."""
        return exponent * (log_value - log_size)

    def log_value(self, log_effect: Any, log_size: Any, exponent: Any) -> Any:
        """Log of x_c, from the log of the term at a size."""
        return log_size + log_effect / exponent

    def steepness(self, exponent: Any) -> Any:
        """The power of x by which the term falls."""
        return exponent


Term = Amplitude | CriticalSize
