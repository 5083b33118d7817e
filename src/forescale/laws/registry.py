"""What a law is, and the register of them.

A law is a function whose positional arguments are inputs and whose keyword-only arguments are parameters.
Its body uses operators, ``np.exp`` and ``np.log`` only, so the same line runs on floats, NumPy, xarray and
PyTensor. ``@law`` reads the signature and adds what the formula alone does not say; see `law`.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

from forescale.errors import ModelError
from forescale.terms import Term


class Named(Protocol):
    """Values by name: a dict, a DataFrame, an xarray Dataset."""

    def __getitem__(self, name: str, /) -> Any: ...


@dataclass(frozen=True)
class Law:
    """A registered scaling law, possibly with names of its own for what the function calls otherwise.

    Attributes
    ----------
    name : str
        Name of the function.
    inputs, parameters : tuple of str
        Names of the inputs and of the parameters, in the order of the signature.
    terms : mapping of str to Amplitude or CriticalSize
        For each parameter that sets the size of a power: how.
    floor : str or None
        The parameter that the loss tends to at infinite size; None where it tends to zero.
    coupling : str or None
        The parameter by which terms are coupled; None where they add up.
    """

    name: str
    function: Callable[..., Any] = field(repr=False)
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    terms: Mapping[str, Term] = field(repr=False)
    floor: str | None = None
    coupling: str | None = None
    sum_of_powers: Callable[..., tuple[Any, Any, Any, Any]] | None = field(default=None, repr=False)
    own_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.function.__doc__)

    def __call__(self, inputs: Named, parameters: Named) -> Any:
        """Loss in nats per token, broadcast over whatever the inputs and parameters are.

        Both mappings may hold more than the law needs: the rest is ignored.
        """
        return self.function(
            *(inputs[name] for name in self.inputs), **self._as_function_names(self.parameters, parameters)
        )

    def powers(self, parameters: Named) -> tuple[Any, Any, Any, Any]:
        """A, alpha, B, beta such that the law falls strictly with A/N^alpha + B/D^beta.

        Raises
        ------
        ModelError
            If the law has no such form; ``sum_of_powers`` is then None.
        """
        if self.sum_of_powers is None:
            raise ModelError(f"law {self.name!r} is not a function of a sum of two powers of N and D")
        return self.sum_of_powers(**self._as_function_names(self.parameters, parameters))

    def renamed(self, names: Mapping[str, str]) -> Law:
        """The same law under other names, e.g. ``power.renamed({"x": "n_params", "x_c": "N_c"})``."""
        unknown = sorted(set(names) - set(self.inputs) - set(self.parameters))
        if unknown:
            raise ModelError(
                f"law {self.name!r} has no {', '.join(unknown)} to rename; it has inputs "
                f"{', '.join(self.inputs)} and parameters {', '.join(self.parameters)}"
            )

        def new(old: str) -> str:
            return names.get(old, old)

        outer = [new(name) for name in (*self.inputs, *self.parameters)]
        if len(set(outer)) < len(outer):
            raise ModelError(f"law {self.name!r}: two names become one in {dict(names)!r}")
        own = {new(name): self.own_names.get(name, name) for name in (*self.inputs, *self.parameters)}
        return replace(
            self,
            inputs=tuple(map(new, self.inputs)),
            parameters=tuple(map(new, self.parameters)),
            terms=MappingProxyType(
                {
                    new(name): replace(term, size=new(term.size), exponent=new(term.exponent))
                    for name, term in self.terms.items()
                }
            ),
            floor=None if self.floor is None else new(self.floor),
            coupling=None if self.coupling is None else new(self.coupling),
            own_names=MappingProxyType(own),
        )

    def _as_function_names(self, names: tuple[str, ...], values: Named) -> dict[str, Any]:
        return {self.own_names.get(name, name): values[name] for name in names}


LAWS: dict[str, Law] = {}


def law(
    *,
    terms: Mapping[str, Term],
    floor: str | None = None,
    coupling: str | None = None,
    sum_of_powers: Callable[..., tuple[Any, Any, Any, Any]] | None = None,
) -> Callable[[Callable[..., Any]], Law]:
    """Register a function as a law; its signature is the contract.

    Positional arguments are inputs, keyword-only arguments are parameters. The body uses operators, ``np.exp`` and
    ``np.log`` only, so that the same line runs on floats, NumPy, xarray and PyTensor. The function's name is that of
    the law, and a model card or a `Model` names it.

    Parameters
    ----------
    terms : mapping of str to Amplitude or CriticalSize
        For each parameter that sets the size of a power (`forescale.terms`): of which input, with which exponent. So
        a prior can be put on the nats that a finite size costs at a reference, and the sampler works in well-scaled
        coordinates.
    floor : str, optional
        The parameter that the loss tends to at infinite size.
    coupling : str, optional
        The parameter kappa of laws whose terms t_i make (t_1^(1/kappa) + t_2^(1/kappa))^kappa together: where kappa is
        one, and in laws without it, they add up.
    sum_of_powers : callable, optional
        Of laws that fall strictly with A/N^alpha + B/D^beta: from the parameters to (A, alpha, B, beta). The
        compute-optimal split then has a closed form.

    Returns
    -------
    callable
        A decorator that makes a `Law` of a function; loss in nats per token.

    Raises
    ------
    ModelError
        If something is named that the signature does not have.

    Examples
    --------
    >>> import forescale as fs
    >>> from forescale.terms import Amplitude
    >>> @fs.law(terms={"A": Amplitude("n_params", "alpha")}, floor="E")  # doctest: +SKIP
    ... def by_size(n_params, *, E, A, alpha):
    ...     "L(N) = E + A / N^alpha."
    ...     return E + A / n_params**alpha
    """

    def register(function: Callable[..., Any]) -> Law:
        kinds = inspect.signature(function).parameters.values()
        inputs = tuple(p.name for p in kinds if p.kind is p.POSITIONAL_OR_KEYWORD)
        parameters = tuple(p.name for p in kinds if p.kind is p.KEYWORD_ONLY)
        name = function.__name__
        named = {*terms, *(t.exponent for t in terms.values()), *(name for name in (floor, coupling) if name)}
        if not named <= set(parameters) or not {t.size for t in terms.values()} <= set(inputs):
            raise ModelError(f"law {name!r}: @law names something that its signature does not")
        made = Law(name, function, inputs, parameters, MappingProxyType(dict(terms)), floor, coupling, sum_of_powers)
        LAWS[name] = made
        return made

    return register


def get_law(name: str) -> Law:
    """Look a law up by name.

    Raises
    ------
    ModelError
        If there is none; the message lists those that there are.
    """
    if name in LAWS:
        return LAWS[name]
    near = difflib.get_close_matches(name, LAWS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise ModelError(f"no law is called {name!r}; there are {', '.join(sorted(LAWS))}.{hint}")
