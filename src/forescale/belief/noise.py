"""Noise: how the log loss of a run scatters about the log of the law.

Each kind is declared once, with its PyMC and its SciPy form side by side; a test compares their densities.
The scatter is on log loss, so ``sigma`` is a relative error: 0.01 is one percent of the loss.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from forescale.errors import ModelError


@dataclass(frozen=True)
class Noise:
    """A kind of scatter of log loss.

    Attributes
    ----------
    kind : str
        Its name in a card.
    parameters : tuple of str
        The parameters it needs a prior for.
    needs_se : bool
        Whether each run must come with a standard error of its loss.
    """

    kind: str
    parameters: tuple[str, ...]
    needs_se: bool
    _pymc: Callable[..., Any]
    _scipy: Callable[..., Any]

    def observe(self, name: str, mu: Any, parameters: Mapping[str, Any], observed: Any, log_se: Any) -> Any:
        """The observed PyMC variable: ``observed`` log losses about ``mu``, all of dims ("run",)."""
        import pymc as pm

        return self._pymc(pm, name, parameters, log_se, mu=mu, observed=observed, dims="run")

    def logpdf(self, residual: Any, parameters: Mapping[str, Any], log_se: Any = 0.0) -> Any:
        """Log density of log-loss residuals, broadcast over residuals, parameters and ``log_se``."""
        from scipy import stats

        return self._scipy(stats, parameters, log_se).logpdf(residual)

    def sample(
        self,
        parameters: Mapping[str, Any],
        shape: tuple[int, ...],
        rng: np.random.Generator,
        log_se: Any = 0.0,
    ) -> Any:
        """Draws of log-loss scatter of a shape that the parameters broadcast to."""
        from scipy import stats

        return self._scipy(stats, parameters, log_se).rvs(size=shape, random_state=rng)

    def run_loss(self, mean: Any, parameters: Mapping[str, Any], rng: np.random.Generator, log_se: Any = 0.0) -> Any:
        """Losses of new runs about the law's: ``mean * exp(e)``, e of the noise.

        Parameters are to be broadcastable against ``mean``. A Student-t whose degrees of freedom may be far below
        one has draws beyond any number; they are held at factors of e^-600 and e^600, so that quantiles stay finite.
        """
        return mean * np.exp(np.clip(self.sample(parameters, mean.shape, rng, log_se), -600, 600))


NOISES: dict[str, Noise] = {
    noise.kind: noise
    for noise in (
        Noise(
            "studentt",
            ("sigma", "nu"),
            False,
            lambda pm, name, p, log_se, **rest: pm.StudentT(name, nu=p["nu"], sigma=p["sigma"], **rest),
            lambda st, p, log_se: st.t(df=p["nu"], scale=p["sigma"]),
        ),
        Noise(
            "normal",
            ("sigma",),
            False,
            lambda pm, name, p, log_se, **rest: pm.Normal(name, sigma=p["sigma"], **rest),
            lambda st, p, log_se: st.norm(scale=p["sigma"]),
        ),
        Noise(
            "known",  # a standard error for each run, and sigma for the scatter between runs that it leaves out
            ("sigma",),
            True,
            lambda pm, name, p, log_se, **rest: pm.Normal(name, sigma=(p["sigma"] ** 2 + log_se**2) ** 0.5, **rest),
            lambda st, p, log_se: st.norm(scale=(p["sigma"] ** 2 + log_se**2) ** 0.5),
        ),
    )
}


def get_noise(kind: str) -> Noise:
    """Look a kind of noise up.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if kind not in NOISES:
        raise ModelError(f"no noise is called {kind!r}; there are {', '.join(NOISES)}")
    return NOISES[kind]
