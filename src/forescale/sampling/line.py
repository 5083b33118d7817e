"""Parameters moved to where each runs from minus to plus infinity, and back: what samplers without gradients need.

Above a lower end it is the log of the distance; between two ends the logit of the share of the way.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from forescale.belief.priors import Prior

Array = NDArray[np.float64]
_SHARE, _DISTANCE = 1e-12, 1e-300  # so near to an end draws count as off it, whose place on the line is a number


def to_line(priors: Mapping[str, Prior], draws: Mapping[str, Array]) -> Array:
    """Places on the line, shape (..., parameter), of draws of shape (...) of each parameter."""
    columns = []
    for name, prior in priors.items():
        values, (low, high) = draws[name], prior.support
        if np.isfinite([low, high]).all():
            share = np.clip((values - low) / (high - low), _SHARE, 1 - _SHARE)
            columns.append(np.log(share) - np.log1p(-share))
        else:
            columns.append(np.log(np.maximum(values - low, _DISTANCE)) if np.isfinite(low) else values)
    return np.stack(columns, axis=-1)


def from_line(priors: Mapping[str, Prior], z: Array) -> tuple[dict[str, Array], Array]:
    """Parameters at places on the line, shape (draw, parameter), and the log density of places under the priors."""
    values, log_jacobian = {}, np.zeros(len(z))
    for (name, prior), at in zip(priors.items(), z.T, strict=True):
        low, high = prior.support
        if np.isfinite([low, high]).all():
            values[name] = low + (high - low) * expit(at)
            log_jacobian += np.log(high - low) - np.logaddexp(0, at) - np.logaddexp(0, -at)
        elif np.isfinite(low):
            values[name] = low + np.exp(at)
            log_jacobian += at
        else:
            values[name] = at
    return values, sum((prior.logpdf(values[name]) for name, prior in priors.items()), log_jacobian)
