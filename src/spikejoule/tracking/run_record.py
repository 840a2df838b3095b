"""What a pipeline's outputs tell MLflow: they are read, arranged as a `RunRecord`, and published.

What is stored with a run is what dvc.yaml lists for the stage `publish`.
"""

import contextlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import accumulate
from pathlib import Path
from typing import Any

import psutil

from spikejoule.core import torch_files
from spikejoule.core.errors import ArtifactError
from spikejoule.core.host_energy import EpochTimes
from spikejoule.core.provenance import content_digest, file_digest, provenance_tags
from spikejoule.core.schema import Record
from spikejoule.core.yaml_files import PARAMS_FILE, artifact_paths, stage_paths
from spikejoule.data.images import subject_of_data
from spikejoule.energy.tables import EnergyMetrics
from spikejoule.evaluation.evaluation import EvaluationMetrics
from spikejoule.evaluation.inference import InferenceMetrics, InferenceTimings
from spikejoule.model.trained import load_trained
from spikejoule.params import Params, load_params
from spikejoule.tracking.project import Revision, check_against_lock, checked_out
from spikejoule.tracking.publishing import Publication, publish
from spikejoule.tracking.runs import (
    TRAINED_TAG,
    ModelFiles,
    RunRecord,
    StoredFile,
    epoch_row,
    run_name,
)
from spikejoule.tracking.store import project_store
from spikejoule.training.outcome import TrainMetrics, TrainTimings

# By the names of dvc.yaml. None of the metrics contains a clock; with the parameters and the
# trained network they decide whether a result is a new one.
METRICS: Mapping[str, type[Record]] = {
    "train_metrics": TrainMetrics,
    "inference_metrics": InferenceMetrics,
    "evaluate_metrics": EvaluationMetrics,
    "energy_metrics": EnergyMetrics,
}
_STAGE = "publish"
# For DVC to keep, or a part of the project.
_NOT_STORED = ("trained", "hardware", "front")
# Entries of the metrics files that are no figure of merit.
_SKIPPED = ("n_samples", "confidence", "per_layer", "spikes_total")
_NOTE = {
    "test_accuracy_percent": "**{:.2f} %** of the test {nouns} classified correctly",
    "synaptic_events_per_inference": "**{:,.0f}** synaptic events per inference",
    "equal_accuracy_ratio": (
        "**{:.3g}** times the energy of the cheapest conventional network of equal accuracy, "
        "under the verdict's profile"
    ),
    "early_exit_test_accuracy_percent": "**{:.2f} %** when it answers as soon as it is sure",
    "early_exit_synaptic_events_per_inference": "**{:,.0f}** synaptic events then",
}


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
    return publish(record, project_store(root, params.publish.experiment), keeper)


def build_run_record(
    paths: Mapping[str, Path], params: Params, tags: Mapping[str, str]
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
    deciding = [
        kind.read(paths[name]).model_dump(mode="json", exclude_unset=True)
        for name, kind in METRICS.items()
    ]
    training = TrainTimings.read_of(paths["train_timings"], len(network.history))
    inference = InferenceTimings.read(paths["inference_timings"])
    baseline = EpochTimes.read(paths["baseline_timings"])
    metrics = dict(pair for content in deciding for pair in _numbers(content))
    metrics["training_time_seconds"] = training.training_time_seconds
    metrics["measurement_time_seconds"] = inference.measurement_time_seconds
    # The versions that made the result, which may be older than those that record it.
    libraries = torch_files.read(paths["checkpoint"])["spikejoule"]["library_versions"]
    tags = {
        **tags,
        **{f"data.{name}": str(network.data[name]) for name in ("source", "title", "note")},
        **{f"data.sha256.{file}": digest for file, digest in network.data["sha256"].items()},
        **{f"library.{name}": str(version) for name, version in libraries.items()},
        "engine": network.engine,
        "device": training.device,
        "checkpoint.md5": file_digest(paths["checkpoint"], "md5"),
        TRAINED_TAG: file_digest(paths["trained"], "sha256"),
    }
    # What the computer itself spent in each stage that says so.
    for name, timings in (("train", training), ("inference", inference), ("baseline", baseline)):
        if (spent := timings.host_energy) is not None:
            tags[f"host_energy.{name}"] = f"{spent.kind}: {spent.method}"
            if spent.kind == "measured":
                metrics[f"host_energy_j/{name}"] = float(spent.energy_j or 0.0)
                if spent.above_idle_j is not None:
                    metrics[f"host_energy_above_idle_j/{name}"] = spent.above_idle_j
    started = datetime.fromisoformat(training.timestamp).timestamp()
    nouns = subject_of_data(network.data).nouns
    came_out = [
        f"- {text.format(metrics[name], nouns=nouns)}\n"
        for name, text in _NOTE.items()
        if name in metrics
    ]
    return RunRecord(
        result_id=content_digest(
            {"parameters": params.deciding(), "trained": tags[TRAINED_TAG], "metrics": deciding}
        ),
        name=run_name(tags),
        parameters=params.flattened(),
        history=[
            epoch_row(record, network.architecture.layer_names, elapsed)
            for record, elapsed in zip(
                network.history, accumulate(training.epoch_times_seconds), strict=True
            )
        ],
        metrics=metrics,
        tags={**tags, "mlflow.note.content": f"{''.join(came_out)}\n{tags['data.title']}"},
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
        front=paths["front"],
        started_ms=round(1000 * started),
        ended_ms=round(1000 * (started + training.training_time_seconds)),
    )


def _numbers(content: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Every number under its keys joined by slashes, by which MLflow groups its charts."""
    for key, value in content.items():
        if key in _SKIPPED:
            continue
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{prefix}{key}/")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{prefix}{key}", float(value)
