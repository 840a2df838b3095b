"""The MLflow run of a training while it goes on: curves that grow, and an end in every case.

The stage `train` imports this late, and no result depends on it. A thread talks to the store;
training never waits for it, but at its very end for a few seconds. The run is left RUNNING for the
stage `publish`; if the pipeline ends without that, whoever opens the store next marks it KILLED. A
training that goes on after a kill goes on with its run.
"""

import logging
import os
import queue
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import psutil

from spikejoule.core.provenance import file_digest, provenance_tags
from spikejoule.tracking.records import TRAINED_TAG, TRAINING_TAG, epoch_row
from spikejoule.tracking.store import (
    FAILURE_TAG,
    Store,
    in_one_line,
    keeper_tags,
    opened,
    without_passwords,
)
from spikejoule.tracking.writing import log, log_history, run_name, take_up

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

_RETRY_SECONDS = 30.0
_LAST_WORDS_SECONDS = 15.0
_NICENESS = 10


class Epoch(Protocol):
    """What a `training.EpochRecord` can say of itself."""

    def entry(self) -> dict[str, Any]:
        """Its fields."""


class TrainingRun:
    """An observer of a training, and the context in which it runs.

    Args:
        store: where the run is.
        parameters: of the whole pipeline, by full name.
        layer_names: of the network.
        key: what the training is known by when it goes on in another process; None if it cannot.
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
        self._directory = Path.cwd()
        self._tags = {**keeper_tags(keeper), **({TRAINING_TAG: key} if key else {})}
        self._seconds = 0.0
        self._rows: queue.SimpleQueue[list[dict[str, float]] | None] = queue.SimpleQueue()
        self._trained_sha256: str | None = None
        self._outcome: tuple[str, str] | None = None
        self._client: MlflowClient | None = None
        self._run_id = ""
        self._started_ms = time.time_ns() // 1_000_000
        self._may_repeat = False
        self._thread = threading.Thread(target=self._work, name="spikejoule-run", daemon=True)

    def __enter__(self) -> Self:
        # Its import keeps a warning quiet, which is for the main thread to do: filters are no
        # thread's own, and the thread below imports it with MLflow.
        import requests  # noqa: F401

        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._outcome = ("KILLED", "stage train was interrupted from the keyboard")
        elif error is not None:
            self._outcome = ("FAILED", f"stage train: {str(error) or type(error).__name__}")
        self._rows.put(None)
        self._thread.join(_LAST_WORDS_SECONDS)

    def on_batch(self, epoch: int, samples: int, outcome: object) -> None:
        """After each step: nothing to show."""

    def on_epoch(self, record: Epoch, seconds: float) -> None:
        """After each epoch's validation."""
        self.on_resume([record], [seconds])

    def on_resume(self, history: Sequence[Epoch], seconds: Sequence[float]) -> None:
        """Before a training goes on: all epochs so far."""
        rows = []
        for record, lasted in zip(history, seconds, strict=True):
            self._seconds += lasted
            rows.append(epoch_row(record.entry(), self._layer_names, self._seconds))
        self._rows.put(rows)

    def trained(self, path: Path) -> None:
        """The trained network is written: by its digest `publish` finds the run."""
        self._trained_sha256 = file_digest(path, "sha256")

    def _work(self) -> None:
        """Write what is new; if that fails, warn once, and try again in half a minute."""
        if hasattr(os, "setpriority"):  # of this thread alone, under Linux
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        rows: list[dict[str, float]] = []
        has_ended, failed_at = False, -float("inf")
        while True:
            if has_ended or time.monotonic() > failed_at + _RETRY_SECONDS:
                try:
                    self._write(rows, has_ended)
                    rows = []
                # Whatever a server answers, training goes on, and `publish` records the run.
                except Exception as error:
                    self._may_repeat = True
                    if failed_at < 0:
                        logger.warning(
                            "the run cannot be followed at %s (%s); it will be recorded at its "
                            "end.",
                            without_passwords(self._store.tracking_uri), in_one_line(error),
                        )  # fmt: skip
                    failed_at = time.monotonic()
            if has_ended:
                return
            new = self._rows.get()
            rows, has_ended = rows + (new or []), new is None

    def _write(self, rows: Sequence[Mapping[str, float]], has_ended: bool) -> None:
        if self._client is None:
            self._client = self._begin()
        client, run_id = self._client, self._run_id
        log_history(client, run_id, rows, self._started_ms, self._may_repeat)
        self._may_repeat = False
        if has_ended and self._outcome is not None:
            status, reason = self._outcome
            client.set_tag(run_id, FAILURE_TAG, without_passwords(reason)[:500])
            client.set_terminated(run_id, status=status)
        elif has_ended and self._trained_sha256 is not None:
            client.set_tag(run_id, TRAINED_TAG, self._trained_sha256)

    def _begin(self) -> "MlflowClient":
        """Take up the run of a training that was cut short and goes on, or create one.

        Parameters of a run cannot be changed: if they are others now (`train.threads`), a new run
        takes the place of the old one, which held nothing that the new one will not.
        """
        tags = {**provenance_tags(self._directory), **self._tags}
        text = {name: str(value) for name, value in self._parameters.items()}
        with opened(self._store) as (client, experiment_id):
            left = self._left_run(client, experiment_id)
            if left is not None and left.data.params.items() <= text.items():
                self._started_ms, self._may_repeat = left.info.start_time, True
            elif left is not None:
                client.delete_run(left.info.run_id)
                left = None
            self._run_id = take_up(
                client, experiment_id, left, run_name(tags), tags, self._started_ms
            )
        log(client, self._run_id, text)
        return client

    def _left_run(self, client: "MlflowClient", experiment_id: str) -> Any | None:
        """The latest run of this training that came to no result."""
        if TRAINING_TAG not in self._tags:
            return None
        runs = client.search_runs(
            [experiment_id],
            f"tags.`{TRAINING_TAG}` = '{self._tags[TRAINING_TAG]}'",
            order_by=["attributes.start_time DESC"],
        )
        return next((run for run in runs if run.info.status in ("KILLED", "FAILED")), None)
