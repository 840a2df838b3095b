"""The run of a training, logged while the network is trained.

A store that fails costs one warning, and the training continues without it:
`publishing.publish` adds what is missing.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import psutil

from spikejoule.core.provenance import file_digest, provenance_tags
from spikejoule.core.yaml_files import PARAMS_FILE
from spikejoule.network.network import Network
from spikejoule.network.sections import EpochRecord
from spikejoule.params import load_params
from spikejoule.tracking.curves import Curves
from spikejoule.tracking.failures import kind_of_failure
from spikejoule.tracking.mlflow_private import system_monitor
from spikejoule.tracking.runs import begin_run, end_run, log_history, unfinished_run
from spikejoule.tracking.store import (
    FAILURE_TAG,
    Store,
    keeper_tags,
    opened,
    project_store,
)
from spikejoule.training.observers import TrainingObserver

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

TRAINED_TAG: Final = "trained.sha256"
TRAINING_TAG: Final = "spikejoule.training"
"""Identifies the training of a run when another process resumes it."""

_SAMPLING_SECONDS = 5.0


class LiveRun(TrainingObserver):
    """Logs a training to MLflow, used as a context manager.

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
        self._parameters = parameters
        self._curves = curves
        self._training = {TRAINING_TAG: key} if key else {}
        self._keeper = keeper
        self._history: list[EpochRecord] = []
        self._tags_at_end: dict[str, str] = {}
        self._monitor: Any = None
        self._client: MlflowClient | None = None
        self._run_id = ""
        self._has_failed = False

    @classmethod
    def in_project(
        cls,
        root: Path,
        network: Network,
        engine: str,
        key: str | None,
        keeper: psutil.Process,
    ) -> Self:
        """Return the run of a training with the params.yaml in the working directory.

        Args:
            root: the project's root, with its store.
            network: the network to train.
            engine: name of the engine.
            key, keeper: as for the class.
        """
        params = load_params(PARAMS_FILE)
        store = project_store(root, params.publish.experiment)
        curves = Curves.of_running(params, network, engine)
        return cls(store, params.flattened(), curves, key, keeper)

    def __enter__(self) -> Self:
        """Continue the unfinished run of this training, or begin a new one."""
        tags = {
            **provenance_tags(Path.cwd()),
            **keeper_tags(self._keeper),
            **self._training,
        }
        with self._one_warning(), opened(self._store) as (client, experiment_id):
            unfinished = None
            if self._training:
                unfinished = unfinished_run(
                    client, experiment_id, self._training, tags, self._parameters
                )
            run = begin_run(client, experiment_id, unfinished, tags, self._parameters)
            self._run_id = run.info.run_id
            self._client = client
        return self

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """Log an epoch after its validation."""
        self._log([record])

    def on_resume(
        self, history: Sequence[EpochRecord], seconds: Sequence[float]
    ) -> None:
        """Log all earlier epochs, since the run may lack some of them."""
        self._log(history)

    def trained(self, path: Path) -> None:
        """Note the digest of the trained network, by which `publish` finds the run."""
        self._tags_at_end = {TRAINED_TAG: file_digest(path, "sha256")}

    def __exit__(self, kind: Any, error: BaseException | None, _: object) -> None:
        """End the run if the training failed, or leave it to `publish`."""
        status = "RUNNING"
        tags = self._tags_at_end
        if isinstance(error, KeyboardInterrupt):
            status = "KILLED"
            tags = {FAILURE_TAG: "stage train was interrupted from the keyboard"}
        elif error is not None:
            status = "FAILED"
            tags = {FAILURE_TAG: f"stage train: {str(error) or kind.__name__}"}
        if self._monitor is not None:
            self._monitor.finish()
        if self._client is not None:
            with self._one_warning():
                end_run(self._client, self._run_id, status, tags=tags)

    def _log(self, records: Sequence[EpochRecord]) -> None:
        """Log new epochs; with the first, begin to log the load of the machine."""
        n_known = len(self._history)
        self._history += records
        if self._client is None or self._has_failed:
            return
        rows = self._curves.rows(self._history)[n_known:]
        with self._one_warning():
            log_history(self._client, self._run_id, rows)
            # Not before: MLflow preselects the metric that was logged first.
            if self._monitor is None:
                uri = self._store.tracking_uri
                self._monitor = system_monitor(self._run_id, uri, _SAMPLING_SECONDS)
                self._monitor.start()

    @contextmanager
    def _one_warning(self) -> Iterator[None]:
        """Turn the first error of the store into a warning, and ignore the others."""
        try:
            yield
        except Exception as error:
            if not self._has_failed:
                logger.warning(
                    "the run cannot be logged in %s (%s); training continues, and the "
                    "stage publish adds what is missing.",
                    self._store.name,
                    kind_of_failure(error),
                )
            self._has_failed = True
