"""Searches that are started, watched and disturbed, as tests do it and `search_kills`."""

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psutil
from mlflow import MlflowClient
from optuna.trial import FrozenTrial, TrialState

from spikejoule.search.study import (
    FAILED,
    JOB,
    RUNNING,
    STOPPED,
    TRAINED,
    WAITING,
    by_state,
    number_of,
)
from spikejoule.tracking.search_runs import PARENT_TAG, TRIAL_TAG

SECONDS = 300
"""How long something is waited for."""


@dataclass
class Search:
    """A project, and searches in it.

    Attributes:
        folder: of the project.
        environment: of every command.
        study: its name in search.yaml.
        epochs: of a trial that is brought to its end.
        storage: where the study is; a file in the folder if it is not given.
        processes: the launchers.
    """

    folder: Path
    environment: Mapping[str, str]
    study: str
    epochs: int
    storage: str = ""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.storage = self.storage or f"sqlite:///{self.folder}/search.db"

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start `spikejoule search` in a session of its own."""
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "spikejoule.cli", "search"),
                *("--storage", self.storage, "--table", "metrics/search.csv"),
                *("--figure", "figures/search.png", *options),
            ],
            cwd=self.folder,
            env=dict(self.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def end(self) -> None:
        """Kill what is left of all searches."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def output_of(
        self, process: subprocess.Popen[str], status: int = 0, seconds: float = SECONDS
    ) -> str:
        """All that a search printed, when it has ended."""
        printed, _ = process.communicate(timeout=seconds)
        assert process.returncode == status, printed
        return printed

    def trials(self) -> list[FrozenTrial]:
        """All of Optuna's trials so far; none before there is a study."""
        try:
            storage = optuna.storages.RDBStorage(self.storage, skip_table_creation=True)
        except Exception:  # tables in the making
            return []
        try:
            return optuna.load_study(study_name=self.study, storage=storage).trials
        except KeyError:
            return []
        finally:
            storage.remove_session()
            storage.engine.dispose()

    def state(self) -> dict[str, list[FrozenTrial]]:
        """What became of them."""
        return by_state(self.trials())

    def wait_for(
        self, what: Callable[[dict[str, list[FrozenTrial]]], Any], process: subprocess.Popen[str]
    ) -> Any:
        """What a function makes of the state, as soon as that is something."""
        deadline = time.monotonic() + SECONDS
        while not (found := what(self.state())):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, self.state()
            time.sleep(0.3)
        return found

    def states_kept(self) -> bool:
        """Whether a trial has kept a state from which it can resume."""
        return any((self.folder / ".cache/search" / self.study / "resume").glob("*.npz"))

    def workers(self, state: Mapping[str, list[FrozenTrial]]) -> list[int]:
        """The processes on this machine that are training."""
        pids = []
        for trial in state[RUNNING]:
            name, _ = trial.user_attrs.get(JOB, ("", 0))
            with suppress(psutil.NoSuchProcess, ValueError):
                pids += [one.pid for one in psutil.Process(int(name.split()[-1])).children()]
        return pids

    def check(self, trials: int, workers: int, all_complete: bool = True) -> None:
        """All trials are there, each with one finished run that has each epoch once.

        Args:
            trials: so many, and at most one less than there are workers beyond.
            workers: at once.
            all_complete: none may have been stopped as hopeless.
        """
        state = self.state()
        ended = [*state[TRAINED], *state[STOPPED]]
        assert trials <= len(ended) <= trials + workers - 1
        assert not state[FAILED]
        assert not state[RUNNING]
        assert not state[WAITING]
        assert not (all_complete and state[STOPPED])
        client = MlflowClient(tracking_uri=f"sqlite:///{self.folder}/mlflow.db")
        (experiment,) = client.search_experiments(filter_string="name = 'spikejoule-search'")
        runs = client.search_runs([experiment.experiment_id])
        (parent,) = (run for run in runs if run.data.tags[TRIAL_TAG] == "all")
        assert parent.info.status == "FINISHED"
        children = {
            int(run.data.tags[TRIAL_TAG]): run.info for run in runs if PARENT_TAG in run.data.tags
        }
        assert len(children) == len(runs) - 1
        assert Counter(run.status for run in children.values()) == {"FINISHED": len(ended)}
        assert sorted(children) == sorted(number_of(trial) for trial in ended)
        for trial in ended:
            run_id = children[number_of(trial)].run_id
            points = client.get_metric_history(run_id, "by_epoch/validation_accuracy_percent")
            steps = [point.step for point in points]
            assert steps == list(range(1, len(steps) + 1))
            assert trial.state != TrialState.COMPLETE or len(steps) == self.epochs
