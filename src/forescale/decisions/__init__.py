"""Decisions: what to train, to serve, to spend and to run next, on every draw."""
