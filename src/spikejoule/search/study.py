"""The study that all workers of a search share: its database, and who runs which trial.

Trials are claimed one at a time, under a lock that is the database's own, or of a file beside it:
only so are there exactly as many as were asked for, whatever number of workers there is.
"""

import hashlib
import uuid
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any, Final

import optuna
from optuna.exceptions import ExperimentalWarning
from optuna.storages import fail_stale_trials
from optuna.trial import Trial, TrialState, create_trial

from spikejoule.core.errors import ParameterError
from spikejoule.search.database import StudyPlace, claims, database_errors, storage_of
from spikejoule.search.tally import HANDED_BACK, INVALID, REPEATS, Tally, root_number, tally
from spikejoule.tracking.keeper import is_abandoned, keeper_tags
from spikejoule.tracking.lock import flat
from spikejoule.tracking.store import without_passwords

SPECIFICATION: Final = "spikejoule"
"""Attribute of a study: what its trials share, as plain values."""

KEEPER: Final = "keeper"
"""Attribute of a trial: which process runs it, as the tags of `tracking.keeper`."""

OBJECTIVES: Final = ("validation_accuracy_percent", "energy_per_inference")

_IDENTITY = "identity"
_ANOTHER_NAME = "give this search another name (`study` in search.yaml, or --study)"
# It says each value of each trial in a line, and each draw that TPE makes at random.
optuna.logging.set_verbosity(optuna.logging.WARNING)


class HandedBackError(Exception):
    """The worker must go: its trial is run again by another, or by itself when it is back."""


def create_study(place: StudyPlace, specification: Mapping[str, Any]) -> tuple[optuna.Study, str]:
    """The study and its identity, made if there is none; before any worker, as they would race.

    Raises ParameterError if it was begun with another specification, StoreError if the database
    cannot be used.
    """
    storage = storage_of(place, create=True)
    with database_errors(place), claims(place):
        study = optuna.create_study(
            storage=storage,
            study_name=place.name,
            directions=["maximize", "minimize"],
            load_if_exists=True,
        )
        found = study.user_attrs.get(SPECIFICATION)
        if found is None and study.get_trials(deepcopy=False):
            raise ParameterError(
                f"the study {place.name} in {without_passwords(place.storage)} is none of "
                f"`spikejoule search`: {_ANOTHER_NAME}"
            )
        if found is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ExperimentalWarning)
                study.set_metric_names(list(OBJECTIVES))
            study.set_user_attr(_IDENTITY, uuid.uuid4().hex)
            study.set_user_attr(SPECIFICATION, found := dict(specification))
        identity = str(study.user_attrs[_IDENTITY])
    then, now = flat(found), flat(specification)
    # `base` holds the sections of params.yaml with what search.yaml has under `fixed`.
    differing = sorted(
        name.removeprefix("base.")
        for name in then.keys() | now.keys()
        if name not in then or name not in now or then[name] != now[name]
    )
    if differing:
        raise ParameterError(
            f"the study {place.name} in {without_passwords(place.storage)} was begun with other "
            f"{', '.join(differing)}: restore them, or {_ANOTHER_NAME}"
        )
    return study, identity


def open_study(place: StudyPlace) -> optuna.Study:
    """A study that exists."""
    with database_errors(place):
        return optuna.load_study(study_name=place.name, storage=storage_of(place, create=False))


def close_study(study: optuna.Study) -> None:
    """Let go of the database."""
    storage: Any = study._storage
    storage.remove_session()
    getattr(storage, "_backend", storage).engine.dispose()


def state_of(study: optuna.Study, place: StudyPlace) -> Tally:
    """What became of the trials so far."""
    with database_errors(place):
        return tally(study.get_trials(deepcopy=False), place.retries)


def run_next(
    study: optuna.Study,
    place: StudyPlace,
    trials: int,
    objective: Callable[[Trial], tuple[float, float]],
) -> bool:
    """Claim a trial and run it: one that is to be run again, or the next of `trials`.

    Whatever the objective raises but TrialPruned leaves the trial to be run again, and is raised
    here. Returns whether there was one to run.
    """
    with ExitStack() as claiming:
        claiming.enter_context(claims(place))
        if not _is_one_left(study, place, trials):
            return False
        number = len(study.get_trials(deepcopy=False))
        # By the trial, so that one worker alone draws the same again; independent, as parameters
        # depend on the kinds that are chosen.
        study.sampler = optuna.samplers.TPESampler(seed=_seed(place.name, number))

        def claimed(trial: Trial) -> tuple[float, float]:
            # Before others may claim: a trial that nobody has signed is of a worker that died here.
            study._storage.record_heartbeat(trial._trial_id)  # type: ignore[attr-defined]
            trial.set_user_attr(KEEPER, keeper_tags())
            claiming.close()
            return objective(trial)

        study.optimize(claimed, n_trials=1)
    return True


def hand_back(study: optuna.Study, number: int) -> None:
    """Leave a running trial to be run again, without counting that as a kill."""
    trial = next(one for one in study.get_trials(deepcopy=False) if one.number == number)
    mark_handed_back(study, trial._trial_id)
    study.tell(number, state=TrialState.FAIL)


def mark_handed_back(study: optuna.Study, trial_id: int) -> None:
    """Say of a running trial that its failure is no kill."""
    study._storage.set_trial_user_attr(trial_id, HANDED_BACK, True)


def _is_one_left(study: optuna.Study, place: StudyPlace, trials: int) -> bool:
    """See to it that what is to be run again waits, and say whether there is anything to run."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        fail_stale_trials(study)
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        # A dead process of this machine is known at once, without waiting for its heartbeat. One
        # that died while it claimed the trial has none.
        keeper = trial.user_attrs.get(KEEPER)
        if keeper is None or is_abandoned(keeper):
            with suppress(optuna.exceptions.UpdateFinishedTrialError):
                study._storage.set_trial_state_values(trial._trial_id, TrialState.FAIL)
    state = tally(study.get_trials(deepcopy=False), place.retries)
    for lost in state.lost:
        study.add_trial(
            create_trial(
                state=TrialState.WAITING,
                params=lost.params,
                distributions=lost.distributions,
                user_attrs={REPEATS: root_number(lost)},
            )
        )
    return bool(state.lost or state.waiting) or state.begun < trials


def _seed(name: str, number: int) -> int:
    digest = hashlib.sha256(f"{name} {number}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def explain_invalid(trial: Trial, reason: str) -> None:
    """Say of a trial that its combination is not allowed, to the sampler, too, and end it."""
    trial.set_user_attr(INVALID, reason)
    trial.set_constraint("allowed", 1.0)
    raise optuna.TrialPruned(reason)
