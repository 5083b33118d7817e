"""The interactive part: quantiles of loss, N* and D* at a grid of budgets, for a page to look up."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from forescale.estimates.draws import INTERVAL_KIND
from forescale.pages import words
from forescale.pages.contents import Control
from forescale.pages.question import Question

#: Probabilities that can be chosen, beside that of the report.
PROBS = (0.5, 0.8, 0.9, 0.95, 0.99)
_DIGITS = 6  # significant ones of what is embedded


def control(question: Question) -> Control:
    """Quantiles of each quantity along the grid, interpolated in logs between its budgets."""
    probs = [] if question.single else sorted({*PROBS, question.prob})
    levels = [0.5, *((1 - prob) / 2 for prob in probs), *((1 + prob) / 2 for prob in probs)]
    embedded, errors = [], []
    for label, unit, kind, draws in _quantities(question):
        found = draws.quantile(levels, ("chain", "draw")).to_numpy()
        known = found[:, question.at(question.grid)]
        errors.append(_error(found, known, question))
        embedded.append({"label": label, "unit": unit, "kind": kind, "levels": [_short(row) for row in known]})
    data = {
        "budgets": _short(question.grid),
        "probs": probs,
        "prob": question.prob,
        "start": _short([question.largest])[0],
        "interval": INTERVAL_KIND,
        "quantities": embedded,
    }
    return Control(_note(question, errors), data)


def _note(question: Question, errors: list[float]) -> str:
    low, high = (words.size(float(end)) for end in question.grid[[0, -1]])
    curve = len(errors) - ("run" in question.losses.kinds)
    said = f"by at most {words.percent(float(f'{max(errors[:curve]):.1e}'))}"
    if curve < len(errors):
        chance = words.percent(float(f"{errors[-1]:.1e}"))
        said += f", for a new run by {chance}, since each budget has draws of noise of its own"
    return (
        f"From {words.count(len(question.grid), 'embedded budget')} between {low} and {high} FLOPs. At those of this "
        "report it says what the tables say; between two it interpolates in logs, and halfway differs from what is "
        f"computed there {said}. Loss is that of a run at the median N*."
    )


def _quantities(question: Question) -> list[tuple[str, str, str, xr.DataArray]]:
    losses, split, places = question.losses, question.curve.draws, len(question.knots)
    told = {"mean": "loss, the law's curve (mean)", "run": "loss of a new run (run)"}
    return [
        ("N*, parameters", "parameters", "size", split["n_params"]),
        ("D*, tokens", "tokens", "size", split["n_tokens"]),
        ("D*/N*", "tokens per parameter", "size", split["tokens_per_param"]),
        *(
            (told[kind], "nats per token", "loss", losses.draws[kind].isel(point=slice(places)))
            for kind in losses.kinds
        ),
    ]


def _error(levels: Any, known: Any, question: Question) -> float:
    """The largest relative error of interpolation, at the budgets halfway between those embedded."""
    at, there = np.log(question.knots), np.log(question.grid)
    read = np.array([np.interp(at, there, np.log(row)) for row in known])
    return float(np.abs(np.expm1(read - np.log(levels))).max())


def _short(values: Any) -> list[float]:
    return [float(f"{value:.{_DIGITS - 1}e}") for value in np.asarray(values).tolist()]
