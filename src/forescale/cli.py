"""The command line: the commands, in the order in which help lists those of each heading.

What a command needs is imported when it runs, so that help answers at once.
"""

# isort: off
from forescale.terminal.app import app, main
from forescale.commands import runs
from forescale.commands import plan
from forescale.commands import plans
from forescale.commands import compute_to
from forescale.commands import serve
from forescale.commands import compare
from forescale.commands import backtest
from forescale.commands import finish
from forescale.commands import breaks
from forescale.commands import contradiction
from forescale.commands import sensitivity
from forescale.commands import frontier
from forescale.commands import families
from forescale.commands import reconcile
from forescale.commands import returns
from forescale.commands import gain
from forescale.commands import next_runs
from forescale.commands import frozen
from forescale.commands import routing
from forescale.commands import downstream
from forescale.commands import emergence
from forescale.commands import transfer
from forescale.commands import dimension
from forescale.commands import report
from forescale.commands import shelves

__all__ = [
    "app",
    "backtest",
    "breaks",
    "compare",
    "compute_to",
    "contradiction",
    "dimension",
    "downstream",
    "emergence",
    "families",
    "finish",
    "frontier",
    "frozen",
    "gain",
    "main",
    "next_runs",
    "plan",
    "plans",
    "reconcile",
    "report",
    "returns",
    "routing",
    "runs",
    "sensitivity",
    "serve",
    "shelves",
    "transfer",
]
