"""calibrate() -> Calibration: whether fits of a model are right about tables that the model itself made.

Simulation-based calibration with ranks of our own. simuk, which does this for any PyMC model, observes and samples a
new PyMC model for each table, and so compiles it anew: seconds a fit where a compiled one takes a tenth. Here each
table is swapped into a model that is compiled once a process (``forescale.sampling.nuts``). Each task,
``sbc.rank_row(study, fit)``, makes one flat row of a small description and a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forescale.belief.catalog import load_model
from forescale.belief.designs import design_of
from forescale.belief.model import Model
from forescale.belief.priors import Prior
from forescale.checking import sbc
from forescale.errors import DataError, ModelError
from forescale.estimates.draws import check_prob
from forescale.laws.own_laws import SentLaw, send
from forescale.numbers import uniformity
from forescale.sampling.nuts import Settings
from forescale.tables.observations import Observations
from forescale.work.task import key_of
from forescale.work.workers import run_all, seed_to_keep

if TYPE_CHECKING:
    from distributed import Client

Array = NDArray[Any]
LEVEL = 0.01  # a model is called miscalibrated when p-values as small as these have less than this probability


@dataclass(frozen=True, eq=False)
class Calibration:
    """Ranks of the truth in fits of simulated tables, and whether they are uniform.

    Attributes
    ----------
    model : str
        The model that was fitted.
    study : sbc.Study
        What was done, in full.
    quantities : tuple of str
        What is ranked: each free parameter; ``log_likelihood`` of the table, which sees posteriors that
        ignore data; ``far_loss`` and ``far_run``, the log loss at a point of 100 times the largest inputs, and that
        of a new run there.
    fits : pandas.DataFrame
        A row per fit: fit, a rank for each quantity, r_hat and ess (the worst over quantities), divergences, retried,
        and error, why the fit was discarded, or "".
    """

    model: str
    study: sbc.Study = field(repr=False)
    quantities: tuple[str, ...]
    fits: pd.DataFrame = field(repr=False)

    @property
    def places(self) -> int:
        """Number of ranks that are possible."""
        return self.study.kept + 1

    @property
    def ranks(self) -> pd.DataFrame:
        """Ranks from 0 to ``places - 1``, a row for each fit that was not discarded, a column per quantity."""
        return self.fits.loc[self.fits["error"] == "", list(self.quantities)].astype(int)

    @property
    def discarded(self) -> pd.DataFrame:
        """The fits that did not converge or could not be made.

        They are chosen by their draws, so that the ranks of the others are no longer exactly uniform even for a right
        model, and say nothing of tables like theirs.
        """
        return self.fits[self.fits["error"] != ""]

    @property
    def p_value(self) -> float:
        """The least p-value of the table, times how many there are (Bonferroni)."""
        p = self.table()[["ecdf_p", "chi2_p"]].to_numpy()
        return float(min(1.0, np.nanmin(p) * np.isfinite(p).sum()))

    @property
    def passed(self) -> bool:
        """Whether the ranks may be uniform: ``p_value`` of at least 0.01."""
        return self.p_value >= LEVEL

    def table(self, prob: float = 0.9) -> pd.DataFrame:
        """Uniformity of the ranks.

        Parameters
        ----------
        prob : float
            Probability mass of the equal-tailed intervals whose coverage is counted.

        Returns
        -------
        pandas.DataFrame
            A row per quantity: quantity, fits, mean_rank (of ranks between 0 and 1, expected 0.5; above, truths
            exceed their posteriors), coverage (share of fits whose interval held the truth, expected prob), prob,
            ecdf_p and chi2_p (p-values of uniformity; see ``forescale.numbers.uniformity``).
        """
        check_prob(prob)
        rows = []
        for name, ranks in self.ranks.items():
            row = {"quantity": name, "fits": len(ranks), "mean_rank": float(ranks.mean()) / self.study.kept}
            row |= {"coverage": uniformity.coverage(ranks, self.places, prob), "prob": prob}
            rows.append(
                row | {"ecdf_p": uniformity.ecdf_p(ranks, self.places), "chi2_p": uniformity.chi2_p(ranks, self.places)}
            )
        return pd.DataFrame(rows)

    def ecdf(self, prob: float = 0.9) -> pd.DataFrame:
        """Distribution functions of the ranks less the uniform one, and the band they should stay in, to plot.

        Parameters
        ----------
        prob : float
            Probability that the whole of a uniform one stays inside the band.

        Returns
        -------
        pandas.DataFrame
            A row per quantity and step: quantity, step (from 0 to 1), difference, lower, upper, prob.
        """
        ranks = self.ranks
        steps, lower, upper = uniformity.envelope(len(ranks), self.places, check_prob(prob))
        band = {"step": steps, "lower": lower - steps, "upper": upper - steps, "prob": prob}
        blocks = [
            pd.DataFrame({"quantity": name, **band, "difference": uniformity.ecdf(values, self.places) - steps})
            for name, values in ranks.items()
        ]
        columns = ["quantity", "step", "difference", "lower", "upper", "prob"]
        return pd.concat(blocks, ignore_index=True)[columns]

    def __repr__(self) -> str:
        study, table = self.study, self.table()
        runs = len(next(iter(study.design.values())))
        lines = [
            f"Calibration of {self.model}: {len(self.fits)} simulated tables of {runs} runs, truth ranked among "
            f"{study.kept} draws, seed {study.seed}"
        ]
        if study.truth != study.card or study.noise_factor != 1:
            other = " from other priors" if study.truth != study.card else ""
            lines.append(f"  tables simulated{other} with {study.noise_factor:g} times the noise: it should fail")
        small = {"ecdf_p": "{:.2g}".format, "chi2_p": "{:.2g}".format}
        shown = table.drop(columns=["fits", "prob"])
        lines.append(shown.to_string(index=False, float_format="{:.3f}".format, formatters=small))
        gone = self.discarded["error"]
        verdict = "ranks are as uniform as they should be" if self.passed else "MISCALIBRATED"
        lines.append(
            f"{verdict}{', where fits converged' if len(gone) else ''}: p = {self.p_value:.2g} for the least of all "
            f"p-values, which fails below {LEVEL:g} (coverage is of 90 % equal-tailed intervals)"
        )
        lines.append(f"{len(gone)} of {len(self.fits)} fits discarded, {int(self.fits['retried'].sum())} retried")
        if len(gone):
            few = "; ".join(f"fit {fit}: {why}" for fit, why in gone.head(3).items())
            lines.append(f"  {few}{' ...' if len(gone) > 3 else ''}\n  (what was discarded biases the rest)")
        return "\n".join(lines)


def calibrate(
    model: str | Path | Model,
    design: Observations | Mapping[str, Any] | pd.DataFrame | None = None,
    *,
    fits: int = 200,
    draws: int = 250,
    tune: int = 500,
    chains: int = 2,
    target_accept: float = 0.9,
    kept: int = 99,
    truth: Mapping[str, Prior] | None = None,
    noise_factor: float = 1.0,
    random_seed: int | np.random.Generator | None = None,
    workers: int | None = None,
    client: Client | None = None,
    results: str | Path | None = None,
    progress: bool | None = None,
) -> Calibration:
    """Check fits of a model by simulation: whether posteriors are right about tables that the model made.

    For each fit: parameters from the prior, ``log L_i = log law(inputs_i) + noise_i`` at the runs of the design,
    a posterior by NUTS, and the number of its draws below the truth. Over fits these ranks are uniform if the
    sampler, the densities and their coordinates are all right. It says nothing of whether the law is true.

    Parameters
    ----------
    model : str, path or Model
        A model card by name or path, or a model.
    design : Observations, mapping or DataFrame, optional
        Inputs of the runs of each table (their losses are ignored), and ``log_loss_se`` where the noise needs one.
        By default 60 runs of 3e7 to 3e10 parameters and 6e8 to 6e11 tokens, independently and evenly in their logs.
    fits : int
        Number of tables, at least 20.
    draws, tune, chains, target_accept
        Of the sampler; a fit that fails (R-hat above 1.05, effective draws below ``kept``, any divergence) is run
        once more, with a target acceptance of 0.97, three times the tuning and four times the draws.
    kept : int
        The draws, evenly spaced and so nearly independent, that the truth is ranked among. One less than a round
        number makes for even histograms.
    truth : mapping of str to Prior, optional
        Priors that truths are drawn from where they are not the model's, as for ``Model.with_priors``, and
    noise_factor : float
        what simulated noise is multiplied by: two mistakes to make on purpose, which the check should find.
    random_seed : int, Generator or None
        Seed; recorded. Fit i depends on it and on i alone, whoever does it.
    workers : int, optional
        Processes of this machine that fit at the same time, by default one for each core; 1 is this process alone.
    client : dask.distributed.Client, optional
        Instead: a cluster, whose workers have forescale installed.
    results : path, optional
        A file that the ranks of each fit are written to as it finishes, and from which a later call with the same
        seed takes what is done; see `forescale.work.results`.
    progress : bool or None
        Whether to show a progress bar; None shows one in a terminal.

    Returns
    -------
    Calibration
        Ranks, tests of their uniformity, and what was discarded.

    Raises
    ------
    ModelError
        If there is no such model, if ``truth`` names what it has not, or if no fit of it can be ranked.
    DataError
        If the design lacks an input of the law, a number makes no sense, or ``results`` come without a seed.
    FileError
        If ``results`` is a file of something else, which is left as it is.

    References
    ----------
    Talts et al. 2018 (arXiv:1804.06788); Modrák et al. 2023 (arXiv:2211.02383) for ranks of the likelihood.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.calibrate("chinchilla", fits=500, random_seed=1)  # doctest: +SKIP
    """
    if fits < 20 or not noise_factor > 0:
        raise DataError(
            f"a calibration wants at least 20 fits and a noise_factor above zero; given were {fits} and {noise_factor}"
        )
    settings = Settings(draws, tune, chains, target_accept)
    uniformity.spaced(draws * chains, kept)
    model, runs = design_of(load_model(model), design)
    columns = {name: tuple(map(float, values)) for name, values in runs.items()}
    card, true_card = model.to_toml(), model.with_priors(**(truth or {})).to_toml()
    study = sbc.Study(card, true_card, columns, settings, kept, float(noise_factor), seed_to_keep(random_seed, results))
    tasks = [_Ranking(study, fit, send(model.law)) for fit in range(fits)]
    return collect(
        study, run_all(tasks, "calibrating", workers=workers, client=client, results=results, progress=progress)
    )


@dataclass(frozen=True)
class _Ranking:
    """One fit of a study: values only, so that any process can do it, and do it again."""

    study: sbc.Study
    fit: int
    law: SentLaw

    @property
    def key(self) -> str:
        """A hash of all that determines the row."""
        return key_of("calibration", study=asdict(self.study), law=self.law.code, fit=self.fit)

    def run(self) -> dict[str, Any]:
        """The row; see `sbc.rank_row`."""
        self.law.register()
        return sbc.rank_row(self.study, self.fit)

    def failed(self, error: Exception) -> dict[str, Any]:
        """A row without ranks."""
        nothing = {"r_hat": np.nan, "ess": np.nan, "divergences": 0, "retried": False}
        return {"fit": self.fit, **nothing, "error": f"{type(error).__name__}: {error}"}


def collect(study: sbc.Study, rows: list[dict[str, Any]]) -> Calibration:
    """The calibration of rows of ``rank_row``, in whatever order they came.

    Raises
    ------
    ModelError
        If every one of them is an error.
    """
    model = Model.from_toml(study.card)
    table = pd.DataFrame(rows).set_index("fit").sort_index()
    if (table["error"] != "").all():
        raise ModelError(f"none of {len(table)} fits of model {model.name!r} can be ranked; {table['error'].iloc[0]}")
    quantities = tuple(str(name) for name in table if name not in sbc.ABOUT)
    return Calibration(model.name, study, quantities, table[[*quantities, *sbc.ABOUT]])
