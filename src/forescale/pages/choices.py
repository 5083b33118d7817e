"""What else compute could buy: a model to be served, a loss to be reached, more of something, another recipe."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forescale import plots
from forescale.decisions.compute_gain import TRENDS, compute_gain
from forescale.decisions.compute_to import ComputeTo, compute_to
from forescale.decisions.returns import returns
from forescale.decisions.returns_until import LEAST, MOST, returns_until
from forescale.decisions.serve import serve
from forescale.errors import DataError, ForescaleError
from forescale.estimates.draws import is_single
from forescale.pages import words
from forescale.pages.contents import Code, Paragraph, Part, Section, Table
from forescale.pages.pictures import pictured
from forescale.pages.question import Question

_SERVED = (1.0, 10.0, 100.0)  # tokens served, in units of those trained on, unless a demand is given
_WORTH = (0.1, 0.03, 0.01)  # nats that ten times the compute may be asked to take off
_LOWER = 0.98  # of the lowest loss that the budgets reach: one that they do not
_ALONG = 25  # budgets of a curve of gains


def serving(question: Question) -> Section:
    """The cheapest model of the same loss, once it serves its users, at the largest budget."""
    return Section("serving", "If the model is served", tuple(_serving(question)))


def _serving(question: Question) -> Iterator[Part]:
    prob, flops = question.prob, question.largest
    trained = float(question.split.draws["n_tokens"].sel(budget=flops).median())
    demand = question.demand if question.demand is not None else np.array(_SERVED) * trained
    found = serve(question.source, demand, compute=flops)
    columns = {"n_params": words.size, "n_tokens": words.size, "saving": words.number}
    rows = []
    for place, served in enumerate(demand):
        here = found.draws.isel(demand=place)
        bands = [words.bracket(words.row_of(here[name], prob), form) for name, form in columns.items()]
        rows.append((words.size(float(served)), f"{words.number(served / trained)}", *bands))
    yield Table(
        f"The cheapest to train and to serve, at {found.quality}",
        ("tokens served", "times those of the best split", "parameters", "tokens trained on", "saved in all, %"),
        tuple(rows),
    )
    yield Paragraph(
        "A smaller model trained on more tokens has the same loss, costs more to train and less to serve. Training "
        "costs 6ND FLOPs here, and serving S tokens 2NS at the same price of a FLOP; saved is against the model that "
        f"is cheapest to train. {question.of_curve}"
    )


def target(question: Question) -> Section:
    """The compute that losses take, how probably the budgets are enough, and what would have to be true."""
    return Section("target", "What a loss takes", tuple(_target(question)))


def _target(question: Question) -> Iterator[Part]:
    asked, kinds, without = _losses(question), question.losses.kinds, ""
    found = {"mean": compute_to(question.source, asked, cost=question.cost)}
    if "run" in kinds:
        try:
            found["run"] = compute_to(question.source, asked, cost=question.cost, kind="run")
        except DataError as error:  # a loss that the smallest run of the table has already
            without = f" Nothing is said of a new run: {words.stopped(str(error))}"
    told = {"compute": words.size, "n_params": words.size, "n_tokens": words.size}
    rows, sure = [], []
    for loss in asked:
        for kind, takes in found.items():
            here = takes.draws.sel(loss=loss)
            bands = [words.bracket(words.row_of(here[name], question.prob), _reached(w)) for name, w in told.items()]
            named = (words.loss(loss), kind)
            if question.single:
                rows.append((*named, *bands))
                continue
            rows.append((*named, *bands, words.percent(float(takes.never.sel(loss=loss)))))
            chances = takes.probability(question.budgets)
            sure.append((*named, *(f"{chance:.2f}" for chance in chances["probability"][chances["loss"] == loss])))
    headers = ("loss, nats", "band", "FLOPs", "parameters", "tokens", *(() if question.single else ("never",)))
    yield Table("Compute with which the best split reaches a loss", headers, tuple(rows))
    usual = "" if question.losses_asked is not None else _USUAL
    meant = " ".join(words.sentence(f"{kind} is {what}") for kind, what in kinds.items() if kind in found)
    infinite = "" if question.single else " Draws that never reach a loss count as infinite."
    yield Paragraph(f"{usual}{infinite} {question.after} {meant}{without}")
    if question.single:
        return
    budgets = [f"{words.size(float(flops))} FLOPs" for flops in question.budgets]
    yield Table("Probability that a budget is enough", ("loss, nats", "band", *budgets), tuple(sure))
    yield from _conditions(question, [*found.values()][-1])
    last = compute_to(question.source, asked[:_CURVES], cost=question.cost, kind=[*found][-1])
    if np.isfinite(last.draws["compute"]).any():
        yield pictured(
            "target",
            f"How probably compute is enough for a loss, by {last.told}",
            "A curve for each loss, of probability against compute on a logarithmic axis: it rises from 0 to the share "
            "of draws that reach the loss at all.",
            plots.plot_compute_to,
            last,
        )


_CURVES = 6
_USUAL = (
    "Losses are those that the budgets of this report reach at their best split, in the median, and one 2\u00a0% lower."
)


def _losses(question: Question) -> list[float]:
    if question.losses_asked is not None:
        return [float(loss) for loss in question.losses_asked]
    reached = question.split.draws["loss"].median(("chain", "draw")).to_numpy()
    return [*dict.fromkeys(round(float(loss), 3) for loss in (*reached, _LOWER * reached[-1]))]


def _reached(write: words.Write) -> words.Write:
    return lambda value: "never" if np.isinf(value) else write(value)


def _conditions(question: Question, found: ComputeTo) -> Iterator[Part]:
    """What would have to be true where that is most open."""
    table = found.conditions(question.largest)
    cases = table.drop_duplicates("loss")
    case = cases.iloc[(cases["probability"] - 0.5).abs().to_numpy().argmin()]
    if not 0 < case["probability"] < 1:
        return
    rows = [
        (
            str(row["parameter"]),
            words.number(row["if_reached"]),
            words.number(row["if_missed"]),
            f"{row['side']} {words.number(row['threshold'])}",
            words.percent(round(row["told"], 3)),
        )
        for row in table[table["loss"] == case["loss"]].to_dict("records")
    ]
    what = f"{words.size(question.largest)} FLOPs to reach {words.loss(case['loss'])}"
    headers = ("parameter", "median if reached", "if missed", "reached where it is", "which is right for")
    yield Table(f"What would have to be true for {what}", headers, tuple(rows))
    yield Paragraph(
        f"Medians are over draws of {found.told} that do and do not. The last columns are the one condition on each "
        "parameter that tells them best, and how often it is right, where 50\u00a0% is chance."
    )


def more(question: Question) -> Section:
    """What ten times more of each thing buys, and where more compute stops being worth it."""
    return Section("returns", "What more is worth", tuple(_more(question)))


def _more(question: Question) -> Iterator[Part]:
    prob = question.prob
    found = returns(question.source, compute=[question.largest], cost=question.cost)
    forms = {"gain": words.number, "reducible_percent": words.number, "elasticity": words.number}
    told = {name: form for name, form in forms.items() if name in found.quantities}
    rows = []
    for place, way in enumerate(found.draws["more"].to_numpy()):
        here = found.draws.isel(place=place)
        bands = [words.bracket(words.row_of(here[name], prob), form) for name, form in told.items()]
        rows.append((_WAYS.get(str(way), str(way)), *bands))
    headers = {"gain": "takes off, nats", "reducible_percent": "of loss above the floor, %", "elasticity": "elasticity"}
    flops = words.size(question.largest)
    heads = ("more", *(headers[name] for name in told))
    yield Table(f"Ten times more, from the best split of {flops} FLOPs", heads, tuple(rows))
    yield Paragraph(f"The elasticity is -d ln L / d ln x, of loss L, here. {question.of_curve}")
    until = returns_until(question.source, _WORTH, cost=question.cost).table(prob)
    ends = [
        (f"{row['below']:g}", words.bracket(row, _span), *(() if question.single else (words.percent(row["never"]),)))
        for row in until.to_dict("records")
    ]
    never = () if question.single else ("never falls so low",)
    yield Table("Compute beyond which ten times more takes off less than", ("nats", "FLOPs", *never), tuple(ends))


_WAYS = {
    "n_params": "parameters",
    "n_tokens": "tokens",
    "C, same ratio": "compute, at the same tokens per parameter",
    "C, best split": "compute, from best split to best split",
}


def _span(value: float) -> str:
    if value == 0:
        return f"below {words.number(LEAST)}"
    return f"beyond {words.number(MOST)}" if np.isinf(value) else words.size(value)


def gain(question: Question) -> Section:
    """How much compute the source is worth against the estimate beside it."""
    return Section("gain", "What the recipe is worth", tuple(_gain(question)))


def _gain(question: Question) -> Iterator[Part]:
    other = question.second
    if other is None:
        yield Paragraph(
            "No estimate of another recipe was given, so that nothing is said of how much compute this one saves. With "
            "fits of the runs of both:"
        )
        yield Code("fs.report(new, compare_with=old)  # or fs.compute_gain(old, new, compute=[...])")
        return
    try:
        found = compute_gain(other, question.source, question.budgets, cost=question.cost)
    except ForescaleError as error:
        yield Paragraph(
            f"How much compute this recipe saves against that of {other.name} is not known: {words.stopped(str(error))}"
        )
        return
    single = is_single(found.draws)
    rows = []
    for row in found.table(question.prob).query("quantity == 'gain'").to_dict("records"):
        shares = () if single else (f"{row['better']:.2f}", words.percent(row["never"]))
        rows.append((words.size(row["flops"]), words.bracket(row, words.number), *shares))
    heads = ("FLOPs", "times less compute", *(() if single else ("probability that it is less", "never reached")))
    yield Table(f"Compute of {found.old} over that of {found.new}, at the same loss", heads, tuple(rows))
    trend = ""
    if not single and len(question.budgets) > 1:
        chances = found.trend(question.prob)
        listed = words.listed(f"{name} with probability {chances[name]:.2f}" for name in TRENDS)
        trend = f"With compute the gain {listed} (it holds if it changes by less than 10 % in a decade)."
    yield Paragraph(
        f"{trend} Both are read at their own best split, their draws combined at random, as of independent fits. That "
        "both losses are of one evaluation set and one tokenizer is taken for granted: of others, a difference of "
        f"texts looks like a gain. {question.of_curve}"
    )
    if len(question.budgets) > 1:
        along = np.geomspace(question.budgets[0], question.largest, _ALONG)
        yield pictured(
            "gain",
            "Times less compute for the same loss, against compute",
            "The gain against compute, on logarithmic axes, with a line at 1, where there is none.",
            plots.plot_gain,
            compute_gain(other, question.source, along, cost=question.cost),
            prob=question.prob,
        )
