"""A worker: claims trial after trial of a study and runs each, until there is none left.

submitit starts it with one argument, which is JSON text, and keeps a pickle of that call in the
job's folder. Nothing comes back that way: what a trial gave is in the study.
"""

import json
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.trial import Trial, TrialState
from submitit.helpers import DelayedSubmission

from spikejoule.energy import HardwareProfile, load_profiles, select_profile
from spikejoule.foundation.errors import ParameterError, SpikejouleError
from spikejoule.foundation.files import write_text
from spikejoule.foundation.provenance import content_digest
from spikejoule.foundation.resume_files import ResumeFile
from spikejoule.learn.training import DivergedError
from spikejoule.params import Params
from spikejoule.search.settings import SYNAPTIC_EVENTS, StopSettings
from spikejoule.search.space import SearchSpace, check_energy, space_of_entries
from spikejoule.search.stopping import CurveKeeper, HopelessError, curves_of
from spikejoule.search.study import (
    SPECIFICATION,
    HandedBackError,
    StudyPlace,
    explain_invalid,
    hand_back,
    mark_handed_back,
    open_study,
    run_next,
    state_of,
)
from spikejoule.search.tally import FAILURE, REPEATS, STOPPED
from spikejoule.search.trial import (
    SearchData,
    TrialResult,
    layer_names,
    load_data,
    run_trial,
)
from spikejoule.tracking.keeper import FAILURE_TAG, is_running
from spikejoule.tracking.search_runs import EndedTrial, SearchRun, TrialRun
from spikejoule.tracking.store import Store

logger = logging.getLogger(__name__)

RESULT: Final = "result"
"""Attribute of a trial: the fields of its `TrialResult`."""

PARAMETERS: Final = "parameters"
"""Attribute of a trial: what was drawn, by full key, as it was used."""

CURVE: Final = "curve"
"""Attribute of a trial: its `Curve` as text."""

STOPPED_TAG: Final = "spikejoule.stopped"
RESUME_FOLDER: Final = "resume"
ERROR_FILE: Final = "error.txt"
STOP_FILE: Final = "stop"

_TAKEN_OVER = "Cannot tell a "
_HAND_BACK_SECONDS = 5.0
_POLL_SECONDS = 1.0


@dataclass(frozen=True)
class WorkerArguments:
    """All that a worker is told; plain values.

    Attributes:
        place: fields of the `StudyPlace`.
        trials: how many the study is to have.
        folder: of the search, for states of trials and messages of workers.
        paths: of the artifacts, by name, absolute.
        price_list: the file of hardware profiles.
        threads: CPU threads of each worker.
        store: fields of the MLflow `Store`, as text.
        search_id, run_id: of the search, and MLflow's of its run.
        launcher: number and start of the process without which the worker ends; None for a worker
            that is on its own.
    """

    place: Mapping[str, Any]
    trials: int
    folder: str
    paths: Mapping[str, str]
    price_list: str
    threads: int
    store: Mapping[str, Any]
    search_id: str
    run_id: str
    launcher: tuple[int, float] | None = None

    def as_text(self) -> str:
        """JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def of_text(cls, text: str) -> "WorkerArguments":
        """The arguments of `as_text`."""
        values = json.loads(text)
        launcher = values.pop("launcher")
        return cls(**values, launcher=None if launcher is None else tuple(launcher))


@dataclass
class _Current:
    """The trial that this process runs now, for the handler of signals."""

    study: optuna.Study | None = None
    number: int = 0


_CURRENT = _Current()


def work(text: str) -> None:
    """Run trials until none is left; `text` is that of `WorkerArguments`.

    A SpikejouleError, after which no other worker could do better, is left in the folder of the
    search for its launcher.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    arguments = WorkerArguments.of_text(text)
    try:
        Worker(arguments).run()
    except HandedBackError as reason:
        logger.info("%s", reason)
    except SpikejouleError as error:
        write_text(Path(arguments.folder) / ERROR_FILE, f"{error}\n")
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


def checkpoint(text: str) -> DelayedSubmission:
    """What submitit calls when the job is about to be preempted, or its time is up.

    The trial goes back into the queue at once; the job, queued again, takes up what is there.
    """
    # In a thread: this one may be in the middle of a conversation with the database.
    thread = threading.Thread(target=_hand_back_current, daemon=True)
    thread.start()
    thread.join(_HAND_BACK_SECONDS)
    return DelayedSubmission(work, text)


work.checkpoint = checkpoint  # type: ignore[attr-defined]


def _hand_back_current() -> None:
    if _CURRENT.study is not None:
        hand_back(_CURRENT.study, _CURRENT.number)


@dataclass
class Worker:
    """Runs trials of a study.

    Attributes:
        arguments: what it was told.
        objective: in place of the training, for tests; None for the training.
    """

    arguments: WorkerArguments
    objective: Callable[[Trial], tuple[float, float]] | None = None
    _data: SearchData | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Open the study and read what its trials share."""
        self.place = StudyPlace(**self.arguments.place)
        self.study = open_study(self.place)
        shared = self.study.user_attrs[SPECIFICATION]
        self.space: SearchSpace = space_of_entries(shared["base"], shared["space"])
        self.stop = StopSettings.model_validate(shared["stop"])
        self.digests: Mapping[str, str] = shared["data"]
        self.profile: HardwareProfile | None = None
        if shared["energy"] != SYNAPTIC_EVENTS:
            profiles = load_profiles(Path(self.arguments.price_list))
            self.profile = select_profile(profiles, shared["energy"], "energy")
        store = {**self.arguments.store, "lock_path": Path(self.arguments.store["lock_path"])}
        self.search = SearchRun(
            Store(**store), self.arguments.search_id, self.place.name, self.arguments.run_id
        )

    def run(self) -> None:
        """Until nothing is left, or nothing has come back for as long as a dead worker's would."""
        patience = 6.0 * self.place.heartbeat_seconds
        idle_since = time.monotonic()
        while True:
            self._check_launcher()
            if self._run_one():
                idle_since = time.monotonic()
                continue
            state = state_of(self.study, self.place)
            if not state.running or time.monotonic() > idle_since + patience:
                return
            time.sleep(_POLL_SECONDS)

    def _run_one(self) -> bool:
        objective = self.objective or self._train
        try:
            return run_next(self.study, self.place, self.arguments.trials, objective)
        except MemoryError as error:
            logger.warning("a trial is given up: not enough memory (%s)", error)
        except ValueError as error:
            # Of a machine that was asleep for longer than a worker may be silent.
            if not str(error).startswith(_TAKEN_OVER):
                raise
            logger.warning("another worker has taken over the trial of this one")
        return True

    def _check_launcher(self) -> None:
        launcher = self.arguments.launcher
        if launcher is not None and not is_running(*launcher):
            raise HandedBackError("the launcher is gone, and this worker goes, too")
        if launcher is not None and (Path(self.arguments.folder) / STOP_FILE).exists():
            raise HandedBackError("the launcher stops, and this worker, too")

    def _train(self, trial: Trial) -> tuple[float, float]:
        number = int(trial.user_attrs.get(REPEATS, trial.number))
        trial.set_user_attr("worker", f"{socket.gethostname()} {os.getpid()}")
        drawn = self.space.draw(trial)
        trial.set_user_attr(PARAMETERS, drawn)
        try:
            params = self.space.params(drawn)
            check_energy(params, self.profile)
        except ParameterError as error:
            explain_invalid(trial, str(error).splitlines()[0])
        _CURRENT.study, _CURRENT.number = self.study, trial.number
        try:
            return self._run(trial, number, params)
        finally:
            _CURRENT.study = None

    def _run(self, trial: Trial, number: int, params: Params) -> tuple[float, float]:
        if self._data is None:
            paths = {name: Path(path) for name, path in self.arguments.paths.items()}
            self._data = load_data(paths, self.digests)
        run = TrialRun(self.search, number, params.flattened(), layer_names(params, self._data))
        curve = CurveKeeper(
            params.train, params.model.weight_bits, self.stop, lambda: self._complete_curves()
        )
        key = content_digest({"search": self.arguments.search_id, "trial": number})
        resume = ResumeFile(
            Path(self.arguments.folder) / RESUME_FOLDER, key, f"trial {number} of the search"
        )
        logger.info("trial %d: %s", number, trial.user_attrs[PARAMETERS])
        try:
            with resume:
                observers = (run, curve, _LauncherWatch(self._check_launcher))
                result = run_trial(
                    params, self._data, self.profile, self.arguments.threads, observers, resume
                )
                trial.set_user_attr(RESULT, asdict(result))
                trial.set_user_attr(CURVE, curve.curve.as_text())
                resume.done()
        except (DivergedError, HopelessError) as reason:
            trial.set_user_attr(STOPPED, str(reason))
            resume.done()
            run.end(EndedTrial("FINISHED", tags={STOPPED_TAG: str(reason)}))
            raise optuna.TrialPruned(str(reason)) from reason
        except MemoryError as error:
            reason_text = f"not enough memory ({error})"
            trial.set_user_attr(FAILURE, reason_text)
            run.end(EndedTrial("FAILED", tags={FAILURE_TAG: reason_text}))
            raise
        except BaseException as error:
            if isinstance(error, HandedBackError | KeyboardInterrupt):
                mark_handed_back(self.study, trial._trial_id)
            run.end(EndedTrial("KILLED", tags={FAILURE_TAG: str(error) or type(error).__name__}))
            raise
        run.end(ended_trial(result))
        logger.info("trial %d: %.2f %%, %s", number, *result.objectives)
        return result.objectives

    def _complete_curves(self) -> Any:
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return curves_of([one.user_attrs for one in trials], CURVE)


def ended_trial(result: TrialResult) -> EndedTrial:
    """A trial that was trained to its end, as its run has it."""
    values = {name: value for name, value in asdict(result).items() if value is not None}
    digest = str(values.pop("trained_sha256"))
    metrics = {name: float(value) for name, value in values.items()}
    return EndedTrial("FINISHED", metrics, {"spikejoule.trained_sha256": digest})


class _LauncherWatch:
    """An observer that ends a training when the launcher is gone."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check

    def on_batch(self, epoch: int, samples: int, outcome: object) -> None:
        """After each step: nothing to do."""

    def on_resume(self, history: object, seconds: object) -> None:
        """Before a training that goes on: nothing to do."""

    def on_epoch(self, record: object, seconds: float) -> None:
        """After each epoch; raises HandedBackError."""
        self._check()
