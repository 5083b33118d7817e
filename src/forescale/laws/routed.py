"""Laws of parameters and experts: routed models, trained on a number of tokens that is held fixed."""

from __future__ import annotations

from typing import Any

import numpy as np

from forescale.laws.registry import law

_LN10 = np.log(10)


def _as_printed(
    n_params: Any, n_experts: Any, *, L_1: Any, slope: Any, saving: Any, fading: Any, E_start: Any, E_span: Any
) -> dict[str, Any]:
    """From what can be judged, at a size n_params of the dense base and a number of experts, to the paper's letters.

    L_1 is the loss with one expert, in nats, which falls as N^-slope; saving is log(L_1 / L), what those experts take
    off the log loss, and fading by how much that shrinks with each decade of N. With one expert Ehat = E_start, and
    with ever more it tends to E_max = E_start + E_span.
    """
    E_max = E_start + E_span
    log_n, log_start = np.log(n_params) / _LN10, np.log(E_start) / _LN10
    more = log_experts(n_experts, E_start, E_max) - log_start
    c = fading / _LN10 / more
    a, b = -slope - c * log_start, -saving / _LN10 / more - c * log_n
    d = np.log(L_1) / _LN10 - a * log_n - b * log_start - c * log_n * log_start
    return {"a": a, "b": b, "c": c, "d": d, "E_max": E_max}


@law(terms={}, judged=_as_printed)
def routed(n_params: Any, n_experts: Any, *, a: Any, b: Any, c: Any, d: Any, E_start: Any, E_max: Any) -> Any:
    """log10 L(N, E) = a log10 N + b log10 Ehat + c log10 N log10 Ehat + d.

    1 / Ehat = 1 / (E - 1 + 1 / (1 / E_start - 1 / E_max)) + 1 / E_max runs from E_start at one expert to E_max.
    Source: Clark et al. 2022 (arXiv:2202.01169), equation 1: language models with E experts in each routed layer, all
    trained on 130e9 tokens. N is the size of the dense model that is routed (in their table without embeddings), L in
    nats per token.
    """
    log_n, log_e = np.log(n_params) / _LN10, log_experts(n_experts, E_start, E_max)
    return np.exp(_LN10 * (a * log_n + b * log_e + c * log_n * log_e + d))


def log_experts(n_experts: Any, E_start: Any, E_max: Any) -> Any:
    """log10 Ehat, the experts that count as so many: E_start of one, and E_max in the limit."""
    return -np.log(1 / (n_experts - 1 + 1 / (1 / E_start - 1 / E_max)) + 1 / E_max) / _LN10
