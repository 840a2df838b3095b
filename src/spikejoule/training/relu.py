"""A fully connected ReLU network in the arrays of its kernels (kernels/relu.py)."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spikejoule.compiling.emit import aligned_zeros, padded
from spikejoule.network.network import State
from spikejoule.training.kernels.relu import (
    Grids,
    Layer,
    Lists,
    Weights,
    Workspace,
    run_forward,
)

_IMAGES_AT_ONCE = 512


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

    def activations(
        self, number: int, n_samples: int, batch_size: int, workspace: Workspace
    ) -> NDArray[np.float32]:
        """Return the activations of a layer [n_samples, units], or the scores.

        A view of a workspace for `batch_size` samples after `run_forward`.
        """
        layer = self.layers[number]
        start = batch_size * layer.unit_start
        values = workspace.activations[start : start + n_samples * layer.stride]
        return values.reshape(n_samples, layer.stride)[:, : layer.n_units]


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


def intensities(n_levels: int = 256) -> NDArray[np.float32]:
    """The intensity of each brightness of a pixel, float32 [256] in [0, 1].

    It is rounded to one of `n_levels` levels of equal distance.
    """
    exact = np.arange(256, dtype=np.float32) / np.float32(255)
    if n_levels == 256:
        return exact
    top = np.float32(n_levels - 1)
    rounded: NDArray[np.float32] = np.rint(exact * top) / top
    return rounded


def pixels_of(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return images uint8 [N, ...] as [N, pixels]."""
    return np.ascontiguousarray(images.reshape(len(images), -1))


def activations(
    state: State, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], ...]:
    """Activations of all layers, float32 [N, units] each, the same on any processor.

    Args:
        state: parameters by name, in the order of the layers.
        images: uint8 [N, ...].

    Returns:
        the pixel intensities, the hidden layers after their ReLUs, the class scores.
    """
    layout = ReluLayout({name: values.shape for name, values in state.items()})
    pixels = pixels_of(images)
    levels = intensities()
    weights = layout.weights(layout.flat(state), levels, floating(len(layout.layers)))
    batch_size = max(1, min(len(pixels), _IMAGES_AT_ONCE))
    workspace = layout.workspace(batch_size)
    layers = [
        np.empty((len(pixels), layer.n_units), np.float32) for layer in layout.layers
    ]
    for first in range(0, len(pixels), batch_size):
        batch = pixels[first : first + batch_size]
        run_forward(batch, batch_size, weights, workspace)
        for number, values in enumerate(layers):
            values[first : first + batch_size] = layout.activations(
                number, len(batch), batch_size, workspace
            )
    return levels[pixels], *layers
