"""Sampling: coordinates, compilation, NUTS, tempering and evidence, and the diagnostics that refuse."""
