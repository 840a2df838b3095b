"""The record of a training: what its operation counts follow from.

A conventional network's is in the file of its counts (`baselines.counts`), that of a
user's own loop is made by `spikejoule.track`. Trainings of this project have epochs,
from which `record_of_epochs` makes one, whether the training has ended or still runs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.counts.measurement import LayerCounts, activity_of_layers
from spikejoule.counts.records import Activity, AnyNetwork
from spikejoule.encoding.encoder import Encoder
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.network import Network
from spikejoule.network.sections import EpochRecord, TrainingConfigSection
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


# Records of this project's own trainings


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """What is being trained, and how; a `Checkpoint` says the same afterwards.

    Attributes:
        network: the network.
        encoder: how samples become spikes.
        trained_with: the parameters of the train stage.
        engine: ``event`` or ``dense``.
    """

    network: Network
    encoder: Encoder
    trained_with: TrainingConfigSection
    engine: str


Trained = TrainingSetup | Checkpoint


def record_of_epochs(
    trained: Trained, epochs: Sequence[EpochRecord]
) -> TrainingRecord | None:
    """Return the record of some epochs; None if they lack counts or the batch size.

    Raises:
        ArtifactError: the events of an epoch do not match the connections.
    """
    counted = _counts_of_epochs(trained, epochs)
    if counted is None:
        return None
    return record_of_counts(trained, counted, epochs, len(epochs))


def _counts_of_epochs(
    trained: Trained, epochs: Sequence[EpochRecord]
) -> LayerCounts | None:
    """Return the counts of each epoch; None where one lacks a count."""
    n_layers = len(trained.network.layer_names)
    if not epochs or any(len(epoch.spikes) != n_layers for epoch in epochs):
        return None
    _check_connections(epochs, len(trained.network.connections))
    products = trained.encoder.input_products
    macs = _column(epochs, "input_macs")
    # Spikes do not determine the products of constant currents.
    if macs is None and products:
        return None
    return LayerCounts(
        spikes=np.array([epoch.spikes for epoch in epochs]),
        events=np.array([epoch.synaptic_events for epoch in epochs]),
        macs=macs if products else None,
        products=products,
        samples=np.array([epoch.samples for epoch in epochs]),
    )


def _check_connections(epochs: Sequence[EpochRecord], n_connections: int) -> None:
    """Raise ArtifactError unless epochs have one number for each connection."""
    for name in ("synaptic_events", "synapses_touched", "gradients_reached"):
        recorded = [getattr(epoch, name) for epoch in epochs]
        if any(len(own) != n_connections for own in recorded if own is not None):
            raise ArtifactError(
                f"the checkpoint must record {name} of an epoch as one number for each "
                f"of the {n_connections} connections: write it again."
            )


def record_of_counts(
    trained: Trained,
    counted: LayerCounts,
    epochs: Sequence[EpochRecord],
    n_epochs: int,
) -> TrainingRecord | None:
    """Join counts with the settings; None if the batch size is not recorded.

    Args:
        trained: what was trained.
        counted: the counts of each epoch, or of all epochs in one row.
        epochs: the epochs; empty if they are not recorded.
        n_epochs: number of epochs.
    """
    network = trained.network
    settings = trained.trained_with
    if settings.batch_size is None:
        return None
    activity = activity_of_layers(network, trained.encoder.time_window, counted)
    accuracies = [epoch.validation_accuracy_percent for epoch in epochs]
    return TrainingRecord(
        activity=activity,
        touched=_touched(activity, _column(epochs, "synapses_touched")),
        n_epochs=n_epochs,
        batch_size=settings.batch_size,
        weight_decay=bool(settings.weight_decay),
        clipping=bool(settings.grad_clip_norm or settings.grad_clip_max_norm),
        best_validation_accuracy_percent=max(accuracies, default=None),
        pruned=bool(settings.pruned_fraction),
        removed_fractions=_column(epochs, "pruned_fraction"),
        engine=trained.engine,
        surrogate=settings.surrogate,
        encoder=trained.encoder,
        augmented=_augmented(settings),
        validation_accuracies_percent=np.array(accuracies) if epochs else None,
        gradients_reached=_column(epochs, "gradients_reached"),
        kept_deltas=_column(epochs, "kept_deltas"),
    )


def _augmented(settings: TrainingConfigSection) -> Augmented:
    """Return how the images of an epoch are changed."""
    if settings.rotate_degrees or settings.scale_fraction or settings.shear_degrees:
        return "mapped"
    return "shifted" if settings.shift_pixels else "no"


def _touched(
    activity: Activity, by_spikes: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Return the weights that the samples of each row touch, [E, K].

    Args:
        activity: the counts of each row.
        by_spikes: those that spikes touch; None if a file does not record them. At most
            as many are touched as there are events and products.
    """
    connections = [activity.counts[name] for name in activity.network.connection_names]
    if by_spikes is None:
        every_event = [activity.sum_of(one.events, one.macs) for one in connections]
        return np.stack(every_event, axis=1)
    touched = by_spikes.copy()
    macs = connections[0].macs
    if macs is not None:
        # A constant current reaches each of its synapses once per sample.
        touched[:, 0] += macs // (
            1 if activity.products == "once" else activity.time_window
        )
    return touched


def _column(epochs: Sequence[EpochRecord], name: str) -> NDArray[Any] | None:
    """Return a number of every epoch; None unless all epochs record it."""
    values: list[Any] = [getattr(epoch, name) for epoch in epochs]
    if not values or None in values:
        return None
    return np.array(values)
