"""Laws of parameters and tokens, each token seen once."""

from __future__ import annotations

from typing import Any

from forescale.laws.registry import law
from forescale.laws.terms import Amplitude, CriticalSize


@law(
    terms={"A": Amplitude("n_params", "alpha"), "B": Amplitude("n_tokens", "beta")},
    floor="E",
    sum_of_powers=lambda E, A, B, alpha, beta: (A, alpha, B, beta),
)
def chinchilla(n_params: Any, n_tokens: Any, *, E: Any, A: Any, B: Any, alpha: Any, beta: Any) -> Any:
    """L(N, D) = E + A / N^alpha + B / D^beta.

    Source: Hoffmann et al. 2022 (arXiv:2203.15556), equation 2. E, A, B in nats per token at N, D in units of
    one parameter and one token.
    """
    return E + A / n_params**alpha + B / n_tokens**beta


@law(
    terms={"N_c": CriticalSize("n_params", "alpha_N"), "D_c": CriticalSize("n_tokens", "alpha_D")},
    sum_of_powers=lambda N_c, D_c, alpha_N, alpha_D: (
        N_c ** (alpha_N / alpha_D),
        alpha_N / alpha_D,
        D_c,
        1.0,
    ),
)
def kaplan(n_params: Any, n_tokens: Any, *, N_c: Any, D_c: Any, alpha_N: Any, alpha_D: Any) -> Any:
    """L(N, D) = [ (N_c / N)^(alpha_N / alpha_D) + D_c / D ]^alpha_D.

    Source: Kaplan et al. 2020 (arXiv:2001.08361), equation 1.5. N_c in parameters (without embeddings in the
    paper), D_c in tokens.
    """
    return ((N_c / n_params) ** (alpha_N / alpha_D) + D_c / n_tokens) ** alpha_D


@law(
    terms={"N_c": CriticalSize("n_params", "alpha_N"), "D_c": CriticalSize("n_tokens", "alpha_D")},
    floor="E",
    sum_of_powers=lambda E, N_c, D_c, alpha_N, alpha_D: (N_c**alpha_N, alpha_N, D_c**alpha_D, alpha_D),
)
def kaplan_additive(n_params: Any, n_tokens: Any, *, E: Any, N_c: Any, D_c: Any, alpha_N: Any, alpha_D: Any) -> Any:
    """L(N, D) = E + (N_c / N)^alpha_N + (D_c / D)^alpha_D.

    The sum of Kaplan et al.'s two one-dimensional powers (arXiv:2001.08361, equations 1.1 and 1.2) and an
    irreducible term: the chinchilla law with A = N_c^alpha_N and B = D_c^alpha_D.
    """
    return E + (N_c / n_params) ** alpha_N + (D_c / n_tokens) ** alpha_D


@law(
    terms={"N_c": CriticalSize("n_params", "alpha_N"), "D_c": CriticalSize("n_tokens", "alpha_D")},
    floor="E",
    sum_of_powers=lambda E, N_c, D_c, alpha_N, alpha_D: (N_c ** (alpha_N / alpha_D), alpha_N / alpha_D, D_c, 1.0),
)
def kaplan_floor(n_params: Any, n_tokens: Any, *, E: Any, N_c: Any, D_c: Any, alpha_N: Any, alpha_D: Any) -> Any:
    """L(N, D) = E + [ (N_c / N)^(alpha_N / alpha_D) + D_c / D ]^alpha_D.

    Kaplan et al.'s joint law (arXiv:2001.08361, equation 1.5) and an irreducible term.
    """
    return E + ((N_c / n_params) ** (alpha_N / alpha_D) + D_c / n_tokens) ** alpha_D


@law(
    terms={"A": Amplitude("n_params", "alpha"), "B": Amplitude("n_tokens", "beta")},
    floor="E",
    coupling="kappa",
    sum_of_powers=lambda E, A, B, alpha, beta, kappa: (A ** (1 / kappa), alpha / kappa, B ** (1 / kappa), beta / kappa),
)
def coupled(n_params: Any, n_tokens: Any, *, E: Any, A: Any, B: Any, alpha: Any, beta: Any, kappa: Any) -> Any:
    """L(N, D) = E + [ (A / N^alpha)^(1 / kappa) + (B / D^beta)^(1 / kappa) ]^kappa.

    Between the two published forms: kappa = 1 is Hoffmann et al. 2022 (arXiv:2203.15556), equation 2, and
    kappa = beta, with A = N_c^alpha and B = D_c^beta, is Kaplan et al. 2020 (arXiv:2001.08361), equation 1.5, and a
    floor. As kappa falls to zero only the larger of the two terms is paid; below about 0.01 numbers overflow. The
    family is ours.
    """
    return E + ((A / n_params**alpha) ** (1 / kappa) + (B / n_tokens**beta) ** (1 / kappa)) ** kappa


@law(
    terms={"a": Amplitude("n_params", "eta", times=2, factor=6), "b": Amplitude("n_tokens", "eta", times=2, factor=6)},
    floor="E",
    sum_of_powers=lambda E, a, b, eta: (a / 6**eta, 2 * eta, b / 6**eta, 2 * eta),
)
def overtraining(n_params: Any, n_tokens: Any, *, E: Any, a: Any, b: Any, eta: Any) -> Any:
    """L(N, D) = E + (a M^eta + b M^-eta) C^-eta, M = D / N, C = 6 N D.

    Hoffmann et al.'s law with one exponent, alpha = beta = 2 eta, A = a / 6^eta and B = b / 6^eta, in the letters of
    those who train small models on many tokens: at a fixed number M of tokens per parameter, loss above E falls as
    C^-eta whatever M is, and the best M is b / a to the power 1 / (2 eta) at every budget.

    Source: Gadre et al. 2024 (arXiv:2403.08540), equation 4 (its number from memory). C in FLOPs.
    """
    return E + (a / n_params ** (2 * eta) + b / n_tokens ** (2 * eta)) / 6**eta
