"""Publishing: one finished run for each distinct result of the pipeline.

The stage `publish` calls `publish_outputs`, which arranges the files that dvc.yaml
lists for it as a `RunRecord`; `publish` writes the record.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from numpy.typing import NDArray

from spikejoule.core.provenance import content_digest, file_digest, provenance_tags
from spikejoule.core.store import number_in, read_json, read_text
from spikejoule.core.yaml_files import PARAMS_FILE
from spikejoule.data.images import LabelledImages, load_samples
from spikejoule.energy.prices import load_profiles, select_profile
from spikejoule.network.checkpoint import Checkpoint
from spikejoule.params import Params
from spikejoule.tracking.curves import Curves
from spikejoule.tracking.datasets import DataSplit, log_splits
from spikejoule.tracking.failures import kind_of_failure, store_errors
from spikejoule.tracking.live import TRAINED_TAG, TRAINING_TAG
from spikejoule.tracking.registry import (
    MODEL_NAME,
    ModelFiles,
    Registration,
    register,
)
from spikejoule.tracking.runs import (
    begin_run,
    end_run,
    log_history,
    unfinished_run,
)
from spikejoule.tracking.store import (
    COMMIT_TAG,
    FAILURE_TAG,
    FILES_TAG,
    HOST_TAG,
    PROCESS_TAG,
    RESULT_TAG,
    Store,
    keeper_tags,
    opened,
    project_store,
    runs_with,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

BOUND_TAG = "ratio_bound"
"""``at least`` or ``at most``, where conventional over spiking energy is a bound."""

# Artifacts with the metrics that identify a result, together with the parameters and
# the trained network. None of them holds a clock.
_METRICS = ("train_metrics", "inference_metrics", "evaluate_metrics", "energy_metrics")
_SPLITS = {"train": "training", "validation": "validation", "test": "testing"}
# Not stored in MLflow: DVC keeps them, or they are part of the project.
_NOT_STORED = ("trained", "hardware", *_SPLITS)


@dataclass(frozen=True)
class RunRecord:
    """The contents of a run.

    Attributes:
        result_id: identifies the result: equal for equal parameters, weights and
            metrics.
        parameters: every parameter by its full name (`train.lr`).
        history: epochs, as `log_history` takes them.
        metrics: final figures.
        tags: provenance; MLflow's own `mlflow.runName` names the run.
        artifacts: files to store, each with its folder within the run.
        splits: the data.
        model: what to register as a version of the model; None for nothing.
    """

    result_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[Path, str] = field(default_factory=dict)
    splits: Sequence[DataSplit] = ()
    model: ModelFiles | None = None


@dataclass(frozen=True)
class Publication:
    """The run that holds a result.

    Attributes:
        run_id: MLflow's identifier.
        added: whether it was added now, or was there before.
        registration: the result's version in the model registry; None if it has none.
    """

    run_id: str
    added: bool
    registration: Registration | None = None

    def __str__(self) -> str:
        """Describe the publication in one line."""
        done = "added" if self.added else "already has this result; nothing was added"
        text = f"MLflow run {self.run_id} {done}"
        if self.registration is not None:
            text += f", models:/{MODEL_NAME}/{self.registration.version}"
            text += ", the champion" if self.registration.is_champion else ""
        return text


def publish(
    record: RunRecord, store: Store, keeper: psutil.Process | None = None
) -> Publication:
    """Write a record as one finished run, unless the store holds its result already.

    The run in which the training was logged live is completed; without one, a new run
    is added.

    Args:
        record: contents of the run.
        store: where it is written.
        keeper: the process that must be alive for an unfinished run to count as
            still running; by default this one.

    Raises:
        StoreError: the store could not be reached, refused, or took too long. What is
            missing then is added when the record is published again.
    """
    with (
        store_errors(f"the run was not recorded in {store.name}"),
        opened(store) as (client, experiment_id),
    ):
        run_id, added = _publish(record, client, experiment_id, keeper_tags(keeper))
        if record.model is None:
            return Publication(run_id, added)
        tags = {
            RESULT_TAG: record.result_id,
            "git.commit": record.tags.get(COMMIT_TAG, "unknown"),
        }
        note = record.tags.get("mlflow.note.content", "")
        with store_errors(
            f"the run {run_id} is recorded, but its checkpoint was not registered as a "
            f"model version in {store.name}"
        ):
            registration = register(client, record.model, run_id, tags, note)
            return Publication(run_id, added, registration)


def _publish(
    record: RunRecord,
    client: "MlflowClient",
    experiment_id: str,
    keeper: Mapping[str, str],
) -> tuple[str, bool]:
    """Return the id of the run that holds the result, and whether it was added now."""
    # The unfinished run in which this training was logged live, by this pipeline or by
    # one whose process is gone.
    trained = record.tags.get(TRAINED_TAG)
    live = None
    if trained is not None:
        live = unfinished_run(
            client, experiment_id, {TRAINED_TAG: trained}, keeper, record.parameters
        )
    result_tag = {RESULT_TAG: record.result_id}

    # The store holds this result: the live run of its training adds nothing.
    finished = runs_with(client, experiment_id, result_tag, ("FINISHED",))
    if finished:
        if live is not None:
            client.delete_run(live.info.run_id)
        return str(finished[0].info.run_id), False

    # Complete the live run, or write a new one.
    tags = {**record.tags, **keeper, **result_tag}
    run = begin_run(client, experiment_id, live, tags, record.parameters)
    run_id = run.info.run_id
    try:
        log_history(client, run_id, record.history)
        for path, folder in record.artifacts.items():
            client.log_artifact(run_id, str(path), folder)
        log_splits(client, run_id, record.splits)
    except BaseException as error:
        end_run(client, run_id, "FAILED", tags={FAILURE_TAG: kind_of_failure(error)})
        raise
    end_run(client, run_id, "FINISHED", record.metrics)

    # A finished run no longer depends on a process. Only a live run had TRAINING_TAG.
    for tag in {HOST_TAG, PROCESS_TAG} | ({TRAINING_TAG} & run.data.tags.keys()):
        client.delete_tag(run_id, tag)
    return run_id, True


def publish_outputs(
    paths: Mapping[str, Path],
    params: Params,
    root: Path,
    keeper: psutil.Process | None = None,
) -> Publication:
    """Publish the outputs in the working directory.

    Args:
        paths: dependencies of the stage `publish`, by their names in dvc.yaml.
        params: the pipeline's parameters.
        root: root of the project, where the store is.
        keeper: the process that must be alive for an unfinished run to count as
            still running; by default this one.

    Raises:
        ArtifactError: outputs are missing or damaged.
        StoreError: the store cannot be written.
    """
    record = build_run_record(paths, params, provenance_tags(Path.cwd()))
    return publish(record, project_store(root, params.publish.experiment), keeper)


def _curves(
    trained: Checkpoint, paths: Mapping[str, Path], params: Params
) -> list[dict[str, float]]:
    """Return the rows of a training's curves, its joules at the headline's prices."""
    profile = select_profile(
        load_profiles(paths["hardware"]),
        params.energy_report.profile,
        "energy_report.profile",
    )
    return Curves(trained, profile).rows(trained.history)


def build_run_record(
    paths: Mapping[str, Path], params: Params, tags: Mapping[str, str]
) -> RunRecord:
    """Arrange the outputs of a pipeline as a record.

    Args:
        paths: dependencies of the stage `publish`, each in its folder within the
            project, which becomes its folder within the run.
        params: the pipeline's parameters.
        tags: as `provenance_tags` returns them.

    Raises:
        ArtifactError: an output is missing or damaged.
    """
    trained = Checkpoint.read_trained(paths["trained"])

    # What else made the result is in the files: libraries in the checkpoint, engine and
    # device in the timings, each image file's checksum in the data's description.
    result_tags = {
        "data.source": str(trained.data["source"]),
        "data.title": str(trained.data["title"]),
        FILES_TAG: content_digest(trained.data["sha256"]),
        TRAINED_TAG: file_digest(paths["trained"], "sha256"),
        "mlflow.note.content": read_text(paths["energy_card"]),
    }
    summary = read_json(paths["summary"])
    energy = read_json(paths["energy_metrics"])
    if "ratio_bound" in energy:
        result_tags[BOUND_TAG] = energy["ratio_bound"]

    deciding = [read_json(paths[name]) for name in _METRICS]
    identity = {
        "parameters": params.deciding(),
        "trained": result_tags[TRAINED_TAG],
        "metrics": deciding,
    }
    artifacts = {
        path: name if name == "checkpoint" else path.parent.as_posix()
        for name, path in paths.items()
        if name not in _NOT_STORED
    }
    return RunRecord(
        result_id=content_digest(identity),
        parameters=params.flattened(),
        history=_curves(trained, paths, params),
        # The details come last: the summary rounds the figures that both have.
        metrics=_figures([summary, *deciding]) | _times_and_joules(paths),
        tags={**tags, **result_tags},
        artifacts=artifacts | {Path(PARAMS_FILE): ""},
        splits=data_splits(paths, trained.data),
        model=ModelFiles(
            checkpoint=paths["checkpoint"],
            price_list=paths["hardware"],
            profile=params.energy_report.profile,
            example=first_image(paths["test"]),
        ),
    )


def _figures(contents: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Collect the numbers of several metrics files; later files take precedence."""
    return {
        name: float(value)
        for content in contents
        for name, value in content.items()
        if isinstance(value, int | float)
    }


def _times_and_joules(paths: Mapping[str, Path]) -> dict[str, float]:
    """Read how long measuring and both trainings took, in seconds, and joules drawn."""
    figures = dict(read_json(paths["inference_timings"]))
    for training, file in (
        ("training", "train_timings"),
        ("baseline", "baseline_timings"),
    ):
        times = read_json(paths[file])
        figures[f"{training}_time_seconds"] = number_in(
            times, "training_time_seconds", paths[file]
        )
        for name in ("processor_seconds", "host_joules"):
            if times.get(name) is not None:
                figures[f"{training}_{name}"] = times[name]
    return figures


def data_splits(
    paths: Mapping[str, Path], data: Mapping[str, Any]
) -> tuple[DataSplit, ...]:
    """Describe the splits of the pipeline's data; `data` is its description."""
    return tuple(
        DataSplit(
            source=str(data["source"]),
            context=context,
            path=paths[name],
            digest=file_digest(paths[name], "md5"),
            n_samples=data["counts"][name],
        )
        for name, context in _SPLITS.items()
    )


def first_image(path: Path) -> NDArray[np.uint8] | None:
    """Read the first image of a split, [height, width]; None for event data."""
    samples = load_samples(path)
    return samples.images[0] if isinstance(samples, LabelledImages) else None
