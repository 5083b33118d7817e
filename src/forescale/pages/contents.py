"""What a report holds, as values: sections of paragraphs, tables and figures, that know nothing of a format.

All text is plain. Nothing in it is markup, so that a writer has to escape everything and can do so in one place.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Paragraph:
    """Sentences; ``urgent`` if they come before anything else that a reader may conclude."""

    text: str
    urgent: bool = False


@dataclass(frozen=True)
class Bullets:
    """Sentences that stand for themselves."""

    items: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """Cells of text under headers; the first column names the row."""

    caption: str
    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Figure:
    """An SVG picture, and in words what is to be seen on it. The name serves for files and anchors."""

    name: str
    caption: str
    seen: str
    svg: str


@dataclass(frozen=True)
class Code:
    """Lines to be copied: a call, or a card."""

    text: str


@dataclass(frozen=True)
class Control:
    """What the interactive part looks up: ``data`` is of plain numbers and text, as JSON knows them."""

    note: str
    data: Mapping[str, Any]


Part = Paragraph | Bullets | Table | Figure | Code | Control


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it; the name serves as an anchor."""

    name: str
    heading: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Contents:
    """A whole report.

    Attributes
    ----------
    title : str
        Of what it is.
    made : str
        The day on which it was made, in ISO 8601: the one thing that changes when nothing else does.
    by : str
        The program and its version.
    sections : tuple of Section
        In order.
    """

    title: str
    made: str
    by: str
    sections: tuple[Section, ...]
