"""What can go wrong, as types.

Every message says what was wanted, what was given, where (rows, column, parameter, file) and what to try.
"""

from __future__ import annotations

from typing import Any


class ForescaleError(Exception):
    """Base of every error that forescale raises on purpose."""


class DataError(ForescaleError, ValueError):
    """A table of runs, or a point asked about, cannot be used as given."""


class ModelError(ForescaleError, ValueError):
    """A model card, a law or a prior is incomplete, contradictory, or cannot answer the question."""


class FileError(ForescaleError, OSError):
    """A file is truncated, foreign, or of a version that this forescale does not read."""


class ConvergenceError(ForescaleError, RuntimeError):
    """The sampler's diagnostics do not pass; the draws are carried, so that the work is not lost.

    Attributes
    ----------
    fit : Fit, Joint, Breaks, Emergence
        The result whose diagnostics failed, for inspection only.
    """

    def __init__(self, message: str, fit: Any) -> None:
        super().__init__(message)
        self.fit = fit


class ForescaleWarning(UserWarning):
    """Something a reader of the numbers should know, that does not stop the work."""
