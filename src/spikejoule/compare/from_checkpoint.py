"""Energy analysis of a trained network: from its checkpoint, or from a measurement.

A complete checkpoint records mean spikes per inference. With a `Measurement`, counts
are exact per image.
"""

from dataclasses import replace

import numpy as np

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.inputs import AnalysisInputs
from spikejoule.compare.published import published_networks
from spikejoule.core.errors import ArtifactError
from spikejoule.counts.measurement import (
    LayerCounts,
    activity_of_layers,
)
from spikejoule.counts.records import Activity
from spikejoule.counts.training import (
    TrainingRecord,
    record_of_counts,
    record_of_epochs,
)
from spikejoule.data.subject import subject_of_data
from spikejoule.energy.ledger import Variant, spiking_variant
from spikejoule.evaluation.early_exit import EarlyExit
from spikejoule.evaluation.runs import EARLY_EXIT, CountedSamples
from spikejoule.network.checkpoint import Checkpoint

_COUNTING = "`spikejoule energy --images`"


def analysis_inputs(
    checkpoint: Checkpoint,
    counted: CountedSamples | None = None,
    baselines: tuple[CountedBaseline, ...] = (),
) -> AnalysisInputs:
    """Collect what an energy analysis of a checkpoint needs.

    Args:
        checkpoint: the network, and the spikes that its file records.
        counted: counted test samples; None for the recorded means.
        baselines: conventional networks on the same samples.

    Raises:
        ArtifactError: nothing was counted, and the file records too little
            (`recorded_activity`).
    """
    encoder = checkpoint.encoder
    data = checkpoint.file.spikejoule.data
    if counted is None:
        counted = CountedSamples((recorded_activity(checkpoint),))
        n_images = checkpoint.file.inference_spikes.n_samples
    else:
        n_images = counted.n_samples
    labels = None if counted.labels is None else counted.labels.astype(np.int64)
    variants = [spiking_variant(activity) for activity in counted.runs]
    return AnalysisInputs(
        title=str(data.get("title", "not recorded")),
        activity=counted.runs[0],
        variants=tuple(
            _with_accuracies(variant, checkpoint, counted.early) for variant in variants
        ),
        n_images=n_images or None,
        step_ms=encoder.step_ms,
        encoder=encoder,
        labels=labels,
        baselines=baselines,
        published=published_networks(str(data.get("source", ""))),
        training=training_record(checkpoint),
        subject=subject_of_data(data),
    )


def _with_accuracies(
    variant: Variant, checkpoint: Checkpoint, early: EarlyExit | None
) -> Variant:
    """Return a way of running a checkpoint's network with its accuracies, if known."""
    if variant.method == EARLY_EXIT:
        if early is None:
            return variant
        return replace(
            variant,
            validation_percent=early.validation.accuracy_percent,
            test_percent=early.test.accuracy_percent,
        )
    file = checkpoint.file
    if file.test_accuracy is None:
        return variant
    return replace(
        variant,
        validation_percent=file.training_results.best_val_accuracy,
        test_percent=file.test_accuracy,
        test_low_percent=file.spikejoule.test.test_accuracy_low_percent,
        test_high_percent=file.spikejoule.test.test_accuracy_high_percent,
    )


def recorded_activity(checkpoint: Checkpoint) -> Activity:
    """Return the mean activity per inference that a checkpoint records.

    Spikes alone do not determine the events of pruned networks and convolutions, or the
    products of constant currents: these must be recorded themselves.

    Raises:
        ArtifactError: one of these means is missing.
    """
    network = checkpoint.network
    spikes = checkpoint.file.inference_spikes.per_inference(network.layer_names)
    products = checkpoint.encoder.input_products
    if spikes is None:
        raise ArtifactError(
            "the checkpoint does not record each layer's inference spikes, which its "
            f"energy needs: count them with {_COUNTING}."
        )
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


def training_record(checkpoint: Checkpoint) -> TrainingRecord | None:
    """Return what a checkpoint records of its training.

    None if it lacks spikes, batch size, or counts that spikes do not determine.
    """
    n_layers = len(checkpoint.network.layers)
    epochs = checkpoint.history
    if epochs and all(len(epoch.spikes) == n_layers for epoch in epochs):
        record = record_of_epochs(checkpoint, epochs)
    else:
        record = _record_of_totals(checkpoint)
    if record is None:
        return None
    best_percent = checkpoint.file.training_results.best_val_accuracy
    return replace(record, best_validation_accuracy_percent=best_percent)


def _record_of_totals(checkpoint: Checkpoint) -> TrainingRecord | None:
    """Return the record of a training whose epochs are not recorded, in one row."""
    results = checkpoint.file.training_results
    network = checkpoint.network
    totals = checkpoint.file.training_spikes.totals(network.layer_names)
    n_epochs = results.epochs_trained
    n_samples = results.total_samples
    if totals is None or n_epochs is None or n_samples is None:
        return None
    # Spikes determine neither the events of other layers nor products of currents.
    if not network.is_plain or checkpoint.encoder.input_products:
        return None
    spikes = [round(totals[name]) for name in network.layer_names]
    counted = LayerCounts(spikes=np.array([spikes]), samples=np.array([n_samples]))
    return record_of_counts(checkpoint, counted, (), n_epochs)
