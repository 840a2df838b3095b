"""How the parameters of a network lie in one flat array for the kernels."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from spikejoule.engine.kernels.structures import Layer, ParameterRows
from spikejoule.foundation.compiling.arrays import aligned_zeros, padded
from spikejoule.foundation.errors import ArtifactError
from spikejoule.model.architecture import Architecture


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
        size: elements of the flat array.
    """

    architecture: Architecture
    layers: tuple[Layer, ...]
    rows: ParameterRows
    transposed_size: int
    size: int

    @classmethod
    def of(cls, architecture: Architecture, n_chunks: int = 32) -> "ParameterLayout":
        """Lay out the parameters of an architecture."""
        sizes = architecture.layer_sizes
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
            lengths += [layer.stride] * source + [layer.stride * architecture.neuron.has_bias]
            if layers:
                transposed_size += target * layers[-1].stride
            position = layer.bias_start + layer.stride
            first_row += source + 1
            layers.append(layer)
        row_starts, row_lengths = (np.array(rows, dtype=np.int64) for rows in (starts, lengths))
        targets = np.arange(1, n_chunks) * position / n_chunks
        bounds = np.searchsorted(row_starts + row_lengths, targets)
        chunks = np.array([0, *bounds, row_lengths.size], dtype=np.int64)
        rows = ParameterRows(row_starts, row_lengths, chunks)
        return cls(architecture, tuple(layers), rows, transposed_size, position)

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
            if self.architecture.neuron.has_bias:
                biases = flat[layer.bias_start : layer.bias_start + layer.n_units]
                views[f"layer{number}.synapses.bias"] = biases
        return views

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
        return {name: np.array(place, order="C") for name, place in self._places(flat).items()}
