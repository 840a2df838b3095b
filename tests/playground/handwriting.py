"""Digits as strokes, in ten handwriting styles: what a visitor might draw."""

import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml

Stroke = list[dict[str, float]]

_STROKES: dict[int, list[list[tuple[float, float]]]] = yaml.safe_load(
    Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
)


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
