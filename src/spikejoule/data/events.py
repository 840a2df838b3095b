"""Samples that are events from birth: who fired when, of a camera or a cochlea.

Shapes: N samples, E events of all of them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import DataError
from spikejoule.core.schema import Array, ArrayFile

MAX_UNITS = 2**32


@dataclass(frozen=True, eq=False)
class EventSamples:
    """Events of N samples, in memory or mapped from a file.

    Sample n has those from ``offsets[n]`` to ``offsets[n + 1]``. They come in any order, and
    several may be alike: binning orders and merges them.

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

    def sample_of_each(self) -> NDArray[np.int64]:
        """The sample that each event belongs to, int64 [E]."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def read(self, samples: slice | NDArray[np.integer]) -> "EventSamples":
        """The events of some samples, in the order given."""
        places, offsets = places_of(self.offsets, np.arange(len(self))[samples])
        return EventSamples(self.times[places], self.units[places], offsets)


def offsets_of(lengths: NDArray[np.integer]) -> NDArray[np.int64]:
    """Where parts of these lengths begin, int64 [n + 1], the end of the last included."""
    offsets = np.zeros(lengths.size + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def places_of(
    offsets: NDArray[np.int64], rows: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of all elements of some rows, in the order given, and where each of these begins.

    Args:
        offsets: where every row begins, the end of the last included.
        rows: which ones, [n].
    """
    lengths = offsets[rows + 1] - offsets[rows]
    begins = offsets_of(lengths)
    return np.repeat(offsets[rows] - begins[:-1], lengths) + np.arange(begins[-1]), begins


def blocks_of(lengths: NDArray[np.integer], events_per_block: int = 1 << 20) -> Iterator[slice]:
    """Runs of samples, each of about so many events and at least one sample.

    Args:
        lengths: events of each sample, [N].
        events_per_block: how many a run should have.
    """
    ends = np.cumsum(lengths, dtype=np.int64)
    first = 0
    while first < len(ends):
        before = int(ends[first - 1]) if first else 0
        last = int(np.searchsorted(ends, before + events_per_block, side="right"))
        last = max(last, first + 1)
        yield slice(first, last)
        first = last


def check_events(events: EventSamples, n_units: int, what: str) -> None:
    """Raise DataError, naming `what`, unless this is a layout of events of so many units."""
    layout = ArrayFile(
        "events",
        {
            "times": Array("uint32", ("E",)),
            "units": Array("u", ("E",), high=n_units - 1),
            "offsets": Array("int64", ("*",), low=0),
        },
    )
    problem = layout.problem(vars(events)) or offsets_problem(events.offsets, len(events.times))
    if problem:
        raise DataError(f"{what}: {problem}.")


def offsets_problem(offsets: NDArray[np.int64], n_events: int) -> str:
    """What is wrong with the places at which samples begin, in words."""
    if offsets.size == 0 or offsets[0] != 0 or np.any(np.diff(offsets) < 0):
        return "offsets must rise from 0"
    if offsets[-1] != n_events:
        return f"offsets end at {offsets[-1]:,} events, but there are {n_events:,}"
    return ""


@dataclass(frozen=True, eq=False)
class SelectedEvents:
    """Some samples of a source; their events are read when they are asked for.

    Attributes:
        source: where the events are.
        positions: of the samples in it, int64 [N].
    """

    source: "EventSource"
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


EventSource = EventSamples | SelectedEvents
"""Events of N samples, in memory or in a file."""
