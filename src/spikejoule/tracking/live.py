"""Show a pipeline's run while it grows: `python -m spikejoule.tracking.live JOURNAL ROOT PID`.

Follows the journal that the stages write, a line of JSON for each event: `pipeline` (id, pid and
start of the process that runs the stages); for each stage `begin` (stage, directory, parameters,
experiment) and `done`, `failed` (reason) or `interrupted`; in between `resumable` (stage, key: what
its training is known by in any pipeline that goes on with it), `training` (layer_names), `epoch`
(record, seconds) and `trained` (path); at last `publishing`, at which the run is left to the
publisher. If the pipeline ends without that, the run is ended here: FAILED with the reason, or
KILLED. A pipeline that trains nothing has no run before it is published or fails. One that goes on
with a training that was killed goes on with its run.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import psutil
from filelock import FileLock, Timeout

from spikejoule.core.provenance import file_digest, provenance_tags
from spikejoule.core.resume import is_running
from spikejoule.tracking.continued import TRAINING_TAG, ShownRun, run_to_show
from spikejoule.tracking.keeper import FAILURE_TAG
from spikejoule.tracking.publishing import PIPELINE_TAG, TRAINED_TAG
from spikejoule.tracking.records import epoch_row
from spikejoule.tracking.store import Store, in_one_line, opened, project_store, without_passwords
from spikejoule.tracking.writing import log_history

if TYPE_CHECKING:
    from mlflow import MlflowClient

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.3
_RETRY_SECONDS = 30.0
_LAST_WORDS_SECONDS = 60.0
_LET_GO_SECONDS = 20.0
_NICENESS = 10


@dataclass
class Progress:
    """What a journal has said so far.

    Attributes:
        pipeline: id, pid and start of the pipeline's process.
        first: facts of the first stage that began.
        stage: the last stage that began.
        in_stage: whether it has not ended yet.
        layer_names: of the network that is trained; empty before.
        trainings: by stage, what its training is known by in other pipelines.
        rows: the curves.
        trained_sha256: digest of the trained network, once there is one.
        outcome: status and reason of a pipeline that came to no result.
        publishing: whether another process has taken over.
    """

    pipeline: dict[str, Any] = field(default_factory=dict)
    first: dict[str, Any] = field(default_factory=dict)
    stage: str = ""
    in_stage: bool = False
    layer_names: Sequence[str] = ()
    trainings: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)
    trained_sha256: str | None = None
    outcome: tuple[str, str] | None = None
    publishing: bool = False

    @property
    def is_worth_a_run(self) -> bool:
        """Whether there is something to see before the run is published."""
        return bool(self.layer_names) or self.outcome is not None

    def take(self, event: Mapping[str, Any]) -> None:
        """Learn from one event."""
        match event["event"]:
            case "pipeline":
                self.pipeline = dict(event)
            case "begin":
                self.first = self.first or dict(event)
                self.stage, self.in_stage = event["stage"], True
            case "training":
                self.layer_names = event["layer_names"]
            case "resumable":
                self.trainings[event["stage"]] = event["key"]
            case "epoch":
                before = self.rows[-1]["elapsed_seconds"] if self.rows else 0.0
                row = epoch_row(event["record"], self.layer_names, before + event["seconds"])
                self.rows.append(row)
            case "trained":
                with suppress(OSError):  # of a workspace that is gone already
                    self.trained_sha256 = file_digest(event["path"], "sha256")
            case "done":
                self.in_stage = False
            case "failed":
                self.outcome = ("FAILED", f"stage {self.stage}: {event['reason']}")
            case "interrupted":
                self.outcome = ("KILLED", f"stage {self.stage} was interrupted from the keyboard")
            case "publishing":
                self.publishing = True

    def conclude(self) -> None:
        """Take the pipeline's end for what it means."""
        if self.outcome is not None:
            return
        if self.in_stage:
            self.outcome = ("KILLED", f"stage {self.stage} was killed")
        elif self.layer_names:
            self.outcome = ("KILLED", f"the pipeline ended after stage {self.stage}, unpublished")


class LiveRun:
    """A run in a store, made like what is known of the pipeline, again and again."""

    def __init__(self, store: Store, tags: Mapping[str, str]) -> None:
        self._store = store
        self._tags = tags
        self._started_ms = time.time_ns() // 1_000_000
        self._client: MlflowClient | None = None
        self._run: ShownRun | None = None
        self._n_rows = 0
        self._has_digest = self._has_ended = self._has_warned = False
        self._next_attempt = 0.0

    @property
    def exists(self) -> bool:
        """Whether the store holds the run."""
        return self._run is not None

    def show(self, progress: Progress, at_once: bool = False) -> None:
        """Write what is new; if that fails, warn once, and try again in half a minute."""
        if self._has_ended or (not at_once and time.monotonic() < self._next_attempt):
            return
        try:
            self._show(progress)
        # Whatever a server answers, training goes on, and the run is published at its end.
        except Exception as error:
            self._next_attempt = time.monotonic() + _RETRY_SECONDS
            if not self._has_warned:
                logger.warning(
                    "the run cannot be followed at %s (%s); it will be recorded at its end.",
                    without_passwords(self._store.tracking_uri),
                    in_one_line(error),
                )
            self._has_warned = True

    def _show(self, progress: Progress) -> None:
        if self._client is None or self._run is None:
            self._open(progress)
        if self._client is None or self._run is None:
            return
        client, run = self._client, self._run
        rows = progress.rows[self._n_rows :]
        repeated = run.is_continued and self._n_rows == 0
        log_history(client, run.run_id, rows, run.started_ms, repeated)
        self._n_rows += len(rows)
        if progress.trained_sha256 and not self._has_digest:
            client.set_tag(run.run_id, TRAINED_TAG, progress.trained_sha256)
            self._has_digest = True
        if progress.outcome is not None:
            status, reason = progress.outcome
            client.set_tag(run.run_id, FAILURE_TAG, without_passwords(reason)[:500])
            client.set_terminated(run.run_id, status=status)
            self._has_ended = True

    def _open(self, progress: Progress) -> None:
        """Have a run; not yet while another follower is about to let go of it."""
        tags = {**self._tags, PIPELINE_TAG: progress.pipeline["id"]}
        tags |= {TRAINING_TAG + stage: key for stage, key in progress.trainings.items()}
        waits = time.time_ns() // 1_000_000 < self._started_ms + 1000 * _LET_GO_SECONDS
        with opened(self._store) as (client, experiment_id):
            parameters = progress.first["parameters"]
            self._run = run_to_show(
                client, experiment_id, tags, parameters, self._started_ms, waits
            )
        self._client = client


def follow(stream: TextIO, root: Path) -> None:
    """Follow a journal until its pipeline ends, or says that it publishes its run."""
    progress = Progress()
    for event in _new_events(stream):
        progress.take(event)
    run = LiveRun(
        project_store(root, progress.first["experiment"]),
        provenance_tags(Path(progress.first["directory"])),
    )
    while not progress.publishing:
        # In this order: the last words of a pipeline are read after its end is seen.
        gone = not is_running(progress.pipeline["pid"], progress.pipeline["started"])
        for event in _new_events(stream):
            progress.take(event)
        if gone and not progress.publishing:
            progress.conclude()
            _exit_after(_LAST_WORDS_SECONDS)
        if progress.is_worth_a_run and (run.exists or not progress.publishing):
            run.show(progress, at_once=gone)
        if gone:
            Path(stream.name).unlink(missing_ok=True)
            return
        time.sleep(_POLL_SECONDS)


def main(journal: Path, root: Path, stage_pid: int) -> None:
    """Follow a journal as its only follower, without getting into anyone's way."""
    os.nice(_NICENESS)
    _release_standard_error_with(stage_pid)
    logging.basicConfig(level=logging.WARNING, format="warning: %(message)s")
    lock = journal.with_suffix(".lock")
    try:
        with FileLock(lock, timeout=0), journal.open(encoding="utf-8") as stream:
            follow(stream, root)
    except Timeout:
        return  # another follows it
    except FileNotFoundError:
        pass  # published already
    if not journal.exists():
        lock.unlink(missing_ok=True)


def _new_events(stream: TextIO) -> Iterator[dict[str, Any]]:
    """The events whose lines were completed since the last call."""
    while True:
        place = stream.tell()
        line = stream.readline()
        if not line.endswith("\n"):
            stream.seek(place)
            return
        yield json.loads(line)


def _release_standard_error_with(pid: int) -> None:
    """Let go of the standard error with the stage that lent it: whoever reads it waits for us."""

    def release() -> None:
        while psutil.pid_exists(pid):
            time.sleep(_POLL_SECONDS)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    threading.Thread(target=release, daemon=True).start()


def _exit_after(seconds: float) -> None:
    """End this process by then, although a call may wait for a server still."""
    timer = threading.Timer(seconds, os._exit, [1])
    timer.daemon = True
    timer.start()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
