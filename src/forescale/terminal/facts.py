"""Facts of a card, set as text for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

import forescale as fs
from forescale.terminal.console import Shown, heading
from forescale.units import format_quantity

Facts = dict[str, Any]


def formula(law: fs.Law) -> str:
    """Quote a law's formula, and say what the law calls otherwise."""
    renamed = [f"{own} = {new}" for new, own in law.own_names.items() if own != new]
    return f"{law.formula}, with {', '.join(renamed)}" if renamed else law.formula


def card(title: str, facts: Mapping[str, Any]) -> Shown:
    """Set facts beside their names, under a heading."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(overflow="fold", max_width=14)
    grid.add_column(overflow="fold")
    for name, fact in facts.items():
        grid.add_row(Text(name.replace("_", " ")), Text(lines(fact)))
    return [heading(title), grid]


def lines(fact: Any) -> str:
    """Write a fact as text: a line for each entry of a list or a table."""
    if isinstance(fact, Mapping):
        return "\n".join(f"{name}: {line(entry)}" for name, entry in fact.items()) or "none"
    if isinstance(fact, list | tuple):
        return "\n".join(f"- {line(entry)}" for entry in fact) or "none"
    return line(fact)


def line(fact: Any) -> str:
    """Write a fact as one line."""
    if isinstance(fact, Mapping):
        return "; ".join(f"{name}: {inner(entry)}" for name, entry in fact.items() if entry not in ("", {}))
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    return format_quantity(fact) if isinstance(fact, float) and fact >= 1e5 else " ".join(str(fact).split())


def inner(fact: Any) -> str:
    """Write a fact inside another."""
    if isinstance(fact, Mapping):
        return ", ".join(f"{name} {line(entry)}" for name, entry in fact.items())
    return line(fact)
