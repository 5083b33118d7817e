"""Model: belief. A law, a prior for each of its parameters and of its noise, a reference, and a discrepancy.

A model refuses to exist unless priors and parameters match.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from forescale.belief.discrepancy import Discrepancy
from forescale.belief.model_card import read_card, write_card
from forescale.belief.noise import Noise, get_noise
from forescale.belief.points import as_points, usual_points
from forescale.belief.priors import Prior, check_match
from forescale.belief.references import Size, as_size
from forescale.belief.spreads import Spreads
from forescale.errors import ModelError
from forescale.laws import Law, Named
from forescale.tables.observations import Observations


@dataclass(frozen=True)
class Model:
    """A law with priors on its parameters, noise on log loss, and how far the law may be from the truth.

    With discrepancy f and noise e, a run's loss is ``log L_i = log law(inputs_i; parameters) + f_i + e_i``.

    Attributes
    ----------
    name, title, description : str
        What the card says of itself.
    law : Law
        The law, under the names of the card.
    priors : mapping of str to Prior
        One for each parameter of the law. For a parameter that sets the size of a power (``law.terms``) whose
        input has a reference, the prior is on the *effect*: the nats of loss which that term costs at the
        reference. Without a reference it is on the parameter as printed. Of a law that says how it is judged
        (``law.judged``), and with the reference that this takes, there is one for each of ``law.judged_by`` instead.
    noise : Noise
        How log loss scatters.
    noise_priors : mapping of str to Prior
        One for each parameter of the noise.
    reference : mapping of str to float or (float, float)
        Reference sizes by input, in the units of the input. Laws that are judged over a range of sizes have its two
        ends; a fit puts those of its runs there (`forescale.belief.references`).
    discrepancy : Discrepancy
        How log loss may depart from the law's; by default not at all.
    families : Spreads
        By how much families of runs differ, for `fit_families`; by default it does not say.

    Raises
    ------
    ModelError
        If a prior is missing or belongs to no parameter, or the reference does not fit the law.

    Examples
    --------
    >>> import forescale as fs
    >>> model = fs.load_model("chinchilla").with_priors(alpha=fs.Prior("normal", mu=0.35, sigma=0.05))
    >>> model.priors["alpha"].median
    0.35
    """

    name: str
    law: Law
    priors: Mapping[str, Prior]
    noise: Noise
    noise_priors: Mapping[str, Prior]
    reference: Mapping[str, Size] = field(default_factory=dict)
    discrepancy: Discrepancy = field(default_factory=Discrepancy)
    families: Spreads = field(default_factory=Spreads)
    title: str = ""
    description: str = ""

    def __post_init__(self) -> None:
        where = f"model {self.name!r}"
        check_match(where, f"law {self.law.name!r}", self.believed, self.priors)
        check_match(where, f"noise {self.noise.kind!r}", self.noise.parameters, self.noise_priors)
        of = ({*self.law.parameters, *self.believed}, self.noise.parameters, tuple(self.discrepancy.priors()))
        if clash := [name for name, times in Counter(name for names in of for name in names).items() if times > 1]:
            raise ModelError(f"{where}: {', '.join(sorted(clash))} is a parameter of the law and of the noise")
        known = {*self.law.judged_at, *(term.size for term in self.law.terms.values())}
        for name in self.reference:
            if name not in known:
                raise ModelError(
                    f"{where}: reference {name!r} is no size of law {self.law.name!r} ({', '.join(known)})"
                )
        for name in self.law.terms:
            if self.prior_name(name) != name and not self.priors[name].positive:
                raise ModelError(
                    f"{where}: {name} is given by its effect at the reference, which is above zero; "
                    f"{self.priors[name]!r} is not. Take a lognormal, halfnormal, gamma, or drop the reference"
                )
        over = self.law.judged_over
        sizes = {at: as_size(f"{where}: reference {at}", size, over=over) for at, size in self.reference.items()}
        object.__setattr__(self, "reference", sizes)
        self.families.check(where, self.law, {**self.priors, **self.noise_priors})
        for mine in ("priors", "noise_priors", "reference"):
            object.__setattr__(self, mine, MappingProxyType(dict(getattr(self, mine))))

    @classmethod
    def read(cls, path: str | Path) -> Model:
        """Read a card.

        Raises
        ------
        ModelError
            If the file is not a model card; the message names the file and what is wrong.
        """
        path = Path(path)
        try:
            return cls.from_toml(path.read_text(encoding="utf-8"), name=path.stem)
        except (OSError, UnicodeDecodeError) as error:
            raise ModelError(f"{path}: cannot be read: {error}") from error
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from error

    @classmethod
    def from_toml(cls, text: str, *, name: str = "unnamed") -> Model:
        """From the text of a card; ``name`` serves where the card has none."""
        return cls(**read_card(text, name))

    def to_toml(self) -> str:
        """As the text of a card: ``Model.from_toml(model.to_toml())`` equals the model."""
        return write_card(self)

    def with_priors(self, **priors: Prior) -> Model:
        """The same model with some priors exchanged, of the law or of the noise."""
        known = {*self.priors, *self.noise_priors}
        if not set(priors) <= known:
            raise ModelError(
                f"model {self.name!r} has no parameter {', '.join(sorted(set(priors) - known))}; "
                f"it has {', '.join(sorted(known))}"
            )
        law = {name: priors.get(name, old) for name, old in self.priors.items()}
        noise = {name: priors.get(name, old) for name, old in self.noise_priors.items()}
        return replace(self, priors=law, noise_priors=noise)

    def with_noise(self, kind: str, **priors: Prior) -> Model:
        """The same model with another noise; priors of parameters that both have are kept unless given."""
        noise = get_noise(kind)
        kept = {name: prior for name, prior in self.noise_priors.items() if name in noise.parameters}
        return replace(self, noise=noise, noise_priors={**kept, **priors})

    def with_discrepancy(self, discrepancy: Discrepancy | None) -> Model:
        """The same model with another discrepancy, or with none."""
        return replace(self, discrepancy=discrepancy or Discrepancy())

    def with_families(self, **scales: float) -> Model:
        """The same model with other spreads between families, e.g. ``E=0.1``, about 10 %; of none named, with none."""
        return replace(self, families=Spreads(scales))

    def renamed(self, names: Mapping[str, str]) -> Model:
        """The same model with the law's inputs or parameters under other names, e.g. {"n_tokens": "n_examples"}."""
        return replace(
            self,
            law=self.law.renamed(names),
            priors={names.get(name, name): prior for name, prior in self.priors.items()},
            reference={names.get(name, name): value for name, value in self.reference.items()},
            families=Spreads({names.get(name, name): scale for name, scale in self.families.scales.items()}),
        )

    @property
    def parameters(self) -> tuple[str, ...]:
        """Parameters of the law and of the noise, as printed."""
        return (*self.law.parameters, *self.noise.parameters)

    @property
    def believed(self) -> tuple[str, ...]:
        """What ``priors`` has one for each of: the law's parameters, or what they are judged by at the reference."""
        return self.law.judged_by if self._is_judged else self.law.parameters

    @property
    def _is_judged(self) -> bool:
        return self.law.judged is not None and set(self.law.judged_at) <= set(self.reference)

    def prior_name(self, parameter: str) -> str:
        """The name of what the prior is on: the parameter, or ``<parameter>_effect`` at the reference."""
        term = self.law.terms.get(parameter)
        return f"{parameter}_effect" if term is not None and term.size in self.reference else parameter

    def free_priors(self) -> dict[str, Prior]:
        """What is drawn, by the name under which it stands in a posterior: priors of law, noise and discrepancy."""
        law = {self.prior_name(name): prior for name, prior in self.priors.items()}
        return {**law, **self.noise_priors, **self.discrepancy.priors()}

    def printed(self, free: Mapping[str, Any]) -> dict[str, Any]:
        """The law's parameters as printed, from what is drawn; on NumPy, xarray or PyTensor values."""
        if self._is_judged:
            return self.law.as_printed(self.reference, free)
        values: dict[str, Any] = {}
        for name in self.law.parameters:
            drawn = self.prior_name(name)
            values[name] = free[drawn]
            if drawn != name:
                term = self.law.terms[name]
                log_size = np.log(self.reference[term.size])
                values[name] = np.exp(term.log_value(np.log(free[drawn]), log_size, free[term.exponent]))
        return values

    def check(self, observations: Observations) -> tuple[str, ...]:
        """Refuse a table that cannot support the model; return what its reader should be warned of.

        Raises
        ------
        DataError, ModelError
            See ``Observations.check_supports`` and ``Spreads.refuse``.
        """
        self.families.refuse(self.name)
        return observations.check_supports(
            self.law.inputs, len(self.parameters), needs_loss_se=self.noise.needs_se, may_stay=self.law.may_stay
        )

    def data(self, observations: Observations) -> dict[str, Any]:
        """What the likelihood sees, as float arrays of shape (run,).

        These are the law's inputs, observed_log_loss, log_loss_se where the noise needs it, and what the weights of a
        structured deviation are multiplied by.
        """
        loss = observations.column("loss")
        data = {name: observations.column(name) for name in self.law.inputs}
        data["observed_log_loss"] = np.log(loss)
        if self.noise.needs_se:
            data["log_loss_se"] = observations.column("loss_se") / loss
        return data | self.discrepancy.features(data, self.law.inputs)

    def log_curve(self, data: Mapping[str, Any], values: Named) -> Any:
        """What log loss scatters about at the runs of ``data(...)``: log law and the deviation learned with it.

        On NumPy, xarray or PyTensor values that broadcast against the data.
        """
        return np.log(self.law(data, values)) + self.discrepancy.learned(data, values)

    def build(self, data: Mapping[str, Any]) -> Any:
        """The PyMC model of ``Model.data(...)``: free variables, printed parameters, observed log_loss."""
        import pymc as pm

        runs = np.arange(len(data["observed_log_loss"]))
        with pm.Model(coords={"run": runs}, check_bounds=False) as built:
            given = {name: pm.Data(name, values, dims="run") for name, values in data.items()}
            free = {name: prior.random_variable(name) for name, prior in self.free_priors().items()}
            printed = self.printed(free)
            for name, value in printed.items():
                if name not in free:
                    pm.Deterministic(name, value)
            mu = self.log_curve(given, {**free, **printed})
            self.noise.observe("log_loss", mu, free, given["observed_log_loss"], given.get("log_loss_se", 0.0))
        return built

    def sample_prior(self, draws: int, rng: np.random.Generator) -> xr.Dataset:
        """Independent prior draws of everything that a posterior holds; dims ("chain", "draw"), one chain."""
        free = {name: prior.sample(draws, rng) for name, prior in self.free_priors().items()}
        values = {**self.printed(free), **free}
        return xr.Dataset({name: (("chain", "draw"), value[None]) for name, value in values.items()})

    def prior_predictive(
        self,
        points: Mapping[str, Any] | pd.DataFrame | None = None,
        *,
        draws: int = 2000,
        random_seed: int | np.random.Generator | None = None,
    ) -> xr.Dataset:
        """Losses that the priors alone allow at points.

        Parameters
        ----------
        points : mapping or DataFrame, optional
            The law's inputs by name; numbers or text such as "70B", broadcast against each other. By default
            1e6 to 1e12 parameters with 20 tokens per parameter and C = 6ND.
        draws : int
            Number of prior draws.
        random_seed : int, Generator or None
            Seed.

        Returns
        -------
        xarray.Dataset
            ``mean`` (the law's curve) and ``run`` (with noise; without a standard error of its own where the
            noise knows one), nats per token, dims ("chain", "draw", "point"), one chain; inputs as coordinates.
        """
        rng = np.random.default_rng(random_seed)
        prior = self.sample_prior(draws, rng)
        frame = as_points(self.law.inputs, usual_points() if points is None else points)
        inputs = {name: xr.DataArray(frame[name].to_numpy(), dims="point") for name in self.law.inputs}
        mean = (self.law(inputs, prior) + xr.zeros_like(prior[self.parameters[0]])).transpose("chain", "draw", "point")
        noise = {name: prior[name].values[..., None] for name in self.noise.parameters}
        losses = xr.Dataset({"mean": mean, "run": self.noise.run_loss(mean, noise, rng)})
        return losses.assign_coords({name: ("point", frame[name].to_numpy()) for name in self.law.inputs})
