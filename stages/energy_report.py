"""energy_report: the complete checkpoint, the energy analysis with its page, and the figures."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from spikejoule.data.images import N_CLASSES, LabelledImages, load_images
from spikejoule.energy import (
    BootstrapSettings,
    analyse,
    load_profiles,
    proxies_of_spikes,
    select_profile,
)
from spikejoule.energy.from_checkpoint import MeasuredImages, analysis_inputs
from spikejoule.energy.summary import answer
from spikejoule.energy.tables import COLUMNS, EnergyMetrics, headline, table
from spikejoule.foundation.errors import ArtifactError, ParameterError
from spikejoule.foundation.files import write_bytes, write_csv, write_text
from spikejoule.foundation.provenance import file_digest, library_versions
from spikejoule.measure.evaluation_files import EvaluationFiles, read_evaluation
from spikejoule.measure.front_rows import FrontRun, read_front
from spikejoule.measure.inference_files import (
    InferenceTimings,
    load_inference_events,
    load_inference_spikes,
)
from spikejoule.model.architecture import Architecture
from spikejoule.model.checkpoint import (
    InferenceSpikes,
    build_complete,
    complete_checkpoint,
    load_trained,
    write_complete,
)
from spikejoule.model.trained import TrainedNetwork
from spikejoule.model.training_files import TrainTimings
from spikejoule.params import Params
from spikejoule.report import (
    Raster,
    ReportContent,
    early_answer,
    energy_page,
    figures,
    outcomes_by_step,
)
from spikejoule.rival.baseline_files import load_baseline
from spikejoule.spikes.codes import load_encoded_images
from spikejoule.spikes.counting import SpikeCounts, count_spikes
from spikejoule.spikes.events import EventList
from stages.shared.common import run_stage

logger = logging.getLogger(__name__)

INPUTS = (
    "trained",
    "test",
    "events_test",
    "inference_spikes",
    "inference_events",
    "evaluate_metrics",
    "per_class",
    "confusion",
    "accuracy_by_step",
    "early_exit",
    "train_timings",
    "inference_timings",
    "baseline",
    "hardware",
    "front",
)
OUTPUTS = (
    "checkpoint",
    "energy_metrics",
    "energy_table",
    "energy_page",
    "training_curves",
    "spike_raster",
    "confusion_figure",
    "per_class_figure",
)
PATHS = (*INPUTS, *OUTPUTS)


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the checkpoint, the energy analysis and the figures; every input is read before."""
    profiles = load_profiles(paths["hardware"])
    chosen = select_profile(profiles, params.energy_report.profile, "energy_report.profile")
    network = load_trained(paths["trained"])
    counts = load_inference_spikes(paths["inference_spikes"])
    _check_counts(paths["inference_spikes"], counts, network.architecture, network.encoding)
    train_timings = TrainTimings.read(paths["train_timings"])
    if len(train_timings.epoch_times_seconds) != len(network.history):
        raise ArtifactError(
            f"{paths['train_timings']} times {len(train_timings.epoch_times_seconds)} epochs, but "
            f"the network has {len(network.history)}: train again."
        )
    inference_timings = InferenceTimings.read(paths["inference_timings"])
    evaluation = read_evaluation(paths)
    names = network.architecture.layer_names
    images, layers = load_images(paths["test"]), _layers(paths, counts)
    _check_evaluation(paths, evaluation, images, counts)
    raster = _raster(params.energy_report.figure_sample, images, layers, counts)
    labels = images.labels[: counts.n_samples]
    baselines = load_baseline(paths["baseline"], labels)
    runs = read_front(paths["front"])
    proxies = proxies_of_spikes(network.state, network.architecture, layers, network.pruned)
    inference = InferenceSpikes(
        layer_names=names,
        totals=tuple(counts.totals[name] for name in names),
        n_samples=counts.n_samples,
        measurement_time_seconds=inference_timings.measurement_time_seconds,
    )
    content = build_complete(
        network,
        inference,
        train_timings.model_dump(exclude_unset=True),
        {
            **evaluation.metrics.model_dump(),
            "confidence": params.evaluate.confidence,
            "n_samples": evaluation.n_images,
            "per_class": {
                str(row.digit): row.accuracy_percent for row in evaluation.per_class.rows
            },
        },
        proxies.as_checkpoint_entry(),
        library_versions(),
    )
    analysis = analyse(
        analysis_inputs(
            complete_checkpoint(paths["checkpoint"], content),
            MeasuredImages(layers, labels),
            baselines,
        ),
        profiles,
        chosen,
        BootstrapSettings(
            params.energy_report.bootstrap_samples, params.evaluate.confidence, params.seed
        ),
    )
    report = ReportContent(
        analysis,
        outcomes_by_step(evaluation.by_step),
        early_answer(evaluation.early_exit),
        runs,
        Raster(raster.label, raster.layer_names, raster.layers),
        (*_provenance(network, paths["trained"]), *_origin_of_front(runs, paths["front"])),
    )
    title = str(network.data["title"])
    metrics = EnergyMetrics.model_validate(headline(analysis))
    page = energy_page(report)
    pictures = {
        "training_curves": figures.training_curves(
            network.history,
            names,
            network.best_epoch,
            title,
            bool(network.data["validated_on_test"]),
        ),
        "spike_raster": figures.spike_raster(
            raster, f"{title}; test image {params.energy_report.figure_sample}"
        ),
        "confusion_figure": figures.confusion_matrix(evaluation.confusion, title),
        "per_class_figure": figures.per_class_accuracy(
            evaluation.of_each_class, evaluation.overall, params.evaluate.confidence, title
        ),
    }
    write_complete(paths["checkpoint"], content)
    metrics.write(paths["energy_metrics"])
    write_csv(paths["energy_table"], COLUMNS, table(analysis))
    write_text(paths["energy_page"], page)
    for name, picture in pictures.items():
        write_bytes(paths[name], picture)
    for line in answer(analysis):
        logger.info("%s", line)


def _provenance(network: TrainedNetwork, trained: Path) -> tuple[tuple[str, str], ...]:
    """What the page says of the network's making: nothing that differs from run to run."""
    data = network.data
    return (
        ("again", "check out this revision of the project, then: make repro"),
        ("data source", str(data["source"])),
        *((f"SHA-256 of {name}", str(digest)) for name, digest in data["sha256"].items()),
        ("SHA-256 of the trained network", file_digest(trained, "sha256")),
        *((f"encode: {name}", str(value)) for name, value in network.encoding.items()),
        *((f"train: {name}", str(value)) for name, value in network.training_config.items()),
    )


def _check_evaluation(
    paths: Mapping[str, Path],
    evaluation: EvaluationFiles,
    images: LabelledImages,
    counts: SpikeCounts,
) -> None:
    """Raise ArtifactError unless the evaluation is of these images and of this window."""
    of_each_digit = np.bincount(images.labels, minlength=N_CLASSES).tolist()
    stated = [row.n_samples for row in evaluation.per_class.rows]
    if stated != of_each_digit:
        raise ArtifactError(
            f"{paths['per_class']} counts {stated} images of the digits, but {paths['test']} holds "
            f"{of_each_digit}: run the evaluate stage again."
        )
    n_steps, n_rows = counts.per_step.shape[1], len(evaluation.by_step.rows)
    if n_rows != n_steps:
        raise ArtifactError(
            f"{paths['accuracy_by_step']} has {n_rows} steps, but the window has {n_steps}: run "
            "the evaluate stage again."
        )


def _origin_of_front(runs: Sequence[FrontRun], path: Path) -> tuple[tuple[str, str], ...]:
    """Where the front's points come from: not from this run of the pipeline."""
    if not runs:
        return ()
    commits = {run.run_id: run.git_commit for run in runs}
    return (
        ("the front", f"recorded earlier by make front in {path.name}, not made by this run"),
        *((f"the front: MLflow run {run}", f"commit {commit}") for run, commit in commits.items()),
        (f"SHA-256 of {path.name}", file_digest(path, "sha256")),
    )


def _check_counts(
    path: Path, counts: SpikeCounts, architecture: Architecture, encoding: Mapping[str, object]
) -> None:
    """Raise ArtifactError unless the counts can be those of this network."""
    sizes = tuple(len(per_neuron) for per_neuron in counts.per_neuron)
    if counts.layer_names != architecture.layer_names or sizes != architecture.layer_sizes:
        raise ArtifactError(
            f"{path} counts the spikes of layers of {sizes} neurons, but the network has "
            f"{architecture.layer_sizes}: measure again."
        )
    n_steps = counts.per_step.shape[1]
    if n_steps != encoding["time_window"]:
        raise ArtifactError(
            f"{path} counts spikes over {n_steps} steps, but the network was trained with a window "
            f"of {encoding['time_window']}: measure again."
        )


def _layers(paths: Mapping[str, Path], counts: SpikeCounts) -> tuple[EventList, ...]:
    """The spikes of every layer, after a check that they are those that were counted."""
    input_events, _ = load_encoded_images(paths["events_test"])
    later_layers = load_inference_events(paths["inference_events"])
    n_samples = min(counts.n_samples, input_events.n_samples)
    layers = (input_events.select(slice(n_samples)), *later_layers.values())
    if [layer.n_samples for layer in layers] != [counts.n_samples] * len(counts.layer_names):
        raise ArtifactError(
            f"{paths['inference_spikes']} counts {counts.n_samples:,} images, but "
            f"{paths['events_test']} and {paths['inference_events']} hold "
            f"{[layer.n_samples for layer in layers]} by layer: measure again."
        )
    differing = counts.first_difference(count_spikes(layers, counts.layer_names))
    if differing:
        raise ArtifactError(
            f"{paths['inference_spikes']} counts other spikes than {paths['events_test']} and "
            f"{paths['inference_events']} hold: {differing}: measure again."
        )
    return layers


def _raster(
    sample: int, images: LabelledImages, layers: Sequence[EventList], counts: SpikeCounts
) -> figures.SpikeRaster:
    """The spikes of one test image."""
    if sample >= min(counts.n_samples, len(images)):
        raise ParameterError(
            f"energy_report.figure_sample: {sample} is not allowed; allowed: 0 to "
            f"{counts.n_samples - 1}, the test images whose spikes were measured"
        )
    one = slice(sample, sample + 1)
    return figures.SpikeRaster(
        image=images.images[sample],
        label=int(images.labels[sample]),
        layers=[layer.select(one) for layer in layers],
        layer_names=counts.layer_names,
    )


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
