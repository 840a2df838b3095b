"""Lists of spikes in place of dense spike tensors.

One percent of a rate-coded MNIST digit's input bits are ones. An :class:`EventList`
stores where they are and nothing else: a compressed sparse row layout whose rows are
(sample, step) pairs.

An input may be constant currents in place of spikes: a source of value x adds ``x * w``
to the potential of each neuron that it reaches, in every step of the window. That is a
product, where a spike takes the weight as it is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.schema import Array, ArrayFile, Arrays
from spikejoule.data.events import offsets_of, places_of

STEP_MS = 1.0
"""Duration of one step in milliseconds."""
MAX_SOURCES = 65_536
"""Units of a layer whose numbers take two bytes."""
MAX_UNITS = 2**24
"""Units of the widest input, whose numbers take four."""
MAX_STEPS = 10_000
"""Steps of the longest window of an encoding."""
EVENTS = ArrayFile(
    "spikejoule/events/1",
    {
        "sources": Array("u", ("E",)),
        "row_lengths": Array("u", ("rows",), high=MAX_UNITS),
        "shape": Array("int64", (3,), low=0),
        "encoding_keys": Array("U", ("K",)),
        "encoding_values": Array("U", ("K",)),
    },
    optional={
        "current_sources": Array("uint16", ("C",)),
        "current_values": Array("float32", ("C",)),
        "current_lengths": Array("uint32", ("*",), high=MAX_SOURCES),
        "current_products": Array("U", ()),
    },
)

Encoding = Mapping[str, str | int | float]

Products = Literal["once", "every_step"]
"""How often hardware multiplies constant currents by weights."""
PRODUCTS: Final[tuple[str, ...]] = get_args(Products)


def layout_problem(
    sources: NDArray[Any], offsets: NDArray[np.int64], n_rows: int, n_inputs: int
) -> str:
    """What breaks a list of rows, in words; an empty text for nothing.

    Row r has the units ``sources[offsets[r] : offsets[r + 1]]``, strictly ascending and
    below `n_inputs`, and the rows follow one another without a gap.
    """
    if offsets.shape != (n_rows + 1,) or sources.ndim != 1:
        return f"{offsets.size} offsets for {n_rows} rows; there must be {n_rows + 1}"
    ends = offsets[[0, -1]].tolist()
    if ends != [0, sources.size] or np.any(offsets[1:] < offsets[:-1]):
        return f"offsets must rise from 0 to the number of sources, {sources.size}"
    if sources.size and int(sources.max()) >= n_inputs:
        return f"source {sources.max()} in a layer of {n_inputs} units"
    ascending = sources[1:] > sources[:-1]
    starts = offsets[1:-1]
    ascending[starts[(starts > 0) & (starts < sources.size)] - 1] = True
    return (
        ""
        if ascending.all()
        else "sources of a row are not in strictly ascending order"
    )


@dataclass(frozen=True, eq=False)
class Currents:
    """The constant inputs of N samples.

    Those of sample n come from ``sources[offsets[n] : offsets[n + 1]]``, in ascending
    order, each at most once. Sources that give nothing are left out.

    Attributes:
        sources: the units that give something, uint16 [E].
        values: what they give, float32 [E]; never 0.
        offsets: where each sample begins, int64 [N + 1].
        products: whether hardware multiplies ``once`` per inference and adds the sums
            in every step, or multiplies in ``every_step``. The network computes the
            same either way.
    """

    sources: NDArray[np.uint16]
    values: NDArray[np.float32]
    offsets: NDArray[np.int64]
    products: Products

    def check(self, n_samples: int, n_inputs: int) -> None:
        """Verify the layout for so many samples and units; ArtifactError where it is
        broken.
        """
        if self.sources.shape != self.values.shape or not self.values.all():
            raise ArtifactError(
                "currents: there must be a value for each source, none of them 0"
            )
        problem = layout_problem(self.sources, self.offsets, n_samples, n_inputs)
        if problem:
            raise ArtifactError(f"currents: {problem}")

    def select(self, samples: NDArray[np.integer]) -> "Currents":
        """Those of some samples, in the order given."""
        places, offsets = places_of(self.offsets, samples)
        return Currents(
            self.sources[places], self.values[places], offsets, self.products
        )

    def times(self, n_steps: int) -> int:
        """How often a product is made in a window of `n_steps`."""
        return n_steps if self.products == "every_step" else 1

    def sum_per_sample(self, of_source: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sum over each sample's sources of a number that each unit has, int64
        [N].
        """
        return np.diff(offsets_of(of_source[self.sources])[self.offsets])

    def to_dense(self, n_inputs: int) -> NDArray[np.float32]:
        """The same as one value a unit, float32 [N, n_inputs]."""
        dense = np.zeros((self.offsets.size - 1, n_inputs), dtype=np.float32)
        dense[np.repeat(np.arange(len(dense)), np.diff(self.offsets)), self.sources] = (
            self.values
        )
        return dense

    @classmethod
    def from_dense(cls, values: NDArray[np.float32], products: Products) -> "Currents":
        """The currents of one value a unit, [N, units]; zeros are left out."""
        samples, sources = np.nonzero(values)
        offsets = offsets_of(np.bincount(samples, minlength=len(values)))
        return cls(
            sources.astype(np.uint16), values[samples, sources], offsets, products
        )


@dataclass(frozen=True, eq=False)
class EventList:
    """The spikes of one layer for N samples over T steps, or the constant currents of
    an input.

    The sources that fired for sample n in step t are
    ``sources[offsets[n * T + t] : offsets[n * T + t + 1]]``, in ascending order, each
    at most once.

    Attributes:
        sources: index of the unit that fired, [E]; uint16, or uint32 for more than
            65,536 units.
        offsets: where each (sample, step) row begins, int64 [N * T + 1].
        n_samples: N.
        n_steps: T, steps of 1 ms.
        n_inputs: number of units of the layer; every source is below it.
        currents: what the units give in every step; None for a layer of spikes. An
            input that has them has no spikes.
    """

    sources: NDArray[np.uint16] | NDArray[np.uint32]
    offsets: NDArray[np.int64]
    n_samples: int
    n_steps: int
    n_inputs: int
    currents: Currents | None = None

    def check(self) -> None:
        """Verify every invariant of the layout.

        Raises:
            ArtifactError: the first invariant that does not hold.
        """
        if (
            self.n_samples < 0
            or self.n_steps < 1
            or not 1 <= self.n_inputs <= MAX_UNITS
        ):
            raise ArtifactError(
                f"event list: {self.n_samples} samples, {self.n_steps} steps and "
                f"{self.n_inputs} "
                f"inputs; needed are 0, 1 and 1 at least, and at most {MAX_UNITS} "
                "inputs"
            )
        kind = source_type(self.n_inputs)
        if self.sources.dtype != kind or self.offsets.dtype != np.int64:
            raise ArtifactError(
                f"event list: sources are {self.sources.dtype} and offsets "
                f"{self.offsets.dtype}; "
                f"they must be {kind} and int64"
            )
        n_rows = self.n_samples * self.n_steps
        problem = layout_problem(self.sources, self.offsets, n_rows, self.n_inputs)
        if problem:
            raise ArtifactError(f"event list: {problem}")
        if self.currents is not None:
            self.currents.check(self.n_samples, self.n_inputs)

    @property
    def n_events(self) -> int:
        """E, the number of spikes."""
        return int(self.sources.size)

    @property
    def density(self) -> float:
        """Fraction of (sample, step, unit) places that hold a spike."""
        places = self.n_samples * self.n_steps * self.n_inputs
        return self.n_events / places if places else 0.0

    def counts_per_sample(self) -> NDArray[np.int64]:
        """Spikes of each sample, int64 [N]."""
        return np.diff(self.offsets[:: self.n_steps])

    def counts_per_step(self) -> NDArray[np.int64]:
        """Spikes of all samples in each step, int64 [T]."""
        counts: NDArray[np.int64] = (
            np.diff(self.offsets)
            .reshape(self.n_samples, self.n_steps)
            .sum(axis=0, dtype=np.int64)
        )
        return counts

    def counts_per_source(self) -> NDArray[np.int64]:
        """Spikes of each unit over all samples and steps, int64 [n_inputs]."""
        return np.bincount(self.sources, minlength=self.n_inputs).astype(np.int64)

    def uses_per_source(self) -> NDArray[np.int64]:
        """How often each unit's synapses are used, by spikes or in products, int64
        [n_inputs].
        """
        if self.currents is None:
            return self.counts_per_source()
        used = np.bincount(self.currents.sources, minlength=self.n_inputs).astype(
            np.int64
        )
        return used * self.currents.times(self.n_steps)

    def row_of_each_event(self) -> NDArray[np.int64]:
        """The row ``n * T + t`` of each event, int64 [E]."""
        return np.repeat(
            np.arange(self.n_samples * self.n_steps), np.diff(self.offsets)
        )

    def to_dense(self, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """The same spikes as zeros and ones, [N, T, n_inputs]."""
        dense = np.zeros((self.n_samples * self.n_steps, self.n_inputs), dtype=dtype)
        dense[self.row_of_each_event(), self.sources] = 1
        return dense.reshape(self.n_samples, self.n_steps, self.n_inputs)

    @classmethod
    def from_dense(cls, spikes: ArrayLike) -> "EventList":
        """Event list of a dense tensor [N, T, n_inputs] that holds only zeros and ones.

        Raises:
            ArtifactError: no array, another number of dimensions, or a value that is
                neither 0 nor 1.
        """
        dense = array_of(spikes, "spikes")
        if dense.ndim != 3:
            raise ArtifactError(
                f"spikes have {dense.ndim} dimensions; [N, T, units] is needed"
            )
        if np.count_nonzero(dense == 1) != np.count_nonzero(dense):
            raise ArtifactError("spikes must be 0 or 1; other values were found")
        n_samples, n_steps, n_inputs = dense.shape
        rows = dense.reshape(n_samples * n_steps, n_inputs)
        # Flat places need a third of the memory of `numpy.nonzero`.
        sources = np.flatnonzero(rows) % max(n_inputs, 1)
        offsets = offsets_of(np.count_nonzero(rows, axis=1))
        kind = source_type(n_inputs)
        events = cls(sources.astype(kind), offsets, n_samples, n_steps, n_inputs)
        events.check()
        return events

    def row_arrays(self) -> dict[str, NDArray[Any]]:
        """The spikes as files hold them: sources, how many each row has, and (N, T,
        units).
        """
        kind = np.uint16 if self.n_inputs < MAX_SOURCES else np.uint32
        return {
            "sources": self.sources,
            "row_lengths": np.diff(self.offsets).astype(kind),
            "shape": np.array(
                [self.n_samples, self.n_steps, self.n_inputs], dtype=np.int64
            ),
        }

    @classmethod
    def from_row_arrays(cls, arrays: Arrays, prefix: str = "") -> "EventList":
        """The event list of `row_arrays`, whose names have a prefix.

        Raises:
            ArtifactError: the first invariant that does not hold.
            KeyError: an array that is missing.
        """
        offsets = offsets_of(arrays[f"{prefix}row_lengths"].astype(np.int64))
        n_samples, n_steps, n_inputs = arrays[f"{prefix}shape"].tolist()
        events = cls(arrays[f"{prefix}sources"], offsets, n_samples, n_steps, n_inputs)
        events.check()
        return events

    @classmethod
    def from_rows(
        cls,
        rows: NDArray[np.int64],
        sources: NDArray[Any],
        n_samples: int,
        n_steps: int,
        n_inputs: int,
    ) -> "EventList":
        """Event list from (row, source) pairs in ascending order, row being
        ``n * T + t``.
        """
        offsets = offsets_of(np.bincount(rows, minlength=n_samples * n_steps))
        kind = source_type(n_inputs)
        events = cls(sources.astype(kind), offsets, n_samples, n_steps, n_inputs)
        events.check()
        return events

    @classmethod
    def of_currents(
        cls, currents: Currents, n_steps: int, n_inputs: int
    ) -> "EventList":
        """An input without spikes; ArtifactError if the currents break their layout."""
        n_samples = currents.offsets.size - 1
        offsets = np.zeros(n_samples * n_steps + 1, dtype=np.int64)
        nothing = np.empty(0, dtype=source_type(n_inputs))
        events = cls(nothing, offsets, n_samples, n_steps, n_inputs, currents)
        events.check()
        return events

    def select(self, samples: slice | NDArray[np.integer]) -> "EventList":
        """The events, or the currents, of some samples, in the order given.

        Args:
            samples: a slice or an array of sample indices.
        """
        chosen = np.arange(self.n_samples)[samples]
        rows = (chosen[:, None] * self.n_steps + np.arange(self.n_steps)).reshape(-1)
        places, offsets = places_of(self.offsets, rows)
        currents = None if self.currents is None else self.currents.select(chosen)
        return EventList(
            self.sources[places],
            offsets,
            int(chosen.size),
            self.n_steps,
            self.n_inputs,
            currents,
        )


def array_of(given: object, what: str) -> NDArray[Any]:
    """An array of numbers, or of what is one: a list, a tensor of PyTorch on any
    device.

    Raises ArtifactError, which names `what` was given, for anything else.
    """
    reason = ""
    try:
        found = np.asarray(given.detach().cpu() if hasattr(given, "detach") else given)
        if found.dtype.kind in "biuf":
            return found
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        reason = f" ({' '.join(str(error).split())})"
    raise ArtifactError(
        f"{what} must be an array of numbers, or a dense tensor that holds them, "
        "but are a "
        f"{type(given).__name__}{reason:.200}."
    )


def source_type(n_units: int) -> np.dtype[Any]:
    """The type of the numbers of a layer's units."""
    return np.dtype(np.uint16 if n_units <= MAX_SOURCES else np.uint32)


def concatenate_samples(parts: Sequence[EventList]) -> EventList:
    """One event list of the spikes of several, in order; all of the same steps and
    units.
    """
    first = parts[0]
    return EventList(
        np.concatenate([part.sources for part in parts]),
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        sum(part.n_samples for part in parts),
        first.n_steps,
        first.n_inputs,
    )


def save_events(path: Path, events: EventList, encoding: Encoding) -> None:
    """Write an event list and what made it, atomically and with the same bytes every
    time.

    The file holds the sources and, in place of offsets, the length of each row, in two
    bytes: about 10 MB for 10,000 rate-coded digits. Constant currents follow in arrays
    of their own.

    Args:
        path: the file to write.
        events: the event list.
        encoding: plain values that say how the events came to be; a reader compares
            them.
    """
    keys = sorted(encoding)
    texts = [
        json.dumps(encoding[key], default=np.generic.item, allow_nan=False)
        for key in keys
    ]
    arrays: dict[str, NDArray[Any]] = {
        **events.row_arrays(),
        "encoding_keys": np.array(keys, dtype=np.str_),
        "encoding_values": np.array(texts, dtype=np.str_),
    }
    if events.currents is not None:
        arrays |= {
            "current_sources": events.currents.sources,
            "current_values": events.currents.values,
            "current_lengths": np.diff(events.currents.offsets).astype(np.uint32),
            "current_products": np.array(events.currents.products, dtype=np.str_),
        }
    EVENTS.write(path, arrays)


def load_events(path: Path) -> tuple[EventList, dict[str, str | int | float]]:
    """Read what :func:`save_events` wrote.

    Raises:
        ArtifactError: missing, truncated or corrupt file, another schema, broken
            invariants.
    """
    arrays = EVENTS.read(path)
    try:
        events = EventList.from_row_arrays(arrays)
        if "current_sources" in arrays:
            currents = Currents(
                arrays["current_sources"],
                arrays["current_values"],
                offsets_of(arrays["current_lengths"].astype(np.int64)),
                cast(Products, str(arrays["current_products"])),
            )
            currents.check(events.n_samples, events.n_inputs)
            events = replace(events, currents=currents)
        encoding = {
            str(key): json.loads(str(value))
            for key, value in zip(
                arrays["encoding_keys"], arrays["encoding_values"], strict=True
            )
        }
    except (ArtifactError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: {error}: run the stage that writes it.") from None
    return events, encoding
