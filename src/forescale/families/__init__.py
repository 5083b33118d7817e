"""Families of runs fitted together, each lending the others what its own runs do not say."""
