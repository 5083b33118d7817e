"""The joint model of isoFLOP profiles: a valley for each budget, with minima along a power law in compute.

A shape says how loss rises from a budget's minimum. It is one function in operators and ``np.exp`` only, so that
the same line serves PyTensor and NumPy. Sizes and compute are natural logs throughout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from forescale.belief.noise import get_noise
from forescale.belief.priors import Prior
from forescale.errors import ModelError
from forescale.frontiers.isoflop import IsoFlop
from forescale.laws import Named
from forescale.sampling.joint import Joint, sample_joint
from forescale.sampling.nuts import Settings
from forescale.units import CostModel

#: Of what every shape has; `sample_valleys` says why these.
PRIORS = {
    "a": Prior("normal", mu=0.5, sigma=0.2),
    "offset": Prior("normal", mu=0.0, sigma=2.0),
    "tau": Prior("gamma", alpha=2.0, beta=20.0),
    "curvature_middle": Prior("lognormal", median=0.07, sigma=1.0),
    "curvature_slope": Prior("normal", mu=-0.15, sigma=0.15),
    "curvature_scatter": Prior("gamma", alpha=2.0, beta=20.0),
    "log_loss_min": Prior("normal", mu=1.0, sigma=1.0),
    "sigma": Prior("halfnormal", sigma=0.05),
    "nu": Prior("gamma", alpha=2.0, beta=0.1),
}
_NOISE = get_noise("studentt")
#: Half width of the central difference in `growth`: exact for powers of size, to 1e-5 with attention.
_STEP = 0.01


@dataclass(frozen=True)
class Valley:
    """A shape of valley.

    Attributes
    ----------
    inputs : tuple of str
        What it needs to know of a run: log_params, log_tokens, or log_beyond, the log of the run's own compute over
        its budget's.
    priors : mapping of str to Prior
        Of the parameters of its own, which all budgets share.
    loss : callable
        From inputs of runs, their budget's minimum (loss, log_params, log_tokens, curvature, growth) and parameters.
    """

    inputs: tuple[str, ...]
    priors: Mapping[str, Prior]
    loss: Callable[[Named, Named, Named], Any]


def asymmetric(run: Named, minimum: Named, values: Named) -> Any:
    """L = L* + K [ ((N/N*)^-p - 1) / p + ((D/D*)^-q - 1) / (q g) ],  K = curvature / (p + q g).

    Along the budget's line D falls as N^-g near N*: the slope is zero there, and the second derivative in log N is
    the curvature (but for how g itself changes with size). Under C = 6ND, where g = 1, any law
    ``E + A / N^alpha + B / D^beta`` is of this form exactly, with ``p = alpha``, ``q = beta`` and
    ``K = alpha A / N*^alpha = beta B / D*^beta``, the condition of the optimum (Hoffmann et al. 2022, equation 4).
    N and D are the run's own, which need not lie on its budget's line.
    """
    p, q, g = values["p"], values["q"], minimum["growth"]
    size = (np.exp(-p * (run["log_params"] - minimum["log_params"])) - 1) / p
    tokens = (np.exp(-q * (run["log_tokens"] - minimum["log_tokens"])) - 1) / (q * g)
    return minimum["loss"] + minimum["curvature"] / (p + q * g) * (size + tokens)


def quadratic(run: Named, minimum: Named, values: Named) -> Any:
    """L = L* (C/C_i)^-e + curvature u^2 / 2,  u = log(N/N*) - a log(C/C_i).

    The parabola of Hoffmann et al. 2022, approach 2, moved along the frontier from its budget's C_i to the run's own
    compute C. Where the true valley is asymmetric, its optimum is biased.
    """
    away = run["log_params"] - minimum["log_params"] - values["a"] * run["log_beyond"]
    return minimum["loss"] * np.exp(-values["e"] * run["log_beyond"]) + minimum["curvature"] * away**2 / 2


SHAPES = {
    "asymmetric": Valley(
        ("log_params", "log_tokens"),
        {"p": Prior("lognormal", median=0.35, sigma=0.4), "q": Prior("lognormal", median=0.35, sigma=0.4)},
        asymmetric,
    ),
    "quadratic": Valley(("log_params", "log_beyond"), {"e": Prior("lognormal", median=0.05, sigma=0.5)}, quadratic),
}


def get_shape(name: str) -> Valley:
    """Look a shape up.

    Raises
    ------
    ModelError
        If there is none of that name.
    """
    if name not in SHAPES:
        raise ModelError(f"no valley is called {name!r}; there are {', '.join(SHAPES)}")
    return SHAPES[name]


def sample_valleys(
    groups: IsoFlop, shape: str, settings: Settings, seed: int, *, progress: bool | None = None
) -> Joint:
    """Sample all budgets' valleys together.

    With c_i the log of a budget's compute less its mean over budgets, budget i has its minimum at
    ``log N*_i = m + a c_i + tau z_i``, its curvature there at ``log curvature_i = log curvature_middle +
    curvature_slope c_i + curvature_scatter w_i``, z and w standard normal, and a minimum loss of its own; the log
    loss of a run is Student-t about the log of the shape's loss.

    The priors are for losses in nats per token, and weak beside a few budgets of runs; ranges hold 90 %. Exponents:
    a ~ N(0.5, 0.2) spans what is published (0.45 to 0.88); p and q, the alpha and beta of a law, are 0.18 to 0.68.
    The size at the middle budget is ``m = log sqrt(C / 120) + offset``, offset ~ N(0, 2): 20 tokens per parameter
    within a factor of 700. Curvature, in nats of loss per squared nat of size, is ``alpha beta (L* - E)`` for a law,
    0.09 for Besiroglu et al.'s at 1e20 FLOPs, and falls as ``C^-(alpha beta / (alpha + beta))``, about -0.15: it is
    within a factor of 5 of 0.07 at the middle. Minimum losses are within a factor of 5 of 2.7 nats. tau and
    curvature_scatter, by which budgets leave their trends, are 2 % to 24 %: a law leaves none, and these priors then
    widen intervals a little; real budgets differ in more than compute. Noise is as in the chinchilla card.

    Parameters
    ----------
    groups : IsoFlop
        Runs by budget.
    shape : str
        A key of `SHAPES`.
    settings, seed, progress
        As for `sampling.sample`.

    Returns
    -------
    Joint
        Draws of the parameters, `log_loss_min` of dim budget, and of the coordinates that the sampler moved in.

    Raises
    ------
    ModelError
        If there is no such shape.
    ConvergenceError
        If the diagnostics fail, twice; it carries the draws.
    """
    data = valley_data(groups, get_shape(shape))
    what, build = f"the {shape} valleys of {groups.source}", Builder(shape, groups.cost)
    return sample_joint(what, "valleys", build, data, settings, seed, progress=progress)


def valley_data(groups: IsoFlop, valley: Valley) -> dict[str, Any]:
    """What the model sees.

    Of each run: the shape's inputs, observed_log_loss and which budget. Of each budget: log_budget, and log_loss_low
    and log_params_low of its run of the lowest loss, from where the sampler starts.
    """
    runs = groups.runs
    budgets, which = np.unique(runs["budget"].to_numpy(), return_inverse=True)
    low = runs.loc[runs.groupby("budget")["loss"].idxmin()]
    inputs = {
        "log_params": np.log(runs["n_params"].to_numpy()),
        "log_tokens": np.log(runs["n_tokens"].to_numpy()),
        "log_beyond": np.log((runs["flops"] / runs["budget"]).to_numpy()),
    }
    return {
        **{name: inputs[name] for name in valley.inputs},
        "which": which,
        "observed_log_loss": np.log(runs["loss"].to_numpy()),
        "log_budget": np.log(budgets),
        "log_loss_low": np.log(low["loss"].to_numpy()),
        "log_params_low": np.log(low["n_params"].to_numpy()),
    }


@dataclass(frozen=True)
class Builder:
    """From data to the PyMC model; two of one shape and cost are equal, so that the model is compiled once."""

    shape: str
    cost: CostModel

    def __call__(self, data: Mapping[str, Any]) -> Any:
        """The model, which holds the data under their names."""
        import pymc as pm

        valley = get_shape(self.shape)
        priors = {**PRIORS, **valley.priors}
        dims = {"run": np.arange(len(data["which"])), "budget": np.arange(len(data["log_budget"]))}
        with pm.Model(coords=dims) as model:
            given = {name: pm.Data(name, values) for name, values in data.items()}
            start = {
                "a": 0.5,
                "curvature_slope": -0.15,
                "offset": given["log_params_low"].mean() - _usual_size(given["log_budget"].mean()),
            }
            own = {"log_loss_min", *start}
            values = {name: prior.random_variable(name) for name, prior in priors.items() if name not in own}
            values |= {name: _started(name, priors[name], at, 0.1) for name, at in start.items()}
            values["log_loss_min"] = self.log_loss_min(given)
            # Half-way between centred and non-centred, z and w times the root of their scale: runs may tell each
            # budget's minimum far better than the scale, or far worse.
            for name, scale in (("root_tau_z", "tau"), ("root_scatter_w", "curvature_scatter")):
                values[name] = pm.Normal(name, sigma=values[scale] ** 0.5, dims="budget")
            all_minima = minima(given["log_budget"], values, self.cost)
            of_run = {name: array[given["which"]] for name, array in all_minima.items()}
            loss = valley.loss(given, of_run, values)
            _NOISE.observe("log_loss", np.log(loss), values, given["observed_log_loss"], None)
        return model

    def log_loss_min(self, given: Named) -> Any:
        """Each budget's minimum loss, in the log: here without a trend."""
        return _started("log_loss_min", PRIORS["log_loss_min"], given["log_loss_low"], 0.02, "budget")


def _started(name: str, prior: Prior, at: Any, step: float, dim: str | None = None) -> Any:
    """A normal variable sampled in steps from ``at``: chains start within one of it, wherever the prior lies."""
    import pymc as pm

    mu, sigma = (dict(prior.arguments)[argument] for argument in ("mu", "sigma"))
    zero = np.zeros(len(pm.modelcontext(None).coords[dim])) if dim else 0.0
    steps = pm.Normal(f"{name}_steps", mu=(mu - at) / step, sigma=sigma / step, dims=dim, initval=zero)
    return pm.Deterministic(name, at + step * steps, dims=dim)


def minima(log_budget: Any, values: Named, cost: CostModel) -> dict[str, Any]:
    """Each budget's minimum: loss, log_params, log_tokens, curvature, growth; PyTensor and xarray alike."""
    middle = log_budget.mean()
    log_params = frontier_line(log_budget, middle, values) + values["tau"] ** 0.5 * values["root_tau_z"]
    trend = values["curvature_slope"] * (log_budget - middle)
    log_curvature = trend + values["curvature_scatter"] ** 0.5 * values["root_scatter_w"]
    return {
        "loss": np.exp(values["log_loss_min"]),
        "log_params": log_params,
        "log_tokens": log_budget - np.log(cost.flops_per_token(np.exp(log_params))),
        "curvature": values["curvature_middle"] * np.exp(log_curvature),
        "growth": growth(log_params, cost),
    }


def frontier_line(log_compute: Any, middle: Any, values: Named) -> Any:
    """Log N* on the power law: ``log sqrt(C_middle / 120) + offset + a log(C / C_middle)``."""
    return _usual_size(middle) + values["offset"] + values["a"] * (log_compute - middle)


def _usual_size(log_compute: Any) -> Any:
    """Log size of a run of 20 tokens per parameter under C = 6ND."""
    return 0.5 * (log_compute - np.log(120.0))


def growth(log_params: Any, cost: CostModel) -> Any:
    """How the cost of a token grows with size, d log(C / D) / d log N: 1 under C = 6ND."""
    up, down = (np.log(cost.flops_per_token(np.exp(log_params + step))) for step in (_STEP, -_STEP))
    return (up - down) / (2 * _STEP)
