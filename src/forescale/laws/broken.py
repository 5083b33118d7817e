"""A power of one input whose exponent changes once, or twice, and that without a change: loss may fall, rest or rise.

All are judged over a range of sizes, that of the runs: ``level``, the loss at its upper end; ``fall``, by how much log
loss falls over it (of one break: over its lower and its upper half; of two: over each third); ``floor_share``, how much
of the least of these losses is irreducible; and of a break ``place``, how far through the range it lies (from 0 to 1,
in log size), and ``width``, the part of the range over which the exponent changes, from a tenth of its change to nine
tenths.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from forescale.laws.registry import law
from forescale.laws.softplus import above_zero, exp, softplus

_TENTH_TO_NINE = 2 * np.log(9)  # so far apart in s are 0.1 and 0.9 of 1 / (1 + exp(-s))


@law(
    terms={},
    floor="E",
    judged_over=True,
    judged=lambda x, *, level, floor_share, fall: _as_printed(x, level, floor_share, [fall], [], 1.0),
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
    judged=lambda x, *, level, floor_share, fall_1, fall_2, place, width: _as_printed(
        x, level, floor_share, [fall_1, fall_2], [place], width
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
    judged=lambda x, *, level, floor_share, fall_1, fall_2, fall_3, place, further, width: _as_printed(
        x, level, floor_share, [fall_1, fall_2, fall_3], [place, place + further * (1 - place)], width
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
    x: tuple[float, float], level: Any, floor_share: Any, falls: list[Any], places: list[Any], width: Any
) -> dict[str, Any]:
    """The printed parameters of a law with so many breaks as there are places, and one fall more.

    At knots evenly spaced through the range, ends included, log(L - E) is linear in log A, alpha and all c_i: its
    second differences at the inner knots are those of the breaks, times -c_i.
    """
    low, high = (float(np.log(end)) for end in x)
    step = (high - low) / len(falls)
    losses = [level]
    for fall in reversed(falls):
        losses.insert(0, losses[0] * np.exp(fall))
    least = losses[0]
    for loss in losses[1:]:
        least = least - above_zero(least - loss)
    E = floor_share * least
    logs = [np.log(loss - E) for loss in losses]
    f = width * (high - low) / _TENTH_TO_NINE
    d = [low + place * (high - low) for place in places]
    bends = [[f * softplus((low + j * step - log_d) / f) for j in range(len(losses))] for log_d in d]
    c = _solve([_second(bend) for bend in bends], [-each for each in _second(logs)])
    alpha = (logs[0] - logs[1] - sum(c_i * (bend[1] - bend[0]) for c_i, bend in zip(c, bends, strict=True))) / step
    A = exp(logs[0] + alpha * low + sum(c_i * bend[0] for c_i, bend in zip(c, bends, strict=True)))
    found = {"E": E, "A": A, "alpha": alpha}
    for i, (c_i, log_d) in enumerate(zip(c, d, strict=True), 1):
        found |= {f"c_{i}": c_i, f"d_{i}": np.exp(log_d), f"f_{i}": f}
    return found


def _second(values: list[Any]) -> list[Any]:
    """Second differences."""
    return [values[j - 1] - 2 * values[j] + values[j + 1] for j in range(1, len(values) - 1)]


def _solve(columns: list[list[Any]], right: list[Any]) -> list[Any]:
    """Solve sum_i c_i columns[i] = right for c, of at most two.

    Of two the determinant is above zero: bends of one width whose places are in order make a totally positive matrix.
    """
    if not columns:
        return []
    if len(columns) == 1:
        return [right[0] / columns[0][0]]
    (a, b), (c, d) = columns
    return [(right[0] * d - right[1] * c) / (a * d - b * c), (right[1] * a - right[0] * b) / (a * d - b * c)]
