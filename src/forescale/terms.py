"""Terms: how a parameter sets the size of a power, and the nats that it costs at a size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Amplitude:
    """The parameter A of a term A / x^alpha: its effect at a size x is A / x^alpha nats."""

    size: str
    exponent: str

    def log_effect(self, log_value: Any, log_size: Any, exponent: Any) -> Any:
        """Log of the term at a size, from the log of A."""
        return log_value - exponent * log_size

    def log_value(self, log_effect: Any, log_size: Any, exponent: Any) -> Any:
        """Log of A, from the log of the term at a size."""
        return log_effect + exponent * log_size


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


Term = Amplitude | CriticalSize
