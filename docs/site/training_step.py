"""The picture of a training step's traffic, from metrics/: `python -m
docs.site.training_step` writes it.

A row is an array, or arithmetic; a column is a phase. A bar is the energy per training
sample under the headline's price list, with the words that are read or written.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path

from docs.site.pipeline import HEAD
from spikejoule.energy.estimates import joules, plain
from spikejoule.energy.operations import Column
from spikejoule.energy.training.kinds import ARITHMETIC, KINDS, kind_of
from spikejoule.energy.training.record import BACKWARD, FORWARD, OPTIMIZER

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "training-step.svg"

PHASES = (FORWARD, BACKWARD, OPTIMIZER)

# The picture, in pixels
_WIDTH = 700
_LEFT = 192
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
            cell.words += float(row["count"]) / n_samples
    return found


def _bars(root: Path) -> Iterator[str]:
    by_kind = traffic(root)
    cells = [cell for phases in by_kind.values() for cell in phases.values()]
    longest_pj = max(cell.energy_pj for cell in cells) or 1.0
    for number, (kind, phases) in enumerate(by_kind.items()):
        y = _TOP + _ROW * number
        yield f'<text x="8" y="{y + 12}" class="name">{escape(kind)}</text>'
        for place, cell in enumerate(phases.values()):
            if not cell.energy_pj:
                continue
            x = _LEFT + _COLUMN * place
            length = max(1.0, _LONGEST_BAR * cell.energy_pj / longest_pj)
            yield (
                f'<rect x="{x}" y="{y}" width="{length:.1f}" height="13" '
                'style="rx:2px; fill:#0072b2; stroke:none"/>'
            )
            energy = joules(cell.energy_pj, 3)
            yield f'<text x="{x + length + 5:.1f}" y="{y + 11}">{energy}</text>'
            if kind != ARITHMETIC:
                words = f"{plain(cell.words)} words"
                yield f'<text x="{x}" y="{y + 25}" class="file">{words}</text>'


def drawing(root: Path = ROOT) -> str:
    """The picture of a project as SVG."""
    title = "Energy and memory accesses of a training step, for each training sample"
    height = _TOP + _ROW * len(KINDS)
    parts = [HEAD.format(title=title, width=_WIDTH, height=height)]
    for place, phase in enumerate(PHASES):
        x = _LEFT + _COLUMN * place
        box = f'<rect x="{x}" y="8" width="{_COLUMN - 28}" height="34"/>'
        name = f'<text x="{x + 12}" y="30" class="name">{phase}</text>'
        parts += [box, name]
        if place:
            arrow = f'<path d="M{x - 26} 25 H{x - 3}" marker-end="url(#arrow)"/>'
            parts.append(arrow)
    return "\n".join([*parts, *_bars(root), "</svg>", ""])


if __name__ == "__main__":
    PICTURE.write_text(drawing(), encoding="utf-8")
