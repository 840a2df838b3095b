"""uBrain's network under every list that prices arithmetic and memory.

It is the only digital chip whose measured network these lists can price, operation by
operation.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from spikejoule.energy.count import count_operations
from spikejoule.energy.prices import load_profiles, price
from studies.silicon.predictions import activity_of
from studies.silicon.references import FOLDER, Chip, Point

OF_VERDICT: Final = FOLDER.parent / "verdict" / "price-lists.yaml"
"""Further lists, with other assumptions about memories below 8 KB."""

SYSTEMS: Final = FOLDER / "ubrain.csv"

CHIP: Final = "uBrain"


@dataclass(frozen=True)
class SystemRow:
    """The chip's network under one list.

    Attributes:
        profile: id of the list.
        process: its technology.
        is_packaged: whether it comes with the library.
        predicted_nj: dynamic energy in nJ.
        measured_nj: the chip's, without the most and the least leakage.
    """

    profile: str
    process: str
    is_packaged: bool
    predicted_nj: float
    measured_nj: tuple[float, float]

    @property
    def ratio_low(self) -> float:
        """Predicted over measured energy, with the least leakage."""
        return self.predicted_nj / self.measured_nj[1]

    @property
    def ratio_high(self) -> float:
        """Predicted over measured energy, with the most leakage."""
        return self.predicted_nj / self.measured_nj[0]


def point_of_chip(chips: list[Chip]) -> Point:
    """Return the chip's measured network."""
    return next(chip for chip in chips if chip.name == CHIP).points[0]


def under_systems(point: Point, others: Path = OF_VERDICT) -> list[SystemRow]:
    """Price the network under all lists of scope `system`, cheapest first."""
    assert point.network is not None
    operations = count_operations(activity_of(point.network))
    packaged = load_profiles()
    rows = [
        SystemRow(
            profile.id,
            profile.process,
            profile.id in packaged,
            float(price(operations, profile)[1, 0]) / 1e3,
            point.measured_nj,
        )
        for profile in (packaged | load_profiles(others)).values()
        if profile.scope == "system"
    ]
    return sorted(rows, key=lambda row: row.predicted_nj)
