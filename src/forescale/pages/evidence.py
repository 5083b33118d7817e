"""What the answer rests on: the runs and how they were counted, the model and its priors, and the diagnostics."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import numpy as np

from forescale import plots
from forescale.belief.catalog import dataset_card, list_datasets, load_dataset
from forescale.belief.references import in_words
from forescale.estimates.draws import interval_rows
from forescale.estimates.fit import Fit, residuals, thinned
from forescale.estimates.published import Published
from forescale.pages import words
from forescale.pages.contents import Bullets, Paragraph, Part, Section, Table
from forescale.pages.pictures import pictured
from forescale.pages.question import Question
from forescale.sampling.diagnostics import E_BFMI_MIN, ESS_MIN, R_HAT_MAX
from forescale.tables.observations import Observations

_PRIOR_DRAWS = 20_000
_UNITS = {"n_params": "parameters", "n_tokens": "tokens", "flops": "FLOPs", "loss": "nats per token"}
_NOISES = {"studentt": "Student-t", "normal": "normal"}
_COUNTS = {
    True: "counts embedding parameters",
    False: "counts no embedding parameters",
    None: "may or may not count embedding parameters: the table does not say",
}


def data(question: Question) -> Section:
    """Say which runs these are, and what was taken for what."""
    return Section("data", "Data, and how they were counted", tuple(_data(question)))


def _data(question: Question) -> Iterator[Part]:
    runs = question.runs
    if runs is None:
        source = question.estimate
        yield Paragraph(f"There is no table of runs: {source.name} is an estimate as printed.")
        if isinstance(source, Published):
            yield Bullets((words.stopped(source.citation), f"Its N {_COUNTS[source.counts_embeddings]}."))
        return
    yield Paragraph(
        f"{words.count(len(runs), 'run')} of {runs.name}. N {_COUNTS[runs.counts_embeddings]}. Losses are in nats per "
        f"token; training is taken to cost C = {question.cost.name}."
    )
    rows = [
        (name, *(words.size(end) if name != "loss" else words.loss(end) for end in _ends(runs, name)), unit)
        for name, unit in _UNITS.items()
        if name in runs.columns
    ]
    yield Table("What the runs span", ("column", "least", "median", "most", "unit"), tuple(rows))
    yield Bullets(tuple(words.stopped(note) for note in (*runs.notes, *_flaws(runs))))


def _ends(runs: Observations, name: str) -> tuple[float, ...]:
    values = runs.column(name)
    return float(values.min()), float(np.median(values)), float(values.max())


def on_shelf(runs: Observations) -> bool | None:
    """Whether these are the recommended runs (True) of a dataset of the package, all of them (False), or neither."""
    if runs.name in list_datasets():
        for filtered in (True, False):
            if load_dataset(runs.name, filtered=filtered).sha256 == runs.sha256:
                return filtered
    return None


def _flaws(runs: Observations) -> list[str]:
    """What the card of a dataset of the package tells of it."""
    if on_shelf(runs) is None:
        return []
    card: dict[str, Any] = tomllib.loads(dataset_card(runs.name))
    imputed = [f"Not observed but imputed: {name}, {how}" for name, how in card.get("imputed", {}).items()]
    source = f"Source: {card['source']['what']}. Licence: {card['licence']}"
    return [source, *imputed, *card["known_flaws"]]


def model(question: Question) -> Section:
    """Say which law, which priors, which noise and which discrepancy."""
    return Section("model", "Model and priors", tuple(_model(question)))


def _model(question: Question) -> Iterator[Part]:
    source = question.estimate
    yield Paragraph(f"The law is {source.law.formula}, with {words.listed(source.law.parameters)} to be estimated.")
    if isinstance(source, Published):
        rows = [(name, f"{value:.6g}") for name, value in source.values.items()]
        yield Table(f"Parameters as {source.name} prints them", ("parameter", "printed"), tuple(rows))
        yield Paragraph(words.sentence(f"Their uncertainty: {source.uncertainty}"))
    if question.fit is None:
        yield Paragraph("There are no priors and no noise model: nothing is said of how a new run scatters.")
        return
    card = question.fit.model
    if card.description:
        yield Paragraph(words.sentence(card.description))
    of_noise = words.listed(card.noise.parameters) if card.noise.parameters else "each run has its own error"
    yield Paragraph(
        f"Noise is {_NOISES.get(card.noise.kind, card.noise.kind)} on log loss ({of_noise}), so that 0.01 is one "
        f"percent of loss. Discrepancy of the law: {card.discrepancy}. {_of_discrepancy(question.fit)}"
    )
    yield _priors(question.fit, question.prob)
    yield pictured(
        "priors",
        "Prior and posterior of each parameter",
        "A panel for each parameter, with the broad density of its prior and the narrow one of its posterior.",
        plots.plot_priors,
        question.fit,
        prob=question.prob,
    )
    at = ", ".join(f"{name} {in_words(size)}" for name, size in card.reference.items())
    if card.law.judged:
        follow = words.listed([name for name in card.law.parameters if name not in card.believed])
        yield Paragraph(f"Priors are on what can be judged at the reference ({at}), from which {follow} follow.")
    elif at:
        yield Paragraph(
            "A parameter named X_effect is the loss in nats that the term of X costs at the reference "
            f"({at}); the prior is on that, since it can be judged, and X follows."
        )


def _of_discrepancy(fit: Fit) -> str:
    if fit.model.discrepancy.drift:
        return (
            "A drift is how far laws have been wrong beyond the data of other published ladders: nothing among the "
            "runs fitted, growing with the distance from them. It is in the bands of a new run, and nowhere else."
        )
    if fit.model.discrepancy:
        return "It is learned with the law, and is in the bands of a new run."
    return "The law is taken to be right, at any distance from the data."


def _priors(fit: Fit, prob: float) -> Table:
    priors = fit.model.free_priors()
    of_law = [each for name in fit.model.law.parameters for each in dict.fromkeys((name, fit.model.prior_name(name)))]
    names = [*of_law, *(name for name in priors if name not in of_law)]
    before = fit.model.sample_prior(_PRIOR_DRAWS, np.random.default_rng(0))
    told = {name: prior.in_words for name, prior in priors.items()}
    rows = []
    for name in names:
        bands = [words.row_of(draws[name], prob) for draws in (before, fit.posterior)]
        rows.append((name, told.get(name, "follows"), *(words.bracket(band, words.number) for band in bands)))
    caption = f"Before and after the runs: median [{words.percent(prob)} equal-tailed]"
    return Table(caption, ("parameter", "prior", "before", "after"), tuple(rows))


def diagnostics(question: Question) -> Section:
    """Say whether the sampler converged, and whether the runs scatter as the noise claims."""
    heading = "Diagnostics"
    fit = question.fit
    if fit is None:
        return Section("diagnostics", heading, (Paragraph("Nothing was sampled here, so there is nothing to check."),))
    return Section("diagnostics", heading, tuple(_checks(fit, question.prob)))


def _checks(fit: Fit, prob: float) -> Iterator[Part]:
    found = fit.diagnostics
    yield Paragraph(
        f"Verdict: the sampler {'converged' if found.passed else 'did NOT converge: ' + '; '.join(found.failures)}. "
        f"{words.count(found.divergences, 'divergent transition')}, E-BFMI {found.e_bfmi:.2f} (at least {E_BFMI_MIN} "
        f"is wanted), {fit.settings.chains} x {fit.settings.draws} draws.",
        urgent=not found.passed,
    )
    scale = (
        "outside what the noise claims: bands of a new run may be too wide or too narrow."
        if found.noise_misfit
        else "as large as the noise claims."
    )
    yield Paragraph(f"Residuals are {scale} (Posterior predictive p of their scale: {found.residual_scale_p:.2f}.)")
    rows = [
        (
            str(name),
            *(words.number(row[end]) for end in ("median", "lower", "upper")),
            f"{row['r_hat']:.3f}",
            *(f"{row[ess]:.0f}" for ess in ("ess_bulk", "ess_tail")),
        )
        for name, row in fit.summary(prob).iterrows()
    ]
    caption = f"Posterior, ends of the {words.percent(prob)} equal-tailed interval, and convergence of each parameter"
    yield Table(caption, ("parameter", "median", "lower", "upper", "R-hat", "bulk ESS", "tail ESS"), tuple(rows))
    yield Paragraph(
        f"R-hat is wanted at {R_HAT_MAX} or below, effective sample sizes (ESS) at {ESS_MIN} or above. {_inside(fit)}"
    )
    yield pictured(
        "residuals",
        "Residuals of the runs, and the band of the noise",
        f"A dot for each of {words.count(len(fit.observations), 'run')}, its loss above the law in percent, against "
        "compute; behind the dots the band of the noise about zero.",
        plots.plot_residuals,
        fit,
        prob=prob,
    )


def _inside(fit: Fit) -> str:
    """How many of the runs that were fitted lie inside their own bands: no evidence of what comes beyond."""
    few = thinned(fit.posterior, len(fit.observations), 2_000_000)
    error = residuals(fit.model, fit.model.data(fit.observations), few)
    noise = {name: few[name].values[..., None] for name in fit.noise.parameters}
    log_se = fit.model.data(fit.observations).get("log_loss_se", 0.0)
    scatter = fit.noise.sample(noise, error.shape, np.random.default_rng(fit.seed), log_se)
    middle = error.copy(data=error.to_numpy() - scatter)
    shares = []
    for prob in (0.5, 0.9):
        bands = interval_rows(middle, prob)
        shares.append((prob, float(((bands["lower"] <= 0) & (bands["upper"] >= 0)).mean())))
    told = words.listed(f"{words.percent(share)} lie inside their {words.percent(prob)} band" for prob, share in shares)
    return f"Of the runs that were fitted, {told}, which is no test of runs beyond them."
