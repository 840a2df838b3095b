"""Digits as strokes, in ten handwriting styles: what a visitor might draw."""

import math
from dataclasses import dataclass
from itertools import pairwise

Stroke = list[dict[str, float]]

# The strokes of each digit as points (x, y) in the unit square, y downwards.
_STROKES: dict[int, list[list[tuple[float, float]]]] = {
    0: [
        [
            (0.5, 0.1),
            (0.3, 0.2),
            (0.22, 0.5),
            (0.3, 0.8),
            (0.5, 0.9),
            (0.7, 0.8),
            (0.78, 0.5),
            (0.7, 0.2),
            (0.5, 0.1),
        ]
    ],
    1: [[(0.4, 0.25), (0.52, 0.1), (0.52, 0.9)]],
    2: [
        [
            (0.28, 0.28),
            (0.38, 0.13),
            (0.6, 0.12),
            (0.72, 0.28),
            (0.62, 0.48),
            (0.42, 0.68),
            (0.26, 0.88),
            (0.76, 0.88),
        ]
    ],
    3: [
        [
            (0.3, 0.15),
            (0.58, 0.1),
            (0.7, 0.26),
            (0.58, 0.44),
            (0.42, 0.48),
            (0.62, 0.52),
            (0.74, 0.7),
            (0.6, 0.88),
            (0.28, 0.86),
        ]
    ],
    4: [[(0.36, 0.1), (0.28, 0.52), (0.74, 0.52)], [(0.66, 0.12), (0.62, 0.92)]],
    5: [
        [
            (0.7, 0.1),
            (0.36, 0.1),
            (0.32, 0.46),
            (0.56, 0.42),
            (0.72, 0.6),
            (0.64, 0.84),
            (0.42, 0.9),
            (0.26, 0.8),
        ]
    ],
    6: [
        [
            (0.62, 0.08),
            (0.42, 0.3),
            (0.3, 0.6),
            (0.38, 0.86),
            (0.6, 0.88),
            (0.7, 0.7),
            (0.58, 0.54),
            (0.38, 0.62),
        ]
    ],
    7: [[(0.26, 0.14), (0.74, 0.12), (0.58, 0.46), (0.44, 0.92)]],
    8: [
        [
            (0.64, 0.2),
            (0.48, 0.1),
            (0.34, 0.22),
            (0.42, 0.4),
            (0.6, 0.54),
            (0.68, 0.74),
            (0.5, 0.9),
            (0.32, 0.76),
            (0.4, 0.54),
            (0.6, 0.38),
            (0.64, 0.2),
        ]
    ],
    9: [
        [
            (0.66, 0.26),
            (0.48, 0.12),
            (0.32, 0.28),
            (0.42, 0.48),
            (0.62, 0.42),
            (0.66, 0.26),
            (0.64, 0.6),
            (0.56, 0.92),
        ]
    ],
}


@dataclass(frozen=True)
class Style:
    """A way of writing.

    Attributes:
        slant: how far the top leans to the right, in heights.
        width, height: of a digit, in widths of the canvas.
        left, top: of its box.
        wobble: of the hand, in widths of the canvas.
    """

    slant: float = 0.0
    width: float = 0.7
    height: float = 0.7
    left: float = 0.15
    top: float = 0.15
    wobble: float = 0.0


STYLES = (
    Style(),
    Style(slant=0.15),
    Style(slant=-0.1),
    Style(width=0.5, left=0.25),
    Style(width=0.9, height=0.9, left=0.05, top=0.05),
    Style(width=0.45, height=0.45, left=0.05, top=0.05),
    Style(width=0.45, height=0.45, left=0.5, top=0.5),
    Style(wobble=0.01),
    Style(slant=0.1, wobble=0.015),
    Style(height=0.85, width=0.6, top=0.08, left=0.2),
)


def strokes(digit: int, style: Style) -> list[Stroke]:
    """The strokes of a digit, finely sampled, in widths of the canvas."""
    return [_stroke(points, style) for points in _STROKES[digit]]


def _stroke(points: list[tuple[float, float]], style: Style) -> Stroke:
    stroke: Stroke = []
    for (x1, y1), (x2, y2) in pairwise(points):
        for step in range(8):
            share = step / 8
            stroke.append(
                _placed(x1 + (x2 - x1) * share, y1 + (y2 - y1) * share, style)
            )
    stroke.append(_placed(*points[-1], style))
    return stroke


def _placed(x: float, y: float, style: Style) -> dict[str, float]:
    leaning = x + style.slant * (0.5 - y)
    wave = style.wobble * math.sin(25 * x + 40 * y)
    return {
        "x": style.left + style.width * leaning + wave,
        "y": style.top + style.height * y + wave,
    }
