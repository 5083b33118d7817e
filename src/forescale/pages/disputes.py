"""Where estimates disagree, and where trends contradict each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from forescale import plots
from forescale.checking.compare import Comparison
from forescale.checking.separation import Disagreement, disagree
from forescale.errors import ModelError
from forescale.estimates.draws import Estimate
from forescale.estimates.fit import Fit
from forescale.estimates.published import published
from forescale.estimates.trends import published_trends
from forescale.pages import words
from forescale.pages.contents import Bullets, Code, Paragraph, Part, Section, Table
from forescale.pages.decisions import BESIDE
from forescale.pages.pictures import pictured
from forescale.pages.question import Question
from forescale.verbs.allocate import allocate
from forescale.verbs.contradiction import Contradiction, contradiction
from forescale.verbs.limits import trends_of
from forescale.verbs.reconcile import reconcile
from forescale.verbs.regret import Regret, regret

_KAPLAN = "kaplan2020"
_RULE_OF_THUMB = 20  # tokens per parameter
_LIMITS = (1e19, 1e22)  # FLOPs, of Hoffmann et al.'s runs, where there is no table of one's own
_DECADES = 3  # below the largest run, where trends are read off a law
_POINT = {"flops": "C*, FLOPs", "n_params": "N*, parameters", "n_tokens": "D*, tokens", "loss": "L*, nats per token"}


def comparison(question: Question) -> Section:
    """Other advice on the largest budget, what it costs to follow it, and a second estimate in detail."""
    return Section("comparison", "Kaplan, Chinchilla and other advice", tuple(_comparison(question)))


def _comparison(question: Question) -> Iterator[Part]:
    rows = [_advice_row(question, name, found) for name, found in _advice(question)]
    headers = ("followed", "parameters", "tokens", "extra loss, nats", "compute wasted, %")
    yield Table(
        f"Advice on {words.size(question.largest)} FLOPs, priced by {question.source.name}", headers, tuple(rows)
    )
    yield Paragraph(
        f"Extra loss and waste are against the best split, if {question.source.name} is right; to follow its own "
        f"median has a price too, that of not knowing it better. {question.of_curve} An optimum is that of the law; "
        "the rule is what Kaplan et al. print beside theirs."
    )
    yield Bullets(tuple(_exponents(question)))
    yield from _why(question)
    yield from _beside(question)


def _why(question: Question) -> Iterator[Part]:
    """Kaplan et al.'s reading of this law, where there is something to leave out of its N."""
    source = question.source
    if question.counts_embeddings is not True or source.law.sum_of_powers is None:
        return
    try:
        draws = reconcile(source).draws
    except ModelError as error:
        yield Paragraph(f"Why they disagree could not be worked out: {words.stopped(str(error))}")
        return
    near, far = (
        words.bracket(words.row_of(draws[name], question.prob), words.exponent) for name in ("range_exponent", "limit")
    )
    yield Paragraph(
        "Why they disagree: read as Kaplan et al. read theirs, without embeddings and at their sizes, this law has an "
        f"exponent a of {near}, where they print 0.73; as models grow it tends to {far}."
    )


def _advice(question: Question) -> Iterator[tuple[str, Regret]]:
    source, flops, cost = question.source, question.largest, question.cost
    yield "its own median", regret(source, flops, like=source, cost=cost)
    yield (
        f"{_RULE_OF_THUMB} tokens per parameter",
        regret(source, flops, tokens_per_param=_RULE_OF_THUMB, cost=cost),
    )
    others: list[Estimate] = [published(name) for name in BESIDE]
    if isinstance(question.beside, Estimate):
        others.append(question.beside)
    for other in others:
        if other.name != source.name:
            yield f"optimum of {other.name}", regret(source, flops, like=other, cost=cost)
    rule = published(_KAPLAN).rules["n_params"]
    yield f"rule of {_KAPLAN}", regret(source, flops, n_params=rule, cost=cost)


def _advice_row(question: Question, name: str, found: Regret) -> tuple[str, ...]:
    plan = [words.size(float(found.draws[column][0])) for column in ("n_params", "n_tokens")]
    bands = [words.row_of(found.draws[price], question.prob) for price in ("extra_loss", "wasted_compute")]
    return (name, *plan, *(words.bracket(band, words.price) for band in bands))


def _exponents(question: Question) -> Iterator[str]:
    told = []
    for other in (question.source, *map(published, BESIDE)):
        found = allocate(other, question.largest, cost=question.cost).draws["a"]
        told.append(f"{words.bracket(words.row_of(found, question.prob), words.exponent)} by {other.name}")
    yield f"Exponent a of N* ~ C^a at that budget: {'; '.join(dict.fromkeys(told))}."
    uncounted = [name for name in BESIDE if published(name).counts_embeddings is False]
    mine = question.counts_embeddings
    if uncounted and mine is not False:
        yield (
            f"N of {words.listed(uncounted)} counts no embeddings, that of {question.source.name} "
            f"{'does' if mine else 'may'}. Sizes are compared as if they meant the same, which matters little in large "
            "models and much in small ones."
        )


def _beside(question: Question) -> Iterator[Part]:
    beside, source = question.beside, question.source
    if beside is None:
        yield Paragraph(
            "No second estimate was given, so which law predicts the runs better is not said here. This does it:"
        )
        yield Code('other = fs.fit(runs, "kaplan", random_seed=1)\nfs.report(fit, compare_with=fs.compare(fit, other))')
    elif isinstance(beside, Comparison):
        yield from _scores(beside)
        yield from _divergence(question, beside)
        yield from _disagreement(question, beside.disagreement)
        yield Bullets(tuple(words.stopped(note) for note in beside.notes))
    else:
        both = {source.name: source, beside.name: beside}
        least = min(question.grid[0], question.budgets[0])
        found = disagree(
            both, {}, question.budgets, question.cost, (float(least), float(question.grid[-1])), question.seed
        )
        yield from _disagreement(question, found)
        if question.fit is not None and isinstance(beside, Fit):
            yield Paragraph("Which of the two predicts the runs better was not scored. This does it:")
            yield Code("fs.report(fit, compare_with=fs.compare(fit, other))")


def _scores(found: Comparison) -> Iterator[Part]:
    rows = []
    for name, row in found.scores.iterrows():
        behind = f"{-row['elpd_diff']:.1f} ± {row['elpd_diff_se']:.1f}" if row["elpd_diff"] else "best"
        cells = (
            f"{row['rms_percent']:.2f}",
            f"{row['bias_percent']:+.2f}",
            f"{row['elpd']:.1f}",
            behind,
            f"{row['weight']:.2f}",
        )
        rows.append((str(name), *("–" if "nan" in cell else cell for cell in cells)))
    headers = ("estimate", "rms error, %", "bias, %", "elpd, nats", "behind by", "stacking weight")
    yield Table(f"How well each predicts {found.runs.name}", headers, tuple(rows))
    yield Paragraph(
        "elpd is the log density of each run's log loss given the other runs, summed: leave-one-out. Higher is better; "
        "± is a standard error. rms error and bias are of the median curve, on runs that a fit has seen."
    )


def _divergence(question: Question, found: Comparison) -> Iterator[Part]:
    if len(found.disagreement.sources) > 1:
        yield pictured(
            "divergence",
            "The best size by each estimate, against compute",
            "Bands of N* by each estimate rise with compute and part from each other beyond the data.",
            plots.plot_divergence,
            found,
            quantity="n_params",
            prob=question.prob,
        )


def _disagreement(question: Question, found: Disagreement) -> Iterator[Part]:
    rows = []
    for pair in found.separation(question.prob).to_dict("records"):
        if pair["larger"]:
            ends = (words.size(pair["flops_from"]), words.size(pair["flops_to"]))
            rows.append((f"{pair['first']} and {pair['second']}", pair["larger"], *ends))
    low, high = (words.size(end) for end in found.between)
    if rows:
        headers = ("estimates", "larger model by", "from FLOPs", "to FLOPs")
        yield Table(f"Where {words.percent(question.prob)} bands of N* do not meet", headers, tuple(rows))
    else:
        yield Paragraph(f"Their {words.percent(question.prob)} bands of N* meet everywhere from {low} to {high} FLOPs.")
    prices = []
    for (followed, true), price in found.regrets.items():
        if followed != true:
            last = price.draws.isel(budget=-1)
            bands = [words.row_of(last[name], question.prob) for name in ("extra_loss", "wasted_compute")]
            prices.append((followed, true, *(words.bracket(band, words.price) for band in bands)))
    flops = float(next(iter(found.regrets.values())).draws["budget"][-1]) if prices else np.nan
    headers = ("followed", "true", "extra loss, nats", "compute wasted, %")
    yield Table(f"The price at {words.size(flops)} FLOPs of following one if another is true", headers, tuple(prices))


def contradictions(question: Question) -> Section:
    """Kaplan et al.'s point, and what becomes of it under the law of this report."""
    return Section("contradiction", "Where trends contradict each other", tuple(_contradictions(question)))


def _contradictions(question: Question) -> Iterator[Part]:
    yield Paragraph(
        "The loss of compute-efficient training, L(C), falls faster than the loss that its data allow, L(D(C)). Where "
        "two such trends meet, one of them has to bend: they cannot both hold beyond that point."
    )
    printed = contradiction(published_trends(_KAPLAN))
    if question.spent is None:
        low, high = _LIMITS
    else:
        high = float(question.spent.max())
        low = max(float(question.spent.min()), high / 10**_DECADES)
    trends = trends_of(question.source, (low, high), cost=question.cost)
    mine = contradiction(trends)
    cells = [
        (label, *(_point(found, name, question.prob) for found in (printed, mine))) for name, label in _POINT.items()
    ]
    yield Table("The point of contradiction", ("quantity", f"printed trends of {_KAPLAN}", trends.name), tuple(cells))
    never = words.listed(f"{words.percent(found.never)} of draws by {found.source}" for found in (printed, mine))
    yield Paragraph(
        f"{_interval(question.prob)} of the trends, without scatter or discrepancy, over all draws; the trends never "
        f"meet in {never}. {words.sentence(printed.basis)} {words.sentence(mine.basis)}"
    )
    yield pictured(
        "contradiction",
        f"The printed trends of {_KAPLAN} and where they meet",
        "Two falling bands on logarithmic axes, the loss of compute-efficient training and the loss that its data "
        "allow, cross; a cloud of points marks where, over more than a decade of compute.",
        plots.plot_contradiction,
        printed,
        prob=question.prob,
    )
    joint: Any = contradiction(question.source, compute=question.budgets, cost=question.cost)
    gap = words.bracket(words.row_of(joint.draws["gap"].isel(budget=-1), question.prob), words.loss)
    yield Paragraph(
        f"The law of this report itself has no such point: {joint.reason}. At {words.size(question.largest)} FLOPs the "
        f"gap is {gap} nats."
    )


def _point(found: Contradiction, name: str, prob: float) -> str:
    def write(value: float) -> str:
        return (words.loss if name == "loss" else words.size)(value) if np.isfinite(value) else "never"

    return words.bracket(words.row_of(found.draws[name], prob), write)


def _interval(prob: float) -> str:
    return f"Median and, in brackets, the {words.percent(prob)} equal-tailed interval"
