"""Energy analysis of a trained network: from its checkpoint, or from a measurement.

A complete checkpoint records mean spikes per inference. With a `Measurement`, counts
are exact per image.
"""

from dataclasses import replace

import numpy as np

from spikejoule.baselines.counts import CountedBaseline
from spikejoule.compare.inputs import AnalysisInputs
from spikejoule.compare.names import network_name
from spikejoule.compare.published import published_networks
from spikejoule.core.errors import ArtifactError
from spikejoule.counts.measurement import (
    LayerCounts,
    activity_of_layers,
)
from spikejoule.counts.proxies import energy_proxies
from spikejoule.counts.records import Activity
from spikejoule.data.images import subject_of_data
from spikejoule.energy.ledger import Accuracies, spiking_variants
from spikejoule.energy.training.history import TrainingSetup, record_of_epochs
from spikejoule.energy.training.record import TrainingRecord
from spikejoule.evaluation.runs import (
    EARLY_EXIT,
    WHOLE_WINDOW,
    CountedRun,
    CountedSamples,
)
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
    network = checkpoint.network
    encoder = checkpoint.encoder
    data = checkpoint.file.spikejoule.data
    bound = network.with_weights(checkpoint.state)
    name = network_name(bound, encoder.name, checkpoint.pruned)
    accuracies = {WHOLE_WINDOW: _accuracy(checkpoint)}
    labels = None
    runs: tuple[CountedRun, ...]
    if counted is None:
        recorded = recorded_activity(checkpoint)
        runs = (CountedRun(WHOLE_WINDOW, False, recorded, None),)
        n_images = checkpoint.file.inference_spikes.n_samples
    else:
        runs = counted.runs
        n_images = counted.n_samples
        if counted.labels is not None:
            labels = counted.labels.astype(np.int64)
        if counted.early is not None:
            accuracies[EARLY_EXIT] = Accuracies(
                counted.early.validation.accuracy_percent,
                counted.early.test.accuracy_percent,
            )
    return AnalysisInputs(
        title=str(data.get("title", "not recorded")),
        network=network,
        variants=spiking_variants(name, runs, accuracies),
        proxies=energy_proxies(runs[0].activity),
        n_images=n_images or None,
        step_ms=encoder.step_ms,
        encoder=encoder,
        labels=labels,
        baselines=baselines,
        published=published_networks(str(data.get("source", ""))),
        training=training_record(checkpoint),
        subject=subject_of_data(data),
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
    project = checkpoint.file.spikejoule
    setup = TrainingSetup(
        network=checkpoint.network,
        encoder=checkpoint.encoder,
        config=checkpoint.file.training_config,
        engine=project.engine,
    )
    names = checkpoint.network.layer_names
    if checkpoint.file.training_spikes.totals(names) is None:
        return None
    epochs = project.history
    if epochs and all(len(epoch.spikes) == len(names) for epoch in epochs):
        record = record_of_epochs(setup, epochs)
    else:
        record = _record_of_totals(checkpoint, setup)
    if record is None:
        return None
    best_percent = checkpoint.file.training_results.best_val_accuracy
    return replace(record, best_validation_accuracy_percent=best_percent)


def _record_of_totals(
    checkpoint: Checkpoint, setup: TrainingSetup
) -> TrainingRecord | None:
    """Return the record of a training whose epochs are not recorded, in one row."""
    results = checkpoint.file.training_results
    network = checkpoint.network
    totals = checkpoint.file.training_spikes.totals(network.layer_names)
    n_epochs = results.epochs_trained
    n_samples = results.total_samples
    batch_size = setup.config.batch_size
    if totals is None or n_epochs is None or n_samples is None or batch_size is None:
        return None
    # Spikes determine neither the events of other layers nor products of currents.
    if not network.is_plain or checkpoint.encoder.input_products:
        return None
    spikes = [round(totals[name]) for name in network.layer_names]
    layers = LayerCounts(spikes=np.array([spikes]), samples=np.array([n_samples]))
    batches = n_epochs * -(-(n_samples // n_epochs) // batch_size)
    return setup.record(layers, (), n_epochs, np.array([batches]))


def _accuracy(checkpoint: Checkpoint) -> Accuracies | None:
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
