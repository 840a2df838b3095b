"""Running fully connected ReLU networks on images."""

import numpy as np
from numpy.typing import NDArray

from spikejoule.network.network import State
from spikejoule.training.relu.layout import ReluLayout, floating

_IMAGES_AT_ONCE = 512


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
    n_layers = len(layout.layers)
    pixels = pixels_of(images)
    levels = intensities()
    weights = layout.weights(layout.flat(state), levels, floating(n_layers))
    workspace = layout.workspace(max(1, min(len(pixels), _IMAGES_AT_ONCE)))
    layers = layout.run(pixels, weights, workspace, range(n_layers))
    return levels[pixels], *layers
