"""Exponents of the literature, with their sources."""
