"""Leave-one-out scores of several fits, with the refits of all shared out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from forescale.checking.loo import LeaveOneOut, sampled, with_exact
from forescale.estimates.fit import Fit
from forescale.estimates.left_out import left_out
from forescale.work.workers import run_all


def leave_each_out(
    fits: Mapping[str, Fit], *, refits: int = 20, **where: Any
) -> tuple[dict[str, LeaveOneOut], dict[str, str]]:
    """Score several fits as `leave_one_out` does, with the refits of all shared out.

    Parameters
    ----------
    fits : mapping of str to Fit
        By name.
    refits : int
        How many runs may be refitted for each fit.
    **where
        Who refits, as for `forescale.work.workers.run_all`.

    Returns
    -------
    scores : dict of str to LeaveOneOut
        Of each fit that could be scored.
    errors : dict of str to str
        Why each of the others could not.

    Raises
    ------
    ModelError
        If more runs than ``refits`` of a fit have a k above the threshold; nothing is refitted then.
    """
    first = {name: sampled(fit, refits) for name, fit in fits.items()}
    high = [(name, int(i)) for name, score in first.items() for i in np.flatnonzero(score.runs["refitted"])]
    exact: dict[str, dict[int, tuple[float, float]]] = {name: {} for name in fits}
    errors: dict[str, str] = {}
    answers = run_all([left_out(fits[name], index) for name, index in high], "leaving runs out", **where)
    for (name, index), answer in zip(high, answers, strict=True):
        if "error" in answer:
            errors.setdefault(name, answer["error"])
        else:
            exact[name][index] = answer["elpd"], answer["mcse"]
    return {name: with_exact(score, exact[name]) for name, score in first.items() if name not in errors}, errors
