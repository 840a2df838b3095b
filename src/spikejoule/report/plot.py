"""Figures as inline SVG that fill the width they get, with text of one size at any width.

The horizontal places are percentages and no viewBox scales them, so that a figure is as readable on
a phone as on a wide screen. Colours are classes, which the page's style sheet gives a value for
light, dark and print.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from spikejoule.energy.summary import joules
from spikejoule.report.markup import Markup, element, joined

Point = tuple[float, float]

_LEAST_ERROR_PERCENT = 0.05
_ERROR_TICKS_PERCENT = (90, 50, 20, 10, 5, 2, 1, 0.5, 0.2, 0.1, _LEAST_ERROR_PERCENT)
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


def energy_scale(energies_pj: Iterable[float]) -> Scale:
    """A logarithmic scale of energies in pJ with a line at every power of ten."""
    return _decades(energies_pj, joules)


def number_scale(values: Iterable[float]) -> Scale:
    """A logarithmic scale of numbers."""
    return _decades(values, lambda value: f"{value:,.10g}")


def linear_scale(last: float, in_joules: bool = False) -> Scale:
    """A linear scale from 0 on with a few round ticks."""
    last = last if last > 0 else 1.0
    step = 10.0 ** math.floor(math.log10(last / _MOST_TICKS))
    step *= next(factor for factor in (1, 2, 5, 10) if last / (factor * step) <= _MOST_TICKS)
    values = [step * number for number in range(int(last / step + 1e-9) + 1)]
    label = joules if in_joules else lambda value: f"{value:,.10g}"
    return Scale(0.0, last, tuple((value, label(value) if value else "0") for value in values))


def accuracy_scale(accuracies_percent: Iterable[float]) -> Scale:
    """Accuracies spaced by the logarithm of the errors; places are those of `error_percent`."""
    errors = [error_percent(accuracy) for accuracy in accuracies_percent]
    worst = next((tick for tick in reversed(_ERROR_TICKS_PERCENT) if tick >= max(errors)), 100.0)
    least = next(tick for tick in _ERROR_TICKS_PERCENT if tick <= min(errors))
    if worst == least:
        worst = 2 * least
    ticks = tuple(
        (tick, f"{'≥ ' if tick == _LEAST_ERROR_PERCENT else ''}{100 - tick:g}")
        for tick in _ERROR_TICKS_PERCENT
        if least <= tick <= worst
    )
    return Scale(worst, least, ticks, logarithmic=True)


def error_percent(accuracy_percent: float) -> float:
    """Wrong answers in percent; none at all is drawn as the smallest error that has a tick."""
    return max(100 - accuracy_percent, _LEAST_ERROR_PERCENT)


@dataclass(frozen=True)
class Plot:
    """Two scales, and the marks that are drawn by them."""

    x: Scale
    y: Scale

    def line(self, points: Sequence[Point], style: str, stairs: bool = False) -> Markup:
        """A line through points; as stairs, a value holds until the next."""
        places: list[Point] = []
        for x, y in points:
            if stairs and places:
                places.append((1000 * self.x.place(x), places[-1][1]))
            places.append((1000 * self.x.place(x), 1000 * (1 - self.y.place(y))))
        return element(
            "svg",
            element(
                "polyline",
                points=" ".join(f"{x:.2f},{y:.2f}" for x, y in places),
                class_=f"line {style}",
                vector_effect="non-scaling-stroke",
            ),
            viewBox="0 0 1000 1000",
            preserveAspectRatio="none",
            width="100%",
            height="100%",
            class_="stretched",
        )

    def dot(self, point: Point, style: str, told: str, radius: float = 4) -> Markup:
        """A point, with a text that shows when it is pointed at."""
        return element(
            "circle",
            element("title", told),
            cx=percent(self.x.place(point[0])),
            cy=percent(1 - self.y.place(point[1])),
            r=radius,
            class_=f"mark {style}",
        )

    def horizontal(self, value: float, style: str, label: str = "") -> Markup:
        """A line over the whole width at a value, with a label above its right end."""
        height = percent(1 - self.y.place(value))
        line = element("line", x1="0", x2="100%", y1=height, y2=height, class_=f"line {style}")
        return joined((line, text("100%", height, label, "end", dy=-5) if label else None))

    def vertical(self, value: float, style: str) -> Markup:
        """A line over the whole height at a value."""
        place = percent(self.x.place(value))
        return element("line", x1=place, x2=place, y1="0", y2="100%", class_=f"line {style}")

    def axes(self) -> Markup:
        """Grid lines and tick labels."""
        return joined((x_grid(self.x), *self._rows()))

    def _rows(self) -> Iterable[Markup]:
        for value, label in self.y.ticks:
            height = percent(1 - self.y.place(value))
            yield element("line", x1="0", x2="100%", y1=height, y2=height, class_="grid")
            yield text("0", height, label, "end", dx=-8, dy=4)


def x_grid(scale: Scale) -> Markup:
    """Vertical grid lines with their labels below."""
    marks: list[Markup] = []
    for value, label in scale.ticks:
        place = percent(scale.place(value))
        marks.append(element("line", x1=place, x2=place, y1="0", y2="100%", class_="grid"))
        if label:
            marks.append(text(place, "100%", label, "middle", dy=18))
    return joined(marks)


def text(
    x: str, y: str, words: str, anchor: str = "start", dx: int = 0, dy: int = 0, style: str = "tick"
) -> Markup:
    """Words at a place."""
    return element("text", words, x=x, y=y, dx=dx, dy=dy, text_anchor=anchor, class_=style)


def percent(fraction: float) -> str:
    """A place between 0 and 1 as SVG writes it."""
    return f"{100 * fraction:.3f}%"


def _decades(values: Iterable[float], label: Callable[[float], str]) -> Scale:
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
