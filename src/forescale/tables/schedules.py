"""Learning-rate schedules: the rate of every step, and what of it a loss depends on.

Numbers in, numbers out. A schedule is the learning rate of each step from the first to the last, made from a shape by
name or from a table. What matters of it up to a step is how much learning there was, the sum of rates, and how far the
rate has come down from its peak, which the loss follows with some delay.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from forescale.errors import DataError
from forescale.units import parse_quantity

Array = NDArray[np.float64]

#: Steps over which loss follows the learning rate: Tissue et al.'s decay factor 0.999 is one less a thousandth.
MEMORY = 1000.0
#: No run has more steps; a count of tokens taken for steps has.
MOST_STEPS = 10_000_000

#: Decay from one to zero, against the share of its steps that are done; the exponential one is made of its end.
_FALLS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda share: 1 - share,
    "cosine": lambda share: (1 + np.cos(np.pi * share)) / 2,
    "1-sqrt": lambda share: 1 - np.sqrt(share),
}
SHAPES = (*_FALLS, "exponential")


@dataclass(frozen=True, eq=False)
class Schedule:
    """The learning rate of each step of a run.

    `constant`, `cosine`, `wsd` and `from_table` make one, and `parse` reads one from words. Its unit does not matter
    to a forecast, so that the peak is one unless said otherwise.

    Parameters
    ----------
    rates : array, shape (steps,)
        Learning rates of steps 1, 2, ..., none below zero, in any unit.
    warmup : int
        How many steps at the beginning are warm-up.
    name : str
        What to call it.

    Raises
    ------
    DataError
        If a rate is below zero or not a number, none is above zero, or the warm-up does not end.

    References
    ----------
    Tissue et al. 2024, arXiv:2408.11029, for the two areas; Hägele et al. 2024, arXiv:2405.18392, for the shapes.

    Examples
    --------
    >>> import forescale as fs
    >>> fs.Schedule.parse("cosine:24000,warmup=2000,final=0.1")
    Schedule cosine: 24,000 steps, 2,000 of them warm-up, ending at 10 % of the peak
    >>> fs.Schedule.wsd(10_000, decay=2_000, final=0).rate([8_000, 9_000, 10_000]).tolist()
    [1.0, 0.5, 0.0]
    """

    rates: Array = field(repr=False)
    warmup: int = 0
    name: str = "schedule"

    def __post_init__(self) -> None:
        rates = np.array(self.rates, dtype=float)
        if rates.ndim != 1 or not 1 <= rates.size <= MOST_STEPS:
            raise DataError(f"a schedule has 1 to {MOST_STEPS:,} steps with a rate each, not shape {rates.shape}")
        if bad := int((~(np.isfinite(rates) & (rates >= 0))).sum()):
            first = int(np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))[0])
            raise DataError(
                f"learning rates are numbers from zero; {bad} are not, the first {rates[first]} at step {first + 1}"
            )
        if not 0 <= self.warmup < rates.size:
            raise DataError(f"a warm-up of {self.warmup:,} steps leaves none of {rates.size:,} to train")
        if not rates.max() > 0:
            raise DataError("a schedule needs a learning rate above zero; all are zero")
        rates.flags.writeable = False
        object.__setattr__(self, "rates", rates)

    @classmethod
    def constant(cls, steps: Any, *, warmup: Any = 0, peak: float = 1.0) -> Schedule:
        """The peak from the end of warm-up to the last step."""
        total, rise = _whole("steps", steps), _whole("warmup", warmup, least=0)
        return cls(peak * _warmed(np.ones(total), rise), rise, "constant")

    @classmethod
    def cosine(cls, steps: Any, *, warmup: Any = 0, final: float = 0.1, peak: float = 1.0) -> Schedule:
        """Half a cosine from the peak at the end of warm-up to ``final`` times the peak at the last step."""
        total, rise = _whole("steps", steps), _whole("warmup", warmup, least=0)
        return cls(peak * _warmed(_decayed(total, total - rise, "cosine", final), rise), rise, "cosine")

    @classmethod
    def wsd(
        cls,
        steps: Any,
        *,
        decay: Any,
        warmup: Any = 0,
        final: float = 0.1,
        shape: str = "linear",
        peak: float = 1.0,
    ) -> Schedule:
        """Warm-up, the peak, and over the last ``decay`` steps a fall to ``final`` times the peak.

        Parameters
        ----------
        steps, decay, warmup : int or str
            Of the whole run, of its decay, and of its warm-up; 24000 and "24K" alike.
        final : float
            Learning rate of the last step, over the peak.
        shape : {"linear", "cosine", "1-sqrt", "exponential"}
            How it falls.
        peak : float
            The highest learning rate.
        """
        total, rise, fall = (
            _whole("steps", steps),
            _whole("warmup", warmup, least=0),
            _whole("decay", decay),
        )
        if rise + fall > total:
            raise DataError(f"warm-up and decay, {rise:,} and {fall:,}, are more than the {total:,} steps of the run")
        return cls(peak * _warmed(_decayed(total, fall, shape, final), rise), rise, f"wsd ({shape})")

    @classmethod
    def from_table(cls, step: Any, rate: Any, *, warmup: Any = None, name: str = "table") -> Schedule:
        """From rates at some steps: linear between them, and before the first of them as at it.

        With a warm-up the rate rises from zero to that of the first row after it, and rows within it are not looked at.
        Without one, rows that rise to the peak from the first of them on are the warm-up.

        Parameters
        ----------
        step, rate : array_like, shape (rows,)
            Steps, all different, of which the last ends the run, and their learning rates.
        warmup : int or str, optional
            Steps of warm-up.
        name : str
            What to call it.
        """
        steps, rates = np.asarray(step, dtype=float), np.asarray(rate, dtype=float)
        if steps.ndim != 1 or steps.shape != rates.shape or not steps.size:
            raise DataError(f"a schedule's table has a rate at each step, not {steps.shape} and {rates.shape}")
        order = np.argsort(steps)
        steps, rates = steps[order], rates[order]
        if not (np.isfinite(steps).all() and steps[0] >= 0 and np.all(np.diff(steps) > 0)):
            raise DataError("steps of a schedule's table are numbers from zero, all different")
        total = _whole("steps", steps[-1])
        every = np.arange(1, total + 1)
        if warmup is None:
            top = int(np.argmax(rates))
            rising = top > 0 and bool(np.all(np.diff(rates[: top + 1]) > 0)) and steps[top] < total
            return cls(np.interp(every, steps, rates), int(steps[top]) if rising else 0, name)
        rise = _whole("warmup", warmup, least=0)
        kept = steps > rise
        if not kept.any():
            raise DataError(f"the table ends at step {steps[-1]:g}, within the warm-up of {rise:,} steps")
        return cls(_warmed(np.interp(every, steps[kept], rates[kept]), rise), rise, name)

    @classmethod
    def parse(cls, text: str) -> Schedule:
        """From words: ``constant:24000``, ``cosine:24K,warmup=2000,final=0.1``, ``wsd:24K,decay=4K,shape=1-sqrt``.

        Raises
        ------
        DataError
            If there is no such kind, or an option is unknown, missing or no number.
        """
        kind, _, rest = text.strip().partition(":")
        makers: Mapping[str, Callable[..., Schedule]] = {"constant": cls.constant, "cosine": cls.cosine, "wsd": cls.wsd}
        known = {"constant": ("warmup",), "cosine": ("warmup", "final"), "wsd": ("warmup", "final", "decay", "shape")}
        steps, *options = [word.strip() for word in rest.split(",")]
        given = {name.strip(): value.strip() for name, _, value in (option.partition("=") for option in options)}
        unknown = sorted(set(given) - set(known.get(kind, ())))
        if kind not in makers or not steps or unknown or (kind == "wsd" and "decay" not in given):
            raise DataError(
                f"no schedule is written {text!r}: write constant:STEPS, cosine:STEPS or wsd:STEPS,decay=STEPS, each "
                "with warmup=STEPS, the last two with final=SHARE of the peak, wsd with shape= one of "
                f"{', '.join(SHAPES)}"
            )
        options_of: dict[str, Any] = dict(given)
        if "final" in given:
            options_of["final"] = parse_quantity(given["final"])
        return makers[kind](steps, **options_of)

    @property
    def steps(self) -> int:
        """How many there are."""
        return self.rates.size

    @property
    def peak(self) -> float:
        """The highest learning rate."""
        return float(self.rates.max())

    def rate(self, step: Any) -> Array:
        """Learning rate at steps, in the schedule's own unit."""
        return self.rates[self._at(step)]

    def forward_area(self, step: Any) -> Array:
        """S1, the sum of learning rates up to and with a step."""
        return np.asarray(np.cumsum(self.rates)[self._at(step)])

    def annealing_area(self, step: Any, memory: float = MEMORY) -> Array:
        """S2: sum_{i <= s} m_i, m_i = lambda m_{i-1} + (rate_{i-1} - rate_i), with lambda = 1 - 1 / memory.

        Warm-up counts as if at the peak, as in Tissue et al. 2024: what it adds is not annealing.
        """
        return memory * (self.peak - self._recent(memory)[self._at(step)])

    def peak_steps(self, step: Any) -> Array:
        """S, the sum of learning rates up to a step over the peak: as many steps at the peak learn as much."""
        return self.forward_area(step) / self.peak

    def cooling(self, step: Any, memory: float = MEMORY) -> Array:
        """x, the peak over the recent learning rate: 1 before annealing.

        The recent rate is the exponential mean q_i = lambda q_{i-1} + (1 - lambda) rate_i with lambda = 1 - 1 / memory
        and the peak before the end of warm-up, which is peak - annealing_area / memory.
        """
        return self.peak / self._recent(memory)[self._at(step)]

    def _recent(self, memory: float) -> Array:
        from scipy.signal import lfilter

        if not (np.isfinite(memory) and memory > 1):
            raise DataError(f"memory is a number of steps above one, not {memory!r}")
        after = np.where(np.arange(self.steps) < self.warmup, self.peak, self.rates)
        kept = 1 - 1 / memory
        recent, _ = lfilter([1 - kept], [1, -kept], after, zi=[kept * self.peak])
        return np.asarray(recent)

    def _at(self, step: Any) -> NDArray[np.int64]:
        steps = np.asarray(step, dtype=float)
        outside = ~((steps >= 1) & (steps <= self.steps))
        if outside.any():
            raise DataError(
                f"the schedule {self.name!r} has steps 1 to {self.steps:,}; asked was {steps[outside].flat[0]:g}"
            )
        return np.asarray(np.rint(steps), dtype=np.int64) - 1

    def __repr__(self) -> str:
        rise = f", {self.warmup:,} of them warm-up" if self.warmup else ""
        end = 100 * self.rates[-1] / self.peak
        return f"Schedule {self.name}: {self.steps:,} steps{rise}, ending at {end:.3g} % of the peak"


def _whole(name: str, value: Any, least: int = 1) -> int:
    """A number of steps, as people write it."""
    number = parse_quantity(value)
    if number != round(number) or not least <= number <= MOST_STEPS:
        raise DataError(f"{name} is a whole number of steps from {least} to {MOST_STEPS:,}, not {value!r}")
    return int(number)


def _warmed(rates: Array, warmup: int) -> Array:
    """The same, rising from zero to the first rate after the warm-up."""
    if warmup >= rates.size:
        raise DataError(f"a warm-up of {warmup:,} steps leaves none of {rates.size:,} to train")
    rise = rates[warmup] * np.arange(1, warmup + 1) / max(warmup, 1)
    return np.concatenate([rise, rates[warmup:]])


def _decayed(total: int, fall: int, shape: str, final: float) -> Array:
    """One, and over the last ``fall`` steps down to ``final``."""
    if not 0 <= final <= 1:
        raise DataError(f"final is the last learning rate over the peak, from 0 to 1, not {final!r}")
    share = np.clip((np.arange(1, total + 1) - (total - fall)) / max(fall, 1), 0, 1)
    if shape == "exponential":
        if final == 0:
            raise DataError("an exponential decay never reaches zero: give a final above zero, say 0.1")
        return np.asarray(final**share)
    if shape not in _FALLS:
        raise DataError(f"a decay has the shape {', '.join(SHAPES)}, not {shape!r}")
    return np.asarray(final + (1 - final) * _FALLS[shape](share))
