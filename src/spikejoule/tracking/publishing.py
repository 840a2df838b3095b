"""What a pipeline's outputs tell MLflow: one run for each distinct result, written at once.

What is stored with a run is what dvc.yaml lists for the stage `publish`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from spikejoule.core.provenance import content_digest, file_digest
from spikejoule.core.schema import Record
from spikejoule.core.yaml_files import PARAMS_FILE
from spikejoule.data.images import subject_of_data
from spikejoule.energy.tables import EnergyMetrics
from spikejoule.evaluation.evaluation import EvaluationMetrics
from spikejoule.evaluation.inference import InferenceMetrics, InferenceTimings
from spikejoule.model.trained import load_trained
from spikejoule.params import Params
from spikejoule.tracking import runs
from spikejoule.tracking.project import check_against_lock
from spikejoule.tracking.registry import RESULT_TAG, ModelFiles, Registration, register
from spikejoule.tracking.store import (
    COMMIT_TAG,
    FAILURE_TAG,
    FILES_TAG,
    HOST_TAG,
    PROCESS_TAG,
    Store,
    in_one_line,
    keeper_tags,
    opened,
    project_store,
    shown_uri,
    store_errors,
)
from spikejoule.training.epochs import EpochTimes
from spikejoule.training.outcome import TrainMetrics, TrainTimings

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# By the names of dvc.yaml. None of the metrics contains a clock; with the parameters and the
# trained network they decide whether a result is a new one.
METRICS: Mapping[str, type[Record]] = {
    "train_metrics": TrainMetrics,
    "inference_metrics": InferenceMetrics,
    "evaluate_metrics": EvaluationMetrics,
    "energy_metrics": EnergyMetrics,
}
# For DVC to keep, or a part of the project.
_NOT_STORED = ("trained", "hardware")
_NOTE = {
    "test_accuracy_percent": "**{:.2f} %** of the test {nouns} classified correctly",
    "synaptic_events_per_inference": "**{:,.0f}** synaptic events per inference",
    "equal_accuracy_ratio": (
        "**{:.3g}** times the energy of the cheapest of the run's own conventional networks of "
        "equal accuracy, under the verdict's profile"
    ),
}


@dataclass(frozen=True)
class RunRecord:
    """All that one run holds.

    Attributes:
        result_id: identifies the result: equal for equal parameters, weights and metrics.
        parameters: every parameter by its full name (`train.lr`).
        history: its epochs, as `runs.log_history` takes them.
        metrics: the final figures.
        tags: provenance in words; MLflow's own `mlflow.runName` names the run.
        artifacts: files to store, each with the folder within the run that it goes to.
        model: what to register as a version of the model; None for nothing.
    """

    result_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[Path, str] = field(default_factory=dict)
    model: ModelFiles | None = None


@dataclass(frozen=True)
class Publication:
    """The run that holds a result.

    Attributes:
        run_id: MLflow's identifier.
        added: whether it was added now, or had been there before.
        registration: the result's version in the model registry; None if it has none.
    """

    run_id: str
    added: bool
    registration: Registration | None = None


def publish(record: RunRecord, store: Store, keeper: psutil.Process | None = None) -> Publication:
    """Write `record` as one finished run unless the store holds its result already.

    The run in which its training was shown is completed; where there is none, a new one is made.

    Args:
        record: what to write.
        store: where to.
        keeper: the process without which the run has ended; by default this one.

    Raises:
        StoreError: the store could not be reached, refused, or took too long. What is missing then
            is added when the record is published again.
    """
    where = shown_uri(store.tracking_uri)
    with (
        store_errors(f"the run was not recorded at {where}"),
        opened(store) as (client, experiment_id),
    ):
        run_id, added = _publish(record, client, experiment_id, keeper_tags(keeper))
        if record.model is None:
            return Publication(run_id, added)
        tags = {RESULT_TAG: record.result_id, "git.commit": record.tags.get(COMMIT_TAG, "unknown")}
        note = record.tags.get("mlflow.note.content", "")
        with store_errors(
            f"the run {run_id} is recorded, but its checkpoint is no version in the model registry "
            f"of {where}"
        ):
            return Publication(run_id, added, register(client, record.model, run_id, tags, note))


def _publish(
    record: RunRecord, client: "MlflowClient", experiment_id: str, own: Mapping[str, str]
) -> tuple[str, bool]:
    """The id of the run that holds the result, and whether it was added now."""
    shown = _shown_run(record, client, experiment_id, own)
    known = {RESULT_TAG: record.result_id}
    if finished := runs.runs_with(client, experiment_id, known, ("FINISHED",)):
        if shown is not None:
            client.delete_run(shown.info.run_id)  # it has shown nothing new
        return str(finished[0].info.run_id), False
    tags = {**record.tags, **own, **known}
    run = runs.begin_run(client, experiment_id, shown, tags, record.parameters)
    run_id = run.info.run_id
    try:
        runs.log_history(client, run_id, record.history)
        for path, folder in record.artifacts.items():
            client.log_artifact(run_id, str(path), folder)
    except BaseException as error:
        runs.end_run(client, run_id, "FAILED", tags={FAILURE_TAG: in_one_line(error)})
        raise
    runs.end_run(client, run_id, "FINISHED", record.metrics)
    for tag in {HOST_TAG, PROCESS_TAG} | ({runs.TRAINING_TAG} & run.data.tags.keys()):
        client.delete_tag(run_id, tag)
    return run_id, True


def _shown_run(
    record: RunRecord, client: "MlflowClient", experiment_id: str, own: Mapping[str, str]
) -> "Run | None":
    """The run in which the record's network was trained, of this pipeline or one that has ended."""
    trained = record.tags.get(runs.TRAINED_TAG)
    if trained is None:
        return None
    known, unfinished = {runs.TRAINED_TAG: trained}, ("RUNNING", "KILLED", "FAILED")
    left = [
        run
        for run in runs.runs_with(client, experiment_id, known, unfinished)
        if runs.has_parameters(run, record.parameters)
        and (run.info.status != "RUNNING" or run.data.tags.get(PROCESS_TAG) == own[PROCESS_TAG])
    ]
    return min(left, key=lambda run: run.info.status != "RUNNING", default=None)


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
        root: of the project whose store this is.
        tags: those of `provenance_tags`.
        keeper: the process without which the run has ended; by default this one.

    Raises:
        ArtifactError: outputs are missing, damaged or not those of dvc.lock.
        StoreError: the store cannot be written.
    """
    check_against_lock(paths.values())
    record = build_run_record(paths, params, tags)
    return publish(record, project_store(root, params.publish.experiment), keeper)


def build_run_record(
    paths: Mapping[str, Path], params: Params, tags: Mapping[str, str]
) -> RunRecord:
    """Arrange the outputs of a pipeline.

    Args:
        paths: what the stage `publish` depends on, each in its folder within the project, which
            becomes its folder within the run.
        params: the pipeline's parameters.
        tags: those of `provenance_tags`.

    Raises:
        ArtifactError: an output is missing or damaged.
    """
    network = load_trained(paths["trained"])
    deciding = [
        kind.read(paths[name]).model_dump(mode="json", exclude_unset=True)
        for name, kind in METRICS.items()
    ]
    training = TrainTimings.read(paths["train_timings"])
    inference = InferenceTimings.read(paths["inference_timings"])
    baseline = EpochTimes.read(paths["baseline_timings"])
    figures = (pair for content in deciding for pair in content.items())
    metrics = {name: float(value) for name, value in figures if isinstance(value, int | float)}
    metrics["training_time_seconds"] = training.training_time_seconds
    metrics["baseline_time_seconds"] = baseline.training_time_seconds
    for name, times in (("training", training), ("baseline", baseline)):
        if times.processor_seconds is not None:
            metrics[f"{name}_processor_seconds"] = times.processor_seconds
    metrics["measurement_time_seconds"] = inference.measurement_time_seconds
    # What else made the result is in the files: libraries in the checkpoint, engine and device in
    # the timings, each image file's checksum in the data's description.
    tags = {
        **tags,
        **{f"data.{name}": str(network.data[name]) for name in ("source", "title")},
        FILES_TAG: content_digest(network.data["sha256"]),
        runs.TRAINED_TAG: file_digest(paths["trained"], "sha256"),
    }
    nouns = subject_of_data(network.data).nouns
    came_out = [
        f"- {text.format(metrics[name], nouns=nouns)}\n"
        for name, text in _NOTE.items()
        if name in metrics
    ]
    names = network.architecture.layer_names
    artifacts = {
        path: name if name == "checkpoint" else path.parent.as_posix()
        for name, path in paths.items()
        if name not in _NOT_STORED
    }
    identity = {"parameters": params.deciding(), "trained": tags[runs.TRAINED_TAG]}
    return RunRecord(
        result_id=content_digest({**identity, "metrics": deciding}),
        parameters=params.flattened(),
        history=[runs.epoch_row(record, names) for record in network.history],
        metrics=metrics,
        tags={**tags, "mlflow.note.content": f"{''.join(came_out)}\n{tags['data.title']}"},
        artifacts=artifacts | {Path(PARAMS_FILE): ""},
        model=ModelFiles(
            paths["checkpoint"], paths["hardware"], params.energy_report.profile,
            card=paths.get("energy_card"),
        ),
    )  # fmt: skip
