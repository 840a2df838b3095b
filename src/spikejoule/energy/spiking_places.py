"""Where a spiking network's operations happen: columns with their widths and memories."""

from collections.abc import Sequence
from dataclasses import dataclass

from spikejoule.energy.operations import Column, address_bits
from spikejoule.model.architecture import Architecture
from spikejoule.model.quantisation import FLOAT_BITS


@dataclass(frozen=True)
class SpikingPlaces:
    """The columns of a term at every place where it occurs, with their widths and memories."""

    architecture: Architecture
    synapses: tuple[int, ...] | None
    keeps_sums: bool

    @property
    def weight_bits(self) -> int:
        widths = self.architecture.quantisation
        return FLOAT_BITS if widths is None else widths.weight_bits

    @property
    def state_bits(self) -> int:
        """Of potentials, and of the biases that are added to them."""
        widths = self.architecture.quantisation
        return FLOAT_BITS if widths is None else widths.state_bits

    @property
    def _targets(self) -> tuple[int, ...]:
        return self.architecture.layer_sizes[1:]

    @property
    def _index_bits(self) -> list[int]:
        """Width of the index of a target, by connection; 0 where all synapses are in place."""
        return [0 if self.synapses is None else address_bits(n) for n in self._targets]

    @property
    def _stored(self) -> tuple[int, ...]:
        return self.architecture.synapses if self.synapses is None else self.synapses

    @property
    def _parameters(self) -> list[int]:
        """Bits of the weights, indices, and biases or kept sums of each layer after the input."""
        has_bias = self.architecture.neuron.has_bias
        return [
            synapses * (self.weight_bits + index)
            + n * self.state_bits * (has_bias or (self.keeps_sums and layer == 0))
            for layer, (synapses, index, n) in enumerate(
                zip(self._stored, self._index_bits, self._targets, strict=True)
            )
        ]

    def connections(self, term: str) -> tuple[Column, ...]:
        return tuple(Column(term, name) for name in self.architecture.connection_names)

    def layers(self, term: str) -> tuple[Column, ...]:
        return self.every_layer(term)[1:]

    def every_layer(self, term: str) -> tuple[Column, ...]:
        return tuple(Column(term, name) for name in self.architecture.layer_names)

    def weights(self, term: str) -> tuple[Column, ...]:
        return tuple(
            Column(term, name, self.weight_bits, synapses * self.weight_bits, parameters)
            for name, synapses, parameters in zip(
                self.architecture.connection_names, self._stored, self._parameters, strict=True
            )
        )

    def indices(self, term: str) -> tuple[Column, ...]:
        """None where all synapses are in place: they are read in their order."""
        if self.synapses is None:
            return ()
        return tuple(
            Column(term, name, bits, synapses * bits, parameters)
            for name, synapses, bits, parameters in zip(
                self.architecture.connection_names,
                self._stored,
                self._index_bits,
                self._parameters,
                strict=True,
            )
        )

    def biases(self, term: str) -> tuple[Column, ...]:
        return tuple(
            Column(term, name, self.state_bits, n * self.state_bits, parameters)
            for name, n, parameters in zip(
                self.architecture.layer_names[1:], self._targets, self._parameters, strict=True
            )
        )

    def states(self, term: str) -> tuple[Column, ...]:
        return self._with_states(term, self.architecture.layer_names[1:])

    def states_of_connections(self, term: str) -> tuple[Column, ...]:
        return self._with_states(term, self.architecture.connection_names)

    def _with_states(self, term: str, places: Sequence[str]) -> tuple[Column, ...]:
        return tuple(
            Column(term, place, self.state_bits, n * self.state_bits)
            for place, n in zip(places, self._targets, strict=True)
        )

    def queues(self, term: str) -> tuple[Column, ...]:
        """A queue holds a spike of every unit of its layer."""
        sizes = zip(self.architecture.layer_names, self.architecture.layer_sizes, strict=True)
        return tuple(Column(term, name, address_bits(n), n * address_bits(n)) for name, n in sizes)
