"""`spikejoule search` as processes that tests start, watch and kill."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from spikejoule.search.attributes import number_of
from spikejoule.search.study import FoundTrials, by_state

SECONDS_OF_A_SEARCH = 3600


@dataclass
class Search:
    """Searches in a project.

    Attributes:
        folder: the project.
        environment: environment of every command.
        study: name of the study in search.yaml.
        storage: URL of the study's database.
        processes: the launchers.
    """

    folder: Path
    environment: Mapping[str, str]
    study: str
    storage: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start `spikejoule search` in its own session."""
        process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("spikejoule")), "search"),
                *("--storage", self.storage, "--table", "metrics/search.csv"),
                *options,
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
        """Kill all processes of the searches."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def output_of(self, process: subprocess.Popen[str], status: int = 0) -> str:
        """Wait for a search and return its output."""
        printed, _ = process.communicate(timeout=SECONDS_OF_A_SEARCH)
        assert process.returncode == status, printed
        return printed

    def trials(self) -> list[FrozenTrial]:
        """Return Optuna's trials so far; none before the study exists."""
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

    def wait_for(
        self, what: Callable[[FoundTrials], Any], process: subprocess.Popen[str]
    ) -> Any:
        """Call a function with the trials by state until it returns something true."""
        while not (result := what(by_state(self.trials()))):
            assert process.poll() is None, process.communicate()
            time.sleep(0.3)
        return result

    def wait_for_a_state(self, process: subprocess.Popen[str]) -> None:
        """Wait until a trial has saved a state, without a look into the database.

        Optuna leaves connections open if the study's tables do not exist yet.
        """
        while not self.states_kept():
            assert process.poll() is None, process.communicate()
            time.sleep(0.3)

    def states_kept(self) -> bool:
        """Whether a trial has saved a state to resume from."""
        return any(
            (self.folder / ".cache/search" / self.study / "resume").glob("*.npz")
        )

    def workers(self) -> list[int]:
        """Find the worker processes: submitit gives each a controller process."""
        with suppress(psutil.NoSuchProcess):
            return [
                child.pid
                for process in self.processes
                if process.poll() is None
                for controller in psutil.Process(process.pid).children()
                for child in controller.children()
            ]
        return []

    def check(self, trials: int, workers: int) -> None:
        """Assert that each trial ended once.

        Parallel workers may run up to one trial more for each further worker.
        """
        state = by_state(self.trials())
        ended = state.pop(TrialState.COMPLETE)
        assert trials <= len(ended) <= trials + workers - 1
        assert not any(state.values())
        assert len({number_of(trial) for trial in ended}) == len(ended)
