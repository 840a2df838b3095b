"""The table of verdicts: every accuracy under every profile, what each side sends, and who wins."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from pydantic import model_validator

from spikejoule.core.schema import MaybeNotNegative, MaybePercent, Percent, Row, Table, Text
from spikejoule.energy.verdict import Choice, Outcome, Verdict

# Beyond these digits, sums differ with the order in which a processor adds.
_DIGITS: Final = 8


class VerdictRow(Row):
    """One accuracy under one profile.

    Accuracies are in percent, energies pJ per inference, both means over test images; a side that
    does not reach the accuracy has an empty name and no figures. An energy is empty where the
    profile has brackets alone.

    Attributes:
        profile: its id.
        level_percent: validation accuracy that both sides must reach.
        outcome: ``snn``, ``ann``, ``undecided``, or ``neither`` reaches it.
        ratio: the spiking side's energy over the other's; `ratio_low` and `ratio_high` are the ends
            of its interval.
    """

    profile: Text
    level_percent: Percent
    outcome: Outcome
    ratio: MaybeNotNegative
    ratio_low: MaybeNotNegative
    ratio_high: MaybeNotNegative
    spiking: str
    spiking_validation_percent: MaybePercent
    spiking_test_percent: MaybePercent
    spiking_pj_low: MaybeNotNegative
    spiking_pj: MaybeNotNegative
    spiking_pj_high: MaybeNotNegative
    conventional: str
    conventional_validation_percent: MaybePercent
    conventional_test_percent: MaybePercent
    conventional_pj_low: MaybeNotNegative
    conventional_pj: MaybeNotNegative
    conventional_pj_high: MaybeNotNegative

    @classmethod
    def of(cls, verdict: Verdict) -> Self:
        """The row of a verdict."""
        ratio = verdict.ratio
        row = cls.model_validate(
            {
                "profile": verdict.profile.id,
                "level_percent": verdict.level_percent,
                "outcome": verdict.outcome,
                "ratio": None if ratio is None else _rounded(ratio.value),
                "ratio_low": None if ratio is None else _rounded(ratio.low),
                "ratio_high": None if ratio is None else _rounded(ratio.high),
                **_side("spiking", verdict.spiking),
                **_side("conventional", verdict.conventional),
            }
        )
        # An end that rounds to 1 decides nothing.
        return row.model_copy(update={"outcome": _outcome(row)})


class VerdictTable(Table):
    """The file: metrics/verdict.csv."""

    row: ClassVar[type[Row]] = VerdictRow
    rows: tuple[VerdictRow, ...]

    @classmethod
    def of(cls, found: Sequence[Verdict]) -> Self:
        """The table of some verdicts, in their order."""
        return cls(rows=tuple(VerdictRow.of(one) for one in found))

    @model_validator(mode="after")
    def _outcomes_follow(self) -> Self:
        if len({(row.profile, row.level_percent) for row in self.rows}) < len(self.rows):
            raise ValueError("a profile has two rows for one accuracy")
        for number, row in enumerate(self.rows, start=2):
            expected = _outcome(row)
            if row.outcome != expected:
                raise ValueError(
                    f"row {number}: the outcome is {row.outcome}, but by its figures {expected}"
                )
        return self


def read_verdicts(path: Path) -> tuple[VerdictRow, ...]:
    """Read the table; ArtifactError if it is missing or damaged, or its rows cannot be."""
    return VerdictTable.read(path).rows


def _outcome(row: VerdictRow) -> Outcome:
    if not row.spiking:
        return "ann" if row.conventional else "neither"
    if not row.conventional:
        return "snn"
    low, high = row.ratio_low or 0.0, math.inf if row.ratio_high is None else row.ratio_high
    if high < 1:
        return "snn"
    return "ann" if low > 1 else "undecided"


def _side(name: str, choice: Choice | None) -> dict[str, Any]:
    if choice is None:
        return {name: "", **{f"{name}_{key}": None for key in _FIGURES}}
    accuracies, energy = choice.contender.accuracies, choice.energy
    figures = (
        None if accuracies is None else accuracies.validation_percent,
        None if accuracies is None else accuracies.test_percent,
        _rounded(energy.lowest_pj),
        None if energy.value is None else _rounded(energy.value.mean),
        _rounded(energy.highest_pj),
    )
    named = {f"{name}_{key}": figure for key, figure in zip(_FIGURES, figures, strict=True)}
    return {name: choice.contender.name, **named}


_FIGURES: Final = ("validation_percent", "test_percent", "pj_low", "pj", "pj_high")


def _rounded(number: float | None) -> float | None:
    return None if number is None else float(f"{number:.{_DIGITS}g}")
