"""Time on a chip: latency, static energy, total, and energy-delay product.

A price list whose `time` is known states how long an inference takes, and the power
that the chip draws meanwhile, whatever happens on it:

    latency   = steps x step_us, or cycles / clock_mhz, or the longer of both, in us
    cycles    = sum over operations of count x cycles of one operation
    power     = static_mw + idle_pj_per_cycle x clock_mhz / 1000, in mW
    static    = power x latency
    total     = static + dynamic, where dynamic is the sum of counts times prices
    energy-delay product = mean total x mean latency

Static energy thus holds leakage and the idle clock: what is measured without activity.
Every cycle is charged the idle energy, also one with activity: prices of operations are
what activity adds. Units: mW x us = nJ = 1000 pJ, and pJ x MHz = uW.
"""

from collections.abc import Sequence
from typing import Annotated, Any, Final, NamedTuple, Self

import numpy as np
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    model_validator,
)

from spikejoule.energy.estimates import Floats
from spikejoule.energy.operations import OperationCounts

_PJ_PER_MW_US: Final = 1000.0
_MW_PER_UW: Final = 1e-3
_S_PER_US: Final = 1e-6


class Range(NamedTuple):
    """A number and its ends.

    Attributes:
        low: the lower end.
        value: NaN if only the ends are known.
        high: the upper end.
    """

    low: float
    value: float
    high: float

    @classmethod
    def of(cls, numbers: Floats) -> Self:
        """Build a range from low end, value and high end, [3]."""
        return cls(*numbers.tolist())

    @property
    def middle(self) -> float:
        """The value, or the middle of the range without one."""
        return (self.low + self.high) / 2 if np.isnan(self.value) else self.value


_Number = Annotated[float, Field(strict=True, ge=0, le=1e12)]
_Positive = Annotated[float, Field(strict=True, gt=0, le=1e12)]


def _as_range(node: Any) -> Any:
    """Read a number, [low, high] or [low, value, high]."""
    numbers = node if isinstance(node, list | tuple) else (node, node, node)
    if len(numbers) == 2:
        numbers = (numbers[0], np.nan, numbers[1])
    if not _is_range(numbers):
        raise ValueError(
            "it must be a number, [low, high] or [low, value, high], ascending and not "
            "negative"
        )
    return Range(*map(float, numbers))


def _is_range(numbers: Sequence[Any]) -> bool:
    if len(numbers) != 3 or not all(type(one) in (int, float) for one in numbers):
        return False
    low, value, high = numbers
    has_ends = 0 <= low <= high < np.inf
    return bool(has_ends and (np.isnan(value) or low <= value <= high))


def _as_list(numbers: Range) -> list[float]:
    """Write a range as `_as_range` reads it: without a value, only the ends."""
    return [number for number in numbers if not np.isnan(number)]


_Range = Annotated[Range, BeforeValidator(_as_range), PlainSerializer(_as_list)]


class TimeModel(BaseModel):
    """How long an inference takes on a chip, and the power of the chip without events.

    Attributes:
        static_mw: power that the chip draws whatever happens on it, in mW.
        step_us: length of a real-time step in us; None if the chip waits for nothing.
        clock_mhz: clock; None if no operation takes cycles.
        idle_pj_per_cycle: energy of a clock cycle in which nothing happens; charged in
            every cycle.
        cycles: clock cycles of one operation, by term; operations follow one another.
        fitted_to: the measurements that determine these values; None if they were
            published as such.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    static_mw: _Range
    step_us: _Range | None = None
    clock_mhz: _Positive | None = None
    idle_pj_per_cycle: _Number = 0.0
    cycles: dict[str, _Positive] = Field(default_factory=dict)
    fitted_to: (
        Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)] | None
    ) = None

    @model_validator(mode="after")
    def _has_a_duration(self) -> Self:
        if bool(self.cycles) != (self.clock_mhz is not None):
            raise ValueError("clock_mhz and cycles need each other")
        if self.step_us is None and not self.cycles:
            raise ValueError("it needs step_us, or clock_mhz and cycles")
        if self.idle_pj_per_cycle and self.clock_mhz is None:
            raise ValueError("idle_pj_per_cycle needs clock_mhz")
        return self

    @property
    def idle_power_mw(self) -> Floats:
        """Power without events at low end, value and high end, [3]."""
        clock_uw = self.idle_pj_per_cycle * (self.clock_mhz or 0.0)
        return np.array(self.static_mw) + clock_uw * _MW_PER_UW

    def latency_us(self, operations: OperationCounts) -> Floats:
        """Return the mean latency at low end, value and high end, [3].

        Each sample takes the longer of its steps and its cycles. If only mean counts
        are known, this is the latency of the mean sample, which is at most the mean
        latency: the mean of maxima is at least the maximum of the means.
        """
        # Durations of N samples: [3, N] in steps and [N] in cycles.
        in_steps = np.zeros((3, 1))
        if self.step_us is not None:
            in_steps = np.outer(self.step_us, operations.steps_run)
        in_cycles = np.zeros(1)
        if self.clock_mhz is not None:
            cycles = [
                self.cycles.get(column.term, 0.0) for column in operations.columns
            ]
            in_cycles = operations.counts @ np.array(cycles) / self.clock_mhz
        latencies: Floats = np.maximum(in_steps, in_cycles).mean(axis=1)
        return latencies


class Timed(NamedTuple):
    """An average inference on a chip, with time.

    Attributes:
        latency_us: mean latency in us.
        static_pj: energy that the chip takes whatever happens on it, in pJ.
        dynamic_pj: energy of the counted operations, in pJ.
        total_pj: their sum.
        energy_delay_pj_s: mean total times mean latency, in pJ s.
    """

    latency_us: Range
    static_pj: Range
    dynamic_pj: Range
    total_pj: Range
    energy_delay_pj_s: Range


def in_time(operations: OperationCounts, dynamic_pj: Floats, time: TimeModel) -> Timed:
    """Add time to the energy of an inference.

    Args:
        operations: counts of N samples, or their mean.
        dynamic_pj: mean energy of these operations at low end, value and high end of
            the prices, [3].
        time: the time model of the price list.
    """
    latency_us = time.latency_us(operations)
    static_pj = time.idle_power_mw * latency_us * _PJ_PER_MW_US
    total_pj = static_pj + dynamic_pj
    return Timed(
        latency_us=Range.of(latency_us),
        static_pj=Range.of(static_pj),
        dynamic_pj=Range.of(dynamic_pj),
        total_pj=Range.of(total_pj),
        energy_delay_pj_s=Range.of(total_pj * latency_us * _S_PER_US),
    )
