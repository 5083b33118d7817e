"""fit_families() -> Families: the work."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from forescale.belief.catalog import DEFAULT_MODEL, load_model
from forescale.belief.model import Model
from forescale.belief.spreads import LEVEL
from forescale.errors import DataError, ForescaleWarning, ModelError
from forescale.families.family import Families
from forescale.families.model import FamilyModel, scales_with_loss, with_usual_spreads
from forescale.families.sampling import sample_families
from forescale.sampling.nuts import Settings
from forescale.seeds import as_seed
from forescale.tables.observations import Observations, as_observations

TARGET_ACCEPT = 0.97  # spreads of few families make tight corners, hence shorter steps than for one law
FAMILY = "family"  # the column that families are by, unless another is named


def fit_families(
    runs: Observations | pd.DataFrame | str | Path | Sequence[Observations],
    model: str | Path | Model = DEFAULT_MODEL,
    *,
    by: str = FAMILY,
    draws: int = 1000,
    tune: int = 1000,
    chains: int = 4,
    target_accept: float = TARGET_ACCEPT,
    thin: int = 1,
    random_seed: int | np.random.Generator | None = None,
    progress: bool | None = None,
) -> Families:
    """Fit one law to several families of runs, with parameters that differ between them.

    ``log p_f = log p + spread_p z``, z standard normal, for each family f and each parameter p that differs; what they
    share has the priors of the card, and each spread a half-normal prior. So a family of few runs is near the others
    in what its runs do not say, the nearer the more alike families are, and a family of many is what its runs say.

    Parameters
    ----------
    runs : Observations, DataFrame, path, or sequence of Observations
        Training runs, with a column that says which family each is of. Of several tables, one without that column is
        a family by its own name; they are joined by `Observations.concat`, which refuses tables that count parameters
        otherwise.
    model : str, path or Model
        A model card by name or path, or a model. How much families differ is in ``[families]`` of the card
        (`Model.with_families`): scales of the half-normal priors, 0.1 for about 10 %. Without, they are as ladders of
        other people's runs differ: 0.4 for a floor, 0.1 for the effect of a term at the reference, 0.3 for exponents,
        0.2 for ``loss``, a factor on all losses of a family, as another tokenizer makes, and 0.5 for noise. Name them
        where you know your families to be more alike. Let the law have every input in which families differ: one of
        size alone takes other tokens for another family; and count parameters of all families alike.
    by : str
        The column of families: model families, data sets, recipes.
    draws, tune, chains, target_accept, thin
        As for `fit`; spreads of few families make tight corners, hence the shorter steps.
    random_seed : int, Generator or None
        Seed; recorded in ``joint``.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal or a notebook.

    Returns
    -------
    Families
        By label an estimate of each family, and ``new``, of one not seen.

    Raises
    ------
    DataError
        If there is no such column or a single family, or the table cannot support the model.
    ModelError
        If there is no such model, families cannot differ in what is named, or the model has a structured deviation.
    ConvergenceError
        If the diagnostics fail, twice; it carries the draws.

    References
    ----------
    Gelman and Hill 2007, Data Analysis Using Regression and Multilevel/Hierarchical Models, chapter 12.

    Examples
    --------
    >>> import forescale as fs
    >>> families = fs.fit_families(fs.load_dataset("pile_families"), "chinchilla", random_seed=1)  # doctest: +SKIP
    >>> fs.forecast(families["Pythia"], n_params="30B", n_tokens="300B").table()  # doctest: +SKIP
    """
    settings, seed = Settings(draws, tune, chains, target_accept, thin), as_seed(random_seed)
    observations = joined(runs, by)
    believed = with_usual_spreads(load_model(model))
    _check_model(believed)
    for note in believed.with_families().check(observations):
        warnings.warn(note, ForescaleWarning, stacklevel=2)
    labels, member = np.unique(observations.labels(by), return_inverse=True)
    if len(labels) < 2:
        raise DataError(
            f"all {len(observations)} runs of {observations.name!r} are of one {by}, {labels[0]}: families are "
            "at least two; fit() is for one"
        )
    families = FamilyModel(believed, len(labels))
    data = families.data(believed.data(observations), member)
    what = f"the families of {observations.name}"
    joint = sample_families(what, families, labels.tolist(), data, settings, seed, progress=progress)
    return Families(believed, observations, by, tuple(labels.tolist()), joint)


def joined(runs: Observations | pd.DataFrame | str | Path | Sequence[Observations], by: str) -> Observations:
    """One table of runs with a column of families; of several, one without it is a family by its name.

    Raises
    ------
    DataError
        If there is no such column, or tables cannot be joined.
    """
    if isinstance(runs, Observations | pd.DataFrame | str | Path):
        table = as_observations(runs)
        if by not in table.columns:
            raise DataError(
                f"{table.name!r} has no column {by!r} that says which family a run is of; it has "
                f"{', '.join(table.columns)}. Name a column by by=, or give a sequence of tables, each a family"
            )
    else:
        table = Observations.concat([one if by in one.columns else _as_family(one, by) for one in runs])
    if (nameless := table.labels(by) == "").any():
        which = ", ".join(table.labels("run")[nameless][:5])
        raise DataError(f"{nameless.sum()} runs of {table.name!r} have no {by}: {which}")
    return table


def _as_family(table: Observations, by: str) -> Observations:
    return replace(table, columns={**table.columns, by: np.full(len(table), table.name)})


def _check_model(model: Model) -> None:
    if model.discrepancy.structured:
        raise ModelError(
            f"model {model.name!r} has a structured deviation, which families would each have another of; fit without "
            "it (with_discrepancy), or each family alone"
        )
    if model.law.judged_over:
        raise ModelError(
            f"model {model.name!r}: priors of law {model.law.name!r} are over the range of a table, and families have "
            "ranges of their own; fit each by itself"
        )
    if LEVEL in model.families and not scales_with_loss(model):
        raise ModelError(
            f"model {model.name!r}: law {model.law.name!r} times a factor is not that law with its floor and effects "
            f"times the factor, so families cannot differ in {LEVEL!r}; name parameters only"
        )
