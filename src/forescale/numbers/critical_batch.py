"""The critical batch size, and what it makes of steps and compute.

Training to a given loss takes more steps at small batches and more compute at large ones. With S steps of B tokens,
E = B S tokens, and the least that either can be, S_min and E_min, Kaplan et al. 2020 (arXiv:2001.08361, equations
5.1 and 5.2) have ``(S / S_min - 1) (E / E_min - 1) = 1`` and ``B_crit = E_min / S_min``, a power of the loss alone.
At ``B = B_crit`` both are twice their least. The functions here are that, on floats, NumPy and xarray alike; what
follows for the best split of compute is in `forescale.verbs.efficient`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from forescale.errors import DataError


def critical_batch_size(loss: Any, B_star: Any, alpha_B: Any) -> Any:
    """Tokens in a batch of the critical size: ``B_crit(L) = B_* / L^(1 / alpha_B)``.

    Parameters
    ----------
    loss : float or array
        The loss to train to, nats per token.
    B_star : float or array
        Tokens; Kaplan et al. print 2.1e8.
    alpha_B : float or array
        Kaplan et al. print 0.21.

    Returns
    -------
    float or array
        Tokens, of the shape that the arguments broadcast to.

    Raises
    ------
    DataError
        If anything is not a finite number above zero.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, equation 5.3 and Table 5.

    Examples
    --------
    >>> round(critical_batch_size(3.0, B_star=2.1e8, alpha_B=0.21))
    1122570
    """
    check_above_zero(loss=loss, B_star=B_star, alpha_B=alpha_B)
    return B_star / loss ** (1.0 / alpha_B)


def min_steps(steps: Any, batch_size: Any, critical: Any) -> Any:
    """Steps that would do at batches far above the critical size: ``S_min = S / (1 + B_crit / B)``.

    Parameters
    ----------
    steps : float or array
        Steps S taken to the loss.
    batch_size, critical : float or array
        Batch size B and critical batch size at that loss, both in tokens.

    Returns
    -------
    float or array
        Steps S_min, of the shape that the arguments broadcast to.

    Raises
    ------
    DataError
        If anything is not a finite number above zero.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, equation 5.4.

    Examples
    --------
    >>> min_steps(250_000, batch_size=2**19, critical=2**19)
    125000.0
    """
    check_above_zero(steps=steps, batch_size=batch_size, critical=critical)
    return steps / (1.0 + critical / batch_size)


def steps_at(min_steps: Any, batch_size: Any, critical: Any) -> Any:
    """Steps that it takes at a batch size: ``S = S_min (1 + B_crit / B)``, the inverse of `min_steps`.

    Parameters
    ----------
    min_steps : float or array
        Steps S_min that would do at batches far above the critical size.
    batch_size, critical : float or array
        Batch size B and critical batch size at that loss, both in tokens.

    Returns
    -------
    float or array
        Steps S, of the shape that the arguments broadcast to.

    Raises
    ------
    DataError
        If anything is not a finite number above zero.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, equation 5.4, solved for S.

    Examples
    --------
    >>> steps_at(125_000, batch_size=2**19, critical=2**19)
    250000.0
    """
    check_above_zero(min_steps=min_steps, batch_size=batch_size, critical=critical)
    return min_steps * (1.0 + critical / batch_size)


def min_flops(flops: Any, batch_size: Any, critical: Any) -> Any:
    """Compute that would do at batches far below the critical size: ``C_min = C / (1 + B / B_crit)``.

    Parameters
    ----------
    flops : float or array
        Compute C spent to the loss, 6 N B S.
    batch_size, critical : float or array
        Batch size B and critical batch size at that loss, both in tokens.

    Returns
    -------
    float or array
        FLOPs C_min, of the shape that the arguments broadcast to.

    Raises
    ------
    DataError
        If anything is not a finite number above zero.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, equation 5.5.

    Examples
    --------
    >>> min_flops(3e20, batch_size=1e6, critical=2e6)
    2e+20
    """
    check_above_zero(flops=flops, batch_size=batch_size, critical=critical)
    return flops / (1.0 + batch_size / critical)


def flops_at(min_flops: Any, batch_size: Any, critical: Any) -> Any:
    """Compute that it takes at a batch size: ``C = C_min (1 + B / B_crit)``, the inverse of `min_flops`.

    Parameters
    ----------
    min_flops : float or array
        Compute C_min that would do at batches far below the critical size, FLOPs.
    batch_size, critical : float or array
        Batch size B and critical batch size at that loss, both in tokens.

    Returns
    -------
    float or array
        FLOPs C, of the shape that the arguments broadcast to.

    Raises
    ------
    DataError
        If anything is not a finite number above zero.

    References
    ----------
    Kaplan et al. 2020, arXiv:2001.08361, equation 5.5, solved for C.

    Examples
    --------
    >>> flops_at(2e20, batch_size=1e6, critical=2e6)
    3e+20
    """
    check_above_zero(min_flops=min_flops, batch_size=batch_size, critical=critical)
    return min_flops * (1.0 + batch_size / critical)


def check_above_zero(**given: Any) -> None:
    """Refuse, by name, what is not a finite number above zero or an array of them; a DataError."""
    for name, value in given.items():
        numbers = np.asarray(value)
        if numbers.dtype.kind not in "fiu":
            raise DataError(f"{name} must be a number or an array of numbers, not {value!r}")
        bad = numbers[~(np.isfinite(numbers) & (numbers > 0))]
        if bad.size:
            raise DataError(
                f"{name} must be finite and above zero; {bad.size} of {numbers.size} are not, such as {bad[0]}"
            )
