"""What a run holds, how it looks in MLflow, and the calls that begin, write and end it.

MLflow keeps a saved view of the run list as a tag of the experiment; its form is that of MLflow
3.17, and a version that does not know it shows its own columns.
"""

import base64
import json
import time
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spikejoule.tracking.store import FAILURE_TAG, without_passwords

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

RESULT_TAG: Final = "spikejoule.result_id"
TRAINED_TAG: Final = "trained.sha256"
STOPPED_TAG: Final = "spikejoule.stopped"
CURVES: Final = "by_epoch/"
"""MLflow groups charts by what stands before the slash, sorted: the curves come first."""
VIEW: Final = "overview"
"""The saved view's name in an address: `.../experiments/1/runs?viewStateShareKey=overview`."""

_SHOWN = (
    "attributes.`Dataset`",
    "metrics.`test_accuracy_percent`",
    "metrics.`best_validation_accuracy_percent`",
    "metrics.`synaptic_events_per_inference`",
    "metrics.`equal_accuracy_ratio`",
    "metrics.`early_exit_test_accuracy_percent`",
    "metrics.`early_exit_synaptic_events_per_inference`",
    "params.`model.hidden`",
    "params.`encode.time_window`",
    "params.`train.surrogate`",
    "params.`train.lr`",
)
_NOTE = (
    "Spiking networks, one run for each distinct result of the pipeline in dvc.yaml: "
    "parameters of all stages, curves by epoch, figures, the complete checkpoint, and tags for "
    "code, data and libraries.\n\nThe saved view **Overview** (Views, at the top right) shows "
    "accuracy, synaptic events and the parameters that matter most."
)
_NOT_METRICS = ("epoch", "samples", "spikes", "input_macs")
_NOT_CURVES = ("epoch", "elapsed_seconds")


@dataclass(frozen=True)
class StoredFile:
    """A file to store with a run, and the folder within the run that it goes to."""

    path: Path
    folder: str


@dataclass(frozen=True)
class ModelFiles:
    """What a run's version in the model registry is made of.

    Attributes:
        checkpoint: the complete checkpoint.
        price_list: the file of hardware profiles.
        profile: id of the profile that the version states energies under.
        card: the energy card, which describes the version; None of a revision from before there
            was one.
        nir: the network as a NIR graph; None of a revision from before there was one.
    """

    checkpoint: Path
    price_list: Path
    profile: str
    card: Path | None = None
    nir: Path | None = None


@dataclass(frozen=True)
class RunRecord:
    """All that one run holds.

    Attributes:
        result_id: identifies the result: equal for equal parameters, weights and metrics.
        name: the run's name in the user interface; None lets MLflow invent one.
        parameters: every parameter by its full name (`train.lr`).
        history: one mapping per epoch: `epoch` (from 1) becomes the step, `elapsed_seconds` (since
            the start; optional) its place on the time axis, the rest metrics.
        metrics: the final figures.
        tags: provenance in words.
        artifacts: files to store.
        model: what to register as a version of the model; None for nothing.
        front: a table that `spikejoule front` has written, whose rows must not differ from the
            runs that they cite; None for none.
        started_ms: start, in milliseconds since 1970; None for now.
        ended_ms: end likewise.
    """

    result_id: str
    name: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    history: Sequence[Mapping[str, float]] = ()
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    artifacts: Sequence[StoredFile] = ()
    model: ModelFiles | None = None
    front: Path | None = None
    started_ms: int | None = None
    ended_ms: int | None = None


def epoch_row(
    record: Mapping[str, Any], layer_names: Sequence[str], elapsed_seconds: float
) -> dict[str, float]:
    """One epoch of a `RunRecord.history`, whether it is shown live or afterwards.

    `record` holds the fields of `training.EpochRecord`; spikes become means over its samples.
    """
    row: dict[str, float] = {"epoch": record["epoch"], "elapsed_seconds": elapsed_seconds}
    for name, value in record.items():
        if name not in _NOT_METRICS and isinstance(value, int | float):
            row[name] = value
    for name, total in zip(layer_names, record["spikes"], strict=True):
        row[f"{name}_spikes_per_sample"] = total / record["samples"]
    return row


def experiment_tags() -> dict[str, str]:
    """Tags of a new experiment: its description, its kind, and a saved view of its runs."""
    state = {
        "searchFilter": "",
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": _SHOWN,
    }
    now = now_ms()
    packed = base64.b64encode(zlib.compress(json.dumps(state).encode())).decode()
    view = {
        "name": VIEW.capitalize(),
        "createdAt": now,
        "updatedAt": now,
        "state": f"deflate;{packed}",
    }
    return {
        "mlflow.note.content": _NOTE,
        "mlflow.experimentKind": "custom_model_development",
        f"mlflow.sharedViewState.{VIEW}": json.dumps(view),
    }


def run_name(tags: Mapping[str, str]) -> str | None:
    """The name of a run: DVC's of the experiment, else the commit that was reproduced.

    None leaves the choice to MLflow, where neither is known.
    """
    commit = tags.get("git.commit", "unknown")
    if tags.get("dvc.experiment"):
        return tags["dvc.experiment"]
    return None if commit == "unknown" else f"repro-{commit[:7]}"


def runs_with(
    client: "MlflowClient",
    experiment_id: str,
    tags: Mapping[str, str],
    statuses: Collection[str] = ("RUNNING", "FINISHED", "FAILED", "KILLED"),
) -> "list[Run]":
    """The runs with all of some tags and one of some statuses, the latest first."""
    condition = " AND ".join(f"tags.`{name}` = '{value}'" for name, value in tags.items())
    found = client.search_runs(
        [experiment_id], condition, max_results=50_000, order_by=["attributes.start_time DESC"]
    )
    return [run for run in found if run.info.status in statuses]


def has_parameters(run: "Run", parameters: Mapping[str, Any]) -> bool:
    """Whether a run's parameters, as far as it has any, are some of these."""
    text = {name: str(value) for name, value in parameters.items()}
    return bool(run.data.params.items() <= text.items())


def begin_run(
    client: "MlflowClient",
    experiment_id: str,
    left: "Run | None",
    name: str | None,
    tags: Mapping[str, str],
    parameters: Mapping[str, Any] = {},
    started_ms: int | None = None,
) -> "Run":
    """A running run with some tags and parameters: one that was left, or else a new one.

    The tags stand beside those that MLflow gives a run of its own: the user, MLFLOW_RUN_CONTEXT.
    Parameters of a run cannot be changed: those that it has must be the same.
    """
    from mlflow.tracking.context.registry import resolve_tags

    whole = dict(resolve_tags(dict(tags)))
    run = left or client.create_run(experiment_id, started_ms, whole, run_name=name)
    if left is not None:
        client.update_run(left.info.run_id, status="RUNNING", name=name)
        if FAILURE_TAG in left.data.tags:
            client.delete_tag(left.info.run_id, FAILURE_TAG)
    log(client, run.info.run_id, parameters, whole if left else {})
    return run


def log(
    client: "MlflowClient",
    run_id: str,
    parameters: Mapping[str, Any] = {},
    tags: Mapping[str, str] = {},
    metrics: Mapping[str, float] = {},
    time_ms: int = 0,
) -> None:
    """Log parameters, as text, tags, and final figures."""
    from mlflow.entities import Metric, Param, RunTag

    client.log_batch(
        run_id,
        [Metric(name, float(value), time_ms, 0) for name, value in metrics.items()],
        [Param(name, str(value)) for name, value in parameters.items()],
        [RunTag(name, value) for name, value in tags.items()],
    )


def log_history(
    client: "MlflowClient",
    run_id: str,
    history: Sequence[Mapping[str, float]],
    started_ms: int,
    repeated: bool = False,
) -> None:
    """Log the curves of a `RunRecord.history`; `repeated`: but for points that the run has."""
    from mlflow.entities import Metric

    names = {name for row in history for name in row if name not in _NOT_CURVES}
    present = {
        (name, point.step)
        for name in (names if repeated else ())
        for point in client.get_metric_history(run_id, CURVES + name)
    }
    entries = [
        Metric(
            CURVES + name,
            float(value),
            started_ms + round(1000 * row.get("elapsed_seconds", 0.0)),
            int(row["epoch"]),
        )
        for row in history
        for name, value in row.items()
        if name in names and (name, int(row["epoch"])) not in present
    ]
    client.log_batch(run_id, entries)


@dataclass(frozen=True)
class RunEnd:
    """How a run ends.

    Attributes:
        status: MLflow's, of a trial FINISHED if it was trained or stopped as planned; RUNNING of a
            run that somebody else is to end.
        metrics: what came out.
        tags: further facts; `FAILURE_TAG` says why it came to nothing.
        parameters: of a trial, by full key, those that were drawn.
    """

    status: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def trained(cls, result: Mapping[str, Any], parameters: Mapping[str, Any]) -> "RunEnd":
        """A trial, to its end: numbers are metrics, text is a tag, and None is nothing."""
        given = {name: value for name, value in result.items() if value is not None}
        tags = {name: value for name, value in given.items() if isinstance(value, str)}
        metrics = {name: float(value) for name, value in given.items() if name not in tags}
        named = {f"spikejoule.{name}": value for name, value in tags.items()}
        return cls("FINISHED", metrics, named, parameters)

    @classmethod
    def stopped(cls, reason: str) -> "RunEnd":
        """A trial, early, for a reason in words."""
        return cls("FINISHED", tags={STOPPED_TAG: reason})

    @classmethod
    def failed(cls, reason: str, status: str = "FAILED") -> "RunEnd":
        """Without a result, for a reason in words."""
        return cls(status, tags={FAILURE_TAG: reason})

    def write(self, client: "MlflowClient", run_id: str) -> None:
        """Let a run end so; no password gets into its tags."""
        tags = {name: without_passwords(text)[:500] for name, text in self.tags.items()}
        log(client, run_id, tags=tags, metrics=self.metrics, time_ms=now_ms())
        if self.status != "RUNNING":
            client.set_terminated(run_id, status=self.status)


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000
