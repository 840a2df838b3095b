"""The file format of samples that are events from birth; `docs/reference/event-files.md` states it.

An uncompressed .npz file, as `numpy.savez` writes it, of the schema `spikejoule/event_samples/1`.
It may be larger than memory: it is written and read in blocks of samples.
"""

import hashlib
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError, DataError
from spikejoule.core.npz import read_npz, stored_array, write_spooled
from spikejoule.core.schema import Array, ArrayFile, Arrays
from spikejoule.data.events import (
    MAX_UNITS,
    EventSamples,
    EventSource,
    SelectedEvents,
    blocks_of,
    check_events,
    offsets_of,
    offsets_problem,
)
from spikejoule.data.subject import (
    SUBJECT_ARRAYS,
    Subject,
    subject_arrays,
    subject_of,
    subject_problem,
)


@dataclass(frozen=True)
class EventSetting:
    """What all samples of an event file share.

    Attributes:
        title: what the data are, in a line.
        subject: what the samples show, and the classes.
        shape: of the units, such as (2, 34, 34) for (polarity, row, column), or (700,); unit
            numbers count through it in C order.
        duration_us: the length of a sample in microseconds; events from it on lie outside.
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
    """Some samples on their way into a file: events, labels [n], and their identities int64 [n]."""

    events: EventSamples
    labels: NDArray[np.integer]
    index: NDArray[np.int64] | None = None


def _problem(arrays: Arrays) -> str:
    offsets, index, shape = arrays["offsets"], arrays.get("index"), arrays["shape"]
    n_samples = len(arrays["labels"])
    if n_samples == 0:
        return "there must be at least one sample, but there is none"
    if offsets.shape != (n_samples + 1,):
        return f"there must be {n_samples + 1:,} offsets, but there are {offsets.size:,}"
    if index is not None and len(np.unique(index)) != n_samples:
        return "an index is given to two samples"
    if shape.size == 0 or not 1 <= math.prod(shape.tolist()) <= MAX_UNITS:
        return f"the shape {tuple(shape.tolist())} must have 1 to {MAX_UNITS} units"
    n_train = arrays.get("n_train")
    if n_train is not None and not 1 <= n_train < n_samples:
        return f"n_train is {n_train}, but must leave both of {n_samples:,} samples for either part"
    title = str(arrays["title"])
    if not title.isprintable() or not 1 <= len(title) <= 200:
        return "title must be 1 to 200 printable characters"
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
"""All arrays of the format but `times`, uint32 [E], and `units`, uint16 or uint32 [E]."""

_EVENTS = ("times", "units")


def write_event_file(
    path: str | os.PathLike[str],
    setting: EventSetting,
    blocks: Iterable[EventBlock],
    n_train: int | None = None,
) -> None:
    """Write samples to an event file, atomically; only one block needs to be in memory at a time.

    Args:
        path: the file to write.
        setting: what all samples share.
        blocks: the samples, in order; one block, if they are few.
        n_train: how many samples, from the first on, are for training and the rest for the test;
            None leaves it open.

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
            check_events(block.events, setting.n_units, f"{path}")
            lengths.append(np.diff(block.events.offsets))
            labels.append(_whole(block.labels, np.uint8, f"{path}: labels"))
            if labels[-1].shape != lengths[-1].shape:
                raise DataError(
                    f"{path}: every sample needs one label, but there are {len(block.events):,} "
                    f"samples and {labels[-1].size:,} labels."
                )
            if block.index is not None:
                index.append(_whole(block.index, np.int64, f"{path}: index"))
            yield {"times": block.events.times, "units": block.events.units.astype(dtype)}
        small["offsets"] = offsets_of(np.concatenate([np.empty(0, np.int64), *lengths]))
        small["labels"] = np.concatenate([np.empty(0, np.uint8), *labels])
        if index:
            small["index"] = np.concatenate(index)
        problem = _SMALL.problem(small)
        if problem:
            raise DataError(f"{path}: {problem}.")

    write_spooled(path, _SMALL.schema, {"times": np.uint32, "units": dtype}, pieces(), small)


def _whole(values: Any, kind: type[np.integer], what: str) -> NDArray[Any]:
    """Numbers as of an integer type; DataError, naming `what`, if they are not."""
    found, range_ = np.asarray(values), np.iinfo(kind)
    if found.dtype.kind not in "ui" or np.any((found < range_.min) | (found > range_.max)):
        raise DataError(f"{what} must be whole numbers from {range_.min} to {range_.max}.")
    return found.astype(kind)


@dataclass(frozen=True, eq=False)
class LabelledEvents:
    """Events of N samples, labels uint8 [N], index int64 [N]; as `LabelledImages` for images.

    Attributes:
        source: the events, in memory or in a file.
        setting: what all samples share.
        n_train: how many samples, from the first on, are for training and the rest for the test;
            None if nothing says it.
    """

    source: EventSource
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

    def __getitem__(self, samples: slice | NDArray[np.integer]) -> "LabelledEvents":
        """Some samples, in the order given, whose events are in memory."""
        chosen = self.select(samples)
        return replace(chosen, source=chosen.source.read(slice(None)))

    def blocks(self) -> Iterator[EventSamples]:
        """The events of all samples in their order, some megabytes at a time."""
        parts = list(blocks_of(np.diff(self.source.offsets)))
        if len(parts) == 1 and isinstance(self.source, EventSamples):
            yield self.source
            return
        for samples in parts:
            yield self.source.read(samples)

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hexadecimal) of the events."""
        digest = hashlib.sha256(np.array([len(self), *self.shape], dtype=np.int64).tobytes())
        digest.update(np.ascontiguousarray(self.source.offsets).data)
        for block in self.blocks():
            digest.update(np.ascontiguousarray(block.times).data)
            digest.update(block.units.astype(np.uint32).data)
        return digest.hexdigest()

    def select(self, positions: NDArray[np.integer] | slice) -> "LabelledEvents":
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


def open_event_file(path: str | os.PathLike[str]) -> LabelledEvents:
    """Open an event file: every byte is checked, a block at a time, and no event is kept.

    Raises:
        ArtifactError: it is missing or damaged, or breaks the format.
    """
    arrays = read_npz(path, _SMALL.schema, leave_out=_EVENTS)
    problem = _SMALL.problem(arrays)
    if problem:
        raise ArtifactError(f"{path}: {problem}: write it again.")
    setting = EventSetting(
        str(arrays["title"]),
        subject_of(arrays),
        tuple(arrays["shape"].tolist()),
        int(arrays["duration_us"]),
    )
    times, units = (stored_array(path, name) for name in _EVENTS)
    problem = offsets_problem(arrays["offsets"], times.size)
    if times.dtype != np.uint32 or units.dtype not in (np.uint16, np.uint32):
        problem = f"times must be uint32 and units uint16 or uint32, not {units.dtype}"
    elif times.size != units.size:
        problem = f"there are {times.size:,} times and {units.size:,} units"
    elif not problem:
        highest = int(units.max(initial=0))
        if highest >= setting.n_units:
            problem = f"unit {highest} is none of the {setting.n_units:,} units, numbered from 0"
    if problem:
        raise ArtifactError(f"{path}: {problem}: write it again.")
    labels, n_train = arrays["labels"], arrays.get("n_train")
    return LabelledEvents(
        EventSamples(times, units, arrays["offsets"]),
        labels,
        arrays.get("index", np.arange(len(labels), dtype=np.int64)),
        setting,
        None if n_train is None else int(n_train),
    )
