"""Prior: which distributions a card may name, and how one enters PyMC.

Each distribution is declared once, with its PyMC and its SciPy form side by side; a test compares their
densities. SciPy serves prior draws and densities of many draws, so that neither costs a compilation.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.errors import ModelError

Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class _Distribution:
    arguments: tuple[str, ...]
    pymc: Callable[..., Any]  # (pm, name, **arguments) -> random variable
    scipy: Callable[..., Any]  # (scipy.stats, **arguments) -> frozen distribution
    positive: bool  # support is (0, inf), which PyMC samples on the log scale


DISTRIBUTIONS: dict[str, _Distribution] = {
    "lognormal": _Distribution(
        ("median", "sigma"),
        lambda pm, name, median, sigma: pm.LogNormal(name, mu=math.log(median), sigma=sigma),
        lambda st, median, sigma: st.lognorm(s=sigma, scale=median),
        positive=True,
    ),
    "halfnormal": _Distribution(
        ("sigma",),
        lambda pm, name, sigma: pm.HalfNormal(name, sigma=sigma),
        lambda st, sigma: st.halfnorm(scale=sigma),
        positive=True,
    ),
    "exponential": _Distribution(
        ("scale",),
        lambda pm, name, scale: pm.Exponential(name, scale=scale),
        lambda st, scale: st.expon(scale=scale),
        positive=True,
    ),
    "gamma": _Distribution(
        ("alpha", "beta"),
        lambda pm, name, alpha, beta: pm.Gamma(name, alpha=alpha, beta=beta),
        lambda st, alpha, beta: st.gamma(alpha, scale=1 / beta),
        positive=True,
    ),
    "inversegamma": _Distribution(
        ("alpha", "beta"),
        lambda pm, name, alpha, beta: pm.InverseGamma(name, alpha=alpha, beta=beta),
        lambda st, alpha, beta: st.invgamma(alpha, scale=beta),
        positive=True,
    ),
    "normal": _Distribution(
        ("mu", "sigma"),
        lambda pm, name, mu, sigma: pm.Normal(name, mu=mu, sigma=sigma),
        lambda st, mu, sigma: st.norm(mu, sigma),
        positive=False,
    ),
    "truncatednormal": _Distribution(
        ("mu", "sigma", "lower", "upper"),
        lambda pm, name, mu, sigma, lower, upper: pm.TruncatedNormal(
            name, mu=mu, sigma=sigma, lower=lower, upper=upper
        ),
        lambda st, mu, sigma, lower, upper: st.truncnorm(
            (lower - mu) / sigma, (upper - mu) / sigma, loc=mu, scale=sigma
        ),
        positive=False,
    ),
    "uniform": _Distribution(
        ("lower", "upper"),
        lambda pm, name, lower, upper: pm.Uniform(name, lower=lower, upper=upper),
        lambda st, lower, upper: st.uniform(lower, upper - lower),
        positive=False,
    ),
    "beta": _Distribution(
        ("alpha", "beta"),
        lambda pm, name, alpha, beta: pm.Beta(name, alpha=alpha, beta=beta),
        lambda st, alpha, beta: st.beta(alpha, beta),
        positive=False,
    ),
}

_MUST_BE_POSITIVE = {"median", "sigma", "scale", "alpha", "beta"}


@dataclass(frozen=True, init=False)
class Prior:
    """A distribution from the list of those allowed, with its arguments.

    Parameters
    ----------
    dist : str
        One of ``DISTRIBUTIONS``: lognormal(median, sigma), halfnormal(sigma), exponential(scale),
        gamma(alpha, beta), inversegamma(alpha, beta), normal(mu, sigma),
        truncatednormal(mu, sigma, lower, upper), uniform(lower, upper), beta(alpha, beta).
    **arguments : float
        Exactly the arguments of that distribution. ``sigma`` of a lognormal is on the log scale; ``beta`` of a
        gamma is a rate, of an inversegamma a scale, as in PyMC.

    Raises
    ------
    ModelError
        For an unknown distribution, a missing, unknown or unusable argument.

    Examples
    --------
    >>> Prior("lognormal", median=0.3, sigma=0.4)
    Prior('lognormal', median=0.3, sigma=0.4)
    """

    dist: str
    arguments: tuple[tuple[str, float], ...]

    def __init__(self, dist: str, **arguments: float) -> None:
        if dist not in DISTRIBUTIONS:
            raise ModelError(f"no distribution is called {dist!r}; there are {', '.join(DISTRIBUTIONS)}")
        wanted = DISTRIBUTIONS[dist].arguments
        if set(arguments) != set(wanted):
            raise ModelError(f"{dist} wants {', '.join(wanted)}; given were {', '.join(arguments) or 'none'}")
        for name, value in arguments.items():
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise ModelError(f"{dist}: {name} must be a finite number, not {value!r}")
            if name in _MUST_BE_POSITIVE and value <= 0:
                raise ModelError(f"{dist}: {name} must be above zero, not {value!r}")
        if "lower" in arguments and arguments["lower"] >= arguments["upper"]:
            raise ModelError(f"{dist}: lower must be below upper, not {arguments['lower']!r} and more")
        object.__setattr__(self, "dist", dist)
        object.__setattr__(self, "arguments", tuple((name, float(arguments[name])) for name in wanted))

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> Prior:
        """From a card's inline table, e.g. ``{dist = "lognormal", median = 0.3, sigma = 0.4}``."""
        if not isinstance(table, Mapping) or not isinstance(table.get("dist"), str):
            raise ModelError(f'a prior is a table with a dist, e.g. {{dist = "halfnormal", sigma = 1}}, not {table!r}')
        return cls(**table)

    def to_table(self) -> dict[str, str | float]:
        """As a card's inline table."""
        return {"dist": self.dist, **dict(self.arguments)}

    @property
    def in_words(self) -> str:
        """Its name and arguments, such as ``lognormal, median 0.3, sigma 0.4``."""
        return f"{self.dist}, {', '.join(f'{name} {value:g}' for name, value in self.arguments)}"

    @property
    def positive(self) -> bool:
        """Whether its support is (0, inf), so that it is sampled on the log scale."""
        return DISTRIBUTIONS[self.dist].positive

    @property
    def support(self) -> tuple[float, float]:
        """Between which numbers it has draws; infinite where there is no end."""
        low, high = self._scipy().support()
        return float(low), float(high)

    @property
    def median(self) -> float:
        """Its median."""
        return float(self._scipy().median())

    def random_variable(self, name: str) -> Any:
        """The PyMC random variable of that name, in the PyMC model whose context is open."""
        import pymc as pm

        return DISTRIBUTIONS[self.dist].pymc(pm, name, **dict(self.arguments))

    def sample(self, size: int, rng: np.random.Generator) -> Numbers:
        """Independent draws, shape (size,)."""
        return np.asarray(self._scipy().rvs(size=size, random_state=rng), dtype=float)

    def logpdf(self, values: Any) -> Numbers:
        """Log density at values of any shape."""
        return np.asarray(self._scipy().logpdf(values), dtype=float)

    def _scipy(self) -> Any:
        return _frozen(self.dist, self.arguments)

    def __repr__(self) -> str:
        return f"Prior({self.dist!r}, {', '.join(f'{name}={value:g}' for name, value in self.arguments)})"


@lru_cache(maxsize=256)
def _frozen(dist: str, arguments: tuple[tuple[str, float], ...]) -> Any:
    """SciPy's form, which takes longer to make than to use: it writes its documentation anew."""
    from scipy import stats

    return DISTRIBUTIONS[dist].scipy(stats, **dict(arguments))


def check_match(where: str, whose: str, wanted: tuple[str, ...], given: Mapping[str, Prior]) -> None:
    """Refuse priors that are not one for each of what is wanted."""
    missing = [name for name in wanted if name not in given]
    unknown = [name for name in given if name not in wanted]
    if missing or unknown:
        raise ModelError(
            f"{where}: {whose} has parameters {', '.join(wanted)}; prior missing for: "
            f"{', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
        )
