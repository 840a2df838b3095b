"""How the parameters of a network lie in one flat array for the kernels."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.compiling.emit import LANES, aligned_zeros, padded
from spikejoule.core.errors import ArtifactError
from spikejoule.engine.kernels.structures import DECAY_PLACE, THRESHOLD_PLACE, Layer, ParameterRows
from spikejoule.network.network import Network
from spikejoule.network.neurons.lif import DECAY_LOGIT, LOG_THRESHOLD

COPIED_COLUMNS = 256
"""Columns of a block that is copied: half of the first cache holds a line of each."""

LEARNED_PLACES = {DECAY_LOGIT: DECAY_PLACE, LOG_THRESHOLD: THRESHOLD_PLACE}
"""Where neurons' own parameters lie in a layer's row of them."""


@dataclass(frozen=True, eq=False)
class ParameterLayout:
    """Positions of weights and biases in a flat array.

    The weights of a layer lie as [source, padded target]: all synapses that one spike reaches are
    one contiguous row. A layer's bias row follows its weights. Padding holds zeros and stays zero.
    Without biases the bias rows are there, of zeros, but have no length among the rows: neither the
    norm of the gradient nor the optimizer sees them.

    Attributes:
        layers: the places of each layer's parameters.
        rows: every row of parameters in order, in chunks of about equal size.
        transposed_size: elements that the transposed weights of all layers but the first need.
        learned_start: first element of the neurons' own parameters, a vector for each layer after
            all weights and biases; -1 if they learn none.
        size: elements of the flat array.
    """

    network: Network
    layers: tuple[Layer, ...]
    rows: ParameterRows
    transposed_size: int
    learned_start: int
    size: int

    @classmethod
    def of(cls, network: Network) -> "ParameterLayout":
        """Lay out the parameters of a network."""
        sizes = network.layer_sizes
        layers: list[Layer] = []
        starts: list[int] = []
        lengths: list[int] = []
        position = first_row = transposed_size = 0
        for source, target in itertools.pairwise(sizes):
            layer = Layer(
                n_sources=source,
                n_units=target,
                stride=padded(target),
                weight_start=position,
                bias_start=position + source * padded(target),
                first_row=first_row,
                transposed_start=transposed_size,
            )
            starts += [position + row * layer.stride for row in range(source + 1)]
            lengths += [layer.stride] * source + [layer.stride * network.neuron.has_bias]
            if layers:
                transposed_size += target * layers[-1].stride
            position = layer.bias_start + layer.stride
            first_row += source + 1
            layers.append(layer)
        learned_start = -1
        if network.neuron.learned_names:
            learned_start = position
            starts += [position + number * LANES for number in range(len(layers))]
            lengths += [LANES] * len(layers)
            position += len(layers) * LANES
        rows = rows_in_chunks(starts, lengths, position)
        return cls(network, tuple(layers), rows, transposed_size, learned_start, position)

    @property
    def learned_row(self) -> int:
        """Index of the row of the first layer's learned parameters, if there are any."""
        return self.rows.starts.size - len(self.layers)

    @property
    def table(self) -> NDArray[np.int64]:
        """The layers as the kernels take them, [L, fields of Layer]."""
        return np.array(self.layers, dtype=np.int64)

    @staticmethod
    def _weights(flat: NDArray[Any], layer: Layer) -> NDArray[Any]:
        """View of a layer's weights in the flat array, [target, source]."""
        weights = flat[layer.weight_start : layer.bias_start]
        return weights.reshape(layer.n_sources, layer.stride)[:, : layer.n_units].T

    def _places(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Views of the flat array under the names and shapes of the state dict."""
        views: dict[str, NDArray[Any]] = {}
        for number, layer in enumerate(self.layers, start=1):
            views[f"layer{number}.synapses.weight"] = self._weights(flat, layer)
            if self.network.neuron.has_bias:
                biases = flat[layer.bias_start : layer.bias_start + layer.n_units]
                views[f"layer{number}.synapses.bias"] = biases
        return views | self.learned(flat)

    def learned(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Views of the neurons' own parameters alone, under their names in the state dict."""
        return {
            f"layer{number}.neurons.{name}": flat[place : place + 1]
            for number, start in enumerate(
                range(self.learned_start, self.size, LANES) if self.learned_start >= 0 else (), 1
            )
            for name in self.network.neuron.learned_names
            for place in [start + LEARNED_PLACES[name]]
        }

    def pack(self, state: Mapping[str, NDArray[Any]], dtype: DTypeLike) -> NDArray[Any]:
        """Flat array of a state dict (weights [target, source]).

        Raises:
            ArtifactError: a parameter is missing or of another shape.
        """
        flat = aligned_zeros((self.size,), dtype)
        for name, place in self._places(flat).items():
            given = state[name].shape if name in state else "nothing"
            if given != place.shape:
                raise ArtifactError(f"{name} must be of shape {place.shape}, but is of {given}")
            place[...] = state[name]
        return flat

    def pack_masks(
        self, masks: Mapping[str, NDArray[np.bool_]], dtype: DTypeLike
    ) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Ones for all parameters but the masked synapses, and the synapses left of every row.

        Args:
            masks: by the name of a weight matrix, False where a synapse is removed.
            dtype: of the ones and zeros.
        """
        kept = aligned_zeros((self.size,), dtype)
        kept[:] = 1
        fan_outs = np.zeros(self.rows.starts.size, dtype=np.int64)
        for number, layer in enumerate(self.layers, start=1):
            rows = slice(layer.first_row, layer.first_row + layer.n_sources)
            fan_outs[rows] = layer.n_units
            mask = masks.get(f"layer{number}.synapses.weight")
            if mask is not None:
                self._weights(kept, layer)[...] = mask
                fan_outs[rows] = np.count_nonzero(mask, axis=0)
        return kept, fan_outs

    def unpack(self, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """State dict of a flat array; the arrays are contiguous copies."""
        return {name: _contiguous(place) for name, place in self._places(flat).items()}


def rows_in_chunks(
    starts: Sequence[int], lengths: Sequence[int], size: int, n_chunks: int = 32
) -> ParameterRows:
    """Rows of parameters that follow one another, in chunks of about equal size."""
    row_starts, row_lengths = (np.array(rows, dtype=np.int64) for rows in (starts, lengths))
    targets = np.arange(1, n_chunks) * size / n_chunks
    bounds = np.searchsorted(row_starts + row_lengths, targets)
    chunks = np.array([0, *bounds, row_lengths.size], dtype=np.int64)
    return ParameterRows(row_starts, row_lengths, chunks)


def _contiguous(place: NDArray[Any]) -> NDArray[Any]:
    """A copy, made in blocks of columns: what a transposed place reads stays in the cache."""
    copy = np.empty(place.shape, place.dtype)
    for first in range(0, place.shape[-1], COPIED_COLUMNS):
        columns = np.s_[..., first : first + COPIED_COLUMNS]
        copy[columns] = place[columns]
    return copy
