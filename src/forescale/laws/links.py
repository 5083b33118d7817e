"""Links: how far from floor to ceiling the accuracy of a task is, by the loss of the model; each a pure function.

What `@law` is for losses, `@link` is for accuracies, in a register of its own: a link is of one input, falls with it,
and has a floor and a ceiling instead of terms, and its noise is binomial. A link's function is of the loss (nats per
token), of ``middle``, the loss at which half of the way is gone, and of ``span``, how many nats of loss it takes from
10 to 90 % of the way. The body uses operators, ``np.exp`` and ``np.log`` only, so that the same line runs on floats,
NumPy, xarray and PyTensor. Beside it stands its inverse.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from forescale.errors import ModelError
from forescale.laws import Named

#: What a link is of, beside the loss and the chance of its task.
PARAMETERS = ("middle", "span", "top", "floor_ratio")
_LN2 = np.log(2.0)


@dataclass(frozen=True)
class Link:
    """A way from floor to ceiling as loss falls.

    Attributes
    ----------
    name : str
        The function's name.
    share : callable
        From (loss, middle, span) to the share of the way, between 0 and 1, which falls with loss.
    inverse : callable
        From (share, middle, span) to the loss at which it is reached.
    rate : float
        Where loss is high, share falls as ``exp(-rate loss / span)``.
    steepness : callable
        From the share to its fall there, as a part of that: ``-d log share / d loss = steepness(share) rate / span``.
    """

    name: str
    share: Callable[..., Any]
    inverse: Callable[..., Any]
    rate: float
    steepness: Callable[..., Any]

    def __call__(self, loss: Any, values: Named, chance: Any = 0.0) -> Any:
        """Accuracy = floor + (ceiling - floor) share(loss; middle, span), see `floor` and `ceiling`."""
        low = floor(values, chance)
        with np.errstate(over="ignore"):  # far above the middle the exponential is infinite, and the share zero
            share = self.share(loss, values["middle"], values["span"])
        return low + (1 - low) * values["top"] * share

    def loss_at(self, accuracy: Any, values: Named, chance: Any = 0.0) -> Any:
        """Loss at which an accuracy is reached: -inf where not below the ceiling, inf where not above the floor."""
        low = floor(values, chance)
        share = np.clip((accuracy - low) / ((1 - low) * values["top"]), 0.0, 1.0)
        with np.errstate(divide="ignore"):
            return self.inverse(share, values["middle"], values["span"])


def floor(values: Named, chance: Any) -> Any:
    """Accuracy of a model that knows nothing: floor_ratio times chance."""
    return values["floor_ratio"] * chance


def ceiling(values: Named, chance: Any) -> Any:
    """Accuracy where loss is as low as one likes: the share ``top`` of the way from the floor to 1."""
    low = floor(values, chance)
    return low + (1 - low) * values["top"]


def powered(link: Link, tokens: int) -> Link:
    """The link of answers of so many tokens, of which every one must be right: share(loss)^tokens.

    ``middle`` and ``span`` are then of a token, and half of the way is gone at a lower loss than middle.
    """
    if tokens == 1:
        return link
    return Link(
        f"{link.name}^{tokens}",
        lambda loss, middle, span: link.share(loss, middle, span) ** tokens,
        lambda share, middle, span: link.inverse(share ** (1 / tokens), middle, span),
        link.rate,
        lambda share: tokens * link.steepness(share ** (1 / tokens)),
    )


LINKS: dict[str, Link] = {}


def link(
    inverse: Callable[..., Any], rate: float, steepness: Callable[..., Any]
) -> Callable[[Callable[..., Any]], Link]:
    """Register a function of (loss, middle, span) as a link, with what `Link` says further."""

    def register(share: Callable[..., Any]) -> Link:
        made = Link(share.__name__, share, inverse, float(rate), steepness)
        LINKS[made.name] = made
        return made

    return register


def get_link(name: str) -> Link:
    """Look a link up.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if name not in LINKS:
        near = difflib.get_close_matches(name, LINKS, n=1)
        raise ModelError(
            f"no link is called {name!r}; there are {', '.join(LINKS)}."
            + (f" Did you mean {near[0]!r}?" if near else "")
        )
    return LINKS[name]


_LOGISTIC = 2 * np.log(9.0)  # of 1 / (1 + e^u), from 10 to 90 %
_GOMPERTZ = np.log(np.log(0.1) / np.log(0.9))  # of 1 - exp(-e^-u), from 10 to 90 %


@link(
    inverse=lambda share, middle, span: middle + span / _LOGISTIC * (np.log(1 - share) - np.log(share)),
    rate=_LOGISTIC,
    steepness=lambda share: 1 - share,
)
def sigmoid(loss: Any, middle: Any, span: Any) -> Any:
    """Share of the way: 1 / (1 + e^u),  u = 2 ln 9 (loss - middle) / span."""
    return 1 / (1 + np.exp(_LOGISTIC * (loss - middle) / span))


@link(
    inverse=lambda share, middle, span: middle - span / _GOMPERTZ * np.log(-np.log(1 - share) / _LN2),
    rate=_GOMPERTZ,
    steepness=lambda share: -np.log(1 - share) * (1 - share) / share,
)
def exponential(loss: Any, middle: Any, span: Any) -> Any:
    """Share of the way: 1 - exp(-ln 2 e^-u),  u = 3.084 (loss - middle) / span.

    Where loss is high this is ``ln 2 e^-u``, Gadre et al.'s exponential (arXiv:2403.08540: error = epsilon -
    k exp(-gamma L), gamma = 3.084 / span), which of itself has no ceiling: at low loss it passes 1.
    """
    return 1 - np.exp(-_LN2 * np.exp(-_GOMPERTZ * (loss - middle) / span))
