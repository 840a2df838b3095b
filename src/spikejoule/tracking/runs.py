"""How a run is begun, written and ended, and the run of a training that is shown while it goes on.

What goes wrong in `LiveRun` is a warning and ends no work: `publish` records the whole run.
"""

import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import psutil

from spikejoule.core.provenance import file_digest, provenance_tags
from spikejoule.tracking.store import (
    FAILURE_TAG,
    Store,
    in_one_line,
    keeper_tags,
    opened,
    shown_uri,
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


def epoch_row(record: Mapping[str, Any], layer_names: Sequence[str]) -> dict[str, float]:
    """One epoch for `log_history`, whether it is shown live or afterwards.

    `record` holds the fields of `training.EpochRecord`; spikes become means over its samples.
    """
    spikes = zip(layer_names, record["spikes"], strict=True)
    return {
        name: value
        for name, value in record.items()
        if name not in _NOT_CURVES and isinstance(value, int | float)
    } | {f"{name}_spikes_per_sample": total / record["samples"] for name, total in spikes}


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
        self._run: Any = None
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
                self._run = self._begin(client, experiment_id)
            self._client = client
        info, rows = self._run.info, self._rows[self._n_written :]
        if rows:
            log_history(self._client, info.run_id, rows)
            self._n_written += len(rows)
        if has_ended:
            status, tags = self._end
            end_run(self._client, info.run_id, status, tags=tags)

    def _begin(self, client: "MlflowClient", experiment_id: str) -> "Run":
        known = self._known
        found = runs_with(client, experiment_id, known, ("KILLED", "FAILED")) if known else []
        left = found[0] if found else None
        if left is not None and not has_parameters(left, self._parameters):
            client.delete_run(left.info.run_id)
            left = None
        return begin_run(client, experiment_id, left, self._tags, self._parameters)
