"""compare() -> Comparison: which estimate predicts the runs better, and what their disagreement costs."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.points import as_points
from forescale.checking.loo import LeaveOneOut
from forescale.checking.scored import leave_each_out
from forescale.checking.separation import STACK, Disagreement, disagree, grid_lines, together
from forescale.checking.sources import common_table, names
from forescale.checking.stacking import mixture, score_notes, score_table, stacking_weights
from forescale.errors import DataError
from forescale.estimates.draws import Estimate, is_single
from forescale.estimates.fit import Fit, thinned
from forescale.estimates.hold import with_one_pool
from forescale.estimates.published import Published
from forescale.numbers.budgets import Array, Quantities, Quantity, check_splits, positive
from forescale.seeds import as_seed
from forescale.tables.observations import Observations
from forescale.units import CostModel, cost_model
from forescale.verbs.forecast import Forecast, forecast

if TYPE_CHECKING:
    from distributed import Client

_BEYOND = np.array([1.0, 1e2, 1e4])  # budgets by default, in units of the largest run's compute
_CURVE_MOST = 20_000_000  # losses (draws x runs) behind a median curve, 160 MB


@dataclass(frozen=True, eq=False)
class Comparison:
    """Estimates side by side: how well they predict the runs, and where and at what price they disagree.

    Attributes
    ----------
    runs : Observations
        The table that all are compared on.
    sources : mapping of str to Estimate
        What is compared, by the names that all tables here use.
    predictive : mapping of str to LeaveOneOut
        For each fit, its log predictive density of each run.
    errors : mapping of str to str
        Why fits have none, whose refits without a run failed.
    disagreement : Disagreement
        The optimal splits by the sources whose law has one and by the stack, and what following each costs.
    forecasts : mapping of str to Forecast
        Loss at the points asked about, by each source and by the stack; empty where none were.
    seed : int
        The seed of the stack and of the noise in forecasts.

    Notes
    -----
    A draw of the stack is a draw of one of the fits, picked by stacking weight. An estimate without a noise model has
    no predictive density, no weight and no part in it.
    """

    runs: Observations
    sources: Mapping[str, Estimate]
    predictive: Mapping[str, LeaveOneOut]
    errors: Mapping[str, str]
    disagreement: Disagreement
    forecasts: Mapping[str, Forecast]
    seed: int

    @cached_property
    def scores(self) -> pd.DataFrame:
        """How well each source predicts the runs, a row each, the best first.

        Index the source; columns law, noise; rms_percent and bias_percent, 100 times the root mean square and the
        mean of log(median curve / loss), on runs that a fit has seen; elpd (log density of each run's log loss given
        the other runs, in nats, summed) and elpd_se; elpd_diff to the best and elpd_diff_se; p_loo; weight in the
        stack; pareto_k, the largest, and refitted, how many runs had one too high and were left out by fitting again;
        and error, why a refit failed, or "". NaN without a noise model, and where a refit failed.
        """
        rows = {
            name: (source.law.name, source.noise.kind if source.noise else None, *_errors(source, self.runs))
            for name, source in self.sources.items()
        }
        columns = ["law", "noise", "rms_percent", "bias_percent"]
        table = pd.DataFrame.from_dict(rows, orient="index", columns=columns).join(score_table(self.predictive))
        table["error"] = [self.errors.get(name, "") for name in table.index]
        return table.sort_values(["elpd", "rms_percent"], ascending=[False, True]).rename_axis("source")

    def allocation(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the optimal split: a row per source, budget and quantity; see `Allocation.table`."""
        return self.disagreement.allocation(prob)

    def forecast(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of loss at the points: a row per source, point and kind of band; see `Forecast.table`."""
        return together({(name,): part.table(prob) for name, part in self.forecasts.items()}, "source")

    def separation(self, prob: float = 0.9) -> pd.DataFrame:
        """Ranges of compute in which bands of N* of two sources do not meet; see `Disagreement.separation`."""
        return self.disagreement.separation(prob)

    def regret(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the price of following one if another is true; see `Disagreement.regret`."""
        return self.disagreement.regret(prob)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the numbers should know, a sentence each."""
        return (*score_notes(self.predictive), *_source_notes(self))

    def __repr__(self) -> str:
        said = [f"Comparison on {self.runs.name}: {len(self.runs)} runs", *_score_lines(self.scores)]
        notes = [textwrap.fill(note, 80, initial_indent="  - ", subsequent_indent="    ") for note in self.notes]
        return "\n".join([*said, *self.disagreement.lines, *notes])


def compare(
    *sources: Estimate,
    runs: Observations | pd.DataFrame | None = None,
    compute: Quantities | None = None,
    points: pd.DataFrame | Mapping[str, Any] | None = None,
    cost: str | CostModel = "6ND",
    unique_tokens: Quantity | None = None,
    until: Quantity = 1e28,
    refits: int = 20,
    random_seed: int | np.random.Generator | None = None,
    workers: int | None = 1,
    client: Client | None = None,
    results: str | Path | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Compare estimates on one table of runs: predictive scores, stacking, and the decisions they disagree on.

    For each fit, ``elpd = sum_i log p(log L_i | all runs but i)`` by PSIS-LOO, and weights by stacking; for each two
    sources, where their bands of N* separate and what it costs to follow the one if the other is true.

    Parameters
    ----------
    *sources : Estimate
        At least two: fits, bootstraps and published estimates.
    runs : Observations or DataFrame, optional
        The table; by default that of the fits. Needed where all sources are published.
    compute : float, str or sequence, shape (budget,), optional
        Training budgets in FLOPs; by default 1, 100 and 10,000 times the compute of the largest run.
    points : DataFrame or mapping, optional
        Where to forecast: the inputs of all laws by name, see `forecast`.
    cost : str or CostModel
        What training costs.
    unique_tokens : float or str, optional
        How many different tokens there are when compute is split, for laws that know of it; see `allocate`.
    until : float or str
        The most compute at which separation is looked for; the least is that of the smallest run or budget.
    refits : int
        How many runs may be refitted for each fit, see `leave_one_out`.
    random_seed : int, Generator or None
        Seed of the stack and of the noise in forecasts. Refits take theirs from the fits.
    workers : int or None
        Processes of this machine that refit at the same time; None for one a core. By default this process, which
        has compiled the models: a refit takes a second, and another process some seconds before its first.
    client : dask.distributed.Client, optional
        Instead: a cluster, whose workers have forescale installed.
    results : path, optional
        A file that each refit's score is written to as it finishes, and from which a later call takes it.
    progress : bool or None
        Whether to show a progress bar of refits; None shows one in a terminal.

    Returns
    -------
    Comparison
        Tables of scores, bands, separation and regret. A fit of which a refit fails has no score, and its error.

    Raises
    ------
    DataError
        If there are fewer than two sources, no table or several, or budgets or points that cannot be used.
    ModelError
        If more than ``refits`` runs of a fit need one, or ``compute`` is given and a law cannot split it.

    References
    ----------
    Vehtari, Gelman and Gabry 2017, arXiv:1507.04544; Yao et al. 2018, arXiv:1704.02030.

    Examples
    --------
    >>> import forescale as fs
    >>> both = fs.published("besiroglu2024"), fs.published("kaplan2020")
    >>> fs.compare(*both, runs=fs.load_dataset("hoffmann2022"), compute="1e24")  # doctest: +ELLIPSIS
    Comparison on hoffmann2022: 240 runs...
    """
    table = common_table(sources, runs)
    named = dict(zip(names(sources, STACK), sources, strict=True))
    costs, seed = cost_model(cost), as_seed(random_seed)
    held = dict(zip(named, with_one_pool(sources, unique_tokens), strict=True))
    for source in () if compute is None else held.values():
        check_splits(source.law)
    split = {name: source for name, source in held.items() if set(source.law.inputs) == {"n_params", "n_tokens"}}
    flops, between = _budgets(table, compute, until, costs) if split else (np.array([]), (1.0, 1.0))
    forecasts = {} if points is None else _forecasts(named, points, seed)
    fits = {name: source for name, source in named.items() if isinstance(source, Fit)}
    where: dict[str, Any] = {"workers": workers, "client": client, "results": results, "progress": progress}
    predictive, errors = leave_each_out(fits, refits=refits, **where)
    weights = stacking_weights(predictive) if len(predictive) > 1 else {}
    disagreement = disagree(split, weights if set(weights) <= set(split) else {}, flops, costs, between, seed)
    if forecasts and weights:
        draws = mixture({name: forecasts[name].draws for name in weights}, weights, seed)
        forecasts[STACK] = Forecast(STACK, next(iter(forecasts.values())).points, draws)
    return Comparison(table, named, predictive, errors, disagreement, forecasts, seed)


def _budgets(
    runs: Observations, compute: Quantities | None, until: Quantity, cost: CostModel
) -> tuple[Array, tuple[float, float]]:
    """The budgets asked about, and the compute from the smallest run or budget to ``until``."""
    spent = cost.flops(runs.column("n_params"), runs.column("n_tokens"))
    flops = spent.max() * _BEYOND if compute is None else positive("compute", compute)
    least, most = float(min(spent.min(), flops.min())), float(positive("until", until)[0])
    if least >= most:
        raise DataError(f"until= is the most compute looked at, and {most:.6g} is not above {least:.6g} FLOPs")
    return flops, (least, most)


def _forecasts(sources: Mapping[str, Estimate], points: Any, seed: int) -> dict[str, Forecast]:
    """Loss at points that have the inputs of all laws."""
    inputs = dict.fromkeys(name for source in sources.values() for name in source.law.inputs)
    frame = as_points(list(inputs), points, further=("loss_se",))
    return {name: Forecast(name, frame, forecast(s, frame, random_seed=seed).draws) for name, s in sources.items()}


def _errors(source: Estimate, runs: Observations) -> tuple[float, float]:
    """Root mean square and mean of log(median curve / loss) over the runs, in percent."""
    few = thinned(source.posterior, len(runs), _CURVE_MOST)
    inputs = {name: xr.DataArray(runs.column(name), dims="run") for name in source.law.inputs}
    curve = source.law(inputs, few).median(("chain", "draw"))
    error = 100 * (np.log(curve.to_numpy()) - np.log(runs.column("loss")))
    return float(np.sqrt(np.mean(error**2))), float(error.mean())


def _source_notes(comparison: Comparison) -> list[str]:
    """What to know of the sources: what they lack, and whether N means the same."""
    runs, sources, notes = comparison.runs, comparison.sources, []
    said = {True: "counts embeddings", False: "counts no embeddings", None: "may or may not count embeddings"}
    notes += [f"{name}: no elpd and no weight; {error}" for name, error in comparison.errors.items()]
    if silent := [name for name in sources if name not in {*comparison.predictive, *comparison.errors}]:
        notes.append(f"{', '.join(silent)}: no noise model, hence no elpd and no weight; see RMS and bias.")
    if sharp := [n for n, s in sources.items() if is_single(s.posterior)]:
        notes.append(f"{', '.join(sharp)}: no usable uncertainty is known, so that bands have no width.")
    for name, source in sources.items():
        if isinstance(source, Published) and "n_params" in source.law.inputs:
            mine, its = runs.counts_embeddings, source.counts_embeddings
            if mine is None or mine != its:
                notes.append(
                    f"{name}: its N {said[its]}, that of {runs.name} {said[mine]}. Its errors, sizes and prices take "
                    "the one for the other."
                )
        if isinstance(source, Fit) and not source.diagnostics.passed:
            notes.append(f"{name}: the sampler did not converge, so that nothing said of it here is sound.")
        if isinstance(source, Fit) and source.diagnostics.noise_misfit:
            notes.append(f"{name}: residuals are not of the scale that the noise claims.")
    if len(comparison.predictive) > 1 and STACK not in comparison.disagreement.allocations:
        notes.append("No stack of optimal splits: not all fits are of laws of n_params and n_tokens.")
    return notes


def _score_lines(scores: pd.DataFrame) -> list[str]:
    """The scores as a person reads them."""
    rows = {}
    for name, row in scores.iterrows():
        cells = {
            "RMS %": f"{row['rms_percent']:.2f}",
            "bias %": f"{row['bias_percent']:+.2f}",
            "elpd": f"{row['elpd']:.1f}",
            "behind": f"{-row['elpd_diff']:.1f} ± {row['elpd_diff_se']:.1f}" if row["elpd_diff"] else "best",
            "weight": f"{row['weight']:.2f}",
            "p_loo": f"{row['p_loo']:.1f}",
            "k (refits)": f"{row['pareto_k']:.2f} ({row['refitted']:.0f})",
        }
        rows[str(name)] = {column: cell for column, cell in cells.items() if "nan" not in cell}
    return grid_lines(rows)
