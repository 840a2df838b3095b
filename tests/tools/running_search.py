"""`spikejoule search` as processes that a test starts, watches and disturbs."""

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

from spikejoule.search.study import FoundTrials, by_state, number_of

SECONDS_OF_A_SEARCH = 3600


@dataclass
class Search:
    """Searches in one project.

    Attributes:
        folder: of the project.
        environment: of every command.
        study: its name in search.yaml.
        storage: where the study is.
        processes: the launchers.
    """

    folder: Path
    environment: Mapping[str, str]
    study: str
    storage: str
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start `spikejoule search` in a session of its own."""
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
        """Kill what is left of all searches."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def output_of(self, process: subprocess.Popen[str], status: int = 0) -> str:
        """All that a search printed, when it has ended."""
        printed, _ = process.communicate(timeout=SECONDS_OF_A_SEARCH)
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

    def wait_for(
        self, what: Callable[[FoundTrials], Any], process: subprocess.Popen[str]
    ) -> Any:
        """What a function makes of the trials by state, as soon as that is
        something.
        """
        while not (result := what(by_state(self.trials()))):
            assert process.poll() is None, process.communicate()
            time.sleep(0.3)
        return result

    def states_kept(self) -> bool:
        """Whether a trial has kept a state from which it can resume."""
        return any(
            (self.folder / ".cache/search" / self.study / "resume").glob("*.npz")
        )

    def workers(self) -> list[int]:
        """The processes that the launchers have running trials."""
        with suppress(psutil.NoSuchProcess):
            return [
                child.pid
                for process in self.processes
                if process.poll() is None
                for child in psutil.Process(process.pid).children(recursive=True)
                if "submitit.core._submit" in child.cmdline()
            ]
        return []

    def check(self, trials: int, workers: int) -> None:
        """Each of `trials` trials ended once; workers at once may add one less than
        they are.
        """
        state = by_state(self.trials())
        ended = state.pop(TrialState.COMPLETE)
        assert trials <= len(ended) <= trials + workers - 1
        assert not any(state.values())
        assert len({number_of(trial) for trial in ended}) == len(ended)
