"""Laws of one input: parameters, tokens or compute."""

from __future__ import annotations

from typing import Any

from forescale.laws.registry import law
from forescale.laws.terms import Amplitude, CriticalSize


@law(terms={"x_c": CriticalSize("x", "alpha")})
def power(x: Any, *, x_c: Any, alpha: Any) -> Any:
    """L(x) = (x_c / x)^alpha.

    Source: Kaplan et al. 2020 (arXiv:2001.08361), equations 1.1 to 1.3; x is N, D, C or C_min, and x_c in
    its unit.
    """
    return (x_c / x) ** alpha


@law(terms={"A": Amplitude("x", "alpha")}, floor="E")
def shifted_power(x: Any, *, E: Any, A: Any, alpha: Any) -> Any:
    """L(x) = E + A / x^alpha.

    Source: Henighan et al. 2020 (arXiv:2010.14701), equation 1.1, with A = x_0^alpha; x is N, D or C.
    """
    return E + A / x**alpha
