"""Which header of a stranger's table is which of our columns, and in which unit it says it is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from forescale.errors import DataError

INPUTS = ("n_params", "n_tokens", "flops")
NUMBERS = (*INPUTS, "loss", "loss_se")
TEXTS = ("family", "run")
CANONICAL = (*NUMBERS, *TEXTS)

# Usual headers, without case, spaces, underscores and punctuation.
_ALIASES = {
    "n_params": "n params nparams numparams numberofparams parameters nparameters numparameters "
    "numberofparameters modelsize size modelparams modelparameters paramcount parametercount",
    "n_tokens": "d tokens ntokens numtokens numberoftokens traintokens trainingtokens numtraintokens "
    "tokencount tokensseen tokenstrained",
    "flops": "c flops flop compute trainingflops trainingflop trainflops trainflop totalflops totalcompute "
    "trainingcompute traincompute computeflops computeflop trainingcomputeflops trainingcomputeflop",
    "loss_se": "lossse se stderr lossstderr lossstandarderror lossstderror standarderror stderror",
    "family": "family modelfamily group",
    "run": "run runname runid name id model modelname modelid",
}
#: Headers of a count of optimisation steps, in the same spelling: of a row that is a checkpoint of a run.
_STEPS = "step steps globalstep trainingstep trainstep iteration iterations iter iters update updates"
STEPS = frozenset(_STEPS.split())
_CANONICAL_OF = {alias: column for column, aliases in _ALIASES.items() for alias in aliases.split()}
_LOSS = re.compile(
    r"(?:final|last|min|best|mean|val|validation|valid|test|eval|evaluation|heldout|dev|train|training)*"
    r"(?P<core>loss|xent|crossentropy|crossentropyloss|celoss|ce|nll|logperplexity|logppl)?"
    r"(?P<unit>nats?|bits?perbyte|bits?pertoken|bits?perchar(?:acter)?|bits?|bpb|bpc|bpt|ppl|perplexity)?(?:(?:per)?token)?"
)

LOSS_UNITS = ("nats", "bits", "bits-per-byte", "perplexity")
# The loss units that a word of a header is compatible with.
_UNITS_OF_WORD = {
    "nat": ("nats",),
    "bit": ("bits", "bits-per-byte"),
    "byte": ("bits-per-byte",),
    "bpb": ("bits-per-byte",),
    "bpc": ("bits-per-byte",),
    "bpt": ("bits",),
    "ppl": ("perplexity",),
    "perplexity": ("perplexity",),
}
_SCALES = {
    **dict.fromkeys(("k", "thousand", "thousands"), 1e3),
    **dict.fromkeys(("m", "mn", "million", "millions"), 1e6),
    **dict.fromkeys(("b", "bn", "g", "billion", "billions"), 1e9),
    **dict.fromkeys(("t", "tn", "trillion", "trillions"), 1e12),
}


@dataclass(frozen=True)
class Header:
    """One header of the table, read.

    Parameters
    ----------
    text : str
        The header as it stands in the table.
    """

    text: str

    @property
    def words(self) -> list[str]:
        """Its words in lower case."""
        return re.findall(r"[a-z0-9]+", self.text.lower())

    @property
    def key(self) -> str:
        """Its words joined: ``"Model Size"`` and ``"model_size"`` are the same header."""
        return "".join(self.words)

    @property
    def scale(self) -> float:
        """What plain numbers under it are multiplied with: 1e9 under ``"tokens (B)"``, else 1."""
        return _SCALES.get(self.words[-1], 1.0) if len(self.words) > 1 else 1.0

    @property
    def is_pf_days(self) -> bool:
        """Whether it says petaFLOP/s-days."""
        return "day" in self.key and ("pf" in self.key or "petaflop" in self.key)

    @property
    def loss_units(self) -> tuple[str, ...]:
        """The loss units that it is compatible with, when it names one; empty when it names none."""
        if self.key.endswith(("logperplexity", "logppl")):
            return ("nats",)
        unit = (match := _LOSS.fullmatch(self.key)) and match["unit"]
        for word in ("byte", "bpb", "bpc", "bpt", "ppl", "perplexity", "bit", "nat"):
            if (unit and word in unit) or word in self.words or f"{word}s" in self.words:
                return _UNITS_OF_WORD[word]
        return ()

    @property
    def canonical(self) -> str | None:
        """The column that a usual header stands for, or None."""
        if self.is_pf_days:
            return "flops"
        if (column := _CANONICAL_OF.get(self.key)) is not None:
            return column
        if self.scale != 1.0:
            column = _CANONICAL_OF.get("".join(self.words[:-1]))
            return column if column in ("n_params", "n_tokens") else None
        match = _LOSS.fullmatch(self.key)
        return "loss" if match and (match["core"] or match["unit"]) else None


def recognise(headers: Sequence[str], columns: Mapping[str, str | None] | None, loss_unit: str) -> dict[str, Header]:
    """Decide which header is taken for which canonical column.

    Parameters
    ----------
    headers : sequence of str
        The headers of the table, all different.
    columns : mapping of str to str or None, optional
        What the caller says: canonical name to header. None leaves that column out.
    loss_unit : str
        The unit that the caller says the loss is in; one of `LOSS_UNITS`.

    Returns
    -------
    dict of str to Header
        Canonical name to header, in canonical order. Headers that are not in it keep their own names.

    Raises
    ------
    DataError
        If `columns` names something that does not exist, if two headers match one column, if there is no
        loss, or if the header of the loss names another unit than `loss_unit`.
    """
    wanted = dict(columns or {})
    _check_wanted(wanted, headers)
    free = [Header(text) for text in headers if text not in wanted.values()]
    found: dict[str, Header] = {}
    for column in CANONICAL:
        if column in wanted:
            if (text := wanted[column]) is not None:
                found[column] = Header(text)
            continue
        candidates = [header for header in free if header.canonical == column]
        if column == "loss":  # a perplexity beside a loss in nats is no second loss, and the other way round
            named = [header for header in candidates if loss_unit in (header.loss_units or ("nats",))]
            candidates = named or [header for header in candidates if not header.loss_units] or candidates
        if column in TEXTS:  # a label takes no part in a fit: the exact name wins over its synonyms
            candidates = [header for header in candidates if header.text == column] or candidates
        if len(candidates) > 1:
            names = " and ".join(repr(header.text) for header in candidates)
            raise DataError(
                f"The headers {names} can all be {column}; say which one is, "
                f"for example columns={{{column!r}: {candidates[0].text!r}}}."
            )
        if candidates:
            found[column] = candidates[0]
    _check_loss(found.get("loss"), headers, loss_unit)
    return found


def _check_wanted(wanted: Mapping[str, str | None], headers: Sequence[str]) -> None:
    for column, text in wanted.items():
        if column not in CANONICAL:
            raise DataError(
                f"columns= names {column!r}, which is not one of {', '.join(CANONICAL)}. "
                f"It maps our names to your headers: columns={{'n_params': 'Model Size'}}."
            )
        if text is not None and text not in headers:
            raise DataError(f"columns= says that {column} is {text!r}; the headers are {_listed(headers)}.")
    taken = [text for text in wanted.values() if text is not None]
    for text in taken:
        if taken.count(text) > 1:
            raise DataError(f"columns= gives the header {text!r} to more than one column: {dict(wanted)!r}.")


def _check_loss(header: Header | None, headers: Sequence[str], loss_unit: str) -> None:
    if header is None:
        hint = ""
        if any(re.fullmatch(r"\s*[-+.\d][-+.\de]*\s*", text, re.IGNORECASE) for text in headers):
            hint = " The first line looks like data: a table needs a line of names first."
        elif len(headers) == 1:
            hint = " Only one column was found: .csv is read with commas, .tsv with tabs."
        raise DataError(
            f"No column is recognised as the loss among the headers {_listed(headers)}; "
            f"say which one is, columns={{'loss': '...'}}.{hint}"
        )
    if header.loss_units and loss_unit not in header.loss_units:
        others = " or ".join(f"loss_unit={unit!r}" for unit in header.loss_units)
        extra = ", bytes_per_token=..." if "bits-per-byte" in header.loss_units else ""
        raise DataError(
            f"The header {header.text!r} of the loss says another unit than loss_unit={loss_unit!r}; "
            f"pass {others}{extra}, or rename the column if the header is wrong."
        )


def _listed(headers: Sequence[str]) -> str:
    return ", ".join(repr(text) for text in headers)
