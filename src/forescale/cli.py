"""The command line: the commands, in the order in which help lists them.

What a command needs is imported when it runs, so that help answers at once.
"""

from forescale.app import app, main
from forescale.commands import runs, shelves

__all__ = ["app", "main", "runs", "shelves"]
