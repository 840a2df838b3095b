"""The fronts of both sides: the networks that none of their side beats, under each profile.

A network is on the front of its side if no other is at least as accurate on validation images for
at most its energy. What it reaches on test images stands beside that, and decides nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Self

from pydantic import model_validator

from spikejoule.core.schema import MaybeNotNegative, NotNegative, Percent, Row, Table, Text
from spikejoule.energy.comparison import runs
from spikejoule.energy.contenders import CONVENTIONAL, SPIKING, Contender, Side
from spikejoule.energy.pricing import sample_energies
from spikejoule.energy.profiles import HardwareProfile
from spikejoule.evaluation.front_rows import pareto_front

_DIGITS: Final = 8


class FrontsRow(Row):
    """A network on the front of its side under a profile.

    Energies are pJ per inference, means over test images; `pj` is empty where the profile has
    brackets alone.
    """

    profile: Text
    side: Side
    network: Text
    validation_percent: Percent
    test_percent: Percent
    pj_low: NotNegative
    pj: MaybeNotNegative
    pj_high: NotNegative

    @property
    def middle_pj(self) -> float:
        """The energy, or half-way between the ends of its bracket."""
        return (self.pj_low + self.pj_high) / 2 if self.pj is None else self.pj


class FrontsTable(Table):
    """The file: metrics/fronts.csv."""

    row: ClassVar[type[Row]] = FrontsRow
    rows: tuple[FrontsRow, ...]

    @model_validator(mode="after")
    def _each_front_ascends(self) -> Self:
        fronts: dict[tuple[str, str], list[FrontsRow]] = {}
        for row in self.rows:
            fronts.setdefault((row.profile, row.side), []).append(row)
        for (profile, side), members in fronts.items():
            energies = [row.middle_pj for row in members]
            accuracies = [row.validation_percent for row in members]
            if sorted(energies) != energies or sorted(accuracies) != accuracies:
                raise ValueError(
                    f"the {side} front under {profile} must ascend in energy and accuracy"
                )
        return self


def read_fronts(path: Path) -> tuple[FrontsRow, ...]:
    """Read the table; ArtifactError if it is missing or damaged, or its rows cannot be."""
    return FrontsTable.read(path).rows


def fronts_table(
    contenders: Sequence[Contender], profiles: Mapping[str, HardwareProfile]
) -> FrontsTable:
    """Both fronts under every profile that compares and in whose numbers both sides ran."""
    rows: list[FrontsRow] = []
    for profile in profiles.values():
        able = [one for one in contenders if one.accuracies is not None and runs(one, profile)]
        if not profile.compares or {one.side for one in able} != {SPIKING, CONVENTIONAL}:
            continue
        for side in (SPIKING, CONVENTIONAL):
            rows += _front([one for one in able if one.side == side], profile)
    return FrontsTable(rows=tuple(rows))


def _front(side: Sequence[Contender], profile: HardwareProfile) -> Iterator[FrontsRow]:
    rows = sorted(
        (_row(one, profile) for one in side),
        key=lambda row: (row.middle_pj, -row.validation_percent, row.network),
    )
    accuracies = [row.validation_percent for row in rows]
    on_front = pareto_front([row.middle_pj for row in rows], accuracies)
    return (row for row, is_on_front in zip(rows, on_front, strict=True) if is_on_front)


def _row(contender: Contender, profile: HardwareProfile) -> FrontsRow:
    energies, accuracies = sample_energies(contender.operations, profile), contender.accuracies
    assert accuracies is not None
    value = None if energies.value_pj is None else float(energies.value_pj.mean())
    return FrontsRow(
        profile=profile.id,
        side=contender.side,
        network=contender.name,
        validation_percent=accuracies.validation_percent,
        test_percent=accuracies.test_percent,
        pj_low=_rounded(float(energies.low_pj.mean())),
        pj=None if value is None else _rounded(value),
        pj_high=_rounded(float(energies.high_pj.mean())),
    )


def _rounded(number: float) -> float:
    return float(f"{number:.{_DIGITS}g}")
