"""What a pipeline's outputs tell MLflow: they are read, arranged as a `RunRecord`, and published.

What is stored with a run is what dvc.yaml lists for the stage `publish`.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import accumulate, chain, repeat
from pathlib import Path
from typing import Any

import psutil

from spikejoule.baselines.counts import BaselineTimings
from spikejoule.core import torch_files
from spikejoule.core.errors import ArtifactError
from spikejoule.core.provenance import content_digest, file_digest, provenance_tags
from spikejoule.core.schema import Record
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths, stage_paths
from spikejoule.energy.tables import EnergyMetrics
from spikejoule.evaluation.evaluation import EvaluationMetrics
from spikejoule.evaluation.inference import InferenceMetrics, InferenceTimings
from spikejoule.model.trained import TrainedNetwork, load_trained
from spikejoule.params import Params, load_params
from spikejoule.tracking import (
    TRAINED_TAG,
    ModelFiles,
    Publication,
    RunRecord,
    StoredFile,
    epoch_row,
    front_citations,
    project_store,
    publish,
)
from spikejoule.tracking.project import Revision, check_against_lock, checked_out
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
_STAGE = "publish"
# For DVC to keep, or a part of the project.
_NOT_STORED = ("trained", "hardware", "front")
# Entries of the metrics files that are no figure of merit.
_SKIPPED = ("n_samples", "confidence", "per_layer", "spikes_total")


def publish_workspace(root: Path) -> Publication:
    """Record the outputs in the workspace of the project at `root`.

    Raises ArtifactError for outputs that are missing, damaged or not those of dvc.lock,
    ParameterError for parameters that are, StoreError if the store cannot be written.
    """
    artifact_paths(root)  # refuses a folder that is no project, by its full name
    with contextlib.chdir(root):
        params = load_params(PARAMS_FILE, of_a_result=True)
        return publish_outputs(stage_paths(Path(), _STAGE), params, root, provenance_tags(root))


def publish_revision(root: Path, revision: Revision) -> Publication:
    """Record the outputs of another revision, which git and DVC's cache hold; errors as above."""
    with checked_out(root, revision) as folder, contextlib.chdir(folder):
        params = load_params(PARAMS_FILE, of_a_result=True)
        return publish_outputs(stage_paths(Path(), _STAGE), params, root, revision.tags)


def publish_outputs(
    paths: Mapping[str, Path],
    params: Params,
    root: Path,
    tags: Mapping[str, str],
    keeper: psutil.Process | None = None,
) -> Publication:
    """Record the outputs in the working directory.

    Args:
        paths: what the stage `publish` depends on, by the names of dvc.yaml.
        params: the pipeline's parameters.
        root: of the project whose store and cache these are.
        tags: those of `provenance_tags`.
        keeper: the process without which the run has ended; by default this one.

    Raises as `publish_workspace` does.
    """
    code = check_against_lock(list(paths.values()), root)
    record = build_run_record(paths, params, {**tags, **code})
    return publish(record, project_store(root, params.publish.experiment), keeper=keeper)


def build_run_record(
    paths: Mapping[str, Path],
    params: Params,
    tags: Mapping[str, str],
) -> RunRecord:
    """Arrange the outputs of a pipeline.

    Args:
        paths: what the stage `publish` depends on, each in its folder within the project, which
            becomes its folder within the run.
        params: the pipeline's parameters.
        tags: those of `provenance_tags`; an experiment of DVC gives the run its name.

    Raises:
        ArtifactError: an output is missing or damaged.
    """
    for path in paths.values():
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
    # What the computer itself spent in each stage that says so.
    host_energies = {
        name: content["host_energy"]
        for name, content in timings.items()
        if content.get("host_energy") is not None
    }
    final = _final_metrics(metrics, timings, host_energies)
    return RunRecord(
        result_id=content_digest(
            {"parameters": params.deciding(), "trained": trained_sha256, "metrics": metrics}
        ),
        name=run_name(tags),
        parameters=params.flattened(),
        history=[
            epoch_row(record, network.architecture.layer_names, elapsed)
            for record, elapsed in zip(network.history, _elapsed(training), strict=False)
        ],
        metrics=final,
        tags={
            **tags,
            **_data_tags(network),
            "engine": network.engine,
            "device": str(training.get("device", "unknown")),
            **{
                f"host_energy.{name}": f"{entry.get('kind')}: {entry.get('method')}"
                for name, entry in host_energies.items()
            },
            **_library_tags(paths["checkpoint"]),
            "checkpoint.md5": file_digest(paths["checkpoint"], "md5"),
            TRAINED_TAG: trained_sha256,
            "mlflow.note.content": run_note(network.data, final),
        },
        artifacts=[
            *(
                StoredFile(path, name if name == "checkpoint" else path.parent.as_posix())
                for name, path in paths.items()
                if name not in _NOT_STORED
            ),
            StoredFile(Path(PARAMS_FILE), ""),
        ],
        model=ModelFiles(
            paths["checkpoint"],
            paths["hardware"],
            params.energy_report.profile,
            nir=paths.get("nir"),
            card=paths.get("energy_card"),
        ),
        cited=front_citations(paths["front"]),
        started_ms=started_ms,
        ended_ms=ended_ms,
    )


def _plain(kind: type[Record], path: Path) -> dict[str, Any]:
    return kind.read(path).model_dump(mode="json", exclude_unset=True)


def _final_metrics(
    metrics: Sequence[Mapping[str, Any]],
    timings: Mapping[str, Mapping[str, Any]],
    host_energies: Mapping[str, Mapping[str, Any]],
) -> dict[str, float]:
    final: dict[str, float] = {}
    for content in metrics:
        final.update(_numbers(content))
    times = (
        ("training_time_seconds", timings["train"]),
        ("measurement_time_seconds", timings["inference"]),
    )
    final.update((name, float(content[name])) for name, content in times if name in content)
    for name, entry in host_energies.items():
        if entry.get("kind") == "measured":
            final[f"host_energy_j/{name}"] = float(entry["energy_j"])
            if entry.get("above_idle_j") is not None:
                final[f"host_energy_above_idle_j/{name}"] = float(entry["above_idle_j"])
    return final


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


def _span_ms(timings: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Start and end of training, in milliseconds since 1970, as far as they are known."""
    try:
        started = datetime.fromisoformat(str(timings.get("timestamp"))).timestamp()
    except ValueError:
        return None, None
    return round(1000 * started), round(
        1000 * (started + float(timings.get("training_time_seconds", 0.0)))
    )


def _elapsed(timings: Mapping[str, Any]) -> Iterator[float]:
    """Seconds since the start of training at the end of each epoch, as far as they are known."""
    return accumulate(chain(timings.get("epoch_times_seconds", ()), repeat(0.0)))


def _numbers(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number under its keys joined by slashes, by which MLflow groups its charts."""
    for key, value in content.items():
        if key in _SKIPPED:
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)
