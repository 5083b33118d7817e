"""The shelves: model cards, datasets and published estimates that come with the package."""

from __future__ import annotations

import difflib
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from forescale.belief.link_model import LinkModel
from forescale.belief.model import Model
from forescale.errors import DataError, ForescaleError, ModelError
from forescale.tables.observations import Observations

#: The model that is fitted unless another is named: of those here it forecasts best (benchmarks/README.md).
DEFAULT_MODEL = "coupled"


def list_models() -> list[str]:
    """Names of the model cards, for ``load_model`` and ``fit``.

    Returns
    -------
    list of str
        In alphabetical order.

    Examples
    --------
    >>> import forescale as fs
    >>> "coupled" in fs.list_models()
    True
    """
    return _cards("forescale.models")


def list_published() -> list[str]:
    """Names of the published estimates, for ``published``.

    Returns
    -------
    list of str
        In alphabetical order.

    Examples
    --------
    >>> import forescale as fs
    >>> "kaplan2020" in fs.list_published()
    True
    """
    return _cards("forescale.models.published")


def list_trends() -> list[str]:
    """Names of the cards of published trends, for ``published_trends``.

    Returns
    -------
    list of str
        In alphabetical order.

    Examples
    --------
    >>> import forescale as fs
    >>> "kaplan2020" in fs.list_trends()
    True
    """
    return _cards("forescale.models.trends")


def list_datasets() -> list[str]:
    """Names of the datasets, for ``load_dataset``.

    Returns
    -------
    list of str
        In alphabetical order.

    Examples
    --------
    >>> import forescale as fs
    >>> "hoffmann2022" in fs.list_datasets()
    True
    """
    shelf = resources.files("forescale.datasets")
    return sorted(item.name for item in shelf.iterdir() if item.is_dir() and item.joinpath("card.toml").is_file())


def list_links() -> list[str]:
    """Names of the cards of links from loss to accuracy, for ``load_link`` and ``fit_link``.

    Returns
    -------
    list of str
        In alphabetical order.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.list_links()
    ['exponential', 'sigmoid']
    """
    return _cards("forescale.models.links")


def model_card(name: str) -> str:
    """The text of a model card."""
    return _read("forescale.models", f"{_known(name, list_models(), 'model', ModelError)}.toml")


def published_card(name: str) -> str:
    """The text of a published estimate's card."""
    known = _known(name, list_published(), "published estimate", ModelError)
    return _read("forescale.models.published", f"{known}.toml")


def trends_card(name: str) -> str:
    """The text of a card of published trends."""
    known = _known(name, list_trends(), "card of trends", ModelError)
    return _read("forescale.models.trends", f"{known}.toml")


def dataset_card(name: str) -> str:
    """The text of a dataset's card: source, licence, units, counting, imputed figures, known flaws."""
    return _read("forescale.datasets", _known(name, list_datasets(), "dataset", DataError), "card.toml")


def load_model(model: str | Path | Model) -> Model:
    """A model by the name of its card, by the path of a card, or as it is.

    Parameters
    ----------
    model : str, Path or Model
        One of ``list_models()``; the path of a card, which as text ends in ".toml"; or a model, which is returned.

    Returns
    -------
    Model
        Law, priors, noise, reference and discrepancy.

    Raises
    ------
    ModelError
        If there is no such card, or the card is not a model.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.load_model("chinchilla").parameters
    ('E', 'A', 'B', 'alpha', 'beta', 'sigma', 'nu')
    """
    if isinstance(model, Model):
        return model
    if isinstance(model, Path) or model.endswith(".toml"):
        return Model.read(model)
    return Model.from_toml(model_card(model), name=model)


def link_card(name: str) -> str:
    """The text of a link's card."""
    return _read("forescale.models.links", f"{_known(name, list_links(), 'link', ModelError)}.toml")


def load_link(link: str | Path | LinkModel) -> LinkModel:
    """A model of a link by the name of its card, by the path of a card, or as it is.

    Parameters
    ----------
    link : str, Path or LinkModel
        One of ``list_links()``; the path of a card, which as text ends in ".toml"; or a model, which is returned.

    Returns
    -------
    LinkModel
        Link and priors.

    Raises
    ------
    ModelError
        If there is no such card, or the card is not of a link.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.load_link("sigmoid").priors["top"]
    Prior('beta', alpha=3, beta=1)
    """
    if isinstance(link, LinkModel):
        return link
    if isinstance(link, Path) or link.endswith(".toml"):
        return LinkModel.read(link)
    return LinkModel.from_toml(link_card(link), link)


def load_dataset(name: str, *, filtered: bool = True) -> Observations:
    """A dataset of the package.

    Parameters
    ----------
    name : str
        One of ``list_datasets()``.
    filtered : bool
        Keep only the runs that the card recommends; False gives all. What was left out is in ``notes``.

    Returns
    -------
    Observations
        Losses in nats per token.

    Raises
    ------
    DataError
        If there is no such dataset.

    Examples
    --------
    >>> import forescale as fs
    >>> len(fs.load_dataset("hoffmann2022")), len(fs.load_dataset("hoffmann2022", filtered=False))
    (240, 245)
    """
    card = tomllib.loads(dataset_card(name))
    with resources.files("forescale.datasets").joinpath(name, "runs.csv").open("rb") as stream:
        frame = pd.read_csv(stream, dtype=str, keep_default_na=False)
    counted = card["counts_embeddings"]
    rule = card["filter"]
    keep = frame[rule["column"]] == str(rule["keep"])
    runs = Observations.from_frame(
        frame[keep] if filtered else frame,
        columns={"family": "family"} if "family" in frame else None,
        loss_unit=card["loss_unit"],
        counts_embeddings=counted if isinstance(counted, bool) else None,
        name=name,
    )
    if filtered and not keep.all():
        left_out = f"{(~keep).sum()} of {len(frame)} runs are left out as the card recommends: {rule['why']}"
        runs = Observations(runs.columns, runs.name, runs.counts_embeddings, (*runs.notes, left_out))
    return runs


def _cards(package: str) -> list[str]:
    return sorted(
        item.name.removesuffix(".toml")
        for item in resources.files(package).iterdir()
        if item.is_file() and item.name.endswith(".toml")
    )


def _read(package: str, *parts: str) -> str:
    return resources.files(package).joinpath(*parts).read_text(encoding="utf-8")


def _known(name: str, names: list[str], kind: str, error: type[ForescaleError]) -> str:
    if name in names:
        return name
    near: list[Any] = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise error(f"no {kind} is called {name!r}; there are {', '.join(names)}.{hint}")
