"""Whether the ranks of truths among posterior draws are uniform."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from forescale.checking.calibrate import Calibration
from forescale.plots.drawing import GREY, axes, finish_below, style

_INSIDE: dict[str, Any] = {"color": GREY, "lw": 0.7, "alpha": 0.8}


def plot_ranks(calibration: Calibration, ax: Axes | None = None, *, prob: float = 0.9) -> Axes:
    """Distribution functions of the ranks of truths, less the uniform one: a line for each quantity.

    A line below zero on the left and above on the right is of posteriors too wide; the other way round, too narrow;
    on one side throughout, shifted.

    Parameters
    ----------
    calibration : Calibration
        What ``calibrate`` returned.
    ax : Axes, optional
        Where to draw; a figure of its own by default.
    prob : float
        Probability that the whole of one line stays inside the band if its ranks are uniform. Of ten lines that are
        right one is to be expected outside a band of 90 %; ``Calibration.p_value`` allows for their number.

    Returns
    -------
    Axes
        The band, lines that stay inside in grey, and those that do not in colour and by name.

    References
    ----------
    Säilynoja, Bürkner and Vehtari 2022 (arXiv:2103.10522).

    Examples
    --------
    >>> import forescale as fs
    >>> plot_ranks(fs.calibrate("chinchilla", fits=100, random_seed=1))  # doctest: +SKIP
    """
    table, ax = calibration.ecdf(prob), axes(ax)
    lines = [(str(name), rows) for name, rows in table.groupby("quantity", sort=False)]
    _, first = lines[0]
    told = f"{100 * prob:g} % simultaneous: so many lines of uniform ranks lie wholly inside"
    ax.fill_between(first["step"], 100 * first["lower"], 100 * first["upper"], color="0.85", lw=0, label=told)
    outside = [
        (name, rows) for name, rows in lines if not rows["difference"].between(rows["lower"], rows["upper"]).all()
    ]
    named = {name for name, _ in outside}
    inside = [rows for name, rows in lines if name not in named]
    for index, rows in enumerate(inside):
        label = f"{len(inside)} of {len(lines)} quantities, inside" if index == 0 else None
        ax.plot(rows["step"], 100 * rows["difference"], label=label, **_INSIDE)
    for index, (name, rows) in enumerate(outside):
        color, dashes, _ = style(index)
        ax.plot(rows["step"], 100 * rows["difference"], color=color, ls=dashes, lw=1.5, label=f"{name}, outside")
    ax.axhline(0, color=GREY, lw=0.8)
    most = 110 * float(np.abs(table[["lower", "upper", "difference"]].to_numpy()).max())
    ax.set(xlim=(0, 1), ylim=(-most, most), xlabel="rank of the truth among draws (share of the ranks)")
    ax.set_ylabel("fits up to it, less uniform (%)")
    fits = len(calibration.ranks)
    return finish_below(ax, f"Calibration of {calibration.model}: {fits} fits, p = {calibration.p_value:.2g}")
