"""A mean with its spread, and an energy under a bracket of prices."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_UNITS = ((1e12, "J"), (1e9, "mJ"), (1e6, "µJ"), (1e3, "nJ"), (1.0, "pJ"))


@dataclass(frozen=True)
class Estimate:
    """A mean over images.

    `standard_deviation` (over images) and the ends of the bootstrap interval of the mean, `low` and
    `high`, are None where counts are known as means alone.
    """

    mean: float
    standard_deviation: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Energy:
    """pJ under the prices' lower ends, values (None: brackets alone) and upper ends."""

    low: Estimate
    value: Estimate | None
    high: Estimate

    @property
    def lowest_pj(self) -> float:
        """The least that the mean can be: by the prices' bracket and by the interval."""
        return self.low.mean if self.low.low is None else self.low.low

    @property
    def highest_pj(self) -> float:
        """The most that the mean can be."""
        return self.high.mean if self.high.high is None else self.high.high


@dataclass(frozen=True)
class Amount:
    """pJ under the prices' lower ends, values (None: brackets alone) and upper ends, of operations
    whose number is known exactly."""

    low_pj: float
    value_pj: float | None
    high_pj: float

    def __add__(self, other: "Amount") -> "Amount":
        known = self.value_pj is not None and other.value_pj is not None
        return Amount(
            self.low_pj + other.low_pj,
            (self.value_pj or 0.0) + (other.value_pj or 0.0) if known else None,
            self.high_pj + other.high_pj,
        )

    def times(self, factor: float) -> "Amount":
        """The amount of `factor` units."""
        value = None if self.value_pj is None else self.value_pj * factor
        return Amount(self.low_pj * factor, value, self.high_pj * factor)

    def over(self, divisor: float) -> "Amount":
        """The amount for each of `divisor` units."""
        value = None if self.value_pj is None else self.value_pj / divisor
        return Amount(self.low_pj / divisor, value, self.high_pj / divisor)


def joules(energy_pj: float, digits: int = 4) -> str:
    """An energy with a unit that suits its size."""
    for size, unit in _UNITS:
        if abs(energy_pj) >= size:
            return f"{energy_pj / size:.{digits}g} {unit}"
    return f"{energy_pj:.{digits}g} pJ"
