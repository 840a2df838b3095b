"""A fully connected network of ReLU units: what a baseline computes and what a teacher says."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikejoule.model.architecture import State


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, so that the number of cores does not change its rounding."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def relu_layers(parameters: Mapping[str, Tensor], intensities: Tensor) -> list[Tensor]:
    """Activations of every layer: the input, each hidden layer after its ReLU, the scores."""
    values = list(parameters.values())
    *hidden, last = zip(values[::2], values[1::2], strict=True)
    layers = [intensities]
    for weight, bias in hidden:
        layers.append(functional.relu(functional.linear(layers[-1], weight, bias)))
    layers.append(functional.linear(layers[-1], *last))
    return layers


def intensities(images: NDArray[np.uint8] | Tensor) -> Tensor:
    """Pixels uint8 [N, ...] as float32 in [0, 1], [N, pixels]."""
    pixels = torch.as_tensor(images)
    return pixels.reshape(len(pixels), -1).to(torch.float32).div_(255)


def activations(state: State, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], ...]:
    """Activations of every layer, float32 [N, units] each; the same on any number of cores.

    Args:
        state: parameters by name, in the order of the layers.
        images: uint8 [N, ...].

    Returns:
        the pixels' intensities, the hidden layers after their ReLUs, the scores of the classes.
    """
    parameters = {name: torch.from_numpy(values) for name, values in state.items()}
    with one_thread(), torch.no_grad():
        return tuple(layer.numpy() for layer in relu_layers(parameters, intensities(images)))
