"""What a pipeline's outputs tell MLflow: they are read and arranged as a `RunRecord`."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from spikejoule.baselines.counts import BaselineTimings
from spikejoule.core import torch_files
from spikejoule.core.errors import ArtifactError
from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.core.schema import Record
from spikejoule.energy.tables import EnergyMetrics
from spikejoule.evaluation.evaluation import EvaluationMetrics
from spikejoule.evaluation.inference import InferenceMetrics, InferenceTimings
from spikejoule.model.trained import TrainedNetwork, load_trained
from spikejoule.params import Params
from spikejoule.tracking import (
    TRAINED_TAG,
    ModelFiles,
    RunRecord,
    StoredFile,
    epoch_row,
    front_citations,
)
from spikejoule.tracking.writing import run_name, run_note
from spikejoule.training.outcome import TrainMetrics, TrainTimings

# The outputs that a record is made of, by the names of dvc.yaml. None of the metrics contains a
# clock; with the parameters and the trained network they decide whether a result is a new one.
METRICS: Mapping[str, type[Record]] = {
    "train_metrics": TrainMetrics,
    "inference_metrics": InferenceMetrics,
    "evaluate_metrics": EvaluationMetrics,
    "energy_metrics": EnergyMetrics,
}
TIMINGS: Mapping[str, type[Record]] = {
    "baseline_timings": BaselineTimings,
    "inference_timings": InferenceTimings,
    "train_timings": TrainTimings,
}
OUTPUTS = (
    "trained",
    "checkpoint",
    "nir",
    "data_metrics",
    "encode_metrics",
    "history",
    "confusion",
    "per_class",
    "accuracy_by_step",
    "early_exit",
    "baseline_metrics",
    "contenders",
    "energy_table",
    "energy_page",
    "energy_card",
    "training_curves",
    "spike_raster",
    "confusion_figure",
    "per_class_figure",
    *METRICS,
    *TIMINGS,
)

# All that it is made of: the prices and the front come with the project.
FILES = (*OUTPUTS, "hardware", "front")

_CHECKPOINT_FOLDER = "checkpoint"
# What a revision from before may lack, which is published all the same.
_LATER = ("nir", "contenders", "energy_card", "encode_metrics")
# Training's optimizer state and all: for DVC to keep.
_NOT_STORED = ("trained",)
# Entries of the metrics files that are no figure of merit.
_SKIPPED = ("n_samples", "confidence", "per_layer", "spikes_total")


def files_of(paths: Mapping[str, Path], names: Sequence[str] = FILES) -> list[Path]:
    """The files of these names, at the paths that a revision's dvc.yaml gives them."""
    return [paths[name] for name in names if name in paths or name not in _LATER]


def model_files(paths: Mapping[str, Path], params: Params) -> ModelFiles:
    """What a version of the model is made of, at the paths that a revision's dvc.yaml gives."""
    return ModelFiles(
        paths["checkpoint"],
        paths["hardware"],
        params.energy_report.profile,
        nir=paths.get("nir"),
        card=paths.get("energy_card"),
    )


def build_run_record(
    paths: Mapping[str, Path],
    params: Params,
    tags: Mapping[str, str],
    further_files: Sequence[StoredFile] = (),
    model: ModelFiles | None = None,
) -> RunRecord:
    """Arrange the outputs of a pipeline.

    Args:
        paths: the files of `files_of`, each with its folder within the project, which becomes its
            folder within the run.
        params: the pipeline's parameters.
        tags: those of `provenance_tags`; an experiment of DVC gives the run its name.
        further_files: files to store beside the outputs.
        model: what to register as a version of the model; None for nothing.

    Raises:
        ArtifactError: an output is missing or damaged.
    """
    for path in files_of(paths, OUTPUTS):
        if not path.is_file():
            raise ArtifactError(f"{path} does not exist: run the stage that writes it.")
    network = load_trained(paths["trained"])
    metrics = [_plain(kind, paths[name]) for name, kind in METRICS.items()]
    timings = {
        name.removesuffix("_timings"): _plain(kind, paths[name]) for name, kind in TIMINGS.items()
    }
    training = timings["train"]
    trained_sha256 = file_digest(paths["trained"], "sha256")
    started_ms, ended_ms = _span_ms(training)
    final = _final_metrics(metrics, timings)
    return RunRecord(
        result_id=content_digest(
            {"parameters": params.deciding(), "trained": trained_sha256, "metrics": metrics}
        ),
        name=run_name(tags),
        parameters=params.flattened(),
        history=_history(network, training.get("epoch_times_seconds", ())),
        metrics=final,
        tags={
            **tags,
            **_data_tags(network),
            "engine": network.engine,
            "device": str(training.get("device", "unknown")),
            **_host_energy_tags(timings),
            **_library_tags(paths["checkpoint"]),
            "checkpoint.md5": file_digest(paths["checkpoint"], "md5"),
            TRAINED_TAG: trained_sha256,
            "mlflow.note.content": run_note(network.data, final),
        },
        artifacts=[*_stored_files(paths), *further_files],
        model=model,
        cited=front_citations(paths["front"]),
        started_ms=started_ms,
        ended_ms=ended_ms,
    )


def _plain(kind: type[Record], path: Path) -> dict[str, Any]:
    return kind.read(path).model_dump(mode="json", exclude_unset=True)


def _final_metrics(
    metrics: Sequence[Mapping[str, Any]], timings: Mapping[str, Mapping[str, Any]]
) -> dict[str, float]:
    final: dict[str, float] = {}
    for content in metrics:
        final.update(_numbers(content))
    times = (
        ("training_time_seconds", timings["train"]),
        ("measurement_time_seconds", timings["inference"]),
    )
    final.update((name, float(content[name])) for name, content in times if name in content)
    for name, entry in _host_energies(timings):
        if entry.get("kind") == "measured":
            final[f"host_energy_j/{name}"] = float(entry["energy_j"])
            if entry.get("above_idle_j") is not None:
                final[f"host_energy_above_idle_j/{name}"] = float(entry["above_idle_j"])
    return final


def _host_energies(
    timings: Mapping[str, Mapping[str, Any]],
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """What the computer itself spent in each stage that says so."""
    for name, content in timings.items():
        if isinstance(content.get("host_energy"), Mapping):
            yield name, content["host_energy"]


def _host_energy_tags(timings: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    return {
        f"host_energy.{name}": f"{entry.get('kind')}: {entry.get('method')}"
        for name, entry in _host_energies(timings)
    }


def _data_tags(network: TrainedNetwork) -> dict[str, str]:
    return {
        "data.source": str(network.data["source"]),
        "data.title": str(network.data["title"]),
        "data.note": str(network.data["note"]),
        **{f"data.sha256.{file}": digest for file, digest in network.data["sha256"].items()},
    }


def _library_tags(checkpoint: Path) -> dict[str, str]:
    """The versions that made the result, which may be older than those that record it."""
    versions = torch_files.read(checkpoint)["spikejoule"]["library_versions"]
    return {f"library.{name}": str(found) for name, found in versions.items()}


def _stored_files(paths: Mapping[str, Path]) -> Iterator[StoredFile]:
    for name in OUTPUTS:
        if name == "checkpoint":
            yield StoredFile(paths[name], _CHECKPOINT_FOLDER)
        elif name in paths and name not in _NOT_STORED:
            yield StoredFile(paths[name], paths[name].parent.as_posix())


def _span_ms(timings: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Start and end of training, in milliseconds since 1970, as far as they are known."""
    try:
        started = datetime.fromisoformat(str(timings.get("timestamp"))).timestamp()
    except ValueError:
        return None, None
    return round(1000 * started), round(
        1000 * (started + float(timings.get("training_time_seconds", 0.0)))
    )


def _history(
    network: TrainedNetwork, epoch_times_seconds: Sequence[float]
) -> tuple[dict[str, float], ...]:
    rows = []
    elapsed = 0.0
    for number, record in enumerate(network.history):
        if number < len(epoch_times_seconds):
            elapsed += epoch_times_seconds[number]
        rows.append(epoch_row(record, network.architecture.layer_names, elapsed))
    return tuple(rows)


def _numbers(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number under its keys joined by slashes, by which MLflow groups its charts."""
    for key, value in content.items():
        if key in _SKIPPED:
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)
