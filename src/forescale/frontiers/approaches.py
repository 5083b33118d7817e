"""approaches(): exponents of compute-optimal training by every approach at hand, beside the published ones."""

from __future__ import annotations

import pandas as pd

from forescale.estimates.draws import Estimate, long_table
from forescale.frontiers.envelope import Envelope
from forescale.frontiers.frontier import Frontier
from forescale.numbers.literature import literature_exponents
from forescale.verbs.allocate import allocate

#: Papers that estimate both exponents by Hoffmann et al.'s approaches, on their runs.
_PAPERS = ["hoffmann2022", "besiroglu2024"]


def approaches(*sources: Frontier | Envelope | Estimate, prob: float = 0.9, compute: float = 1e21) -> pd.DataFrame:
    """Exponents of compute-optimal training by several approaches, beside the published ones.

    Parameters
    ----------
    *sources : Frontier, Envelope or Estimate
        Approaches 2 and 1 by `frontier`; approach 3, a law: a fit, a published estimate or a bootstrap.
    prob : float
        Probability mass of the equal-tailed intervals of these; the published ones have their own.
    compute : float
        FLOPs at which a law's exponents are read where they change with compute.

    Returns
    -------
    pandas.DataFrame
        A row per source and exponent: source, approach, exponent (a or b), median, lower, upper, prob, interval; then
        those that Hoffmann et al. 2022 and Besiroglu et al. 2024 print, whose median is the printed value.

    Raises
    ------
    ModelError
        If a law cannot split compute.

    References
    ----------
    Hoffmann et al. 2022, arXiv:2203.15556, section 3 and Table 2; Besiroglu et al. 2024, arXiv:2404.10102.

    Examples
    --------
    >>> import forescale as fs
    >>> table = fs.approaches(fs.published("besiroglu2024"))
    >>> a = table[table["exponent"] == "a"].set_index(["source", "approach"])["median"]
    >>> a["hoffmann2022"].tolist(), float(a["besiroglu2024", "approach 3, parametric fit"].round(2))
    ([0.5, 0.49, 0.46], 0.51)
    """
    rows = []
    for source in sources:
        if isinstance(source, Frontier):
            approach, exponents = f"approach 2, isoFLOP profiles ({source.shape})", source.exponents
        elif isinstance(source, Envelope):
            approach, exponents = "approach 1, envelope of training curves", source.posterior
        else:
            approach, exponents = "approach 3, parametric fit", allocate(source, compute).exponents
        parts = {name: exponents[name] for name in ("a", "b")}
        block = long_table(pd.DataFrame(index=[0]), parts, "exponent", prob)
        rows.append(block.assign(source=source.name, approach=approach))
    printed = literature_exponents()
    printed = printed[printed["paper"].isin(_PAPERS) & printed["exponent"].isin(["a", "b"])]
    rows.append(printed.rename(columns={"paper": "source", "method": "approach", "value": "median"}))
    columns = ["source", "approach", "exponent", "median", "lower", "upper", "prob", "interval"]
    return pd.concat([block[columns] for block in rows], ignore_index=True)
