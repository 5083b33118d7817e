"""A law of parameters and tokens when there are only so many different tokens, and the rest are repeats."""

from __future__ import annotations

from typing import Any

import numpy as np

from forescale.laws.joint import chinchilla
from forescale.laws.registry import law
from forescale.laws.terms import Amplitude


@law(
    terms={"A": Amplitude("n_params", "alpha"), "B": Amplitude("n_tokens", "beta")},
    floor="E",
    base=chinchilla,
)
def data_constrained(
    n_params: Any,
    n_tokens: Any,
    unique_tokens: Any,
    *,
    E: Any,
    A: Any,
    B: Any,
    alpha: Any,
    beta: Any,
    R_D_star: Any,
    R_N_star: Any,
) -> Any:
    """L(N, D, U) = E + A / N'^alpha + B / D'^beta, where repeats and excess parameters are worth ever less.

    D' = U_D [1 + R_D* (1 - exp(-R_D / R_D*))],  U_D = min(U, D),          R_D = D / U_D - 1,
    N' = U_N [1 + R_N* (1 - exp(-R_N / R_N*))],  U_N = min(N, N_opt(U_D)),  R_N = N / U_N - 1,

    N_opt(D) = G (G D)^(beta / alpha), G = (alpha A / (beta B))^(1 / (alpha + beta)): the size for which, without
    repeats, D tokens are compute-optimal. D counts all tokens seen, U the different ones there are, so that D / U is
    the number of epochs; of a pool that is not used up, U > D, it does not matter how large it is. Where N is at most
    N_opt(D) as well, this is the chinchilla law, and so it is wherever R_D* and R_N* are without limit.

    R_D* is the number of repeats that all repeats together are worth at most, R_N* likewise of excess parameters.

    Source: Muennighoff et al. 2023 (arXiv:2305.16264), equations 5 and 6; N_opt as in their README. They tie alpha and
    beta, here free. Loss never rises with N, D or U: runs that overfit are outside the law.
    """
    repeats = _positive_part(n_tokens / unique_tokens - 1)
    seen_once = n_tokens / (1 + repeats)
    g = (alpha * A / (beta * B)) ** (1 / (alpha + beta))
    most_needed = g * (g * seen_once) ** (beta / alpha)
    needed = 1 / (1 / most_needed + _positive_part(1 / n_params - 1 / most_needed))  # the lesser, of infinite N as well
    excess = _positive_part(n_params / most_needed - 1)
    effective_params = needed * (1 + R_N_star * (1 - np.exp(-excess / R_N_star)))
    effective_tokens = seen_once * (1 + R_D_star * (1 - np.exp(-repeats / R_D_star)))
    return E + A / effective_params**alpha + B / effective_tokens**beta


def _positive_part(x: Any) -> Any:
    """max(x, 0), by operators alone: PyTensor has them, unlike np.maximum, and so have the complex steps of slopes.

    Exact, and defined where U is infinite. Its kink at zero does not reach the law, which has a continuous slope: D'
    and N' leave D and N with slope one.
    """
    return x * (x > 0)
