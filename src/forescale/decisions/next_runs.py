"""next_runs() -> NextRuns: which runs tell most, per FLOP, of a stated forecast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from forescale.belief.points import as_points
from forescale.errors import DataError, ModelError
from forescale.estimates.draws import Estimate, is_single
from forescale.numbers.budgets import Array, Quantities, Quantity, positive
from forescale.units import CostModel, cost_model, format_quantity
from forescale.verbs.attribution import scale_of, written
from forescale.verbs.targets import Target, target_of

#: What a batch is chosen by, step by step.
RULES = ("flops", "variance")
_SPLIT = {"n_params", "n_tokens"}
_SHOWN = 8


@dataclass(frozen=True, eq=False)
class NextRuns:
    """Candidate runs, ranked by what their losses would tell of a forecast, and a batch of them.

    Attributes
    ----------
    source : str
        The estimate.
    target : Target
        The forecast of interest.
    sd : float
        Its standard deviation now, on the scale that ``scale`` names.
    left_out : float
        Share of draws without such a forecast, which are left out.
    runs : pandas.DataFrame
        A row per candidate, the most telling per FLOP first: run, the law's inputs, flops, correlation of its log loss
        with the forecast, remaining (the share of the forecast's variance that is expected to be left once its loss is
        known), information (nats), and per_flop, information per 1e21 FLOPs.
    batch : pandas.DataFrame
        The runs chosen, in order: run, inputs, flops, total_flops so far, and remaining and information, of all so far.

    Notes
    -----
    All is of the law, taken to be right everywhere: that a tiny run tells much of a large one hangs on the law being
    right for both, and what a drift beyond the data adds to a forecast is not in it. Keep candidates to sizes at which
    the law has been seen to hold. Log losses and the forecast count as jointly normal under the draws.
    """

    source: str
    target: Target = field(repr=False)
    sd: float
    left_out: float
    runs: pd.DataFrame = field(repr=False)
    batch: pd.DataFrame = field(repr=False)

    @property
    def scale(self) -> str:
        """What the variance is of."""
        return scale_of(self.target)

    def table(self) -> pd.DataFrame:
        """All candidates, ranked; see ``runs``."""
        return self.runs.copy()

    def __repr__(self) -> str:
        at = f" at {written(self.target, 0)}" if len(self.target.at.columns) else ""
        lines = [f"What runs would tell of {self.scale}{at}, by {self.source}: sd {self.sd:.3g}"]
        lines += [
            f"  {row['run']}: {format_quantity(row['flops'])} FLOPs, {100 * row['remaining']:.3g} % of variance left"
            for row in self.runs.head(_SHOWN).to_dict("records")
        ]
        lines += [f"  ... and {len(self.runs) - _SHOWN} more in .table()"] if len(self.runs) > _SHOWN else []
        last = self.batch.iloc[-1]
        told = f"{format_quantity(last['total_flops'])} FLOPs, {100 * last['remaining']:.3g} % of the variance left"
        more = f" and {len(self.batch) - _SHOWN} more" if len(self.batch) > _SHOWN else ""
        lines.append(f"  together {', '.join(self.batch['run'][:_SHOWN])}{more}: {told}")
        return "\n".join([*lines, "  (of the law's curve; no discrepancy)"])


def next_runs(
    source: Estimate,
    candidates: pd.DataFrame | Mapping[str, Any],
    of: str = "loss",
    *,
    compute: Quantities | None = None,
    runs: int = 1,
    budget: Quantity | None = None,
    by: str = "flops",
    scatter: float | None = None,
    cost: str | CostModel = "6ND",
    **inputs: Any,
) -> NextRuns:
    """Rank candidate runs by what they would tell of a forecast, and choose some.

    With g the forecast and y_i = log L_i + e_i the log loss of candidate i, over posterior draws: the variance of g
    that is expected to remain is ``Var(g) (1 - rho_i^2)``, with
    ``rho_i^2 = Cov(g, log L_i)^2 / (Var(g) (Var(log L_i) + v_i))``, and the expected information
    ``-log(1 - rho_i^2) / 2`` nats. The noise counts as normal with v_i, one over the mean Fisher information that a run
    has of its centre: ``sigma^2 (nu + 3) / (nu + 1)`` of a Student-t. A batch is chosen one by one, each given those
    before it, by the same regression on all of them.

    Parameters
    ----------
    source : Estimate
        A fit; or an estimate without a noise model, and ``scatter``.
    candidates : DataFrame or mapping
        The law's inputs, a row per run; ``run`` names them, ``flops`` says what they cost where ``cost`` does not.
    of : str
        The forecast: "loss" of a run (its inputs by name) or at a budget's best split, "n_params", "n_tokens",
        "tokens_per_param", "a"; as for `sensitivity`.
    compute : float or str, optional
        The budget in FLOPs at which it is asked.
    runs : int
        How many to choose, where there is no budget.
    budget : float or str, optional
        FLOPs that the batch may spend in all. Chosen by both rules, the batch that leaves less is taken.
    by : {"flops", "variance"}
        What each choice has most of: information per FLOP, or information.
    scatter : float, optional
        Standard deviation of the log loss of a new run, where the estimate has no noise model.
    cost : str or CostModel
        What training costs.
    **inputs : float or str
        Of ``of="loss"``: the inputs of the run that is forecast.

    Returns
    -------
    NextRuns
        Candidates ranked by information per FLOP, and the batch.

    Raises
    ------
    DataError
        If candidates or the question cannot be used, or the budget pays for none.
    ModelError
        If the estimate is a single draw, has no noise and no scatter is given, or cannot answer the question.

    References
    ----------
    Chaloner and Verdinelli 1995, doi:10.1214/ss/1177009939; Krause and Guestrin 2005, on choosing one by one within a
    budget, by two rules.

    Examples
    --------
    >>> import forescale as fs
    >>> grid = {"n_params": ["100M", "1B", "10B"], "n_tokens": ["20B", "20B", "20B"]}
    >>> found = fs.next_runs(fs.published("besiroglu2024"), grid, "n_params", compute="1e24", scatter=0.01)
    >>> found.table()["run"].tolist()
    ['100M,20B', '10B,20B', '1B,20B']
    """
    if by not in RULES:
        raise DataError(f"a batch is chosen by {' or '.join(RULES)}, not by {by!r}")
    if is_single(source.posterior):
        raise ModelError(f"{source.name} is a single draw: nothing is uncertain that a run could tell of; fit runs")
    target = target_of(source, of, compute=compute, cost=cost, inputs=inputs)
    if len(target.at) != 1:
        which = "say which: compute=, or for a loss the run" if compute is None else f"such as {written(target, 0)}"
        raise DataError(f"one forecast at a time: {len(target.at)} places were asked about; {which}")
    frame = _candidates(source, candidates, cost_model(cost))
    values = target.values(source.posterior)
    forecast = target.forecast(values)[..., 0].ravel()
    known = np.isfinite(forecast)
    if known.sum() < 100:
        raise ModelError(f"{known.sum()} draws of {source.name} have a finite {target.label}; at least 100 are needed")
    points = {name: frame[name].to_numpy() for name in source.law.inputs}
    log_loss = np.log(source.law(points, values)).reshape(-1, len(frame))
    covariance = np.cov(np.column_stack([forecast, log_loss])[known].T)
    noise = _noise_variance(source, frame, scatter)
    flops, sd = frame["flops"].to_numpy(), float(np.sqrt(covariance[0, 0]))
    if sd == 0:
        raise ModelError(f"{target.label} does not vary over the draws of {source.name}: there is nothing to learn")
    remaining = 1 - explained(covariance, noise)
    information = -np.log(remaining) / 2
    correlation = covariance[0, 1:] / (sd * np.sqrt(np.maximum(np.diag(covariance)[1:], 1e-300)))
    told = {"correlation": correlation, "remaining": remaining, "information": information}
    ranked = frame.drop(columns="loss_se", errors="ignore").assign(**told, per_flop=information / flops * 1e21)
    ranked = ranked.sort_values("per_flop", ascending=False, ignore_index=True)
    if budget is None:
        if not 1 <= runs <= len(frame):
            raise DataError(f"of {len(frame)} candidates between 1 and {len(frame)} can be chosen, not {runs!r}")
        chosen = choose(covariance, noise, flops, by=by, runs=runs)
    else:
        (most,) = positive("budget", budget)
        if most < flops.min():
            raise DataError(f"{most:.6g} FLOPs pay for no candidate; the cheapest costs {flops.min():.6g}")
        both = [choose(covariance, noise, flops, by=rule, budget=float(most)) for rule in RULES]
        chosen = min(both, key=lambda batch: batch[1][-1])
    order, left = chosen
    batch = frame.drop(columns="loss_se", errors="ignore").iloc[order].reset_index(drop=True)
    batch = batch.assign(total_flops=flops[order].cumsum(), remaining=left, information=-np.log(left) / 2)
    return NextRuns(source.name, target, sd, float(1 - known.mean()), ranked, batch)


def explained(covariance: Array, noise: Array) -> Array:
    """Share of the variance of the first that each of the others, seen with noise, takes away."""
    seen = np.diag(covariance)[1:] + noise
    return np.asarray(covariance[0, 1:] ** 2 / (covariance[0, 0] * seen))


def choose(
    covariance: Array, noise: Array, flops: Array, *, by: str, runs: int | None = None, budget: float = np.inf
) -> tuple[list[int], Array]:
    """Choose one by one; what each leaves of the variance of the first, with all before it.

    Seeing y_i takes ``c c^T / (Var(y_i) + v_i)`` off the covariance, c its row: regression on all that was seen.
    """
    left, whole, spent = covariance.copy(), covariance[0, 0], 0.0
    order: list[int] = []
    shares: list[float] = []
    while runs is None or len(order) < runs:
        gained = -np.log1p(-np.clip(explained(left, noise), 0, 1 - 1e-12))
        worth = gained / flops if by == "flops" else gained
        worth[order] = -np.inf
        worth[spent + flops > budget * (1 + 1e-12)] = -np.inf
        best = int(worth.argmax())
        if worth[best] == -np.inf:
            break
        row = left[best + 1]
        left = left - np.outer(row, row) / (row[best + 1] + noise[best])
        order.append(best)
        shares.append(float(left[0, 0] / whole))
        spent += float(flops[best])
    return order, np.array(shares)


def _candidates(source: Estimate, given: pd.DataFrame | Mapping[str, Any], cost: CostModel) -> pd.DataFrame:
    """The candidates as floats, with their names and what they cost."""
    names = source.law.inputs
    frame = as_points(names, given, further=tuple({"flops", "loss_se"} - set(names)))
    if "flops" not in frame:
        if not set(names) >= _SPLIT:
            raise DataError(f"what candidates cost does not follow from {', '.join(names)}: give a column flops")
        frame = frame.assign(flops=cost.flops(frame["n_params"], frame["n_tokens"]))
    if "run" in given:
        labels = [str(name) for name in np.atleast_1d(np.asarray(given["run"], dtype=object))]
    else:
        labels = [",".join(format_quantity(float(value)) for value in row) for row in frame[list(names)].to_numpy()]
    if len(labels) != len(frame):
        raise DataError(f"{len(frame)} candidates have {len(labels)} names")
    frame.insert(0, "run", labels)
    return frame


def _noise_variance(source: Estimate, frame: pd.DataFrame, scatter: float | None) -> Array:
    """One over the mean Fisher information that each candidate's log loss has of its centre."""
    if scatter is not None:
        (sd,) = positive("scatter", scatter)
        return np.full(len(frame), sd**2)
    if source.noise is None:
        raise ModelError(
            f"{source.name} has no noise model, so that what a run would tell is not known: fit runs, or state the "
            "standard deviation of log loss (scatter=0.01)"
        )
    p = {name: source.posterior[name].to_numpy().ravel()[:, None] for name in source.noise.parameters}
    variance = p["sigma"] ** 2
    if source.noise.needs_se:
        if "loss_se" not in frame:
            raise DataError("of this noise each candidate needs the standard error of its loss: a column loss_se")
        points = {name: frame[name].to_numpy() for name in source.law.inputs}
        middle = {name: float(source.posterior[name].median()) for name in source.law.parameters}
        variance = variance + (frame["loss_se"].to_numpy() / np.asarray(source.law(points, middle))) ** 2
    if "nu" in p:
        variance = variance * (p["nu"] + 3) / (p["nu"] + 1)
    return np.broadcast_to(1 / (1 / variance).mean(axis=0), (len(frame),)).astype(float)
