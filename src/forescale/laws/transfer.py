"""A law of fine-tuned models: pre-training is worth so many more tokens of the target data."""

from __future__ import annotations

from typing import Any

from forescale.laws.joint import kaplan_floor
from forescale.laws.registry import law


def _as_printed(
    n_params: Any,
    n_tokens: Any,
    *,
    E: Any,
    size_cost: Any,
    data_cost: Any,
    alpha_N: Any,
    alpha_D: Any,
    worth: Any,
    alpha: Any,
    beta: Any,
) -> dict[str, Any]:
    """From what can be judged, at a size and a number of fine-tuning tokens, to the papers' letters.

    size_cost and data_cost are the nats that the size costs with unlimited data, and those data a model without limit,
    both trained from scratch; worth is D_T / D_F, how many times its fine-tuning data pre-training adds.
    """
    return {
        "N_c": n_params * size_cost ** (1 / alpha_N),
        "D_c": n_tokens * data_cost ** (1 / alpha_D),
        "k": worth * n_tokens ** (1 - alpha) / n_params**beta,
    }


@law(terms={}, floor="E", base=kaplan_floor, base_at=1.0, judged=_as_printed, may_stay=("n_stages",))
def transfer(
    n_params: Any,
    n_tokens: Any,
    n_stages: Any,
    *,
    E: Any,
    N_c: Any,
    D_c: Any,
    alpha_N: Any,
    alpha_D: Any,
    k: Any,
    alpha: Any,
    beta: Any,
) -> Any:
    """L(N, D_F) = E + [ (N_c / N)^(alpha_N / alpha_D) + D_c / (D_F + D_T) ]^alpha_D, D_T = k D_F^alpha N^beta.

    D_F is n_tokens, those of the target data, and D_T, the effective data transferred, are as many more of them as a
    model trained from scratch would need for the loss of the pre-trained one. n_stages is 1 of models trained from
    scratch, to which nothing is transferred and which Kaplan et al.'s law holds for, and 2 of models that were
    pre-trained first; it multiplies D_T less one, and means nothing else.

    Source: Hernandez et al. 2021 (arXiv:2102.01293), equation 1.1 for D_T, which they measure in characters of Python,
    and 6.1 for the loss, there without a floor and with D_T alone; N without embeddings. They fitted it where D_F is at
    most a tenth of what a model trained from scratch can use. It cannot say that pre-training does harm, which they
    saw of small models and much data (ossification).
    """
    effective = n_tokens + (n_stages - 1) * k * n_tokens**alpha * n_params**beta
    return E + ((N_c / n_params) ** (alpha_N / alpha_D) + D_c / effective) ** alpha_D
