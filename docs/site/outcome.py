"""The picture of what comes out, from metrics/: `python -m docs.site.outcome` writes
it.

Above, a digit becomes spikes, operations and joules. Below, on a logarithmic axis, the
energy of the recorded network and of conventional networks of equal accuracy under the
headline's price list, and apart from them the network's arithmetic only.
"""

import csv
import json
import math
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

from docs.site.svg import HEAD
from spikejoule.report.units import joules, plain

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "outcome.svg"

# The picture and its axis, in pixels
_WIDTH = 700
_HEIGHT = 288
_LEFT = 150
_RIGHT = 668
_AXIS = 254
_LEAST_PJ = 1e3
_DECADES = 5
_SPIKING = "#0072b2"
_CONVENTIONAL = "#c44e00"


def values(root: Path, name: str) -> dict[str, Any]:
    """The values of a file of metrics/."""
    found: dict[str, Any] = json.loads(
        (root / "metrics" / f"{name}.json").read_text("utf-8")
    )
    return found


def spikes(root: Path) -> float:
    """Spikes of all layers per inference, a mean."""
    path = root / "metrics" / "energy.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    profile = rows[0]["profile"]
    key = {
        "profile": profile,
        "network": "snn",
        "phase": "inference",
        "term": "spike_routed",
    }
    routed = [
        row for row in rows if all(row[name] == cell for name, cell in key.items())
    ]
    return sum(float(row["count"]) for row in routed if not row["class"])


def steps(root: Path = ROOT) -> list[tuple[str, str]]:
    """From an image to joules: a number and what it is, four times."""
    energy = values(root, "energy")
    accuracy = values(root, "evaluate")["test_accuracy_percent"]
    return [
        ("1 digit", f"{accuracy:.2f} % classified correctly"),
        (f"{spikes(root):,.0f} spikes", "input, hidden, output"),
        (f"{energy['synaptic_events_per_inference']:,.0f}", "synaptic events"),
        (joules(1000 * energy["energy_nj"], 3), "memory included"),
    ]


def _x(pj: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * math.log10(pj / _LEAST_PJ) / _DECADES


def _steps(root: Path) -> Iterator[str]:
    """The upper row."""
    for place, (number, words) in enumerate(steps(root)):
        x = 8 + 177 * place
        if place:
            yield f'<path d="M{x - 20} 40 H{x - 3}" marker-end="url(#arrow)"/>'
        yield f'<rect x="{x}" y="8" width="154" height="60"/>'
        yield (
            f'<text x="{x + 77}" y="34" text-anchor="middle" '
            f'class="large">{number}</text>'
        )
        yield f'<text x="{x + 77}" y="54" text-anchor="middle">{escape(words)}</text>'


def _axis() -> Iterator[str]:
    for decade in range(_DECADES + 1):
        x = _x(_LEAST_PJ * 10**decade)
        unit = joules(_LEAST_PJ * 10**decade)
        yield f'<path d="M{x} 132 V{_AXIS}" style="stroke-width:0.4"/>'
        yield f'<text x="{x}" y="{_AXIS + 18}" text-anchor="middle">{unit}</text>'


def _row(y: int, name: str, profile: str) -> Iterator[str]:
    yield f'<text x="8" y="{y}" class="name">{name}</text>'
    yield f'<text x="8" y="{y + 15}" class="file">{profile}</text>'


def _point(y: int, pj: float, colour: str) -> Iterator[str]:
    x = _x(pj)
    yield f'<circle cx="{x}" cy="{y}" r="7" fill="{colour}"/>'
    yield f'<text x="{x}" y="{y + 22}" text-anchor="middle">{joules(pj, 3)}</text>'


def _comparison(energy: Mapping[str, Any]) -> Iterator[str]:
    """The lower part."""
    names = [(14, _SPIKING, "this network")]
    if "conventional_nj" in energy:
        names.append((150, _CONVENTIONAL, "conventional networks of equal accuracy"))
    yield '<text x="8" y="98" class="name">Energy per inference</text>'
    for x, colour, words in names:
        yield f'<circle cx="{x}" cy="114" r="5" fill="{colour}"/>'
        yield f'<text x="{x + 11}" y="118">{escape(words)}</text>'
    yield from _axis()
    yield from _row(160, "memory included", energy["profile"])
    own_pj = 1000 * energy["energy_nj"]
    if "conventional_nj" in energy:
        other_pj = 1000 * energy["conventional_nj"]
        left = _x(other_pj)
        right = _x(own_pj)
        ratio = (
            f"{energy.get('ratio_bound', '')} {plain(energy['ratio'])} times".strip()
        )
        yield f'<path d="M{left} 160 H{right}" style="stroke-width:2.5"/>'
        yield (
            f'<text x="{(left + right) / 2}" y="151" text-anchor="middle" class="name">'
            f"{ratio}</text>"
        )
        yield from _point(160, other_pj, _CONVENTIONAL)
    yield from _point(160, own_pj, _SPIKING)
    yield from _row(218, "arithmetic only", energy["arithmetic_profile"])
    yield from _point(218, 1000 * energy["arithmetic_nj"], _SPIKING)


def drawing(root: Path = ROOT) -> str:
    """The picture of a project as SVG."""
    title = (
        "From a digit to joules, and the energy of conventional networks of "
        "equal accuracy"
    )
    head = HEAD.format(title=title, width=_WIDTH, height=_HEIGHT)
    large = "<style>.large { font-weight: 700; font-size: 18px; }</style>"
    energy = values(root, "energy")
    parts = [head, large, *_steps(root), *_comparison(energy), "</svg>", ""]
    return "\n".join(parts)


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
