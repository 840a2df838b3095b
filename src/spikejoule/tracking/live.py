"""The run of a training, shown while it is trained.

What goes wrong here is one warning and ends no work: `publishing.publish` records the
whole run.
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
from spikejoule.tracking.runs import (
    begin_run,
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
    """An observer of a pipeline's training that shows it as a run, in a `with`
    statement.

    One worker thread talks to the store. (MLflow's asynchronous logging would not do:
    opening the store is what takes seconds.) The training waits for it only at its end,
    for some seconds.

    The run is left RUNNING for the stage `publish`; if the pipeline ends without
    publishing, the next process that opens the store marks it KILLED. A training that
    resumes continues its run. Parameters of a run cannot be changed: if they differ now
    (`train.threads`), a new run is begun, which will have all epochs.

    Args:
        store: where the run is.
        parameters: of the whole pipeline, by full name.
        layer_names: of the network.
        key: what the training is known by when it resumes in another process; None if
            it cannot.
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
        self._tags = {
            **provenance_tags(Path.cwd()),
            **keeper_tags(keeper),
            **self._known,
        }
        self._status_at_end = "RUNNING"
        self._tags_at_end: dict[str, str] = {}
        self._has_warned = False
        # Its import keeps a warning quiet, which is for the main thread to do: filters
        # are no thread's own, and the worker imports it with MLflow.
        import requests  # noqa: F401

        self._epochs: SimpleQueue[list[dict[str, float]] | None] = SimpleQueue()
        # A daemon: a store that does not answer does not keep the stage from ending.
        self._worker = threading.Thread(
            target=self._work, name="spikejoule-run", daemon=True
        )

    def __enter__(self) -> Self:
        self._worker.start()
        return self

    def __exit__(self, kind: Any, error: BaseException | None, _: object) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._status_at_end = "KILLED"
            self._tags_at_end = {
                FAILURE_TAG: "stage train was interrupted from the keyboard"
            }
        elif error is not None:
            self._status_at_end = "FAILED"
            self._tags_at_end = {
                FAILURE_TAG: f"stage train: {str(error) or kind.__name__}"
            }
        self._epochs.put(None)
        self._worker.join(_LAST_SECONDS)

    def on_batch(self, epoch: int, samples: int, outcome: object) -> None:
        """After each step: nothing to show."""

    def on_epoch(self, record: Any, seconds: float) -> None:
        """After each epoch's validation."""
        self._epochs.put([epoch_row(record.entry(), self._layer_names)])

    def on_resume(self, history: Sequence[Any], seconds: Sequence[float]) -> None:
        """Before a training resumes: all epochs so far, of which the run may lack
        some.
        """
        self._epochs.put(
            [epoch_row(record.entry(), self._layer_names) for record in history]
        )

    def trained(self, path: Path) -> None:
        """The trained network is written: by its digest `publish` finds the run, and
        ends it.
        """
        self._tags_at_end = {TRAINED_TAG: file_digest(path, "sha256")}

    def _work(self) -> None:
        """Show epochs until the training ends. The run lacks one that fails, which
        `publish` adds, and has an end all the same.
        """
        with self._failures_warned_of():
            with opened(self._store) as (client, experiment_id):
                run_id = self._begin(client, experiment_id).info.run_id
            for rows in iter(self._epochs.get, None):
                with self._failures_warned_of():
                    log_history(client, run_id, rows)
            end_run(client, run_id, self._status_at_end, tags=self._tags_at_end)

    @contextmanager
    def _failures_warned_of(self) -> Iterator[None]:
        """Whatever a server, a database or a disk answers is a warning, the first
        time.
        """
        try:
            yield
        except Exception as error:
            if not self._has_warned:
                logger.warning(
                    "the run cannot be followed at %s (%s); the work continues.",
                    shown_uri(self._store.tracking_uri),
                    in_one_line(error),
                )
            self._has_warned = True

    def _begin(self, client: "MlflowClient", experiment_id: str) -> "Run":
        """The run that a killed process left of this training, or a new one."""
        latest = None
        if self._known:
            unfinished = ("KILLED", "FAILED")
            left = runs_with(client, experiment_id, self._known, unfinished)
            fitting = (run for run in left if has_parameters(run, self._parameters))
            latest = next(fitting, None)
        return begin_run(client, experiment_id, latest, self._tags, self._parameters)
