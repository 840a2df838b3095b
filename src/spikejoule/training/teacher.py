"""The teacher of a distillation: a ReLU network and the probabilities that it gives to classes.

Hinton, Vinyals and Dean 2015, arXiv:1503.02531, at a temperature of 1. The teacher sees the
deformed images themselves, the student their spikes. `train.distillation` says how much it counts.
What its answers take is counted in multiply-accumulates (MACs), as those of a baseline are.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.schema import Array, ArrayFile
from spikejoule.model.architecture import State

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
        macs_nonzero: those that are left if products with a zero activation are skipped.
    """

    probabilities: NDArray[np.float64]
    macs: int
    macs_nonzero: int


def save_teacher(path: str | os.PathLike[str], state: State) -> None:
    """Write the weights of a ReLU network, under the names of `Architecture.parameter_shapes`."""
    TEACHER.write(path, state)


def load_teacher(
    path: str | os.PathLike[str], n_pixels: int, n_classes: int
) -> Callable[[NDArray[np.uint8]], TeacherAnswer]:
    """What a saved network of n_classes answers to images uint8 [B, n_pixels].

    Raises:
        ArtifactError: the file is missing or damaged, or its network is for other images.
    """
    arrays = TEACHER.read(path)
    names = [
        f"layer{number}.synapses.{kind}"
        for number in range(1, (len(arrays) + 1) // 2 + 1)
        for kind in ("weight", "bias")
    ]
    state = {name: arrays[name] for name in names if name in arrays}
    problem = _problem(state, names, n_pixels, n_classes)
    if problem:
        raise ArtifactError(f"{path} holds no teacher of this network, {problem}: write it again.")

    fan_outs = [len(values) for values in state.values() if values.ndim == 2]

    def answer(images: NDArray[np.uint8]) -> TeacherAnswer:
        # They take seconds, and a training without a teacher needs neither.
        from scipy.special import softmax

        from spikejoule.training.relu_network import activations

        *layers, scores = activations(state, images)
        pairs = list(zip(layers, fan_outs, strict=True))
        return TeacherAnswer(
            probabilities=softmax(scores.astype(np.float64), axis=1),
            macs=sum(values.size * fan_out for values, fan_out in pairs),
            macs_nonzero=sum(int(np.count_nonzero(values)) * each for values, each in pairs),
        )

    return answer


def _problem(state: State, names: Sequence[str], n_pixels: int, n_classes: int) -> str:
    """What keeps `state` from telling `n_classes` of images of `n_pixels` apart, in words."""
    absent = [name for name in names if name not in state]
    if absent or not state:
        return f"{absent[0] if absent else 'every layer'} is missing"
    expected = n_pixels
    for name, values in state.items():
        if values.ndim == 2 and values.shape[1] != expected:
            return f"{name} takes {values.shape[1]} inputs, not {expected}"
        if values.ndim == 1 and values.size != expected:
            return f"{name} has {values.size} units, not {expected}"
        expected = values.shape[0]
    return "" if expected == n_classes else f"it tells {expected} classes apart, not {n_classes}"
