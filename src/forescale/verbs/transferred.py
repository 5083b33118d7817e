"""What pre-training is worth in data of the target: effective data transferred, and where it ceases to matter."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.points import as_points
from forescale.errors import DataError, ModelError
from forescale.estimates.draws import Estimate, band, kind_of_band, long_table
from forescale.units import format_quantity

LAW = "transfer"
#: Quantities by name, with the label of a repr.
QUANTITIES = {"transferred": "D_T", "effective": "D_E", "multiplier": "D_E/D_F", "fades_at": "fades at D_F"}
_LETTERS = ("k", "alpha", "beta")
_SHOWN = 8  # points in a repr


@dataclass(frozen=True, eq=False)
class EffectiveData:
    """Draws of the target data that pre-training is worth.

    Attributes
    ----------
    source, unit : str
        The estimate it comes from, and what data are counted in.
    share : float
        What "fades" means: D_T is this share of D_F.
    draws : xarray.Dataset
        ``transferred`` D_T and ``effective`` D_E = D_F + D_T, in the unit; ``multiplier`` D_E / D_F; and ``fades_at``,
        the D_F from which on a model of that size gains at most ``share`` of its data by pre-training, infinite where
        alpha is one or more; dims ("chain", "draw", "point"), coordinates n_params and n_tokens.

    Notes
    -----
    Intervals are equal-tailed and of the law's curve. The law knows no harm: D_T is above zero at any D_F. Fine-tuned
    runs with more loss than runs of their size and data from scratch (ossification) are outside of it.
    """

    source: str
    unit: str
    share: float
    draws: xr.Dataset = field(repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands at each point.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per point and quantity (transferred, effective, multiplier, fades_at): n_params, n_tokens, quantity,
            median, lower, upper, prob, interval.
        """
        entries = pd.DataFrame({name: self.draws[name] for name in ("n_params", "n_tokens")})
        return long_table(entries, {name: self.draws[name] for name in QUANTITIES}, "quantity", prob)

    def __repr__(self) -> str:
        lines = [f"Data of the target that pre-training is worth, by {self.source}, in {self.unit}"]
        for i in range(min(_SHOWN, self.draws.sizes["point"])):
            here = self.draws.isel(point=[i])
            n, d = (format_quantity(float(here[name].item())) for name in ("n_params", "n_tokens"))
            bands = (f"{label} {band(here[name], format_quantity)}" for name, label in QUANTITIES.items())
            lines.append(f"  N {n}, D_F {d}: {', '.join(bands)}")
        left = self.draws.sizes["point"] - _SHOWN
        lines += [f"  ... and {left} points more in .table()"] if left > 0 else []
        lines.append(f"  It fades where D_T is {self.share:.0%} of D_F; that pre-training does harm is outside the law")
        return "\n".join([*lines, f"  ({kind_of_band(self.draws)})"])


def effective_data(source: Estimate | str, n_params: Any, n_tokens: Any, *, share: float = 0.1) -> EffectiveData:
    """Target data that pre-training is worth, and the amount of them at which it fades.

    ``D_T = k D_F^alpha N^beta``, ``D_E = D_F + D_T``; a model trained from scratch needs D_E for the loss that the
    pre-trained one has after D_F. D_T is a share s of D_F where ``D_F = (k N^beta / s)^(1 / (1 - alpha))``.

    Parameters
    ----------
    source : Estimate or str
        A fit of the law ``transfer``; or printed constants, "hernandez2021_text" or "hernandez2021_code", for which
        data are in characters of Python.
    n_params : float, str or sequence, shape (point,)
        Model sizes, in parameters; 1.3e9 and "1.3B" alike.
    n_tokens : float, str or sequence, shape (point,)
        Data to fine-tune on, in the unit of the source: tokens of a fit, characters of the printed constants.
    share : float
        s above.

    Returns
    -------
    EffectiveData
        Draws of dims ("chain", "draw", "point").

    Raises
    ------
    DataError
        If a size or share is not a number above zero.
    ModelError
        If the law is another, or no constants of that name are printed.

    References
    ----------
    Hernandez et al. 2021, arXiv:2102.01293, equations 1.1 and 1.2.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.effective_data("hernandez2021_text", "40M", 3e5)
    Data of the target that pre-training is worth, by hernandez2021_text, in characters
      N 40M, D_F 300K: D_T 142M, D_E 143M, D_E/D_F 476, fades at D_F 9.13B
      It fades where D_T is 10% of D_F; that pre-training does harm is outside the law
      (the law's curve; a single draw, so no uncertainty is known and no bands are shown)
    """
    if not (np.isfinite(share) and share > 0):
        raise DataError(f"share, D_T / D_F where pre-training is said to fade, is a number above zero, not {share!r}")
    name, unit, p = _constants(source)
    frame = as_points(("n_params", "n_tokens"), {"n_params": n_params, "n_tokens": n_tokens})
    n, d = (xr.DataArray(frame[size].to_numpy(), dims="point") for size in frame)
    with np.errstate(over="ignore"):
        transferred = p["k"] * d ** p["alpha"] * n ** p["beta"]
        fades = (p["k"] * n ** p["beta"] / share) ** (1 / (1 - p["alpha"].where(p["alpha"] < 1)))
    parts = {
        "transferred": transferred,
        "effective": d + transferred,
        "multiplier": 1 + transferred / d,
        "fades_at": fades.where(p["alpha"] < 1, np.inf),
    }
    at = {size: ("point", frame[size].to_numpy()) for size in frame}
    draws = xr.Dataset(parts).transpose("chain", "draw", "point").assign_coords(at)
    return EffectiveData(name, unit, float(share), draws)


def _constants(source: Estimate | str) -> tuple[str, str, dict[str, xr.DataArray]]:
    """Name, unit and draws of k, alpha and beta."""
    if isinstance(source, str):
        text = resources.files("forescale.models").joinpath("literature", "transfer.toml").read_text(encoding="utf-8")
        printed = tomllib.loads(text)
        if source not in printed:
            raise ModelError(f"no constants of transfer are printed as {source!r}; there are {', '.join(printed)}")
        card = printed[source]
        return source, "characters", {name: xr.DataArray([[card[name]]], dims=("chain", "draw")) for name in _LETTERS}
    law = source.law
    if law.name != LAW:
        raise ModelError(
            f"effective_data is asked of fine-tuned models, so of an estimate of law {LAW!r}: a fit with the card "
            "'transfer' to runs with n_params, n_tokens and n_stages, or of printed constants such as "
            f"'hernandez2021_text'; {source.name} has law {law.name!r}"
        )
    outer = {law.own_names.get(name, name): name for name in law.parameters}
    return source.name, "tokens", {name: source.posterior[outer[name]] for name in _LETTERS}
