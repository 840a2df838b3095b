"""The teacher of a distillation: a ReLU network and the probabilities that it gives to
classes.

Hinton, Vinyals and Dean 2015, arXiv:1503.02531, at a temperature of 1. The teacher sees
the augmented images themselves, the student their spikes. `train.distillation` says how
much it counts. What its answers take is counted in multiply-accumulates (MACs), as
those of a baseline are.

Below it, the fully connected network of ReLU units itself: what a teacher and a
baseline compute.
"""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.schema import Array, ArrayFile
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.network.network import State, weights_and_biases

TEACHER = ArrayFile(
    "spikejoule/teacher/1",
    {
        "layer*.synapses.weight": Array("float32", ("*", "*")),
        "layer*.synapses.bias": Array("float32", ("*",)),
    },
)
"""Weights [target, source] and biases of each layer, from the pixels to the classes."""


@dataclass(frozen=True, eq=False)
class TeacherAnswer:
    """What a teacher says of a batch of images, and what that takes.

    Attributes:
        probabilities: of the classes, float64 [B, classes].
        macs: MACs of the forward passes of all B images if every weight is used.
        macs_nonzero: those that are left if products with a zero activation are
            skipped.
    """

    probabilities: NDArray[np.float64]
    macs: int
    macs_nonzero: int


def load_teacher(
    path: str | os.PathLike[str], n_pixels: int, n_classes: int
) -> Callable[[NDArray[np.uint8]], TeacherAnswer]:
    """What a saved network of n_classes answers to images uint8 [B, n_pixels].

    Raises:
        ArtifactError: the file is missing or damaged, or its network is for other
            images.
    """
    arrays = TEACHER.read(path)
    n_layers = len(arrays) // 2
    names = [f"layer{number}.synapses.weight" for number in range(1, n_layers + 1)]
    fan_outs = [len(arrays[name]) for name in names if name in arrays]
    try:
        network = ConventionalNetwork.of_layers(n_pixels, fan_outs[:-1], n_classes)
        shapes = network.parameter_shapes()
    except ParameterError:  # no layer, or an empty one
        shapes = {}
    if {name: values.shape for name, values in arrays.items()} != shapes:
        raise ArtifactError(
            f"{path} holds no teacher for {n_pixels} pixels and {n_classes} "
            "classes: write it again."
        )
    # A file has them in the order of the names, in which layer10 is before layer2.
    state = {name: arrays[name] for name in shapes}

    def answer(images: NDArray[np.uint8]) -> TeacherAnswer:
        # It takes a second, and a training without a teacher does not need it.
        from scipy.special import softmax

        *layers, scores = activations(state, images)
        pairs = list(zip(layers, fan_outs, strict=True))
        return TeacherAnswer(
            probabilities=softmax(scores.astype(np.float64), axis=1),
            macs=sum(values.size * fan_out for values, fan_out in pairs),
            macs_nonzero=sum(
                int(np.count_nonzero(values)) * fan_out for values, fan_out in pairs
            ),
        )

    return answer


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread, so that the number of cores does not change its
    rounding.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def relu_layers(parameters: Mapping[str, Tensor], intensities: Tensor) -> list[Tensor]:
    """Activations of every layer: the input, each hidden layer after its ReLU, the
    scores.
    """
    *hidden, last = weights_and_biases(parameters)
    layers = [intensities]
    for weight, bias in hidden:
        layers.append(functional.relu(functional.linear(layers[-1], weight, bias)))
    layers.append(functional.linear(layers[-1], *last))
    return layers


def intensities(images: NDArray[np.uint8] | Tensor) -> Tensor:
    """Pixels uint8 [N, ...] as float32 in [0, 1], [N, pixels]."""
    pixels = torch.as_tensor(images)
    return pixels.reshape(len(pixels), -1).to(torch.float32).div_(255)


def activations(
    state: State, images: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], ...]:
    """Activations of every layer, float32 [N, units] each; the same on any number of
    cores.

    Args:
        state: parameters by name, in the order of the layers.
        images: uint8 [N, ...].

    Returns:
        the pixels' intensities, the hidden layers after their ReLUs, the scores of the
        classes.
    """
    parameters = {name: torch.from_numpy(values) for name, values in state.items()}
    with one_thread(), torch.no_grad():
        return tuple(
            layer.numpy() for layer in relu_layers(parameters, intensities(images))
        )
