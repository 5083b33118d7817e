"""The runs at the front of a table: those that no run of less compute, or of fewer tokens, beats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def front(size: NDArray[np.float64], loss: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which runs have a lower loss than every run of at most their size.

    Parameters
    ----------
    size, loss : array, shape (run,)
        What a run used (compute, tokens) and what it reached.

    Returns
    -------
    array of bool, shape (run,)
        Of runs that are alike in both, the first counts.
    """
    order = np.lexsort((loss, size))
    best = np.minimum.accumulate(loss[order])
    ahead = np.ones(len(loss), dtype=bool)
    ahead[order[1:]] = loss[order[1:]] < best[:-1]
    return ahead
