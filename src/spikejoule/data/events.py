"""Samples that are events from birth: who fired when, of a camera or a cochlea, and
their files.

A file is an uncompressed .npz file, as `numpy.savez` writes it, of the schema
`spikejoule/event_samples/1`, which `docs/reference/event-files.md` states. It may be
larger than memory: it is written and read in blocks of samples.

Shapes: N samples, E events of all of them.
"""

import hashlib
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import DataError, check
from spikejoule.core.npz import read_npz, stored_array, write_npz
from spikejoule.core.schema import Array, ArrayFile, Arrays
from spikejoule.core.store import FilePath
from spikejoule.data.subject import (
    SUBJECT_ARRAYS,
    Subject,
    subject_arrays,
    subject_of,
    subject_problem,
)

MAX_UNITS = 2**32

EVENTS_PER_BLOCK = 1 << 20


@dataclass(frozen=True, eq=False)
class EventSamples:
    """Events of N samples, in memory or mapped from a file.

    Sample n has those from ``offsets[n]`` to ``offsets[n + 1]``. They come in any
    order, and several may be alike: binning orders and merges them.

    Attributes:
        times: microseconds since the sample began, uint32 [E].
        units: which unit fired, uint16 or uint32 [E].
        offsets: where each sample begins, int64 [N + 1].
    """

    times: NDArray[np.uint32]
    units: NDArray[np.uint16] | NDArray[np.uint32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return self.offsets.size - 1

    def read(self, samples: slice | NDArray[np.integer]) -> "EventSamples":
        """The events of some samples, in the order given."""
        places, offsets = places_of(self.offsets, np.arange(len(self))[samples])
        return EventSamples(self.times[places], self.units[places], offsets)

    def problem(self, n_units: int) -> str:
        """What is wrong with events of so many units, in words; an empty text for
        nothing.
        """
        if self.times.dtype != np.uint32 or self.units.dtype not in (
            np.uint16,
            np.uint32,
        ):
            return "times must be uint32 and units uint16 or uint32"
        n_events = self.times.size
        if self.times.shape != (n_events,) or self.units.shape != (n_events,):
            return f"there are times {self.times.shape} and units {self.units.shape}"
        ends = self.offsets[:1].tolist(), self.offsets[-1:].tolist()
        if ends != ([0], [n_events]) or np.any(np.diff(self.offsets) < 0):
            return f"offsets must rise from 0 to the number of events, {n_events:,}"
        highest = int(self.units.max(initial=0))
        if highest >= n_units:
            return f"unit {highest} is none of the {n_units:,} units, numbered from 0"
        return ""


def offsets_of(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where parts of these lengths begin, int64 [n + 1], the end of the last
    included.
    """
    offsets = np.zeros(lengths.size + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def places_of(
    offsets: NDArray[np.int64], rows: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of all elements of some rows, in the order given, and where each of these
    begins.

    Args:
        offsets: where every row begins, the end of the last included.
        rows: which ones, [n].
    """
    lengths = offsets[rows + 1] - offsets[rows]
    begins = offsets_of(lengths)
    return np.repeat(offsets[rows] - begins[:-1], lengths) + np.arange(
        begins[-1]
    ), begins


def blocks_of(lengths: NDArray[np.integer]) -> Iterator[slice]:
    """Runs of samples of about `EVENTS_PER_BLOCK` events each, and at least one sample.

    Args:
        lengths: events of each sample, [N].
    """
    offsets = offsets_of(lengths)
    first = 0
    while first < lengths.size:
        end = offsets[first] + EVENTS_PER_BLOCK
        last = max(first + 1, int(np.searchsorted(offsets, end, side="right")) - 1)
        yield slice(first, last)
        first = last


@dataclass(frozen=True)
class EventSetting:
    """What all samples of an event file share.

    Attributes:
        title: what the data are, in a line.
        subject: what the samples show, and the classes.
        shape: of the units, such as (2, 34, 34) for (polarity, row, column), or (700,);
            unit numbers count through it in C order.
        duration_us: the length of a sample in microseconds; events from it on lie
            outside.
    """

    title: str
    subject: Subject
    shape: tuple[int, ...]
    duration_us: int

    @property
    def n_units(self) -> int:
        """Number of units."""
        return math.prod(self.shape)


@dataclass(frozen=True, eq=False)
class EventBlock:
    """Some samples on their way into a file: events, labels [n], and their identities
    int64 [n].
    """

    events: EventSamples
    labels: NDArray[np.integer]
    index: NDArray[np.int64] | None = None


@dataclass(frozen=True, eq=False)
class LabelledEvents:
    """Events of N samples, labels uint8 [N], index int64 [N]; as `LabelledImages` for
    images.

    Attributes:
        stored: the events of these samples and perhaps of others, in memory or in a
            file.
        places: where among those each sample is, int64 [N].
        setting: what all samples share.
        n_train: how many samples, from the first on, are for training and the rest for
            the test; None if nothing says it.
    """

    stored: EventSamples
    places: NDArray[np.int64]
    labels: NDArray[np.uint8]
    index: NDArray[np.int64]
    setting: EventSetting
    n_train: int | None = None

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
    def inputs(self) -> "LabelledEvents":
        """What an encoder takes: the samples themselves."""
        return self

    def read(self, samples: slice | NDArray[np.integer] = slice(None)) -> EventSamples:
        """The events of some samples, in the order given."""
        return self.stored.read(self.places[samples])

    def select(self, positions: NDArray[np.integer] | slice) -> "LabelledEvents":
        """The samples at some positions of this set, in their order; no event is
        read.
        """
        return replace(
            self,
            places=self.places[positions],
            labels=self.labels[positions],
            index=self.index[positions],
            n_train=None,
        )

    def __getitem__(self, samples: slice | NDArray[np.integer]) -> "LabelledEvents":
        """Some samples, in the order given, whose events are in memory."""
        chosen = self.select(samples)
        return replace(chosen, stored=chosen.read(), places=np.arange(len(chosen)))

    def _parts(self) -> Iterator[slice]:
        return blocks_of(np.diff(self.stored.offsets)[self.places])

    def blocks(self) -> Iterator[EventSamples]:
        """The events of all samples in their order, some megabytes at a time."""
        return (self.read(samples) for samples in self._parts())

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hexadecimal) of the events."""
        digest = hashlib.sha256(
            np.array([len(self), *self.shape], dtype=np.int64).tobytes()
        )
        digest.update(offsets_of(np.diff(self.stored.offsets)[self.places]).data)
        for block in self.blocks():
            digest.update(np.ascontiguousarray(block.times).data)
            digest.update(block.units.astype(np.uint32).data)
        return digest.hexdigest()

    def save(self, path: FilePath) -> None:
        """Write them to an event file, atomically, a block at a time."""
        blocks = (
            EventBlock(self.read(part), self.labels[part], self.index[part])
            for part in self._parts()
        )
        write_event_file(path, self.setting, blocks)


def _problem(arrays: Arrays) -> str:
    shape = arrays["shape"].tolist()
    n_samples = len(arrays["labels"])
    if n_samples == 0 or arrays["offsets"].size != n_samples + 1:
        return f"there are {n_samples:,} labels and {arrays['offsets'].size:,} offsets"
    if "index" in arrays and len(np.unique(arrays["index"])) != n_samples:
        return "an index is given to two samples"
    if not 1 <= math.prod(shape) <= MAX_UNITS:
        return f"the shape {shape} must have 1 to {MAX_UNITS} units"
    if "n_train" in arrays and not 1 <= arrays["n_train"] < n_samples:
        return f"n_train must leave some of the {n_samples:,} samples for the test"
    return subject_problem(arrays)


EVENT_SAMPLES_SCHEMA = "spikejoule/event_samples/1"

_SMALL = ArrayFile(
    EVENT_SAMPLES_SCHEMA,
    {
        "offsets": Array("int64", ("*",), low=0),
        "labels": Array("uint8", ("N",)),
        "shape": Array("int64", ("D",), low=1),
        "duration_us": Array("int64", (), low=1, high=2**32),
        "title": Array("U", ()),
        **SUBJECT_ARRAYS,
    },
    _problem,
    optional={"index": Array("int64", ("N",), low=0), "n_train": Array("int64", ())},
)
"""All arrays of the format but `times`, uint32 [E], and `units`, uint16 or uint32
[E].
"""

_EVENTS = ("times", "units")


def write_event_file(
    path: FilePath,
    setting: EventSetting,
    blocks: Iterable[EventBlock],
    n_train: int | None = None,
) -> None:
    """Write samples to an event file, atomically; only one block needs to be in memory
    at a time.

    Args:
        path: the file to write.
        setting: what all samples share.
        blocks: the samples, in order; one block, if they are few.
        n_train: how many samples, from the first on, are for training and the rest for
            the test; None leaves it open.

    Raises:
        DataError: the samples break the format.
        ArtifactError: the file system refuses.
    """
    dtype = np.dtype(np.uint16 if setting.n_units <= 2**16 else np.uint32)
    lengths: list[NDArray[np.int64]] = []
    labels: list[NDArray[Any]] = []
    index: list[NDArray[Any]] = []
    small: dict[str, NDArray[Any]] = {
        "shape": np.array(setting.shape, dtype=np.int64),
        "duration_us": _whole(setting.duration_us, np.int64, f"{path}: duration_us"),
        "title": np.array(setting.title, dtype=np.str_),
        **subject_arrays(setting.subject),
    }
    if n_train is not None:
        small["n_train"] = np.array(n_train, dtype=np.int64)

    def pieces() -> Iterator[dict[str, NDArray[Any]]]:
        for block in blocks:
            check(path, block.events.problem(setting.n_units), DataError)
            lengths.append(np.diff(block.events.offsets))
            labels.append(_whole(block.labels, np.uint8, f"{path}: labels"))
            if block.index is not None:
                index.append(_whole(block.index, np.int64, f"{path}: index"))
            yield {"times": block.events.times, "units": block.events.units}
        if not lengths:
            raise DataError(f"{path} would hold no sample.")
        small["offsets"] = offsets_of(np.concatenate(lengths))
        small["labels"] = np.concatenate(labels)
        if index:
            small["index"] = np.concatenate(index)
        check(path, _SMALL.problem(small), DataError)

    write_npz(
        path, _SMALL.schema, small, {"times": np.uint32, "units": dtype}, pieces()
    )


def _whole(values: Any, kind: type[np.integer], what: str) -> NDArray[Any]:
    """Numbers as of an integer type; DataError, naming `what`, if they are not."""
    numbers = np.asarray(values)
    allowed = np.iinfo(kind)
    if numbers.dtype.kind not in "ui" or np.any(
        (numbers < allowed.min) | (numbers > allowed.max)
    ):
        raise DataError(
            f"{what} must be whole numbers from {allowed.min} to {allowed.max}."
        )
    return numbers.astype(kind)


def open_event_file(path: FilePath) -> LabelledEvents:
    """Open an event file: every byte is checked, a block at a time, and no event is
    kept.

    Raises:
        ArtifactError: it is missing or damaged, or breaks the format.
    """
    arrays = read_npz(path, _SMALL.schema, leave_out=_EVENTS)
    check(path, _SMALL.problem(arrays))
    setting = EventSetting(
        str(arrays["title"]),
        subject_of(arrays),
        tuple(arrays["shape"].tolist()),
        int(arrays["duration_us"]),
    )
    times, units = (stored_array(path, name) for name in _EVENTS)
    events = EventSamples(times, units, arrays["offsets"])
    check(path, events.problem(setting.n_units))
    places = np.arange(len(events))
    index = arrays.get("index", places)
    n_train = int(arrays["n_train"]) if "n_train" in arrays else None
    return LabelledEvents(events, places, arrays["labels"], index, setting, n_train)
