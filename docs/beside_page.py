"""The page of fits beside published numbers, from what the benchmarks keep in benchmarks/beside.json."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

from card_pages import table, words

import forescale as fs
from forescale.terminal.console import number

KEPT = Path(__file__).parents[1] / "benchmarks" / "beside.json"
_TOLD = (
    "Each law, fitted by forescale to the runs named, beside what was published of it. Ours are posterior medians with "
    '90 % equal-tailed intervals, where a note says nothing else; "holds" says whether the interval holds the '
    "published number, which need not be the truth: papers fit otherwise, and print few digits. Most of these tables "
    "are not part of forescale: `--tables` names a folder with them. Each script's own page is in "
    "[benchmarks](project/benchmarks/README.md)."
)


def beside_page() -> Iterator[tuple[str, str]]:
    """A section for each script that keeps numbers, a table for each table of runs and note in it."""
    lines = ["# Fits beside published numbers", _TOLD]
    for script, kept in json.loads(KEPT.read_text(encoding="utf-8")).items():
        for law, of_law in groupby(kept["rows"], key=lambda row: row["law"]):
            lines += [f"## {words(law)}", f"`benchmarks/{script}`, {kept['date']}."]
            for (told, runs, note), rows in groupby(of_law, key=lambda row: (row["table"], row["runs"], row["note"])):
                lines.append(f"**{words(told)}, {runs} runs**" + (f": {words(note)}." if note else "."))
                lines.append(table(["", "published", "in", "median", "90 %", "holds it"], map(_cells, rows)))
    yield "beside.md", "\n\n".join(lines) + "\n"


def _cells(row: Mapping[str, Any]) -> list[str]:
    source = row["source"]
    where = f"[{words(source)}](cards/published/{source}.md)" if source in fs.list_published() else words(source)
    published = row["published"] if isinstance(row["published"], str) else f"{row['published']:g}"
    ends = (row["lower"], row["upper"])
    interval = holds = ""
    if None not in ends:
        interval = f"[{number(ends[0], 3)}, {number(ends[1], 3)}]"
        if not isinstance(row["published"], str):
            holds = "yes" if ends[0] <= row["published"] <= ends[1] else "no"
    return [words(row["quantity"]), words(published), where, words(number(row["median"], 3)), words(interval), holds]
