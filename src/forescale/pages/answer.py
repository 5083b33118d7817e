"""The answer: one sentence a budget, what it rests on, and a way to read other budgets."""

from __future__ import annotations

import xarray as xr

from forescale.decisions.near_optimal import SLACK
from forescale.estimates.draws import INTERVAL_KIND
from forescale.pages import words
from forescale.pages.contents import Bullets, Paragraph, Section
from forescale.pages.control import control
from forescale.pages.question import Question
from forescale.verbs.forecast import CURVE

_SAID = 5  # budgets in words; further ones are in the tables


def answer(question: Question) -> Section:
    """Say what to train with each budget, and which loss to expect."""
    said = [_sentence(question, place) for place in range(len(question.budgets))]
    if len(said) > _SAID:
        said = [*said[: _SAID - 1], said[-1]]
    return Section(
        "answer",
        "The answer",
        (
            *_alarm(question),
            *(Paragraph(words.stopped(words.sentence(warning)), urgent=True) for warning in question.warned),
            Bullets(tuple(said)),
            Paragraph(_bands(question)),
            Paragraph(_flat(question)),
            *([Paragraph(_far(question, float(question.spent.max())))] if question.spent is not None else []),
            control(question),
        ),
    )


def _alarm(question: Question) -> tuple[Paragraph, ...]:
    if question.fit is None or question.fit.diagnostics.passed:
        return ()
    failed = "; ".join(question.fit.diagnostics.failures)
    return (Paragraph(f"This fit did not converge ({failed}). Nothing in this report should be used.", urgent=True),)


def _sentence(question: Question, place: int) -> str:
    prob, draws = question.prob, question.split.draws.isel(budget=[place])
    sizes, tokens = (words.row_of(draws[name], prob) for name in ("n_params", "n_tokens"))
    at = question.at(question.budgets[place])
    losses = {kind: words.row_of(question.losses.draws[kind].isel(point=at), prob) for kind in question.losses.kinds}
    parts = [
        words.spoken(sizes, words.size, "parameters", prob),
        words.spoken(tokens, words.size, "tokens", prob),
        *_epochs(question, draws),
        words.spoken(losses["mean"], words.loss, "nats per token", prob),
    ]
    if "run" in losses:
        low, high = (words.loss(losses["run"][end]) for end in ("lower", "upper"))
        parts.append(f"a new run {low} to {high}")
    return f"At {words.size(float(question.budgets[place]))} FLOPs: {'; '.join(parts)}."


def _epochs(question: Question, draws: xr.Dataset) -> tuple[str, ...]:
    """How often the different tokens are seen, where there are only so many."""
    if question.limited is None:
        return ()
    unit = f"epochs of {words.size(question.limited)} different tokens"
    return (words.spoken(words.row_of(draws["epochs"], question.prob), words.number, unit, question.prob),)


def _bands(question: Question) -> str:
    if question.single:
        return (
            f"{question.after} These are points on the law's curve, by {question.source.name}, with a cost of "
            f"{question.cost.name}. How far they may be off is not known."
        )
    if "run" not in question.losses.kinds:
        kinds = f"of {CURVE} as well, since there is no noise model and hence no band of a new run"
    else:
        kinds = "of two kinds: " + "; ".join(f"{kind} is {what}" for kind, what in question.losses.kinds.items())
    return (
        f"Each is a median and the {words.percent(question.prob)} {INTERVAL_KIND} interval, by "
        f"{question.source.name}, where training costs {question.cost.name}. Bands of parameters and tokens are of the "
        f"law's curve alone: they take the law to be right. Those of loss are {kinds}."
    )


def _flat(question: Question) -> str:
    ends = question.near.draws.isel(budget=-1).median()
    low, high = (float(ends[name]) for name in ("smallest", "largest"))
    whose = "" if question.single else " (medians)"
    return (
        f"The size need not be met exactly. With {words.size(question.largest)} FLOPs any model from {words.size(low)} "
        f"to {words.size(high)} parameters{whose}, a factor of {words.times(high / low)} from end to end, comes within "
        f"{words.percent(SLACK)} of the least loss, if the law is right."
    )


def _far(question: Question, most: float) -> str:
    beyond = question.largest / most
    if beyond <= 1:
        return f"The largest run of the table spent {words.size(most)} FLOPs: nothing here is beyond the data."
    return (
        f"The largest run of the table spent {words.size(most)} FLOPs. {words.size(question.largest)} FLOPs is "
        f"{words.times(beyond)} times that: what is said of it is extrapolated, and rests on the law."
    )
