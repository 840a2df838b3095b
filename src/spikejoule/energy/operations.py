"""Operation counts: integers by sample, term and place, with the widths they have.

Every network is counted in this form by `count`, and its training by `training`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from spikejoule.energy.terms import TERMS
from spikejoule.network.quantisation import FLOAT_BITS

INFERENCE: Final = "inference"

DATA: Final = "data"
FORWARD: Final = "forward"
BACKWARD: Final = "backward"
OPTIMIZER: Final = "optimizer"
PHASES: Final = (DATA, FORWARD, BACKWARD, OPTIMIZER)
"""The phases of training."""

TRAINING: Final = "training"
"""All phases of training together."""

PIXEL_BITS: Final = 8


@dataclass(frozen=True)
class Column:
    """One term in one place: a layer, or a connection such as ``input_to_hidden``.

    Attributes:
        term: the operation, a row of `terms.TERMS`; ValueError for any other.
        place: where.
        bits: width of what is read, written or computed.
        memory_bits: size of the memory that is accessed; 0 if none is.
        parameters_bits: size of all parameters of the layer together, for reads of
            weights, indices and biases.
        phase: ``inference``, or a phase of training.
        product_bits: of a multiplication, the product of the widths of its factors.
        sum_bits: of an addition or comparison, the width of its result.
    """

    term: str
    place: str
    bits: int = FLOAT_BITS
    memory_bits: int = 0
    parameters_bits: int = 0
    phase: str = INFERENCE
    product_bits: int = FLOAT_BITS**2
    sum_bits: int = FLOAT_BITS

    def __post_init__(self) -> None:
        if self.term not in TERMS:
            raise ValueError(f"{self.term!r} has no row in the table of terms")


@dataclass(frozen=True, eq=False)
class OperationCounts:
    """Operations of N samples, or of an average inference.

    Attributes:
        columns: C columns.
        counts: int64 [N, C]; float64 [1, C] for a mean of unknown samples.
        time_window: T; 1 for a conventional network.
        exit_steps: steps after which each sample stopped, [N]; None without early exit.
    """

    columns: tuple[Column, ...]
    counts: NDArray[Any]
    time_window: int = 1
    exit_steps: NDArray[Any] | None = None

    @property
    def n_images(self) -> int | None:
        """N; None for a mean."""
        return None if self.counts.dtype.kind == "f" else len(self.counts)

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean operations of an inference, float64 [C]."""
        means: NDArray[np.float64] = self.counts.mean(axis=0)
        return means

    @property
    def as_mean(self) -> Self:
        """The mean alone, as counts of one average inference."""
        exits = self.exit_steps
        steps = None if exits is None else exits.mean(keepdims=True)
        return replace(self, counts=self.means[None], exit_steps=steps)

    @property
    def steps_run(self) -> NDArray[Any]:
        """Steps that each sample ran, [N]; [1] if all ran the whole window."""
        if self.exit_steps is None:
            return np.array([self.time_window])
        return self.exit_steps

    def of_samples(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the counts of some samples, chosen [N]."""
        exits = self.exit_steps
        steps = None if exits is None else exits[chosen]
        return replace(self, counts=self.counts[chosen], exit_steps=steps)

    def of(self, *terms: str) -> NDArray[Any]:
        """Return the counts of some terms, [N, columns of these terms]."""
        return self.counts[:, [column.term in terms for column in self.columns]]

    def mean_of(self, term: str) -> float:
        """Return the mean count of a term per inference."""
        return float(self.of(term).sum(axis=1).mean())


class Words(NamedTuple):
    """Width and storage of what an operation handles; scalars, or one value per place.

    Attributes:
        bits: width of what is read, written or computed.
        held: words in the memory that is accessed; 0 if none is.
        parameters_bits: size of all parameters of the layer together.
        product_bits, sum_bits: widths of arithmetic, as in `Column`.
    """

    bits: ArrayLike = FLOAT_BITS
    held: ArrayLike = 0
    parameters_bits: ArrayLike = 0
    product_bits: ArrayLike = FLOAT_BITS**2
    sum_bits: ArrayLike = FLOAT_BITS


_NO_MEMORY = Words()


def arithmetic(bits: ArrayLike) -> Words:
    """Return the widths of arithmetic whose operands and results have these bits."""
    return Words(product_bits=np.square(bits), sum_bits=bits)


def block(
    term: str, places: Sequence[str], counts: ArrayLike, words: Words = _NO_MEMORY
) -> OperationCounts:
    """Count a term in P places.

    Args:
        term: the operation.
        places: P layers or connections.
        counts: [N, P]; or [P] or a number, for every sample.
        words: width and memory.
    """
    at_places = np.empty(len(places))
    *widths, _ = np.broadcast_arrays(*words, at_places)
    columns = []
    for place, *of_place in zip(places, *widths, strict=True):
        bits, held, parameters_bits, product_bits, sum_bits = map(int, of_place)
        columns.append(
            Column(
                term,
                place,
                bits,
                memory_bits=bits * held,
                parameters_bits=parameters_bits,
                product_bits=product_bits,
                sum_bits=sum_bits,
            )
        )
    return OperationCounts(tuple(columns), np.atleast_2d(counts))


def joined(
    parts: Iterable[OperationCounts], n_samples: int, time_window: int = 1
) -> OperationCounts:
    """Join counts of N samples column by column; single rows hold for every sample."""
    kept = [part for part in parts if part.columns]
    counts = [
        np.broadcast_to(part.counts, (n_samples, len(part.columns))) for part in kept
    ]
    columns = tuple(column for part in kept for column in part.columns)
    return OperationCounts(columns, np.hstack(counts), time_window)


def address_bits(n_units: int) -> int:
    """Return the bits that number n units, at least 1."""
    return max(1, (n_units - 1).bit_length())
