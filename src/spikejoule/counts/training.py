"""The record of a training: what its operation counts follow from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from spikejoule.counts.records import Activity, AnyNetwork
from spikejoule.encoding.encoder import Encoder
from spikejoule.network.surrogates import SURROGATES

Augmented = Literal["no", "shifted", "mapped"]
"""Whether images are augmented: by whole pixels, or by other maps."""

Rule = Literal["adam", "adamw", "rmsprop", "momentum", "sgd"]
"""How an optimizer updates a parameter; ``momentum`` is SGD with it."""


@dataclass(frozen=True, eq=False)
class Updates:
    """How an optimizer updates some parameters.

    Attributes:
        rule: the optimizer.
        weight_decay: whether there is an L2 penalty, or decoupled decay.
        steps: its steps in each row, int64 [E].
    """

    rule: Rule
    weight_decay: bool
    steps: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Learned:
    """The parameters of a network that learn; all others are frozen.

    Attributes:
        weights: how the weights of connections are updated, by connection; None for
            those that have a gradient but no optimizer.
        biases: the same of biases and learned constants, by the connection before the
            neurons that have them.
        n_biases: biases that learn, by connection; 0 if it is missing.
        constants: names of learned constants, ``decay_logit`` or ``log_threshold``, by
            layer; one for each number that is learned.
        batches: backward passes in each row, int64 [E].
    """

    weights: Mapping[str, Updates | None]
    biases: Mapping[str, Updates | None]
    n_biases: Mapping[str, int]
    constants: Mapping[str, tuple[str, ...]]
    batches: NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainingRecord:
    """The record of a training of either side, by epoch or in one row for all epochs.

    Shapes: E rows, K connections, L layers.

    Attributes:
        activity: the network, and what it did for the samples of each row, with pruned
            synapses still in place.
        touched: of the weights of each connection, those that a spike or a value of the
            same sample reaches, summed over samples, int64 [E, K]: with ``sample``
            dataflows their gradients are read and written once.
        n_epochs: number of epochs.
        batch_size: samples of a batch; the last one of an epoch may have fewer.
        weight_decay, clipping: whether they were enabled.
        best_validation_accuracy_percent: None if not recorded.
        pruned: whether training removed synapses.
        removed_fractions: of the weights, before each epoch, [E]; None if not recorded.
        engine: the engine that trained, ``event`` or ``dense``.
        surrogate: name of the surrogate derivative; None if unknown, and for a
            conventional network.
        encoder: how samples became spikes; None if spikes or values were given.
        augmented: whether the images of an epoch are changed, and how.
        validation_accuracies_percent: after each epoch, [E]; None if not recorded.
        gradients_reached: gradients of each weight matrix that the optimizer read,
            int64 [E, K]: those of sources without a spike or value in the batch are
            known to be zero. None if it reads all.
        kept_deltas: deltas of each layer after the input that a sampled backward pass
            kept, int64 [E, L - 1]; None if the pass was exact.
        learned: what learns, and how; None if every parameter learns by Adam, in steps
            of `batch_size`.
    """

    activity: Activity
    touched: NDArray[np.int64]
    n_epochs: int
    batch_size: int
    weight_decay: bool
    clipping: bool
    best_validation_accuracy_percent: float | None = None
    pruned: bool = False
    removed_fractions: NDArray[np.float64] | None = None
    engine: str = "event"
    surrogate: str | None = None
    encoder: Encoder | None = None
    augmented: Augmented = "no"
    validation_accuracies_percent: NDArray[np.float64] | None = None
    gradients_reached: NDArray[np.int64] | None = None
    kept_deltas: NDArray[np.int64] | None = None
    learned: Learned | None = None

    @property
    def network(self) -> AnyNetwork:
        """The trained network."""
        return self.activity.network

    @property
    def batches(self) -> NDArray[np.int64]:
        """Batches of each row, int64 [E]; an optimizer step follows each one.

        With `learned`, each optimizer has its own number of steps.
        """
        if self.learned is not None:
            return self.learned.batches
        samples = self.activity.samples_of_row
        epochs = self.n_epochs // len(samples)
        # The last batch of an epoch may be smaller, so divisions round up.
        return epochs * -(-(samples // epochs) // self.batch_size)

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
