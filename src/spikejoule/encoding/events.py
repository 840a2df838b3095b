"""Event lists: sparse spikes in place of dense spike tensors.

About one percent of a rate-coded MNIST digit's input bits are ones. An
:class:`EventList` stores only where they are: a compressed sparse row layout whose rows
are (sample, step) pairs.

An input may have constant currents in place of spikes: a source of value x adds
``x * w`` to the potential of each neuron that it reaches, in every step of the window.
That takes a product, where a spike adds the weight itself.
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
from spikejoule.core.store import plain_number
from spikejoule.data.events import offsets_of, places_of

STEP_MS = 1.0
"""Duration of one step in milliseconds."""
MAX_SOURCES = 65_536
"""Most units of a layer whose numbers take two bytes."""
MAX_UNITS = 2**24
"""Units of the widest input, whose numbers take four bytes."""
MAX_STEPS = 10_000
"""Steps of the longest window."""
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
    """Describe what breaks the layout of rows; empty if nothing does.

    Row r has the units ``sources[offsets[r] : offsets[r + 1]]``, strictly ascending and
    below `n_inputs`; rows follow each other without a gap.
    """
    if offsets.shape != (n_rows + 1,) or sources.ndim != 1:
        return f"{offsets.size} offsets for {n_rows} rows; there must be {n_rows + 1}"
    ends = offsets[[0, -1]].tolist()
    if ends != [0, sources.size] or np.any(offsets[1:] < offsets[:-1]):
        return f"offsets must rise from 0 to the number of sources, {sources.size}"
    if sources.size and int(sources.max()) >= n_inputs:
        return f"source {sources.max()} in a layer of {n_inputs} units"
    is_ascending = sources[1:] > sources[:-1]
    # From the last unit of a row to the first of the next, they may fall.
    starts = offsets[1:-1]
    is_ascending[starts[(starts > 0) & (starts < sources.size)] - 1] = True
    if not is_ascending.all():
        return "sources of a row are not in strictly ascending order"
    return ""


@dataclass(frozen=True, eq=False)
class Currents:
    """The constant inputs of N samples.

    Those of sample n have the sources ``sources[offsets[n] : offsets[n + 1]]``, in
    ascending order, each at most once. Sources of value 0 are left out.

    Attributes:
        sources: the units with a current, uint16 [E].
        values: their currents, float32 [E]; never 0.
        offsets: where each sample begins, int64 [N + 1].
        products: whether hardware multiplies ``once`` per inference and adds the sums
            in every step, or multiplies in ``every_step``. It changes counts, not
            potentials.
    """

    sources: NDArray[np.uint16]
    values: NDArray[np.float32]
    offsets: NDArray[np.int64]
    products: Products

    def check(self, n_samples: int, n_inputs: int) -> None:
        """Raise ArtifactError unless the layout fits so many samples and units."""
        if self.sources.shape != self.values.shape or not self.values.all():
            raise ArtifactError(
                "currents: there must be a value for each source, none of them 0"
            )
        problem = layout_problem(self.sources, self.offsets, n_samples, n_inputs)
        if problem:
            raise ArtifactError(f"currents: {problem}")

    def select(self, samples: NDArray[np.integer]) -> "Currents":
        """Return the currents of some samples, in the order given."""
        places, offsets = places_of(self.offsets, samples)
        return Currents(
            self.sources[places], self.values[places], offsets, self.products
        )

    def times(self, n_steps: int) -> int:
        """Return how often each product is made in a window of `n_steps`."""
        return n_steps if self.products == "every_step" else 1

    def sum_per_sample(self, of_source: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sum a number of each unit over the sources of each sample, int64 [N]."""
        return np.diff(offsets_of(of_source[self.sources])[self.offsets])

    def to_dense(self, n_inputs: int) -> NDArray[np.float32]:
        """Return the currents as one value per unit, float32 [N, n_inputs]."""
        dense = np.zeros((self.offsets.size - 1, n_inputs), dtype=np.float32)
        samples = np.repeat(np.arange(len(dense)), np.diff(self.offsets))
        dense[samples, self.sources] = self.values
        return dense

    @classmethod
    def from_dense(cls, values: NDArray[np.float32], products: Products) -> "Currents":
        """Make currents from one value per unit, [N, units]."""
        samples, sources = np.nonzero(values)
        offsets = offsets_of(np.bincount(samples, minlength=len(values)))
        return cls(
            sources.astype(np.uint16), values[samples, sources], offsets, products
        )


@dataclass(frozen=True, eq=False)
class EventList:
    """The spikes of a layer for N samples over T steps, or constant input currents.

    The units that fired for sample n in step t are
    ``sources[offsets[n * T + t] : offsets[n * T + t + 1]]``, in ascending order, each
    at most once.

    Attributes:
        sources: the units that fired, [E]; uint16, or uint32 for more than 65,536
            units.
        offsets: where each (sample, step) row begins, int64 [N * T + 1].
        n_samples: N.
        n_steps: T, steps of 1 ms.
        n_inputs: number of units of the layer.
        currents: constant currents of an input without spikes; None for spikes.
        potentials: membrane potentials of an output that integrates without spiking,
            real [N, T, n_inputs]; None for spikes.
    """

    sources: NDArray[np.uint16] | NDArray[np.uint32]
    offsets: NDArray[np.int64]
    n_samples: int
    n_steps: int
    n_inputs: int
    currents: Currents | None = None
    potentials: NDArray[np.floating] | None = None

    def check(self) -> None:
        """Raise ArtifactError for the first invariant of the layout that is broken."""
        problem = self._problem()
        if problem:
            raise ArtifactError(f"event list: {problem}")
        if self.currents is not None:
            self.currents.check(self.n_samples, self.n_inputs)

    def _problem(self) -> str:
        n_samples = self.n_samples
        n_steps = self.n_steps
        n_inputs = self.n_inputs
        if n_samples < 0 or n_steps < 1 or not 1 <= n_inputs <= MAX_UNITS:
            return (
                f"{n_samples} samples, {n_steps} steps and {n_inputs} inputs; there "
                f"must be at least 0, 1 and 1, and at most {MAX_UNITS} inputs"
            )
        needed = source_type(n_inputs)
        if self.sources.dtype != needed or self.offsets.dtype != np.int64:
            return (
                f"sources are {self.sources.dtype} and offsets {self.offsets.dtype}; "
                f"they must be {needed} and int64"
            )
        n_rows = n_samples * n_steps
        return layout_problem(self.sources, self.offsets, n_rows, n_inputs)

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
        """Count the spikes of each sample, int64 [N]."""
        return np.diff(self.offsets[:: self.n_steps])

    def counts_per_step(self) -> NDArray[np.int64]:
        """Count the spikes of all samples in each step, int64 [T]."""
        lengths = np.diff(self.offsets).reshape(self.n_samples, self.n_steps)
        counts: NDArray[np.int64] = lengths.sum(axis=0, dtype=np.int64)
        return counts

    def counts_per_source(self) -> NDArray[np.int64]:
        """Count the spikes of each unit over all samples and steps, int64 [units]."""
        return np.bincount(self.sources, minlength=self.n_inputs).astype(np.int64)

    def uses_per_source(self) -> NDArray[np.int64]:
        """Count the uses of each unit's synapses, by spikes or products, int64 [units].

        A spike or a product uses every synapse of its unit.
        """
        if self.currents is None:
            return self.counts_per_source()
        used = np.bincount(self.currents.sources, minlength=self.n_inputs)
        return used.astype(np.int64) * self.currents.times(self.n_steps)

    def row_of_each_event(self) -> NDArray[np.int64]:
        """Return the row ``n * T + t`` of each event, int64 [E]."""
        return np.repeat(
            np.arange(self.n_samples * self.n_steps), np.diff(self.offsets)
        )

    def to_dense(self, dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """Return the spikes as zeros and ones, [N, T, n_inputs]."""
        dense = np.zeros((self.n_samples * self.n_steps, self.n_inputs), dtype=dtype)
        dense[self.row_of_each_event(), self.sources] = 1
        return dense.reshape(self.n_samples, self.n_steps, self.n_inputs)

    @classmethod
    def from_dense(cls, spikes: ArrayLike) -> "EventList":
        """Make the event list of a dense tensor [N, T, n_inputs] of zeros and ones.

        Raises:
            ArtifactError: no array, another number of dimensions, or another value.
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
        # Flat places need a third of the memory of `numpy.nonzero`; max() for no units.
        sources = np.flatnonzero(rows) % max(n_inputs, 1)
        offsets = offsets_of(np.count_nonzero(rows, axis=1))
        sources = sources.astype(source_type(n_inputs))
        events = cls(sources, offsets, n_samples, n_steps, n_inputs)
        events.check()  # the sizes
        return events

    def row_arrays(self) -> dict[str, NDArray[Any]]:
        """Return the arrays of a file: sources, lengths of rows, and (N, T, units)."""
        length_type = np.uint16 if self.n_inputs < MAX_SOURCES else np.uint32
        shape = [self.n_samples, self.n_steps, self.n_inputs]
        return {
            "sources": self.sources,
            "row_lengths": np.diff(self.offsets).astype(length_type),
            "shape": np.array(shape, dtype=np.int64),
        }

    @classmethod
    def from_row_arrays(cls, arrays: Arrays, prefix: str = "") -> "EventList":
        """Make the event list of `row_arrays`, whose names have a prefix.

        Raises:
            ArtifactError: the first invariant that does not hold.
            KeyError: an array is missing.
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
        """Make an event list from ascending (row, source) pairs; row is ``n T + t``."""
        offsets = offsets_of(np.bincount(rows, minlength=n_samples * n_steps))
        sources = sources.astype(source_type(n_inputs))
        return cls(sources, offsets, n_samples, n_steps, n_inputs)

    @classmethod
    def of_potentials(cls, potentials: NDArray[np.floating]) -> "EventList":
        """Make the output, without spikes, that has these potentials [N, T, O]."""
        return replace(cls.silent(*potentials.shape), potentials=potentials)

    @classmethod
    def of_currents(
        cls, currents: Currents, n_steps: int, n_inputs: int
    ) -> "EventList":
        """Make an input of currents, without spikes."""
        n_samples = currents.offsets.size - 1
        return replace(cls.silent(n_samples, n_steps, n_inputs), currents=currents)

    @classmethod
    def silent(cls, n_samples: int, n_steps: int, n_inputs: int) -> "EventList":
        """Make an event list without spikes."""
        offsets = np.zeros(n_samples * n_steps + 1, dtype=np.int64)
        no_sources = np.empty(0, dtype=source_type(n_inputs))
        return cls(no_sources, offsets, n_samples, n_steps, n_inputs)

    def select(self, samples: slice | NDArray[np.integer]) -> "EventList":
        """Return the events, or the currents, of some samples, in the order given."""
        chosen = np.arange(self.n_samples)[samples]
        rows = (chosen[:, None] * self.n_steps + np.arange(self.n_steps)).reshape(-1)
        places, offsets = places_of(self.offsets, rows)
        currents = None if self.currents is None else self.currents.select(chosen)
        potentials = None if self.potentials is None else self.potentials[chosen]
        return EventList(
            self.sources[places],
            offsets,
            int(chosen.size),
            self.n_steps,
            self.n_inputs,
            currents,
            potentials,
        )


def array_of(values: object, what: str) -> NDArray[Any]:
    """Convert a list, an array or a PyTorch tensor on any device to an array.

    Raises ArtifactError, which names them `what`, unless they are numbers.
    """
    reason = ""
    try:
        array = np.asarray(
            values.detach().cpu() if hasattr(values, "detach") else values
        )
        if array.dtype.kind in "biuf":
            return array
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        reason = f" ({' '.join(str(error).split())})"
    raise ArtifactError(
        f"{what} must be an array of numbers, or a dense tensor that holds them, "
        f"but are a {type(values).__name__}{reason:.200}."
    )


def source_type(n_units: int) -> np.dtype[Any]:
    """Return the type of the numbers of a layer's units."""
    return np.dtype(np.uint16 if n_units <= MAX_SOURCES else np.uint32)


def concatenate_samples(parts: Sequence[EventList]) -> EventList:
    """Join the samples of event lists that have the same steps and units."""
    first = parts[0]
    potentials = [part.potentials for part in parts if part.potentials is not None]
    return EventList(
        np.concatenate([part.sources for part in parts]),
        offsets_of(np.concatenate([np.diff(part.offsets) for part in parts])),
        sum(part.n_samples for part in parts),
        first.n_steps,
        first.n_inputs,
        potentials=np.concatenate(potentials) if potentials else None,
    )


def save_events(path: Path, events: EventList, encoding: Encoding) -> None:
    """Write an event list and its encoding, atomically and deterministically.

    The file holds the sources and, in place of offsets, the length of each row, in two
    bytes: about 10 MB for 10,000 rate-coded digits. Constant currents have arrays of
    their own.

    Args:
        path: the file to write.
        events: the event list.
        encoding: plain values that say how the events were made, for readers to check.
    """
    keys = sorted(encoding)
    texts = [
        json.dumps(encoding[key], default=plain_number, allow_nan=False) for key in keys
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
    """Read a file of :func:`save_events`: the event list and its encoding.

    Raises:
        ArtifactError: the file is missing, damaged or another, or an invariant is
            broken.
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
        keys = arrays["encoding_keys"].tolist()
        texts = arrays["encoding_values"].tolist()
        encoding = {
            key: json.loads(text) for key, text in zip(keys, texts, strict=True)
        }
    except (ArtifactError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path}: {error}: write it again.") from None
    return events, encoding
