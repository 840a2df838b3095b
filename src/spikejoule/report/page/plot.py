"""Figures as inline SVG that fill the width they get, with text of one size at any width.

The horizontal places are percentages and no viewBox scales them, so that a figure is as readable on
a phone as on a wide screen. Colours are classes, which the page's style sheet gives a value for
light, dark and print.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spikejoule.energy.estimates import joules
from spikejoule.report.charts.scales import Scale, decade_scale, linear_scale
from spikejoule.report.page.markup import Markup, element, joined

Point = tuple[float, float]


def energy_scale(energies_pj: Iterable[float]) -> Scale:
    """A logarithmic scale of energies in pJ."""
    return decade_scale(energies_pj, joules)


def linear_energy_scale(last_pj: float) -> Scale:
    """A linear scale of energies in pJ, from 0 on."""
    return linear_scale(last_pj, joules)


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
