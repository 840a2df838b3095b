"""The fronts of both sides, against every pair compared in turn."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.energy.contenders import Accuracies, Contender
from spikejoule.energy.fronts import FrontsTable, fronts_table, read_fronts
from tests.energy.by_hand import profile
from tests.energy.test_verdict import contender

PLAIN = profile({"synaptic_event": 1.0, "mac": 1.0}, "system")


def field(side: str, n: int) -> list[Contender]:
    """Networks of chance, some of them equal in energy or accuracy."""
    generator = np.random.default_rng(n)
    found = []
    for k in range(n):
        energy, percent = int(generator.integers(1, 12)), float(generator.integers(90, 99))
        one = contender(side, [energy, energy], network=f"{side} {k}")
        found.append(replace(one, accuracies=Accuracies(percent, percent - 1)))
    return found


def test_nobody_on_a_front_is_beaten_and_nobody_else_is_not() -> None:
    everyone = field("spiking", 40) + field("conventional", 30)
    rows = fronts_table(everyone, {PLAIN.id: PLAIN}).rows
    for side in ("spiking", "conventional"):
        members = [(one, one.operations.counts.sum(axis=1).mean()) for one in everyone  # type: ignore[union-attr]
                   if one.side == side]  # fmt: skip
        unbeaten = set()
        for one, energy in members:
            assert one.accuracies is not None
            here = one.accuracies.validation_percent
            if not any(
                other.accuracies is not None
                and spent <= energy
                and other.accuracies.validation_percent >= here
                and (spent < energy or other.accuracies.validation_percent > here)
                for other, spent in members
            ):
                unbeaten.add(one.name)
        assert {row.network for row in rows if row.side == side} == unbeaten


def test_a_side_that_did_not_run_in_the_numbers_has_no_front() -> None:
    of_integers = replace(PLAIN, numbers="int8")
    everyone = field("spiking", 3) + field("conventional", 3)
    assert fronts_table(everyone, {"p": of_integers}).rows == ()


def test_round_trip_and_refusal(tmp_path: Path) -> None:
    path = tmp_path / "fronts.csv"
    table = fronts_table(field("spiking", 20) + field("conventional", 20), {PLAIN.id: PLAIN})
    table.write(path)
    assert read_fronts(path) == table.rows
    header, *lines = path.read_text().splitlines()
    turned = [line for line in lines if ",spiking," in line][::-1]
    path.write_text("\n".join([header, *turned, ""]))
    with pytest.raises(ArtifactError, match="spiking front under p.* must ascend"):
        read_fronts(path)
    assert FrontsTable.columns()[:3] == ("profile", "side", "network")
