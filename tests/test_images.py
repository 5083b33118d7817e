"""What figures look like: a few, without their words, against pictures that were looked at when they were kept.

Words depend on fonts and on where a version of matplotlib puts them; the other tests of figures read them. What is
left are lines, bands and points, on a fixed place of the figure. After a change that is meant, look at what

    python tests/test_images.py

writes to tests/baseline/, and commit it.
"""

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
from made_fits import CHINCHILLA, made_fit
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.testing.decorators import remove_ticks_and_titles

from forescale.belief.catalog import load_model
from forescale.plots import plot_loo_pit, plot_loss, plot_predictive, plot_priors
from forescale.tables.observations import Observations

BASELINE = Path(__file__).parent / "baseline"
#: Root mean square of the difference, of 255 shades. Each part that a figure may lose makes more: measured below.
MOST = 0.8


def dearer() -> Observations:
    """Runs beyond those of a made fit, at 5 tokens per parameter."""
    n_params = np.geomspace(1.5e10, 1.5e11, 5)
    loss = 1.8 + 470 / n_params**0.345 + 1900 / (5 * n_params) ** 0.36
    return Observations({"n_params": n_params, "n_tokens": 5 * n_params, "flops": 30 * n_params**2, "loss": loss})


def draw(name: str):
    """The figure of that name, of which only what is drawn counts."""
    model = load_model("chinchilla")
    fit, uncertain = (made_fit(model, CHINCHILLA, spread=spread) for spread in (0.002, 0.1))
    ax = Figure(figsize=(6, 4), dpi=50).add_axes((0.05, 0.05, 0.9, 0.9))
    {
        "loss": lambda: plot_loss(fit, ax, compute=1e26, held_out=dearer()),
        "predictive": lambda: plot_predictive(fit, ax),
        "loo_pit": lambda: plot_loo_pit(fit, ax),
        "priors": lambda: plot_priors(uncertain, ax),
    }[name]()
    return ax


FIGURES = ("loss", "predictive", "loo_pit", "priors")


def picture(ax) -> np.ndarray:
    """Shades of red, green and blue, without any words."""
    figure = ax.figure
    for each in [ax, *ax.child_axes]:
        for words in [*each.texts, *([each.get_legend()] if each.get_legend() else [])]:
            words.remove()
        each.set(xlabel="", ylabel="")
        for side in ("left", "center", "right"):
            each.set_title("", loc=side)
    remove_ticks_and_titles(figure)
    for panel in ax.child_axes:
        panel.xaxis.set_ticks([], minor=True)
        panel.xaxis.set_ticks([])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].astype(float)


def kept(name: str) -> np.ndarray:
    return 255 * matplotlib.image.imread(BASELINE / f"{name}.png")[..., :3].astype(float)


def difference(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.sqrt(((one - other) ** 2).mean()))


@pytest.mark.parametrize("name", FIGURES)
def test_figures_look_as_they_did(name):
    assert difference(picture(draw(name)), kept(name)) < MOST


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_that_lacks_anything_is_seen_to_differ(name):
    ax, seen = draw(name), {}
    for each in [ax, *ax.child_axes[:1]]:
        for part in [*each.collections, *each.lines, *each.patches]:
            part.set_visible(False)
            seen[part] = difference(picture(ax), kept(name))
            part.set_visible(True)
    assert len(seen) >= 3
    assert min(seen.values()) > MOST, seen


if __name__ == "__main__":
    BASELINE.mkdir(exist_ok=True)
    for each in FIGURES:
        matplotlib.image.imsave(BASELINE / f"{each}.png", picture(draw(each)).astype(np.uint8))
