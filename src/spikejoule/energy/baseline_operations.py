"""Counting the operations of a conventional network's inference: by sample, term and place.

For a ReLU network of layers 0 (input) to L - 1 (scores) with n_l units, W_l weights that are left
between layer l and the next, A_l activations of layer l that are not zero, and M_l products of an
activation and a weight that are both not zero,

                            dense               zero-skipping
    multiply-accumulates    W_l                 M_l
    weight reads            W_l                 M_l      and the index of its target beside it where
                                                         weights were removed
    addresses               n_l + n_l+1 units,  M_l      as of a spiking network's events: which
                            W_l weights                  weights are needed is not known before
    comparisons with zero   none                n_l      to find the activations that are
    activation reads        n_l, or W_l where   n_l
                            weights were removed
    sum reads and writes    none                2 M_l    like a potential's for each event, if a sum
                                                         is no register

A dense network makes one sum after the other in a register, and reads an activation once for all of
them; where weights were removed, each that is left asks for its own. Who skips zeros takes one
activation after the other, as a spiking network takes its events, and adds to all of its sums.

For both, in every layer after the input: n_l bias additions and bias reads, n_l activations
written; a comparison (ReLU) for each hidden unit, and in integers a requantisation; n_(L-1) - 1
comparisons of scores.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
from spikejoule.energy import terms
from spikejoule.energy.operations import Block, Column, OperationCounts, address_bits, joined
from spikejoule.model.architecture import Architecture
from spikejoule.model.quantisation import FLOAT_BITS

Method = Literal["dense", "zero_skipping"]
DENSE: Final = "dense"
ZERO_SKIPPING: Final = "zero_skipping"
METHODS: Final[tuple[Method, ...]] = (DENSE, ZERO_SKIPPING)

_ACCUMULATOR_BITS = 32


def count_baseline(baseline: BaselineCounts, method: Method, n_samples: int) -> OperationCounts:
    """What inference on the first N images takes.

    Args:
        baseline: the network.
        method: whether it takes every product, or leaves out those with a zero.
        n_samples: N.

    Raises:
        ArtifactError: it was counted on fewer images.
    """
    counted = len(baseline.macs_nonzero)
    if counted < n_samples:
        raise ArtifactError(
            f"the baseline {baseline.name} was counted on {counted:,} test images, but the network "
            f"on {n_samples:,}: run the baseline stage again."
        )
    columns, counts = joined(_blocks(baseline, method, n_samples), n_samples)
    return OperationCounts(columns, counts, 1)


def _blocks(baseline: BaselineCounts, method: Method, n_samples: int) -> Iterator[Block]:
    at = _Places(baseline)
    skips = method == ZERO_SKIPPING
    sizes = np.array(baseline.layer_sizes, dtype=np.int64)
    synapses = np.array(baseline.synapses, dtype=np.int64)
    sources, targets = sizes[:-1], sizes[1:]
    products: NDArray[np.int64] = baseline.macs_nonzero[:n_samples] if skips else synapses
    yield Block(at.connections(terms.MAC, baseline.weight_bits), products)
    yield Block(at.layers(terms.BIAS_ADDITION), targets)
    yield Block(at.layers(terms.ACTIVATION_COMPARISON)[:-1], targets[:-1])
    if baseline.weight_bits < FLOAT_BITS:
        yield Block(at.layers(terms.REQUANTISATION)[:-1], targets[:-1])
    if skips:
        yield Block(at.sources(terms.ZERO_COMPARISON), sources)
        yield Block(at.connections(terms.ADDRESS_EVENT), products)
    else:
        yield Block(at.connections(terms.ADDRESS_UNIT), sources + targets)
        yield Block(at.connections(terms.ADDRESS_MAC), products)
    yield Block(at.weights(terms.WEIGHT_READ), products)
    if baseline.pruned:
        yield Block(at.indices(terms.INDEX_READ), products)
    yield Block(at.biases(terms.BIAS_READ), targets)
    gathered = baseline.pruned and not skips
    yield Block(at.activations(terms.ACTIVATION_READ)[:-1], synapses if gathered else sources)
    if skips:
        yield Block(at.sums(terms.SUM_ACCESS_PER_MAC), 2 * products)
    yield Block(at.activations(terms.ACTIVATION_WRITE)[1:], targets)
    yield Block(at.layers(terms.DECISION_COMPARISON)[-1:], targets[-1:] - 1)


@dataclass(frozen=True)
class _Places:
    """The columns of a term at every place where it occurs, with their widths and memories."""

    baseline: BaselineCounts

    @property
    def _names(self) -> Architecture:
        """For the names of layers and connections."""
        first, *hidden, last = self.baseline.layer_sizes
        return Architecture(first, tuple(hidden), last)

    @property
    def _bias_bits(self) -> int:
        return FLOAT_BITS if self.baseline.weight_bits == FLOAT_BITS else _ACCUMULATOR_BITS

    @property
    def _index_bits(self) -> list[int]:
        return [
            address_bits(n) if self.baseline.pruned else 0 for n in self.baseline.layer_sizes[1:]
        ]

    @property
    def _parameters(self) -> list[int]:
        return [
            synapses * (self.baseline.weight_bits + index) + n * self._bias_bits
            for synapses, index, n in zip(
                self.baseline.synapses, self._index_bits, self.baseline.layer_sizes[1:], strict=True
            )
        ]

    def connections(self, term: str, bits: int = FLOAT_BITS) -> tuple[Column, ...]:
        return tuple(Column(term, name, bits) for name in self._names.connection_names)

    def layers(self, term: str) -> tuple[Column, ...]:
        return tuple(Column(term, name) for name in self._names.layer_names[1:])

    def sources(self, term: str) -> tuple[Column, ...]:
        return tuple(Column(term, name) for name in self._names.layer_names[:-1])

    def weights(self, term: str) -> tuple[Column, ...]:
        return self._parameters_of(term, [self.baseline.weight_bits] * len(self.baseline.synapses))

    def indices(self, term: str) -> tuple[Column, ...]:
        return self._parameters_of(term, self._index_bits)

    def _parameters_of(self, term: str, widths: list[int]) -> tuple[Column, ...]:
        entries = zip(
            self._names.connection_names,
            self.baseline.synapses,
            widths,
            self._parameters,
            strict=True,
        )
        return tuple(
            Column(term, name, bits, synapses * bits, parameters)
            for name, synapses, bits, parameters in entries
        )

    def biases(self, term: str) -> tuple[Column, ...]:
        entries = zip(
            self._names.layer_names[1:],
            self.baseline.layer_sizes[1:],
            self._parameters,
            strict=True,
        )
        return tuple(
            Column(term, name, self._bias_bits, n * self._bias_bits, parameters)
            for name, n, parameters in entries
        )

    def sums(self, term: str) -> tuple[Column, ...]:
        names = zip(self._names.connection_names, self.baseline.layer_sizes[1:], strict=True)
        return tuple(
            Column(term, name, _ACCUMULATOR_BITS, n * _ACCUMULATOR_BITS) for name, n in names
        )

    def activations(self, term: str) -> tuple[Column, ...]:
        """Of every layer; the last one's are scores, as wide as what they are summed in."""
        names = self._names.layer_names
        widths = [*[self.baseline.activation_bits] * (len(names) - 1), _ACCUMULATOR_BITS]
        entries = zip(names, self.baseline.layer_sizes, widths, strict=True)
        return tuple(Column(term, name, bits, n * bits) for name, n, bits in entries)
