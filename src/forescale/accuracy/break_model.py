"""A jump in the slope of a link at some loss, and by how much it may be steeper or flatter there."""

from __future__ import annotations

from typing import Any

import numpy as np

from forescale.belief.priors import Prior

#: Of the log of the factor by which the link is steeper below a break: 1/12 to 12 in 90 %, either way alike.
JUMP = Prior("normal", mu=0.0, sigma=1.5)
_BEND = 0.02  # nats over which the slope changes: sharper than runs are apart, and yet smooth


def bent(loss: Any, at: Any, jump: Any, anchor: Any) -> Any:
    """Loss in which a nat below ``at`` counts exp(jump) times a nat above it: the slope of any link of it jumps there.

    At ``anchor`` it is the loss itself, with slope 1, so that middle and span are of that side of the break. Put where
    runs tell most, it leaves the curve there as it was, whatever the break: without it the sampler could not follow.
    """
    gain = np.exp(jump) - 1
    away = np.exp(
        -abs(at - anchor) / _BEND
    )  # the share of the slope that is of the side of the anchor, from below and above
    below = np.where(at > anchor, 1.0, away) / (1 + away)
    return anchor + (_one_sided(loss, at, gain) - _one_sided(anchor, at, gain)) / (1 + gain * below)


def _one_sided(loss: Any, at: Any, gain: Any) -> Any:
    """Loss in which what is below ``at`` counts ``1 + gain`` times."""
    below = at - loss
    return loss - gain * ((below + abs(below)) / 2 + _BEND * np.log(1 + np.exp(-abs(below) / _BEND)))
