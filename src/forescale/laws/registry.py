"""What a law is, and the register of them.

A law is a function whose positional arguments are inputs and whose keyword-only arguments are parameters.
Its body uses operators, ``np.exp`` and ``np.log`` only, so the same line runs on floats, NumPy, xarray and
PyTensor. ``@law`` reads the signature and adds what the formula alone does not say; see `law`.
"""

from __future__ import annotations

import difflib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Protocol

from forescale.errors import ModelError
from forescale.laws.terms import Term


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
    may_rise : bool
        Whether loss may rise with an input, for some parameters.
    base : Law or None
        The law that this one becomes where its further inputs are ``base_at``; None where there are no such.
    judged : callable or None
        From what can be judged at a reference to the parameters; None where terms say all that there is to say.
    judged_over : bool
        Whether a reference is, for each input, the two ends of a range of sizes.
    may_stay : tuple of str
        Inputs that may be the same in every run fitted, so that priors alone say what they do.
    """

    name: str
    function: Callable[..., Any] = field(repr=False)
    inputs: tuple[str, ...]
    parameters: tuple[str, ...]
    terms: Mapping[str, Term] = field(repr=False)
    floor: str | None = None
    coupling: str | None = None
    may_rise: bool = False
    sum_of_powers: Callable[..., tuple[Any, Any, Any, Any]] | None = field(default=None, repr=False)
    base: Law | None = field(default=None, repr=False)
    base_at: float = field(default=math.inf, repr=False)
    judged: Callable[..., dict[str, Any]] | None = field(default=None, repr=False)
    judged_over: bool = False
    may_stay: tuple[str, ...] = field(default=(), repr=False)
    own_names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "__doc__", self.function.__doc__)

    @property
    def formula(self) -> str:
        """The formula, in the function's own names: the first line of its docstring."""
        return (self.function.__doc__ or self.name).strip().splitlines()[0].rstrip(".")

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

    @property
    def judged_at(self) -> tuple[str, ...]:
        """Inputs whose reference ``judged`` takes."""
        return tuple(map(self._outer, _names(self.judged, inspect.Parameter.POSITIONAL_OR_KEYWORD)))

    @property
    def judged_by(self) -> tuple[str, ...]:
        """What ``judged`` makes parameters from; some of these may be parameters themselves."""
        return tuple(map(self._outer, _names(self.judged, inspect.Parameter.KEYWORD_ONLY)))

    def as_printed(self, reference: Named, values: Named) -> dict[str, Any]:
        """The parameters, from what is judged at a reference.

        Raises
        ------
        ModelError
            If the law does not say how its parameters are judged.
        """
        if self.judged is None:
            raise ModelError(f"law {self.name!r} does not say how its parameters are judged at a reference")
        given = self._as_function_names(self.judged_by, values)
        found = {**given, **self.judged(*(reference[name] for name in self.judged_at), **given)}
        return {name: found[self.own_names.get(name, name)] for name in self.parameters}

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
            may_stay=tuple(map(new, self.may_stay)),
            base=self.base and self.base.renamed({old: new(old) for old in (*self.base.inputs, *self.base.parameters)}),
            own_names=MappingProxyType(own),
        )

    def given(self, **held: Any) -> Law:
        """The same law with inputs held, e.g. ``data_constrained.given(unique_tokens=1e11)``: a law of the others."""
        if unknown := sorted(set(held) - set(self.inputs)):
            raise ModelError(f"law {self.name!r} has no input {', '.join(unknown)}; it has {', '.join(self.inputs)}")
        free = tuple(name for name in self.inputs if name not in held)

        def function(*sizes: Any, **parameters: Any) -> Any:
            at = {**dict(zip(free, sizes, strict=True)), **held}
            return self.function(*(at[name] for name in self.inputs), **parameters)

        may_stay = tuple(name for name in self.may_stay if name in free)
        return replace(self, function=function, inputs=free, base=None, may_stay=may_stay)

    def _outer(self, own: str) -> str:
        return next((outer for outer, name in self.own_names.items() if name == own), own)

    def _as_function_names(self, names: tuple[str, ...], values: Named) -> dict[str, Any]:
        return {self.own_names.get(name, name): values[name] for name in names}


def _names(function: Callable[..., Any] | None, kind: Any) -> tuple[str, ...]:
    """Names of a function's arguments of a kind; of no function, none."""
    arguments = inspect.signature(function).parameters.values() if function else ()
    return tuple(argument.name for argument in arguments if argument.kind is kind)


LAWS: dict[str, Law] = {}


def law(
    *,
    terms: Mapping[str, Term],
    floor: str | None = None,
    coupling: str | None = None,
    may_rise: bool = False,
    sum_of_powers: Callable[..., tuple[Any, Any, Any, Any]] | None = None,
    base: Law | None = None,
    base_at: float = math.inf,
    judged: Callable[..., dict[str, Any]] | None = None,
    judged_over: bool = False,
    may_stay: tuple[str, ...] = (),
) -> Callable[[Callable[..., Any]], Law]:
    """Register a function as a law; its signature is the contract.

    Positional arguments are inputs, keyword-only arguments are parameters. The body uses operators, ``np.exp`` and
    ``np.log`` only, so that the same line runs on floats, NumPy, xarray and PyTensor. The function's name is that of
    the law, and a model card or a `Model` names it.

    Parameters
    ----------
    terms : mapping of str to Amplitude or CriticalSize
        For each parameter that sets the size of a power (`forescale.laws.terms`): of which input, with which exponent.
        So a prior can be put on the nats that a finite size costs at a reference, and the sampler works in well-scaled
        coordinates.
    floor : str, optional
        The parameter that the loss tends to at infinite size.
    coupling : str, optional
        The parameter kappa of laws whose terms t_i make (t_1^(1/kappa) + t_2^(1/kappa))^kappa together: where kappa is
        one, and in laws without it, they add up.
    may_rise : bool
        Whether loss may rise with an input, for some parameters.
    sum_of_powers : callable, optional
        Of laws that fall strictly with A/N^alpha + B/D^beta: from the parameters to (A, alpha, B, beta). The
        compute-optimal split then has a closed form.
    base : Law, optional
        The law that this one becomes where its further inputs do nothing, such as a number of different tokens that is
        without limit. It has the same terms, if this law has any: effects are told of it.
    base_at : float
        The value of the further inputs there: infinity, and the law is above its base elsewhere; or the least that
        they can be, such as one stage of training, and the law is below it.
    judged : callable, optional
        Of laws whose parameters nobody can judge one by one, and that no term describes: from what can be judged to a
        dict of the parameters that follow. Its positional arguments are inputs, at the reference of a card; its
        keyword-only arguments are what a card with that reference has priors on. One that is also a parameter of the
        law stands for itself. Operators, ``np.exp`` and ``np.log`` only, as in the law.
    judged_over : bool
        Whether ``judged`` takes ranges of sizes (low, high) instead of sizes: of laws that are the same in any unit,
        and in any power, of their inputs, since a fit puts the range of its runs there.
    may_stay : tuple of str, optional
        Inputs that need not vary among the runs fitted, such as the size in a law that is also fitted to a single
        training curve. What they do is then as uncertain as the priors say; other inputs are refused if they stay.

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
    >>> from forescale.laws.terms import Amplitude
    >>> @fs.law(terms={"A": Amplitude("n_params", "alpha")}, floor="E")  # doctest: +SKIP
    ... def by_size(n_params, *, E, A, alpha):
    ...     "L(N) = E + A / N^alpha."
    ...     return E + A / n_params**alpha
    """

    def register(function: Callable[..., Any]) -> Law:
        inputs = _names(function, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        parameters = _names(function, inspect.Parameter.KEYWORD_ONLY)
        name = function.__name__
        named = {*terms, *(t.exponent for t in terms.values()), *(name for name in (floor, coupling) if name)}
        sizes = {*_names(judged, inspect.Parameter.POSITIONAL_OR_KEYWORD), *(t.size for t in terms.values()), *may_stay}
        if not named <= set(parameters) or not sizes <= set(inputs):
            raise ModelError(f"law {name!r}: @law names something that its signature does not")
        if base and not (set(base.inputs) <= set(inputs) and set(base.parameters) <= set(parameters)):
            raise ModelError(f"law {name!r}: its base {base.name!r} has inputs or parameters that it has not")
        shape = (
            MappingProxyType(dict(terms)),
            floor,
            coupling,
            may_rise,
            sum_of_powers,
            base,
            base_at,
            judged,
            judged_over,
        )
        made = Law(name, function, inputs, parameters, *shape, may_stay)
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
