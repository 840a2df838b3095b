"""Recorded networks: their accuracies, and their energies under each price list."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Self

import numpy as np
from pydantic import ConfigDict, Field

from spikejoule.core.schema import (
    Count,
    MaybeCount,
    MaybeNotNegative,
    Percent,
    Row,
    Sha256,
    Table,
    Text,
)
from spikejoule.energy.estimates import rounded
from spikejoule.energy.ledger import CONVENTIONAL, SideName, Variant
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.prices import HardwareProfile, price
from spikejoule.energy.terms import TERMS
from spikejoule.report.names import way

FOLDER: Final = Path(__file__).parent
"""The folder of the study: its tables and its page."""

LOW = "pj_low"
VALUE = "pj"
HIGH = "pj_high"
DEVIATION = "pj_standard_deviation"

COUNT: Final = "count:"
BITS: Final = "bits:"


@dataclass(frozen=True)
class RecordedEnergy:
    """Energy per inference in pJ, a mean over test images.

    Attributes:
        low_pj, high_pj: under the lower and the upper ends of the prices.
        standard_deviation_pj: over the images, of the upper end.
    """

    low_pj: float
    high_pj: float
    standard_deviation_pj: float

    @property
    def middle_pj(self) -> float:
        """The midpoint of both ends, which are equal unless prices are ranges."""
        return (self.low_pj + self.high_pj) / 2

    @property
    def relative_deviation(self) -> float:
        """The standard deviation divided by the upper end."""
        return self.standard_deviation_pj / self.high_pj if self.high_pj else 0.0


class RecordedNetwork(Row):
    """A network with one way of running it: a row of a table of recorded networks.

    Further columns are its energies per inference in pJ under each price list that
    prices it: ``PROFILE:pj`` (or ``PROFILE:pj_low`` and ``PROFILE:pj_high`` if prices
    are ranges) and ``PROFILE:pj_standard_deviation`` over images. Others are its mean
    operations per inference, by term: ``count:TERM``, and of memory accesses also the
    bits that they move, ``bits:TERM``.

    Attributes:
        run, run_id, git_commit: the run that recorded it.
        data_source: the data of its training and test.
        side: ``spiking`` or ``conventional``.
        network, method: its name, and how it is run.
        n_networks: networks that it consists of: 2 for a cascade.
        configuration: equal for networks that differ only in the seed.
        seed: seed of its training.
        weights_sha256: checksum of its weights.
        weight_bits: width of its weights.
        n_images: number of test images behind its energies and its test accuracy.
        validation_percent, test_percent: accuracies.
        sent_once: synaptic events of a spiking network if each neuron sent its number
            of spikes at once; None if unknown.
        train_seconds: training time by the clock; None if unknown. Conventional
            networks are trained together, and each has an equal share of the time.
        processor_seconds: training time over all cores, shared in the same way.
        crop_pixels, average_pixels: how the images of networks of an earlier commit
            were reduced; 0 and 1, or None, for whole images.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, MaybeNotNegative] = Field(init=False)

    run: Text
    run_id: str = Field(pattern="^[0-9a-f]{32}$")
    git_commit: Text
    data_source: Text
    side: SideName
    network: Text
    method: Text
    n_networks: Count = 1
    configuration: Text
    seed: Count
    weights_sha256: Sha256
    weight_bits: Count
    n_images: Count
    validation_percent: Percent
    test_percent: Percent
    sent_once: MaybeNotNegative = None
    train_seconds: MaybeNotNegative = None
    processor_seconds: MaybeNotNegative = None
    crop_pixels: MaybeCount = None
    average_pixels: MaybeCount = None

    @classmethod
    def counted(
        cls, variant: Variant, profiles: Iterable[HardwareProfile], **about: Any
    ) -> Self:
        """Price a network that was counted image by image.

        Args:
            variant: the network, with known accuracies.
            profiles: the price lists.
            about: the fields that the variant does not have.
        """
        cells = {
            "side": variant.side,
            "network": variant.network,
            "method": way(variant),
            "weights_sha256": variant.weights_sha256,
            "weight_bits": variant.weight_bits,
            "n_images": len(variant.operations.counts),
            "validation_percent": variant.validation_percent,
            "test_percent": variant.test_percent,
        }
        energies = energy_cells(variant, profiles)
        counts = count_cells(variant.operations)
        return cls.model_validate({**cells, **about, **energies, **counts})

    @property
    def energies(self) -> dict[str, float | None]:
        """The columns of energies, by name."""
        return {
            name: cell
            for name, cell in self.__pydantic_extra__.items()
            if not name.startswith((COUNT, BITS))
        }

    @property
    def priced(self) -> set[str]:
        """The columns of energies that are not empty."""
        return {name for name, cell in self.energies.items() if cell is not None}

    @property
    def is_counted(self) -> bool:
        """Whether its operations are recorded, and not only its energies."""
        return self.__pydantic_extra__.get(f"{COUNT}weight_read") is not None

    def count(self, *terms: str) -> float:
        """Operations of some terms per inference."""
        return self._sum(COUNT, terms)

    def bits(self, *terms: str) -> float:
        """Bits that the memory accesses of some terms move per inference."""
        return self._sum(BITS, terms)

    def _sum(self, prefix: str, terms: Iterable[str]) -> float:
        cells = (self.__pydantic_extra__.get(f"{prefix}{term}") for term in terms)
        return sum(cell or 0.0 for cell in cells)

    @property
    def name(self) -> str:
        """The network and how it is run; of a spiking network, also its run."""
        network = f"{self.network}, {self.method}"
        return network if self.side == CONVENTIONAL else f"{self.run}: {network}"

    def energy(self, profile: str) -> RecordedEnergy | None:
        """The energy under a price list; None if the list does not price it."""
        cells = self.__pydantic_extra__
        value = cells.get(f"{profile}:{VALUE}")
        low = cells.get(f"{profile}:{LOW}") if value is None else value
        high = cells.get(f"{profile}:{HIGH}") if value is None else value
        deviation = cells.get(f"{profile}:{DEVIATION}")
        if low is None or high is None or deviation is None:
            return None
        return RecordedEnergy(low, high, deviation)


class NetworkTable(Table):
    """A file of recorded networks: networks-mnist.csv, networks-mnist5k.csv."""

    row: ClassVar[type[Row]] = RecordedNetwork
    rows: tuple[RecordedNetwork, ...]


def energy_cells(
    variant: Variant, profiles: Iterable[HardwareProfile]
) -> dict[str, float]:
    """The energies by column of a network that was counted image by image."""
    cells: dict[str, float] = {}
    for profile in profiles:
        if not profile.compares(variant.weight_bits, variant.operations):
            continue
        low, value, high = price(variant.operations, profile)
        if np.isnan(value).any():
            means = {LOW: low.mean(), HIGH: high.mean()}
            deviation = _deviation(high)
        else:
            means = {VALUE: value.mean()}
            deviation = _deviation(value)
        for column, pj in {**means, DEVIATION: deviation}.items():
            cells[f"{profile.id}:{column}"] = rounded(float(pj), 8)
    return cells


def count_cells(operations: OperationCounts) -> dict[str, float]:
    """The mean operations by column, without those that only chips price."""
    cells: dict[str, float] = {}
    for column, mean in zip(operations.columns, operations.means, strict=True):
        if not TERMS[column.term].part:
            continue
        count = f"{COUNT}{column.term}"
        cells[count] = cells.get(count, 0.0) + float(mean)
        if column.memory_bits:
            moved = f"{BITS}{column.term}"
            cells[moved] = cells.get(moved, 0.0) + float(mean) * column.bits
    return {name: rounded(cell, 8) for name, cell in cells.items()}


def _deviation(energies_pj: Any) -> float:
    """The standard deviation over images; 0 for one image."""
    return float(energies_pj.std(ddof=1)) if len(energies_pj) > 1 else 0.0


def recorded_table(data_source: str, folder: Path = FOLDER) -> Path:
    """The path of the recorded networks for a data set."""
    return folder / f"networks-{data_source}.csv"
