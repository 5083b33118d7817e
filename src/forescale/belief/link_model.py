"""LinkModel: belief about how accuracy follows loss; a link, priors that a person can judge, and binomial noise."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.belief.discrepancy import Discrepancy
from forescale.belief.model_card import priors_of
from forescale.belief.priors import Prior
from forescale.errors import ModelError
from forescale.laws.links import PARAMETERS, Link, get_link, powered

Array = NDArray[np.float64]

#: Standard deviation, where accuracy is one half, of runs of one loss about the link, beside what items explain.
SCATTER = "scatter"
#: What the sampler moves in other coordinates, and these; see `LinkModel.coordinates`.
CURVE, COORDINATES = ("middle", "span", "top"), ("z_w", "z_span", "z_t")
_KEYS = {"name", "title", "description", "link", "priors", "answer_tokens", "discrepancy"}
_START = (0.02, 0.9)  # shares of the way from chance to 1 at which chains may start
_LEAST = 1e-300  # share of the way, so that its logarithm is one
_MOST = 50.0  # log odds that a drift may add: more is 0 or 1
_EDGE = 1e-9  # a chance of success of 0 or 1 has a logarithm that is none
_LEAST_SCATTER = 1e-4  # far below what items show; with less, gamma functions lose the digits that tell runs apart


@dataclass(frozen=True, eq=False)
class LinkModel:
    """A link, and a prior for each of its parameters and of the scatter of runs about it.

    With ``floor = floor_ratio chance`` and ``ceiling = floor + (1 - floor) top``, the hits of a run of loss L in n
    items are beta-binomial about ``p(L) = floor + (ceiling - floor) share(L; middle, span)``:
    ``hits ~ Binomial(n, q)``, ``q ~ Beta(p M, (1 - p) M)`` with ``M = 1 / (2 scatter)^2``, so that q has a standard
    deviation of about ``2 scatter sqrt(p (1 - p))``, which is scatter at one half.

    Parameters
    ----------
    name : str
        What it is called.
    link : Link
        The link.
    priors : mapping of str to Prior
        Of middle, span, top, floor_ratio and scatter.
    title, description : str
        In words.
    answer_tokens : int
        How many tokens an answer has, all of which must be right (exact match); 1 where accuracy itself is on the
        link. With more, share is that of a token to their power, middle and span are of a token, and top is still of
        accuracy.
    discrepancy : Discrepancy
        How far accuracy may be from the link below the losses fitted: a drift, or none. With it, the log odds of a new
        run's share of the way from the floor to 1 are off by ``(bias + scale z) d``, d in nats below the lowest loss
        fitted, z standard normal and one for each task; the draw of bias serves all tasks.

    Raises
    ------
    ModelError
        If a prior is missing or unknown, or the discrepancy is not a drift.
    """

    name: str
    link: Link
    priors: Mapping[str, Prior]
    title: str = ""
    description: str = ""
    answer_tokens: int = 1
    discrepancy: Discrepancy = field(default=Discrepancy())

    def __post_init__(self) -> None:
        if self.discrepancy.structured:
            raise ModelError(f"link model {self.name!r}: the discrepancy of a link is a drift, not a structured one")
        if isinstance(self.answer_tokens, bool) or not (
            isinstance(self.answer_tokens, int) and self.answer_tokens >= 1
        ):
            raise ModelError(f"answer_tokens is a whole number, 1 or more, not {self.answer_tokens!r}")
        wanted = (*PARAMETERS, SCATTER)
        missing = [name for name in wanted if name not in self.priors]
        unknown = [name for name in self.priors if name not in wanted]
        if missing or unknown:
            raise ModelError(
                f"link model {self.name!r} needs priors of {', '.join(wanted)}; missing: "
                f"{', '.join(missing) or 'none'}, unknown: {', '.join(unknown) or 'none'}"
            )
        object.__setattr__(self, "priors", MappingProxyType({name: self.priors[name] for name in wanted}))

    def __reduce__(self) -> tuple[Any, ...]:
        return LinkModel.from_toml, (self.to_toml(),)

    def __repr__(self) -> str:
        lines = [f"LinkModel {self.name!r}: {self.title or self.link.name}"]
        return "\n".join([*lines, *(f"  {name}: {prior.in_words}" for name, prior in self.priors.items())])

    @property
    def curve(self) -> Link:
        """The link of accuracy itself: that of answers of all their tokens."""
        return powered(self.link, self.answer_tokens)

    @property
    def builder(self) -> Builder:
        """From data to the PyMC model, equal for equal cards, so that it is compiled once."""
        return Builder(self.to_toml())

    @classmethod
    def read(cls, path: str | Path) -> LinkModel:
        """Read a card.

        Raises
        ------
        ModelError
            If the file is no card of a link; the message names the file and what is wrong.
        """
        path = Path(path)
        try:
            return cls.from_toml(path.read_text(encoding="utf-8"), path.stem)
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{path} cannot be read as a card: {error}") from error
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error

    @classmethod
    def from_toml(cls, text: str, name: str = "link") -> LinkModel:
        """Read the text of a card.

        Raises
        ------
        ModelError
            If it is no card of a link.
        """
        try:
            card = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ModelError(f"not TOML: {error}") from error
        unknown, missing = sorted(set(card) - _KEYS), sorted({"link", "priors"} - set(card))
        if unknown or missing:
            raise ModelError(
                f"a card of a link has {', '.join(sorted(_KEYS))}; unknown: {', '.join(unknown) or 'none'}, "
                f"missing: {', '.join(missing) or 'none'}"
            )
        words = {key: card.get(key, "").strip() for key in ("title", "description")}
        further = {"answer_tokens": card.get("answer_tokens", 1)}
        further["discrepancy"] = Discrepancy.from_table(card.get("discrepancy", {}))
        return cls(card.get("name", name), get_link(card["link"]), priors_of(card["priors"]), **words, **further)

    def to_toml(self) -> str:
        """The text of its card."""
        import tomli_w

        priors = {name: prior.to_table() for name, prior in self.priors.items()}
        words = {"name": self.name, "title": self.title, "description": self.description, "link": self.link.name}
        further = {"discrepancy": self.discrepancy.to_table()} if self.discrepancy else {}
        return tomli_w.dumps({**words, "answer_tokens": self.answer_tokens, "priors": priors, **further})

    def with_priors(self, **priors: Prior) -> LinkModel:
        """The same with other priors, named by parameter."""
        return replace(self, name=f"{self.name} (own priors)", priors={**self.priors, **priors})

    def with_discrepancy(self, discrepancy: Discrepancy | None) -> LinkModel:
        """The same with another discrepancy, or none."""
        return replace(self, discrepancy=discrepancy or Discrepancy())

    def build(self, data: Mapping[str, Any]) -> Any:
        """The PyMC model of the hits of runs, which holds the data under their names: loss, chance, items, hits."""
        import pymc as pm

        with pm.Model() as model:
            given = {name: pm.Data(name, values) for name, values in data.items()}
            self.observe(given)
        return model

    def observe(self, given: Mapping[str, Any]) -> None:
        """Add parameters and likelihood to the PyMC model whose context is open."""
        import pymc as pm

        with pm.Model(model=None):  # of its own: only the densities of these priors are wanted
            priors = {name: self.priors[name].random_variable(name) for name in CURVE}
        values = {name: self.priors[name].random_variable(name) for name in self.priors if name not in CURVE}
        curve, log_jacobian = self.coordinates([pm.Flat(name, initval=0.0) for name in COORDINATES], given)
        values |= {name: pm.Deterministic(name, value) for name, value in curve.items()}
        pm.Potential("prior_of_curve", sum(pm.logp(priors[name], curve[name]) for name in CURVE) + log_jacobian)
        centre = self.curve(given["loss"], values, given["chance"])
        alpha, beta = concentrations(centre, values[SCATTER])
        pm.BetaBinomial("observed_hits", n=given["items"], alpha=alpha, beta=beta, observed=given["hits"])

    def log_density(self, values: Mapping[str, Any], data: Mapping[str, Any]) -> Array:
        """Log probability of the hits of each run, shape (..., run), under parameters of shape (..., 1)."""
        return log_density(self.curve(data["loss"], values, data["chance"]), values[SCATTER], data)

    def coordinates(self, z: Any, given: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """Middle, span and top from the three that the sampler moves in, and the log Jacobian, of PyTensor or NumPy.

        Runs seldom show the whole way, so that middle and top of one posterior lie on a thin curved sheet. Better known
        than either is w, the share of the way from floor to 1 at the loss where most items are right. The sampler moves
        in w; in span; and in t, where the ceiling is between w and 1: ``top = w + (1 - w) t``, ``s = w / top`` is the
        share of the way to the ceiling, and middle follows from s and span. Where no run has risen, the logit of w is
        a distance in spans, and anything from -3 to -50: it is the sinh of what the sampler moves in, which then is a
        straight line in the log of span.
        """
        link, log, (z_w, z_span, z_t) = self.curve, np.log, z
        w, t = (1 / (1 + np.exp(-at)) for at in (_usual_w(given) + np.sinh(z_w), z_t))
        span, top = self.priors["span"].median * np.exp(z_span), w + (1 - w) * t
        s = w / top
        middle = loss_of_hits(given) - link.inverse(s, 0.0, span)
        # |d(middle, span, top) / d(w, span, t)| = (1 - w) / top * span / (rate s steepness), then to z_w, z_span, z_t
        log_jacobian = log(1 - w) - log(top) + log(span) - log(link.rate * s * link.steepness(s))
        log_jacobian += log(w) + log(1 - w) + log(np.cosh(z_w)) + log(span) + log(t) + log(1 - t)
        return {"middle": middle, "span": span, "top": top}, log_jacobian

    def coordinates_of(self, values: Mapping[str, Array], given: Mapping[str, Any]) -> Array:
        """What the sampler moves in, where middle, span and top are these; NumPy, shape (..., 3)."""
        with np.errstate(over="ignore"):  # as for the link itself: the share is zero
            s = np.maximum(self.curve.share(loss_of_hits(given), values["middle"], values["span"]), _LEAST)
        w = np.clip(s * values["top"], _LEAST, 1 - _EDGE)
        t = np.clip((values["top"] - w) / (1 - w), _EDGE, 1 - _EDGE)
        z_w = np.arcsinh(np.log(w / (1 - w)) - _usual_w(given))
        return np.stack([z_w, np.log(values["span"] / self.priors["span"].median), np.log(t / (1 - t))], axis=-1)

    def drift_draws(self, shape: tuple[int, int, int], rng: np.random.Generator) -> Array:
        """Log odds by which a new run is off for each nat below the losses fitted, of a shape (chain, draw, task)."""
        if (drift := self.discrepancy.drift) is None:
            return np.zeros(shape)
        bias = drift.bias.sample(shape[0] * shape[1], rng).reshape(*shape[:2], 1)
        scale = drift.scale.sample(int(np.prod(shape)), rng).reshape(shape)
        return np.asarray(bias + scale * rng.standard_normal(shape))

    def prior_draws(self, draws: int, rng: np.random.Generator) -> dict[str, Array]:
        """Independent draws of all parameters, shape (draws,) each."""
        return {name: prior.sample(draws, rng) for name, prior in self.priors.items()}


@dataclass(frozen=True)
class Builder:
    """From data to the PyMC model of the card of a link."""

    card: str

    def __call__(self, data: Mapping[str, Any]) -> Any:
        """The model, which holds the data under their names."""
        return LinkModel.from_toml(self.card).build(data)


def log_density(centre: Any, scatter: Any, data: Mapping[str, Any]) -> Array:
    """Log probability of hits in items about a chance of success: as SciPy's beta-binomial, in a third of its time."""
    from scipy.special import gammaln

    hits, items = data["hits"], data["items"]
    alpha, beta = concentrations(centre, scatter)
    total = concentration(scatter)
    ways = gammaln(items + 1) - gammaln(hits + 1) - gammaln(items - hits + 1)
    hit, missed = gammaln(hits + alpha) - gammaln(alpha), gammaln(items - hits + beta) - gammaln(beta)
    return np.asarray(ways + hit + missed + gammaln(total) - gammaln(items + total))


def _usual_w(given: Mapping[str, Any]) -> Any:
    """Log odds of the share of the way that is usual among the runs, where chains start."""
    above = (given["hits"].sum() / given["items"].sum() - given["chance"].mean()).clip(*_START)
    return np.log(above / (1 - above))


def loss_of_hits(data: Mapping[str, Any]) -> Any:
    """Mean loss of what is right, where runs tell most of a link; of all items where nothing is."""
    right = data["hits"] + 1e-6 * data["items"]
    return (data["loss"] * right).sum() / right.sum()


def concentration(scatter: Any) -> Any:
    """Sum of both concentrations, the same at every loss."""
    return 1 / (4 * (scatter**2 + _LEAST_SCATTER**2))


def concentrations(centre: Any, scatter: Any) -> tuple[Any, Any]:
    """Both concentrations of the beta distribution of a run's chance of success; never quite zero."""
    total = concentration(scatter)
    inside = _EDGE + (1 - 2 * _EDGE) * centre
    return inside * total, (1 - inside) * total


def wandered(accuracy: Any, low: Any, log_odds: Any) -> Any:
    """Accuracy whose share of the way from the floor ``low`` to 1 has so much more log odds."""
    share = (accuracy - low) / (1 - low)
    raised = share * np.exp(np.clip(log_odds, -_MOST, _MOST))
    return low + (1 - low) * raised / (1 - share + raised)


def draw_hits(centre: Array, scatter: Array, items: Array, rng: np.random.Generator) -> tuple[Array, Array]:
    """Draw each run's own chance of success, and what share of the items it then gets right."""
    alpha, beta = concentrations(centre, scatter)
    own = rng.beta(alpha, beta)
    return own, rng.binomial(np.broadcast_to(items, own.shape).astype(int), own) / items
