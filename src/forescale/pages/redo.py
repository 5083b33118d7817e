"""How to make a report again: the call, and what it was made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.metadata import version

import numpy as np

from forescale.belief.catalog import list_models, load_model
from forescale.checking.compare import Comparison
from forescale.estimates.fit import Fit
from forescale.estimates.huber import HuberFit
from forescale.estimates.published import Published
from forescale.pages.contents import Code, Paragraph, Part, Section, Table
from forescale.pages.evidence import on_shelf
from forescale.pages.question import Question
from forescale.units import cost_model


def redo(question: Question) -> Section:
    """Say what to call, and with which seed, versions, data and card."""
    return Section("redo", "How to redo it", tuple(_redo(question)))


def _redo(question: Question) -> Iterator[Part]:
    yield Paragraph(
        "This makes the fit and the report again. The same seed gives the same numbers with the same machine and "
        "versions, but for the first fit ever made on a machine, whose code is compiled anew and rounds otherwise."
        if question.fit
        else "This makes the report again."
    )
    lines = [*_source_lines(question), *_further_lines(question), _call(question)]
    yield Code("\n".join(["import forescale as fs", "", *lines]))
    if question.fit is not None:
        yield from _made_from(question.fit)


def _further_lines(question: Question) -> list[str]:
    lines = []
    if (back := question.backtest) is not None:
        models = ", ".join(map(str, back.points["model"].unique()))
        lines.append(f"backtest = fs.backtest(..., by={back.by!r}, random_seed={back.seed})  # of {models}")
    if question.frozen is not None:
        files = sorted(map(str, question.frozen.scores["file"].unique()))
        lines.append(f"frozen = fs.score_frozen({files!r})")
    if isinstance(question.beside, Comparison):
        others = ", ".join(question.beside.sources)
        lines.append(f"beside = fs.compare(..., random_seed={question.beside.seed})  # of {others}")
    elif question.beside is not None:
        lines.append(f"beside = ...  # {question.beside.name}")
    return lines


def _call(question: Question) -> str:
    arguments = ["source", f"compute=[{', '.join(map(_exact, question.budgets))}]"]
    if len(question.plans):
        plans = {name: (_exact(row["n_params"]), _exact(row["n_tokens"])) for name, row in question.plans.iterrows()}
        arguments.append(f"plans={{{', '.join(f'{str(k)!r}: ({n}, {d})' for k, (n, d) in plans.items())}}}")
    arguments += [f"prob={question.prob!r}", f"random_seed={question.seed}"]
    if question.cost.name != "6ND":
        as_named = question.cost == cost_model(question.cost.name)
        arguments.append(f"cost={question.cost.name!r}" if as_named else f"cost=fs.units.{question.cost!r}")
    arguments += ["backtest=backtest"] if question.backtest is not None else []
    arguments += ["frozen=frozen"] if question.frozen is not None else []
    arguments += ["compare_with=beside"] if question.beside is not None else []
    if (tokens := question.unique_tokens) is not None:
        arguments.append(f"unique_tokens={_exact(tokens)}" if np.isfinite(tokens) else 'unique_tokens="inf"')
    for name, given in (("loss", question.losses_asked), ("demand", question.demand)):
        arguments += [f"{name}=[{', '.join(map(_exact, given))}]"] if given is not None else []
    return "\n".join(
        ["report = fs.report(", *(f"    {each}," for each in arguments), ")", 'report.save("report.html")']
    )


def _exact(value: float) -> str:
    """A number as short as it can be written without loss."""
    short = f"{value:g}".replace("e+", "e")
    return short if float(short) == value else repr(float(value))


def _source_lines(question: Question) -> list[str]:
    source = question.estimate
    if isinstance(source, Published):
        return [f'source = fs.published("{source.name}")']
    if isinstance(source, HuberFit):
        table = f"delta={source.delta:g}, bootstrap={source.bootstrap}, random_seed={source.seed}"
        return [_runs_line(question), f'source = fs.huber_fit(runs, "{source.law.name}", {table})']
    if not isinstance(source, Fit):
        return [f"source = ...  # {source.name}"]
    settings = ", ".join(f"{name}={value!r}" for name, value in source.settings.as_dict().items())
    card = source.model
    known = card.name in list_models() and load_model(card.name).to_toml() == card.to_toml()
    name = f'"{card.name}"' if known else '"model.toml"  # the card below'
    lines = [_runs_line(question), f"model = {name}"]
    return [*lines, f"source = fs.fit(runs, model, {settings}, random_seed={source.seed})"]


def _runs_line(question: Question) -> str:
    runs = question.runs
    filtered = None if runs is None else on_shelf(runs)
    if runs is None or filtered is None:
        return 'runs = fs.Observations.read("runs.csv")  # the table whose hash is below'
    return f'runs = fs.load_dataset("{runs.name}"{"" if filtered else ", filtered=False"})'


def _made_from(fit: Fit) -> Iterator[Part]:
    versions = json.loads(fit.tree.attrs["versions"])
    rows = [
        ("table", fit.observations.name),
        ("sha256 of its columns", fit.observations.sha256),
        ("seed of the fit", str(fit.seed)),
        ("settings", ", ".join(f"{name} {value}" for name, value in fit.settings.as_dict().items())),
        ("sampler", str(fit.tree.attrs["sampler"])),
        ("versions at the fit", ", ".join(f"{name} {number}" for name, number in versions.items())),
        ("version of this report", f"forescale {version('forescale')}"),
    ]
    yield Table("Made from", ("what", "which"), tuple(rows))
    yield Paragraph("The model card:")
    yield Code(fit.model.to_toml())
