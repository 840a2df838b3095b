"""The record of a training from its epochs, whether it has ended or still runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.counts.measurement import LayerCounts, activity_of_layers
from spikejoule.counts.records import Activity
from spikejoule.encoding.encoder import Encoder
from spikejoule.energy.dataflow import DENSE, ZERO_SKIPPING, Dataflow
from spikejoule.energy.estimates import PJ_PER_J
from spikejoule.energy.operations import OperationCounts
from spikejoule.energy.prices import HardwareProfile, price, prices_pj
from spikejoule.energy.training.counting import count_training
from spikejoule.energy.training.record import (
    DATA,
    PHASES,
    Augmented,
    TrainingRecord,
)
from spikejoule.network.network import Network
from spikejoule.network.sections import EpochRecord, TrainingConfigSection

if TYPE_CHECKING:
    from spikejoule.network.checkpoint import Checkpoint


@dataclass(frozen=True, eq=False)
class TrainingSetup:
    """What is trained, and how.

    Attributes:
        network: the network.
        encoder: how samples become spikes.
        config: the parameters of the train stage.
        engine: ``event`` or ``dense``.
    """

    network: Network
    encoder: Encoder
    config: TrainingConfigSection
    engine: str

    @classmethod
    def of(cls, trained: "Checkpoint") -> Self:
        """Return the setup of a trained network."""
        return cls(
            network=trained.network,
            encoder=trained.encoder,
            config=trained.file.training_config,
            engine=trained.engine,
        )

    @property
    def augmented(self) -> Augmented:
        """How the images of an epoch are changed."""
        config = self.config
        if config.rotate_degrees or config.scale_fraction or config.shear_degrees:
            return "mapped"
        return "shifted" if config.shift_pixels else "no"

    def record(
        self,
        layers: LayerCounts,
        epochs: Sequence[EpochRecord],
        n_epochs: int,
        batches: NDArray[np.int64],
    ) -> TrainingRecord:
        """Join counts with the settings.

        Args:
            layers: the counts of each epoch, or of all epochs in one row.
            epochs: the epochs; empty if they are not recorded.
            n_epochs: number of epochs.
            batches: optimizer steps of each row.
        """
        config = self.config
        accuracies = [epoch.validation_accuracy_percent for epoch in epochs]
        clip = config.grad_clip_norm
        if clip is None:
            clip = config.grad_clip_max_norm
        activity = activity_of_layers(self.network, self.encoder.time_window, layers)
        touched = _column(epochs, "synapses_touched")
        if touched is None:
            touched = _events_of(activity)
        elif layers.macs is not None:
            # A constant current reaches each of its synapses once per sample.
            repeats = 1 if layers.products == "once" else activity.time_window
            touched[:, 0] += layers.macs // repeats
        return TrainingRecord(
            network=self.network,
            activity=activity,
            touched=touched,
            batches=batches,
            n_epochs=n_epochs,
            batch_size=config.batch_size or 1,
            weight_decay=bool(config.weight_decay),
            clipping=bool(clip),
            best_validation_accuracy_percent=max(accuracies, default=None),
            pruned=bool(config.pruned_fraction),
            removed_fractions=_column(epochs, "pruned_fraction"),
            engine=self.engine,
            surrogate=config.surrogate,
            encoder=self.encoder,
            augmented=self.augmented,
            validation_accuracies_percent=np.array(accuracies) if epochs else None,
            gradients_reached=_column(epochs, "gradients_reached"),
            kept_deltas=_column(epochs, "kept_deltas"),
        )


def _events_of(activity: Activity) -> NDArray[np.int64]:
    """Return all events and products of each connection, [E, K].

    As many synapses at most are touched by a file's samples that does not count them.
    """
    columns = []
    for name in activity.network.connection_names:
        counts = activity.counts[name]
        known = [count for count in (counts.events, counts.macs) if count is not None]
        columns.append(np.sum(known, axis=0))
    return np.stack(columns, axis=1)


def record_of_epochs(
    setup: TrainingSetup, epochs: Sequence[EpochRecord]
) -> TrainingRecord | None:
    """Return the record of some epochs; None if they lack counts or the batch size.

    Raises:
        ArtifactError: the events of an epoch do not match the connections.
    """
    batch_size = setup.config.batch_size
    layers = _layers_of(setup, epochs)
    if layers is None or batch_size is None:
        return None
    # The last batch of an epoch may be smaller, so divisions round up.
    assert layers.samples is not None
    batches = -(-layers.samples // batch_size)
    return setup.record(layers, epochs, len(epochs), batches)


def dataflow_of(record: TrainingRecord) -> Dataflow:
    """Return the dataflow of the engine that trained."""
    return DENSE if record.engine == "dense" else ZERO_SKIPPING


def joules_by_epoch(
    setup: TrainingSetup, epochs: Sequence[EpochRecord], prices: HardwareProfile
) -> list[float]:
    """Return the joules of a training up to each epoch, the middle of price ranges.

    Empty if the counts are not recorded, or if a phase has no price.
    """
    record = record_of_epochs(setup, epochs)
    if record is None:
        return []
    counted = count_training(record, dataflow_of(record))
    priced = {
        column.phase
        for column, pj in zip(
            counted.columns, prices_pj(counted.columns, prices)[0], strict=True
        )
        if not np.isnan(pj)
    }
    if not priced.issuperset({*PHASES} - {DATA}):
        return []
    joules: list[float] = energy_so_far(counted, prices).mean(axis=0).tolist()
    return joules


def energy_so_far(
    counted: OperationCounts, prices: HardwareProfile
) -> NDArray[np.float64]:
    """Return the joules up to each epoch at the low and high end of prices, [2, E]."""
    low_pj, _, high_pj = price(counted, prices)
    joules: NDArray[np.float64] = np.cumsum([low_pj, high_pj], axis=1) / PJ_PER_J
    return joules


def _layers_of(
    setup: TrainingSetup, epochs: Sequence[EpochRecord]
) -> LayerCounts | None:
    """Return the counts of each epoch; None where one lacks a count."""
    network = setup.network
    n_layers = len(network.layer_names)
    if not epochs or any(len(epoch.spikes) != n_layers for epoch in epochs):
        return None
    n_connections = len(network.connections)
    for name in ("synaptic_events", "synapses_touched", "gradients_reached"):
        recorded = [getattr(epoch, name) for epoch in epochs]
        if any(len(own) != n_connections for own in recorded if own is not None):
            raise ArtifactError(
                f"the checkpoint must record {name} of an epoch as one number for each "
                f"of the {n_connections} connections: write it again."
            )
    products = setup.encoder.input_products
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


def _column(epochs: Sequence[EpochRecord], name: str) -> NDArray[Any] | None:
    """Return a number of every epoch; None unless all epochs record it."""
    values: list[Any] = [getattr(epoch, name) for epoch in epochs]
    if not values or None in values:
        return None
    return np.array(values)
