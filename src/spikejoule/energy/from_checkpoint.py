"""What a complete checkpoint, and spikes measured on its network, give an energy analysis."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from spikejoule.core.errors import ArtifactError
from spikejoule.core.text import NOT_RECORDED
from spikejoule.data.images import subject_of_data
from spikejoule.energy import (
    AnalysisInputs,
    BaselineCounts,
    EnergyProxies,
    EpochSpikes,
    InputMacs,
    RecordedAccuracy,
    TrainingRecord,
    count_operations,
    energy_proxies,
    mean_operations,
)
from spikejoule.energy.analysis import network_name
from spikejoule.energy.ledger import (
    Accuracies,
    EarlyAnswers,
    Variant,
    code_until,
    spiking_variants,
)
from spikejoule.evaluation.accuracy import step_outcomes
from spikejoule.evaluation.early_exit import EarlyExit, exit_steps
from spikejoule.evaluation.measurement import Measurement
from spikejoule.model.checkpoint import CompleteCheckpoint
from spikejoule.model.pruning import fan_outs_by_source

_COUNTING = "`spikejoule measure`, or `spikejoule energy --images`"


def analysis_inputs(
    checkpoint: CompleteCheckpoint,
    measured: Measurement | None = None,
    labels: NDArray[Any] | None = None,
    baselines: tuple[BaselineCounts, ...] = (),
    images: NDArray[np.uint8] | None = None,
    early: EarlyAnswers | None = None,
) -> AnalysisInputs:
    """Arrange what is known of a network.

    Args:
        checkpoint: the network, and the spikes that its file records.
        measured: spikes of N test images; None for the means that the file records.
        labels: class of each of these images, [N]; None where not known.
        baselines: conventional networks on the same images.
        images: these images, uint8 [N, height, width], for what their code takes; None where they
            are not known.
        early: when each of them is answered early; None where that is not known.

    Raises:
        ArtifactError: there is no `measured`, and `recorded_proxies` finds none.
    """
    architecture, encoder = checkpoint.architecture, checkpoint.encoder
    data = _mapping(checkpoint.section("spikejoule"), "data")
    accuracy, synapses = _accuracy(checkpoint), _synapses(checkpoint)
    left = 1.0 if synapses is None else sum(synapses) / sum(architecture.synapses)
    pruned = 100 * (1 - left)
    variants: tuple[Variant, ...] = ()
    if measured is not None:
        code = None if images is None else encoder.operations(images)
        spikes, n_images = measured.counts.means, measured.counts.n_samples
        operations, proxies = count_operations(measured, code), measured.proxies
        stopping = None
        if early is not None:
            until = None if images is None else code_until(encoder, images, early.exit_steps)
            stopping = (early, until)
        name = network_name(architecture, encoder, pruned)
        known = None if accuracy is None else accuracy.both
        variants = spiking_variants(name, measured, code, known, stopping)
    else:
        spikes = _recorded_spikes(checkpoint)
        n_images = checkpoint.section("inference_spikes").get("n_samples", 0)
        proxies = recorded_proxies(checkpoint)
        events = [one.synaptic_events_per_inference for one in proxies.connections]
        macs, products = proxies.input_macs_per_inference, encoder.input_products
        inputs = None if macs is None or products is None else InputMacs(np.array([macs]), products)
        operations = mean_operations(
            spikes, architecture, encoder.time_window, events, inputs, synapses
        )
    return AnalysisInputs(
        title=str(data.get("title", NOT_RECORDED)),
        architecture=architecture,
        encoder=encoder,
        accuracy=accuracy,
        spikes_per_inference=spikes,
        proxies=proxies,
        operations=operations,
        n_images=n_images or None,
        labels=None if measured is None or labels is None else labels.astype(np.int64),
        baselines=baselines,
        training=training_record(checkpoint),
        pruned_percent=pruned,
        variants=variants,
        subject=subject_of_data(data),
    )


def _synapses(checkpoint: CompleteCheckpoint) -> tuple[int, ...] | None:
    """Synapses that are left of each connection; None for all."""
    if not checkpoint.pruned:
        return None
    fan_outs = fan_outs_by_source(checkpoint.state, checkpoint.architecture, True)
    return tuple(int(fan_out.sum()) for fan_out in fan_outs)


def early_answers(measured: Measurement, labels: NDArray[Any], early: EarlyExit) -> EarlyAnswers:
    """When each measured image is answered by a rule of stopping early, and how well it does."""
    steps = exit_steps(step_outcomes(measured, labels), early.margin_spikes)
    accuracies = Accuracies(early.validation.accuracy_percent, early.test.accuracy_percent)
    return EarlyAnswers(steps, accuracies)


def recorded_proxies(checkpoint: CompleteCheckpoint) -> EnergyProxies:
    """The energy proxies at the activity that the file records.

    Those of a pruned network take the recorded events of each connection: they were counted synapse
    by synapse, and cannot be computed from spikes alone. Nor can the products of constant currents.

    Raises:
        ArtifactError: the file records no inference spikes of each layer; or the network is pruned,
            and of a connection no events are recorded, or more than all its synapses give; or its
            input are constant currents, and the same holds of their products.
    """
    spikes, n_steps = _recorded_spikes(checkpoint), checkpoint.encoder.time_window
    macs = _recorded_macs(checkpoint)
    full = energy_proxies(checkpoint.architecture, spikes, n_steps, None, macs)
    if not checkpoint.pruned:
        return full
    per_layer = _mapping(checkpoint.section("energy_proxies"), "per_layer")
    events = []
    for connection in full.connections:
        most = connection.synaptic_events_per_inference
        recorded: Any = _mapping(per_layer, connection.name).get("synaptic_events_per_inference")
        # A mean of integers, so a product of means may fall short of it by a rounding.
        if recorded is None or recorded > most * (1 + 1e-9):
            raise ArtifactError(
                "the checkpoint is of a pruned network, and must record the synaptic events of "
                f"{connection.name} per inference, from 0 to {most:,.1f}, but records "
                f"{recorded!r:.80}: count them with {_COUNTING}."
            )
        events.append(float(recorded))
    return energy_proxies(checkpoint.architecture, spikes, n_steps, events, macs)


def _recorded_macs(checkpoint: CompleteCheckpoint) -> float | None:
    """The products of constant currents per inference that the file records."""
    encoder = checkpoint.encoder
    if encoder.input_products is None:
        return None
    most = checkpoint.architecture.synapses[0]
    if encoder.input_products == "every_step":
        most *= encoder.time_window
    macs: Any = checkpoint.section("energy_proxies").get("input_macs_per_inference")
    if macs is None or macs > most:
        raise ArtifactError(
            f"the checkpoint is of a network with the encoding {encoder.name}, and must record its "
            f"input_macs_per_inference, from 0 to {most:,}, but records {macs!r:.80}: count them "
            f"with {_COUNTING}."
        )
    return float(macs)


def training_record(checkpoint: CompleteCheckpoint) -> TrainingRecord | None:
    """What the checkpoint records of its training; None if spikes or batch size are missing.

    Likewise if the network's input are constant currents whose products are not recorded.
    """
    config, spikes = checkpoint.section("training_config"), checkpoint.section("training_spikes")
    results, ours = checkpoint.section("training_results"), checkpoint.section("spikejoule")
    names = checkpoint.architecture.layer_names
    totals = spikes.get("total_per_layer") or {name: spikes.get(f"total_{name}") for name in names}
    samples, n_epochs = results.get("total_samples"), results.get("epochs_trained")
    batch_size = config.get("batch_size")
    numbers = [*(totals.get(name) for name in names), samples, n_epochs, batch_size]
    if not all(isinstance(number, int | float) and number >= 0 for number in numbers):
        return None
    if not (samples and n_epochs and batch_size):
        return None
    epochs = _epochs(ours.get("history", ()), len(names))
    products = checkpoint.encoder.input_products
    if products and not (epochs and all(epoch.input_macs is not None for epoch in epochs)):
        return None
    return TrainingRecord(
        epochs=epochs,
        samples=int(samples),
        spikes=tuple(round(totals[name]) for name in names),
        n_epochs=int(n_epochs),
        time_window=checkpoint.encoder.time_window,
        batch_size=int(batch_size),
        weight_decay=bool(config.get("weight_decay")),
        clipping=bool(config.get("grad_clip_norm", config.get("grad_clip_max_norm"))),
        best_epoch=ours.get("best_epoch"),
        best_validation_accuracy_percent=results.get("best_val_accuracy"),
        pruned=checkpoint.pruned,
        input_products=products,
    )


def _accuracy(checkpoint: CompleteCheckpoint) -> RecordedAccuracy | None:
    percent = checkpoint.content.get("test_accuracy")
    if not isinstance(percent, int | float):
        return None
    test = _mapping(checkpoint.section("spikejoule"), "test")
    low, high = (test.get(f"test_accuracy_{end}_percent") for end in ("low", "high"))
    validation = checkpoint.section("training_results").get("best_val_accuracy")
    return RecordedAccuracy(float(percent), low, high, validation)


def _recorded_spikes(checkpoint: CompleteCheckpoint) -> dict[str, float]:
    spikes = checkpoint.spikes_per_inference()
    if spikes is None:
        raise ArtifactError(
            "the checkpoint records no inference spikes of each layer, and its energy needs them: "
            f"count them with {_COUNTING}."
        )
    return spikes


def _epochs(history: Any, n_layers: int) -> tuple[EpochSpikes, ...]:
    """The epochs of a history that records the spikes of each; else nothing."""
    if not isinstance(history, list | tuple):
        return ()
    needed = ("epoch", "samples", "spikes", "validation_accuracy_percent")
    if not all(
        isinstance(row, Mapping)
        and all(name in row for name in needed)
        and len(row["spikes"]) == n_layers
        for row in history
    ):
        return ()
    return tuple(
        EpochSpikes(
            row["epoch"],
            row["samples"],
            tuple(int(count) for count in row["spikes"]),
            row["validation_accuracy_percent"],
            tuple(int(count) for count in events)
            if (events := row.get("synaptic_events"))
            else None,
            row.get("teacher_macs"),
            row.get("teacher_macs_nonzero"),
            row.get("input_macs"),
        )
        for row in history
    )


def _mapping(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = content.get(name)
    return section if isinstance(section, Mapping) else {}
