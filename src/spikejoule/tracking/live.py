"""The run of a training, shown while it is trained.

What goes wrong here is one warning and ends no work: `publishing.publish` records the whole run.
"""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final, Self

import psutil

from spikejoule.core.provenance import file_digest, provenance_tags
from spikejoule.tracking.runs import (
    begin_run,
    delete_run,
    end_run,
    epoch_row,
    has_parameters,
    log_history,
)
from spikejoule.tracking.store import (
    FAILURE_TAG,
    Store,
    in_one_line,
    keeper_tags,
    opened,
    runs_with,
    shown_uri,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

TRAINED_TAG: Final = "trained.sha256"
TRAINING_TAG: Final = "spikejoule.training"
"""What the training of a run is known by, in whichever process it resumes."""

_LAST_SECONDS = 15.0


class LiveRun:
    """An observer of a pipeline's training that shows it as a run, in a `with` statement.

    One worker thread talks to the store. (MLflow's asynchronous logging would not do: opening the
    store is what takes seconds.) The training waits for it only at its end, for some seconds.

    The run is left RUNNING for the stage `publish`; if the pipeline ends without publishing, the
    next process that opens the store marks it KILLED. A training that resumes continues its run.
    Parameters of a run cannot be changed: if they differ now (`train.threads`), a new run replaces
    the old one, all of whose epochs it will have.

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
        self._store = store
        self._parameters = parameters
        self._layer_names = layer_names
        self._known = {TRAINING_TAG: key} if key else {}
        self._tags = {**provenance_tags(Path.cwd()), **keeper_tags(keeper), **self._known}
        self._trained: dict[str, str] = {}
        self._rows: list[dict[str, float]] = []
        self._n_written = 0
        self._client: MlflowClient | None = None
        self._run_id = ""
        self._has_warned = False
        # Its import keeps a warning quiet, which is for the main thread to do: filters are no
        # thread's own, and the worker imports it with MLflow.
        import requests  # noqa: F401

        self._jobs: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        # A daemon: a store that does not answer does not keep the stage from ending.
        self._worker = threading.Thread(target=self._work, name="spikejoule-run", daemon=True)

    def __enter__(self) -> Self:
        self._worker.start()
        self._jobs.put(self._write)
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: object) -> None:
        status, tags = "RUNNING", self._trained
        if isinstance(error, KeyboardInterrupt):
            status = "KILLED"
            tags = {FAILURE_TAG: "stage train was interrupted from the keyboard"}
        elif error is not None:
            status = "FAILED"
            tags = {FAILURE_TAG: f"stage train: {str(error) or kind.__name__}"}
        self._jobs.put(partial(self._end, status, tags))
        self._jobs.put(None)
        self._worker.join(_LAST_SECONDS)

    def on_batch(self, epoch: int, samples: int, outcome: object) -> None:
        """After each step: nothing to show."""

    def on_epoch(self, record: Any, seconds: float) -> None:
        """After each epoch's validation."""
        self._rows.append(epoch_row(record.entry(), self._layer_names))
        self._jobs.put(self._write)

    def on_resume(self, history: Sequence[Any], seconds: Sequence[float]) -> None:
        """Before a training resumes: all epochs so far, of which the run may lack some."""
        for record, lasted in zip(history, seconds, strict=True):
            self.on_epoch(record, lasted)

    def trained(self, path: Path) -> None:
        """The trained network is written: by its digest `publish` finds the run, and ends it."""
        self._trained = {TRAINED_TAG: file_digest(path, "sha256")}

    def _work(self) -> None:
        """Do one job after another, until there are no more; the first failure is a warning."""
        for job in iter(self._jobs.get, None):
            try:
                job()
            # Whatever a server, a database or a disk answers.
            except Exception as error:
                if not self._has_warned:
                    where = shown_uri(self._store.tracking_uri)
                    reason = in_one_line(error)
                    logger.warning(
                        "the run cannot be followed at %s (%s); the work continues.", where, reason
                    )
                self._has_warned = True

    def _write(self) -> "MlflowClient":
        """Add the epochs that the run lacks, in a run that is begun first."""
        if self._client is None:
            with opened(self._store) as (client, experiment_id):
                self._run_id = self._begin(client, experiment_id).info.run_id
            self._client = client
        if rows := self._rows[self._n_written :]:
            log_history(self._client, self._run_id, rows)
            self._n_written += len(rows)
        return self._client

    def _end(self, status: str, tags: Mapping[str, str]) -> None:
        end_run(self._write(), self._run_id, status, tags=tags)

    def _begin(self, client: "MlflowClient", experiment_id: str) -> "Run":
        """The run that a killed process left of this training, or a new one."""
        known = self._known
        found = runs_with(client, experiment_id, known, ("KILLED", "FAILED")) if known else []
        left = found[0] if found else None
        if left is not None and not has_parameters(left, self._parameters):
            delete_run(client, experiment_id, left.info.run_id)
            left = None
        return begin_run(client, experiment_id, left, self._tags, self._parameters)
