"""Forecasts that were stated before the runs, how they fared, and how to state the next."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forescale import plots
from forescale.checking.score_frozen import FrozenScores
from forescale.estimates.draws import INTERVAL_KIND
from forescale.pages import words
from forescale.pages.contents import Code, Paragraph, Part, Section, Table
from forescale.pages.pictures import pictured
from forescale.pages.question import Question
from forescale.units import format_quantity


def beforehand(question: Question) -> Section:
    """What was forecast before it was known, and a call that does so now."""
    return Section("beforehand", "Forecasts stated beforehand", tuple(_beforehand(question)))


def _beforehand(question: Question) -> Iterator[Part]:
    if question.frozen is not None:
        yield from _scored(question.frozen, question.prob)
    if question.single:
        yield Paragraph("Nothing can be stated by a single draw: it gives no run a probability.")
        return
    kind = "run" if "run" in question.losses.kinds else "mean"
    of = "a new run" if kind == "run" else "the law's curve, since there is no noise model"
    yield Paragraph(
        f"A forecast counts for most if it was written down before the run. This writes that of the largest budget, of "
        f"{of}, with seed, versions and hashes of card and data, to a small file that is refused once edited; when the "
        "loss is known, the second line scores it, together with as many others as there are."
    )
    run = question.all_inputs(question.losses.points.iloc[question.at(question.largest).item()].to_dict())
    sizes = ", ".join(f'{name}="{format_quantity(float(run[name]))}"' for name in question.estimate.law.inputs)
    further = "" if kind == "run" else ', kind="mean"'
    yield Code(f'fs.freeze(source, {sizes}{further}, path="forecast.toml")\nfs.score_frozen("forecast.toml", 2.31)')


def _scored(found: FrozenScores, prob: float) -> Iterator[Part]:
    coverage = found.coverage(prob)
    rows = [
        (
            words.percent(row["band"]),
            f"{row['hits']} of {row['points']}",
            f"{row['share']:.2f} [{row['lower']:.2f}, {row['upper']:.2f}]",
        )
        for row in coverage.to_dict("records")
    ]
    yield Table("Frozen bands that held what came", ("band", "held", "share"), tuple(rows))
    means, groups = found.means(), int(coverage["groups"].iloc[0])
    left = f" {words.count(found.unobserved, 'frozen run')} not observed yet." if found.unobserved else ""
    yield Paragraph(
        f"Bands are of kind {found.kind}. In brackets, the {words.percent(prob)} {INTERVAL_KIND} interval of the "
        "share, for which runs forecast from one table count together, since they err together "
        f"({words.count(groups, 'group')}). In percent of loss: interval score (of 90 % bands) "
        f"{means['interval_score']:.3g}, CRPS {means['crps']:.3g}, bias {means['bias']:+.3g}.{left}"
    )
    inside = int(np.sum(found.scores["covered_90"]))
    yield pictured(
        "frozen",
        "What was forecast, and what came",
        f"A bar for each of {words.count(len(found.scores), 'run')} with its frozen bands, and a mark at the loss that "
        f"came; {inside} lie inside the 90 % band.",
        plots.plot_frozen,
        found,
    )
