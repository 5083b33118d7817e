"""Laws of the user's own, on their way to other processes, which have not run the script that defines them."""

from __future__ import annotations

import inspect
import uuid
from dataclasses import dataclass
from functools import lru_cache

from forescale import laws
from forescale.laws import Law

_HERE = uuid.uuid4().hex  # of this process


@dataclass(frozen=True)
class SentLaw:
    """What another process needs to have a law; empty for a law of the package, which it has.

    Attributes
    ----------
    code : str
        The source of the law's function, to know a law from another of the same name.
    pickled : bytes
        The function by value, or by name if it is of a module that can be imported there, and what ``@law`` was told.
    sender : str
        The process that it comes from.
    """

    code: str = ""
    pickled: bytes = b""
    sender: str = ""

    def register(self) -> None:
        """Register the law in this process, unless it comes from here; again, as another may have had its name."""
        if self.pickled and self.sender != _HERE:
            made = _unpacked(self.pickled)
            laws.LAWS[made.name] = made


def send(law: Law) -> SentLaw:
    """Pack a law."""
    own = laws.get_law(law.name)  # under the function's own names: a card that has others says so itself
    if own.function.__module__.startswith(f"{laws.__name__}."):
        return SentLaw()
    import cloudpickle

    told = {name: getattr(own, name) for name in inspect.signature(laws.law).parameters} | {"terms": dict(own.terms)}
    try:
        code = inspect.getsource(own.function)
    except OSError:  # typed into an interpreter that keeps no source
        code = repr((own.function.__code__.co_code, own.function.__code__.co_consts))
    return SentLaw(code, cloudpickle.dumps((own.function, told)), _HERE)


@lru_cache
def _unpacked(pickled: bytes) -> Law:
    """The law, each time the same, so that what was compiled for it is found."""
    import cloudpickle

    function, told = cloudpickle.loads(pickled)
    return laws.law(**told)(function)
