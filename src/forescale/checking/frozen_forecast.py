"""A frozen forecast: quantiles and where they come from, as a value and as a small text file."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forescale.errors import DataError, FileError
from forescale.estimates.draws import INTERVAL_KIND, check_prob
from forescale.files import write_whole

FORMAT = 1
_HEAD = (
    "# A forecast frozen before the run, by forescale; `forescale score` scores it.\n"
    "# The sha256 is of all values below: a file that was edited is refused.\n"
    "# To prove when it was made, publish or commit it, or its sha256.\n"
)


@dataclass(frozen=True, eq=False)
class FrozenForecast:
    """Quantiles of the loss of runs not yet done, and all that says where they come from.

    Attributes
    ----------
    forecast : mapping of str to object
        source, law, formula, kind of band and what it is of, noise, discrepancy, unit, interval, seed, draws, when it
        was frozen (UTC), and a note.
    estimate : mapping of str to object
        What is known of the estimate: model, card_sha256, data, data_sha256, runs, seed and settings of a fit.
    versions : mapping of str to str
        Of forescale and the libraries behind it.
    levels : ndarray, shape (level,)
        Probabilities of the quantiles.
    points : pandas.DataFrame
        A row per run: its name, and the law's inputs.
    quantiles : ndarray, shape (point, level)
        Of loss, in nats per token.
    """

    forecast: Mapping[str, Any]
    estimate: Mapping[str, Any] = field(repr=False)
    versions: Mapping[str, str] = field(repr=False)
    levels: np.ndarray = field(repr=False)
    points: pd.DataFrame = field(repr=False)
    quantiles: np.ndarray = field(repr=False)

    @property
    def sha256(self) -> str:
        """Hash of all values, however the text is laid out."""
        return _sha256(self._document())

    @property
    def group(self) -> str:
        """What forecasts hang together by: the table that they come from, or else the source."""
        return str(self.estimate.get("data_sha256", self.forecast["source"]))

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of loss.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval, both of whose ends are quantiles that were kept.

        Returns
        -------
        pandas.DataFrame
            A row per run: run, the inputs, kind, median, lower, upper (nats per token), prob, interval.
        """
        ends = [0.5, (1 - check_prob(prob)) / 2, (1 + prob) / 2]
        places = [np.flatnonzero(np.isclose(self.levels, end)) for end in ends]
        if not all(map(len, places)):
            kept = ", ".join(f"{1 - 2 * level:g}" for level in self.levels[self.levels < 0.5])
            raise DataError(f"the frozen quantiles have no interval of probability {prob:g}; they have {kept}")
        found = {name: self.quantiles[:, at[0]] for name, at in zip(("median", "lower", "upper"), places, strict=True)}
        return self.points.assign(kind=self.forecast["kind"], **found, prob=prob, interval=INTERVAL_KIND)

    def save(self, path: str | Path, *, replace: bool = False) -> Path:
        """Write it as TOML, whole or not at all.

        Parameters
        ----------
        path : str or Path
            The file; what stands there stays, unless it is to be replaced.
        replace : bool
            Whether to replace a file.

        Raises
        ------
        FileError
            If there is a file already, or it cannot be written.
        """
        import tomli_w

        path = Path(path)
        if path.exists() and not replace:
            raise FileError(f"{path} exists, and a frozen forecast is not overwritten unasked; choose another name")
        document = self._document()
        text = _HEAD + tomli_w.dumps({"format": FORMAT, "sha256": _sha256(document), **document})
        try:
            return write_whole(path, lambda beside: beside.write_text(text, encoding="utf-8"))
        except OSError as error:
            raise FileError(f"{path} cannot be written: {error.strerror or error}") from error

    def _document(self) -> dict[str, Any]:
        rows = zip(self.points.to_dict("records"), self.quantiles.tolist(), strict=True)
        return {
            "forecast": dict(self.forecast),
            "estimate": dict(self.estimate),
            "versions": dict(self.versions),
            "levels": self.levels.tolist(),
            "points": [{**row, "quantiles": quantiles} for row, quantiles in rows],
        }

    def __repr__(self) -> str:
        told = self.forecast
        lines = [f"Frozen forecast of {told['source']}, {told['frozen']}: loss in nats per token, 90 % {INTERVAL_KIND}"]
        lines += [
            f"  {row['run']}: {row['kind']} {row['median']:.4g} [{row['lower']:.4g}, {row['upper']:.4g}]"
            for row in self.table(0.9).to_dict("records")
        ]
        return "\n".join([*lines, f"  ({told['kind']}: {told['of']}; sha256 {self.sha256[:12]})"])


def load_frozen(path: str | Path) -> FrozenForecast:
    """Read a forecast that `freeze` wrote.

    Parameters
    ----------
    path : str or Path
        The file.

    Returns
    -------
    FrozenForecast
        As it was written.

    Raises
    ------
    FileError
        If it is absent, no frozen forecast, of a newer format, or was changed since.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.load_frozen("forecast.toml")  # doctest: +SKIP
    """
    path = Path(path)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        found, kept = document.pop("format"), document.pop("sha256")
    except FileNotFoundError as error:
        raise FileError(f"{path}: no such file; freeze() or `forescale freeze` writes one") from error
    except (OSError, ValueError, KeyError) as error:
        raise FileError(f"{path} is not a frozen forecast: {error}") from error
    if found != FORMAT:
        raise FileError(f"{path}: a frozen forecast in format {found}; this forescale reads format {FORMAT}")
    if _sha256(document) != kept:
        raise FileError(
            f"{path} was changed since it was frozen: its values do not have the sha256 that it states. Take the file "
            "as it was written; what was observed belongs beside it, and not into it"
        )
    try:
        rows = pd.DataFrame(document["points"])
        quantiles = np.array(rows.pop("quantiles").tolist(), dtype=float)
        levels = np.array(document["levels"])
        return FrozenForecast(document["forecast"], document["estimate"], document["versions"], levels, rows, quantiles)
    except (KeyError, ValueError, TypeError) as error:
        raise FileError(f"{path} is not a frozen forecast: {error}") from error


def _sha256(document: Mapping[str, Any]) -> str:
    """Of the values, so that line ends, spaces and comments may change on the way through editors and archives."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
