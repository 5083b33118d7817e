"""forescale: Bayesian fits and forecasts of neural scaling laws.

Public names are listed once, in ``__init__.pyi``, and are imported when first used: ``forescale --help`` need not
wait for PyMC.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
