"""Figures of `forescale.plots` as SVG text that is the same each time."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

from forescale.pages.contents import Figure

_HEAD = re.compile(r"^.*?(?=<svg)", re.DOTALL)
_METADATA = re.compile(r"\s*<metadata>.*?</metadata>", re.DOTALL)
_COMMENT = re.compile(r"\s*<!--.*?-->", re.DOTALL)
_NAME = re.compile(r'id="([a-z][0-9a-f]{10})"')
_PLACES = re.compile(r'\b(d|x|y)="([^"]*)"')
_DIGITS = re.compile(r"(\.\d\d)\d+")


def svg(ax: Any) -> str:
    """Write the figure of axes as SVG: no date, no random names, places to a hundredth of a point.

    Marks and clip paths are named at random where no salt is set for all figures of a process, so that they are
    numbered here instead.
    """
    stream = io.StringIO()
    ax.get_figure(root=True).savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = _COMMENT.sub("", _METADATA.sub("", _HEAD.sub("", stream.getvalue())))
    for number, name in enumerate(dict.fromkeys(_NAME.findall(text))):
        text = text.replace(name, f"n{number}")
    text = _PLACES.sub(lambda found: f'{found[1]}="{_DIGITS.sub(r"\1", " ".join(found[2].split()))}"', text)
    return re.sub(r">\s+<", "><", text).strip()


def pictured(name: str, caption: str, seen: str, plot: Callable[..., Any], *results: Any, **options: Any) -> Figure:
    """Draw results with a function of `forescale.plots`, and say what is to be seen."""
    return Figure(name, caption, seen, svg(plot(*results, **options)))
