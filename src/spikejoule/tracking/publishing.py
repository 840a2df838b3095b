"""Publishing: one finished run for each distinct result of a pipeline.

The stage `publish` calls `publish_outputs`, which arranges the files that dvc.yaml
lists for it as a `RunRecord` and writes that by `publish`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from numpy.typing import NDArray

from spikejoule.core.provenance import content_digest, file_digest, provenance_tags
from spikejoule.core.store import read_json, read_text
from spikejoule.core.yaml_files import PARAMS_FILE
from spikejoule.data.images import LabelledImages, load_samples
from spikejoule.energy import load_profiles, select_profile
from spikejoule.energy.variant_file import load_variants
from spikejoule.network.trained import load_trained
from spikejoule.params import Params
from spikejoule.tracking.child_runs import ChildRuns, conventional_runs
from spikejoule.tracking.datasets import DataSplit, log_splits
from spikejoule.tracking.live import TRAINED_TAG, TRAINING_TAG
from spikejoule.tracking.project import check_against_lock
from spikejoule.tracking.registry import RESULT_TAG, ModelFiles, Registration, register
from spikejoule.tracking.runs import (
    begin_run,
    end_run,
    epoch_row,
    has_parameters,
    log_children,
    log_history,
)
from spikejoule.tracking.store import (
    BOUND_TAG,
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
    runs_with,
    shown_uri,
    store_errors,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

# By the names of dvc.yaml. None of the metrics contains a clock; with the parameters
# and the trained network they decide whether a result is a new one.
_METRICS = ("train_metrics", "inference_metrics", "evaluate_metrics", "energy_metrics")
_SPLITS = {"train": "training", "validation": "validation", "test": "testing"}
# For DVC to keep, or a part of the project.
_NOT_STORED = ("trained", "hardware", *_SPLITS)


@dataclass(frozen=True)
class RunRecord:
    """All that one run holds.

    Attributes:
        result_id: identifies the result: equal for equal parameters, weights and
            metrics.
        parameters: every parameter by its full name (`train.lr`).
        history: its epochs, as `log_history` takes them.
        metrics: the final figures.
        tags: provenance in words; MLflow's own `mlflow.runName` names the run.
        artifacts: files to store, each with the folder within the run that it goes to.
        splits: the data that it used.
        children: the networks that it is compared with, as child runs.
        model: what to register as a version of the model; None for nothing.
    """

    result_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[Path, str] = field(default_factory=dict)
    splits: Sequence[DataSplit] = ()
    children: ChildRuns = field(default_factory=dict)
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

    def __str__(self) -> str:
        """What was done, in a line."""
        done = "added" if self.added else "holds this result already; nothing added"
        version = self.registration
        model = "" if version is None else f", models:/{version.name}/{version.version}"
        champion = (
            ", the champion" if version is not None and version.is_champion else ""
        )
        return f"MLflow run {self.run_id} {done}{model}{champion}"


def publish(
    record: RunRecord, store: Store, keeper: psutil.Process | None = None
) -> Publication:
    """Write `record` as one finished run unless the store holds its result already.

    The run in which its training was shown is completed; where there is none, a new one
    is made.

    Args:
        record: what to write.
        store: where to.
        keeper: the process without which the run has ended; by default this one.

    Raises:
        StoreError: the store could not be reached, refused, or took too long. What is
            missing then is added when the record is published again.
    """
    where = shown_uri(store.tracking_uri)
    with (
        store_errors(f"the run was not recorded at {where}"),
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
            f"the run {run_id} is recorded, but its checkpoint is no version in "
            "the model registry "
            f"of {where}"
        ):
            return Publication(
                run_id, added, register(client, record.model, run_id, tags, note)
            )


def _publish(
    record: RunRecord,
    client: "MlflowClient",
    experiment_id: str,
    own: Mapping[str, str],
) -> tuple[str, bool]:
    """The id of the run that holds the result, and whether it was added now."""
    shown = _shown_run(record, client, experiment_id, own)
    known = {RESULT_TAG: record.result_id}
    # The result is there: what was shown of this training is nothing new.
    if finished := runs_with(client, experiment_id, known, ("FINISHED",)):
        if shown is not None:
            client.delete_run(shown.info.run_id)
        return str(finished[0].info.run_id), False
    # Else the run that was shown is completed, or a new one is made.
    tags = {**record.tags, **own, **known}
    run = begin_run(client, experiment_id, shown, tags, record.parameters)
    run_id = run.info.run_id
    try:
        log_history(client, run_id, record.history)
        for path, folder in record.artifacts.items():
            client.log_artifact(run_id, str(path), folder)
        log_splits(client, run_id, record.splits)
        log_children(
            client, experiment_id, run_id, record.children, record.parameters, own
        )
    except BaseException as error:
        end_run(client, run_id, "FAILED", tags={FAILURE_TAG: in_one_line(error)})
        raise
    end_run(client, run_id, "FINISHED", record.metrics)
    # A finished run needs no process that keeps it alive.
    for tag in {HOST_TAG, PROCESS_TAG} | ({TRAINING_TAG} & run.data.tags.keys()):
        client.delete_tag(run_id, tag)
    return run_id, True


def _shown_run(
    record: RunRecord,
    client: "MlflowClient",
    experiment_id: str,
    own: Mapping[str, str],
) -> "Run | None":
    """The run in which the record's network was trained, of this pipeline or one that
    has ended.
    """
    trained = record.tags.get(TRAINED_TAG)
    if trained is None:
        return None
    unfinished = ("RUNNING", "KILLED", "FAILED")
    for run in runs_with(client, experiment_id, {TRAINED_TAG: trained}, unfinished):
        is_ours = run.data.tags.get(PROCESS_TAG) == own[PROCESS_TAG]
        has_ended = run.info.status != "RUNNING"
        if (is_ours or has_ended) and has_parameters(run, record.parameters):
            return run
    return None


def publish_outputs(
    paths: Mapping[str, Path],
    params: Params,
    root: Path,
    keeper: psutil.Process | None = None,
) -> Publication:
    """Record the outputs in the working directory.

    Args:
        paths: what the stage `publish` depends on, by the names of dvc.yaml.
        params: the pipeline's parameters.
        root: of the project whose store this is.
        keeper: the process without which the run has ended; by default this one.

    Raises:
        ArtifactError: outputs are missing, damaged or not those of dvc.lock.
        StoreError: the store cannot be written.
    """
    check_against_lock(paths.values())
    record = build_run_record(paths, params, provenance_tags(Path.cwd()))
    return publish(record, project_store(root, params.publish.experiment), keeper)


def build_run_record(
    paths: Mapping[str, Path], params: Params, tags: Mapping[str, str]
) -> RunRecord:
    """Arrange the outputs of a pipeline.

    Args:
        paths: what the stage `publish` depends on, each in its folder within the
            project, which becomes its folder within the run.
        params: the pipeline's parameters.
        tags: those of `provenance_tags`.

    Raises:
        ArtifactError: an output is missing. (What is in it dvc.lock vouches for.)
    """
    trained = load_trained(paths["trained"])
    layer_names = trained.network.layer_names
    profile_id = params.energy_report.profile
    profile = select_profile(load_profiles(paths["hardware"]), profile_id, "profile")
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
    if "ratio_bound" in summary:
        result_tags[BOUND_TAG] = summary["ratio_bound"]
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
        history=[epoch_row(record, layer_names) for record in trained.history],
        # Of a figure that the summary and the details share, the one with all its
        # digits.
        metrics=_figures([summary, *deciding]) | _times(paths),
        tags={**tags, **result_tags},
        artifacts=artifacts | {Path(PARAMS_FILE): ""},
        splits=data_splits(paths, trained.data),
        children=conventional_runs(load_variants(paths["contenders"]), profile),
        model=ModelFiles(
            paths["checkpoint"],
            paths["hardware"],
            profile_id,
            example=first_image(paths["test"]),
        ),
    )


def _figures(contents: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """The numbers of some files of metrics; of those that share a name, the last."""
    return {
        name: float(value)
        for content in contents
        for name, value in content.items()
        if isinstance(value, int | float)
    }


def _times(paths: Mapping[str, Path]) -> dict[str, float]:
    """How long measuring and both trainings took, in seconds."""
    seconds = dict(read_json(paths["inference_timings"]))
    for training, file in (
        ("training", "train_timings"),
        ("baseline", "baseline_timings"),
    ):
        times = read_json(paths[file])
        seconds[f"{training}_time_seconds"] = times["training_time_seconds"]
        if "processor_seconds" in times:
            seconds[f"{training}_processor_seconds"] = times["processor_seconds"]
    return seconds


def data_splits(
    paths: Mapping[str, Path], data: Mapping[str, Any]
) -> tuple[DataSplit, ...]:
    """The splits of the pipeline's data, of which `data` is the description."""
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
    """The first image of a split, [height, width]; None where the samples are
    events.
    """
    samples = load_samples(path)
    return samples.images[0] if isinstance(samples, LabelledImages) else None
