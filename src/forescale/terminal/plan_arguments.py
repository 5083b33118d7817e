"""What the command line takes of decisions: plans, and hardware, read from words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

import forescale as fs
from forescale.errors import DataError
from forescale.terminal.arguments import pairs

Plans = Annotated[
    list[str] | None, typer.Option("--plan", metavar="NAME=N,D", help="A run in mind: big=70B,1.4T; repeatable.")
]
On = Annotated[
    str | None,
    typer.Option(metavar="HARDWARE", help="For a bill: peak=989T,utilisation=0.4 and per_hour=, watts=, count=."),
]


def plans(words: Iterable[str] | None) -> dict[str, tuple[str, str]]:
    """Read plans such as ``big=70B,1.4T``.

    Raises
    ------
    DataError
        If one is not two numbers after a name, or two have the same name.
    """
    found: dict[str, tuple[str, str]] = {}
    for name, sizes in pairs("--plan", words):
        n_params, comma, n_tokens = sizes.partition(",")
        if not comma or "," in n_tokens:
            raise DataError(f"--plan {name}={sizes}: a plan is NAME=N,D, parameters and tokens, such as big=70B,1.4T")
        if name in found:
            raise DataError(f"--plan {name}={sizes}: there is another plan of that name; give each one of its own")
        found[name] = (n_params, n_tokens)
    return found


def accelerator(option: str, text: str | None) -> fs.Accelerator | None:
    """Read hardware such as ``peak=989T,utilisation=0.4,per_hour=2``.

    Raises
    ------
    DataError
        If a word is unknown or missing, or not a number.
    """
    from forescale.units import parse_quantity

    if text is None:
        return None
    needed, further = {"peak", "utilisation"}, {"per_hour", "watts", "count"}
    given = dict(pairs(option, text.split(",")))
    if missing := sorted(needed - set(given)):
        raise DataError(f"{option} {text}: hardware has {' and '.join(missing)} too, as in peak=989T,utilisation=0.4")
    if unknown := sorted(set(given) - needed - further):
        told = ", ".join(sorted(further))
        raise DataError(f"{option} {text}: hardware has peak, utilisation, {told}; {unknown[0]} is none of them")
    numbers: dict[str, Any] = {}
    for name, value in given.items():
        try:
            numbers[name] = parse_quantity(value)
        except DataError as error:
            raise DataError(f"{option}, {name}: {error}") from error
    return fs.Accelerator(**numbers)
