"""What theories of scaling would make of a fitted exponent: a dimension of the data, a tail of what there is to learn.

These are readings: an exponent of an estimate in other words, with its band, true where the theory's conditions hold.
No fit tests them, but for what two exponents imply of one another.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr

from forescale.errors import DataError, ModelError
from forescale.estimates.draws import Estimate, band, kind_of_band, long_table

_LETTERS = {"n_params": "N", "n_tokens": "D"}


@dataclass(frozen=True, eq=False)
class IntrinsicDimension:
    """Draws of the dimension of the data that exponents would be read as.

    Attributes
    ----------
    source : str
        The estimate it comes from.
    smoothness : float
        s in alpha = s / d.
    draws : xarray.Dataset
        ``exponent``, by which loss falls with a size where nothing else limits it, and ``dimension``, s over it, of
        dims ("chain", "draw", "size"); the coordinate size is n_params, n_tokens or both.

    Notes
    -----
    The reading is a statement where: the exponent is below one (at one and above, scaling is what Bahri et al. call
    variance-limited, and knows no dimension); the law's form and floor are right, since it is of a limit that no run
    is in; training is to convergence, so that size or data and nothing else limits it; and the network is as smooth as
    s says. Of a model's size and of its data the theory has the same d, which is the one condition that an estimate
    can speak to: see ``ratio``. Intervals are equal-tailed and of the law's parameters alone.
    """

    source: str
    smoothness: float
    draws: xr.Dataset = field(repr=False)

    @property
    def ratio(self) -> xr.DataArray | None:
        """Draws of the dimension by n_params over that by n_tokens, which the theory has at 1; None of one of them."""
        dimension = self.draws["dimension"]
        if dimension.sizes["size"] < 2:
            return None
        return dimension.sel(size="n_params", drop=True) / dimension.sel(size="n_tokens", drop=True)

    @property
    def beyond(self) -> xr.DataArray:
        """The share of draws, by size, in which the exponent is one or more, so that there is no such reading."""
        return (self.draws["exponent"] >= 1).mean(("chain", "draw"))

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of each exponent and of the dimension that it is read as.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per size and quantity (exponent, dimension), and where there are two sizes one of size both and
            quantity ratio: size, quantity, median, lower, upper, prob, interval.
        """
        entries = pd.DataFrame({"size": self.draws["size"].to_numpy()})
        rows = long_table(entries, {name: self.draws[name] for name in ("exponent", "dimension")}, "quantity", prob)
        if (ratio := self.ratio) is None:
            return rows
        both = long_table(pd.DataFrame({"size": ["both"]}), {"ratio": ratio}, "quantity", prob)
        return pd.concat([rows, both], ignore_index=True)

    def __repr__(self) -> str:
        lines = [f"Exponents of {self.source} read as a dimension of the data, d = {self.smoothness:g} / exponent"]
        for size in self.draws["size"].to_numpy():
            here = self.draws.sel(size=size)
            share = float(self.beyond.sel(size=size))
            none = f"; in {share:.0%} of draws it is 1 or more, and no such reading" if share else ""
            exponent, dimension = band(here["exponent"]), band(here["dimension"], "{:.3g}".format)
            lines.append(f"  by {_LETTERS[size]}: exponent {exponent}, d {dimension}{none}")
        if (ratio := self.ratio) is not None:
            lines.append(f"  d by N over d by D: {band(ratio, '{:.3g}'.format)}; 1 if both measure one dimension")
        lines.append("  A reading, where scaling is resolution-limited; no measurement of the data")
        return "\n".join([*lines, f"  ({kind_of_band(self.draws)})"])


@dataclass(frozen=True, eq=False)
class ZipfExponent:
    """Draws of the tail of what there is to learn that an exponent of data would be read as.

    Attributes
    ----------
    source : str
        The estimate it comes from.
    draws : xarray.Dataset
        ``exponent``, beta, by which loss falls with tokens where nothing else limits it, and ``gamma``, beta over
        1 - beta, infinite where beta is one or more; dims ("chain", "draw").

    Notes
    -----
    In Hutter's model, things to learn have frequencies in proportion to rank^-(1 + gamma), and each is known for good
    once it was seen. It is of errors that count alike, of data without repeats, and of a learner without limits of
    size; that what language models learn is such a list is an assumption. Zipf's law of words has gamma near zero.
    """

    source: str
    draws: xr.Dataset = field(repr=False)

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Bands of the exponent and of gamma.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed interval.

        Returns
        -------
        pandas.DataFrame
            A row per quantity (exponent, gamma): quantity, median, lower, upper, prob, interval.
        """
        parts = {name: self.draws[name] for name in ("exponent", "gamma")}
        return long_table(pd.DataFrame(index=[0]), parts, "quantity", prob)

    def __repr__(self) -> str:
        beta, gamma = band(self.draws["exponent"]), band(self.draws["gamma"])
        return (
            f"The exponent of tokens of {self.source}, beta {beta}, read as a Zipf tail\n"
            f"  frequencies fall as rank^-(1 + gamma), gamma = beta / (1 - beta) {gamma}\n"
            "  A reading, of Hutter's model of learning by heart; no measurement of the data\n"
            f"  ({kind_of_band(self.draws)})"
        )


def intrinsic_dimension(source: Estimate, *, smoothness: float = 4.0) -> IntrinsicDimension:
    """Read the exponents of parameters and tokens as a dimension of the data: d = s / exponent.

    A network of N parameters that resolves a manifold of d dimensions evenly has pieces of width N^(-1/d). If it is
    piecewise linear, errs by their square, and loss is the square of that error (as cross-entropy is near its least),
    loss falls as N^(-4/d): s = 4. Of piecewise constant fits s = 2, and where loss itself is proportional to the width,
    all that a Lipschitz function promises, s = 1. With D points in place of N pieces the same holds of tokens.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap, of a law with powers of n_params, n_tokens or both.
    smoothness : float
        s above.

    Returns
    -------
    IntrinsicDimension
        Draws of dims ("chain", "draw", "size"), with the conditions under which they mean something.

    Raises
    ------
    DataError
        If smoothness is not above zero.
    ModelError
        If the law has no power of n_params or n_tokens.

    References
    ----------
    Sharma and Kaplan 2020, arXiv:2004.10802 (JMLR 23(9), 2022): alpha about 4 / d, tested on teachers and students, on
    image classifiers, and on language models with a lower bound of d alone. Bahri et al. 2021, arXiv:2102.06701 (PNAS
    2024): resolution- and variance-limited scaling; that s runs from 1 to 4 with smoothness is cited from memory.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.intrinsic_dimension(fs.published("hoffmann2022"))  # doctest: +ELLIPSIS
    Exponents of hoffmann2022 read as a dimension of the data, d = 4 / exponent
      by N: exponent 0.340, d 11.8
      by D: exponent 0.280, d 14.3...
    """
    if not (np.isfinite(smoothness) and smoothness > 0):
        raise DataError(f"smoothness, s in alpha = s / d, is a number above zero such as 4, not {smoothness!r}")
    exponents = _exponents(source)
    sizes = [name for name in _LETTERS if name in exponents]
    if not sizes:
        raise ModelError(
            f"law {source.law.name!r} has no power of n_params or n_tokens to read as a dimension; one that has is "
            "'chinchilla'"
        )
    exponent = xr.concat([exponents[name] for name in sizes], xr.DataArray(sizes, dims="size", name="size"))
    exponent = exponent.transpose("chain", "draw", "size")
    return IntrinsicDimension(
        source.name, float(smoothness), xr.Dataset({"exponent": exponent, "dimension": smoothness / exponent})
    )


def zipf_exponent(source: Estimate) -> ZipfExponent:
    """Read the exponent of tokens as a Zipf tail of what there is to learn: gamma = beta / (1 - beta).

    If the frequency of the i-th commonest thing falls as i^-(1 + gamma), and each is learned by being seen, the error
    after n examples falls as n^-beta with ``beta = gamma / (1 + gamma)``: the slower, the heavier the tail.

    Parameters
    ----------
    source : Estimate
        A fit, a published estimate or a bootstrap, of a law with a power of n_tokens.

    Returns
    -------
    ZipfExponent
        Draws of dims ("chain", "draw"); gamma is infinite where beta is one or more, faster than any such tail.

    Raises
    ------
    ModelError
        If the law has no power of n_tokens.

    References
    ----------
    Hutter 2021, arXiv:2102.04074; the formula is cited from memory.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.zipf_exponent(fs.published("hoffmann2022"))  # doctest: +ELLIPSIS
    The exponent of tokens of hoffmann2022, beta 0.280, read as a Zipf tail
      frequencies fall as rank^-(1 + gamma), gamma = beta / (1 - beta) 0.389...
    """
    beta = _exponents(source).get("n_tokens")
    if beta is None:
        raise ModelError(
            f"law {source.law.name!r} has no power of n_tokens to read as a Zipf tail; one that has is 'chinchilla'"
        )
    gamma = (beta / (1 - beta.where(beta < 1))).where(beta < 1, np.inf)
    return ZipfExponent(source.name, xr.Dataset({"exponent": beta, "gamma": gamma}))


def _exponents(source: Estimate) -> dict[str, xr.DataArray]:
    """Draws of the power by which loss falls with each size where nothing else limits it, by size."""
    found = {}
    for term in source.law.terms.values():
        draws = term.steepness(source.posterior[term.exponent].transpose("chain", "draw"))
        found[term.size] = draws.drop_vars([name for name in draws.coords if name not in draws.dims]).rename("exponent")
    return found
