"""A power of one input whose exponent changes once, or twice, and that without a change: loss may fall, rest or rise.

All are judged over a range of sizes, that of the runs: ``level``, the loss at its upper end; ``fall``, by how much log
loss falls over it; ``floor_share``, how much of the lesser of the losses at its ends is irreducible; and of a break
``turn``, by how much more the log of what is reducible would fall over a whole range at the exponent beyond the break
than at that before it (below zero where it is flatter beyond); ``place``, how far through the range it lies (from 0 to
1, in log size), and ``width``, the part of the range over which the exponent changes, from a tenth of its change to
nine tenths.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from forescale.laws.registry import law
from forescale.laws.softplus import above_zero, exp, softplus

_TENTH_TO_NINE = 2 * np.log(9)  # so far apart in s are 0.1 and 0.9 of 1 / (1 + exp(-s))


@law(
    terms={},
    floor="E",
    judged_over=True,
    judged=lambda x, *, level, floor_share, fall: _as_printed(x, level, floor_share, fall),
)
def unbroken(x: Any, *, E: Any, A: Any, alpha: Any) -> Any:
    """L(x) = E + A / x^alpha.

    The broken law without a break, judged as that is, so that the two can be weighed against each other.
    """
    return E + _power(x, A, alpha)


@law(
    terms={},
    floor="E",
    may_rise=True,
    judged_over=True,
    judged=lambda x, *, level, floor_share, fall, turn, place, width: _as_printed(
        x, level, floor_share, fall, turns=[turn], places=[place], width=width
    ),
)
def broken(x: Any, *, E: Any, A: Any, alpha: Any, c_1: Any, d_1: Any, f_1: Any) -> Any:
    """L(x) = E + A / x^alpha (1 + (x / d_1)^(1 / f_1))^(-c_1 f_1).

    Far below d_1 the exponent is alpha, far beyond it alpha + c_1: steeper where c_1 is above zero, and loss rises
    where the exponent is below zero. Between, it bends over about 1.9 f_1 decades.

    Source: Caballero et al. 2023 (arXiv:2210.14891), equation 1 with one break; E, A and alpha are their a, b and c_0.
    """
    return E + _power(x, A, alpha, (c_1, d_1, f_1))


@law(
    terms={},
    floor="E",
    may_rise=True,
    judged_over=True,
    judged=lambda x, *, level, floor_share, fall, turn_1, turn_2, place, further, width: _as_printed(
        x, level, floor_share, fall, turns=[turn_1, turn_2], places=[place, place + further * (1 - place)], width=width
    ),
)
def twice_broken(
    x: Any, *, E: Any, A: Any, alpha: Any, c_1: Any, d_1: Any, f_1: Any, c_2: Any, d_2: Any, f_2: Any
) -> Any:
    """L(x) = E + A / x^alpha (1 + (x / d_1)^(1 / f_1))^(-c_1 f_1) (1 + (x / d_2)^(1 / f_2))^(-c_2 f_2).

    Three exponents, alpha, alpha + c_1 and alpha + c_1 + c_2: a loss that falls, rises and falls again (double descent)
    has the second below zero. It is judged by the place of the first break, how far through the rest of the range the
    second lies (``further``), and one width of both.

    Source: Caballero et al. 2023 (arXiv:2210.14891), equation 1 with two breaks.
    """
    return E + _power(x, A, alpha, (c_1, d_1, f_1), (c_2, d_2, f_2))


def _power(x: Any, A: Any, alpha: Any, *breaks: tuple[Any, Any, Any]) -> Any:
    """A x^-alpha prod_i (1 + (x / d_i)^(1 / f_i))^(-c_i f_i), breaks being (c, d, f)."""
    log_x = np.log(x)
    return exp(np.log(A) - alpha * log_x - sum(c * f * softplus((log_x - np.log(d)) / f) for c, d, f in breaks))


def _as_printed(
    x: tuple[float, float],
    level: Any,
    floor_share: Any,
    fall: Any,
    *,
    turns: Sequence[Any] = (),
    places: Sequence[Any] = (),
    width: Any = 1.0,
) -> dict[str, Any]:
    """The printed parameters of a law with so many breaks as there are turns and places.

    log(L - E) is linear in log A, alpha and all c_i, of which the turns give the last; the losses at both ends of the
    range give the first two.
    """
    low, high = (float(np.log(end)) for end in x)
    across, first = high - low, level * np.exp(fall)
    E = floor_share * (level - above_zero(level - first))
    f, c = width * across / _TENTH_TO_NINE, [turn / across for turn in turns]
    d = [low + place * across for place in places]
    bent = [sum(c_i * f * softplus((end - log_d) / f) for c_i, log_d in zip(c, d, strict=True)) for end in (low, high)]
    alpha = (np.log(first - E) - np.log(level - E) + bent[0] - bent[1]) / across
    found = {"E": E, "A": exp(np.log(level - E) + alpha * high + bent[1]), "alpha": alpha}
    for i, (c_i, log_d) in enumerate(zip(c, d, strict=True), 1):
        found |= {f"c_{i}": c_i, f"d_{i}": np.exp(log_d), f"f_{i}": f}
    return found
