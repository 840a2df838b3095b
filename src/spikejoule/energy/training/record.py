"""The record of a training: what its operation counts follow from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.records import Activity
from spikejoule.encoding.encoder import Encoder
from spikejoule.energy.words import sentences
from spikejoule.network.network import Network
from spikejoule.network.surrogates import SURROGATES

DATA: Final = "data"
FORWARD: Final = "forward"
BACKWARD: Final = "backward"
OPTIMIZER: Final = "optimizer"
PHASES: Final = (DATA, FORWARD, BACKWARD, OPTIMIZER)

TRAINING: Final = "training"
"""All phases together."""

Augmented = Literal["no", "shifted", "mapped"]
"""Whether images are augmented: by whole pixels, or by other maps."""


@dataclass(frozen=True, eq=False)
class TrainingRecord:
    """The record of a training of E epochs; one row for all if epochs are not recorded.

    Attributes:
        network: the trained network.
        activity: its counts over the samples of each epoch, with pruned synapses still
            in place.
        batches: optimizer steps of each epoch, int64 [E].
        n_epochs: number of epochs.
        weight_decay, clipping: whether they were enabled.
        best_validation_accuracy_percent: None if not recorded.
        pruned: whether training removed synapses.
        removed_fractions: of the weights, before each epoch, [E]; None if not recorded.
        batch_size: samples of a batch; the last one of an epoch may have fewer.
        engine: the engine that trained, ``event`` or ``dense``.
        surrogate: name of the surrogate derivative; None if unknown.
        encoder: how samples became spikes; None if unknown, or if spikes were given.
        augmented: whether the images of an epoch are changed, and how.
        validation_accuracies_percent: after each epoch, [E]; None if not recorded.
        gradients_reached: gradients of each weight matrix that the optimizer read,
            int64 [E, K]; None if not recorded.
        kept_deltas: deltas of each layer after the input that a sampled backward pass
            kept, int64 [E, L - 1]; None if the pass was exact.
    """

    network: Network
    activity: Activity
    batches: NDArray[np.int64]
    n_epochs: int
    weight_decay: bool
    clipping: bool
    best_validation_accuracy_percent: float | None
    pruned: bool = False
    removed_fractions: NDArray[np.float64] | None = None
    batch_size: int = 1
    engine: str = "event"
    surrogate: str | None = "arctangent"
    encoder: Encoder | None = None
    augmented: Augmented = "no"
    validation_accuracies_percent: NDArray[np.float64] | None = None
    gradients_reached: NDArray[np.int64] | None = None
    kept_deltas: NDArray[np.int64] | None = None

    @property
    def samples(self) -> int:
        """Samples of all epochs together."""
        return int(self.activity.samples_of_row.sum())

    @property
    def set_size(self) -> int:
        """Samples of the training set."""
        return -(-self.samples // self.n_epochs)

    @property
    def surrogate_operations(self) -> Mapping[str, int] | None:
        """Arithmetic of the surrogate at one potential; None if it is unknown.

        It includes the distance to the threshold, unless that is not needed.
        """
        if self.surrogate is None or self.surrogate not in SURROGATES:
            return None
        operations = dict(SURROGATES[self.surrogate].operations)
        if operations:
            # x = v - threshold
            operations["addition"] = operations.get("addition", 0) + 1
        return operations

    @property
    def assumptions(self) -> tuple[str, ...]:
        """What is counted and assumed, in sentences."""
        return sentences("training", record=self)
