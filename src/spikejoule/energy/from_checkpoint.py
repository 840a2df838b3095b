"""What a complete checkpoint, and spikes measured on its network, give an energy
analysis.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
from spikejoule.counts.measurement import Measurement, activity_of_layers
from spikejoule.counts.proxies import energy_proxies
from spikejoule.counts.records import Activity
from spikejoule.data.images import subject_of_data
from spikejoule.energy.analysis import AnalysisInputs, network_name
from spikejoule.energy.ledger import (
    SPIKING,
    WHOLE_WINDOW,
    Accuracies,
    Variant,
    averaged,
    spiking_variants,
)
from spikejoule.energy.operations import count_operations
from spikejoule.energy.published import published_networks
from spikejoule.energy.training import TrainingRecord
from spikejoule.evaluation.accuracy import EarlyExit, exit_steps, step_outcomes
from spikejoule.network.checkpoint import CompleteCheckpoint

_COUNTING = "`spikejoule energy --images`"


def analysis_inputs(
    checkpoint: CompleteCheckpoint,
    measured: Measurement | None = None,
    labels: NDArray[Any] | None = None,
    baselines: tuple[BaselineCounts, ...] = (),
    images: NDArray[np.uint8] | None = None,
    early: EarlyExit | None = None,
) -> AnalysisInputs:
    """Arrange what is known of a network.

    Args:
        checkpoint: the network, and the spikes that its file records.
        measured: spikes of N test images; None for the means that the file records.
        labels: class of each of these images, [N]; None where not known.
        baselines: conventional networks on the same images.
        images: these images, uint8 [N, height, width], for what encoding them takes;
            None where they are not known.
        early: by which rule they exit early, and how well; None where that is not
            known.

    Raises:
        ArtifactError: there is no `measured`, and no `recorded_activity`.
    """
    network = checkpoint.network
    encoder = checkpoint.encoder
    data = checkpoint.file.spikejoule.data
    accuracy = _accuracy(checkpoint)
    name = network_name(network, encoder.name, _removed_percent(checkpoint))
    if measured is not None:
        n_images = measured.n_samples
        proxies = measured.proxies
        exits = None
        if early is not None and labels is not None:
            steps = exit_steps(step_outcomes(measured, labels), early.margin_spikes)
            known = Accuracies(
                early.validation.accuracy_percent, early.test.accuracy_percent
            )
            exits = steps, known
        variants = spiking_variants(name, measured, encoder, images, accuracy, exits)
    else:
        n_images = checkpoint.file.inference_spikes.n_samples or 0
        activity = recorded_activity(checkpoint)
        proxies = energy_proxies(activity)
        operations = count_operations(activity)
        variants = (
            Variant(
                SPIKING, name, WHOLE_WINDOW, accuracy, network.weight_bits, operations
            ),
        )
    side = data.get("average_pixels") or 1
    # Published networks read whole images.
    is_reduced = side > 1 or bool(data.get("crop_pixels"))
    published = () if is_reduced else published_networks(str(data.get("source", "")))
    return AnalysisInputs(
        title=str(data.get("title", "not recorded")),
        network=network,
        variants=averaged(variants, side, network.n_input),
        proxies=proxies,
        n_images=n_images or None,
        step_ms=encoder.step_ms,
        encoder=encoder,
        labels=None if measured is None or labels is None else labels.astype(np.int64),
        baselines=baselines,
        published=published,
        training=training_record(checkpoint),
        subject=subject_of_data(data),
        average_pixels=side,
    )


def _removed_percent(checkpoint: CompleteCheckpoint) -> float:
    """Synapses that were removed in training."""
    if not checkpoint.pruned:
        return 0.0
    connections = checkpoint.network.with_weights(checkpoint.state).connections
    kept = sum(np.count_nonzero(connection.weight) for connection in connections)
    return 100 * (1 - kept / sum(connection.weight.size for connection in connections))


def recorded_activity(checkpoint: CompleteCheckpoint) -> Activity:
    """What the network does with an image, the means that the file records.

    Those of a pruned network, or of convolutions, take the recorded events of each
    connection: they were counted synapse by synapse, and cannot be computed from spikes
    alone. Nor can the products of constant currents.

    Raises:
        ArtifactError: the file records no inference spikes of each layer; or the
            network is pruned, and of a connection no events are recorded; or its input
            are constant currents, and the same holds of their products.
    """
    spikes = checkpoint.spikes_per_inference()
    encoder = checkpoint.encoder
    if spikes is None:
        raise ArtifactError(
            "the checkpoint records no inference spikes of each layer, and its "
            "energy needs them: "
            f"count them with {_COUNTING}."
        )
    network = checkpoint.network
    recorded = checkpoint.file.energy_proxies
    macs = None
    events: list[float] | None = None
    if encoder.input_products is not None:
        macs = [
            _recorded(recorded.input_macs_per_inference, "input_macs_per_inference")
        ]
    if checkpoint.pruned or not network.is_plain:
        events = []
        for name in network.connection_names:
            entry = recorded.per_layer.get(name)
            mean = None if entry is None else entry.synaptic_events_per_inference
            events.append(_recorded(mean, f"synaptic events of {name} per inference"))
    return activity_of_layers(
        network.with_weights(checkpoint.state),
        encoder.time_window,
        np.array([[spikes[name] for name in network.layer_names]]),
        None if events is None else [events],
        macs=macs,
        pruned=checkpoint.pruned,
        products=encoder.input_products,
    )


def _recorded(mean: float | None, what: str) -> float:
    """A mean that weights and spikes do not give; ArtifactError if the file lacks
    it.
    """
    if mean is None:
        raise ArtifactError(
            f"the checkpoint must record its {what}: count them with {_COUNTING}."
        )
    return mean


def training_record(checkpoint: CompleteCheckpoint) -> TrainingRecord | None:
    """What the checkpoint records of its training; None if spikes or batch size are
    missing.

    Likewise if the network's input are constant currents whose products are not
    recorded. ArtifactError if the events of an epoch are not those of the connections.
    """
    file = checkpoint.file
    network = checkpoint.network
    config = file.training_config
    results = file.training_results
    names = network.layer_names
    totals = file.training_spikes.by_layer(
        "total_{}", file.training_spikes.total_per_layer, names
    )
    samples, n_epochs, batch_size = (
        results.total_samples,
        results.epochs_trained,
        config.batch_size,
    )
    if totals is None or samples is None or n_epochs is None or batch_size is None:
        return None
    history = file.spikejoule.history
    epochs = history if all(len(row.spikes) == len(names) for row in history) else []
    n_connections = len(network.connections)
    products = checkpoint.encoder.input_products
    if any(len(row.synaptic_events or ()) not in (0, n_connections) for row in epochs):
        raise ArtifactError(
            "the checkpoint must record the synaptic events of an epoch as one "
            "number for each of "
            f"the {n_connections} connections: write it again."
        )

    def column(name: str) -> NDArray[np.int64] | None:
        """A count of every epoch; None if one does not record it."""
        values = [getattr(row, name) for row in epochs]
        return (
            None if not values or None in values or () in values else np.array(values)
        )

    # Spikes alone do not say how many synapses they reach, nor what constant currents
    # multiply.
    events = column("synaptic_events")
    macs = column("input_macs")
    if (events is None and not network.is_plain) or (macs is None and products):
        return None
    teacher = column("teacher_macs")
    nonzero = column("teacher_macs_nonzero")
    if teacher is not None:
        teacher = np.stack(
            [teacher, 0 * teacher if nonzero is None else nonzero], axis=1
        )
    # The last batch of an epoch is smaller.
    batches = [-(-row.samples // batch_size) for row in epochs]
    activity = activity_of_layers(
        network,
        checkpoint.encoder.time_window,
        np.array(
            [row.spikes for row in epochs]
            or [tuple(round(totals[name]) for name in names)]
        ),
        events,
        macs=macs if products else None,
        products=products,
        samples=np.array([row.samples for row in epochs] or [samples]),
    )
    clip = (
        config.grad_clip_max_norm
        if config.grad_clip_norm is None
        else config.grad_clip_norm
    )
    return TrainingRecord(
        network=network,
        activity=activity,
        batches=np.array(
            batches or [n_epochs * -(-(samples // n_epochs) // batch_size)]
        ),
        n_epochs=n_epochs,
        weight_decay=bool(config.weight_decay),
        clipping=bool(clip),
        best_validation_accuracy_percent=results.best_val_accuracy,
        teacher_macs=teacher,
        events_counted=events is not None,
        pruned=checkpoint.pruned,
    )


def _accuracy(checkpoint: CompleteCheckpoint) -> Accuracies | None:
    percent = checkpoint.file.test_accuracy
    test = checkpoint.file.spikejoule.test
    if percent is None:
        return None
    low = test.test_accuracy_low_percent
    high = test.test_accuracy_high_percent
    return Accuracies(
        checkpoint.file.training_results.best_val_accuracy, percent, low, high
    )
