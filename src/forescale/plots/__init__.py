"""Figures of results: each function takes one, draws on the axes given or on a figure of its own, and returns the axes.

Nothing is shown, and no global state of matplotlib is touched; ``save_figure`` writes a figure.
"""

from forescale.plots.allocations import TRAINED, plot_allocation
from forescale.plots.backtests import plot_coverage, plot_forecasts, plot_pit, plot_scores
from forescale.plots.losses import plot_loss
from forescale.plots.residuals import plot_residuals
from forescale.plots.saving import save_figure

__all__ = [
    "TRAINED",
    "plot_allocation",
    "plot_coverage",
    "plot_forecasts",
    "plot_loss",
    "plot_pit",
    "plot_residuals",
    "plot_scores",
    "save_figure",
]
