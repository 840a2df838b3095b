"""The record of a training from its epochs, whether it has ended or still runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.counts.measurement import LayerCounts, activity_of_layers
from spikejoule.counts.records import Activity
from spikejoule.counts.training import Augmented, TrainingRecord
from spikejoule.encoding.encoder import Encoder
from spikejoule.energy.dataflow import DENSE, ZERO_SKIPPING, Dataflow
from spikejoule.energy.estimates import PJ_PER_J
from spikejoule.energy.operations import DATA, PHASES, OperationCounts
from spikejoule.energy.prices import HardwareProfile, price, prices_pj
from spikejoule.energy.training.counting import count_training
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.network.network import Network
from spikejoule.network.sections import EpochRecord, TrainingConfigSection


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


# Records


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


# Energies


def dataflow_of(record: TrainingRecord) -> Dataflow:
    """Return the dataflow of the engine that trained."""
    return DENSE if record.engine == "dense" else ZERO_SKIPPING


def joules_by_epoch(
    trained: Trained, epochs: Sequence[EpochRecord], prices: HardwareProfile
) -> list[float]:
    """Return the joules of a training up to each epoch, the middle of price ranges.

    Empty if the counts are not recorded, or if a phase has no price.
    """
    record = record_of_epochs(trained, epochs)
    if record is None:
        return []
    counted = count_training(record, dataflow_of(record))
    if not _is_priced(counted, prices):
        return []
    joules: list[float] = energy_so_far(counted, prices).mean(axis=0).tolist()
    return joules


def _is_priced(counted: OperationCounts, prices: HardwareProfile) -> bool:
    """Whether every phase but the data has a price."""
    low_pj = prices_pj(counted.columns, prices)[0]
    priced = {
        column.phase
        for column, pj in zip(counted.columns, low_pj, strict=True)
        if not np.isnan(pj)
    }
    return priced.issuperset({*PHASES} - {DATA})


def energy_so_far(
    counted: OperationCounts, prices: HardwareProfile
) -> NDArray[np.float64]:
    """Return the joules up to each epoch at the low and high end of prices, [2, E]."""
    low_pj, _, high_pj = price(counted, prices)
    joules: NDArray[np.float64] = np.cumsum([low_pj, high_pj], axis=1) / PJ_PER_J
    return joules
