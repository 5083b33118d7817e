"""Estimates: draws of a law's parameters, by MCMC, from print or by bootstrap; and what keeps them."""
