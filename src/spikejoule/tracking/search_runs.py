"""The runs of a search: one for the search, and below it one for each trial.

A trial that is run again is continued in the run that it has: the run is found by the search and
the number of the trial. What goes wrong is a warning, as everywhere in this package; what a search
has found is in its study, and `SearchRun.settle` writes what is missing at the end.
"""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from spikejoule.tracking.records import epoch_row
from spikejoule.tracking.store import (
    FAILURE_TAG,
    Store,
    in_one_line,
    keeper_tags,
    opened,
    without_passwords,
)
from spikejoule.tracking.writing import log, log_history, take_up

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

SEARCH_TAG: Final = "spikejoule.search"
TRIAL_TAG: Final = "spikejoule.trial"
PARENT_TAG: Final = "mlflow.parentRunId"
STOPPED_TAG: Final = "spikejoule.stopped"
"""Tag of a run whose trial ended early: in words why."""

_FLUSH_SECONDS = 5.0
_MOST_TRIALS = 50_000


@dataclass
class SearchRun:
    """The run of a search in a store.

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
        condition = f"tags.`{SEARCH_TAG}` = '{self.search_id}' AND tags.`{TRIAL_TAG}` = 'all'"
        tags = {**tags, SEARCH_TAG: self.search_id, TRIAL_TAG: "all"}
        with _carefully(self.store), opened(self.store) as (client, experiment_id):
            self.run_id = _begin(client, experiment_id, condition, self.name, tags)
            log(client, self.run_id, parameters)

    def end(self, metrics: Mapping[str, float], status: str) -> None:
        """Write what came out and end the run: FINISHED, FAILED or KILLED."""
        if not self.run_id:
            return
        with _carefully(self.store), opened(self.store) as (client, _):
            log(client, self.run_id, metrics=metrics, time_ms=_now_ms())
            client.set_terminated(self.run_id, status=status)

    def settle(self, ended: Mapping[int, "EndedTrial"]) -> None:
        """Write the end of every trial that has none in the store: its worker could not."""
        if not self.run_id:
            return
        with _carefully(self.store), opened(self.store) as (client, experiment_id):
            below = f"tags.`{PARENT_TAG}` = '{self.run_id}'"
            runs = client.search_runs([experiment_id], below, max_results=_MOST_TRIALS)
            known = {run.data.tags[TRIAL_TAG]: run for run in runs}
            for number, trial in ended.items():
                run = known.get(str(number))
                if run is None or run.info.status != trial.status:
                    run_id = _begin_trial(client, experiment_id, self, number)
                    # Those that a run has are its worker's: all, and not to be changed.
                    if run is None or not run.data.params:
                        log(client, run_id, trial.parameters)
                    _end(client, run_id, trial)


@dataclass(frozen=True)
class EndedTrial:
    """How a trial ended.

    Attributes:
        status: FINISHED for one that was trained or stopped as planned, FAILED for one given up.
        metrics: what it gave.
        tags: further facts; `FAILURE_TAG` says why it came to nothing.
        parameters: by full key.
    """

    status: str
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def trained(cls, result: Mapping[str, Any], parameters: Mapping[str, Any]) -> "EndedTrial":
        """To its end: numbers are metrics, text is a tag, and None is nothing."""
        given = {name: value for name, value in result.items() if value is not None}
        tags = {name: value for name, value in given.items() if isinstance(value, str)}
        metrics = {name: float(value) for name, value in given.items() if name not in tags}
        named = {f"spikejoule.{name}": value for name, value in tags.items()}
        return cls("FINISHED", metrics, named, parameters)

    @classmethod
    def stopped(cls, reason: str) -> "EndedTrial":
        """Early, for a reason in words."""
        return cls("FINISHED", tags={STOPPED_TAG: reason})

    @classmethod
    def failed(cls, reason: str) -> "EndedTrial":
        """Without a result, for a reason in words."""
        return cls("FAILED", tags={FAILURE_TAG: reason})


class TrialRun:
    """An observer of training that shows a trial as a run below that of its search.

    Args:
        search: the run of the search.
        number: of the trial, by which its run is found again.
        parameters: of the trial, by full key.
        names: of the layers of the network.
    """

    def __init__(
        self,
        search: SearchRun,
        number: int,
        parameters: Mapping[str, Any],
        names: Sequence[str],
    ) -> None:
        self._search = search
        self._names = names
        self._rows: list[dict[str, float]] = []
        self._elapsed = 0.0
        self._started_ms = _now_ms()
        self._flushed = time.monotonic()
        self._repeated = True
        self.run_id = ""
        if not search.run_id:
            return

        with _carefully(search.store), opened(search.store) as (client, experiment_id):
            self.run_id = _begin_trial(client, experiment_id, search, number)
            log(client, self.run_id, parameters)

    def on_batch(self, epoch: int, samples: int, outcome: object) -> None:
        """After each step: nothing to write."""

    def on_resume(self, history: Sequence[Any], seconds: Sequence[float]) -> None:
        """Before a trial resumes: the epochs that it has, of which the run may lack some."""
        for record, lasted in zip(history, seconds, strict=True):
            self._elapsed += lasted
            self._rows.append(epoch_row(record.entry(), self._names, self._elapsed))

    def on_epoch(self, record: Any, seconds: float) -> None:
        """After each epoch; written every few seconds."""
        self.on_resume([record], [seconds])
        if time.monotonic() - self._flushed >= _FLUSH_SECONDS:
            self._flush()

    def end(self, trial: EndedTrial) -> None:
        """Write what is left and end the run."""
        self._flush()
        if self.run_id:
            with _carefully(self._search.store), opened(self._search.store) as (client, _):
                _end(client, self.run_id, trial)

    def _flush(self) -> None:
        rows, self._rows, self._flushed = self._rows, [], time.monotonic()
        if not self.run_id or not rows:
            return
        # Of a trial that is run again, the run may have them; later ones it cannot have.
        repeated, self._repeated = self._repeated, False
        with _carefully(self._search.store), opened(self._search.store) as (client, _):
            log_history(client, self.run_id, rows, self._started_ms, repeated)


def _begin_trial(client: "MlflowClient", experiment_id: str, search: SearchRun, number: int) -> str:
    condition = f"tags.`{SEARCH_TAG}` = '{search.search_id}' AND tags.`{TRIAL_TAG}` = '{number}'"
    tags = {SEARCH_TAG: search.search_id, TRIAL_TAG: str(number), PARENT_TAG: search.run_id}
    return _begin(client, experiment_id, condition, f"{search.name}-{number}", tags)


def _begin(
    client: "MlflowClient",
    experiment_id: str,
    condition: str,
    name: str,
    tags: Mapping[str, str],
) -> str:
    """The id of the run that fulfils a condition, made if there is none, and running."""
    found = client.search_runs([experiment_id], filter_string=condition, max_results=1)
    left = found[0] if found else None
    return take_up(client, experiment_id, left, name, {**tags, **keeper_tags()})


def _end(client: "MlflowClient", run_id: str, trial: EndedTrial) -> None:
    tags = {name: without_passwords(text)[:500] for name, text in trial.tags.items()}
    log(client, run_id, tags=tags, metrics=trial.metrics, time_ms=_now_ms())
    client.set_terminated(run_id, status=trial.status)


@contextmanager
def _carefully(store: Store) -> Iterator[None]:
    """Warn of whatever goes wrong within."""
    try:
        yield
    # Whatever a server, a database or a disk answers: the study has the result.
    except Exception as error:
        logger.warning(
            "the search could not be tracked at %s (%s).",
            without_passwords(store.tracking_uri),
            in_one_line(error),
        )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
