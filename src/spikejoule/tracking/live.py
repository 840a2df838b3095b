"""Runs that are shown while they go on: of a training, and of a search with its trials.

What goes wrong here is a warning and ends no work: `publish` records the whole run of a training,
and what a search has found is in its study, from which `SearchRun.settle` writes what is missing.
"""

import logging
import math
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil

from spikejoule.core.provenance import file_digest, provenance_tags
from spikejoule.tracking.runs import (
    TRAINED_TAG,
    RunEnd,
    begin_run,
    epoch_row,
    has_parameters,
    log_history,
    run_name,
    runs_with,
)
from spikejoule.tracking.store import (
    Store,
    in_one_line,
    keeper_tags,
    opened,
    without_passwords,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

logger = logging.getLogger(__name__)

TRAINING_TAG: Final = "spikejoule.training"
"""What the training of a run is known by, in whichever process it goes on."""
SEARCH_TAG: Final = "spikejoule.search"
TRIAL_TAG: Final = "spikejoule.trial"
PARENT_TAG: Final = "mlflow.parentRunId"

_ALL = "all"
"""In place of a trial's number: the run of the search itself."""

_PAUSE_SECONDS = 1.0
_RETRY_SECONDS = 30.0
_TRAINING_SECONDS = 15.0
# A worker has nothing else to do, and its next trial would take time from the thread.
_TRIAL_SECONDS = 120.0


class LiveRun:
    """An observer of a training that shows it as a run. A thread talks to the store: the training
    waits for it at its very end alone, for some seconds.

    Args:
        store: where the run is.
        layer_names: of the network.
        begin: gives the run, in the opened store; None shows nothing.
        seconds: to wait for the thread at the end.
    """

    def __init__(
        self,
        store: Store,
        layer_names: Sequence[str],
        begin: "Callable[[MlflowClient, str], Run] | None",
        seconds: float,
    ) -> None:
        self._store, self._layer_names, self._begin, self._wait = store, layer_names, begin, seconds
        self._rows: list[dict[str, float]] = []
        self._n_written = 0
        self._elapsed = 0.0
        self._client: MlflowClient | None = None
        self._run: Any = None
        self._known_until = 0.0  # the last epoch that the run may have from before
        self._end = RunEnd("RUNNING")
        self._has_ended = threading.Event()
        # Its import keeps a warning quiet, which is for the main thread to do: filters are no
        # thread's own, and the thread below imports it with MLflow.
        import requests  # noqa: F401

        self._thread = threading.Thread(target=self._work, name="spikejoule-run", daemon=True)
        if begin is not None:
            self._thread.start()

    def on_batch(self, epoch: int, samples: int, outcome: object) -> None:
        """After each step: nothing to show."""

    def on_epoch(self, record: Any, seconds: float) -> None:
        """After each epoch's validation."""
        self._elapsed += seconds
        self._rows.append(epoch_row(record.entry(), self._layer_names, self._elapsed))

    def on_resume(self, history: Sequence[Any], seconds: Sequence[float]) -> None:
        """Before a training resumes: all epochs so far, of which the run may lack some."""
        for record, lasted in zip(history, seconds, strict=True):
            self.on_epoch(record, lasted)

    def trained(self, path: Path) -> None:
        """The trained network is written: by its digest `publish` finds the run, and ends it."""
        self._end = RunEnd("RUNNING", tags={TRAINED_TAG: file_digest(path, "sha256")})

    def end(self, end: RunEnd | None = None) -> None:
        """Write what is left, and how the run ends; None leaves it to `publish`."""
        self._end = end or self._end
        self._has_ended.set()
        if self._begin is not None:
            self._thread.join(self._wait)

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
                self._known_until, pause = math.inf, _RETRY_SECONDS
                if not has_warned:
                    _warn(self._store, error)
                has_warned = True

    def _write(self, has_ended: bool) -> None:
        if self._client is None:
            assert self._begin is not None
            with opened(self._store) as (client, experiment_id):
                self._run = self._begin(client, experiment_id)
            self._client = client
            steps = (
                point.step
                for name in self._run.data.metrics
                for point in client.get_metric_history(self._run.info.run_id, name)
            )
            self._known_until = max(self._known_until, *steps, 0)
        info, rows = self._run.info, self._rows[self._n_written :]
        if rows:
            repeated = rows[0]["epoch"] <= self._known_until
            log_history(self._client, info.run_id, rows, info.start_time, repeated)
            self._n_written += len(rows)
        if has_ended:
            self._end.write(self._client, info.run_id)


@contextmanager
def training_run(
    store: Store,
    parameters: Mapping[str, Any],
    layer_names: Sequence[str],
    key: str | None,
    keeper: psutil.Process,
) -> Iterator[LiveRun]:
    """The run of a training of a pipeline: one that was cut short and resumes has the same run.

    It is left RUNNING for the stage `publish`; if the pipeline ends without that, whoever opens the
    store next marks it KILLED. Parameters of a run cannot be changed: if they are others now
    (`train.threads`), a new run takes the place of the old one, which held nothing that the new one
    will not.

    Args:
        store: where the run is.
        parameters: of the whole pipeline, by full name.
        layer_names: of the network.
        key: what the training is known by when it goes on in another process; None if it cannot.
        keeper: the process without which the run has ended, which is the pipeline's.
    """
    known = {TRAINING_TAG: key} if key else {}
    tags = {**provenance_tags(Path.cwd()), **keeper_tags(keeper), **known}

    def begin(client: "MlflowClient", experiment_id: str) -> "Run":
        found = runs_with(client, experiment_id, known, ("KILLED", "FAILED")) if key else []
        left = found[0] if found else None
        if left is not None and not has_parameters(left, parameters):
            client.delete_run(left.info.run_id)
            left = None
        return begin_run(client, experiment_id, left, run_name(tags), tags, parameters)

    run = LiveRun(store, layer_names, begin, _TRAINING_SECONDS)
    try:
        yield run
    except KeyboardInterrupt:
        run.end(RunEnd.failed("stage train was interrupted from the keyboard", "KILLED"))
        raise
    except BaseException as error:
        run.end(RunEnd.failed(f"stage train: {str(error) or type(error).__name__}"))
        raise
    run.end()


@dataclass
class SearchRun:
    """The run of a search in a store, and below it one for each trial.

    A trial that is run again is continued in the run that it has: the run is found by the search
    and the number of the trial.

    Attributes:
        store: where it is.
        name: of the search.
        search_id: identifies the search, whatever its name.
        run_id: MLflow's; empty where the store cannot be used.
    """

    store: Store
    name: str
    search_id: str = ""
    run_id: str = ""

    def begin(self, parameters: Mapping[str, Any], tags: Mapping[str, str]) -> None:
        """Find the run or make it; it is running, and this process is the one that ends it."""
        with _carefully(self.store), opened(self.store) as (client, experiment_id):
            self.run_id = self._begin(client, experiment_id, _ALL, parameters, tags).info.run_id

    def trial(
        self, number: int, parameters: Mapping[str, Any], layer_names: Sequence[str]
    ) -> LiveRun:
        """The run of a trial, which shows nothing if the search has no run."""
        begin = partial(self._begin, trial=str(number), parameters=parameters)
        return LiveRun(self.store, layer_names, begin if self.run_id else None, _TRIAL_SECONDS)

    def settle(self, ended: Mapping[int, RunEnd]) -> None:
        """Write the end of every trial that has none in the store: its worker could not."""
        if not self.run_id:
            return
        with _carefully(self.store), opened(self.store) as (client, experiment_id):
            below = runs_with(client, experiment_id, {PARENT_TAG: self.run_id})
            known = {run.data.tags[TRIAL_TAG]: run for run in below}
            for number, end in ended.items():
                run = known.get(str(number))
                if run is None or run.info.status != end.status:
                    # Those that a run has are its worker's: all, and not to be changed.
                    parameters = end.parameters if run is None or not run.data.params else {}
                    begun = self._begin(client, experiment_id, str(number), parameters)
                    end.write(client, begun.info.run_id)

    def end(self, end: RunEnd) -> None:
        """Write what came out and end the run."""
        if self.run_id:
            with _carefully(self.store), opened(self.store) as (client, _):
                end.write(client, self.run_id)

    def _begin(
        self,
        client: "MlflowClient",
        experiment_id: str,
        trial: str,
        parameters: Mapping[str, Any],
        tags: Mapping[str, str] = {},
    ) -> "Run":
        known = {SEARCH_TAG: self.search_id, TRIAL_TAG: trial}
        found = runs_with(client, experiment_id, known)
        name, parent = self.name, {}
        if trial != _ALL:
            name, parent = f"{self.name}-{trial}", {PARENT_TAG: self.run_id}
        tags = {**tags, **known, **parent, **keeper_tags()}
        return begin_run(client, experiment_id, found[0] if found else None, name, tags, parameters)


@contextmanager
def _carefully(store: Store) -> Iterator[None]:
    """Warn of whatever goes wrong within."""
    try:
        yield
    # Whatever a server, a database or a disk answers: the study has the result.
    except Exception as error:
        _warn(store, error)


def _warn(store: Store, error: Exception) -> None:
    logger.warning(
        "the run cannot be followed at %s (%s); the work goes on.",
        without_passwords(store.tracking_uri), in_one_line(error),
    )  # fmt: skip
