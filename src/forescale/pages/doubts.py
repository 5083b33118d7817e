"""How far the answer can be trusted: what it hangs on, what would change it, how bands fared, what is not known."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from forescale import plots
from forescale.checking.backtest import Backtest
from forescale.checking.scoring import PROBS, coverage_name
from forescale.estimates.fit import Fit
from forescale.numbers.budgets import POOL
from forescale.pages import words
from forescale.pages.contents import Bullets, Code, Paragraph, Part, Section, Table
from forescale.pages.pictures import pictured
from forescale.pages.question import Question
from forescale.units import COST_MODELS
from forescale.verbs.allocate import allocate
from forescale.verbs.prior_sensitivity import FINE, prior_sensitivity
from forescale.verbs.sensitivity import Sensitivity
from forescale.verbs.sensitivity import sensitivity as sensitivity_of

_ALONG = 9  # budgets of a curve of shares
_TOKENS_SHORT = 0.5  # of D*: a corpus of half the tokens wanted


def sensitivity(question: Question) -> Section:
    """Whose spread the best size and its loss have."""
    heading = "Sensitivity"
    sizes, losses = (
        sensitivity_of(question.source, of, compute=question.budgets, cost=question.cost) for of in ("n_params", "loss")
    )
    return Section("sensitivity", heading, tuple(_sensitivity(question, sizes, losses)))


def _sensitivity(question: Question, sizes: Sensitivity, losses: Sensitivity) -> Iterator[Part]:
    if not question.single:
        said = [found.sentence(flops=float(flops)) for flops in question.budgets for found in (sizes, losses)]
        yield Bullets(tuple(map(words.sentence, said)))
    flops, rows = words.size(question.largest), []
    slopes = sizes.elasticities(question.prob)
    here = slopes[(slopes["flops"] == question.largest) & (slopes["measure"] == "elasticity")]
    moved = sizes.changes(question.prob)
    moved = moved[(moved["flops"] == question.largest) & (moved["others"] == "conditioned")].set_index("parameter")
    for row in here.to_dict("records"):
        change = () if question.single else (f"x {10 ** float(moved.loc[row['parameter'], 'median']):.3g}",)
        rows.append((row["parameter"], words.bracket(row, words.number), *change))
    more = () if question.single else ("N* if learned to be one sd larger",)
    yield Table(f"What N* at {flops} FLOPs hangs on", ("parameter", "elasticity", *more), tuple(rows))
    yield Paragraph(
        "An elasticity of 2 means that one percent more of the parameter makes N* two percent larger, all others as "
        "they are. The last column is what learning that a parameter is one standard deviation larger would do to N*, "
        f"since the runs tie others to it. {question.after}"
        if more
        else "An elasticity of 2 means that one percent more of the parameter makes N* two percent larger."
    )
    if more:
        low, high = question.grid[[0, -1]].tolist()
        yield pictured(
            "shares",
            "Whose spread the best size has, against compute",
            "Shares of the variance of log N* that knowing a parameter, or a pair, would remove, against compute.",
            plots.plot_shares,
            sensitivity_of(question.source, compute=np.geomspace(low, high, _ALONG), cost=question.cost),
        )


def changes(question: Question) -> Section:
    """What else, if it were otherwise, would move the answer."""
    return Section("changes", "What would change the answer", (Bullets(tuple(_changes(question))),))


def _changes(question: Question) -> Iterator[str]:
    flops, split = question.largest, question.split.draws.isel(budget=-1)
    at = f"at {words.size(flops)} FLOPs"
    best = float(split["n_params"].median())
    for name in COST_MODELS:
        if name != question.cost.name:
            other = float(allocate(question.source, flops, cost=name).draws["n_params"].median())
            yield (
                f"Another count of what training costs: with {name} the best size {at} is {words.size(other)} "
                f"parameters, {_compared(other / best)}."
            )
    yield _fewer_tokens(question, at)
    if question.fit is not None:
        yield _priors(question.fit, question)
    yield (
        "Serving the model: the split is the best for training alone. Whoever pays for many tokens of inference trains "
        "a smaller model for longer; the set of nearly best sizes says how much smaller costs next to nothing."
    )
    yield (
        "Another law: the comparison above prices other advice as if this law were right, and bands of the split take "
        "it to be right."
    )


def _compared(ratio: float) -> str:
    return f"{words.percent(float(f'{abs(ratio - 1):.1e}'))} {'more' if ratio > 1 else 'less'}"


def _fewer_tokens(question: Question, at: str) -> str:
    """What half the tokens would do: half of the different ones, where they repeat; half of D*, where they do not."""
    flops, cost = question.largest, question.cost
    if question.limited is not None:
        tokens = _TOKENS_SHORT * question.limited
        found = allocate(question.estimate, flops, cost=cost, unique_tokens=tokens).draws.isel(budget=0)
        bands = [words.bracket(words.row_of(found[n], question.prob), words.size) for n in ("n_params", "n_tokens")]
        return (
            f"Too few tokens: with {words.size(tokens)} different ones, half as many, the best split {at} is of "
            f"{bands[0]} parameters and {bands[1]} tokens, and the loss is {_more_loss(question, found)} nats higher."
        )
    tokens = _TOKENS_SHORT * float(question.split.draws["n_tokens"].isel(budget=-1).median())
    found = allocate(question.source, flops, cost=cost, n_tokens_bounds=(None, tokens)).draws.isel(budget=0)
    return (
        f"Too few tokens: with a corpus of {words.size(tokens)} tokens, half of D* {at}, run once, the same compute "
        f"pays for {words.size(float(cost.n_params(flops, tokens)))} parameters, and the loss is "
        f"{_more_loss(question, found)} nats higher."
    )


def _more_loss(question: Question, found: xr.Dataset) -> str:
    return words.bracket(
        words.row_of(found["loss"] - question.split.draws["loss"].isel(budget=-1), question.prob), words.price
    )


def _priors(fit: Fit, question: Question) -> str:
    found = prior_sensitivity(fit, "n_params", compute=question.largest, cost=question.cost, **question.pool).table()
    forecast, flagged = found.iloc[-1], found[found["diagnosis"] != FINE]
    named = [f"{row['quantity']} ({row['diagnosis']})" for row in flagged.to_dict("records")]
    told = f"it is sensitive in {words.listed(named)}" if named else "no parameter is sensitive to them"
    return (
        f"Other priors: by power scaling N* is {'not sensitive' if forecast['diagnosis'] == FINE else 'sensitive'} to "
        f"them ({forecast['prior']:.3f}, where 0.05 would be; to the runs {forecast['likelihood']:.3f}), and {told}."
    )


def backtest(question: Question) -> Section:
    """How bands of a new run fared where what came is known."""
    return Section("backtest", "Evidence for the bands", tuple(_backtest(question)))


def _backtest(question: Question) -> Iterator[Part]:
    if question.backtest is None:
        yield Paragraph(
            "No backtest was given, so that nothing here shows how such bands fare on runs beyond a cut of this table. "
            "This does it, in minutes:"
        )
        yield Code("back = fs.backtest(runs, model, random_seed=1)\nfs.report(fit, backtest=back)")
        return
    found, totals = question.backtest, question.backtest.table(None)
    names = [coverage_name(prob) for prob in PROBS]
    rows = [
        (
            str(row["model"]),
            str(row["points"]),
            *(f"{row[name]:.2f}" for name in names),
            *(f"{row[name]:.2f}" for name in ("interval_score", "crps", "log_score")),
            f"{row['bias']:+.2f}",
        )
        for row in _records(totals)
    ]
    inside = tuple(f"inside {words.percent(prob)}" for prob in PROBS)
    headers = ("model", "forecasts", *inside, "interval score", "CRPS", "log score", "bias")
    tables = words.listed(map(str, found.points["table"].unique()))
    yield Table(f"Runs of {tables} beyond a cut by {found.by}, forecast from those up to it", headers, tuple(rows))
    yield Paragraph(
        "Shares of held-out runs inside bands of a new run, best at the probability of the band. Interval score (of "
        "90 % bands), CRPS and bias are in percent of loss, log score in nats; lower is better, and bias is best at "
        "zero, above it where loss was forecast too high. Runs beyond one cut share the error of one fitted law, so "
        f"that far fewer than that many forecasts are independent. {_elsewhere(question, found)}{_failed(found)}"
    )
    yield pictured(
        "coverage",
        "Share of held-out runs inside their 90 % band, by distance",
        "A line for each model, with bars, against decades beyond the largest run fitted, beside a dashed line at the "
        "target of 90 %.",
        plots.plot_coverage,
        found,
    )


def _elsewhere(question: Question, found: Backtest) -> str:
    known = question.runs is not None and question.runs.name in set(found.points["table"])
    return "" if known else "None of these runs is of the table of this report. "


def _failed(found: Backtest) -> str:
    return f"{words.count(len(found.failures), 'task')} failed and take no part." if len(found.failures) else ""


def _records(table: Any) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = table.to_dict("records")
    return records


def unknown(question: Question) -> Section:
    """What nobody should read into this report."""
    return Section("unknown", "What this report does not know", (Bullets(tuple(_unknown(question))),))


def _unknown(question: Question) -> Iterator[str]:
    if question.spent is None:
        yield "How runs scatter, and how far this estimate is from any runs: it has no table."
    else:
        beyond = np.log10(question.largest / float(question.spent.max()))
        if beyond > 0:
            yield (
                f"Whether the law holds over the {beyond:.1f} decades of compute between the largest run and "
                f"{words.size(question.largest)} FLOPs. Bands of a new run say how far such laws have been wrong "
                "elsewhere, if the model has a drift; bands of the split, the sensitivities and the contradiction "
                "point take the law to be right."
            )
    if question.single:
        yield f"How uncertain {question.source.name} is: no usable uncertainty is known, and nothing has a band."
    yield (
        "Whether runs to come are like those fitted: the same data, tokenizer, architecture, schedule and care. A loss "
        "in nats per token is comparable only with one tokenizer and one test set."
    )
    yield "What a loss is worth: it says nothing of any task, of safety or of what a model can do."
    if question.unique_tokens is None:
        yield "What happens when tokens are repeated: the law is of training once over the data."
    elif question.limited is not None and question.runs is not None:
        epochs = (question.runs.column("n_tokens") / question.runs.column(POOL)).max()
        yield f"What repeats are worth beyond the {words.number(float(epochs))} epochs, at most, of the runs."
    yield "What compute costs in time and money, and whether the runs were tuned equally well at every size."
    if question.backtest is None:
        yield "How often bands like these have held on this table: there is no backtest."
