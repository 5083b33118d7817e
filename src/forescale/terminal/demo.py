"""The whole job on one dataset: from runs to a fit, forecasts, a split of compute, and files to keep."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from forescale import plots
from forescale.belief.catalog import load_dataset
from forescale.errors import FileError
from forescale.estimates.draws import INTERVAL_KIND
from forescale.estimates.fit import Fit, fit
from forescale.estimates.published import published
from forescale.files import write_whole
from forescale.pages import report
from forescale.tables.observations import Observations
from forescale.units import cost_model, format_quantity
from forescale.verbs.allocate import Allocation, allocate
from forescale.verbs.forecast import CURVE, Forecast, forecast

DATASET, MODEL = "hoffmann2022", "chinchilla"
PROB = 0.9
GOPHER_BUDGET = 5.76e23  # FLOPs, for which Hoffmann et al. compare their approaches
BUDGETS = (1e21, GOPHER_BUDGET, 1e26)
#: Published estimates to lay beside the fit.
BESIDE = ("hoffmann2022", "hoffmann2022_unrounded", "besiroglu2024", "kaplan2020")
FILES = {
    "fit.nc": "the fit: draws, runs, model card, seed; load_fit reads it",
    "summary.csv": "posterior of each parameter, with R-hat and ESS",
    "forecast.csv": "bands of loss, mean and run, at the three points above",
    "allocation.csv": "bands of the optimal split and of its exponents a and b",
    "fit.png": "residuals of the runs, and the band of the noise",
    "loss.png": "loss of compute-optimal runs, far beyond the data",
    "allocation.png": "optimal size against compute, beside published estimates",
    "report.html": "all of it and more, on one page for any browser",
}
_WIDTH, _INDENT = 80, "   "
_BAND = f"{100 * PROB:g} % {INTERVAL_KIND}"


def run(
    folder: str | Path,
    *,
    random_seed: int = 1,
    progress: bool | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Fit the chinchilla law to Hoffmann et al.'s runs; say, and write down, what follows from it.

    Parameters
    ----------
    folder : str or Path
        Where the files named in ``FILES`` go. It is made if need be; these files are replaced in it, and
        nothing else is touched.
    random_seed : int
        Seed of the fit and of the forecast; the same seed gives the same numbers.
    progress : bool or None
        Whether to show a progress bar while sampling; None shows one in a terminal or a notebook.
    say : callable
        Called with each step's text, in lines of at most 80 columns.

    Raises
    ------
    FileError
        If the folder cannot be made.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{folder}: the demo needs a folder it can make or write to: {error}") from error

    runs = load_dataset(DATASET)
    say(_say_data(runs, of=len(load_dataset(DATASET, filtered=False))))

    say(f"\n2. Fit: the {MODEL} law, by MCMC; compiling it takes some seconds")
    fitted = fit(runs, MODEL, random_seed=random_seed, progress=progress)
    say(_say_fit(fitted))

    split = allocate(fitted, BUDGETS)
    plans = {name: plots.TRAINED[name] for name in ("Chinchilla", "Gopher")}
    n_params = float(split.draws["n_params"].sel(budget=BUDGETS[-1]).median())
    n_tokens = float(cost_model(split.cost).n_tokens(BUDGETS[-1], n_params))
    plans[f"best at {format_quantity(BUDGETS[-1])}"] = (n_params, n_tokens)
    points = pd.DataFrame(plans, index=["n_params", "n_tokens"]).T
    losses = forecast(fitted, points, random_seed=random_seed)
    say(_say_forecast(losses, list(plans), runs))
    say(_say_allocation(split))

    estimates = [published(name) for name in BESIDE]
    beside = [allocate(each, GOPHER_BUDGET) for each in estimates]
    say(_say_beside(split, beside, [each.name for each in estimates if each.counts_embeddings is False]))

    fitted.save(folder / "fit.nc")
    _write_table(fitted.summary(PROB).rename_axis("parameter").reset_index(), folder / "summary.csv")
    table = losses.table(PROB)
    table.insert(0, "point", np.repeat(list(plans), len(table) // len(plans)))
    _write_table(table, folder / "forecast.csv")
    _write_table(pd.concat(map(_allocation_rows, (split, *beside))), folder / "allocation.csv")
    plots.save_figure(plots.plot_residuals(fitted, prob=PROB), folder / "fit.png")
    plots.save_figure(plots.plot_loss(fitted, compute=BUDGETS[-1], prob=PROB), folder / "loss.png")
    grid = np.geomspace(1e20, 1e27, 29)
    others = [allocate(each, grid) for each in estimates]
    ax = plots.plot_allocation(allocate(fitted, grid), others=others, prob=PROB)
    plots.save_figure(ax, folder / "allocation.png")
    compared = {name: sizes for name, sizes in plans.items() if name in plots.TRAINED}
    report(fitted, BUDGETS, plans=compared, prob=PROB, random_seed=random_seed).save(folder / "report.html")
    say(_say_files(folder))


def _say_data(runs: Observations, of: int) -> str:
    units = {"n_params": "parameters", "n_tokens": "tokens", "flops": "FLOPs", "loss": "nats per token"}
    rows = [[column, *_ends(runs.column(column)), unit] for column, unit in units.items()]
    title = f"1. Data: {len(runs)} runs of {runs.name}"
    left_out = f"{of - len(runs)} further runs are left out, as the dataset's card recommends."
    return "\n".join([title, _table(rows), *([_text(left_out)] if of > len(runs) else [])])


def _say_fit(fitted: Fit) -> str:
    rows = [["", "median", "lower", "upper", "R-hat", "ESS"]]
    for name, row in fitted.summary(PROB).iterrows():
        numbers = [f"{row[column]:#.4g}".rstrip(".") for column in ("median", "lower", "upper")]
        rows.append([str(name), *numbers, f"{row['r_hat']:.3f}", f"{row['ess_bulk']:.0f}"])
    ends = f"lower, upper: {_BAND} interval; ESS: effective sample size of the bulk."
    made = f"{fitted.settings.chains} x {fitted.settings.draws} draws, seed {fitted.seed}."
    return "\n".join([_table(rows), _text(f"{ends} {made}"), *map(_text, repr(fitted.diagnostics).splitlines())])


def _say_forecast(losses: Forecast, names: Sequence[str], runs: Observations) -> str:
    rows = [["", "N", "D", *losses.kinds]]
    bands = [losses.table(PROB, kind).to_dict("records") for kind in losses.kinds]
    for name, *kinds in zip(names, *bands, strict=True):
        sizes = [format_quantity(kinds[0][column]) for column in ("n_params", "n_tokens")]
        rows.append([name, *sizes, *(_band(row, "{:#.4g}".format) for row in kinds)])
    told = "; ".join(f"{kind}: {meaning}" for kind, meaning in losses.kinds.items())
    beyond = BUDGETS[-1] / runs.column("flops").max()
    far = f"{format_quantity(BUDGETS[-1])} FLOPs is {beyond:,.0f} times the largest run."
    return f"\n3. Forecast: loss in nats per token, median [{_BAND}]\n{_table(rows)}\n{_text(f'{told}. {far}')}"


def _say_allocation(split: Allocation) -> str:
    rows = [["FLOPs", "parameters N*", "tokens D*", "D*/N*"]]
    wanted = ("n_params", "n_tokens", "tokens_per_param")
    rows += [[format_quantity(flops), *_split(split, flops, wanted)] for flops in BUDGETS]
    exponents = split.exponent_table(PROB).to_dict("records")
    powers = ", ".join(f"{row['exponent']} {_band(row, '{:.3f}'.format)}" for row in exponents)
    notes = f"N* ~ C^a, D* ~ C^b: {powers}. The bands are of kind mean: {CURVE}, without discrepancy or noise."
    title = f"4. Allocation: the best split of C = {split.cost}, median [{_BAND}]"
    return f"\n{title}\n{_table(rows)}\n{_text(notes)}"


def _say_beside(split: Allocation, beside: Sequence[Allocation], uncounted: Sequence[str]) -> str:
    rows = [["", "parameters N*", "D*/N*", "a"]]
    for name, each in [("this fit", split), *((each.source, each) for each in beside)]:
        a = each.exponent_table(PROB)["median"].iloc[0]
        rows.append([name, *_split(each, GOPHER_BUDGET, ("n_params", "tokens_per_param")), f"{a:.3f}"])
    notes = "No bracket: the paper prints no usable uncertainty."
    if uncounted:
        notes += f" N counts no embeddings in {', '.join(uncounted)}."
    title = f"5. The best split of {format_quantity(GOPHER_BUDGET)} FLOPs, beside published estimates"
    return f"\n{title}\n{_table(rows)}\n{_text(notes)}"


def _say_files(folder: Path) -> str:
    rows = [[name, what] for name, what in FILES.items()]
    return f"\n6. Files in {folder}\n{_table(rows)}\n\nNext, your own table of runs: forescale fit YOUR.csv"


def _split(split: Allocation, flops: float, quantities: Sequence[str]) -> list[str]:
    """Write bands of these quantities at a budget."""
    table = split.table(PROB)
    here = table[table["flops"] == flops].set_index("quantity")
    return [_band(here.loc[name], format_quantity) for name in quantities]


def _band(row: Any, write: Callable[[float], str]) -> str:
    """Write ``median [lower, upper]``, or the median alone of a single draw."""
    middle, low, high = (write(row[name]) for name in ("median", "lower", "upper"))
    return middle if row["lower"] == row["upper"] else f"{middle} [{low}, {high}]"


def _ends(values: NDArray[np.float64]) -> list[str]:
    """Write the smallest and the largest of them."""
    return [format_quantity(values.min()), "to", format_quantity(values.max())]


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Lay cells out in columns, to the left, indented."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)) for row in rows]
    return "\n".join(f"{_INDENT}{line}".rstrip() for line in lines)


def _text(text: str) -> str:
    return textwrap.fill(text.strip(), _WIDTH, initial_indent=_INDENT, subsequent_indent=_INDENT)


def _allocation_rows(split: Allocation) -> pd.DataFrame:
    """Bands of an allocation and, below them and without flops, of its exponents."""
    exponents = split.exponent_table(PROB).rename(columns={"exponent": "quantity"})
    table = pd.concat([split.table(PROB), exponents], ignore_index=True)
    table.insert(0, "source", split.source)
    return table


def _write_table(table: pd.DataFrame, path: Path) -> None:
    write_whole(path, lambda beside: table.to_csv(beside, index=False))
