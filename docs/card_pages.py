"""Pages of the cards and laws: what each dataset, model and published estimate is, as its own card says it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import forescale as fs
from forescale import laws
from forescale.belief import catalog
from forescale.terminal.cards import find
from forescale.terminal.console import number
from forescale.units import format_quantity

#: Folders of pages: the kind of card, the names there are, the text of a card, a heading, and what is told of all.
KINDS = {
    "datasets": (
        "dataset",
        catalog.list_datasets,
        catalog.dataset_card,
        "Datasets",
        "Tables of training runs: source, licence as found, what N counts, what is imputed, known flaws, and what "
        "others fitted to them.",
    ),
    "models": (
        "model",
        catalog.list_models,
        catalog.model_card,
        "Models",
        "A law, a prior for each of its parameters and of its noise, and how far the law may be from the truth. "
        "[Laws](../laws.md) has the formulas.",
    ),
    "links": (
        "link",
        catalog.list_links,
        catalog.link_card,
        "Links",
        "From loss to accuracy: a floor about chance, a ceiling, and a prior for each parameter.",
    ),
    "published": (
        "published",
        catalog.list_published,
        catalog.published_card,
        "Published estimates",
        "Parameters as papers print them, with draws where an uncertainty is printed that can be used.",
    ),
    "trends": (
        "trends",
        catalog.list_trends,
        catalog.trends_card,
        "Published trends",
        "Three power laws as papers print them, and how uncertain each exponent is taken to be, for "
        "{py:func}`forescale.contradiction`.",
    ),
}
_CARDS = (
    "What comes along, with where it comes from. Each page is written from the card itself, which stands at its end; "
    "`forescale show NAME` prints the same."
)


def cards() -> Iterator[tuple[str, str]]:
    """A page for every dataset, model card, published estimate and card of trends, and one that lists them."""
    listed = ["# Cards", _CARDS, "```{toctree}\n:hidden:\n\n../laws\n```"]
    for folder, (kind, names, text, heading, what) in KINDS.items():
        facts = {name: next(facts for facts, _ in find(name, 0.9) if facts["kind"] == kind) for name in names()}
        for name, told in facts.items():
            yield f"cards/{folder}/{name}.md", _card(name, told, text(name))
        titles = [(f"[{words(name)}]({folder}/{name}.md)", words(told["title"])) for name, told in facts.items()]
        files = "\n".join(f"{folder}/{name}" for name in facts)
        tree = f"```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{files}\n```"
        listed += [f"## {heading}", what, definitions(titles), tree]
    yield "cards/index.md", "\n\n".join(listed) + "\n"


def _card(name: str, facts: Mapping[str, Any], text: str) -> str:
    told = {key: fact for key, fact in facts.items() if fact and key not in ("kind", "name", "title", "description")}
    told |= {key: ", ".join(fact) for key, fact in told.items() if key in ("inputs", "columns")}
    short = [(_label(key), words(_words(fact))) for key, fact in told.items() if not isinstance(fact, list | dict)]
    parts = [f"# {words(name)}", f"**{words(facts['title'])}**"]
    parts += [words(paragraph) for paragraph in facts.get("description", "").split("\n\n") if paragraph.strip()]
    parts.append(definitions(short))
    for key, fact in told.items():
        if isinstance(fact, list | dict):
            parts += [f"## {_label(key)}", *_structured(key, fact)]
    parts += ["## The card", f"```toml\n{text.strip()}\n```"]
    return "\n\n".join(parts) + "\n"


_LABELS = {
    "priors": "Priors",
    "prior_predictive": "Loss that the priors allow",
    "rows": "Values",
    "published_fits": "Published fits",
    "sha256": "SHA-256 of runs.csv",
    "counts_embeddings_note": "What N counts",
    "counts_embeddings": "N counts embeddings",
    "loss_column": "Which loss",
}
_NOTES = {
    "priors": "lower, upper: 90 % equal-tailed interval. X_effect is nats of loss that the term of X "
    "costs at the reference; X follows.",
    "prior_predictive": "Nats per token; lower, upper: 90 % equal-tailed interval of the prior predictive. Band of "
    "kind mean: the law's curve, without noise or discrepancy.",
    "rows": "As printed, and the median and 90 % equal-tailed interval of the draws made from the printed uncertainty; "
    "where all are the same, no usable uncertainty is known.",
}


def _label(key: str) -> str:
    return _LABELS.get(key, words(key.replace("_", " ").capitalize()))


def _structured(key: str, fact: Any) -> list[str]:
    note = [_NOTES[key]] if key in _NOTES else []
    if isinstance(fact, Mapping):
        return [*note, definitions((words(name), words(_words(value))) for name, value in fact.items())]
    if isinstance(fact[0], Mapping):
        columns = [name for name in fact[0] if name not in ("prob", "interval")]
        return [*note, table(columns, [[words(_words(row.get(name, ""), name)) for name in columns] for row in fact])]
    return [*note, "\n".join(f"- {words(_words(entry))}" for entry in fact)]


def _words(value: Any, column: str = "") -> str:
    """A fact as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {_words(entry)}" for name, entry in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_words, value))
    if isinstance(value, float):
        if column in ("median", "lower", "upper") and abs(value) < 1e5:
            return number(value, 3)
        return re.sub(r"e\+?(-?)0*", r"e\1", f"{value:.6g}") if column in ("", "printed") else format_quantity(value)
    return str(value)


def words(text: str) -> str:
    """Any text as Markdown that says just that; papers that it names by their arXiv number are links."""
    escaped = re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", " ".join(text.split()))
    return re.sub(r"arXiv\\:(\d{4})\\\.(\d{5})", r"[arXiv:\1.\2](https://arxiv.org/abs/\1.\2)", escaped)


def definitions(entries: Iterable[tuple[str, str]]) -> str:
    """Terms and what is said of them, both Markdown."""
    return "\n\n".join(f"{term}\n: {said}" for term, said in entries)


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table of cells that are Markdown."""
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def law_page() -> Iterator[tuple[str, str]]:
    """The registered laws, each as its docstring says it."""
    units = "Losses are in nats per token; N is in parameters, D in tokens, C in FLOPs."
    lines = ["# Laws", f"Pure functions, in `forescale.laws`. {units}"]
    for name, law in laws.LAWS.items():
        formula, *rest = inspect.getdoc(law.function).split("\n\n")
        used = [card for card in fs.list_models() if fs.load_model(card).law.name == name]
        links = ", ".join(f"[{words(card)}](cards/models/{card}.md)" for card in used)
        lines += [
            f"## {words(name)}",
            f"```text\n{formula.rstrip('.')}\n```",
            *map(words, rest),
            f"Model cards: {links}.",
        ]
    yield "laws.md", "\n\n".join(lines) + "\n"
