"""The study that all workers of a search share: its database, and what has become of
its trials.

A worker that was killed is found by Optuna's heartbeat, wherever it ran. Its trial is
enqueued again with the same parameters, and keeps the number by which it is known.
"""

import math
import time
import warnings
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import (
    RDBStorage,
    RetryHeartbeatStaleTrialCallback,
    fail_stale_trials,
)
from optuna.trial import FrozenTrial, Trial, TrialState

import spikejoule
from spikejoule.core import provenance
from spikejoule.core.errors import ArtifactError, ParameterError, memory_errors
from spikejoule.core.resume import ResumeFile
from spikejoule.data.images import DataDescription, load_samples
from spikejoule.engine.choice import resolve_device
from spikejoule.params import Params
from spikejoule.search.space import Search
from spikejoule.search.trial import SearchData, run_trial
from spikejoule.tracking.store import in_one_line, shown_uri, store_errors

SPECIFICATION: Final = "spikejoule.search/4"
"""Attribute of a study: what its trials share, as plain values. Earlier versions had
others.
"""

NUMBER: Final = "number"
"""Attribute of a trial: the number by which the search knows it, however often it is
run again.
"""

ENDED: Final = "ended"
"""Attribute of a trial: its whole `parameters`, by full key, the `processor_seconds`
that it took, and what it came to: `metrics` and `trained_sha256` (`trial.run_trial`),
or else the `reason`."""

_DIRECTIONS: Final = ("maximize", "minimize")
_BUSY_SECONDS = 60
_MISSED_BEATS = 4
_WAIT_SECONDS = 1.0

# It logs each value of each trial, and each draw that TPE makes at random.
optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.filterwarnings("ignore", category=ExperimentalWarning)


TRAINED, GIVEN_UP = TrialState.COMPLETE, TrialState.PRUNED
FoundTrials = dict[TrialState, list[FrozenTrial]]
"""The trials of a search by what has become of them; those that wait are to be run
again.
"""


def open_study(search: Search) -> optuna.Study:
    """The study, made if there is none.

    Raises ParameterError if it was begun with another specification, or cannot be kept
    there by several workers, and StoreError if the database cannot be used.
    """
    name = search.settings.study
    specification = search.specification
    arguments: dict[str, Any] = {"pool_pre_ping": True}
    if search.storage.startswith("sqlite:"):
        arguments = {"connect_args": {"timeout": _BUSY_SECONDS}}
    with database_errors(search):
        storage = RDBStorage(
            search.storage,
            engine_kwargs=arguments,
            heartbeat_interval=search.heartbeat,
            grace_period=_MISSED_BEATS * search.heartbeat,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(
                search.retries
            ),
        )
        study = optuna.create_study(
            storage=storage,
            study_name=name,
            directions=_DIRECTIONS,
            load_if_exists=True,
        )
        if SPECIFICATION not in study.user_attrs and not study.get_trials(
            deepcopy=False
        ):
            study.set_user_attr(SPECIFICATION, specification)
        begun = study.user_attrs.get(SPECIFICATION, {})
    differing = sorted(
        key
        for key in {*begun, *specification}
        if begun.get(key) != specification.get(key)
    )
    if differing:
        other = ", ".join(differing) if begun else "versions of `spikejoule search`"
        raise ParameterError(
            f"the study {name} in {shown_uri(search.storage)} was begun with other "
            f"{other}: "
            "restore them, or give this search another name (`study` in "
            "search.yaml, or --study)"
        )
    return study


def random_trials(number: int) -> list[Trial]:
    """Trials that draw at random, always the same, and of no study that is kept."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [study.ask() for _ in range(number)]


def database_errors(search: Search) -> AbstractContextManager[None]:
    """Turns what the database answers into a StoreError of one sentence, without its
    password.
    """
    return store_errors(
        f"the study's database {shown_uri(search.storage)} cannot be used"
    )


def number_of(trial: FrozenTrial | optuna.Trial) -> int:
    """The number by which the search knows a trial: that of its first attempt."""
    return int(trial.user_attrs.get(NUMBER, trial.number))


def by_state(trials: Iterable[FrozenTrial]) -> FoundTrials:
    """Optuna's trials by what has become of them.

    No trials of the search are those that were killed and are run again as others,
    which Optuna has failed, and what has no number: combinations that are not allowed,
    and what has not drawn yet, perhaps since its worker was killed.
    """
    states: FoundTrials = {
        state: [] for state in TrialState if state != TrialState.FAIL
    }
    for trial in trials:
        if trial.state in states and NUMBER in trial.user_attrs:
            states[trial.state].append(trial)
    return states


def left_of(search: Search, states: FoundTrials) -> int:
    """How many trials are still to come, those that are begun included."""
    over = [*states[TRAINED], *states[GIVEN_UP]]
    begun = len(states[TrialState.RUNNING]) + len(states[TrialState.WAITING])
    minutes = sum(trial.user_attrs[ENDED]["processor_seconds"] for trial in over) / 60
    if minutes >= (search.settings.processor_minutes or math.inf):
        return begun
    return max(search.settings.trials - len(over), begun)


def run_trials(search: Search) -> None:
    """Run trials of a study until it has as many as it should.

    Once so many are begun, those that others run are waited for: one may have to be run
    again.

    Raises ParameterError or ArtifactError if the machine lacks what every trial needs.
    """
    study = open_study(search)
    objective = Objective(search, study)
    while left := left_of(search, states := by_state(study.get_trials(deepcopy=False))):
        if states[TrialState.WAITING] or left > len(states[TrialState.RUNNING]):
            study.optimize(objective, n_trials=1)
        else:
            time.sleep(_WAIT_SECONDS)
            fail_stale_trials(study)


class Objective:
    """Runs one trial after the other.

    Args:
        search: what is searched.
        study: the trials.
    """

    def __init__(self, search: Search, study: optuna.Study) -> None:
        self._search = search
        self._study = study
        resolve_device(search.space.base["train"]["device"])
        self._data = load_data(search)
        # Code that computes otherwise must not resume from a state.
        own_code = provenance.tree_digests([Path(spikejoule.__file__).parent])
        self._code = {**(own_code or {}), **provenance.computing_environment()}

    def __call__(self, trial: Trial) -> tuple[float, float]:
        """Accuracy and energy; raises TrialPruned for a trial that comes to neither."""
        number = number_of(trial)
        # Optuna's thread does so later: a trial that is killed before has no heartbeat
        # to miss.
        self._study._storage.record_heartbeat(trial._trial_id)
        # By the trial, so that one worker alone draws the same again.
        self._study.sampler = optuna.samplers.TPESampler(seed=number)
        try:
            params = self._search.space.params(self._search.space.draw(trial))
        except ParameterError as error:
            trial.set_constraint("allowed", 1.0)  # the sampler learns to avoid it
            raise optuna.TrialPruned(str(error)) from error
        trial.set_user_attr(NUMBER, number)
        ended = self._ended(number, params)
        trial.set_user_attr(ENDED, {"parameters": params.flattened(), **ended})
        if "reason" in ended:
            raise optuna.TrialPruned(ended["reason"])
        metrics = ended["metrics"]
        return metrics["validation_accuracy_percent"], metrics[
            "energy_nj_per_inference"
        ]

    def _ended(self, number: int, params: Params) -> dict[str, Any]:
        """What a trial comes to, from where a killed worker has left off."""
        search = self._search
        began = time.process_time()
        own = {
            "trial": number,
            "parameters": params.deciding(),
            "side": search.space.side,
        }
        key = provenance.content_digest(
            {**own, "data": search.data, "code": self._code}
        )
        with ResumeFile(
            search.folder / "resume", key, f"trial {number} of the search"
        ) as resume:
            try:
                store = resume if params.train.resume else None
                with memory_errors():
                    metrics, digest = run_trial(params, self._data, search, store)
                ended: dict[str, Any] = {"metrics": metrics, "trained_sha256": digest}
            except (MemoryError, ParameterError) as error:
                ended = {"reason": in_one_line(error)}
            # Of a trial that is to be run again alone a state is kept.
            resume.done()
        return {**ended, "processor_seconds": time.process_time() - began}


def load_data(search: Search) -> SearchData:
    """Read the samples; ArtifactError if they are not those that the search was begun
    with.
    """
    for name, digest in search.data.items():
        if provenance.file_digest(search.paths[name], "sha256") != digest:
            raise ArtifactError(
                f"{search.paths[name]} is not the file that the search was begun "
                "with: run `dvc "
                "repro prepare` with its parameters, or begin another search."
            )
    return SearchData(
        load_samples(search.paths["train"]),
        load_samples(search.paths["validation"]),
        DataDescription.read(search.paths["data_metrics"]),
    )
