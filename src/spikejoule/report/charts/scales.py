"""Scales of axes: from values to places, with ticks and their labels."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

ACCURACY_TITLE: Final = "Correct (%), log scale of errors"
"""Title of an axis that `accuracy_scale` makes."""

# Wrong answers in percent, where an axis of accuracies may have a tick.
_ERROR_TICKS_PERCENT = (0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 80, 100)
_LEAST_ERROR_PERCENT = _ERROR_TICKS_PERCENT[0]
_MOST_TICKS = 5


@dataclass(frozen=True)
class Scale:
    """From values to places between 0 and 1; `first` may be the larger end.

    Attributes:
        first: the value at 0.
        last: the value at 1.
        ticks: values with a grid line, and their label (empty: a line alone).
        logarithmic: else linear.
    """

    first: float
    last: float
    ticks: tuple[tuple[float, str], ...]
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where a value lies; values outside lie at the ends."""
        first, last = self.first, self.last
        if self.logarithmic:
            first, last = math.log10(first), math.log10(last)
            value = math.log10(value) if value > 0 else first
        return min(max((value - first) / (last - first), 0.0), 1.0)


def plain_number(value: float) -> str:
    """A number with thousands separators."""
    return f"{value:,.10g}"


def decade_scale(values: Iterable[float], label: Callable[[float], str] = plain_number) -> Scale:
    """A logarithmic scale: a line at every power of ten, or at 1, 2, 5, 10, ... for few decades."""
    known = [value for value in values if value > 0] or [1.0]
    if max(known) < 200 * min(known):
        return _round_numbers(min(known), max(known), label)
    low, high = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    high = max(high, low + 1)
    every = 1 if high - low < _MOST_TICKS else 2
    ticks = tuple(
        (10.0**power, label(10.0**power) if (power - low) % every == 0 else "")
        for power in range(low, high + 1)
    )
    return Scale(10.0**low, 10.0**high, ticks, logarithmic=True)


def _round_numbers(least: float, most: float, label: Callable[[float], str]) -> Scale:
    """From one of 1, 2, 5, 10, 20, ... to another, for few decades."""
    powers = range(math.floor(math.log10(least)) - 1, math.ceil(math.log10(most)) + 2)
    steps = [float(f"{digit}e{power}") for power in powers for digit in (1, 2, 5)]
    low = max(step for step in steps if step <= least)
    high = min(step for step in steps if step >= most and step > low)
    shown = [step for step in steps if low <= step <= high]
    every = 1 if len(shown) <= _MOST_TICKS else 2
    ticks = tuple((step, "" if place % every else label(step)) for place, step in enumerate(shown))
    return Scale(low, high, ticks, logarithmic=True)


def linear_scale(last: float, label: Callable[[float], str] = plain_number) -> Scale:
    """A linear scale from 0 on with a few round ticks."""
    last = last if last > 0 else 1.0
    return Scale(0.0, last, _round_ticks(last, label))


def step_scale(n_steps: int, step: float) -> Scale:
    """A linear scale of whole steps: the value at the middle of the first is 0.

    Args:
        n_steps: number of steps.
        step: the size of one.
    """
    last = (n_steps - 0.5) * step
    return Scale(-0.5 * step, last, _round_ticks(last, plain_number, step))


def _round_ticks(
    last: float, label: Callable[[float], str], least_step: float = 0.0
) -> tuple[tuple[float, str], ...]:
    step = 10.0 ** math.floor(math.log10(last / _MOST_TICKS))
    step *= next(factor for factor in (1, 2, 5, 10) if last / (factor * step) <= _MOST_TICKS)
    step = max(step, least_step)
    values = [step * number for number in range(int(last / step + 1e-9) + 1)]
    return tuple((value, label(value) if value else "0") for value in values)


def accuracy_scale(accuracies_percent: Iterable[float]) -> Scale:
    """Accuracies spaced by the logarithm of the errors; its values are those of `error_percent`.

    From 98 to 99 % half of the errors vanish, which a linear axis would hide.
    """
    errors = [error_percent(accuracy) for accuracy in accuracies_percent]
    worst = min(tick for tick in _ERROR_TICKS_PERCENT if tick >= max(errors))
    least = max(tick for tick in _ERROR_TICKS_PERCENT if tick <= min(errors))
    if worst == least:
        worst = 2 * least
    ticks = tuple(
        (tick, f"{'≥ ' if tick == _LEAST_ERROR_PERCENT else ''}{100 - tick:g}")
        for tick in reversed(_ERROR_TICKS_PERCENT)
        if least <= tick <= worst
    )
    return Scale(worst, least, ticks, logarithmic=True)


def error_percent(accuracy_percent: float) -> float:
    """Wrong answers in percent; none at all is drawn as the smallest error that has a tick."""
    return max(100 - accuracy_percent, _LEAST_ERROR_PERCENT)
