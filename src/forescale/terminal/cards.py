"""What stands on the shelves, and what a fit's file holds: for people, and as plain values for scripts."""

from __future__ import annotations

import difflib
import json
import tomllib
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from rich.table import Table
from rich.text import Text

import forescale as fs
from forescale.belief.catalog import dataset_card
from forescale.belief.points import TOKENS_PER_PARAM, usual_points
from forescale.belief.references import in_words
from forescale.errors import DataError
from forescale.estimates.draws import interval_rows, is_single
from forescale.terminal.arguments import is_path
from forescale.terminal.console import (
    Shown,
    caption,
    fit_document,
    fit_rows,
    fit_table,
    heading,
    number,
    table,
)
from forescale.terminal.facts import Facts, card, formula, inner, line
from forescale.units import format_quantity
from forescale.verbs.forecast import CURVE

_PRIOR_DRAWS = 100_000  # quantiles of priors are shown with two digits


def list_datasets() -> tuple[Shown, Facts, pd.DataFrame]:
    """List every dataset: its title, how many runs it has and recommends, what its n_params counts."""
    keys = ("name", "title", "runs", "recommended", "counts_embeddings", "columns", "licence")
    found = [_dataset_facts(name) for name in fs.list_datasets()]
    cells = [[f["name"], f"{f['recommended']} of {f['runs']}", line(f["counts_embeddings"]), f["title"]] for f in found]
    shown = table(["name", "runs", "embeddings", "title"], cells, left=4)
    notes = "runs: those that the card recommends, of all. embeddings: whether n_params counts them."
    return (
        [shown, Text(notes)],
        {"command": "datasets"},
        pd.DataFrame([{k: f[k] for k in keys} for f in found]),
    )


def list_models() -> tuple[Shown, Facts, pd.DataFrame]:
    """List every model card: its title, what the law takes, and the noise."""
    found = [fs.load_model(name) for name in fs.list_models()]
    cells = [[model.name, ", ".join(model.law.inputs), model.title] for model in found]
    rows = [
        {
            "name": model.name,
            "title": model.title,
            "law": formula(model.law),
            "inputs": model.law.inputs,
            "parameters": model.parameters,
            "noise": model.noise.kind,
        }
        for model in found
    ]
    return [table(["name", "inputs", "title"], cells, left=3)], {"command": "models"}, pd.DataFrame(rows)


def list_published() -> tuple[Shown, Facts, pd.DataFrame]:
    """List every published estimate: its title, what the law takes, and whether there is an uncertainty."""
    found = [fs.published(name) for name in fs.list_published()]
    cells = [
        [each.name, ", ".join(each.law.inputs), "no" if is_single(each.posterior) else "yes", each.title]
        for each in found
    ]
    rows = [_published_facts(each) | {"inputs": each.law.inputs, "values": dict(each.values)} for each in found]
    trends = [fs.published_trends(name) for name in fs.list_trends()]
    of_trends = [[each.name, "no" if is_single(each.posterior) else "yes", each.title] for each in trends]
    rows += [_trends_facts(each) | {"values": dict(each.values)} for each in trends]
    shown: Shown = [
        table(["name", "inputs", "bands", "title"], cells, left=4),
        Text("bands: whether the paper prints an uncertainty from which bands can be made."),
        "",
        heading("Trends, for `forescale contradiction`"),
        table(["name", "bands", "title"], of_trends, left=3),
        Text("bands: whether the card states a spread of the exponents."),
    ]
    return shown, {"command": "published"}, pd.DataFrame(rows)


def find(name: str, prob: float) -> list[tuple[Facts, Shown]]:
    """Find everything of that name: a file, or a dataset, a model and a published estimate.

    Raises
    ------
    DataError, ModelError, FileError
        If there is nothing, or a file is neither a model card nor a fit.
    """
    if is_path(name):
        return [_show_model(fs.load_model(name)) if name.endswith(".toml") else _show_fit(fs.load_fit(name), prob)]
    found = []
    if name in fs.list_datasets():
        found.append(_show_dataset(name))
    if name in fs.list_models():
        found.append(_show_model(fs.load_model(name)))
    if name in fs.list_published():
        found.append(_show_published(fs.published(name), prob))
    if name in fs.list_trends():
        found.append(_show_trends(fs.published_trends(name), prob))
    if name in fs.list_links():
        found.append(_show_link(fs.load_link(name)))
    if not found:
        names = {*fs.list_datasets(), *fs.list_models(), *fs.list_published(), *fs.list_trends(), *fs.list_links()}
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else "See `forescale datasets`, `models` and `published`."
        raise DataError(f"{name!r} is no file, dataset, model or published estimate. {hint}")
    return found


def _show_dataset(name: str) -> tuple[Facts, Shown]:
    facts = _dataset_facts(name)
    told = facts | {
        "runs": f"{facts['runs']}, of which the card recommends {facts['recommended']}",
        "columns": ", ".join(facts["columns"]),
        "counts_embeddings": f"{line(facts['counts_embeddings'])}. {facts['counts_embeddings_note']}",
    }
    first = {key: told.pop(key) for key in ("title", "description", "runs", "columns", "counts_embeddings")}
    rest = {key: fact for key, fact in told.items() if key not in ("name", "recommended", "counts_embeddings_note")}
    return {"kind": "dataset", **facts}, card(f"Dataset {name}", first | rest)


def _dataset_facts(name: str) -> Facts:
    runs, recommended = fs.load_dataset(name, filtered=False), fs.load_dataset(name)
    counts = {"runs": len(runs), "recommended": len(recommended), "columns": list(runs.columns)}
    return tomllib.loads(dataset_card(name)) | counts


def _show_published(estimate: fs.Published, prob: float) -> tuple[Facts, Shown]:
    rows = estimate.table(prob).rename_axis("parameter").reset_index().to_dict("records")
    facts, single = _published_facts(estimate), is_single(estimate.posterior)
    names = ["printed"] if single else ["printed", "median", "lower", "upper"]
    cells = [
        [
            row["parameter"],
            f"{row['printed']:.6g}".replace("e+", "e"),
            *(number(row[name]) for name in names[1:]),
        ]
        for row in rows
    ]
    shown = card(f"Published estimate {estimate.name}", {key: facts[key] for key in facts if key != "name"})
    shown.append(table(["parameter", *names], cells))
    return {"kind": "published", **facts, "rows": rows}, shown if single else [*shown, caption(prob)]


def _show_trends(trends: fs.PublishedTrends, prob: float) -> tuple[Facts, Shown]:
    facts, single = _trends_facts(trends), is_single(trends.posterior)
    names = list(trends.values)
    rows = pd.concat([interval_rows(trends.posterior[name], prob) for name in names], ignore_index=True)
    rows.insert(0, "printed", list(trends.values.values()))
    rows.insert(0, "parameter", names)
    ends = ["printed"] if single else ["printed", "median", "lower", "upper"]
    cells = [[row["parameter"], *(number(row[end]) for end in ends)] for row in rows.to_dict("records")]
    shown = card(f"Trends {trends.name}", {key: facts[key] for key in facts if key != "name"})
    shown.append(table(["parameter", *ends], cells))
    document = {"kind": "trends", **facts, "rows": rows.to_dict("records")}
    return document, shown if single else [*shown, caption(prob)]


def _trends_facts(trends: fs.PublishedTrends) -> Facts:
    laws = "L(C) = (C_c / C)^alpha_C, L(D) = (D_c / D)^alpha_D, D(C) = D_1 (C / C_1)^b, N(C) = N_1 (C / C_1)^a"
    return {
        "name": trends.name,
        "title": trends.title,
        "law": f"{laws}; C_1 = {trends.unit:.4g} FLOPs",
        "citation": trends.citation,
        "uncertainty": trends.basis,
        "spread": dict(trends.spread),
        "pivots": dict(trends.pivots),
    }


def _published_facts(estimate: fs.Published) -> Facts:
    return {
        "name": estimate.name,
        "title": estimate.title,
        "law": formula(estimate.law),
        "citation": estimate.citation,
        "counts_embeddings": "unknown" if estimate.counts_embeddings is None else estimate.counts_embeddings,
        "uncertainty": estimate.uncertainty,
        "rules": [str(rule) for rule in estimate.rules.values()],
    }


def _show_fit(fit: fs.Fit, prob: float) -> tuple[Facts, Shown]:
    document = {"kind": "fit", "name": fit.name, **fit_document(fit, prob)}
    document |= {"law": formula(fit.law), "noise": fit.noise.kind, "model_card": fit.model.to_toml()}
    document |= {"discrepancy": _discrepancy(fit.model)}
    document |= {
        "versions": json.loads(fit.tree.attrs["versions"]),
        "rows": fit_rows(fit, prob).to_dict("records"),
    }
    names = ("model", "law", "noise", "discrepancy", "runs", "data_sha256", "notes", "seed", "settings", "versions")
    told = {key: document[key] for key in names} | {"runs": repr(fit.observations).removeprefix("Observations ")}
    made = card("Made from", told | {key: inner(document[key]) for key in ("settings", "versions")})
    return document, [heading(f"Fit of {fit.name}"), *fit_table(fit, prob), Text(), *made]


def _show_model(model: fs.Model) -> tuple[Facts, Shown]:
    priors, losses = _prior_quantiles(model), _prior_losses(model)
    facts = {
        "title": model.title,
        "law": formula(model.law),
        "noise": f"{model.noise.kind}, on log loss: {', '.join(model.noise.parameters)}",
        "discrepancy": _discrepancy(model),
        "reference": dict(model.reference),
        "description": model.description,
    }
    told = facts | {"reference": {name: in_words(size) for name, size in model.reference.items()}}
    shown = [*card(f"Model {model.name}", told), _quantile_table(priors, ["parameter", "prior"])]
    if model.law.judged:
        follow = ", ".join(name for name in model.law.parameters if name not in model.believed)
        where = "over the reference, in a fit the range of its runs" if model.law.judged_over else "at the reference"
        shown.append(Text(f"Priors are on what can be judged {where}; from these follow {follow or 'none'}."))
    elif model.reference:
        shown.append(Text("X_effect: nats of loss that the term of X costs at the reference; X follows."))
    if len(losses):
        has_tokens = {"n_tokens", "flops", "min_flops"} & set(model.law.inputs)
        ratio = f", at {TOKENS_PER_PARAM} tokens per parameter" if has_tokens else ""
        shown += [Text(), heading(f"Loss in nats per token that the priors allow{ratio}")]
        shown += [_quantile_table(losses, list(model.law.inputs))]
        shown += [Text(f"Quantiles of the prior predictive. Band mean: {CURVE}, without noise.")]
    document = {"kind": "model", "name": model.name, **facts, "inputs": model.law.inputs}
    return document | {
        "priors": priors.to_dict("records"),
        "prior_predictive": losses.to_dict("records"),
    }, shown


def _show_link(model: fs.LinkModel) -> tuple[Facts, Shown]:
    drawn = model.prior_draws(_PRIOR_DRAWS, np.random.default_rng(0))
    rows = [interval_rows(xr.DataArray(values[None], dims=("chain", "draw")), 0.9) for values in drawn.values()]
    words = {name: prior.in_words for name, prior in model.priors.items()}
    priors = pd.DataFrame({"parameter": words.keys(), "prior": words.values()}).join(pd.concat(rows, ignore_index=True))
    facts = {"title": model.title, "description": model.description}
    shown = [*card(f"Link {model.name}", facts), _quantile_table(priors, ["parameter", "prior"])]
    return {"kind": "link", "name": model.name, **facts, "priors": priors.to_dict("records")}, shown


def _discrepancy(model: fs.Model) -> str:
    """Say how far the law may be from the truth; of log loss, so that 0.01 is one percent."""
    if drift := model.discrepancy.drift:
        bias, scale = drift.bias.in_words, drift.scale.in_words
        return f"{model.discrepancy}; at a decade, bias: {bias}; scale: {scale}"
    return str(model.discrepancy)


def _prior_quantiles(model: fs.Model) -> pd.DataFrame:
    """Take quantiles of what is drawn, and of printed parameters that follow from it."""
    free = model.free_priors()
    words = {name: prior.in_words for name, prior in free.items()}
    words |= {name: "follows" for name in model.law.parameters if name not in free}
    drawn = model.sample_prior(_PRIOR_DRAWS, np.random.default_rng(0))
    rows = pd.concat([interval_rows(drawn[name], 0.9) for name in words], ignore_index=True)
    return pd.DataFrame({"parameter": words.keys(), "prior": words.values()}).join(rows)


def _prior_losses(model: fs.Model) -> pd.DataFrame:
    """Take quantiles of loss under the priors over six decades of size; empty if the law has other inputs."""
    points = usual_points()
    if not set(model.law.inputs) <= set(points):
        return pd.DataFrame()
    at = points[list(model.law.inputs)]
    # a law of one run knows no size, and has one row
    return at.join(interval_rows(model.prior_predictive(random_seed=0)["mean"], 0.9)).drop_duplicates(list(at))


def _quantile_table(rows: pd.DataFrame, names: list[str]) -> Table:
    def write(value: Any) -> str:
        if isinstance(value, str):
            return value
        value = float(f"{value:.1e}")
        return format_quantity(value) if value >= 1e5 else number(value, 2)

    cells = [[write(row[name]) for name in (*names, "lower", "median", "upper")] for row in rows.to_dict("records")]
    return table([*names, "5 %", "50 %", "95 %"], cells, left=len(names))
