"""Estimates set side by side: the one table that they are of, and a name for each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from forescale.errors import DataError
from forescale.estimates.draws import Estimate
from forescale.estimates.fit import Fit
from forescale.estimates.huber import HuberFit
from forescale.tables.observations import Observations


def common_table(sources: Sequence[Estimate], runs: Observations | pd.DataFrame | None) -> Observations:
    """The table that all sources were fitted to, and that is given."""
    if len(sources) < 2:
        raise DataError(f"a comparison is of at least two estimates; got {len(sources)}")
    tables = [(source.name, source.observations) for source in sources if isinstance(source, Fit | HuberFit)]
    if runs is not None:
        tables.append(("runs=", runs if isinstance(runs, Observations) else Observations.from_frame(runs)))
    if not tables:
        raise DataError("none of the estimates is a fit that carries its table: pass the runs to compare on, runs=")
    (first, table), *others = tables
    for other, another in others:
        if another.sha256 != table.sha256:
            raise DataError(
                f"scores on different runs cannot be compared: the tables of {first} ({len(table)} runs) and {other} "
                f"({len(another)} runs) differ: {_difference(table, another)}. Fit all to one table"
            )
    return table


def _difference(table: Observations, another: Observations) -> str:
    """How two tables differ, in words."""

    def few(names: Any) -> str:
        return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")

    here, there = table.table.set_index("run"), another.table.set_index("run")
    sides = {"first": here.index.difference(there.index), "second": there.index.difference(here.index)}
    found = [f"{len(more)} runs are only in the {which} ({few(more)})" for which, more in sides.items() if len(more)]
    if only := here.columns.symmetric_difference(there.columns).tolist():
        found.append(f"only one has {', '.join(only)}")
    if not found:
        differ = {name: here[name].compare(there[name].reindex(here.index)).index for name in here}
        found = [f"{name} differs in {len(rows)} runs ({few(rows)})" for name, rows in differ.items() if len(rows)]
    return "; ".join(found) or "the same runs in another order"


def names(sources: Sequence[Estimate], taken: str) -> list[str]:
    """Name sources without their table, as nothing is that is ``taken``; those alike by their noise, else by number."""
    tables = [source.observations.name if isinstance(source, Fit | HuberFit) else "" for source in sources]
    found = [source.name.removesuffix(f" on {table}") for source, table in zip(sources, tables, strict=True)]
    noises = [f" ({source.noise.kind})" if source.noise else "" for source in sources]
    for form in ("{name}{noise}", "{name} #{number}"):
        alike = [[*found, taken].count(name) > 1 for name in found]
        numbers = [found[: i + 1].count(name) for i, name in enumerate(found)]
        each = zip(found, noises, numbers, alike, strict=True)
        found = [form.format(name=a, noise=noise, number=i) if same else a for a, noise, i, same in each]
    return found
