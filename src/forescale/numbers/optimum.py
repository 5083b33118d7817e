"""The compute-optimal split and the compute that a plan wastes, as numbers: arrays in, arrays out.

All sizes and budgets are natural logs. ``values`` are the law's parameters by name, arrays that broadcast
against the budgets; labels and presentation are in `forescale.allocate` and `forescale.regret`.

Everything is done twice. A law that falls with A/N^alpha + B/D^beta has a closed form where C = 6ND. Any
other law or cost is searched along the budget line, the splits with cost(N, D) = C, on which the loss is
taken to have one minimum.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import elementwise

from forescale.laws import Law
from forescale.units import CostModel, SixND

Array = NDArray[np.float64]
Values = Mapping[str, Any]

#: Grid points of the scan along a budget line, and how far it reaches beyond one parameter and one token, in
#: nats of size: a spacing of about one nat at any budget in use.
_POINTS, _REACH = 97, 20.0
#: Compute, in FLOPs, beyond which a loss counts as never reached: 10^16 times what Chinchilla took.
MOST_FLOPS = 1e40
#: Imaginary step of slopes by complex step: so small that its square is lost, and nothing is subtracted.
COMPLEX_STEP = 1e-30
#: Half width, in nats of compute, of the central difference behind a local exponent. The rounding of log N*,
#: about 1e-6, is divided by it; a power law has no truncation error.
_HALF_STEP = 0.5


def has_closed_form(law: Law, cost: CostModel) -> bool:
    """Whether the optimum is a power of compute: a sum of two powers under C = 6ND."""
    return law.sum_of_powers is not None and type(cost) is SixND


def loss_on_line(law: Law, cost: CostModel, log_size: Any, log_compute: Any, values: Values) -> Any:
    """Loss of a model of ``exp(log_size)`` parameters trained on all the tokens that the compute pays for."""
    n_params = np.exp(log_size)
    return law({"n_params": n_params, "n_tokens": cost.n_tokens(np.exp(log_compute), n_params)}, values)


def log_optimal_size(law: Law, cost: CostModel, log_compute: Any, values: Values, *, closed: bool) -> Array:
    """Log N* of the split that minimises the loss at a budget.

    Parameters
    ----------
    law, cost : Law, CostModel
        A law of n_params and n_tokens, and what training costs.
    log_compute : array
        Log of compute in FLOPs.
    values : mapping of str to array
        The law's parameters.
    closed : bool
        Whether to use the closed form, where `has_closed_form`.

    Returns
    -------
    ndarray
        Log N*; ``+inf`` where the loss still falls when only one token is left, ``-inf`` where it still falls
        when only one parameter is left, NaN where the parameters allow no optimum at all.
    """
    if closed:
        log_size = closed_log_size(law, log_compute, values)
    else:
        log_size = search_log_size(law, cost, log_compute, values)
    all_but_a_token = np.log(cost.n_params(np.exp(log_compute), 1.0))
    return np.where(log_size < 0, -np.inf, np.where(log_size > all_but_a_token, np.inf, log_size))


def closed_log_size(law: Law, log_compute: Any, values: Values) -> Array:
    """Log N* = log G + beta / (alpha + beta) log(C / 6), G = (alpha A / (beta B))^(1 / (alpha + beta)).

    In logs, so that no A is too large, and analytic, so that complex parameters give its slopes
    (`forescale.verbs.targets`). Source: Hoffmann et al. 2022 (arXiv:2203.15556), equation 4.
    """
    with np.errstate(all="ignore"):  # a draw without an optimum becomes infinite or NaN
        A, alpha, B, beta = law.powers(values)
        log_ratio = np.log(alpha) + np.log(A) - np.log(beta) - np.log(B)
        log_size = (log_ratio + beta * (log_compute - np.log(6.0))) / (alpha + beta)
    return np.asarray(log_size)


def search_log_size(law: Law, cost: CostModel, log_compute: Any, values: Values) -> Array:
    """Log N* by a scan of the whole budget line and Chandrupatla's minimisation in the best bracket.

    The scan is wide, so that a far optimum is found, and its two ends are no answer: a loss that is lowest
    there has no minimum in reach, and log N* is infinite. At the answer the loss is exact to rounding, and so
    log N* to about sqrt(eps L / (d^2 L / d log N^2)), the flatness of the minimum.
    """
    names = tuple(values)
    # Where size has a price of its own, sizes crowd below that which leaves no tokens: there the scan is of log D.
    along_tokens = bool(np.isfinite(cost.most_params(np.exp(log_compute))).all())

    def loss(place: Any, log_compute: Any, *arrays: Any) -> Any:
        with np.errstate(all="ignore"):
            parameters = dict(zip(names, arrays, strict=True))
            if along_tokens:
                size = cost.n_params(np.exp(log_compute), np.exp(place))
                found = law({"n_params": size, "n_tokens": np.exp(place)}, parameters)
            else:
                found = loss_on_line(law, cost, place, log_compute, parameters)
        return np.where(np.isnan(found), np.inf, found)

    flops = np.exp(log_compute)
    end = np.log(flops / cost.flops_per_token(1.0) if along_tokens else cost.n_params(flops, 1.0))
    low, high = np.minimum(end, 0.0) - _REACH, np.maximum(end, 0.0) + _REACH
    step = (high - low) / (_POINTS - 1)
    lowest, best = np.asarray(np.inf), np.asarray(0)
    for point in range(_POINTS):
        here = loss(low + point * step, log_compute, *values.values())
        lowest, best = np.minimum(lowest, here), np.where(here < lowest, point, best)
    bracket = tuple(low + (best + side) * step for side in (-1, 0, 1))
    found = elementwise.find_minimum(loss, bracket, args=(log_compute, *values.values())).x
    found = np.where(best == 0, -np.inf, np.where(best == _POINTS - 1, np.inf, found))
    if along_tokens:
        with np.errstate(all="ignore"):
            size = np.log(cost.n_params(flops, np.exp(found)))
        found = np.where(np.isfinite(found), size, -found)
    return np.where(np.isfinite(lowest), found, np.nan)


def loss_of_best(law: Law, cost: CostModel, log_compute: Any, values: Values, *, closed: bool) -> Array:
    """Loss of the best split, even of less than one parameter or token; of a law of compute alone, its loss.

    NaN where no split is best.
    """
    with np.errstate(all="ignore"):
        if law.inputs == ("flops",):
            return np.asarray(law({"flops": np.exp(log_compute)}, values))
        size = closed_log_size(law, log_compute, values) if closed else search_log_size(law, cost, log_compute, values)
        return np.asarray(loss_on_line(law, cost, np.where(np.isfinite(size), size, np.nan), log_compute, values))


def closed_exponents(law: Law, values: Values) -> tuple[Array, Array]:
    """Exponents a and b of N* ~ C^a and D* ~ C^b: beta / (alpha + beta) and alpha / (alpha + beta)."""
    _, alpha, _, beta = law.powers(values)
    return np.asarray(beta / (alpha + beta)), np.asarray(alpha / (alpha + beta))


def local_exponents(law: Law, cost: CostModel, log_compute: Any, values: Values) -> tuple[Array, Array]:
    """Local exponents d log N* / d log C and d log D* / d log C of the searched optimum.

    By a central difference over one nat of compute; NaN where there is no optimum in reach on both sides.
    """
    ends = [log_compute - _HALF_STEP, log_compute + _HALF_STEP]
    sizes = [search_log_size(law, cost, end, values) for end in ends]
    with np.errstate(all="ignore"):
        tokens = [np.log(cost.n_tokens(np.exp(c), np.exp(n))) for c, n in zip(ends, sizes, strict=True)]
        a, b = ((high - low) / (2 * _HALF_STEP) for low, high in (sizes, tokens))
    return np.where(np.isfinite(a), a, np.nan), np.where(np.isfinite(b), b, np.nan)


def log_matching_compute(
    law: Law, cost: CostModel, log_compute: Any, log_size: Any, log_best: Any, values: Values, *, closed: bool
) -> Array:
    """Log C', the compute with which the optimal split reaches the loss of a plan that spends C.

    Parameters
    ----------
    log_compute, log_size : array
        Log C and the plan's log N; the plan's tokens are all that C pays for.
    log_best : array
        Log N* at C.
    closed : bool
        Whether to use the closed form: the optimal sum of powers falls as C^(-alpha beta / (alpha + beta)).

    Returns
    -------
    ndarray
        Log C', at most log C; NaN where no compute was found.
    """
    if closed:
        A, alpha, B, beta = law.powers(values)

        def log_sum(size: Any) -> Any:
            log_tokens = log_compute - np.log(6.0) - size
            return np.logaddexp(np.log(A) - alpha * size, np.log(B) - beta * log_tokens)

        wasted = (alpha + beta) / (alpha * beta) * (log_sum(log_size) - log_sum(log_best))
        return np.asarray(log_compute - np.maximum(wasted, 0.0), dtype=float)

    names = tuple(values)

    def excess(log_compute: Any, log_target: Any, *arrays: Any) -> Any:
        parameters = dict(zip(names, arrays, strict=True))
        return np.log(loss_of_best(law, cost, log_compute, parameters, closed=False)) - log_target

    log_target = np.log(loss_on_line(law, cost, log_size, log_compute, values))
    # From far less than any training to a little more than C, so that a plan that is the optimum has a root.
    low, high = np.log(cost.flops(1.0, 1.0)) - _REACH, log_compute + 0.1
    root = elementwise.find_root(excess, (low, high), args=(log_target, *values.values()), tolerances={"xatol": 1e-10})
    return np.asarray(np.minimum(root.x, log_compute), dtype=float)


def log_compute_to(law: Law, cost: CostModel, log_loss: Any, values: Values, *, closed: bool) -> Array:
    """Log C, the least compute with which the optimal split, or a law of compute alone, reaches a loss.

    The loss of the best split falls with compute, so that there is one root of log L*(C) = log loss, if any.

    Parameters
    ----------
    log_loss : array
        Log of the loss to be reached; infinities are reached by anything, and by nothing.
    closed : bool
        Whether to use the closed form of the split at each C.

    Returns
    -------
    ndarray
        Log C; ``+inf`` where the loss is not reached with `MOST_FLOPS`, ``-inf`` where one parameter and one token
        reach it, NaN where the parameters allow no optimum.
    """
    names = tuple(values)

    def excess(log_compute: Any, log_loss: Any, *arrays: Any) -> Any:
        found = loss_of_best(law, cost, log_compute, dict(zip(names, arrays, strict=True)), closed=closed)
        with np.errstate(all="ignore"):
            return np.log(found) - log_loss

    low, high = np.log(cost.flops(1.0, 1.0)), np.log(MOST_FLOPS)
    ends = [excess(np.asarray(end), log_loss, *values.values()) for end in (low, high)]
    arrays = (np.where(np.isfinite(log_loss), log_loss, 0.0), *values.values())
    root = elementwise.find_root(excess, (low, high), args=arrays, tolerances={"xatol": 1e-10}).x
    return np.asarray(np.where(ends[0] <= 0, -np.inf, np.where(ends[1] > 0, np.inf, root)), dtype=float)


def log_size_at_ratio(cost: CostModel, log_compute: Any, tokens_per_param: float) -> Array:
    """Log N of the split with D = r N at a budget; NaN where the budget does not pay for one token.

    The root lies between the size that belongs to one token and the size that leaves one token.
    """

    def excess(log_size: Any, log_compute: Any) -> Any:
        n_params = np.exp(log_size)
        return np.log(cost.flops(n_params, tokens_per_param * n_params)) - log_compute

    low = -np.log(tokens_per_param)
    high = np.log(cost.n_params(np.exp(log_compute), 1.0))
    root = elementwise.find_root(excess, (low, high), args=(log_compute,))
    return np.asarray(root.x, dtype=float)
