"""Laws of parameters and optimisation steps."""

from __future__ import annotations

from typing import Any

from forescale.laws.registry import law
from forescale.terms import CriticalSize


@law(terms={"N_c": CriticalSize("n_params", "alpha_N"), "S_c": CriticalSize("min_steps", "alpha_S")})
def learning_curve(n_params: Any, min_steps: Any, *, N_c: Any, S_c: Any, alpha_N: Any, alpha_S: Any) -> Any:
    """L(N, S_min) = (N_c / N)^alpha_N + (S_c / S_min)^alpha_S.

    Source: Kaplan et al. 2020 (arXiv:2001.08361), equations 1.6 and 5.6; with unlimited data, after warm-up. S_min
    is the number of steps that would do at batches far above the critical size (`forescale.critical_batch`).
    """
    return (N_c / n_params) ** alpha_N + (S_c / min_steps) ** alpha_S
