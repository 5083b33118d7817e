"""A report in Markdown (CommonMark, with GitHub's tables): the same text, with figures as files beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from forescale.pages.contents import Bullets, Code, Contents, Control, Figure, Paragraph, Part, Table

#: What may be markup anywhere in a line; an underscore only where it does not stand inside a word.
_SPECIAL = re.compile(r"[\\`*{}\[\]<>#|~!&]|(?<![^\W_])_|_(?![^\W_])")
_LEADING = re.compile(r"^([-+]|\d+(?=[.)](\s|$)))")
_TICKS = re.compile(r"`{3,}")


def to_markdown(contents: Contents, place: Callable[[Figure], str] | None = None) -> str:
    """Write a report as text.

    Parameters
    ----------
    contents : Contents
        The report.
    place : callable, optional
        From a figure to the path that a link to it has; without it figures are told in words.
    """
    lines = [f"# {_text(contents.title)}", "", f"Made on {contents.made} by {_text(contents.by)}."]
    for section in contents.sections:
        lines += ["", f"## {_text(section.heading)}"]
        for part in section.parts:
            if written := list(_lines(part, place)):
                lines += ["", *written]
    return "\n".join(lines) + "\n"


def _lines(part: Part, place: Callable[[Figure], str] | None) -> Iterator[str]:
    match part:
        case Paragraph(text, urgent):
            yield f"**{_text(text)}**" if urgent else _text(text)
        case Bullets(items):
            yield from (f"- {_text(item)}" for item in items)
        case Table(caption, headers, rows):
            yield from [f"**{_text(caption)}**", ""]
            yield _row(headers)
            yield "|" + "|".join([" :-- ", *[" --: "] * (len(headers) - 1)]) + "|"
            yield from map(_row, rows)
        case Figure(_, caption, seen, _):
            if place is not None:
                yield from [f"![{_text(seen)}]({place(part)})", ""]
            yield f"*{_text(caption)}.* {_text(seen)}" if place is None else f"*{_text(caption)}*"
        case Code(text):
            fence = "`" * max(3, 1 + max(map(len, _TICKS.findall(text)), default=0))
            yield from [fence, text.rstrip("\n"), fence]
        case Control():
            yield "The HTML report has a part in which any other budget and probability can be read."


def _row(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(map(_text, cells))} |"


def _text(text: str) -> str:
    """Plain text as text: on one line, and with nothing in it that Markdown or HTML would take for markup."""
    escaped = _SPECIAL.sub(r"\\\g<0>", " ".join(text.split()))
    return _LEADING.sub(_stop, escaped)


def _stop(found: re.Match[str]) -> str:
    """A mark of a list that is none: a backslash before the sign, or after the number."""
    return f"\\{found[0]}" if found[0] in "-+" else f"{found[0]}\\"
