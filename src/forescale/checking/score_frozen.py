"""score_frozen() -> FrozenScores: frozen forecasts against what came, over as many files as there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forescale.checking.frozen_forecast import FrozenForecast, load_frozen
from forescale.checking.scoring import PROBS, coverage_name, score_quantiles
from forescale.errors import DataError, FileError
from forescale.estimates.draws import INTERVAL_KIND
from forescale.numbers.proportions import share_interval
from forescale.tables.intake import read_table
from forescale.units import parse_quantity

#: What a file of observed losses has, and how one is called that is found without being named.
OBSERVED, COMPANION = ("run", "loss"), ".observed.csv"
Observed = float | str | Path | Mapping[str, Any] | pd.DataFrame


@dataclass(frozen=True, eq=False)
class FrozenScores:
    """Scores of frozen forecasts.

    Attributes
    ----------
    scores : pandas.DataFrame
        A row per observed run: file, source, run, loss; median, lower, upper (90 %) as frozen, nats per token;
        covered_50, ... covered_95; interval_score (of 90 %), crps and bias in percent of loss; pit; group, what
        hangs together.
    kind : str
        Kind of the bands.
    unobserved : int
        Frozen runs whose loss is not known yet.
    """

    scores: pd.DataFrame = field(repr=False)
    kind: str
    unobserved: int

    def table(self) -> pd.DataFrame:
        """A row per observed run; see ``scores``."""
        return self.scores.copy()

    def coverage(self, prob: float = 0.9) -> pd.DataFrame:
        """How often bands held what came, by their probability, and how sure that is.

        Forecasts from one table of runs err together: they count as one group (`forescale.numbers.proportions`).

        Parameters
        ----------
        prob : float
            Probability mass of the interval of the share.

        Returns
        -------
        pandas.DataFrame
            A row per probability of a band: band, hits, points, groups, share, lower, upper, prob, interval.
        """
        groups, rows = self.scores["group"], []
        for band in PROBS:
            hits = self.scores[coverage_name(band)]
            lower, upper = share_interval(hits > 0, groups, prob)
            counted = {"hits": int(hits.sum()), "points": len(hits), "groups": groups.nunique()}
            rows.append({"band": band, **counted, "share": hits.mean(), "lower": lower, "upper": upper})
        return pd.DataFrame(rows).assign(prob=prob, interval=INTERVAL_KIND)

    def means(self) -> pd.Series:
        """Mean interval score, CRPS and bias, in percent of loss."""
        return self.scores[["interval_score", "crps", "bias"]].mean()

    def __repr__(self) -> str:
        runs = f"{len(self.scores)} run{'s' if len(self.scores) > 1 else ''}"
        lines = [f"Frozen forecasts of {runs}, {self.unobserved} not observed yet; band {self.kind}"]
        for row in self.scores.head(10).to_dict("records"):
            ends = f"{row['median']:.4g} [{row['lower']:.4g}, {row['upper']:.4g}]"
            lines.append(f"  {row['run']}: {row['loss']:.4g}, forecast {ends}, PIT {row['pit']:.2f}")
        shares = [
            f"{row['hits']} of {row['points']} in {100 * row['band']:g} % bands"
            for row in self.coverage().to_dict("records")
        ]
        means = self.means()
        told = f"interval score {means['interval_score']:.3g}, CRPS {means['crps']:.3g}, bias {means['bias']:+.3g}"
        return "\n".join(
            [*lines, f"  {', '.join(shares)}", f"  {told} (percent of loss; brackets: 90 % {INTERVAL_KIND})"]
        )


def score_frozen(
    forecasts: str | Path | FrozenForecast | Sequence[str | Path | FrozenForecast], observed: Observed | None = None
) -> FrozenScores:
    """Score frozen forecasts against the losses that came.

    With y = 100 log loss and q(p) the frozen quantiles of it: coverage of central bands, the interval score of that of
    90 %, ``CRPS = 2 int_0^1 (1[y < q(p)] - p) (q(p) - y) dp`` and PIT; see `forescale.checking.scoring`.

    Parameters
    ----------
    forecasts : path, FrozenForecast, or a sequence of these
        Files of `freeze`, as many as have accumulated; runs that are not observed are left for later.
    observed : float, mapping, DataFrame or path, optional
        Losses, nats per token: of a single run, by the run's name, or a table (.csv) with columns run and loss. By
        default each file's own companion, ``NAME.observed.csv`` beside ``NAME.toml``.

    Returns
    -------
    FrozenScores
        Scores of each run, coverage over all.

    Raises
    ------
    DataError
        If a loss is no number above zero or of no frozen run, nothing is observed, a forecast is given twice, or they
        are of different kinds of band.
    FileError
        If a file was changed since it was frozen, or cannot be read.

    References
    ----------
    Gneiting and Raftery 2007, doi:10.1198/016214506000001437; Laio and Tamea 2007, doi:10.5194/hess-11-1267-2007.

    Examples
    --------
    >>> import forescale as fs
    >>> frozen = fs.freeze(fs.published("besiroglu2024"), n_params="70B", n_tokens="1.4T", kind="mean")
    >>> fs.score_frozen(frozen, 1.97).scores["covered_90"].item()
    1.0
    """
    given = [forecasts] if isinstance(forecasts, str | Path | FrozenForecast) else list(forecasts)
    if not given:
        raise DataError("there is no frozen forecast to score")
    frozen = [each if isinstance(each, FrozenForecast) else load_frozen(each) for each in given]
    labels = [f"#{i}" if isinstance(each, FrozenForecast) else str(each) for i, each in enumerate(given, start=1)]
    _check(frozen, labels)
    together = None if observed is None else _losses(observed, frozen)
    rows, seen, runs = [], set(), 0
    for label, each, where in zip(labels, frozen, given, strict=True):
        losses = _companion(where, each) if together is None else together
        names = each.points["run"].tolist()
        seen |= set(names)
        runs += len(names)
        known = [i for i, name in enumerate(names) if name in losses]
        if not known:
            continue
        came = np.array([losses[names[i]] for i in known])
        found = score_quantiles(came, each.levels, each.quantiles[known])
        head = {"file": label, "source": each.forecast["source"], "run": [names[i] for i in known], "loss": came}
        rows.append(pd.DataFrame({**head, **found, "group": each.group}))
    if together is not None and (unknown := sorted(set(together) - seen)):
        raise DataError(f"no frozen run is called {' or '.join(unknown)}; there are {' and '.join(sorted(seen))}")
    if not rows:
        raise DataError(
            f"none of {runs} frozen runs is observed yet; give their losses (observed=), or a table with columns run "
            f"and loss beside each file, as NAME{COMPANION}"
        )
    scores = pd.concat(rows, ignore_index=True)
    return FrozenScores(scores, str(frozen[0].forecast["kind"]), runs - len(scores))


def _check(frozen: Sequence[FrozenForecast], labels: Sequence[str]) -> None:
    hashes = [each.sha256 for each in frozen]
    for i, one in enumerate(hashes):
        if one in hashes[:i]:
            raise DataError(f"{labels[i]} is the same forecast as {labels[hashes.index(one)]}; count it once")
    kinds = [str(each.forecast["kind"]) for each in frozen]
    if len(set(kinds)) > 1:
        told = ", ".join(f"{label} is of kind {kind}" for label, kind in zip(labels, kinds, strict=True))
        raise DataError(f"bands of different kinds cannot be counted together: {told}")


def _losses(observed: Observed, frozen: Sequence[FrozenForecast]) -> dict[str, float]:
    """Losses by the name of the run."""
    if isinstance(observed, str | Path) and Path(observed).suffix in (".csv", ".tsv", ".parquet"):
        observed = read_table(Path(observed))
    if isinstance(observed, pd.DataFrame):
        if missing := [name for name in OBSERVED if name not in observed]:
            raise DataError(f"observed losses are a table of run and loss; there is no {' and no '.join(missing)}")
        if (twice := observed["run"].astype(str).duplicated()).any():
            raise DataError(f"{observed['run'][twice].iloc[0]} is observed twice; give one loss for each run")
        observed = dict(zip(observed["run"].astype(str), observed["loss"], strict=True))
    if not isinstance(observed, Mapping):
        names = sorted({name for each in frozen for name in each.points["run"]})
        if len(names) != 1:
            raise DataError(f"one loss for {len(names)} runs: say by name which is observed, {' or '.join(names)}")
        observed = {names[0]: observed}
    return {str(name): _loss(str(name), value) for name, value in observed.items()}


def _loss(name: str, value: Any) -> float:
    try:
        loss = parse_quantity(value)
    except DataError as error:
        raise DataError(f"the observed loss of {name}: {error}") from error
    if not loss > 0:
        raise DataError(f"the observed loss of {name} must be above zero, in nats per token; it is {value!r}")
    return loss


def _companion(given: str | Path | FrozenForecast, frozen: FrozenForecast) -> dict[str, float]:
    if isinstance(given, FrozenForecast):
        return {}
    path = Path(given).with_suffix(COMPANION)
    if not path.is_file():
        return {}
    try:
        losses = _losses(path, [frozen])
    except DataError as error:
        raise FileError(f"{path}: {error}") from error
    if unknown := sorted(set(losses) - set(frozen.points["run"])):
        raise DataError(f"{path}: no run in {given} is called {' or '.join(unknown)}")
    return losses
