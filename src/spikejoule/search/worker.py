"""A worker: a job of submitit's that runs trial after trial of a study, until there are enough."""

import logging
import signal
import socket
import sys
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState
from submitit import JobEnvironment
from submitit.helpers import Checkpointable

import spikejoule
from spikejoule.core.errors import ParameterError, SpikejouleError
from spikejoule.core.provenance import computing_environment, content_digest, tree_digests
from spikejoule.core.resume import ResumeFile
from spikejoule.energy import load_profiles, select_profile
from spikejoule.engine.choice import resolve_device
from spikejoule.search.settings import SYNAPTIC_EVENTS, StopSettings
from spikejoule.search.space import check_trial
from spikejoule.search.study import (
    ENDED,
    JOB,
    NUMBER,
    Search,
    number_of,
    open_study,
    run_again,
    settled,
)
from spikejoule.search.trial import (
    HopelessError,
    StopRule,
    architecture_of,
    load_data,
    run_trial,
)
from spikejoule.tracking.search_runs import EndedTrial, TrialRun
from spikejoule.tracking.store import in_one_line
from spikejoule.training.training import DivergedError

logger = logging.getLogger(__name__)

CURVE: Final = "curve"
"""Attribute of a trial: the curve of its `StopRule`."""


class Work(Checkpointable):
    """What submitit calls, and calls again where the job is preempted or its time is up.

    Its argument is JSON, and nothing comes back: what a trial gave is in the study.
    """

    def __call__(self, text: str) -> None:
        """Run trials; a SpikejouleError is the last line of the standard error."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the launcher
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        search = Search.model_validate_json(text)
        try:
            run_trials(search, job_name(search.cluster, JobEnvironment().job_id))
        except SpikejouleError as error:
            print(f"error: {error}", file=sys.stderr)  # noqa: T201
            sys.exit(1)


def job_name(cluster: str, job_id: str) -> str:
    """A name for a job that no other has: a local one's is the number of a process."""
    return f"{socket.gethostname() if cluster == 'local' else cluster} {job_id}"


def run_trials(search: Search, job: str) -> None:
    """Run trials of a study until it has as many as it should, under the name of a job."""
    study = open_study(search)
    run_again(study, [job], None)  # that which this job ran when it was preempted
    objective = Objective(search, study, job)

    def stop_with_enough(study: optuna.Study, trial: FrozenTrial) -> None:
        # As Optuna's MaxTrialsCallback, which would count combinations that are not allowed, too.
        if settled(study) >= search.trials:
            study.stop()

    while True:
        try:
            study.optimize(objective, callbacks=[stop_with_enough])
            return
        except ValueError as error:
            # Of a machine that was asleep for longer than a worker may be silent.
            if not str(error).startswith("Cannot tell a "):
                raise
            logger.warning("another worker has taken over the trial of this one")


class Objective:
    """Runs one trial after the other.

    Args:
        search: what is searched.
        study: the trials.
        job: the name of the worker's job.

    Raises:
        ParameterError, ArtifactError: the machine lacks what every trial needs.
    """

    def __init__(self, search: Search, study: optuna.Study, job: str) -> None:
        self._search, self._study, self._job = search, study, job
        shared = search.specification
        resolve_device(shared["base"]["train"]["device"])
        self._stop = StopSettings.model_validate(shared["stop"])
        self._profile = None
        if shared["energy"] != SYNAPTIC_EVENTS:
            profiles = load_profiles(search.price_list)
            self._profile = select_profile(profiles, shared["energy"], "energy")
        self._data = load_data(search.paths, shared["data"])
        # Code that computes otherwise must not resume from a state.
        self._code = {
            **(tree_digests([Path(spikejoule.__file__).parent]) or {}),
            **computing_environment(),
        }

    def __call__(self, trial: Trial) -> tuple[float, float]:
        """Accuracy and energy; raises TrialPruned for a trial that comes to neither."""
        search, number = self._search, number_of(trial)
        trial.set_user_attr(NUMBER, number)
        trial.set_user_attr(JOB, [self._job, trial.number])
        # By the trial, so that one worker alone draws the same again. Parameters are independent of
        # each other: which there are depends on the kinds that are drawn.
        seed = zlib.crc32(f"{search.study} {number}".encode())
        self._study.sampler = optuna.samplers.TPESampler(seed=seed)
        drawn = search.space.draw(trial)
        try:
            params = search.space.params(drawn)
            check_trial(params, self._profile)
            names = architecture_of(params, self._data).layer_names
        except ParameterError as error:
            trial.set_constraint("allowed", 1.0)  # the sampler learns to avoid it
            raise optuna.TrialPruned(str(error)) from error
        logger.info("trial %d: %s", number, drawn)
        run = TrialRun(search.run, number, params.flattened(), names)
        rule = StopRule(params, self._stop, self._curves)
        known_by = {"search": search.run.search_id, "trial": number, "code": self._code}
        resume = ResumeFile(
            search.folder / "resume", content_digest(known_by), f"trial {number} of the search"
        )
        with resume:
            try:
                keeper = resume if params.train.resume else None
                result = run_trial(
                    params, self._data, self._profile, search.threads, (run, rule), keeper
                )
                ended = EndedTrial.trained(asdict(result), drawn)
            except (DivergedError, HopelessError) as reason:
                ended = EndedTrial.stopped(str(reason))
            except MemoryError as error:
                ended = EndedTrial.failed(f"not enough memory ({error})")
            except ParameterError as error:
                ended = EndedTrial.failed(in_one_line(error))
            except Exception as error:
                run.end(EndedTrial.failed(in_one_line(error)))
                raise
            # Of a trial that is to be run again alone a state is kept.
            resume.done()
        trial.set_user_attr(CURVE, rule.curve)
        trial.set_user_attr(ENDED, asdict(ended))
        run.end(ended)
        logger.info("trial %d: %s %s", number, ended.status, ended.metrics or ended.tags)
        if not ended.metrics:
            raise optuna.TrialPruned(str(ended.tags))
        return result.objectives

    def _curves(self) -> Iterator[Mapping[str, Any]]:
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            yield trial.user_attrs[CURVE]
