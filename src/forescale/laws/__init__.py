"""The scaling laws: pure functions, registered once each, a file for each kind of input."""

from forescale.laws import broken, joint, one_input, repeated, routed, saturating, steps, transfer
from forescale.laws.registry import LAWS, Law, Named, get_law, law

__all__ = [
    "LAWS",
    "Law",
    "Named",
    "broken",
    "get_law",
    "joint",
    "law",
    "one_input",
    "repeated",
    "routed",
    "saturating",
    "steps",
    "transfer",
]
