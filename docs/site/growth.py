"""The chart of how training time grows, from metrics/growth.json: `python -m
docs.site.growth` writes it.

One panel for each quantity, both axes logarithmic, one line for each implementation.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from docs.site.svg import HEAD

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "growth.svg"

COLOURS = {
    "event": "#0072b2",
    "event, sampled": "#009e73",
    "plain PyTorch": "#c44e00",
    "SpikingJelly": "#8a6bbe",
}

# The picture and its panels, in pixels
_WIDTH = 700
_COLUMNS = 3
_PANEL_WIDTH = 226
_PANEL_HEIGHT = 196
_PLOT_LEFT = 50
_PLOT_WIDTH = 164
_PLOT_HEIGHT = 126
_TOP = 40

# The axis of seconds, the same in all panels
_LEAST_SECONDS = 0.1
_DECADES = 4.5


def _height(seconds: float) -> float:
    """The distance of a time from the bottom of its panel."""
    return _PLOT_HEIGHT * math.log10(seconds / _LEAST_SECONDS) / _DECADES


def _panel(name: str, points: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """One quantity: its axes, and a line for each implementation."""
    bottom = _PLOT_HEIGHT + 20
    yield f'<text x="{_PLOT_LEFT}" y="10" class="name">{escape(name)}</text>'
    for exponent in range(-1, 4):
        y = bottom - _height(10.0**exponent)
        yield f'<path d="M{_PLOT_LEFT} {y:.1f} h{_PLOT_WIDTH}" opacity="0.3"/>'
        x = _PLOT_LEFT - 6
        label = f"{10.0**exponent:,g} s"
        yield f'<text x="{x}" y="{y + 4:.1f}" text-anchor="end">{label}</text>'

    values = [point["value"] for point in points]
    decades = math.log10(values[-1] / values[0])
    places = [
        _PLOT_LEFT + 12 + (_PLOT_WIDTH - 24) * math.log10(value / values[0]) / decades
        for value in values
    ]
    for value, x in zip(values, places, strict=True):
        label = f"{value:,g}"
        yield f'<text x="{x:.1f}" y="{bottom + 15}" text-anchor="middle">{label}</text>'

    for row, colour in COLOURS.items():
        measured = [
            (x, bottom - _height(point["seconds"][row]))
            for x, point in zip(places, points, strict=True)
            if row in point["seconds"]
        ]
        if not measured:
            continue
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in measured)
        yield f'<polyline points="{line}" fill="none" stroke="{colour}"/>'
        for x, y in measured:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" fill="{colour}"/>'


def drawing(root: Path = ROOT) -> str:
    """The chart of a project as SVG."""
    file = root / "metrics" / "growth.json"
    series = json.loads(file.read_text(encoding="utf-8"))["series"]
    rows = -(-len(series) // _COLUMNS)
    title = "Seconds of training for 60,000 images, by size of the problem"
    height = _TOP + rows * _PANEL_HEIGHT
    parts = [HEAD.format(title=title, width=_WIDTH, height=height)]
    for place, (row, colour) in enumerate(COLOURS.items()):
        x = _PLOT_LEFT + 150 * place
        parts.append(f'<path d="M{x} 14 h20" style="stroke:{colour}; stroke-width:3"/>')
        parts.append(f'<text x="{x + 26}" y="18">{escape(row)}</text>')
    for place, (name, measured) in enumerate(series.items()):
        x = _PANEL_WIDTH * (place % _COLUMNS)
        y = _TOP + _PANEL_HEIGHT * (place // _COLUMNS)
        panel = "\n".join(_panel(name, measured["points"]))
        parts.append(f'<g transform="translate({x} {y})">\n{panel}\n</g>')
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
