"""Measured networks under every list that prices arithmetic and memory.

These are the fully connected networks that the lists can price, operation by operation.
The energy of a conventional one includes static power and the whole system around it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spikejoule.energy.prices import load_profiles, price
from studies.silicon.predictions import operations_of_network
from studies.silicon.references import FOLDER, PJ_PER_NJ, Chip, Layers, Point

OF_VERDICT: Final = FOLDER.parent / "verdict" / "price-lists.yaml"
"""Further lists, with other assumptions about memories below 8 KB."""

SYSTEMS: Final = FOLDER / "systems.csv"


@dataclass(frozen=True)
class SystemRow:
    """A chip's network under one list.

    Attributes:
        chip, point: what was measured.
        profile: id of the list.
        process: its technology.
        is_packaged: whether it comes with the library.
        predicted_nj: dynamic energy in nJ.
    """

    chip: Chip
    point: Point
    profile: str
    process: str
    is_packaged: bool
    predicted_nj: float

    @property
    def ratio_low(self) -> float:
        """Predicted energy over the high end of the measured one."""
        return self.predicted_nj / self.point.measured_nj[1]

    @property
    def ratio_high(self) -> float:
        """Predicted energy over the low end of the measured one."""
        return self.predicted_nj / self.point.measured_nj[0]


def under_systems(chips: Iterable[Chip], others: Path = OF_VERDICT) -> list[SystemRow]:
    """Price every measured network, spiking ones first, then by energy."""
    rows = [
        row
        for chip in chips
        for point in chip.points
        if point.network is not None
        for row in _of_network(chip, point, point.network, others)
    ]
    return sorted(rows, key=lambda row: (row.chip.kind != "spiking", row.predicted_nj))


def _of_network(
    chip: Chip, point: Point, network: Layers, others: Path
) -> list[SystemRow]:
    operations = operations_of_network(network)
    packaged = load_profiles()
    return [
        SystemRow(
            chip,
            point,
            profile.id,
            profile.process,
            profile.id in packaged,
            float(price(operations, profile)[1, 0]) / PJ_PER_NJ,
        )
        for profile in (packaged | load_profiles(others)).values()
        if profile.scope == "system"
    ]
