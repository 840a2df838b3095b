"""Kill a pipeline at random moments, again and again.

Killed with -9 is the stage's process, DVC's alone, which leaves the stage alive, or both.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import yaml

from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import read_npz
from spikejoule.core.resume import SCHEMA
from tests.tools import recorded_project
from tests.tools.pipeline_tools import artifact_paths, start_dvc

LONGER: Mapping[str, Any] = {
    "encode.time_window": 20,
    "model.hidden": 60,
    "model.threshold": 0.5,
    "train.max_epochs": 12,
    "train.pruned_fraction": 0.5,
    "train.average_epochs": 3,
    "baseline.family_hidden": "[30]",
}
"""Parameters of trainings that a kill finds in many states."""
WITHOUT_CLOCKS = (
    *("baseline", "teacher", "baseline_metrics"),
    *("trained", "history", "train_metrics"),
)
VICTIMS = ("the stage", "dvc", "both")
COMMAND_SECONDS = 900


@dataclass(frozen=True)
class Project(recorded_project.Project):
    """A clone in which pipelines are killed.

    Attributes:
        draw: of the victims and moments.
        kills: what was killed, when, and which epochs were whole then.
    """

    draw: random.Random = field(default_factory=random.Random)
    kills: list[str] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """What the pipelines said that were killed."""
        return self.folder.parent / f"{self.folder.name}.log"

    def digests(self) -> dict[str, str]:
        """The SHA-256 of every output that holds no clock."""
        paths = artifact_paths(self.folder)
        return {
            name: hashlib.sha256((self.folder / paths[name]).read_bytes()).hexdigest()
            for name in WITHOUT_CLOCKS
        }

    def training_seconds(self, stage: str) -> float:
        """What a stage's training took."""
        path = self.folder / artifact_paths(self.folder)[f"{stage}_timings"]
        return float(json.loads(path.read_text())["training_time_seconds"])

    def epochs_kept(self) -> dict[str, int]:
        """By stage, the epochs of a training that has not ended."""
        kept = {}
        for state in (self.folder / ".resume").glob("*.npz"):
            with suppress(ArtifactError):  # gone in this moment
                plain = json.loads(read_npz(state, SCHEMA)["plain"].tobytes())["plain"]["training"]
                if not state.with_suffix(".done").exists():
                    stage = "baseline" if "groups" in plain else "train"
                    kept[stage] = len(plain["seconds"])
        return kept

    def forget_training(self) -> None:
        """Let DVC know nothing of trainings that have been."""
        shutil.rmtree(self.folder / ".dvc" / "cache" / "runs", ignore_errors=True)
        lock = self.folder / "dvc.lock"
        content = yaml.safe_load(lock.read_text(encoding="utf-8"))
        for stage in ("baseline", "train"):
            content["stages"].pop(stage, None)
        lock.write_text(yaml.safe_dump(content), encoding="utf-8")

    def survive(self, n_kills: int, most_seconds: float) -> None:
        """Train baselines and network, kill it so often, and let it end.

        Three of four kills come within so many seconds of the beginning of a training, the others
        within so many of the start of DVC. Raises AssertionError if an epoch is lost that was whole
        at a kill.
        """
        epochs: dict[str, int] = {}
        for _ in range(n_kills):
            self._mend()
            with self.log.open("a") as log:
                process = start_dvc(
                    self.folder, self.environment, "repro", "train", stdout=log.fileno()
                )
            if self.draw.random() < 0.75:
                self._wait_for_training(process)
            seconds = self.draw.uniform(0, most_seconds)
            try:
                process.wait(seconds)
            except subprocess.TimeoutExpired:
                victim = self.draw.choice(VICTIMS)
                kill(process, victim)
                kept = self.epochs_kept()
                self.kills.append(f"{victim} after {seconds:.1f} s, epochs whole: {kept or '-'}")
                for stage, number in kept.items():
                    assert number >= epochs.get(stage, 0), self.kills
                epochs |= kept
            else:
                said = self.log.read_text(errors="replace")[-3000:]
                assert process.returncode == 0, f"{self.kills}\n{said}"
                return
        self._mend()
        self.dvc("repro", "train")

    def _mend(self) -> None:
        """As the Makefile does before DVC, which a kill may have left with a damaged list."""
        command = [sys.executable, "-m", "stages.locks"]
        subprocess.run(command, cwd=self.folder, env=dict(self.environment), check=True)

    def _wait_for_training(self, process: subprocess.Popen[str]) -> None:
        locks = self.folder / ".resume"
        before = {lock.read_text() for lock in locks.glob("*.lock")}
        while process.poll() is None:
            for lock in locks.glob("*.lock"):
                with suppress(OSError):
                    if lock.read_text() not in before:
                        return
            time.sleep(0.02)

    def epochs_shown(self) -> list[int]:
        """The epochs of the run that was published; no other is running or finished."""
        runs = self.all_runs()
        by_status = Counter(run.info.status for run in runs)
        assert by_status["FINISHED"] == 1, by_status
        assert by_status["RUNNING"] == 0, by_status
        (run,) = (run for run in runs if run.info.status == "FINISHED")
        curve = self.client.get_metric_history(run.info.run_id, "by_epoch/train_loss")
        return [point.step for point in curve]


def stages_of(process: subprocess.Popen[str]) -> Iterator[psutil.Process]:
    """The stage's process below DVC, if there is one at this moment."""
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error):
                if any(word.startswith("stages.") for word in child.cmdline()):
                    yield child


def kill(process: subprocess.Popen[str], victim: str) -> None:
    """kill -9, and wait for the end of DVC, which a killed stage ends, too."""
    below = list(stages_of(process))
    if victim == "dvc":
        process.kill()
    elif victim == "the stage" and below:
        for child in below:
            with suppress(psutil.Error):
                child.kill()
    else:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(COMMAND_SECONDS)
