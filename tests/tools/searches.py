"""Searches that are started, watched and disturbed, as tests do it and `search_kills`."""

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from optuna.trial import TrialState

from spikejoule.search.database import StudyPlace
from spikejoule.search.study import KEEPER, close_study, open_study, state_of
from spikejoule.search.tally import Tally, root_number
from spikejoule.tracking.keeper import PROCESS_TAG
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

    def start(self, *options: str, **variables: str) -> subprocess.Popen[str]:
        """Start `spikejoule search`."""
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "spikejoule.cli", "search"),
                *("--storage", self.storage, "--table", "metrics/search.csv"),
                *("--figure", "figures/search.png", *options),
            ],
            cwd=self.folder,
            env={**self.environment, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.processes.append(process)
        return process

    def said_by(
        self, process: subprocess.Popen[str], status: int = 0, seconds: float = SECONDS
    ) -> str:
        """All that a search said, when it has ended."""
        said, _ = process.communicate(timeout=seconds)
        assert process.returncode == status, said
        return said

    @property
    def place(self) -> StudyPlace:
        return StudyPlace(self.storage, self.study)

    def state(self) -> Tally:
        """What became of the trials so far; of none before there is a study."""
        try:
            study = open_study(self.place)
        except Exception:  # tables in the making
            return Tally()
        try:
            return state_of(study, self.place)
        finally:
            close_study(study)

    def failed(self) -> list[Any]:
        """Optuna's trials that were not brought to an end."""
        study = open_study(self.place)
        try:
            return [trial for trial in study.trials if trial.state == TrialState.FAIL]
        finally:
            close_study(study)

    def wait_for(self, what: Callable[[Tally], Any], process: subprocess.Popen[str]) -> Any:
        """What a function makes of the state, as soon as that is something."""
        deadline = time.monotonic() + SECONDS
        while not (found := what(self.state())):
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline, self.state()
            time.sleep(0.2)
        return found

    def epochs_kept(self) -> bool:
        """Whether a trial has kept a state from which it can go on."""
        return any((self.folder / ".cache/search" / self.study / "resume").glob("*.npz"))

    def runs(self) -> tuple[Any, list[Any]]:
        """The run of the search, and those of its trials."""
        client = self.client()
        (experiment,) = client.search_experiments(filter_string="name = 'spikejoule-search'")
        runs = client.search_runs([experiment.experiment_id])
        (parent,) = (run for run in runs if run.data.tags[TRIAL_TAG] == "all")
        children = [run for run in runs if run is not parent]
        assert {run.data.tags[PARENT_TAG] for run in children} <= {parent.info.run_id}
        return parent, children

    def client(self) -> MlflowClient:
        return MlflowClient(tracking_uri=f"sqlite:///{self.folder}/mlflow.db")

    def check(self, trials: int, all_complete: bool = True) -> None:
        """There are exactly so many trials, each with one finished run and each epoch once.

        `all_complete`: none may have been stopped as hopeless.
        """
        state = self.state()
        ended = state.complete + state.stopped
        assert len(ended) == state.begun == trials
        assert not (all_complete and state.stopped)
        parent, children = self.runs()
        assert parent.info.status == "FINISHED"
        assert Counter(run.info.status for run in children) == {"FINISHED": trials}
        by_number = {int(run.data.tags[TRIAL_TAG]): run.info.run_id for run in children}
        assert sorted(by_number) == sorted(root_number(trial) for trial in ended)
        whole = {root_number(trial) for trial in state.complete}
        client = self.client()
        for number, run_id in by_number.items():
            points = client.get_metric_history(run_id, "by_epoch/validation_accuracy_percent")
            steps = [point.step for point in points]
            assert steps == list(range(1, len(steps) + 1))
            assert number not in whole or len(steps) == self.epochs

    def pid_of(self, trial: Any) -> int | None:
        """The process that runs a trial, once it is training."""
        keeper = trial.user_attrs.get(KEEPER)
        return int(keeper[PROCESS_TAG].split()[0]) if keeper else None
