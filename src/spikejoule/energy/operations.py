"""Operations: integers by sample, term and place.

Every network is counted in one form (`OperationCounts`), so that all are priced alike: a spiking
one in `energy.spiking`, a conventional one in `energy.conventional`, training in `energy.training`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikejoule.energy.terms import TERMS
from spikejoule.network.quantisation import FLOAT_BITS

INFERENCE: Final = "inference"
IMAGE: Final = "image"
"""The place of what makes the pixels that a network reads."""

PIXEL_BITS = 8
"""Width of a pixel."""


@dataclass(frozen=True)
class Column:
    """One term at one place: a layer's name, or a connection's such as ``input_to_hidden``.

    Attributes:
        term: what is counted, a row of `terms.TERMS`; ValueError for another.
        place: where.
        bits: width of what is read, written or computed.
        memory_bits: size of the memory that a word is read from or written to; 0 where the term is
            no word of a memory.
        parameters_bits: of a weight, an index or a bias: what the layer's parameters take together.
        phase: ``inference``, or one of training's.
    """

    term: str
    place: str
    bits: int = FLOAT_BITS
    memory_bits: int = 0
    parameters_bits: int = 0
    phase: str = INFERENCE

    def __post_init__(self) -> None:
        if self.term not in TERMS:
            raise ValueError(f"{self.term!r} has no row in the table of terms")


@dataclass(frozen=True, eq=False)
class OperationCounts:
    """Operations of N samples, or of one inference on average.

    Attributes:
        columns: C columns, a term at a place each.
        counts: int64 [N, C]; of a mean whose samples are not known one by one, float64 [1, C].
        time_window: T; 1 for a conventional network.
    """

    columns: tuple[Column, ...]
    counts: NDArray[Any]
    time_window: int = 1

    @property
    def n_images(self) -> int | None:
        """N; None of a mean."""
        return None if self.counts.dtype.kind == "f" else len(self.counts)

    @property
    def means(self) -> NDArray[np.float64]:
        """Operations of one inference on average, float64 [C]."""
        found: NDArray[np.float64] = self.counts.mean(axis=0)
        return found

    def of(self, *terms: str) -> NDArray[Any]:
        """Counts of some terms, [N, places of the terms]."""
        return self.counts[:, [column.term in terms for column in self.columns]]


def block(
    term: str,
    places: Sequence[str],
    counts: ArrayLike,
    bits: ArrayLike = FLOAT_BITS,
    words: ArrayLike = 0,
    parameters: ArrayLike = 0,
) -> OperationCounts:
    """A term at its places; `bits`, `words` and `parameters` of each place, or of all.

    Args:
        term: what is counted.
        places: P places.
        counts: [N, P], or [P] or a number of all samples.
        bits: width of what is read, written or computed.
        words: that the memory holds; 0 where the term is no word of a memory.
        parameters: bits of all parameters of the layer.
    """
    widths, held, stored = np.broadcast_arrays(bits, words, parameters, np.empty(len(places)))[:3]
    columns = tuple(
        Column(term, place, int(width), int(width) * int(n), int(n_bits))
        for place, width, n, n_bits in zip(places, widths, held, stored, strict=True)
    )
    return OperationCounts(columns, np.atleast_2d(counts))


def joined(
    parts: Iterable[OperationCounts], n_samples: int, time_window: int = 1
) -> OperationCounts:
    """Counts of N samples beside each other; those of one row are of each sample."""
    kept = [one for one in parts if one.columns]
    counts = [np.broadcast_to(one.counts, (n_samples, len(one.columns))) for one in kept]
    columns = tuple(column for one in kept for column in one.columns)
    return OperationCounts(columns, np.hstack(counts), time_window)


def address_bits(n_units: int) -> int:
    """Bits that tell n units apart, at least 1."""
    return max(1, (n_units - 1).bit_length())


def averaging(operations: OperationCounts, side: int, n_pixels: int) -> OperationCounts:
    """Operations with those that make the pixels a network reads, if they are means of squares.

    Of a square every pixel is read and added, and half of their number to round; dividing by a
    power of two is no operation. The mean is written to where the network reads it.

    Args:
        operations: of the network, on any side.
        side: of the squares, in pixels; 1 if pixels are read as they are.
        n_pixels: that the network reads.
    """
    if side == 1:
        return operations
    made = made_pixels(IMAGE, side**2 * n_pixels, n_pixels, PIXEL_BITS, "code_addition")
    return joined([*made, operations], len(operations.counts), operations.time_window)


def made_pixels(
    place: str, n_read: int, n_written: int, bits: int, *computed: str
) -> Iterator[OperationCounts]:
    """What making pixels of others takes: each is read, goes through some terms, and is written."""
    yield block("pixel_read", [place], [n_read], PIXEL_BITS, n_read)
    for term in computed:
        yield block(term, [place], [n_read])
    yield block("activation_write", [place], [n_written], bits, n_written)
