"""Laws of parameters and optimisation steps."""

from __future__ import annotations

from typing import Any

from forescale.laws.registry import law
from forescale.laws.terms import Amplitude, CriticalSize


@law(terms={"N_c": CriticalSize("n_params", "alpha_N"), "S_c": CriticalSize("min_steps", "alpha_S")})
def learning_curve(n_params: Any, min_steps: Any, *, N_c: Any, S_c: Any, alpha_N: Any, alpha_S: Any) -> Any:
    """L(N, S_min) = (N_c / N)^alpha_N + (S_c / S_min)^alpha_S.

    Source: Kaplan et al. 2020 (arXiv:2001.08361), equations 1.6 and 5.6; with unlimited data, after warm-up. S_min
    is the number of steps that would do at batches far above the critical size (`forescale.numbers.critical_batch`).
    """
    return (N_c / n_params) ** alpha_N + (S_c / min_steps) ** alpha_S


@law(terms={"B": Amplitude("peak_steps", "beta"), "R": Amplitude("cooling", "gamma")}, floor="E", may_stay=("cooling",))
def annealed(peak_steps: Any, cooling: Any, *, E: Any, B: Any, R: Any, beta: Any, gamma: Any) -> Any:
    """L(S, x) = E + B / S^beta + R / x^gamma.

    The loss at any step of one run, by what its learning rates were (`forescale.Schedule`): S is their sum so far over
    the peak, so that it counts steps at the peak, and x the peak over their recent mean, one until annealing begins.
    R is what annealing takes away in the end.

    Source: Tissue et al. 2024 (arXiv:2408.11029), L = L0 + A S1^-alpha - C S2. Their annealing area S2, with decay
    factor lambda, is the peak less the recent mean of the learning rate, over 1 - lambda; so theirs is this law at
    gamma = 1, with R = C peak / (1 - lambda). In this form annealing, however deep, takes no more than R.
    """
    return E + B / peak_steps**beta + R / cooling**gamma


@law(
    terms={
        "A": Amplitude("n_params", "alpha"),
        "B": Amplitude("peak_steps", "beta"),
        "R": Amplitude("cooling", "gamma"),
    },
    floor="E",
    may_stay=("cooling",),
)
def annealed_sizes(
    n_params: Any, peak_steps: Any, cooling: Any, *, E: Any, A: Any, B: Any, R: Any, alpha: Any, beta: Any, gamma: Any
) -> Any:
    """L(N, S, x) = E + A / N^alpha + B / S^beta + R / x^gamma.

    The law `annealed` of runs of several sizes N, which share what steps and annealing are worth. Tissue et al. 2024
    (arXiv:2408.11029) extend theirs by a power of size in the same way.
    """
    return E + A / n_params**alpha + B / peak_steps**beta + R / cooling**gamma
