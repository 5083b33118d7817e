"""What FLOPs cost on hardware that the user states: hours, money, energy and days. Nothing of it is built in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from forescale.errors import DataError

_SECONDS = 3600.0  # in an hour
_HOURS = 24.0  # in a day
_WATTS = 1000.0  # in a kilowatt


@dataclass(frozen=True)
class Accelerator:
    """Hardware, as the user states it, and what FLOPs cost on it.

    ``accelerator_hours = flops / (peak utilisation 3600)``; all else is in proportion to them.

    Parameters
    ----------
    peak : float
        FLOP/s that the accelerator could do at best, in the number format that is used: say 989e12.
    utilisation : float
        The share of that which model FLOPs make up in fact: 0.4 in a good training run, often far less in serving.
    per_hour : float, optional
        Money for an hour of one accelerator.
    watts : float, optional
        Power of one accelerator with its share of host, network and cooling.
    count : float, optional
        How many work at the same time.
    currency : str
        Of ``per_hour``.

    Raises
    ------
    DataError
        If a number is not above zero, or utilisation is above one.

    Examples
    --------
    >>> import forescale as fs
    >>> cluster = fs.Accelerator(peak=989e12, utilisation=0.4, per_hour=2.0, count=1024)
    >>> {name: round(value) for name, value in cluster.bill(5.76e23).items()}
    {'accelerator_hours': 404449, 'money': 808898, 'days': 16}
    """

    peak: float
    utilisation: float
    per_hour: float | None = None
    watts: float | None = None
    count: float | None = None
    currency: str = "USD"

    def __post_init__(self) -> None:
        stated = {name: getattr(self, name) for name in ("peak", "utilisation", "per_hour", "watts", "count")}
        for name, value in stated.items():
            required = name in ("peak", "utilisation")
            if (value is None and required) or (value is not None and not 0 < value < math.inf):
                raise DataError(f"{name} of an accelerator is a number above zero, not {value!r}")
        if self.utilisation > 1:
            raise DataError(
                f"utilisation is the share of the peak in use, at most 1 (say 0.4), not {self.utilisation!r}"
            )

    @property
    def flops_per_hour(self) -> float:
        """Model FLOPs that one accelerator does in an hour."""
        return self.peak * self.utilisation * _SECONDS

    @property
    def money_per_flop(self) -> float:
        """Money for one model FLOP.

        Raises
        ------
        DataError
            If ``per_hour`` is not stated.
        """
        if self.per_hour is None:
            raise DataError("this accelerator has no price; state per_hour=, the money for an hour of one")
        return self.per_hour / self.flops_per_hour

    @property
    def units(self) -> dict[str, str]:
        """The unit of each quantity of a bill."""
        units = {"accelerator_hours": "accelerator-hours", "money": self.currency, "energy": "kWh", "days": "days"}
        return {name: unit for name, unit in units.items() if name in self.bill(1.0)}

    def bill(self, flops: Any) -> dict[str, Any]:
        """What so many FLOPs cost, in all that is stated of the hardware.

        Parameters
        ----------
        flops : float, array or DataArray
            Model FLOPs.

        Returns
        -------
        dict
            ``accelerator_hours``; ``money`` where per_hour is stated, ``energy`` in kWh where watts are, ``days`` where
            count is.
        """
        hours = flops / self.flops_per_hour
        found = {"accelerator_hours": hours}
        found |= {} if self.per_hour is None else {"money": self.per_hour * hours}
        found |= {} if self.watts is None else {"energy": self.watts / _WATTS * hours}
        found |= {} if self.count is None else {"days": hours / (self.count * _HOURS)}
        return found
