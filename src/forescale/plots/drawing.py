"""What all figures share: axes, colours, labels and how they are written, and nothing of what is drawn.

No global state of matplotlib is touched. Colours are Okabe and Ito's, which colour-blind readers can tell apart; lines
differ in their dashes as well, and points in their markers, for print in grey.
"""

from __future__ import annotations

from typing import Any

import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from matplotlib.transforms import ScaledTranslation

from forescale.estimates.draws import INTERVAL_KIND, is_single
from forescale.units import format_quantity
from forescale.verbs.forecast import CURVE

BLUE, GREY = "#0072B2", "#666666"
_STYLES: tuple[tuple[str, Any, str], ...] = (
    (BLUE, "solid", "o"),
    ("#D55E00", (0, (6, 2)), "s"),
    ("#009E73", (0, (6, 2, 1, 2)), "^"),
    ("#000000", (0, (1.5, 1.5)), "D"),
    ("#E69F00", (0, (11, 3)), "v"),
    ("#CC79A7", (0, (6, 1.5, 1, 1.5, 1, 1.5)), "P"),
)
#: How observed runs are drawn.
RUN: dict[str, Any] = {"ls": "", "lw": 0.6, "marker": "o", "ms": 3.5, "mfc": "none", "mew": 0.7, "c": "0.2"}
#: Names of columns, with their units.
LABELS = {
    "flops": "training compute C (FLOPs)",
    "n_params": "model size N (parameters)",
    "n_tokens": "training data D (tokens)",
}
_HALO = (withStroke(linewidth=2.5, foreground="white"),)


def axes(ax: Axes | None, height: float = 4.4, width: float = 6.4) -> Axes:
    """The axes given, or those of a new figure (height and width in inches)."""
    return Figure(figsize=(width, height), layout="constrained").add_subplot() if ax is None else ax


def panels(ax: Axes, rows: int, columns: int, *, across: float, down: float, **kind: Any) -> list[list[Axes]]:
    """Panels within the place of one axes, which shows nothing of its own but heading and legend.

    So a figure of many panels is asked for, given and saved as any other. The gaps between panels are in widths and
    heights of one.
    """
    ax.set_axis_off()
    width, height = 1 / (columns + across * (columns - 1)), 1 / (rows + down * (rows - 1))
    lefts = [column * width * (1 + across) for column in range(columns)]
    bottoms = [1 - height - row * height * (1 + down) for row in range(rows)]
    return [[ax.inset_axes((left, bottom, width, height), **kind) for left in lefts] for bottom in bottoms]


def finish(ax: Axes, heading: str, **legend: Any) -> Axes:
    """Heading, grid and legend, the same in every figure."""
    ax.set_title(heading, loc="left", fontsize=10)
    ax.grid(which="major", color="0.9", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(**legend, fontsize=8, framealpha=1, edgecolor="0.8")
    return ax


def finish_below(ax: Axes, heading: str, legend_title: str | None = None, **legend: Any) -> Axes:
    """As `finish`, with the legend below the axis, where it hides nothing; in two columns unless told otherwise."""
    below = ax.transAxes + shift(ax, 0, -40)
    place: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": below, "ncols": 2}
    return finish(ax, heading, title=legend_title, title_fontsize=8, alignment="left", **place | legend)


def style(index: int) -> tuple[str, Any, str]:
    """Colour, dashes and marker of what is told apart: the first, and those beside it."""
    return _STYLES[index % len(_STYLES)]


def shift(ax: Axes, right: float, up: float) -> ScaledTranslation:
    """A move by typographic points, 72 to the inch, to add to coordinates."""
    figure: Any = ax.get_figure(root=True)
    return ScaledTranslation(right / 72, up / 72, figure.dpi_scale_trans)


def note(ax: Axes, text: str, at: tuple[float, float], offset: tuple[float, float], **style: Any) -> None:
    """Words beside a point, legible on whatever is below; the offset is in typographic points."""
    ax.annotate(text, at, offset, textcoords="offset points", fontsize=8, path_effects=_HALO, **style)


def mass(prob: float) -> str:
    """An interval's probability and kind, in words."""
    return f"{100 * prob:g} % {INTERVAL_KIND}"


def curve_band(ax: Axes, rows: pd.DataFrame, across: str, draws: xr.Dataset, prob: float) -> None:
    """The band of a law's curve about its median, against a column of the rows; none where there is a single draw."""
    if not is_single(draws):
        told = f"mean ({CURVE}), {mass(prob)}"
        ax.fill_between(rows[across], rows["lower"], rows["upper"], color=BLUE, alpha=0.25, lw=0, label=told)


def log_axis(ax: Axes, which: str, quantity: str) -> None:
    """Make a log scale, named with its unit, whose ticks read as people write them."""
    write = power_of_ten if quantity == "flops" else format_quantity
    ax.set(**{f"{which}scale": "log", f"{which}label": LABELS.get(quantity, quantity)})
    axis = getattr(ax, f"{which}axis")
    low, high = axis.get_view_interval()
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > 50 * low else (1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    axis.set_minor_formatter(NullFormatter())


def plain_log_ticks(ax: Axes) -> None:
    """Numbers on a logarithmic x axis, as many as there is room for, instead of powers of ten."""
    low, high = ax.get_xlim()
    subs = (1.0, 2.0, 5.0) if high > 20 * low else (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0)
    ax.xaxis.set_major_locator(LogLocator(subs=subs))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def power_of_ten(value: float) -> str:
    """10^24 or 1.3 x 10^22 in matplotlib's mathematics."""
    mantissa, _, exponent = f"{value:.1e}".partition("e")
    power = f"10^{{{int(exponent)}}}"
    return f"${power}$" if mantissa == "1.0" else rf"${float(mantissa):g}\times{power}$"
