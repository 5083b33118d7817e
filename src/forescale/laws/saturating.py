"""A power of one input between a ceiling and a floor."""

from __future__ import annotations

from typing import Any

import numpy as np

from forescale.laws.registry import law
from forescale.laws.softplus import above_zero, exp, softplus

_NEWTON = 8  # steps: exact to rounding for gamma from 0.01 to 100, see _logit_below_ceiling


def _as_printed(
    x: tuple[float, float], *, level: Any, floor_share: Any, ceiling_share: Any, fall: Any, gamma: Any
) -> dict[str, Any]:
    """From what can be judged over a range of sizes to the parameters.

    level is the loss at the middle of the range (in log size), floor_share how much of it is irreducible, ceiling_share
    how much it is of the ceiling, and fall by how much log loss would fall over the range, were it as steep as there.
    """
    low, high = (float(np.log(end)) for end in x)
    E, E_0, slope = level * floor_share, level / ceiling_share, fall / (high - low)
    alpha = slope * level * (1 / (level - E) + gamma / (E_0 - level))
    A = exp(np.log(level - E) - gamma * np.log((E_0 - level) / (E_0 - E)) + alpha * (low + high) / 2)
    return {"E": E, "E_0": E_0, "A": A, "alpha": alpha}


@law(terms={}, floor="E", judged=_as_printed, judged_over=True)
def m4(x: Any, *, E: Any, E_0: Any, A: Any, alpha: Any, gamma: Any) -> Any:
    """(L - E) / ((E_0 - L) / (E_0 - E))^gamma = A / x^alpha.

    Loss falls from E_0 at small sizes, what a learner without data has, to E + A / x^alpha; it leaves the ceiling the
    more slowly, the larger gamma. Solved for L by Newton's method.

    Source: Alabdulmohsin et al. 2022 (arXiv:2209.06640), the estimator M4, (y - E) / (E_0 - y)^a = B x^-c, whose
    letters are a = gamma, c = alpha, B = A / (E_0 - E)^gamma. With A the law is the shifted power E + A / x^alpha far
    below the ceiling, whatever gamma.
    """
    s = _logit_below_ceiling(np.log(A) - alpha * np.log(x) - np.log(E_0 - E), gamma)
    return E + (E_0 - E) * np.exp(s - softplus(s))


def _logit_below_ceiling(t: Any, gamma: Any) -> Any:
    """Solve log u - gamma log(1 - u) = t for s, u = 1 / (1 + exp(-s)): that is s + (gamma - 1) softplus(s) = t.

    The left side rises in s, is convex or concave throughout, and lies on one side of its asymptotes s and gamma s, so
    that Newton's steps from there go to the root from one side, whatever t and gamma. They are as many for each value,
    so that what is computed is a smooth function; its slopes are those of the root.
    """
    below, above = t - above_zero(t), above_zero(t)
    s = below + above / gamma
    for _ in range(_NEWTON):
        s = s - (s + (gamma - 1) * softplus(s) - t) / (1 + (gamma - 1) * np.exp(s - softplus(s)))
    return s
