"""A plan for the largest budget, and the runs that would tell most of it."""

from __future__ import annotations

from collections.abc import Iterator

from forescale import plots
from forescale.decisions.plan import FIRST, Plan
from forescale.pages import words
from forescale.pages.contents import Bullets, Code, Paragraph, Part, Section, Table
from forescale.pages.pictures import pictured
from forescale.pages.question import Question

_CANDIDATES = 8


def plan(question: Question) -> Section:
    """What to train, what to expect and what could go wrong, on one figure."""
    return Section("plan", f"A plan for {words.size(question.largest)} FLOPs", tuple(_plan(question)))


def _plan(question: Question) -> Iterator[Part]:
    found = question.planned
    if isinstance(found, str):
        yield from _none(found)
        return
    size, tokens = (words.size(found.run[name]) for name in ("n_params", "n_tokens"))
    yield Paragraph(f"Train {size} parameters on {tokens} tokens. What could go wrong:")
    yield Bullets(tuple(map(words.stopped, found.risks(question.prob))))
    yield pictured(
        "plan",
        f"A plan for {words.size(found.flops)} FLOPs",
        "Four panels: how probably each size is nearly best; the loss of the planned run, narrow for the law's curve "
        "and wide for a new run; what a model of half or twice the size wastes; and how much of the variance of the "
        "best size small runs would leave.",
        plots.plot_plan,
        found,
        prob=question.prob,
    )


def following(question: Question) -> Section:
    """Small runs, by what their losses would tell of the best size."""
    return Section("next", "Which run next", tuple(_next(question)))


def _next(question: Question) -> Iterator[Part]:
    found = question.planned
    if isinstance(found, str):
        yield from _none(found)
        return
    flops = words.size(found.flops)
    ranked = found.first.runs.head(_CANDIDATES).to_dict("records")
    rows = [(row["run"], words.size(row["flops"]), words.percent(round(row["remaining"], 3))) for row in ranked]
    inputs = "parameters, tokens" if question.unique_tokens is None else "parameters, tokens, different tokens"
    headers = (inputs, "FLOPs", "variance of log N* left")
    yield Table(f"Small runs that tell most, per FLOP, of N* at {flops} FLOPs", headers, tuple(rows))
    batch = found.first.batch
    last = batch.iloc[-1]
    several = "; ".join(batch["run"].head(_CANDIDATES))
    others = f"; and {len(batch) - _CANDIDATES} more" if len(batch) > _CANDIDATES else ""
    yield Paragraph(
        f"For {words.percent(FIRST)} of the budget the best that was found together is {several}{others}. That costs "
        f"{words.size(last['total_flops'])} FLOPs, and {words.percent(round(last['remaining'], 3))} of the "
        f"variance of log N* is expected to be left. It is now {_spread(found)}. All of it takes the law to be right "
        "at all sizes: that a tiny run tells much of a large one hangs on that."
    )
    yield Code('fs.next_runs(fit, candidates, "loss", n_params=..., n_tokens=..., budget=...)  # of another forecast')


def _spread(found: Plan) -> str:
    return f"{found.first.sd:.2g} in decades, as a standard deviation"


def _none(why: str) -> Iterator[Part]:
    yield Paragraph(f"There is none: {words.stopped(why)} With a fit of runs, and for any budget:")
    yield Code("fs.plan(fit, budget)")
