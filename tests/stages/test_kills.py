"""kill -9 of a stage, of DVC, and of both, while networks are trained and reported.

SPIKEJOULE_KILLS=50 kills as many times.
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
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import yaml

from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import read_npz
from spikejoule.core.resume import SCHEMA
from spikejoule.params import load_params
from tests.tools import recorded_project
from tests.tools.pipeline_tools import (
    COMMAND_SECONDS,
    artifact_paths,
    stages_that_ran,
    start_dvc,
)

pytestmark = [
    pytest.mark.slow,
    # Minutes of one worker: a group begins early.
    pytest.mark.xdist_group("kills"),
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"),
    pytest.mark.skipif(
        os.name != "posix", reason="the stages' launcher is a shell script"
    ),
]

KILLS = int(os.environ.get("SPIKEJOULE_KILLS", "3"))
# Outputs that hold clocks and differ from run to run.
CLOCKS = ("checkpoint", "baseline_timings", "train_timings", "inference_timings")
VICTIMS = ("the stage", "dvc", "both")
# Kills fall into the training and this time after it, when outputs are written and
# hashed by DVC.
WRITING_SECONDS = 2.0
# The last kill falls into this time after the first output of the report.
REPORT_SECONDS = 0.5


@dataclass(frozen=True)
class Project(recorded_project.Project):
    """A clone in which pipelines are killed.

    Attributes:
        draw: random victims and moments.
        kills: what was killed, when, and which epochs were finished.
    """

    draw: random.Random = field(default_factory=lambda: random.Random(5))
    kills: list[str] = field(default_factory=list)

    def path(self, name: str) -> Path:
        return self.folder / artifact_paths(self.folder)[name]

    def digests(self) -> dict[str, str]:
        """Digest every output without clocks."""
        return {
            name: hashlib.sha256(self.path(name).read_bytes()).hexdigest()
            for name in artifact_paths(self.folder)
            if name not in CLOCKS
        }

    def epochs_kept(self) -> dict[str, int]:
        """Count the epochs in the states of unfinished trainings, by stage."""
        kept = {}
        for state in (self.folder / ".resume").glob("*.npz"):
            with suppress(ArtifactError):  # removed at this moment
                plain = json.loads(read_npz(state, SCHEMA)["plain"].tobytes())[
                    "training"
                ]
                if not state.with_suffix(".done").exists():
                    kept["train" if "history" in plain else "baseline"] = len(
                        plain["seconds"]
                    )
        return kept

    def forget_training(self) -> None:
        """Make DVC forget all trainings and their report."""
        shutil.rmtree(self.folder / ".dvc" / "cache" / "runs", ignore_errors=True)
        lock = self.folder / "dvc.lock"
        content = yaml.safe_load(lock.read_text(encoding="utf-8"))
        for stage in ("baseline", "train"):
            content["stages"].pop(stage, None)
        lock.write_text(yaml.safe_dump(content), encoding="utf-8")
        self.path("checkpoint").unlink()

    def survive(self, n_kills: int, most_seconds: float) -> None:
        """Run the pipeline up to the report, kill it `n_kills` times, and let it end.

        The last kill comes while the report is written. Of the others, three in four
        come within `most_seconds` of the start of a training, the rest within as many
        of the start of DVC. Raises AssertionError if a finished epoch is lost.
        """
        epochs: dict[str, int] = {}
        for number in range(n_kills + 1):
            # Repair damaged lists, like the Makefile before it starts DVC.
            command = [sys.executable, "-m", "stages.locks"]
            subprocess.run(
                command, cwd=self.folder, env=dict(self.environment), check=True
            )
            with (self.folder.parent / "log").open("a+") as log:
                process = start_dvc(
                    self.folder,
                    self.environment,
                    "repro",
                    "energy_report",
                    stdout=log.fileno(),
                )
                seconds = self.draw.uniform(0, most_seconds)
                if number == n_kills - 1:
                    self.wait_for_report(process)
                    seconds = self.draw.uniform(0, REPORT_SECONDS)
                elif self.draw.random() < 0.75:
                    self.wait_for_training(process)
                try:
                    process.wait(seconds if number < n_kills else COMMAND_SECONDS)
                except subprocess.TimeoutExpired:
                    victim = self.draw.choice(VICTIMS)
                    kill(process, victim)
                    kept = self.epochs_kept()
                    self.kills.append(
                        f"{victim} after {seconds:.1f} s, whole: {kept or '-'}"
                    )
                    for stage, of_stage in kept.items():
                        assert of_stage >= epochs.get(stage, 0), self.kills
                    epochs |= kept
                else:
                    log.seek(0)
                    assert process.returncode == 0, (
                        f"{self.kills}\n{log.read()[-3000:]}"
                    )
                    return

    def wait_for_training(self, process: subprocess.Popen[str]) -> None:
        locks = self.folder / ".resume"
        before = {lock.read_text() for lock in locks.glob("*.lock")}
        while process.poll() is None:
            with suppress(OSError):
                if {lock.read_text() for lock in locks.glob("*.lock")} - before:
                    return
            time.sleep(0.02)

    def wait_for_report(self, process: subprocess.Popen[str]) -> None:
        """Until the stage energy_report has written its first output."""
        while process.poll() is None and not self.path("checkpoint").exists():
            time.sleep(0.01)


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


def test_kills_end_with_the_same_bytes_and_one_run(
    recorded_project: recorded_project.Project, tmp_path: Path
) -> None:
    """In the project without its store; its results are those of an undisturbed run."""
    folder = recorded_project.copy_to(tmp_path / "a clone")
    project = Project(folder, recorded_project.environment)
    expected = project.digests()
    longest = max(
        json.loads(project.path(f"{stage}_timings").read_text())[
            "training_time_seconds"
        ]
        for stage in ("baseline", "train")
    )
    while len(project.kills) < KILLS:
        project.forget_training()
        project.survive(min(6, KILLS - len(project.kills)), longest + WRITING_SECONDS)
        assert project.digests() == expected, project.kills
    assert stages_that_ran(project.dvc("repro"))[-1] == "publish"
    (run,) = project.all_runs()
    assert run.info.status == "FINISHED"
    curve = project.client.get_metric_history(run.info.run_id, "by_epoch/train_loss")
    epochs = load_params(folder / "params.yaml").train.max_epochs
    assert [point.step for point in curve] == list(range(1, epochs + 1))
    assert not list((folder / ".resume").iterdir())
