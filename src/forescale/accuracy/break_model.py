"""A link whose slope jumps at some loss, beside the smooth one that it is without a jump."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.belief.link_model import LinkModel
from forescale.belief.priors import Prior

Array = NDArray[np.float64]
Data = Mapping[str, Any]

#: Of the log of the factor by which the link is steeper below a break: 1/12 to 12 in 90 %, either way alike.
JUMP = Prior("normal", mu=0.0, sigma=1.5)
_BEND = 0.02  # nats over which the slope changes: sharper than runs are apart, and yet smooth


def bent(loss: Any, at: Any, jump: Any) -> Any:
    """Loss in which what is below ``at`` counts exp(jump) times: any link of it has a slope that jumps there."""
    below = at - loss
    return loss - (np.exp(jump) - 1) * ((below + abs(below)) / 2 + _BEND * np.log(1 + np.exp(-abs(below) / _BEND)))


def break_probability(jump: Array) -> float:
    """Posterior probability of a jump other than zero, an even chance beforehand, from its draws.

    By Savage and Dickey the odds for no jump are the posterior density at zero over the prior's there; the density is
    by a Gaussian kernel, whose width is a rule of thumb. Where no draw is near zero it is not known how small the
    probability of no jump is: it is then at least one over the number of draws.
    """
    from scipy.stats import gaussian_kde

    density = float(gaussian_kde(jump)(0.0)[0])
    odds = max(density / float(np.exp(JUMP.logpdf(0.0))), 1 / len(jump))
    return 1 / (1 + odds)


@dataclass(frozen=True)
class Bent:
    """From data to the PyMC model of a link with a break, or of the smooth one.

    Both are one model, compiled once, of the tokens and of ``has_break`` that the data tell: without a break the place
    and the jump of one are drawn from their priors, and count for nothing.
    """

    card: str

    def __call__(self, data: Data) -> Any:
        """The model, which holds the data under their names."""
        import pymc as pm

        with pm.Model() as model:
            given = {name: pm.Data(name, values) for name, values in data.items()}
            lowest, highest = given["break_lowest"], given["break_highest"]
            at = pm.Deterministic("break_at", lowest + (highest - lowest) * pm.Uniform("break_place"))
            loss = bent(given["loss"], at, given["has_break"] * JUMP.random_variable("jump"))
            LinkModel.from_toml(self.card).observe({**given, "loss": loss})
        return model
