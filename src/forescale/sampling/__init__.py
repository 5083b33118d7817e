"""Sampling: coordinates, compilation, NUTS and tempering, and the diagnostics that refuse."""
