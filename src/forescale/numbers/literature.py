"""literature_exponents(): what papers print of compute-optimal training, as one table."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

#: What each exponent is of: N* ~ C^a, D* ~ C^b, L ~ C^-c.
EXPONENTS = ("a", "b", "c")


def literature_exponents() -> pd.DataFrame:
    """Exponents of compute-optimal training as printed: N* ~ C^a, D* ~ C^b, L ~ C^-c.

    Returns
    -------
    pandas.DataFrame
        A row per printed exponent: paper (the key), method, data (empty where the paper has one set), exponent
        ("a", "b" or "c"), value, lower, upper (NaN where none are printed), prob (NaN where not stated),
        interval (what lower and upper are), n_params (what the paper's N counts), citation, where, and seen
        ("source": read in a copy of the paper or its code; "notes": as quoted elsewhere).

    Examples
    --------
    >>> import forescale as fs
    >>> table = fs.literature_exponents()
    >>> table[(table.paper == "kaplan2020") & (table.exponent == "a")].value.tolist()
    [0.73, 0.88]
    """
    card = resources.files("forescale.models").joinpath("literature", "exponents.toml").read_text(encoding="utf-8")
    return pd.DataFrame(row for paper in tomllib.loads(card)["paper"] for row in _rows(paper))


def _rows(paper: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for printed in paper["exponents"]:
        for exponent in (name for name in EXPONENTS if name in printed):
            ends = printed.get(f"{exponent}_interval")
            lower, upper = ends or (np.nan, np.nan)
            yield {
                "paper": paper["key"],
                "method": printed["method"],
                "data": printed.get("data", ""),
                "exponent": exponent,
                "value": printed[exponent],
                "lower": lower,
                "upper": upper,
                "prob": paper.get("prob", np.nan) if ends else np.nan,
                "interval": paper["interval"] if ends else "",
                "n_params": paper["n_params"],
                "citation": paper["citation"],
                "where": printed.get("where", ""),
                "seen": paper["seen"],
            }
