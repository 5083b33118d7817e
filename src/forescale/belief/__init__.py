"""Belief: priors, noise and discrepancy, the cards that state them, and the PyMC models of these."""
