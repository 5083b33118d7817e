"""Progress of long work, on stderr: shown in a terminal or a notebook, unless asked otherwise."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


def shown_on(wanted: bool | None) -> tuple[Console, bool]:
    """The console that progress goes to, and whether any is shown; None shows it where there is someone to see it."""
    from rich.console import Console

    console = Console(file=sys.stderr)
    if console.is_jupyter and not find_spec("ipywidgets"):  # rich would warn at every bar, and draw none
        console = Console(file=sys.stderr, force_jupyter=False, force_terminal=False)
    return console, console.is_terminal or console.is_jupyter if wanted is None else wanted


def watched[Item](
    items: Iterable[Item], what: str, wanted: bool | None, *, total: int, done: int = 0
) -> Iterable[Item]:
    """The items one by one, as they come, with a progress bar: so many of a total were done before."""
    from rich.progress import track

    console, shown = shown_on(wanted)
    return track(items, what, total, done, console=console, transient=True, disable=not shown)
