"""energy_report: the complete checkpoint, the energy proxies, two figures, and the MLflow run."""

import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from spikejoule import figures
from spikejoule.architecture import Architecture
from spikejoule.checkpoint import (
    InferenceSpikes,
    TrainedNetwork,
    build_complete,
    load_trained,
    write_complete,
)
from spikejoule.counting import SpikeCounts
from spikejoule.data import load_images
from spikejoule.energy import energy_proxies
from spikejoule.errors import ArtifactError, ParameterError
from spikejoule.events import load_events
from spikejoule.files import read_json, write_bytes, write_json
from spikejoule.inference_files import load_inference_events, load_inference_spikes
from spikejoule.params import Params
from spikejoule.provenance import library_versions
from spikejoule.run_record import build_run_record, provenance_tags
from spikejoule.tracking import Artifact, project_store, publish
from stages.common import PARAMS_FILE, project_root, run_stage

logger = logging.getLogger(__name__)

INPUTS = (
    "trained",
    "test",
    "events_test",
    "inference_spikes",
    "inference_events",
    "data_metrics",
    "train_metrics",
    "history",
    "inference_metrics",
    "evaluate_metrics",
    "confusion",
    "per_class",
    "train_timings",
    "inference_timings",
    "confusion_figure",
    "per_class_figure",
)
OUTPUTS = ("checkpoint", "energy_metrics", "training_curves", "spike_raster")
PATHS = (*INPUTS, *OUTPUTS)

# What decides a result, for the question whether the code was committed. (A pipeline rewrites its
# own outputs and dvc.lock, so the whole tree would never be clean.)
CODE_PATHS = ("src", "stages", "dvc.yaml", "params.yaml", "pyproject.toml")

# Where each artifact goes within the MLflow run.
RUN_FOLDERS = {
    "checkpoint": "checkpoint",
    "training_curves": "figures",
    "spike_raster": "figures",
    "confusion_figure": "figures",
    "per_class_figure": "figures",
    "data_metrics": "metrics",
    "train_metrics": "metrics",
    "history": "metrics",
    "inference_metrics": "metrics",
    "evaluate_metrics": "metrics",
    "energy_metrics": "metrics",
    "confusion": "metrics",
    "per_class": "metrics",
    "train_timings": "metrics/timings",
    "inference_timings": "metrics/timings",
}


def main(paths: Mapping[str, Path], params: Params) -> None:
    """Write the checkpoint, the metrics and the figures; last of all, publish the run."""
    network = load_trained(paths["trained"])
    counts = load_inference_spikes(paths["inference_spikes"])
    _check_counts(paths["inference_spikes"], counts, network.architecture, network.encoding)
    train_timings = _read_values(
        paths["train_timings"], "training_time_seconds", "epoch_times_seconds", "timestamp"
    )
    inference_timings = _read_values(paths["inference_timings"], "measurement_time_seconds")
    evaluation = _read_values(paths["evaluate_metrics"], "test_accuracy_percent")
    metrics = [read_json(paths["train_metrics"]), read_json(paths["inference_metrics"]), evaluation]
    names = network.architecture.layer_names
    raster = _raster(paths, params.energy_report.figure_sample, counts)
    proxies = energy_proxies(network.architecture, counts.means, network.encoding["time_window"])
    inference = InferenceSpikes(
        layer_names=names,
        totals=tuple(counts.totals[name] for name in names),
        n_samples=counts.n_samples,
        measurement_time_seconds=inference_timings["measurement_time_seconds"],
    )
    complete = build_complete(
        network,
        inference,
        train_timings,
        evaluation,
        proxies.as_checkpoint_entry(),
        library_versions(),
    )
    write_complete(paths["checkpoint"], complete)
    write_json(paths["energy_metrics"], proxies.as_metrics())
    title = str(network.data["title"])
    write_bytes(
        paths["training_curves"],
        figures.training_curves(
            network.history,
            names,
            network.best_epoch,
            title,
            bool(network.data["validated_on_test"]),
        ),
    )
    write_bytes(
        paths["spike_raster"],
        figures.spike_raster(raster, f"{title}; test image {params.energy_report.figure_sample}"),
    )
    logger.info(
        "%s synaptic events an inference, %s dense operations, ratio %.4f",
        f"{proxies.synaptic_events_per_inference:,.0f}",
        f"{proxies.dense_operations_per_inference:,}",
        proxies.sparsity_ratio,
    )
    _publish(
        network,
        paths,
        params,
        [*metrics, proxies.as_metrics()],
        {**inference_timings, **train_timings},
    )


def _read_values(path: Path, *names: str) -> dict[str, Any]:
    """A JSON file that must hold the entries `names`."""
    content = read_json(path)
    missing = [name for name in names if name not in content]
    if missing:
        raise ArtifactError(f"{path} lacks {', '.join(missing)}: run the stage that writes it.")
    return content


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


def _raster(paths: Mapping[str, Path], sample: int, counts: SpikeCounts) -> figures.SpikeRaster:
    """The spikes of one test image, after a check that they are those that were counted."""
    test = load_images(paths["test"])
    input_events, _ = load_events(paths["events_test"])
    later_layers = load_inference_events(paths["inference_events"])
    if sample >= min(counts.n_samples, len(test)):
        raise ParameterError(
            f"energy_report.figure_sample: {sample} is not allowed; allowed: 0 to "
            f"{counts.n_samples - 1}, the test images whose spikes were measured"
        )
    one = slice(sample, sample + 1)
    layers = [layer.select(one) for layer in (input_events, *later_layers.values())]
    spikes = [layer.n_events for layer in layers]
    if spikes != counts.per_sample[sample].tolist():
        raise ArtifactError(
            f"{paths['inference_spikes']} counts {counts.per_sample[sample].tolist()} spikes for "
            f"test image {sample}, but {paths['events_test']} and {paths['inference_events']} hold "
            f"{spikes}: measure again."
        )
    return figures.SpikeRaster(
        image=test.images[sample],
        label=int(test.labels[sample]),
        layers=layers,
        layer_names=counts.layer_names,
    )


def _publish(
    network: TrainedNetwork,
    paths: Mapping[str, Path],
    params: Params,
    metrics: Sequence[Mapping[str, Any]],
    timings: Mapping[str, Any],
) -> None:
    record = build_run_record(
        network=network,
        trained_path=paths["trained"],
        checkpoint_path=paths["checkpoint"],
        parameters=params.flattened(),
        metrics=metrics,
        timings=timings,
        artifacts=[
            *(Artifact(paths[name], folder) for name, folder in RUN_FOLDERS.items()),
            Artifact(PARAMS_FILE, ""),
        ],
        tags=provenance_tags(Path.cwd(), CODE_PATHS),
    )
    publication = publish(record, project_store(project_root(), params.energy_report.experiment))
    if publication is not None:
        logger.info(
            "MLflow run %s %s",
            publication.run_id,
            "added" if publication.added else "holds this result already; nothing added",
        )


if __name__ == "__main__":
    sys.exit(run_stage(main, __doc__, PATHS))
