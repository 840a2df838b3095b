"""How the parameters of a network lie in one flat array for the kernels."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from spikejoule.foundation.compiling.arrays import aligned_zeros, padded
from spikejoule.foundation.errors import ArtifactError
from spikejoule.model.architecture import Architecture


@dataclass(frozen=True, eq=False)
class ParameterLayout:
    """Positions of weights and biases in a flat array.

    The weights of a layer lie as [source, padded target]: all synapses that one spike reaches are
    one contiguous row. A layer's bias row follows its weights. Padding holds zeros and stays zero.

    Attributes:
        layers: int64 [L, 6]: number of sources, number of units, stride (padded units), start of
            the weights, start of the bias, index of the layer's first row.
        row_starts, row_lengths: every row in order, int64 [R].
        chunks: bounds of row ranges of about equal size, int64 [C + 1].
        transposed_starts: where the kernels put each layer's transposed weights, int64 [L].
        transposed_size: elements that those need.
        size: elements of the flat array.
    """

    architecture: Architecture
    layers: npt.NDArray[np.int64]
    row_starts: npt.NDArray[np.int64]
    row_lengths: npt.NDArray[np.int64]
    chunks: npt.NDArray[np.int64]
    transposed_starts: npt.NDArray[np.int64]
    transposed_size: int
    size: int

    @classmethod
    def of(cls, architecture: Architecture, n_chunks: int = 32) -> "ParameterLayout":
        """Lay out the parameters of an architecture."""
        sizes = architecture.layer_sizes
        layers: list[tuple[int, ...]] = []
        lengths: list[int] = []
        transposed: list[int] = []
        position = first_row = transposed_size = 0
        for source, target in itertools.pairwise(sizes):
            stride = padded(target)
            bias_start = position + source * stride
            layers.append((source, target, stride, position, bias_start, first_row))
            lengths += [stride] * (source + 1)
            transposed.append(transposed_size)
            if len(layers) > 1:
                transposed_size += target * layers[-2][2]
            position = bias_start + stride
            first_row += source + 1
        row_lengths = np.array(lengths, dtype=np.int64)
        row_ends = np.cumsum(row_lengths)
        targets = np.arange(1, n_chunks) * position / n_chunks
        bounds = np.searchsorted(row_ends, targets)
        chunks = np.array([0, *bounds, row_lengths.size], dtype=np.int64)
        return cls(
            architecture,
            np.array(layers, dtype=np.int64),
            row_ends - row_lengths,
            row_lengths,
            chunks,
            np.array(transposed, dtype=np.int64),
            transposed_size,
            position,
        )

    def _places(self, flat: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """Views of the flat array under the names and shapes of the state dict."""
        views: dict[str, npt.NDArray[Any]] = {}
        for number, row in enumerate(self.layers, start=1):
            source, target, stride, weight_start, bias_start, _ = (int(value) for value in row)
            weights = flat[weight_start:bias_start].reshape(source, stride)
            views[f"layer{number}.synapses.weight"] = weights[:, :target].T
            views[f"layer{number}.synapses.bias"] = flat[bias_start : bias_start + target]
        return views

    def pack(self, state: Mapping[str, npt.NDArray[Any]], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
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
        self, masks: Mapping[str, npt.NDArray[np.bool_]], dtype: npt.DTypeLike
    ) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
        """Ones for all parameters but the masked synapses, and the synapses left of every row.

        Args:
            masks: by the name of a weight matrix, False where a synapse is removed.
            dtype: of the ones and zeros.
        """
        kept = aligned_zeros((self.size,), dtype)
        kept[:] = 1
        fan_outs = np.zeros(self.row_starts.size, dtype=np.int64)
        for number, row in enumerate(self.layers, start=1):
            source, target, stride, weight_start, bias_start, first_row = (int(v) for v in row)
            mask = masks.get(f"layer{number}.synapses.weight")
            if mask is not None:
                kept[weight_start:bias_start].reshape(source, stride)[:, :target] = mask.T
            fan_outs[first_row : first_row + source] = (
                target if mask is None else np.count_nonzero(mask, axis=0)
            )
        return kept, fan_outs

    def unpack(self, flat: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
        """State dict of a flat array; the arrays are contiguous copies."""
        return {name: np.array(place, order="C") for name, place in self._places(flat).items()}
