"""Parameters and values of a fully connected ReLU network in the kernels' arrays."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling.emit import aligned_zeros, padded
from spikejoule.network.network import State
from spikejoule.training.relu.kernels.arrays import (
    Grids,
    Layer,
    Lists,
    Weights,
    Workspace,
)
from spikejoule.training.relu.kernels.forward import run_forward


class ReluLayout:
    """Positions of parameters and values in flat arrays.

    Args:
        shapes: shapes of all parameters by name, in the order of the layers.

    Attributes:
        layers: the positions.
        table: the same as the kernels take it, int64 [L, fields of `Layer`].
        size: parameters, padded, P.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self._names: list[tuple[str, str | None]] = []
        self.layers: list[Layer] = []
        self.size = 0
        n_units_before = 0
        n_rows_before = 0
        for name, shape in shapes.items():
            if not name.endswith("weight"):
                continue
            bias = name.replace("weight", "bias")
            has_bias = bias in shapes
            self._names.append((name, bias if has_bias else None))
            n_units, n_sources = shape
            layer = Layer(
                n_sources=n_sources,
                n_units=n_units,
                stride=padded(n_units),
                n_rows=n_sources + has_bias,
                start=self.size,
                unit_start=n_units_before,
                source_start=n_rows_before,
            )
            self.layers.append(layer)
            self.size += layer.n_rows * layer.stride
            n_units_before += layer.stride
            # One spare element: what is listed last may be overwritten.
            n_rows_before += layer.n_rows + 1
        self._n_units = n_units_before
        self._n_listed = n_rows_before
        self.table = np.array(self.layers, dtype=np.int64)

    def flat(self, state: State) -> NDArray[np.float32]:
        """Return the parameters of a state as one array, float32 [P]."""
        parameters = aligned_zeros((self.size,), np.float32)
        for layer, (name, bias) in zip(self.layers, self._names, strict=True):
            rows = self._rows(parameters, layer)
            rows[: layer.n_sources, : layer.n_units] = state[name].T
            if bias is not None:
                rows[layer.n_sources, : layer.n_units] = state[bias]
        return parameters

    def state(self, parameters: NDArray[np.float32]) -> State:
        """Return a copy of flat parameters by name, weights as [target, source]."""
        state = {}
        for layer, (name, bias) in zip(self.layers, self._names, strict=True):
            rows = self._rows(parameters, layer)[:, : layer.n_units]
            state[name] = rows[: layer.n_sources].T.copy()
            if bias is not None:
                state[bias] = rows[layer.n_sources].copy()
        return state

    @staticmethod
    def _rows(parameters: NDArray[np.float32], layer: Layer) -> NDArray[np.float32]:
        end = layer.start + layer.n_rows * layer.stride
        return parameters[layer.start : end].reshape(layer.n_rows, layer.stride)

    def weights(
        self, seen: NDArray[np.float32], levels: NDArray[np.float32], grids: Grids
    ) -> Weights:
        """Return a network as the kernels take it; see `Weights`."""
        pairs = zip(self.layers, self.layers[1:], strict=False)
        largest = max(after.n_units * layer.stride for layer, after in pairs)
        transposed = aligned_zeros((largest,), np.float32)
        return Weights(self.table, seen, transposed, levels, grids)

    def workspace(self, batch_size: int) -> Workspace:
        """Return scratch memory for batches of up to `batch_size` samples."""
        n_layers = len(self.layers)
        n_values = batch_size * self._n_units
        n_listed = batch_size * self._n_listed
        widest = max(layer.stride for layer in self.layers)
        n_lists = max(batch_size, *(layer.n_rows for layer in self.layers))
        longest = max(layer.n_rows for layer in self.layers)
        n_others = batch_size * (max(longest, widest) + 1)
        return Workspace(
            batch_size=batch_size,
            offsets=np.empty((n_layers, batch_size + 1), np.int64),
            places=np.empty(n_listed, np.uint32),
            factors=np.empty(n_listed, np.float32),
            sums=aligned_zeros((n_values,), np.float32),
            activations=aligned_zeros((n_values,), np.float32),
            passes=np.empty(n_values, np.bool_),
            gradient=aligned_zeros((widest,), np.float32),
            others=Lists(
                offsets=np.empty(n_lists + 2, np.int64),
                places=np.empty(n_others, np.uint32),
                factors=np.empty(n_others, np.float32),
            ),
        )

    def run(
        self,
        pixels: NDArray[np.uint8],
        weights: Weights,
        workspace: Workspace,
        numbers: Sequence[int],
    ) -> list[NDArray[np.float32]]:
        """Return activations of some layers, float32 [N, units] each.

        Args:
            pixels: uint8 [N, pixels].
            weights: the network.
            workspace: scratch memory.
            numbers: the layers, from 0; the last one's activations are the scores.
        """
        size = workspace.batch_size
        layers = [self.layers[number] for number in numbers]
        values = [
            np.empty((len(pixels), layer.n_units), np.float32) for layer in layers
        ]
        for first in range(0, len(pixels), size):
            batch = pixels[first : first + size]
            run_forward(batch, weights, workspace)
            for layer, own in zip(layers, values, strict=True):
                start = size * layer.unit_start
                rows = workspace.activations[start : start + len(batch) * layer.stride]
                rows = rows.reshape(len(batch), layer.stride)
                own[first : first + size] = rows[:, : layer.n_units]
        return values


def floating(n_layers: int) -> Grids:
    """Return the grids of a network in floating point."""
    without = np.zeros(n_layers, np.float32)
    limit = np.full(n_layers, np.inf, np.float32)
    return Grids(
        weight_units=without.copy(),
        weight_tops=limit.copy(),
        sum_units=without.copy(),
        half_sums=limit.copy(),
        lowest_sums=-limit,
        highest_sums=limit.copy(),
        added=without.copy(),
        activation_units=without.copy(),
        activation_tops=limit.copy(),
    )
