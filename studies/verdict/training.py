"""What it costs each side to train to equal accuracy.

Both sides see the same images in the same order, in epochs and batches of the same
size, and compute with weights of the same width in layers of the same size. A training
costs the energy of its epochs, in the ledger of `spikejoule.energy.training`, up to the
first whose validation accuracy reaches a level. Seeds are pairs: networks of a seed
share their images.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np
from pydantic import ConfigDict, Field

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.core.schema import Count, MaybeNotNegative, Percent, Row, Table, Text
from spikejoule.counts.training import TrainingRecord, TrainingSetup, record_of_epochs
from spikejoule.energy.dataflow import DENSE, ZERO_SKIPPING, Dataflow
from spikejoule.energy.estimates import PJ_PER_J, rounded
from spikejoule.energy.ledger import CONVENTIONAL, SPIKING, SideName
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.prices import HardwareProfile, price
from spikejoule.energy.training.counting import count_training
from spikejoule.network.sections import EpochRecord
from studies.verdict.networks import FOLDER

TABLE: Final = FOLDER / "training-mnist.csv"
LEVELS_PERCENT: Final = (97.5, 98.0)

_ENDS: Final = ("low", "high")

DATAFLOWS: Final[Mapping[str, Dataflow]] = {
    "skipping zeros": ZERO_SKIPPING,
    "dense": DENSE,
}
"""The ways of computing a training, by their names in the table."""


def priced_by(profiles: Iterable[HardwareProfile]) -> list[HardwareProfile]:
    """The price lists that price every operation of a training, memory included."""
    return [profile for profile in profiles if profile.scope == "system"]


class TrainingRow(Row):
    """What a network costs to train to a level: a row of `TABLE`.

    Further columns are the joules under the lower and the upper ends of the prices of a
    price list, ``PROFILE:joules_low`` and ``PROFILE:joules_high``.

    Attributes:
        run, seed, git_commit: what was trained, and the code that trained it.
        side, network, method: the network, and how its training is computed.
        level_percent: the level.
        epochs: the first epoch, from 1 on, that reaches it.
        validation_percent: the accuracy in that epoch.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, MaybeNotNegative] = Field(init=False)

    run: Text
    seed: Count
    git_commit: Text
    side: SideName
    network: Text
    method: Text
    level_percent: Percent
    epochs: Count
    validation_percent: Percent


class TrainingTable(Table):
    """The file `TABLE`."""

    row: ClassVar[type[Row]] = TrainingRow
    rows: tuple[TrainingRow, ...]


@dataclass(frozen=True, eq=False)
class Learned:
    """One side's training.

    Attributes:
        side, network: the network.
        accuracies_percent: on validation images, after each epoch.
        count: counts the operations of its first epochs, of which it is given the
            number and the dataflow.
    """

    side: SideName
    network: str
    accuracies_percent: Sequence[float]
    count: Callable[[int, Dataflow], OperationCounts | None]

    def rows(
        self,
        profiles: Sequence[HardwareProfile],
        about: Mapping[str, Any],
        levels: Sequence[float] = LEVELS_PERCENT,
    ) -> Iterator[TrainingRow]:
        """Yield a row for each level that it reaches, and each method."""
        for level in levels:
            reached = np.flatnonzero(np.array(self.accuracies_percent) >= level)
            for method, dataflow in DATAFLOWS.items() if reached.size else ():
                epochs = int(reached[0]) + 1
                operations = self.count(epochs, dataflow)
                assert operations is not None
                cells = {
                    "side": self.side,
                    "network": self.network,
                    "method": method,
                    "level_percent": level,
                    "epochs": epochs,
                    "validation_percent": rounded(
                        self.accuracies_percent[epochs - 1], 6
                    ),
                }
                energies = _energies(operations, profiles)
                yield TrainingRow.model_validate({**about, **cells, **energies})


def _energies(
    operations: OperationCounts, profiles: Sequence[HardwareProfile]
) -> dict[str, float]:
    energies = {}
    for profile in profiles:
        low_pj, _, high_pj = price(operations, profile).sum(axis=1)
        for end, pj in zip(_ENDS, (low_pj, high_pj), strict=True):
            energies[f"{profile.id}:joules_{end}"] = rounded(float(pj) / PJ_PER_J, 6)
    return energies


def spiking(name: str, setup: TrainingSetup, history: Sequence[EpochRecord]) -> Learned:
    """The training of a spiking network, from the counts of its epochs."""

    def count(epochs: int, dataflow: Dataflow) -> OperationCounts | None:
        record = record_of_epochs(setup, history[:epochs])
        return None if record is None else count_training(record, dataflow)

    accuracies = [epoch.validation_accuracy_percent for epoch in history]
    return Learned(SPIKING, name, accuracies, count)


def conventional(
    trained: CountedBaseline,
    runs: Sequence[TrainingRecord],
    accuracies: Sequence[float],
    record: TrainingRecord,
) -> Learned:
    """The training of a conventional network.

    Args:
        trained: the network.
        runs: its training up to each epoch.
        accuracies: on validation images, after each epoch, in percent.
        record: the spiking training, which sees the same images.
    """

    def count(epochs: int, dataflow: Dataflow) -> OperationCounts:
        run = replace(runs[epochs - 1], augmented=record.augmented)
        return count_training(run, dataflow)

    return Learned(CONVENTIONAL, trained.name, accuracies, count)
