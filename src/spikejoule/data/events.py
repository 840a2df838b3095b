"""Samples recorded as events by a camera or a cochlea: who fired when, and their files.

An event file is an uncompressed .npz file, as `numpy.savez` writes it, with the schema
`spikejoule/event_samples/1` (`docs/reference/event-files.md`). It is read whole.

Shapes: N samples, E events of all samples.
"""

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import DataError, check
from spikejoule.core.npz import write_npz
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


def offsets_of(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return where parts of these lengths begin, and the last ends, int64 [n + 1]."""
    offsets = np.zeros(lengths.size + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def places_of(
    offsets: NDArray[np.int64], rows: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of all elements of some rows, and where each row begins there.

    Args:
        offsets: where every row begins, and the last ends.
        rows: the rows, [n], in the order of the result.
    """
    lengths = offsets[rows + 1] - offsets[rows]
    begins = offsets_of(lengths)
    shifts = np.repeat(offsets[rows] - begins[:-1], lengths)
    return shifts + np.arange(begins[-1]), begins


@dataclass(frozen=True, eq=False)
class EventSamples:
    """Events of N samples.

    Sample n has the events from ``offsets[n]`` to ``offsets[n + 1]``, in any order and
    possibly repeated: binning orders and merges them.

    Attributes:
        times: microseconds since the sample began, uint32 [E].
        units: the units that fired, uint16 or uint32 [E].
        offsets: where each sample begins, and the last ends, int64 [N + 1].
    """

    times: NDArray[np.uint32]
    units: NDArray[np.uint16] | NDArray[np.uint32]
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return self.offsets.size - 1

    def select(self, samples: slice | NDArray[np.integer]) -> "EventSamples":
        """Return the events of some samples, in the order given."""
        chosen = np.arange(len(self))[samples]
        # Joined from slices: an index of every event would take more memory than these.
        rows = [slice(self.offsets[n], self.offsets[n + 1]) for n in chosen]
        return EventSamples(
            np.concatenate([self.times[:0], *(self.times[row] for row in rows)]),
            np.concatenate([self.units[:0], *(self.units[row] for row in rows)]),
            offsets_of(np.diff(self.offsets)[chosen]),
        )

    def blocks(self) -> Iterator["EventSamples"]:
        """Yield consecutive samples, together about `EVENTS_PER_BLOCK` events."""
        first = 0
        while first < len(self):
            most = self.offsets[first] + EVENTS_PER_BLOCK
            fitting = int(np.searchsorted(self.offsets, most, side="right")) - 1
            last = max(first + 1, fitting)
            yield self.select(slice(first, last))
            first = last


@dataclass(frozen=True)
class EventSetting:
    """What all samples of an event file share.

    Attributes:
        title: the data in one line.
        subject: what the samples show, and the classes.
        shape: shape of the units, such as (2, 34, 34) for (polarity, row, column), or
            (700,); units are numbered in C order.
        duration_us: length of a sample in microseconds.
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
class LabelledEvents:
    """Events of N samples with their labels; the counterpart of `LabelledImages`.

    Attributes:
        events: the events.
        labels: class of each sample, uint8 [N].
        index: identity of each sample through every split, int64 [N].
        setting: what all samples share.
        n_train: number of samples, from the first, that are for training, the others
            for testing; None if not known.
    """

    events: EventSamples
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
        """Shape of the units."""
        return self.setting.shape

    @property
    def inputs(self) -> "LabelledEvents":
        """What an encoder takes: the samples themselves."""
        return self

    def select(self, positions: NDArray[np.integer] | slice) -> "LabelledEvents":
        """Return the samples at some positions, in the order given."""
        return LabelledEvents(
            self.events.select(positions),
            self.labels[positions],
            self.index[positions],
            self.setting,
        )

    __getitem__ = select

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hexadecimal) of the events."""
        sizes = np.array([len(self), *self.shape], dtype=np.int64)
        digest = hashlib.sha256(sizes.tobytes())
        digest.update(self.events.offsets.data)
        for block in self.events.blocks():
            digest.update(block.times.data)
            digest.update(block.units.astype(np.uint32).data)
        return digest.hexdigest()

    def save(self, path: FilePath) -> None:
        """Write an event file atomically.

        Raises:
            DataError: the samples break the format.
            ArtifactError: the file system refuses.
        """
        setting = self.setting
        unit_type = np.uint16 if setting.n_units <= 2**16 else np.uint32
        arrays = {
            "times": self.events.times,
            "units": _whole(self.events.units, unit_type, f"{path}: units"),
            "offsets": self.events.offsets,
            "labels": _whole(self.labels, np.uint8, f"{path}: labels"),
            "index": _whole(self.index, np.int64, f"{path}: index"),
            "shape": np.array(setting.shape, dtype=np.int64),
            "duration_us": _whole(
                setting.duration_us, np.int64, f"{path}: duration_us"
            ),
            "title": np.array(setting.title, dtype=np.str_),
            **subject_arrays(setting.subject),
        }
        if self.n_train is not None:
            arrays["n_train"] = np.array(self.n_train, dtype=np.int64)
        check(path, EVENT_FILE.problem(arrays), DataError)
        write_npz(path, EVENT_FILE.schema, arrays)


def _whole(values: Any, dtype: type[np.integer], what: str) -> NDArray[Any]:
    """Convert to an integer type without loss, or raise DataError, which names them."""
    numbers = np.asarray(values)
    bounds = np.iinfo(dtype)
    if numbers.dtype.kind not in "ui" or np.any(
        (numbers < bounds.min) | (numbers > bounds.max)
    ):
        raise DataError(
            f"{what} must be whole numbers from {bounds.min} to {bounds.max}."
        )
    return numbers.astype(dtype)


def _problem(arrays: Arrays) -> str:
    """Describe what is wrong between the arrays of an event file; else empty."""
    shape = arrays["shape"].tolist()
    n_samples = len(arrays["labels"])
    n_events = arrays["times"].size
    n_units = math.prod(shape)
    offsets = arrays["offsets"]
    if n_samples == 0 or offsets.size != n_samples + 1:
        return f"there are {n_samples:,} labels and {offsets.size:,} offsets"
    ends = [offsets[0], offsets[-1]]
    if ends != [0, n_events] or np.any(np.diff(offsets) < 0):
        return f"offsets must rise from 0 to the number of events, {n_events:,}"
    if not 1 <= n_units <= MAX_UNITS:
        return f"the shape {shape} must have 1 to {MAX_UNITS} units"
    if arrays["units"].dtype not in (np.uint16, np.uint32):
        return "units must be uint16 or uint32"
    highest = int(arrays["units"].max(initial=0))
    if highest >= n_units:
        return f"unit {highest} is not one of the {n_units:,} units, numbered from 0"
    if "index" in arrays and len(np.unique(arrays["index"])) != n_samples:
        return "two samples have the same index"
    if "n_train" in arrays and not 1 <= arrays["n_train"] < n_samples:
        return f"n_train must leave some of the {n_samples:,} samples for the test"
    return subject_problem(arrays)


EVENT_FILE = ArrayFile(
    "spikejoule/event_samples/1",
    {
        "times": Array("uint32", ("E",)),
        "units": Array("u", ("E",)),
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


def open_event_file(path: FilePath) -> LabelledEvents:
    """Read and check an event file.

    Raises:
        ArtifactError: it is missing or damaged, or breaks the format.
    """
    arrays = EVENT_FILE.read(path)
    setting = EventSetting(
        str(arrays["title"]),
        subject_of(arrays),
        tuple(arrays["shape"].tolist()),
        int(arrays["duration_us"]),
    )
    events = EventSamples(arrays["times"], arrays["units"], arrays["offsets"])
    index = arrays.get("index", np.arange(len(events)))
    n_train = int(arrays["n_train"]) if "n_train" in arrays else None
    return LabelledEvents(events, arrays["labels"], index, setting, n_train)
