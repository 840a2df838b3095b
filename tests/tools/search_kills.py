"""Kill a search's workers at random moments: every trial ends, once, and the front is repeatable.

    python -m tests.tools.search_kills --trials 40 --kills 5 --points 3

The search of search.yaml on the 5,000 digits, by two workers in a fresh clone. One of them is
killed with -9 in the middle of a trial, again and again. Then some points of the front are repeated
by the `dvc exp run` that the search gives for each, one after the other in one workspace, where
each command leaves its parameters: the weights must be the same to the byte.
"""

import argparse
import os
import random
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import optuna
import psutil
import yaml
from optuna.trial import FrozenTrial, TrialState

from spikejoule.core.provenance import file_digest
from spikejoule.core.store import read_csv
from spikejoule.search.study import FoundTrials, by_state, number_of
from tests.tools.pipeline_tools import (
    REPOSITORY,
    artifact_paths,
    clean_environment,
    clone_of_working_tree,
    dvc,
)

# How long a search may take.
SECONDS = 3600
# From one kill to the next.
MOST_SECONDS = 20.0


@dataclass
class Search:
    """A project, and searches in it that are started, watched and disturbed.

    Attributes:
        folder: of the project.
        environment: of every command.
        study: its name in search.yaml.
        storage: where the study is; a file in the folder if it is not given.
        processes: the launchers.
    """

    folder: Path
    environment: Mapping[str, str]
    study: str
    storage: str = ""
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.storage = self.storage or f"sqlite:///{self.folder}/search.db"

    def start(self, *options: str) -> subprocess.Popen[str]:
        """Start `spikejoule search` in a session of its own."""
        process = subprocess.Popen(
            [
                *(str(Path(sys.executable).with_name("spikejoule")), "search"),
                *("--storage", self.storage, "--table", "metrics/search.csv"),
                *("--heartbeat", "5", *options),
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
        printed, _ = process.communicate(timeout=SECONDS)
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

    def wait_for(self, what: Callable[[FoundTrials], Any], process: subprocess.Popen[str]) -> Any:
        """What a function makes of the trials by state, as soon as that is something."""
        while not (found := what(by_state(self.trials()))):
            assert process.poll() is None, process.communicate()
            time.sleep(0.3)
        return found

    def states_kept(self) -> bool:
        """Whether a trial has kept a state from which it can resume."""
        return any((self.folder / ".cache/search" / self.study / "resume").glob("*.npz"))

    def workers(self) -> list[int]:
        """The processes that the launchers have running trials."""
        with suppress(psutil.NoSuchProcess):
            return [
                one.pid
                for process in self.processes
                if process.poll() is None
                for one in psutil.Process(process.pid).children(recursive=True)
                if "submitit.core._submit" in one.cmdline()
            ]
        return []

    def check(self, trials: int, workers: int) -> None:
        """All trials are there, each once.

        Args:
            trials: so many, and at most one less than there are workers beyond.
            workers: at once.
        """
        state = by_state(self.trials())
        ended = state.pop(TrialState.COMPLETE)
        assert trials <= len(ended) <= trials + workers - 1
        assert not any(state.values())
        assert len({number_of(trial) for trial in ended}) == len(ended)


def main(trials: int, kills: int, points: int, seed: int, folder: Path) -> int:
    """Print every kill and every point; returns how many points have other weights."""
    draw = random.Random(seed)
    environment = {**clean_environment(folder.parent), "MLFLOW_DISABLE_TELEMETRY": "true"}
    clone_of_working_tree(REPOSITORY, folder, environment, {"data.source": "mnist5k"})
    dvc(folder, environment, "repro", "prepare")
    content = yaml.safe_load((folder / "search.yaml").read_text(encoding="utf-8"))
    search = Search(folder, environment, content["study"])
    try:
        process = search.start("--workers", "2", "--trials", str(trials))
        for number in range(1, kills + 1):
            time.sleep(draw.uniform(0, MOST_SECONDS))
            search.wait_for(lambda state: state[TrialState.RUNNING] and search.workers(), process)
            with suppress(ProcessLookupError, IndexError):
                os.kill(draw.choice(search.workers()), signal.SIGKILL)
                over = len(by_state(search.trials())[TrialState.COMPLETE])
                print(f"kill {number}: {over} trials were trained", flush=True)
        search.output_of(process)
    finally:
        search.end()
    search.check(trials, workers=2)
    again = sum(number_of(trial) != trial.number for trial in search.trials())
    print(f"{trials} trials requested and made; {again} were run again, each in its one run")
    rows = read_csv(folder / "metrics/search.csv", ["on_front", "command"])
    front = [row for row in rows if row["on_front"] == "1"]
    different = 0
    for point in draw.sample(front, min(points, len(front))):
        dvc(folder, environment, *shlex.split(point["command"])[1:])
        trained = file_digest(folder / artifact_paths(folder)["trained"], "sha256")
        different += trained != point["trained_sha256"]
        print(f"{point['command']}: {trained}, was {point['trained_sha256']}", flush=True)
    return different


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, number in (("trials", 40), ("kills", 5), ("points", 3), ("seed", 1)):
        parser.add_argument(f"--{name}", type=int, default=number)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        sys.exit(main(**vars(parser.parse_args()), folder=Path(place) / "project"))
