"""The picture of what comes out, from metrics/: `python -m docs.site.outcome` writes it.

Above, a digit becomes spikes, operations and joules. Below, the energy of the recorded network and
of the cheapest recorded conventional network of at least its validation accuracy, on a logarithmic
axis; of the first alone where no other is recorded.
"""

import csv
import json
import math
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

from docs.site.pipeline import HEAD

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "outcome.svg"

ASSUMPTIONS = (("lemaire-complete", "memory counted"), ("45nm-fp32", "arithmetic alone"))
"""Profiles, and what each assumes."""

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _AXIS = 700, 288, 150, 668, 254
_LEAST_PJ, _DECADES = 1e3, 5
_SPIKING, _CONVENTIONAL = "#0072b2", "#c44e00"


class Pair(NamedTuple):
    """What an inference takes under a profile, in pJ; of the conventional network None where none
    is recorded."""

    profile: str
    assumption: str
    spiking_pj: float
    conventional_pj: float | None
    conventional: str

    @property
    def ratio(self) -> float:
        """How many times the energy the spiking network takes."""
        return self.spiking_pj / (self.conventional_pj or math.nan)


def rows(name: str) -> list[dict[str, str]]:
    """The rows of a table of metrics/."""
    with (ROOT / "metrics" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def values(name: str) -> dict[str, Any]:
    """The values of a file of metrics/."""
    found: dict[str, Any] = json.loads((ROOT / "metrics" / f"{name}.json").read_text("utf-8"))
    return found


def pairs() -> list[Pair]:
    """Both networks under each assumption."""
    accuracy = max(float(row["validation_accuracy_percent"]) for row in rows("history"))
    fronts, energies, found = rows("fronts"), rows("energy"), list[Pair]()
    for profile, assumption in ASSUMPTIONS:
        own = next(
            float(row["pj"])
            for row in energies
            if (row["profile"], row["network"], row["phase"], row["term"], row["class"])
            == (profile, "snn", "inference", "total", "")
        )
        cheapest = min(
            (
                (float(row[f"{profile}:pj"]), f"{row['network']}, {row['method']}")
                for row in fronts
                if row["side"] == "conventional"
                and float(row["validation_percent"]) >= accuracy
                and row[f"{profile}:pj"]
            ),
            default=(None, ""),
        )
        found.append(Pair(profile, assumption, own, *cheapest))
    return found


def steps() -> list[tuple[str, str]]:
    """From an image to joules: a number and what it is, four times."""
    energy, (memory, _) = values("energy"), pairs()
    spikes = sum(
        float(row["count"])
        for row in rows("energy")
        if (row["profile"], row["network"], row["phase"], row["term"], row["class"])
        == ("45nm-fp32", "snn", "inference", "spike_routed", "")
    )
    accuracy = values("evaluate")["test_accuracy_percent"]
    return [
        ("1 digit", f"{accuracy:.2f} % classified correctly"),
        (f"{spikes:,.0f} spikes", "input, hidden, output"),
        (f"{energy['synaptic_events_per_inference']:,.0f}", "synaptic events"),
        (joules(memory.spiking_pj), "with memory counted"),
    ]


def joules(pj: float) -> str:
    """An energy with its unit."""
    return f"{pj / 1e6:.1f} µJ" if pj >= 1e6 else f"{pj / 1e3:.1f} nJ"


def _x(pj: float) -> float:
    return _LEFT + (_RIGHT - _LEFT) * math.log10(pj / _LEAST_PJ) / _DECADES


def _steps() -> Iterator[str]:
    """The upper row."""
    for place, (number, words) in enumerate(steps()):
        x = 8 + 177 * place
        if place:
            yield f'<path d="M{x - 20} 40 H{x - 3}" marker-end="url(#arrow)"/>'
        yield f'<rect x="{x}" y="8" width="154" height="60"/>'
        yield f'<text x="{x + 77}" y="34" text-anchor="middle" class="large">{number}</text>'
        yield f'<text x="{x + 77}" y="54" text-anchor="middle">{escape(words)}</text>'


def _comparison() -> Iterator[str]:
    """The lower part."""
    both = pairs()
    names = [(14, _SPIKING, "this network")]
    if any(one.conventional_pj for one in both):
        names.append((150, _CONVENTIONAL, "the cheapest recorded conventional network"))
    yield '<text x="8" y="98" class="name">Energy per inference at equal accuracy</text>'
    for x, colour, words in names:
        yield f'<circle cx="{x}" cy="114" r="5" fill="{colour}"/>'
        yield f'<text x="{x + 11}" y="118">{escape(words)}</text>'
    for decade in range(_DECADES + 1):
        x = _x(_LEAST_PJ * 10**decade)
        unit = ("1 nJ", "10 nJ", "100 nJ", "1 µJ", "10 µJ", "100 µJ")[decade]
        yield f'<path d="M{x} 132 V{_AXIS}" style="stroke-width:0.4"/>'
        yield f'<text x="{x}" y="{_AXIS + 18}" text-anchor="middle">{unit}</text>'
    for place, one in enumerate(both):
        y, right = 160 + 58 * place, _x(one.spiking_pj)
        yield f'<text x="8" y="{y}" class="name">{one.assumption}</text>'
        yield f'<text x="8" y="{y + 15}" class="file">{one.profile}</text>'
        ends = [(right, _SPIKING, one.spiking_pj)]
        if one.conventional_pj:
            left = _x(one.conventional_pj)
            ends.insert(0, (left, _CONVENTIONAL, one.conventional_pj))
            yield f'<path d="M{left} {y} H{right}" style="stroke-width:2.5"/>'
            yield (
                f'<text x="{(left + right) / 2}" y="{y - 9}" text-anchor="middle" class="name">'
                f"{one.ratio:.0f} times</text>"
            )
        for x, colour, pj in ends:
            yield f'<circle cx="{x}" cy="{y}" r="7" fill="{colour}"/>'
            yield f'<text x="{x}" y="{y + 22}" text-anchor="middle">{joules(pj)}</text>'


def drawing() -> str:
    """The picture as SVG."""
    title = "From a digit to joules, and the energy of the cheapest conventional network"
    head = HEAD.format(title=title, width=_WIDTH, height=_HEIGHT)
    large = "<style>.large { font-weight: 700; font-size: 18px; }</style>"
    return "\n".join([head, large, *_steps(), *_comparison(), "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
