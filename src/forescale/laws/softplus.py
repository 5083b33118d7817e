"""What laws that bend are made of, by operators, ``np.exp`` and ``np.log`` alone."""

from __future__ import annotations

from typing import Any

import numpy as np


def softplus(s: Any) -> Any:
    """log(1 + exp(s)), without overflow."""
    kink = above_zero(s)
    return kink + np.log(1 + np.exp(s - 2 * kink))


def above_zero(s: Any) -> Any:
    """max(s, 0), written so that complex steps pass through it as they do not through abs; at 0 its slope is 1/2."""
    return (s + (s * s + 1e-300) ** 0.5) / 2


def exp(s: Any) -> Any:
    """exp(s), between e^-700 and e^700: a coefficient beyond any number is one of a power that is so the other way."""
    return np.exp(s - above_zero(s - 700) + above_zero(-700 - s))
