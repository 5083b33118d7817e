"""Pages that are written from what they describe: the API, the command line, the cards, and files of the project.

They go to docs/generated/ before Sphinx reads its sources, and are no part of the project: their sources are.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
from beside_page import beside_page
from card_pages import cards, law_page

import forescale as fs
from forescale import plots

if TYPE_CHECKING:
    from sphinx.application import Sphinx

DOCS = Path(__file__).parent
ROOT = DOCS.parent
REPOSITORY_PAGES = ("ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "VISION.md", "benchmarks/README.md")

#: The reference, in the order in which a reader needs it. What is public and not named here follows at the end.
GROUPS = {
    "Runs and models": "Observations load_dataset Model load_model Prior Law law",
    "Estimates": "fit Fit load_fit published Published huber_fit HuberFit hold Held leave_one_out LeaveOneOut",
    "What comes along": "list_datasets list_models list_published list_trends literature_exponents",
    "Forecasts and allocation": "forecast Forecast allocate Allocation regret Regret report",
    "What more is worth": "returns ReturnsToScale returns_until ReturnsUntil compute_gain ComputeGain "
    "next_runs NextRuns",
    "Forecasts kept, and scored": "freeze FrozenForecast load_frozen score_frozen FrozenScores",
    "Decisions": "plan Plan near_optimal NearOptimal rank_plans PlanRanking compute_to ComputeTo serve Serving "
    "Lifetime Accelerator",
    "Which estimate": "compare Comparison backtest Backtest calibrate Calibration",
    "What the answer depends on": "sensitivity Sensitivity prior_sensitivity PriorSensitivity",
    "Contradiction": "contradiction Contradiction Consistency Trends published_trends PublishedTrends fit_trends "
    "FittedTrends trends_of LimitTrends",
    "The optimum without a law": "frontier Frontier isoflop_groups envelope Envelope approaches",
    "Learning curves": "finish Finish checkpoints Schedule breaks Breaks",
    "Downstream": "Outcomes fit_link LinkFit load_link list_links LinkModel downstream Downstream reach Reach "
    "emergence Emergence",
    "Families": "fit_families Families Family load_families shrinkage Shrinkage",
    "Routed models": "effective_params EffectiveParams routing_cutoff RoutingCutoff",
    "Fine-tuned models": "effective_data EffectiveData",
    "Exponents as theory reads them": "intrinsic_dimension IntrinsicDimension zipf_exponent ZipfExponent",
    "Kaplan et al.'s terms": "reconcile Reconciliation Embeddings efficient_frontier EfficientFrontier PowerRule "
    "critical_batch_size min_steps steps_at min_flops flops_at",
}
#: What signatures name, and what users seldom make themselves: where each is.
NAMED = (
    "estimates.draws.Estimate units.CostModel units.SixND units.SixNDAttention laws.terms.Amplitude "
    "laws.terms.CriticalSize belief.noise.Noise belief.discrepancy.Discrepancy belief.spreads.Spreads "
    "belief.drift.Drift belief.structured.Structured sampling.diagnostics.Diagnostics sampling.nuts.Settings "
    "frontiers.isoflop.IsoFlop"
)
Pages = Iterator[tuple[str, str]]


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the pages as soon as there is an application."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def write(source: Path) -> None:
    """Write every page below ``source``/generated, those that changed only, and nothing else that is there."""
    folder = source / "generated"
    found = dict([*api(), *command_line(), *cards(), *law_page(), *beside_page(), *repository(), *notebooks()])
    for old in (path for path in folder.rglob("*") if path.is_file()):
        if str(old.relative_to(folder)) not in found:
            old.unlink()
    for name, text in found.items():
        path = folder / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


# The API.


def public() -> dict[str, Any]:
    """Everything that users import, by the name after ``forescale.``."""
    drawn = {f"plots.{name}": getattr(plots, name) for name in plots.__all__ if callable(getattr(plots, name))}
    return {name: getattr(fs, name) for name in fs.__all__} | drawn


def named() -> dict[str, Any]:
    """What signatures name, by module and name."""
    places = [name.rpartition(".")[::2] for name in NAMED.split()]
    return {f"{place}.{name}": getattr(import_module(f"forescale.{place}"), name) for place, name in places}


def page_of(name: str, thing: Any) -> str:
    """Where a name has its page: classes apart, since Fit and fit are one file on some disks."""
    return f"api/{'classes' if inspect.isclass(thing) else 'functions'}/{name}"


def api() -> Pages:
    """A page for every public name, and one that lists them."""
    things = public() | named()
    grouped = {heading: [name for name in names.split() if name in things] for heading, names in GROUPS.items()}
    listed = {name for names in grouped.values() for name in names}
    errors = [name for name in things if issubclass(_class(things[name]), Exception)]
    drawn = [name for name in things if name.startswith("plots.")]
    rest = [name for name in public() if name not in {*listed, *errors, *drawn}]
    grouped |= {"More": rest} if rest else {}
    grouped |= {"Figures": drawn, "Errors and warnings": errors, "Named in signatures": list(named())}
    for name, thing in things.items():
        yield f"{page_of(name, thing)}.rst", _reference(name, thing)
    lines = [
        _title("API reference"),
        "Import everything from ``forescale`` (``import forescale as fs``), figures from ``forescale.plots``, and what "
        "only signatures name from where its page says. Losses are in nats per token, compute is in FLOPs; where a "
        "page says *Estimate*, a fit, a published estimate or a bootstrap will do.",
    ]
    for heading, names in grouped.items():
        pages = (page_of(name, things[name]).removeprefix("api/") for name in names)
        lines += [_title(heading, "-"), _listed(names, things), _toctree(heading, pages)]
    yield "api/index.rst", "\n\n".join(lines) + "\n"


def _class(thing: Any) -> type:
    return thing if inspect.isclass(thing) else type(thing)


def _reference(name: str, thing: Any) -> str:
    module, _, short = f"forescale.{name}".rpartition(".")
    kind = "autoclass" if inspect.isclass(thing) else "autofunction"
    members = "\n   :members:" if inspect.isclass(thing) else ""
    error = inspect.isclass(thing) and issubclass(thing, Exception)
    return f"{_title(short)}\n\n.. currentmodule:: {module}\n\n.. {kind}:: {short}{'' if error else members}\n"


def _listed(names: Iterable[str], things: Mapping[str, Any]) -> str:
    rows = []
    for name in names:
        role = "class" if inspect.isclass(things[name]) else "func"
        summary = inspect.getdoc(things[name]).split("\n\n")[0].replace("\n", " ")
        rows.append(f":py:{role}:`~forescale.{name}`\n    {summary}")
    return "\n".join(rows)


# The command line.


def command_line() -> Pages:
    """What ``--help`` prints, for every command."""
    import typer

    from forescale.cli import app

    group = typer.main.get_command(app)
    lines = [
        "# Command line",
        "What `forescale --help` and `forescale COMMAND --help` print. Errors are one line on stderr and exit code 2; "
        "`--json` and `--csv` print one document on stdout, and everything else goes to stderr.",
    ]
    wide = {"resilient_parsing": True, "terminal_width": 80, "max_content_width": 80}
    whole = group.make_context("forescale", [], **wide)
    parts = [command.make_context(name, [], parent=whole, **wide) for name, command in group.commands.items()]
    for context in (whole, *parts):
        lines += [f"## {context.command_path}", f"```text\n{context.command.get_help(context)}\n```"]
    yield "cli.md", "\n\n".join(lines) + "\n"


# Files of the project.


def repository() -> Pages:
    """Pages that are written elsewhere in the project; links between them hold here as well."""
    for name in REPOSITORY_PAGES:
        yield f"project/{name}", (ROOT / name).read_text(encoding="utf-8")


def notebooks() -> Pages:
    """The notebooks: as the tests have run them if the code is still the same, else bare, to be run by the build.

    Who cannot see a figure is told which call drew it, unless the cell's own metadata say more.
    """
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        run = ROOT / "build" / "notebooks" / path.name
        kept, ran = (nbformat.read(file, as_version=4) if file.is_file() else None for file in (path, run))
        book = ran if ran and [cell.source for cell in ran.cells] == [cell.source for cell in kept.cells] else kept
        if book is ran:
            book.metadata["mystnb"] = {"execution_mode": "off"}
        for cell in (cell for cell in book.cells if cell.cell_type == "code" and cell.source.strip()):
            drawn = {"alt": f"Figure drawn by: {' '.join(cell.source.split())}"}
            cell.metadata.setdefault("mystnb", {}).setdefault("image", drawn)
        yield f"notebooks/{path.name}", nbformat.writes(book)


# ReStructuredText.


def _title(text: str, line: str = "=") -> str:
    return f"{text}\n{line * len(text)}"


def _toctree(caption: str, names: Iterable[str]) -> str:
    return "\n".join([".. toctree::", "   :hidden:", f"   :caption: {caption}", "", *(f"   {name}" for name in names)])
