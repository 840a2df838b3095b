"""The teacher of a distillation: a ReLU network and its class probabilities.

Distillation as in Hinton, Vinyals and Dean 2015, arXiv:1503.02531, at temperature 1.
The teacher sees the augmented images, the student their spikes; `train.distillation` is
the teacher's share of the target. Its multiply-accumulates (MACs) are counted like
those of a baseline.
"""

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.schema import Array, ArrayFile
from spikejoule.network.conventional import ConventionalNetwork
from spikejoule.training.relu import activations

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
    """A teacher's answer to a batch of images, and its cost.

    Attributes:
        probabilities: of the classes, float64 [B, classes].
        macs: MACs of the forward passes of all B images with every weight used.
        macs_nonzero: the MACs left when products with a zero activation are skipped.
    """

    probabilities: NDArray[np.float64]
    macs: int
    macs_nonzero: int


def load_teacher(
    path: str | os.PathLike[str], n_pixels: int, n_classes: int
) -> Callable[[NDArray[np.uint8]], TeacherAnswer]:
    """Load a teacher, a function of images uint8 [B, n_pixels].

    Raises:
        ArtifactError: the file is missing or damaged, or its network is for images of
            another size or number of classes.
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
    # The file sorts arrays by name, so layer10 comes before layer2.
    state = {name: arrays[name] for name in shapes}

    def answer(images: NDArray[np.uint8]) -> TeacherAnswer:
        # Importing SciPy takes a second, which a training without a teacher saves.
        from scipy.special import softmax

        *layers, scores = activations(state, images)
        macs = 0
        macs_nonzero = 0
        for values, fan_out in zip(layers, fan_outs, strict=True):
            macs += values.size * fan_out
            macs_nonzero += int(np.count_nonzero(values)) * fan_out
        probabilities = softmax(scores.astype(np.float64), axis=1)
        return TeacherAnswer(probabilities, macs, macs_nonzero)

    return answer
