"""The run of a training, logged while the network is trained.

A problem here is one warning and stops nothing: `publishing.publish` adds what is
missing.
"""

import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self

import psutil

from spikejoule.core.provenance import file_digest, provenance_tags
from spikejoule.tracking.curves import Curves
from spikejoule.tracking.runs import (
    begin_run,
    end_run,
    log_history,
    unfinished_run,
)
from spikejoule.tracking.store import (
    FAILURE_TAG,
    Store,
    keeper_tags,
    kind_of_failure,
    opened,
    shown_uri,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

TRAINED_TAG: Final = "trained.sha256"
TRAINING_TAG: Final = "spikejoule.training"
"""Identifies the training of a run when another process resumes it."""

_LAST_SECONDS = 15.0
_SAMPLING_SECONDS = 5.0


class LiveRun:
    """Logs a training to MLflow: a training observer, used as a context manager.

    A worker thread talks to the store, and the training waits for it only at its end,
    for a few seconds. (MLflow's asynchronous logging would not help: opening the store
    is what takes seconds.)

    The run stays RUNNING for the stage `publish`. If the pipeline ends without
    publishing, the next process that opens the store marks it KILLED. A training that
    resumes continues its run. A run's parameters cannot be changed: if one differs now
    (`train.threads`), the training begins a new run, which gets all epochs.

    Args:
        store: store of the run.
        parameters: parameters of the whole pipeline, by full name.
        curves: what its curves show.
        key: identifies the training when another process resumes it; None if it cannot
            be resumed.
        keeper: the pipeline's process; without it, the run has ended.
    """

    def __init__(
        self,
        store: Store,
        parameters: Mapping[str, Any],
        curves: Curves,
        key: str | None,
        keeper: psutil.Process,
    ) -> None:
        self._store = store
        self._history: list[Any] = []
        self._parameters = parameters
        self._curves = curves
        self._training = {TRAINING_TAG: key} if key else {}
        self._tags = {
            **provenance_tags(Path.cwd()),
            **keeper_tags(keeper),
            **self._training,
        }
        self._status_at_end = "RUNNING"
        self._tags_at_end: dict[str, str] = {}
        self._has_warned = False
        # MLflow imports requests, whose import changes the warning filters. These are
        # shared by all threads, so the main thread imports it before the worker does.
        import requests  # noqa: F401

        self._epochs: SimpleQueue[list[Any] | None] = SimpleQueue()
        # A daemon: a store that does not answer must not keep the stage from ending.
        self._worker = threading.Thread(
            target=self._work, name="spikejoule-run", daemon=True
        )

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: object) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._status_at_end = "KILLED"
            reason = "stage train was interrupted from the keyboard"
            self._tags_at_end = {FAILURE_TAG: reason}
        elif error is not None:
            self._status_at_end = "FAILED"
            reason = f"stage train: {str(error) or kind.__name__}"
            self._tags_at_end = {FAILURE_TAG: reason}
        self._epochs.put(None)
        self._worker.join(_LAST_SECONDS)

    def on_batch(self, epoch: int, samples: int, outcome: object) -> None:
        """Ignore single steps."""

    def on_epoch(self, record: Any, seconds: float) -> None:
        """Log an epoch after its validation."""
        self._epochs.put([record])

    def on_resume(self, history: Sequence[Any], seconds: Sequence[float]) -> None:
        """Log all earlier epochs, since the run may lack some of them."""
        self._epochs.put(list(history))

    def trained(self, path: Path) -> None:
        """Note the digest of the trained network, by which `publish` finds the run."""
        self._tags_at_end = {TRAINED_TAG: file_digest(path, "sha256")}

    def _work(self) -> None:
        """Log epochs, and the load of the machine, until the training ends.

        An epoch that fails is left to `publish`; the run gets its end in any case.
        """
        with self._failures_warned_of():
            with opened(self._store) as (client, experiment_id):
                run_id = self._begin(client, experiment_id).info.run_id
            monitor = self._monitor(run_id)
            for number, records in enumerate(iter(self._epochs.get, None)):
                with self._failures_warned_of():
                    log_history(client, run_id, self._rows_of(records))
                # Not before: MLflow preselects the metric that was logged first.
                if number == 0:
                    monitor.start()
            monitor.finish()
            end_run(client, run_id, self._status_at_end, tags=self._tags_at_end)

    def _monitor(self, run_id: str) -> Any:
        """Return a SystemMetricsMonitor, which logs the machine's load once started.

        MLflow's `start_run(log_system_metrics=True)` starts the same one, but would end
        the run with this process, before `publish`.
        """
        from mlflow.system_metrics import system_metrics_monitor

        unannotated: Any = system_metrics_monitor
        return unannotated.SystemMetricsMonitor(
            run_id,
            sampling_interval=_SAMPLING_SECONDS,
            resume_logging=True,
            tracking_uri=self._store.tracking_uri,
        )

    def _rows_of(self, records: Sequence[Any]) -> list[dict[str, float]]:
        """Convert new epochs to rows of the curves."""
        n_known = len(self._history)
        self._history += records
        return self._curves.rows(self._history)[n_known:]

    @contextmanager
    def _failures_warned_of(self) -> Iterator[None]:
        """Turn an error of a server, a database or a disk into a warning, once."""
        try:
            yield
        except Exception as error:
            if not self._has_warned:
                logger.warning(
                    "the run cannot be logged to %s (%s); training continues.",
                    shown_uri(self._store.tracking_uri),
                    kind_of_failure(error),
                )
            self._has_warned = True

    def _begin(self, client: "MlflowClient", experiment_id: str) -> "Run":
        """Continue an unfinished run of the same training, or begin a new one."""
        tags = self._tags
        parameters = self._parameters
        unfinished = None
        if self._training:
            unfinished = unfinished_run(
                client, experiment_id, self._training, tags, parameters
            )
        return begin_run(client, experiment_id, unfinished, tags, parameters)
