"""Ladders of training runs whose dearest runs are known: what a law promises of them can be held against what came.

Two are datasets of this project. The others are read, where they are there, from a folder of tables as their authors
publish them; they are not part of it:

- ``gadre_overtraining.csv``: Gadre et al. 2024 (arXiv:2403.08540), github.com/mlfoundations/scaling, MIT;
- ``olmo_ladder.csv``: Bhagia et al. 2024 (arXiv:2412.04403), github.com/allenai/OLMo-ladder, Apache-2.0;
- ``datablations.csv``: Muennighoff et al. 2023 (arXiv:2305.16264), github.com/huggingface/datablations, Apache-2.0;
- ``opt_trajectories.csv``: Zhang et al. 2022 (arXiv:2205.01068), losses as in github.com/IBM/ColPret, MIT;
- ``routing_final.csv``: Clark et al. 2022 (arXiv:2202.01169), github.com/google-deepmind/scaling_laws_for_routing,
  CC-BY 4.0;
- ``multipowerlaw_curves.csv``: Luo et al. 2025 (arXiv:2503.12811), github.com/thu-yao-01-luo/MultiPowerLaw, MIT.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

import forescale as fs

#: Losses of one table say much the same; of each table so many, evenly chosen, are scored.
FEW = 3


#: Losses on languages that Gadre et al.'s models were not trained on: a law is of the text that it was fitted to.
_OTHER_LANGUAGES = ("de-en", "programing_languages")


class Ladder(NamedTuple):
    """A table of runs.

    Attributes
    ----------
    source : str
        Who trained them: what is left out together.
    table : str
        Which of the source's tables.
    inputs : tuple of str
        What its runs differ in: n_params and n_tokens, or one of them.
    runs : Observations
        The runs.
    few : bool
        Whether it is among the few of its source that are scored.
    """

    source: str
    table: str
    inputs: tuple[str, ...]
    runs: fs.Observations
    few: bool


def ladders(folder: Path | None) -> list[Ladder]:
    """All ladders that are there."""
    found = [*_shipped()]
    for file, read in _FILES.items():
        if folder is not None and (folder / file).is_file():
            found += read(pd.read_csv(folder / file))
    return found


def _ladder(source: str, table: str, few: bool, loss: pd.Series, **inputs: pd.Series) -> Ladder:
    frame = pd.DataFrame({**inputs, "loss": loss}).astype(float).dropna(ignore_index=True)
    return Ladder(source, table, tuple(inputs), fs.Observations.from_frame(frame, name=table), few)


def _both(source: str, table: str, few: bool, frame: pd.DataFrame, loss: str) -> Ladder:
    return _ladder(source, table, few, frame[loss], n_params=frame["n_params"], n_tokens=frame["n_tokens"])


def _shipped() -> Iterator[Ladder]:
    for name in ("hoffmann2022", "openeurollm"):
        yield _both(name, name, True, fs.load_dataset(name).table, "loss")
    translations = fs.load_dataset("google_nmt").table
    for family, curve in translations.groupby("family"):
        yield _ladder("google_nmt", f"google_nmt {family}", True, curve["loss"], n_tokens=curve["n_examples"])


def _gadre(frame: pd.DataFrame) -> Iterator[Ladder]:
    losses = [name for name in frame if name.startswith("loss_") and "_tok95" not in name]
    losses = [name for name in losses if not any(other in name for other in _OTHER_LANGUAGES)]
    for data, runs in frame.groupby("train_data"):
        for i, loss in enumerate(losses):
            yield _both("gadre", f"gadre {data} {loss.removeprefix('loss_')}", i == 0, runs, loss)


def _olmo(frame: pd.DataFrame) -> Iterator[Ladder]:
    losses = [name for name in frame if name.startswith("loss_")]
    for i, loss in enumerate(losses):
        yield _both("olmo", f"olmo {loss.removeprefix('loss_')}", i % (len(losses) // FEW) == 0, frame, loss)


def _datablations(frame: pd.DataFrame) -> Iterator[Ladder]:
    once = (
        frame["variant"].isin(["standard", "seed"]) & (frame["epochs"] <= 1) & (frame["commented_out_in_source"] == 0)
    )
    yield _both("datablations", "datablations", True, frame[once], "loss")


def _opt(frame: pd.DataFrame) -> Iterator[Ladder]:
    runs = frame.rename(columns={"n_params_nominal": "n_params"})
    yield _both("opt", "opt", True, runs, "loss")
    for size, curve in runs.groupby("model_size"):
        yield _ladder("opt", f"opt {size}", True, curve["loss"], n_tokens=curve["n_tokens"])


def _routing(frame: pd.DataFrame) -> Iterator[Ladder]:
    dense = frame[frame["router_type"] == "Dense"]
    losses = [name for name in frame if name.startswith("loss_")]
    for i, loss in enumerate(losses):
        yield _ladder(
            "routing", f"routing {loss.removeprefix('loss_')}", i < FEW, dense[loss], n_params=dense["n_params"]
        )


def _multipowerlaw(frame: pd.DataFrame) -> Iterator[Ladder]:
    """At a constant rate of learning the loss of a step is that of a run of so many; 40 of them, evenly by ratio.

    A step is taken to be 2^19 tokens, which the table does not say: it moves the priors' reference and nothing else.
    """
    for size, curve in frame[frame["schedule"] == "constant_72000"].groupby("n_params_nominal"):
        at = np.unique(np.searchsorted(curve["step"], np.geomspace(curve["step"].min(), curve["step"].max(), 40)))
        some = curve.iloc[at]
        yield _ladder("multipowerlaw", f"multipowerlaw {size:.0f}", True, some["loss"], n_tokens=some["step"] * 2**19)


_FILES = {
    "gadre_overtraining.csv": _gadre,
    "olmo_ladder.csv": _olmo,
    "datablations.csv": _datablations,
    "opt_trajectories.csv": _opt,
    "routing_final.csv": _routing,
    "multipowerlaw_curves.csv": _multipowerlaw,
}
