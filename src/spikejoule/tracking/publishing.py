"""What a pipeline tells MLflow: one run for each distinct result, and its training as it goes on.

What is stored with a run is what dvc.yaml lists for the stage `publish`. What goes wrong in
`LiveRun` is a warning and ends no work: `publish` records the whole run.
"""

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np
import psutil
from numpy.typing import NDArray

from spikejoule.core.provenance import content_digest, file_digest, provenance_tags
from spikejoule.core.store import read_json, read_text
from spikejoule.core.yaml_files import PARAMS_FILE
from spikejoule.data.images import LabelledImages, load_samples
from spikejoule.energy import load_profiles, select_profile
from spikejoule.energy.ledger import load_variants
from spikejoule.network.trained import load_trained
from spikejoule.params import Params
from spikejoule.tracking.child_runs import PARENT_TAG, ChildRun, conventional_runs
from spikejoule.tracking.datasets import DataSplit, log_splits
from spikejoule.tracking.project import check_against_lock
from spikejoule.tracking.registry import RESULT_TAG, ModelFiles, Registration, register
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
    without_passwords,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

TRAINED_TAG: Final = "trained.sha256"
TRAINING_TAG: Final = "spikejoule.training"
"""What the training of a run is known by, in whichever process it resumes."""
CURVES: Final = "by_epoch/"
"""MLflow groups charts by what stands before the slash, sorted: the curves come first."""

_NOT_CURVES = ("samples", "input_macs")
_PAUSE_SECONDS = 1.0
_RETRY_SECONDS = 30.0
_LAST_SECONDS = 15.0

# By the names of dvc.yaml. None of the metrics contains a clock; with the parameters and the
# trained network they decide whether a result is a new one.
_METRICS = ("train_metrics", "inference_metrics", "evaluate_metrics", "energy_metrics")
_SPLITS = {"train": "training", "validation": "validation", "test": "testing"}
# For DVC to keep, or a part of the project.
_NOT_STORED = ("trained", "hardware", *_SPLITS)


@dataclass(frozen=True)
class RunRecord:
    """All that one run holds.

    Attributes:
        result_id: identifies the result: equal for equal parameters, weights and metrics.
        parameters: every parameter by its full name (`train.lr`).
        history: its epochs, as `log_history` takes them.
        metrics: the final figures.
        tags: provenance in words; MLflow's own `mlflow.runName` names the run.
        artifacts: files to store, each with the folder within the run that it goes to.
        splits: the data that it used.
        children: the networks that it is compared with.
        model: what to register as a version of the model; None for nothing.
    """

    result_id: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Mapping[Path, str] = field(default_factory=dict)
    splits: Sequence[DataSplit] = ()
    children: Sequence[ChildRun] = ()
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
        champion = ", the champion" if version is not None and version.is_champion else ""
        return f"MLflow run {self.run_id} {done}{model}{champion}"


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
    if finished := runs_with(client, experiment_id, known, ("FINISHED",)):
        if shown is not None:
            delete_run(client, experiment_id, shown.info.run_id)  # it has shown nothing new
        return str(finished[0].info.run_id), False
    tags = {**record.tags, **own, **known}
    run = begin_run(client, experiment_id, shown, tags, record.parameters)
    run_id = run.info.run_id
    try:
        log_history(client, run_id, record.history)
        for path, folder in record.artifacts.items():
            client.log_artifact(run_id, str(path), folder)
        log_splits(client, run_id, record.splits)
        log_children(client, experiment_id, run_id, record.children, own)
    except BaseException as error:
        end_run(client, run_id, "FAILED", tags={FAILURE_TAG: in_one_line(error)})
        raise
    end_run(client, run_id, "FINISHED", record.metrics)
    for tag in {HOST_TAG, PROCESS_TAG} | ({TRAINING_TAG} & run.data.tags.keys()):
        client.delete_tag(run_id, tag)
    return run_id, True


def log_children(
    client: "MlflowClient",
    experiment_id: str,
    run_id: str,
    children: Sequence[ChildRun],
    own: Mapping[str, str],
) -> None:
    """Add the child runs that a run lacks.

    A child run that a killed process left unfinished is replaced.

    Args:
        client: of the store.
        experiment_id: of the experiment.
        run_id: of the run above them.
        children: what to add.
        own: tags that name the process which writes them, for as long as it does.
    """
    from mlflow.entities import Param

    known = {PARENT_TAG: run_id}
    finished = set()
    for run in runs_with(client, experiment_id, known):
        if run.info.status == "FINISHED":
            finished.add(run.info.run_name)
        else:
            client.delete_run(run.info.run_id)
    for child in children:
        if child.name in finished:
            continue
        created = client.create_run(experiment_id, tags={**known, **own}, run_name=child.name)
        child_id = created.info.run_id
        parameters = [Param(name, str(value)) for name, value in child.parameters.items()]
        client.log_batch(child_id, params=parameters)
        end_run(client, child_id, "FINISHED", child.metrics)
        for tag in own:
            client.delete_tag(child_id, tag)


def delete_run(client: "MlflowClient", experiment_id: str, run_id: str) -> None:
    """Delete a run together with its child runs."""
    for child in runs_with(client, experiment_id, {PARENT_TAG: run_id}):
        client.delete_run(child.info.run_id)
    client.delete_run(run_id)


def _shown_run(
    record: RunRecord, client: "MlflowClient", experiment_id: str, own: Mapping[str, str]
) -> "Run | None":
    """The run in which the record's network was trained, of this pipeline or one that has ended."""
    trained = record.tags.get(TRAINED_TAG)
    if trained is None:
        return None
    known, unfinished = {TRAINED_TAG: trained}, ("RUNNING", "KILLED", "FAILED")
    left = [
        run
        for run in runs_with(client, experiment_id, known, unfinished)
        if has_parameters(run, record.parameters)
        and (run.info.status != "RUNNING" or run.data.tags.get(PROCESS_TAG) == own[PROCESS_TAG])
    ]
    return min(left, key=lambda run: run.info.status != "RUNNING", default=None)


def publish_outputs(
    paths: Mapping[str, Path], params: Params, root: Path, keeper: psutil.Process | None = None
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
        paths: what the stage `publish` depends on, each in its folder within the project, which
            becomes its folder within the run.
        params: the pipeline's parameters.
        tags: those of `provenance_tags`.

    Raises:
        ArtifactError: an output is missing. (What is in it dvc.lock vouches for.)
    """
    network = load_trained(paths["trained"])
    deciding = [read_json(paths[name]) for name in _METRICS]
    summary = read_json(paths["summary"])
    # Of a figure that both have, the one with all its digits.
    shown = [summary, *deciding]
    figures = (pair for content in shown for pair in content.items())
    metrics = {name: float(value) for name, value in figures if isinstance(value, int | float)}
    metrics |= read_json(paths["inference_timings"])
    for name, file in (("training", "train_timings"), ("baseline", "baseline_timings")):
        times = read_json(paths[file])
        metrics[f"{name}_time_seconds"] = times["training_time_seconds"]
        if "processor_seconds" in times:
            metrics[f"{name}_processor_seconds"] = times["processor_seconds"]
    # What else made the result is in the files: libraries in the checkpoint, engine and device in
    # the timings, each image file's checksum in the data's description.
    tags = {
        **tags,
        **{f"data.{name}": str(network.data[name]) for name in ("source", "title")},
        FILES_TAG: content_digest(network.data["sha256"]),
        TRAINED_TAG: file_digest(paths["trained"], "sha256"),
    }
    if "ratio_bound" in summary:
        tags[BOUND_TAG] = summary["ratio_bound"]
    names = network.architecture.layer_names
    artifacts = {
        path: name if name == "checkpoint" else path.parent.as_posix()
        for name, path in paths.items()
        if name not in _NOT_STORED
    }
    profile_id = params.energy_report.profile
    profile = select_profile(load_profiles(paths["hardware"]), profile_id, "profile")
    identity = {"parameters": params.deciding(), "trained": tags[TRAINED_TAG]}
    return RunRecord(
        result_id=content_digest({**identity, "metrics": deciding}),
        parameters=params.flattened(),
        history=[epoch_row(record, names) for record in network.history],
        metrics=metrics,
        tags={**tags, "mlflow.note.content": read_text(paths["energy_card"])},
        artifacts=artifacts | {Path(PARAMS_FILE): ""},
        splits=data_splits(paths, network.data),
        children=conventional_runs(load_variants(paths["contenders"]), profile),
        model=ModelFiles(
            paths["checkpoint"], paths["hardware"], profile_id, example=first_image(paths["test"])
        ),
    )


def data_splits(paths: Mapping[str, Path], data: Mapping[str, Any]) -> tuple[DataSplit, ...]:
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
    """The first image of a split, [height, width]; None where the samples are events."""
    samples = load_samples(path)
    return samples.images[0] if isinstance(samples, LabelledImages) else None


def epoch_row(record: Mapping[str, Any], layer_names: Sequence[str]) -> dict[str, float]:
    """One epoch for `log_history`, whether it is shown live or afterwards.

    `record` holds the fields of `network.checkpoint.EpochRecord`; spikes become means a sample.
    """
    spikes = zip(layer_names, record["spikes"], strict=True)
    return {
        name: value
        for name, value in record.items()
        if name not in _NOT_CURVES and isinstance(value, int | float)
    } | {f"{name}_spikes_per_sample": total / record["samples"] for name, total in spikes}


def has_parameters(run: "Run", parameters: Mapping[str, Any]) -> bool:
    """Whether a run's parameters, as far as it has any, are some of these."""
    text = {name: str(value) for name, value in parameters.items()}
    return bool(run.data.params.items() <= text.items())


def begin_run(
    client: "MlflowClient",
    experiment_id: str,
    left: "Run | None",
    tags: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> "Run":
    """A running run with some tags and parameters: one that was left, or else a new one.

    The tags stand beside those that MLflow gives a run of its own: the user, MLFLOW_RUN_CONTEXT.
    Parameters of a run cannot be changed: those that it has must be the same.
    """
    from mlflow.entities import Param, RunTag
    from mlflow.tracking.context.registry import resolve_tags

    whole = dict(resolve_tags(dict(tags)))
    run = left or client.create_run(experiment_id, tags=whole)
    if left is not None:
        client.update_run(left.info.run_id, status="RUNNING")
        if FAILURE_TAG in left.data.tags:
            client.delete_tag(left.info.run_id, FAILURE_TAG)
    client.log_batch(
        run.info.run_id,
        params=[Param(key, str(value)) for key, value in parameters.items()],
        tags=[RunTag(key, text) for key, text in whole.items()] if left else [],
    )
    return run


def log_history(
    client: "MlflowClient", run_id: str, history: Sequence[Mapping[str, float]]
) -> None:
    """Log curves, but for the points that the run has already.

    Args:
        client: of the store.
        run_id: of the run.
        history: one mapping per epoch: `epoch` (from 1) becomes the step, the rest metrics.
    """
    from mlflow.entities import Metric

    names = {name for row in history for name in row} - {"epoch"}
    present = {
        (name, point.step)
        for name in names
        for point in client.get_metric_history(run_id, CURVES + name)
    }
    logged_ms = time.time_ns() // 1_000_000
    entries = [
        Metric(CURVES + name, float(value), logged_ms, int(row["epoch"]))
        for row in history
        for name, value in row.items()
        if name in names and (name, int(row["epoch"])) not in present
    ]
    client.log_batch(run_id, entries)


def end_run(
    client: "MlflowClient",
    run_id: str,
    status: str,
    metrics: Mapping[str, float] = {},
    tags: Mapping[str, str] = {},
) -> None:
    """Log what came out, and let the run end with one of MLflow's statuses; RUNNING: not yet.

    No password gets into its tags.
    """
    from mlflow.entities import Metric, RunTag

    ended_ms = time.time_ns() // 1_000_000
    client.log_batch(
        run_id,
        [Metric(name, float(value), ended_ms, 0) for name, value in metrics.items()],
        tags=[RunTag(name, without_passwords(text)[:500]) for name, text in tags.items()],
    )
    if status != "RUNNING":
        client.set_terminated(run_id, status, ended_ms)


class LiveRun:
    """An observer of a pipeline's training that shows it as a run, in a `with` statement.

    A thread talks to the store: the training waits for it at its very end alone, for some seconds.
    The run is left RUNNING for the stage `publish`; if the pipeline ends without that, whoever
    opens the store next marks it KILLED. A training that was cut short and resumes has the same
    run. Parameters of a run cannot be changed: if they are others now (`train.threads`), a new run
    takes the place of the old one, which held nothing that the new one will not.

    Args:
        store: where the run is.
        parameters: of the whole pipeline, by full name.
        layer_names: of the network.
        key: what the training is known by when it resumes in another process; None if it cannot.
        keeper: the process without which the run has ended, which is the pipeline's.
    """

    def __init__(
        self,
        store: Store,
        parameters: Mapping[str, Any],
        layer_names: Sequence[str],
        key: str | None,
        keeper: psutil.Process,
    ) -> None:
        self._store, self._parameters, self._layer_names = store, parameters, layer_names
        self._known = {TRAINING_TAG: key} if key else {}
        self._tags = {**provenance_tags(Path.cwd()), **keeper_tags(keeper), **self._known}
        self._n_written = 0
        self._rows: list[dict[str, float]] = []
        self._client: MlflowClient | None = None
        self._run_id = ""
        self._end: tuple[str, dict[str, str]] = ("RUNNING", {})
        self._has_ended = threading.Event()
        # Its import keeps a warning quiet, which is for the main thread to do: filters are no
        # thread's own, and the thread below imports it with MLflow.
        import requests  # noqa: F401

        self._thread = threading.Thread(target=self._work, name="spikejoule-run", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: object) -> None:
        if isinstance(error, KeyboardInterrupt):
            reason = "stage train was interrupted from the keyboard"
            self._end = ("KILLED", {FAILURE_TAG: reason})
        elif error is not None:
            self._end = ("FAILED", {FAILURE_TAG: f"stage train: {str(error) or kind.__name__}"})
        self._has_ended.set()
        self._thread.join(_LAST_SECONDS)

    def on_batch(self, epoch: int, samples: int, outcome: object) -> None:
        """After each step: nothing to show."""

    def on_epoch(self, record: Any, seconds: float) -> None:
        """After each epoch's validation."""
        self._rows.append(epoch_row(record.entry(), self._layer_names))

    def on_resume(self, history: Sequence[Any], seconds: Sequence[float]) -> None:
        """Before a training resumes: all epochs so far, of which the run may lack some."""
        for record, lasted in zip(history, seconds, strict=True):
            self.on_epoch(record, lasted)

    def trained(self, path: Path) -> None:
        """The trained network is written: by its digest `publish` finds the run, and ends it."""
        self._end = ("RUNNING", {TRAINED_TAG: file_digest(path, "sha256")})

    def _work(self) -> None:
        """Write what is new; if that fails, warn once, and try again in half a minute."""
        has_ended, has_warned, pause = False, False, 0.0
        while not has_ended:
            has_ended = self._has_ended.wait(pause)
            try:
                self._write(has_ended)
                pause = _PAUSE_SECONDS
            # Whatever a server, a database or a disk answers.
            except Exception as error:
                pause = _RETRY_SECONDS
                if not has_warned:
                    where = shown_uri(self._store.tracking_uri)
                    logger.warning(
                        "the run cannot be followed at %s (%s); the work continues.",
                        where, in_one_line(error),
                    )  # fmt: skip
                has_warned = True

    def _write(self, has_ended: bool) -> None:
        if self._client is None:
            with opened(self._store) as (client, experiment_id):
                self._run_id = self._begin(client, experiment_id).info.run_id
            self._client = client
        if rows := self._rows[self._n_written :]:
            log_history(self._client, self._run_id, rows)
            self._n_written += len(rows)
        if has_ended:
            status, tags = self._end
            end_run(self._client, self._run_id, status, tags=tags)

    def _begin(self, client: "MlflowClient", experiment_id: str) -> "Run":
        known = self._known
        found = runs_with(client, experiment_id, known, ("KILLED", "FAILED")) if known else []
        left = found[0] if found else None
        if left is not None and not has_parameters(left, self._parameters):
            delete_run(client, experiment_id, left.info.run_id)
            left = None
        return begin_run(client, experiment_id, left, self._tags, self._parameters)
