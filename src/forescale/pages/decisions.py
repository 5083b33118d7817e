"""What to expect and what to train: forecasts of loss, and the split of compute with all that is nearly best."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from forescale import plots
from forescale.belief.drift import decades_outside
from forescale.decisions.near_optimal import SLACK
from forescale.decisions.plans import rank_plans
from forescale.estimates.published import published
from forescale.pages import words
from forescale.pages.contents import Paragraph, Part, Section, Table
from forescale.pages.pictures import pictured
from forescale.pages.question import Question
from forescale.verbs.allocate import allocate

#: Published estimates that are drawn and priced beside the source.
BESIDE = ("hoffmann2022", "besiroglu2024", "kaplan2020")


def forecasts(question: Question) -> Section:
    """Bands of loss at the best splits and at the plans."""
    return Section("forecasts", "Forecasts of loss", tuple(_forecasts(question)))


def _forecasts(question: Question) -> Iterator[Part]:
    losses, prob = question.losses, question.prob
    places = [*question.at(question.budgets), *range(len(question.knots), len(losses.points))]
    names = [f"best at {words.size(float(flops))}" for flops in question.budgets] + [*map(str, question.plans.index)]
    outside = _decades(question, places)
    rows = []
    for name, place, far in zip(names, places, outside, strict=True):
        n_params, n_tokens = (float(losses.points[column].iloc[place]) for column in ("n_params", "n_tokens"))
        bands = [words.row_of(losses.draws[kind].isel(point=place), prob) for kind in losses.kinds]
        flops = float(question.cost.flops(n_params, n_tokens))
        sizes = (words.size(n_params), words.size(n_tokens), words.size(flops))
        rows.append((name, *sizes, *far, *(words.bracket(band, words.loss) for band in bands)))
    far_header = ("decades beyond the runs",) if question.runs is not None else ()
    headers = ("run", "parameters", "tokens", "FLOPs", *far_header, *(f"loss, {kind}" for kind in losses.kinds))
    yield Table("Loss in nats per token", headers, tuple(rows))
    kinds = " ".join(words.sentence(f"{kind} is {what}") for kind, what in losses.kinds.items())
    yield Paragraph(f"{question.after} {kinds} {_discrepancy(question)}")
    if question.fit is not None and question.spent is not None and question.largest > question.spent.min():
        yield pictured(
            "loss",
            "Loss of compute-optimal runs against compute",
            f"The loss falls with compute, to {_middle(question)} at {words.size(question.largest)} FLOPs. A narrow "
            "band is of the law's curve, a wide one of a new run; the runs that were fitted lie about the curve or "
            f"above it, and a line marks where they end, at {words.size(float(question.spent.max()))} FLOPs.",
            plots.plot_loss,
            question.source,
            compute=question.largest,
            prob=prob,
        )


def _middle(question: Question) -> str:
    at = question.at(question.largest)
    return f"{words.loss(float(question.losses.draws['mean'].isel(point=at).median()))} nats per token"


def _decades(question: Question, places: Any) -> list[tuple[str, ...]]:
    """How far points lie from the runs fitted, where there are any."""
    if question.runs is None:
        return [()] * len(places)
    split = {name: question.losses.points[name].to_numpy()[places] for name in question.source.law.inputs}
    points = question.all_inputs(split)
    inputs = tuple(points)
    found = decades_outside({name: question.runs.column(name) for name in inputs}, points, inputs)
    return [(f"{decades:.1f}",) for decades in found]


def _discrepancy(question: Question) -> str:
    if "run" not in question.losses.kinds:
        return f"{question.source.name} has no noise model, so that there is no band of a new run."
    if question.losses.discrepancy == "none":
        return "No discrepancy of the law is in any band: beyond the data they are too narrow where the law is wrong."
    return f"The discrepancy in the bands of a new run is {question.losses.discrepancy}."


def allocation(question: Question) -> Section:
    """The best split, its exponents, what is nearly best, and what the plans cost."""
    return Section("allocation", "Allocation of compute", tuple(_allocation(question)))


def _allocation(question: Question) -> Iterator[Part]:
    prob, split = question.prob, question.split
    columns = {"n_params": words.size, "n_tokens": words.size, "tokens_per_param": words.size, "loss": words.loss}
    headers = ["FLOPs", "parameters N*", "tokens D*", "D*/N*", "loss there, nats"]
    if question.limited is not None:
        columns["epochs"] = words.number
        headers.append("epochs")
    rows = []
    for place, flops in enumerate(question.budgets):
        bands = [
            words.bracket(words.row_of(split.draws[name].isel(budget=place), prob), form)
            for name, form in columns.items()
        ]
        rows.append((words.size(float(flops)), *bands))
    yield Table(f"The split of C = {split.cost} with the least loss", tuple(headers), tuple(rows))
    yield Paragraph(f"{question.of_curve} {_exponents(question)}")
    yield from _near(question)
    others = [allocate(published(name), question.grid, cost=question.cost) for name in BESIDE if name != split.source]
    marks = plots.TRAINED | {str(name): (row["n_params"], row["n_tokens"]) for name, row in question.plans.iterrows()}
    last = {
        each.source: np.median(each.draws["n_params"].sel(budget=question.largest))
        for each in (question.curve, *others)
    }
    sizes = [f"{words.size(float(size))} ({source})" for source, size in last.items()]
    yield pictured(
        "allocation",
        "Compute-optimal size against compute, beside published estimates",
        f"Lines of N* rise with compute on logarithmic axes, that of {split.source} with its band. At "
        f"{words.size(question.largest)} FLOPs they are at {words.listed(sizes)}. {words.listed(marks)} are marked.",
        plots.plot_allocation,
        question.curve,
        others=others,
        marks=marks,
        prob=prob,
    )
    yield pictured(
        "contours",
        "Loss over parameters and tokens, and the best split",
        "Contours of equal loss over parameters and tokens on logarithmic axes, with the line of the best split and "
        "its band running through them from small to large budgets.",
        plots.plot_contours,
        question.source,
        compute=question.largest,
        cost=question.cost,
        prob=prob,
    )
    if len(question.plans):
        yield from _plans(question)


def _exponents(question: Question) -> str:
    table = question.split.exponent_table(question.prob)
    here = table[table["flops"] == question.largest] if "flops" in table else table
    told = [f"{row['exponent']} {words.bracket(row, words.exponent)}" for row in here.to_dict("records")]
    where = f" at {words.size(question.largest)} FLOPs" if "flops" in table else ""
    return f"N* grows as C^a and D* as C^b, {words.listed(told)}{where}."


def _near(question: Question) -> Iterator[Part]:
    prob, near = question.prob, question.near
    headers = ["FLOPs", "smallest N", "largest N"]
    rows = []
    for place, flops in enumerate(question.budgets):
        ends = near.draws.isel(budget=place)
        bands = [words.bracket(words.row_of(ends[name], prob), words.size) for name in ("smallest", "largest")]
        rows.append([words.size(float(flops)), *bands])
    if not question.single:
        headers += [f"in the set with {words.percent(prob)} probability", "serving its smallest saves"]
        for row, sure in zip(rows, near.sure(prob).to_dict("records"), strict=True):
            row += [*_span(sure)]
    within = f"All sizes whose loss is within {words.percent(SLACK)} of the least"
    yield Table(within, tuple(headers), tuple(map(tuple, rows)))
    yield Paragraph(
        "The valley is flat, so that the best size is known less well than what it costs to miss it. Each draw of the "
        f"law has a set of such sizes; its ends are given with their bands. {'' if question.single else _SURE}"
    )


def _span(sure: Any) -> tuple[str, str]:
    if sure["smallest"] != sure["smallest"]:  # NaN: no size is in so many of the sets
        return "none", ""
    ends = " to ".join(words.size(sure[end]) for end in ("smallest", "largest"))
    return ends, words.percent(sure["serving_saved"] / 100)


_SURE = (
    "The last but one column has the sizes that are in the set in at least that share of draws: with that probability "
    "each of them is nearly best, if the form of the law is right. What serving saves is against the median best size, "
    "a token served costing FLOPs in proportion to parameters."
)


def _plans(question: Question) -> Iterator[Part]:
    plans = {str(name): (row["n_params"], row["n_tokens"]) for name, row in question.plans.iterrows()}
    found = rank_plans(question.source, plans, cost=question.cost)
    best = allocate(question.source, found.draws["flops"].to_numpy(), cost=question.cost).draws["n_params"]
    several = len(plans) > 1 and not question.single
    chances = found.best() if several else {}
    rows = []
    for place in found.order:
        here = found.draws.isel(plan=place)
        name, n_params, flops = (here[column].item() for column in ("plan", "n_params", "flops"))
        bands = [words.row_of(here[price], question.prob) for price in ("extra_loss", "wasted_compute")]
        sizes = (words.size(n_params), words.size(flops), words.size(float(best.isel(budget=place).median())))
        told = (words.percent(chances[name]),) if several else ()
        rows.append((name, *sizes, *(words.bracket(band, words.price) for band in bands), *told))
    headers = ["plan", "parameters", "FLOPs", "best for those FLOPs", "extra loss, nats", "compute wasted, %"]
    headers += ["probability of the least loss"] if several else []
    yield Table("What the plans cost, against the best split of what they spend", tuple(headers), tuple(rows))
    ranked = " Plans are in the order of their loss, the least first." if len(plans) > 1 else ""
    of_curve = question.of_curve
    yield Paragraph(f"Compute is wasted if less of it, split at best, reaches the same loss.{ranked} {of_curve}")
