"""Operations by sample, term and place: the form in which every network is counted.

`energy.spiking_operations` counts a spiking network in this form, `energy.baseline_operations` a
conventional one; `energy.pricing` prices both alike.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Column:
    """One term at one place: a layer's name, or a connection's such as ``input_to_hidden``.

    Attributes:
        term: what is counted.
        place: where.
        bits: width of what is read, written or computed.
        memory_bits: size of the memory that a word is read from or written to; 0 where the term is
            no word of a memory.
        parameters_bits: of a weight, an index or a bias: what the layer's parameters take together.
    """

    term: str
    place: str
    bits: int = 32
    memory_bits: int = 0
    parameters_bits: int = 0


@dataclass(frozen=True, eq=False)
class OperationCounts:
    """Operations of N samples.

    Attributes:
        columns: C columns, a term at a place each.
        counts: int64 [N, C].
        time_window: T; 1 for a conventional network.
        lazy_updates: neuron updates that event-driven hardware makes (`measure.lazy_updates`), of
            each layer after the input, int64 [N, L - 1]; None where they were not counted.
    """

    columns: tuple[Column, ...]
    counts: NDArray[np.int64]
    time_window: int
    lazy_updates: NDArray[np.int64] | None = None

    @property
    def means(self) -> NDArray[np.float64]:
        """Operations of one inference on average, float64 [C], as of `MeanOperations`."""
        found: NDArray[np.float64] = self.counts.mean(axis=0)
        return found

    def of(self, term: str) -> NDArray[np.int64]:
        """Counts of a term, int64 [N, places of the term]."""
        return self.counts[:, [column.term == term for column in self.columns]]


@dataclass(frozen=True, eq=False)
class MeanOperations:
    """Operations of one inference on average, for networks whose spikes are known as means alone.

    Attributes:
        columns: C columns.
        means: float64 [C].
        time_window: T.
    """

    columns: tuple[Column, ...]
    means: NDArray[np.float64]
    time_window: int


@dataclass(frozen=True, eq=False)
class Block:
    """A term at its places: P columns, and counts [N, P] (or [P], the same for all samples)."""

    columns: tuple[Column, ...]
    counts: NDArray[Any]


def joined(blocks: Iterable[Block], n_samples: int) -> tuple[tuple[Column, ...], NDArray[Any]]:
    """The columns of some blocks, and their counts [N, C]."""
    kept = [block for block in blocks if block.columns]
    counts = [np.broadcast_to(block.counts, (n_samples, len(block.columns))) for block in kept]
    return tuple(column for block in kept for column in block.columns), np.hstack(counts)


def address_bits(n_units: int) -> int:
    """Bits that tell n units apart, at least 1."""
    return max(1, (n_units - 1).bit_length())
