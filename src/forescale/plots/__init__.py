"""Figures of results: each function takes one, draws on the axes given or on a figure of its own, and returns the axes.

Nothing is shown, and no global state of matplotlib is touched; ``save_figure`` writes a figure.
"""

from forescale.plots.allocations import TRAINED, plot_allocation
from forescale.plots.backtests import plot_coverage, plot_forecasts, plot_pit, plot_scores
from forescale.plots.broken import plot_breaks
from forescale.plots.calibrations import plot_ranks
from forescale.plots.comparisons import plot_divergence, plot_loo_differences
from forescale.plots.computes_to import plot_compute_to
from forescale.plots.contours import plot_contours
from forescale.plots.contradictions import plot_contradiction, plot_crossing_exponents
from forescale.plots.downstreams import plot_downstream, plot_emergence, plot_link
from forescale.plots.epochs import plot_epochs
from forescale.plots.families import plot_families
from forescale.plots.finishes import plot_finish
from forescale.plots.frozens import plot_frozen
from forescale.plots.gains import plot_gain
from forescale.plots.isoflops import plot_isoflops
from forescale.plots.losses import plot_loss
from forescale.plots.next_runs import plot_next_runs
from forescale.plots.pairs import plot_pairs
from forescale.plots.planned import plot_plan
from forescale.plots.plans import plot_near_optimal, plot_plans
from forescale.plots.predictive import plot_loo_pit, plot_predictive
from forescale.plots.priors import plot_priors
from forescale.plots.regrets import plot_regret
from forescale.plots.residuals import plot_residuals
from forescale.plots.returned import plot_returns
from forescale.plots.routings import plot_routing
from forescale.plots.saving import save_figure
from forescale.plots.sensitivities import plot_elasticities, plot_shares, plot_tornado
from forescale.plots.servings import plot_serving

__all__ = [
    "TRAINED",
    "plot_allocation",
    "plot_breaks",
    "plot_compute_to",
    "plot_contours",
    "plot_contradiction",
    "plot_coverage",
    "plot_crossing_exponents",
    "plot_divergence",
    "plot_downstream",
    "plot_elasticities",
    "plot_emergence",
    "plot_epochs",
    "plot_families",
    "plot_finish",
    "plot_forecasts",
    "plot_frozen",
    "plot_gain",
    "plot_isoflops",
    "plot_link",
    "plot_loo_differences",
    "plot_loo_pit",
    "plot_loss",
    "plot_near_optimal",
    "plot_next_runs",
    "plot_pairs",
    "plot_pit",
    "plot_plan",
    "plot_plans",
    "plot_predictive",
    "plot_priors",
    "plot_ranks",
    "plot_regret",
    "plot_residuals",
    "plot_returns",
    "plot_routing",
    "plot_scores",
    "plot_serving",
    "plot_shares",
    "plot_tornado",
    "save_figure",
]
