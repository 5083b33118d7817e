"""Figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forescale.errors import FileError
from forescale.files import write_whole


def save_figure(figure: Axes | Figure, path: str | Path) -> Path:
    """Write a figure, whole or not at all; the suffix of the path says in which format.

    Parameters
    ----------
    figure : Axes or Figure
        The figure, or any axes on it.
    path : str or Path
        A file to make or replace: .png (at 200 dots per inch), .pdf, .svg and what else matplotlib writes.

    Returns
    -------
    Path
        The path.

    Raises
    ------
    FileError
        If the suffix names no format that matplotlib writes.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     save_figure(Figure(), Path(folder) / "empty.pdf").name
    'empty.pdf'
    """
    whole: Any = figure.get_figure(root=True)
    path = Path(path)
    formats = sorted(whole.canvas.get_supported_filetypes())
    if path.suffix.removeprefix(".").lower() not in formats:
        raise FileError(f"{path}: a figure is written as one of {', '.join(formats)}; the suffix says which")
    return write_whole(path, lambda beside: whole.savefig(beside, dpi=200))
