"""Energy analysis of a trained network: from its checkpoint, or from a measurement.

A complete checkpoint records mean spikes per inference. With a `Measurement`, counts
are exact per image.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.baselines.counts import BaselineCounts
from spikejoule.core.errors import ArtifactError
from spikejoule.counts.measurement import (
    LayerCounts,
    Measurement,
    activity_of_layers,
)
from spikejoule.counts.proxies import energy_proxies
from spikejoule.counts.records import Activity
from spikejoule.data.images import subject_of_data
from spikejoule.energy.analysis import AnalysisInputs, network_name
from spikejoule.energy.ledger import (
    EARLY_EXIT,
    SPIKING,
    WHOLE_WINDOW,
    Accuracies,
    Execution,
    Variant,
    averaged,
    spiking_variants,
)
from spikejoule.energy.operations import count_operations
from spikejoule.energy.published import published_networks
from spikejoule.energy.training import TrainingRecord
from spikejoule.energy.training.record import Augmented
from spikejoule.evaluation.accuracy import EarlyExit, exit_steps, step_outcomes
from spikejoule.network.checkpoint import CompleteCheckpoint, TrainingConfigSection

_COUNTING = "`spikejoule energy --images`"


@dataclass(frozen=True, eq=False)
class MeasuredSamples:
    """Test samples that were run through the network of a checkpoint.

    Attributes:
        measurement: their spikes.
        labels: class of each sample, [N]; None if unknown.
        images: uint8 [N, height, width], to count what encoding them takes; None for
            samples that are not images.
        early: the early exit rule and its accuracies; None without.
    """

    measurement: Measurement
    labels: NDArray[Any] | None = None
    images: NDArray[np.uint8] | None = None
    early: EarlyExit | None = None


def analysis_inputs(
    checkpoint: CompleteCheckpoint,
    measured: MeasuredSamples | None = None,
    baselines: tuple[BaselineCounts, ...] = (),
) -> AnalysisInputs:
    """Collect what an energy analysis of a checkpoint needs.

    Args:
        checkpoint: the network, and the spikes that its file records.
        measured: measured test samples; None for the recorded means.
        baselines: conventional networks on the same samples.

    Raises:
        ArtifactError: nothing was measured, and the file records too little
            (`recorded_activity`).
    """
    network = checkpoint.network
    encoder = checkpoint.encoder
    data = checkpoint.file.spikejoule.data
    accuracy = _accuracy(checkpoint)
    name = network_name(network, encoder.name, _removed_percent(checkpoint))
    labels = None
    if measured is None:
        activity = recorded_activity(checkpoint)
        operations = count_operations(activity)
        n_images = checkpoint.file.inference_spikes.n_samples
        proxies = energy_proxies(activity)
        bits = network.weight_bits
        variants: tuple[Variant, ...] = (
            Variant(SPIKING, name, WHOLE_WINDOW, accuracy, bits, operations),
        )
    else:
        if measured.labels is not None:
            labels = measured.labels.astype(np.int64)
        n_images = measured.measurement.n_samples
        proxies = measured.measurement.proxies
        executions = _executions(measured, accuracy)
        variants = spiking_variants(
            name, measured.measurement, encoder, measured.images, executions
        )
    side = data.get("average_pixels") or 1
    # The published networks were trained on whole images.
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
        labels=labels,
        baselines=baselines,
        published=published,
        training=training_record(checkpoint),
        subject=subject_of_data(data),
        average_pixels=side,
    )


def _executions(
    measured: MeasuredSamples, accuracy: Accuracies | None
) -> list[Execution]:
    """List the whole window, and early exit if its rule and the labels are known."""
    executions = [Execution(WHOLE_WINDOW, accuracy)]
    early = measured.early
    if early is not None and measured.labels is not None:
        outcomes = step_outcomes(measured.measurement, measured.labels)
        accuracies = Accuracies(
            early.validation.accuracy_percent, early.test.accuracy_percent
        )
        steps = exit_steps(outcomes, early.margin_spikes)
        executions.append(Execution(EARLY_EXIT, accuracies, steps))
    return executions


def _removed_percent(checkpoint: CompleteCheckpoint) -> float:
    """Return the percentage of synapses that training removed."""
    if not checkpoint.pruned:
        return 0.0
    connections = checkpoint.network.with_weights(checkpoint.state).connections
    kept = sum(np.count_nonzero(connection.weight) for connection in connections)
    return 100 * (1 - kept / sum(connection.weight.size for connection in connections))


def recorded_activity(checkpoint: CompleteCheckpoint) -> Activity:
    """Return the mean activity per inference that a checkpoint records.

    Spikes alone do not determine the events of pruned networks and convolutions, or the
    products of constant currents: these must be recorded themselves.

    Raises:
        ArtifactError: one of these means is missing.
    """
    spikes = checkpoint.spikes_per_inference()
    products = checkpoint.encoder.input_products
    if spikes is None:
        raise ArtifactError(
            "the checkpoint records no inference spikes of each layer, and its "
            f"energy needs them: count them with {_COUNTING}."
        )
    network = checkpoint.network
    recorded = checkpoint.file.energy_proxies
    macs = None
    if products is not None:
        name = "input_macs_per_inference"
        macs = np.array([_required(recorded.input_macs_per_inference, name)])
    events = None
    if checkpoint.pruned or not network.is_plain:
        means = []
        for name in network.connection_names:
            entry = recorded.per_layer.get(name)
            mean = None if entry is None else entry.synaptic_events_per_inference
            means.append(_required(mean, f"synaptic events of {name} per inference"))
        events = np.array([means])
    counts = LayerCounts(
        spikes=np.array([[spikes[name] for name in network.layer_names]]),
        events=events,
        macs=macs,
        products=products,
    )
    return activity_of_layers(
        network.with_weights(checkpoint.state),
        checkpoint.encoder.time_window,
        counts,
        pruned=checkpoint.pruned,
    )


def _required(mean: float | None, name: str) -> float:
    if mean is None:
        raise ArtifactError(
            f"the checkpoint must record its {name}: count them with {_COUNTING}."
        )
    return mean


def training_record(checkpoint: CompleteCheckpoint) -> TrainingRecord | None:
    """Return what a checkpoint records of its training.

    None if it lacks spikes, batch size, or counts that spikes do not determine.

    Raises:
        ArtifactError: the events of an epoch do not match the connections.
    """
    file = checkpoint.file
    network = checkpoint.network
    config = file.training_config
    results = file.training_results
    n_epochs = results.epochs_trained
    batch_size = config.batch_size
    layers = _training_counts(checkpoint)
    if layers is None or n_epochs is None or batch_size is None:
        return None
    samples = layers.samples
    assert samples is not None
    epochs = _epochs(checkpoint)
    # An epoch's last batch may be smaller, so divisions round up.
    if epochs:
        batches = -(-samples // batch_size)
    else:
        batches = n_epochs * -(-(samples // n_epochs) // batch_size)
    clip = config.grad_clip_norm
    if clip is None:
        clip = config.grad_clip_max_norm
    teacher = _column(epochs, "teacher_macs")
    if teacher is not None:
        nonzero = _column(epochs, "teacher_macs_nonzero")
        nonzero = np.zeros_like(teacher) if nonzero is None else nonzero
        teacher = np.stack([teacher, nonzero], axis=1)
    data = file.spikejoule.data
    accuracies = [row.validation_accuracy_percent for row in epochs]
    return TrainingRecord(
        network=network,
        activity=activity_of_layers(network, checkpoint.encoder.time_window, layers),
        batches=batches,
        n_epochs=n_epochs,
        weight_decay=bool(config.weight_decay),
        clipping=bool(clip),
        best_validation_accuracy_percent=results.best_val_accuracy,
        teacher_macs=teacher,
        events_counted=_column(epochs, "synaptic_events") is not None,
        pruned=checkpoint.pruned,
        batch_size=batch_size,
        engine=file.spikejoule.engine,
        surrogate=config.surrogate,
        encoder=checkpoint.encoder,
        augmented=_augmented(config),
        average_pixels=data.get("average_pixels") or 1,
        validation_accuracies_percent=np.array(accuracies) if accuracies else None,
    )


def _augmented(config: TrainingConfigSection) -> Augmented:
    """Return how the images of training were changed."""
    if config.rotate_degrees or config.scale_fraction or config.shear_degrees:
        return "mapped"
    return "shifted" if config.shift_pixels else "no"


def _training_counts(checkpoint: CompleteCheckpoint) -> LayerCounts | None:
    """Return the counts of each epoch, or of all epochs in one row if none is recorded.

    None where the file lacks a count.
    """
    network = checkpoint.network
    file = checkpoint.file
    names = network.layer_names
    totals = file.training_spikes.totals(names)
    total_samples = file.training_results.total_samples
    if totals is None or total_samples is None:
        return None
    epochs = _epochs(checkpoint)
    n_connections = len(network.connections)
    if any(len(row.synaptic_events or ()) not in (0, n_connections) for row in epochs):
        raise ArtifactError(
            "the checkpoint must record the synaptic events of an epoch as one "
            f"number for each of the {n_connections} connections: write it again."
        )
    products = checkpoint.encoder.input_products
    events = _column(epochs, "synaptic_events")
    macs = _column(epochs, "input_macs")
    # Spikes determine neither the synapses that they reach nor the products of
    # constant currents.
    if events is None and not network.is_plain:
        return None
    if macs is None and products:
        return None
    if epochs:
        spikes = [row.spikes for row in epochs]
        samples = [row.samples for row in epochs]
    else:
        spikes = [tuple(round(totals[name]) for name in names)]
        samples = [total_samples]
    return LayerCounts(
        spikes=np.array(spikes),
        events=events,
        macs=macs if products else None,
        products=products,
        samples=np.array(samples),
    )


def _epochs(checkpoint: CompleteCheckpoint) -> list[Any]:
    """Return the history if every epoch has the spikes of each layer, else nothing."""
    history = checkpoint.file.spikejoule.history
    n_layers = len(checkpoint.network.layer_names)
    return history if all(len(row.spikes) == n_layers for row in history) else []


def _column(epochs: list[Any], name: str) -> NDArray[np.int64] | None:
    """Return a count of every epoch; None unless all epochs record it."""
    values = [getattr(row, name) for row in epochs]
    if not values or None in values or () in values:
        return None
    return np.array(values)


def _accuracy(checkpoint: CompleteCheckpoint) -> Accuracies | None:
    percent = checkpoint.file.test_accuracy
    if percent is None:
        return None
    test = checkpoint.file.spikejoule.test
    return Accuracies(
        validation_percent=checkpoint.file.training_results.best_val_accuracy,
        test_percent=percent,
        low_percent=test.test_accuracy_low_percent,
        high_percent=test.test_accuracy_high_percent,
    )
