"""A worker: claims trial after trial of a study and runs each, until there is none left."""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.trial import Trial, TrialState

import spikejoule
from spikejoule.core.errors import ParameterError
from spikejoule.core.provenance import computing_environment, content_digest, tree_digests
from spikejoule.core.resume import ResumeFile, is_running
from spikejoule.energy import HardwareProfile, load_profiles, select_profile
from spikejoule.engine.choice import resolve_device
from spikejoule.params import Params
from spikejoule.search.database import StudyPlace
from spikejoule.search.records import CURVE, PARAMETERS, RESULT, STOPPED_TAG, ended_trial
from spikejoule.search.settings import SYNAPTIC_EVENTS, StopSettings
from spikejoule.search.space import SearchSpace, check_trial, space_of_entries
from spikejoule.search.stopping import CurveKeeper, HopelessError, curves_of
from spikejoule.search.study import (
    SPECIFICATION,
    HandedBackError,
    explain_invalid,
    mark_handed_back,
    open_study,
    run_next,
    state_of,
)
from spikejoule.search.tally import FAILURE, LAST_WORDS, REPEATS, STOPPED
from spikejoule.search.trial import (
    SearchData,
    TrialResult,
    layer_names,
    load_data,
    run_trial,
)
from spikejoule.search.worker_arguments import WorkerArguments
from spikejoule.tracking.keeper import FAILURE_TAG
from spikejoule.tracking.search_runs import EndedTrial, SearchRun, TrialRun
from spikejoule.tracking.store import Store, in_one_line
from spikejoule.training.training import DivergedError, TrainingObserver

logger = logging.getLogger(__name__)

RESUME_FOLDER: Final = "resume"
ERROR_FILE: Final = "error.txt"
STOP_FILE: Final = "stop"

_TAKEN_OVER = "Cannot tell a "
_POLL_SECONDS = 1.0


@dataclass
class Current:
    """The trial that this process runs now, for the handler of signals."""

    study: optuna.Study | None = None
    number: int = 0


CURRENT = Current()


@dataclass
class Worker:
    """Runs trials of a study.

    Attributes:
        arguments: what it was told.
    """

    arguments: WorkerArguments
    _data: SearchData | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Open the study and read what its trials share."""
        self.place = StudyPlace(**self.arguments.place)
        self.study = open_study(self.place)
        shared = self.study.user_attrs[SPECIFICATION]
        self.space: SearchSpace = space_of_entries(shared["base"], shared["space"])
        # Of all trials: what this machine has not is no fault of the first one.
        resolve_device(shared["base"]["train"]["device"])
        self.stop = StopSettings.model_validate(shared["stop"])
        self.digests: Mapping[str, str] = shared["data"]
        self.profile: HardwareProfile | None = None
        if shared["energy"] != SYNAPTIC_EVENTS:
            profiles = load_profiles(Path(self.arguments.price_list))
            self.profile = select_profile(profiles, shared["energy"], "energy")
        # A state is nobody's who computes otherwise.
        self.code = {
            **(tree_digests([Path(spikejoule.__file__).parent]) or {}),
            **computing_environment(),
        }
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
        try:
            return run_next(self.study, self.place, self.arguments.trials, self._train)
        except (MemoryError, ParameterError) as error:
            logger.warning("a trial is given up: %s", _why_given_up(error))
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
        drawn = self.space.draw(trial)
        trial.set_user_attr(PARAMETERS, drawn)
        if self._data is None:
            paths = {name: Path(path) for name, path in self.arguments.paths.items()}
            self._data = load_data(paths, self.digests)
        try:
            params = self.space.params(drawn)
            check_trial(params, self.profile)
            names = layer_names(params, self._data)
        except ParameterError as error:
            explain_invalid(trial, str(error).splitlines()[0])
        CURRENT.study, CURRENT.number = self.study, trial.number
        try:
            return self._run(trial, number, params, names)
        finally:
            CURRENT.study = None

    def _run(
        self, trial: Trial, number: int, params: Params, names: Sequence[str]
    ) -> tuple[float, float]:
        run = TrialRun(self.search, number, params.flattened(), names)
        curve = CurveKeeper(
            params.train, params.model.weight_bits, self.stop, self._complete_curves
        )
        known_by = {"search": self.arguments.search_id, "trial": number, "code": self.code}
        key = content_digest(known_by)
        resume = ResumeFile(
            Path(self.arguments.folder) / RESUME_FOLDER, key, f"trial {number} of the search"
        )
        logger.info("trial %d: %s", number, trial.user_attrs[PARAMETERS])
        try:
            with resume:
                result = self._result(params, (run, curve), resume)
        except (DivergedError, HopelessError) as reason:
            trial.set_user_attr(STOPPED, str(reason))
            run.end(EndedTrial("FINISHED", tags={STOPPED_TAG: str(reason)}))
            raise optuna.TrialPruned(str(reason)) from reason
        except (MemoryError, ParameterError) as error:
            trial.set_user_attr(FAILURE, _why_given_up(error))
            run.end(EndedTrial("FAILED", tags={FAILURE_TAG: _why_given_up(error)}))
            raise
        except BaseException as error:
            said = in_one_line(error)
            if isinstance(error, HandedBackError | KeyboardInterrupt):
                mark_handed_back(self.study, trial._trial_id)
            elif isinstance(error, Exception):
                trial.set_user_attr(LAST_WORDS, said)
            run.end(EndedTrial("KILLED", tags={FAILURE_TAG: said}))
            raise
        trial.set_user_attr(RESULT, asdict(result))
        trial.set_user_attr(CURVE, curve.curve.as_text())
        run.end(ended_trial(result))
        logger.info("trial %d: %.2f %%, %s", number, *result.objectives)
        return result.objectives

    def _result(
        self,
        params: Params,
        observers: tuple[TrainingObserver, ...],
        resume: ResumeFile,
    ) -> TrialResult:
        """Train and measure; a state is kept of what is to be run again alone."""
        assert self._data is not None
        try:
            result = run_trial(
                params,
                self._data,
                self.profile,
                self.arguments.threads,
                (*observers, _LauncherWatch(self._check_launcher)),
                resume if params.train.resume else None,
            )
        except (DivergedError, HopelessError):
            resume.done()
            raise
        resume.done()
        return result

    def _complete_curves(self) -> Any:
        trials = self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return curves_of([one.user_attrs for one in trials], CURVE)


def _why_given_up(error: MemoryError | ParameterError) -> str:
    """Why running a trial again would be in vain."""
    return f"not enough memory ({error})" if isinstance(error, MemoryError) else in_one_line(error)


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
