"""Products through a connection, in all training steps that compute them densely.

For S products of a matrix (one for each sample and step), with W synapses from n to m
units, of which M products are computed:

    forward            M MACs, weight reads and addresses; n values read
    weight gradients   M MACs, delta reads and addresses; n values read. Each gradient
                       is written once per batch
    deltas             passed back to all layers but the input: MACs, weight reads and
                       addresses; m deltas read

Addresses are those of both layers' units, too, unless products of zeros are skipped;
then the n values are compared with 0. Sums are in registers.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikejoule.energy.operations import OperationCounts, Words, block
from spikejoule.energy.training.arrays import TrainedConnection

Counts = NDArray[np.int64]
Blocks = Iterator[OperationCounts]


def at(
    connection: TrainedConnection, term: str, counts: Counts, words: Words | None = None
) -> Blocks:
    """Count a term at a connection; nothing where it never occurs."""
    if counts.any():
        yield block(term, [connection.name], counts, words or Words())


@dataclass(frozen=True, eq=False)
class Products:
    """The products of a connection over the samples of each epoch.

    Attributes:
        connection: the connection.
        matrices: S, [E, 1].
        computed: M over all S, forward and again for the gradients, [E, 1].
        passed: MACs that pass deltas back, [E, 1].
        values, deltas: the memories of the values before it, and of the deltas after.
        skipping: name of the layer before, whose zeros are skipped; empty if none are.
    """

    connection: TrainedConnection
    matrices: Counts
    computed: Counts
    passed: Counts
    values: Words
    deltas: Words
    skipping: str = ""

    def forward(self) -> Blocks:
        """Count the forward passes."""
        yield from self._multiplied("mac", self.computed)
        yield from self._at("weight_read", self.computed, self.connection.weight_words)
        yield from self._values_read()

    def gradients(self, batches: Counts) -> Blocks:
        """Count the gradients of the weights."""
        written = batches * self.connection.weights
        yield from self._multiplied("gradient_mac", self.computed)
        yield from self._at("delta_read", self.computed, self.deltas)
        yield from self._values_read()
        yield from self._at("gradient_access", written, self.connection.parameter_words)

    def passed_back(self) -> Blocks:
        """Count passing deltas back."""
        if not self.connection.is_first:
            read = self.matrices * self.connection.n_out
            yield from self._multiplied("backpropagation_mac", self.passed)
            yield from self._at(
                "weight_read", self.passed, self.connection.weight_words
            )
            yield from self._at("delta_read", read, self.deltas)

    def _multiplied(self, term: str, macs: Counts) -> Blocks:
        """Count products and the addresses of their operands."""
        yield from self._at(term, macs)
        if self.skipping:
            yield from self._at("address_event", macs)
            return
        units = self.connection.n_in + self.connection.n_out
        yield from self._at("address_mac", macs)
        yield from self._at("address_unit", self.matrices * units)

    def _values_read(self) -> Blocks:
        """Count reading the values before the connection, and finding zeros."""
        read = self.matrices * self.connection.n_in
        yield from self._at("activation_read", read, self.values)
        if self.skipping:
            yield block("zero_comparison", [self.skipping], read)

    def _at(self, term: str, counts: Counts, words: Words | None = None) -> Blocks:
        return at(self.connection, term, counts, words)
