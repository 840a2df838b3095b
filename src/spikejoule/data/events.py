"""Labelled samples that are events from birth, in memory or in a file."""

import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikejoule.data.event_file import (
    EventBlock,
    EventSetting,
    open_event_file,
    write_event_file,
)
from spikejoule.data.event_samples import EventSamples, EventSource, blocks_of, offsets_of
from spikejoule.data.subject import Subject


@dataclass(frozen=True, eq=False)
class SelectedEvents:
    """Some samples of a source; their events are read when they are asked for.

    Attributes:
        source: where the events are.
        positions: of the samples in it, int64 [N].
    """

    source: EventSource
    positions: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.positions)

    @cached_property
    def offsets(self) -> NDArray[np.int64]:
        """Where each sample begins, int64 [N + 1]."""
        return offsets_of(np.diff(self.source.offsets)[self.positions])

    def read(self, samples: slice | NDArray[np.integer]) -> EventSamples:
        """The events of some samples, in the order given."""
        return self.source.read(self.positions[samples])


@dataclass(frozen=True, eq=False)
class SensorEvents:
    """What the encoding `none` takes: events of N samples and the shape of the units."""

    source: EventSource
    shape: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, samples: slice | NDArray[np.integer]) -> "SensorEvents":
        """The events of some samples, in memory."""
        return replace(self, source=self.source.read(samples))

    @property
    def n_units(self) -> int:
        """Number of units."""
        return math.prod(self.shape)

    def blocks(self) -> Iterator[EventSamples]:
        """All samples in their order, some megabytes at a time."""
        parts = list(blocks_of(np.diff(self.source.offsets)))
        if len(parts) == 1 and isinstance(self.source, EventSamples):
            yield self.source
            return
        for samples in parts:
            yield self.source.read(samples)

    def select(self, samples: NDArray[np.integer]) -> "SensorEvents":
        """Some samples, whose events are read when they are asked for."""
        return replace(self, source=SelectedEvents(self.source, samples.astype(np.int64)))


@dataclass(frozen=True, eq=False)
class LabelledEvents:
    """Events of N samples, labels uint8 [N], index int64 [N]; as `LabelledImages` for images.

    Attributes:
        source: the events, in memory or in a file.
        setting: what all samples share.
    """

    source: EventSource
    labels: NDArray[np.uint8]
    index: NDArray[np.int64]
    setting: EventSetting

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def subject(self) -> Subject:
        """What there is to recognise."""
        return replace(self.setting.subject, samples="samples")

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the units."""
        return self.setting.shape

    @property
    def inputs(self) -> SensorEvents:
        """What an encoder takes."""
        return SensorEvents(self.source, self.setting.shape)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hexadecimal) of the events."""
        digest = hashlib.sha256(np.array([len(self), *self.shape], dtype=np.int64).tobytes())
        digest.update(np.ascontiguousarray(self.source.offsets).data)
        for block in self.inputs.blocks():
            digest.update(np.ascontiguousarray(block.times).data)
            digest.update(block.units.astype(np.uint32).data)
        return digest.hexdigest()

    def select(self, positions: NDArray[np.int64] | slice) -> "LabelledEvents":
        """The samples at some positions of this set, in their order; no event is read."""
        chosen = np.arange(len(self))[positions]
        return LabelledEvents(
            SelectedEvents(self.source, chosen),
            self.labels[chosen],
            self.index[chosen],
            self.setting,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write them to an event file, atomically, a block at a time."""
        blocks = (
            EventBlock(self.source.read(part), self.labels[part], self.index[part])
            for part in blocks_of(np.diff(self.source.offsets))
        )
        write_event_file(path, self.setting, blocks)

    @staticmethod
    def load(path: str | os.PathLike[str]) -> "LabelledEvents":
        """Open a file of `save`; one that is missing, damaged or another: ArtifactError."""
        file = open_event_file(path)
        return LabelledEvents(file, file.labels, file.index, file.setting)
