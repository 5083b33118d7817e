"""backtest() -> Backtest: fit the runs up to a cut, forecast those beyond, and score what was said."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from forescale.belief.catalog import DEFAULT_MODEL, load_model
from forescale.belief.model import Model
from forescale.checking.baselines import BASELINES
from forescale.checking.scoring import PROBS, SCORED, coverage_name
from forescale.checking.separation import grid_lines
from forescale.checking.tasks import COLUMNS, KEYS, MEANS, Runs, Task, failure, forecasters, size_of, unlike
from forescale.errors import DataError, ForescaleError
from forescale.sampling.nuts import Settings
from forescale.tables.cuts import make_cuts
from forescale.tables.observations import Observations, as_observations
from forescale.work.workers import run_all, seed_to_keep

if TYPE_CHECKING:
    from distributed import Client

#: Decades beyond the largest fitted run that a table by distance tells apart.
DISTANCES = (-np.inf, 0.0, 0.5, 1.0, 2.0, np.inf)
_POINT = ["table", "cut", "run"]


@dataclass(frozen=True, eq=False)
class Backtest:
    """How forecasts of runs beyond a cut turned out, models and baselines side by side.

    Attributes
    ----------
    points : pandas.DataFrame
        A row per table, model, cut and held-out run: table, model, cut, run, size (the column that distances are of,
        such as flops), runs_fitted, span (decades of size among the runs fitted), distance (decades of size beyond
        the largest of them, below zero inside), distance_n_params and distance_n_tokens, loss; the forecast's median,
        lower and upper (90 %, nats per token); covered_50, covered_80, covered_90, covered_95, interval_score, crps,
        log_score, bias and pit, see `forescale.checking.scoring.score`; and notes, the warnings of the fit. What
        failed is one row without a run, and error says why.
    by : str
        The column that was cut.
    seed : int
        Every task derives its own seed from this one and from what it is, so that it can be redone alone.

    Notes
    -----
    A run beyond several cuts counts in each, and runs beyond one cut share the error of one fitted law: far fewer
    than ``points`` are independent.
    """

    points: pd.DataFrame = field(repr=False)
    by: str
    seed: int

    def table(self, by: str | None = "distance", *, common: bool = True) -> pd.DataFrame:
        """Mean scores of each model.

        Parameters
        ----------
        by : str or None
            Further split by a column of ``points``: a distance, in bins of `DISTANCES`; table, cut, or any other.
            None gives totals.
        common : bool
            Whether only points count that every model scored, so that rows compare like with like. A model that
            scored none at all takes no part in this.

        Returns
        -------
        pandas.DataFrame
            A row per model and value of ``by``: points, covered_50 to covered_95 (shares), interval_score (of 90 %
            bands), crps, log_score and bias; percent of loss, log_score in nats. Lower is better, but for coverage,
            which is best at its probability, and bias, best at zero.

        Raises
        ------
        DataError
            If ``points`` has no such column.
        """
        scored = self.scored(common)
        keys: list[Any] = ["model"]
        if by is not None:
            if by not in scored:
                raise DataError(f"points have no column {by!r}; they have {', '.join(map(str, scored))}")
            keys.append(_bins(scored[by]) if by.startswith("distance") else by)
        groups = scored.groupby(keys, sort=by is not None and by.startswith("distance"), observed=True)
        means = groups[MEANS].mean()
        means.insert(0, "points", groups.size())
        order = {name: i for i, name in enumerate(self.points["model"].unique())}
        return means.reset_index().sort_values(
            "model", key=lambda names: names.map(order), kind="stable", ignore_index=True
        )

    def by_table(self, *, common: bool = True) -> pd.DataFrame:
        """Mean scores of each model on each table; see `table`."""
        return self.table("table", common=common)

    @property
    def failures(self) -> pd.DataFrame:
        """Tasks that failed: table, model, cut, error."""
        failed = self.points["error"] != ""
        return self.points.loc[failed, [*KEYS, "error"]].reset_index(drop=True)

    def scored(self, common: bool) -> pd.DataFrame:
        """Rows that have scores, of all points or of those that all models scored."""
        scored = self.points[self.points["error"] == ""]
        if not common:
            return scored
        each = scored.groupby(_POINT)["model"].transform("nunique")
        return scored[each == scored["model"].nunique()]

    def __repr__(self) -> str:
        points, scored = self.points, self.scored(common=True)
        held = points.loc[points["error"] == "", _POINT].drop_duplicates()
        cuts = points[["table", "cut"]].drop_duplicates()
        lines = [
            f"Backtest by {self.by}: {_count(points['table'].nunique(), 'table')}, {_count(len(cuts), 'cut')}, "
            f"{_count(points['model'].nunique(), 'model')}",
            f"  {len(scored[_POINT].drop_duplicates())} of {_count(len(held), 'held-out point')} were forecast by all, "
            "and count here",
        ]
        if len(scored):
            lines.append("Share of runs inside their bands of 50 to 95 %, and mean scores")
            lines += grid_lines({str(row["model"]): _cells(row) for _, row in self.table(None).iterrows()})
            size = " or ".join(sorted(set(points["size"]) - {""}))
            lines.append(f"Share inside {100 * SCORED:g} %, by decades of {size} beyond the largest fitted run")
            far: dict[str, dict[str, str]] = {}
            for _, row in self.table("distance").iterrows():
                cell = f"{row[coverage_name(SCORED)]:.2f} of {row['points']}"
                far.setdefault(str(row["model"]), {})[str(row["distance"])] = cell
            lines += grid_lines(far)
        if len(failures := self.failures):
            lines.append(f"{_count(len(failures), 'task')} failed; .failures lists them")
            first = failures.iloc[0]
            told = f"{first['model']} on {first['table']}, {first['cut']}: {first['error']}"
            lines.append(_filled(textwrap.shorten(told, 230)))
        said = (
            "(of a new run; interval score of 90 % bands, CRPS and bias in percent of loss, log score (log) in nats; "
            "lower is better; bias is above zero where loss was forecast too high)"
        )
        return "\n".join([*lines, _filled(said)])


def backtest(
    runs: Runs | Sequence[Runs],
    models: str | Path | Model | Sequence[str | Path | Model] = DEFAULT_MODEL,
    *,
    by: str = "flops",
    cuts: Any = None,
    within: str | None = None,
    baselines: Sequence[str] = BASELINES,
    draws: int = 1000,
    tune: int = 500,
    chains: int = 4,
    bootstrap: int = 200,
    random_seed: int | np.random.Generator | None = None,
    workers: int | None = None,
    client: Client | None = None,
    results: str | Path | None = None,
    progress: bool | None = None,
) -> Backtest:
    """Fit the runs up to a cut, forecast those beyond, and score the bands of a new run.

    Parameters
    ----------
    runs : table or sequence of tables
        Observations, DataFrames or paths. Of several, each is cut, fitted and reported by itself.
    models : model or sequence of models
        Cards by name or path, or models; each has a name of its own.
    by : str
        The column that is cut: of numbers (flops, n_params, n_tokens, your own), runs up to a value are fitted and
        those beyond are forecast; of text (family, your own), one label is forecast from all others.
    cuts : value or sequence of values, optional
        Values to cut at, or labels to hold out. By default, of numbers quantiles that leave 40, 55, 70 and 85 % of
        the runs, and at least two more than the largest model has parameters, to be fitted; of text every label.
    within : str, optional
        A column of text, such as family: the runs of one label after the other are cut, and all others fitted.
    baselines : sequence of {"huber", "last-point", "separate"}
        What the models are set beside: the Huber fit of each law among them, with its bootstrap; the power law
        of compute (or of the numbers that are cut) through the largest fitted run; and, of models that say how families
        differ (`Model.with_families`), which are fitted by `fit_families`, the same model of each family by itself.
    draws, tune, chains : int
        As for `fit`.
    bootstrap : int
        Replicates of each baseline, at least 2.
    random_seed : int, Generator or None
        Seed; recorded, also when drawn here. The same seed gives the same scores, whoever does the fits.
    workers : int, optional
        Processes of this machine that fit at the same time, by default one for each core; 1 is this process alone.
    client : dask.distributed.Client, optional
        Instead: a cluster, whose workers have forescale installed.
    results : path, optional
        A file that the scores of each fit are written to as it finishes, and from which a later call with the same
        seed takes what is done; see `forescale.work.results`.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal.

    Returns
    -------
    Backtest
        Scores of every held-out run. A task that fails is a row with its error.

    Raises
    ------
    DataError
        If no table can be read and cut, an argument is out of range, or ``results`` come without a seed.
    FileError
        If ``results`` is a file of something else, which is left as it is.
    ModelError
        If there is no such model, two have one name, or there is no such baseline.

    References
    ----------
    Tashman 2000, doi:10.1016/S0169-2070(00)00065-0, on rolling origins.

    Examples
    --------
    >>> import forescale as fs
    >>> result = fs.backtest(fs.load_dataset("openeurollm"), "chinchilla", random_seed=1)  # doctest: +SKIP
    >>> result.table()  # doctest: +SKIP
    """
    wanted = [models] if isinstance(models, str | Path | Model) else list(models)
    loaded = [load_model(model) for model in wanted]
    asked = forecasters(loaded, baselines)
    settings, seed = Settings(draws, tune, chains), seed_to_keep(random_seed, results)
    if bootstrap < 2:
        raise DataError(f"bootstrap is a number of replicates, at least 2, not {bootstrap!r}")
    given = [runs] if isinstance(runs, Observations | pd.DataFrame | str | Path) else list(runs)
    least = max(len(model.parameters) for model in loaded)
    tasks: list[Task] = []
    rows: list[dict[str, Any]] = []
    names: list[str] = []
    for table in given:
        name = unlike(table, names)
        names.append(name)
        try:
            observations = as_observations(table)
            size = size_of(observations, by, loaded[0])
            made = make_cuts(observations, by, cuts, n_parameters=least, within=within)
        except ForescaleError as error:
            if len(given) == 1:
                raise
            rows += [failure(name, forecaster.name, "none", error) for forecaster in asked]
            continue
        tasks += [
            Task(observations, name, size, forecaster, cut, settings, bootstrap, seed)
            for forecaster in asked
            for cut in made
        ]
    if not tasks:
        raise DataError(f"none of {len(given)} tables can be cut by {by}: {rows[0]['error'] if rows else 'none given'}")
    done = run_all(tasks, "backtest", workers=workers, client=client, results=results, progress=progress)
    rows += [row for found in done for row in found]
    return Backtest(pd.DataFrame(rows, columns=COLUMNS), by, seed)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _filled(text: str) -> str:
    return textwrap.fill(text, 80, initial_indent="  ", subsequent_indent="  ")


def _bins(distance: pd.Series[float]) -> pd.Series[Any]:
    """Distances as words, in order."""
    inner = [f"{edge:g}" for edge in DISTANCES[1:-1]]
    words = [f"to {inner[0]}", *(f"{low} to {high}" for low, high in pairwise(inner)), f"beyond {inner[-1]}"]
    return pd.cut(distance, list(DISTANCES), labels=words)


def _cells(row: pd.Series[Any]) -> dict[str, str]:
    """Scores as a person reads them."""
    inside = {f"{100 * prob:g} %": f"{row[coverage_name(prob)]:.2f}" for prob in PROBS}
    return inside | {
        "interval": f"{row['interval_score']:.2f}",
        "CRPS": f"{row['crps']:.2f}",
        "log": f"{row['log_score']:.2f}",
        "bias": f"{row['bias']:+.2f}",
    }
