"""The picture of a training step's traffic, from metrics/: `python -m
docs.site.training_step` writes it.

A row is an array, or arithmetic, in the order in which a step uses them; a column is a
phase. A bar is the energy per training sample under the headline's price list, with the
words that are read or written.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from docs.site.svg import HEAD
from spikejoule.energy.operations import BACKWARD, FORWARD, OPTIMIZER, Column
from spikejoule.report.kinds import ARITHMETIC, KINDS, kind_of
from spikejoule.report.units import plain

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "training-step.svg"

PHASES = (FORWARD, BACKWARD, OPTIMIZER)

# The kinds of access in the picture, under their names for a spiking network
ROWS = {
    "data": "data",
    "activations": "spikes",
    "weights": "weights",
    "states": "potentials",
    "kept_potentials": "kept potentials",
    "deltas": "deltas",
    "gradients": "gradients",
    "moments": "Adam's moments",
    ARITHMETIC: "arithmetic",
}
assert set(ROWS) == set(KINDS)

# The picture, in pixels
_WIDTH = 660
_LEFT = 140
_COLUMN = 170
_LONGEST_BAR = 90
_TOP = 66
_ROW = 34


@dataclass
class Traffic:
    """What one kind of access takes in one phase, for each training sample."""

    energy_pj: float = 0.0
    words: float = 0.0


def samples(root: Path) -> int:
    """Training samples of all epochs."""
    data = json.loads((root / "metrics" / "data.json").read_text(encoding="utf-8"))
    with (root / "metrics" / "history.csv").open(encoding="utf-8", newline="") as file:
        n_epochs = len(list(csv.DictReader(file)))
    return int(data["counts"]["train"]) * n_epochs


def traffic(root: Path) -> dict[str, dict[str, Traffic]]:
    """The traffic by kind and phase; what prepares samples is part of going forward."""
    energy = json.loads((root / "metrics" / "energy.json").read_text(encoding="utf-8"))
    found = {kind: {phase: Traffic() for phase in PHASES} for kind in KINDS}
    n_samples = samples(root)
    with (root / "metrics" / "energy.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            in_training = row["phase"] != "inference" and row["term"] != "total"
            if row["profile"] != energy["profile"] or not in_training:
                continue
            kind = kind_of(Column(row["term"], row["layer"], phase=row["phase"]))
            phase = row["phase"] if row["phase"] in PHASES else FORWARD
            cell = found[kind][phase]
            ends_pj = (float(row["pj_low"] or 0), float(row["pj_high"] or 0))
            cell.energy_pj += sum(ends_pj) / 2 / n_samples
            if any(access in row["term"] for access in ("read", "write", "access")):
                cell.words += float(row["count"]) / n_samples
    return found


def total_pj(by_kind: dict[str, dict[str, Traffic]], phase: str) -> float:
    """The energy of a phase."""
    return sum(phases[phase].energy_pj for phases in by_kind.values())


def microjoules(energy_pj: float) -> str:
    """An energy as the picture shows it; one unit, so that numbers compare."""
    energy_uj = energy_pj / 1e6
    return f"{energy_uj:.1f} µJ" if energy_uj >= 10 else f"{energy_uj:#.2g} µJ"


def _bars(by_kind: dict[str, dict[str, Traffic]]) -> Iterator[str]:
    cells = [cell for phases in by_kind.values() for cell in phases.values()]
    longest_pj = max(cell.energy_pj for cell in cells) or 1.0
    for number, (kind, name) in enumerate(ROWS.items()):
        y = _TOP + _ROW * number
        yield f'<text x="8" y="{y + 12}" class="name">{escape(name)}</text>'
        for place, cell in enumerate(by_kind[kind].values()):
            if not cell.energy_pj:
                continue
            x = _LEFT + _COLUMN * place
            length = max(1.0, _LONGEST_BAR * cell.energy_pj / longest_pj)
            yield (
                f'<rect x="{x}" y="{y}" width="{length:.1f}" height="13" '
                'style="rx:2px; fill:#0072b2; stroke:none"/>'
            )
            energy = microjoules(cell.energy_pj)
            yield f'<text x="{x + length + 5:.1f}" y="{y + 11}">{energy}</text>'
            if cell.words:
                words = f"{plain(cell.words)} words"
                yield f'<text x="{x}" y="{y + 25}" class="file">{words}</text>'


def drawing(root: Path = ROOT) -> str:
    """The picture of a project as SVG."""
    title = "Energy and memory accesses of a training step, for each training sample"
    by_kind = traffic(root)
    height = _TOP + _ROW * len(ROWS)
    parts = [HEAD.format(title=title, width=_WIDTH, height=height)]
    for place, phase in enumerate(PHASES):
        x = _LEFT + _COLUMN * place
        box = f'<rect x="{x}" y="8" width="{_COLUMN - 28}" height="34"/>'
        name = f'<text x="{x + 10}" y="30" class="name">{phase}</text>'
        total = microjoules(total_pj(by_kind, phase))
        right = x + _COLUMN - 38
        energy = f'<text x="{right}" y="30" text-anchor="end">{total}</text>'
        parts += [box, name, energy]
        if place:
            arrow = f'<path d="M{x - 26} 25 H{x - 3}" marker-end="url(#arrow)"/>'
            parts.append(arrow)
    return "\n".join([*parts, *_bars(by_kind), "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
