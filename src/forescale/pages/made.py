"""report() -> Report: a whole analysis as one page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from forescale.checking.backtest import Backtest
from forescale.checking.compare import Comparison
from forescale.checking.score_frozen import FrozenScores
from forescale.decisions.plans import read_plans
from forescale.errors import DataError, FileError
from forescale.estimates.draws import Estimate, check_prob
from forescale.estimates.hold import with_one_pool
from forescale.files import write_whole
from forescale.numbers.budgets import POOL, Array, Quantities, Quantity, check_splits, positive, with_pool
from forescale.pages import answer, beforehand, choices, decisions, disputes, doubts, evidence, planned, redo
from forescale.pages.contents import Contents, Figure
from forescale.pages.html import to_html
from forescale.pages.markdown import to_markdown
from forescale.pages.question import Question
from forescale.seeds import as_seed
from forescale.units import CostModel, cost_model

_BEYOND = (1.0, 10.0, 100.0)  # budgets by default, in units of the largest run's compute
_WITHOUT_RUNS = (1e22, 1e23, 1e24)  # and where there is no table, in FLOPs
_SECTIONS = (
    answer.answer,
    evidence.data,
    evidence.model,
    evidence.diagnostics,
    decisions.forecasts,
    decisions.allocation,
    planned.plan,
    planned.following,
    choices.serving,
    choices.target,
    choices.more,
    choices.gain,
    disputes.comparison,
    disputes.contradictions,
    doubts.sensitivity,
    doubts.changes,
    doubts.backtest,
    beforehand.beforehand,
    doubts.unknown,
    redo.redo,
)
_SUFFIXES = (".html", ".md")


@dataclass(frozen=True)
class Report:
    """A report, to be written in one form or another.

    Attributes
    ----------
    contents : Contents
        Its sections, as values.
    """

    contents: Contents = field(repr=False)

    def html(self) -> str:
        """One HTML page with its figures, style and script in it; it needs no network and opens from disk."""
        return to_html(self.contents)

    def markdown(self) -> str:
        """The same in Markdown, with figures told in words; ``save`` writes them beside it."""
        return to_markdown(self.contents)

    def save(self, path: str | Path) -> Path:
        """Write it, each file whole or not at all.

        Parameters
        ----------
        path : str or Path
            A file to make or replace. ``.html`` is one file; ``.md`` has its figures beside it, as SVG, in a folder
            called as the file is, with ``-figures``.

        Returns
        -------
        Path
            The path.

        Raises
        ------
        FileError
            If the suffix is another, or the system refuses.
        """
        path = Path(path)
        if path.suffix not in _SUFFIXES:
            raise FileError(f"{path}: a report is written as {' or '.join(_SUFFIXES)}; the suffix says which")
        try:
            text = self.html() if path.suffix == ".html" else self._with_figures(path)
            return write_whole(path, lambda beside: beside.write_text(text, encoding="utf-8", newline="\n"))
        except OSError as error:
            raise FileError(f"{path} cannot be written: {error.strerror or error}") from error

    def _with_figures(self, path: Path) -> str:
        folder = path.with_name(f"{path.stem}-figures")
        folder.mkdir(exist_ok=True)

        def place(figure: Figure) -> str:
            write_whole(folder / f"{figure.name}.svg", lambda beside: beside.write_text(figure.svg, encoding="utf-8"))
            return f"<{folder.name}/{figure.name}.svg>"

        return to_markdown(self.contents, place)

    def __repr__(self) -> str:
        sections = ", ".join(section.name for section in self.contents.sections)
        return f"{self.contents.title}: {sections} (.save writes .html or .md)"


def report(
    source: Estimate,
    compute: Quantities | None = None,
    *,
    plans: Mapping[str, tuple[Quantity, Quantity]] | None = None,
    cost: str | CostModel = "6ND",
    prob: float = 0.9,
    backtest: Backtest | None = None,
    compare_with: Estimate | Comparison | None = None,
    frozen: FrozenScores | None = None,
    loss: Quantities | None = None,
    demand: Quantities | None = None,
    unique_tokens: Quantity | None = None,
    random_seed: int | np.random.Generator | None = 0,
) -> Report:
    """Write up an estimate: the answer, what it rests on, what would change it, and how to redo it.

    Nothing expensive is done: no fit, no refit, no backtest. What was done before is passed in and used; where
    something is missing the report says so, with the call that makes it.

    Parameters
    ----------
    source : Estimate
        A fit; or a published estimate or a bootstrap, whose report says what it has no part of. Of a law of n_params
        and n_tokens, or of these and unique_tokens.
    compute : float, str or sequence, shape (budget,), optional
        Training budgets in FLOPs. By default 1, 10 and 100 times the compute of the largest run, or 1e22, 1e23 and
        1e24 where there is no table. Where one budget has to do it is the largest.
    plans : mapping of str to (n_params, n_tokens), optional
        Runs that somebody has in mind, by name: their loss, and what they cost against the best split.
    cost : str or CostModel
        What training costs: "6ND", "6ND+attention", or a cost model with settings of its own.
    prob : float
        Probability mass of the equal-tailed intervals.
    backtest : Backtest, optional
        Evidence for the bands, from ``backtest``.
    compare_with : Estimate or Comparison, optional
        What to set beside the source: a second estimate, for where and at what price the two disagree; or what
        ``compare`` made of both, for which predicts the runs better as well. Published estimates are always there. Of
        another table, it is read as an older recipe, against which the source may save compute.
    loss : float, str or sequence, optional
        Losses in nats per token, of which it is said what they take; by default those that the budgets reach at their
        best split, and one 2 % lower.
    demand : float, str or sequence, optional
        Tokens that the model will serve; by default 1, 10 and 100 times those that it would be trained on.
    frozen : FrozenScores, optional
        How forecasts fared that were stated before the runs, from `score_frozen`.
    unique_tokens : float or str, optional
        Of laws in which tokens repeat: how many different ones there are; see `allocate`. A second estimate is read
        at the same number, if its law knows of it.
    random_seed : int, Generator or None
        Seed of the noise of new runs. The same seed gives the same report to the byte, but for its date.

    Returns
    -------
    Report
        With ``html``, ``markdown`` and ``save``.

    Raises
    ------
    DataError
        If a budget or a plan is not of numbers above zero, or something passed in is of another kind.
    ModelError
        If the law has other inputs, or draws have no best split; see `allocate`.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.report(fs.published("besiroglu2024"), "5.76e23").save("report.html")  # doctest: +SKIP
    """
    question = ask(
        source, compute, plans, cost, prob, backtest, compare_with, frozen, loss, demand, unique_tokens, random_seed
    )
    contents = Contents(
        title=f"Scaling-law report: {source.name}",
        made=date.today().isoformat(),
        by=f"forescale {version('forescale')}",
        sections=tuple(write(question) for write in _SECTIONS),
    )
    return Report(contents)


def ask(
    source: Estimate,
    compute: Quantities | None = None,
    plans: Mapping[str, tuple[Quantity, Quantity]] | None = None,
    cost: str | CostModel = "6ND",
    prob: float = 0.9,
    backtest: Backtest | None = None,
    compare_with: Estimate | Comparison | None = None,
    frozen: FrozenScores | None = None,
    loss: Quantities | None = None,
    demand: Quantities | None = None,
    unique_tokens: Quantity | None = None,
    random_seed: int | np.random.Generator | None = 0,
) -> Question:
    """Check what a report is asked for; see `report`."""
    if not isinstance(source, Estimate):
        raise DataError(
            f"a report is of an estimate, not of {type(source).__name__}; fit(runs) makes one, and published(name)"
        )
    law, pool = with_pool(source.law, unique_tokens)
    check_splits(law)
    if not (backtest is None or isinstance(backtest, Backtest)):
        raise DataError(f"backtest= is what backtest(runs, ...) returned, not {type(backtest).__name__}")
    if not (frozen is None or isinstance(frozen, FrozenScores)):
        raise DataError(f"frozen= is what score_frozen(files) returned, not {type(frozen).__name__}")
    if not (compare_with is None or isinstance(compare_with, Comparison | Estimate)):
        raise DataError(f"compare_with= is an estimate or what compare() returned, not {type(compare_with).__name__}")
    if isinstance(compare_with, Estimate):
        if POOL in compare_with.law.inputs:
            (compare_with,) = with_one_pool([compare_with], pool)
        check_splits(compare_with.law)
    costs = cost_model(cost)
    return Question(
        estimate=source,
        budgets=np.unique(usual_budgets(source, costs) if compute is None else positive("compute", compute)),
        plans=read_plans(plans or {}),
        cost=costs,
        prob=check_prob(prob),
        backtest=backtest,
        beside=compare_with,
        seed=as_seed(random_seed),
        losses_asked=None if loss is None else positive("loss", loss),
        demand=None if demand is None else positive("demand", demand),
        unique_tokens=pool,
        frozen=frozen,
    )


def usual_budgets(source: Estimate, cost: str | CostModel = "6ND") -> Array:
    """What a report is about unless budgets are given: 1, 10 and 100 times the compute of the largest run."""
    costs = cost_model(cost)
    runs: Any = getattr(source, "observations", None)
    if runs is None:
        return np.array(_WITHOUT_RUNS)
    most = float(costs.flops(runs.column("n_params"), runs.column("n_tokens")).max())
    return np.array([float(f"{factor * most:.1e}") for factor in _BEYOND])
