"""Kill a pipeline at random moments, again and again: it ends as one that nobody disturbed.

    python -m tests.tools.kills --kills 50 --seed 1

A round trains the rivals and the network afresh, with a few kills; its outputs must be those of the
undisturbed run to the byte. Killed with -9 is the stage's process, DVC's alone, which leaves the
stage alive, or both. At the end the whole pipeline runs, and its MLflow run must be one.
"""

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from spikejoule.foundation.errors import ArtifactError
from spikejoule.foundation.files import read_npz
from spikejoule.foundation.resume_files import SCHEMA
from tests.tools.pipeline_tools import (
    REPOSITORY,
    artifact_paths,
    clean_environment,
    clone_of_working_tree,
    dvc,
    start_dvc,
)

PARAMETERS: Mapping[str, Any] = {
    "data.source": "mnist5k",
    "encode.time_window": 20,
    "model.hidden": 60,
    "model.threshold": 0.5,
    "train.max_epochs": 12,
    "train.pruned_fraction": 0.5,
    "train.average_epochs": 3,
    "baseline.family_hidden": "[30]",
    "energy_report.bootstrap_samples": 100,
}
WITHOUT_CLOCKS = (
    *("baseline", "teacher", "baseline_metrics"),
    *("trained", "history", "train_metrics"),
)
VICTIMS = ("the stage", "dvc", "both")
COMMAND_SECONDS = 300


@dataclass
class Project:
    """A clone in which pipelines are killed.

    Attributes:
        folder: its root.
        environment: of every command.
        draw: of the victims and moments.
        kills: what was killed, when, and the epochs that were whole then.
    """

    folder: Path
    environment: Mapping[str, str]
    draw: random.Random
    kills: list[str] = field(default_factory=list)

    def digests(self) -> dict[str, str]:
        """The SHA-256 of every output that holds no clock."""
        paths = artifact_paths(self.folder)
        return {
            name: hashlib.sha256((self.folder / paths[name]).read_bytes()).hexdigest()
            for name in WITHOUT_CLOCKS
        }

    def epochs_kept(self, stage: str) -> int | None:
        """Epochs of a stage's training from which it would go on; None if it has ended."""
        for state in (self.folder / ".resume").glob("*.npz"):
            with suppress(ArtifactError):  # gone in this moment
                plain = json.loads(read_npz(state, SCHEMA)["plain"].tobytes())["plain"]["training"]
                if ("groups" in plain) == (stage == "baseline"):
                    return None if state.with_suffix(".done").exists() else len(plain["seconds"])
        return 0

    def survive(self, n_kills: int, most_seconds: float, *arguments: str) -> None:
        """Run `dvc ...`, kill it so often within so many seconds of its start, and let it end.

        Raises AssertionError if an epoch is lost that was whole at a kill.
        """
        epochs = 0
        for _ in range(n_kills):
            subprocess.run(
                [sys.executable, "-m", "stages.locks"],
                cwd=self.folder,
                env=self.environment,
                check=True,
            )
            process = start_dvc(self.folder, self.environment, *arguments)
            seconds = self.draw.uniform(0, most_seconds)
            try:
                process.wait(seconds)
                self.kills.append(f"{arguments[-1]}: ended within {seconds:.1f} s, no kill")
                return
            except subprocess.TimeoutExpired:
                victim = self.draw.choice(VICTIMS)
                kill(process, victim)
            kept = self.epochs_kept(arguments[-1])
            self.kills.append(
                f"{arguments[-1]}: {victim} after {seconds:.1f} s, "
                + ("all epochs whole" if kept is None else f"{kept} epochs whole")
            )
            if kept is not None:
                assert kept >= epochs, self.kills
                epochs = kept
        subprocess.run(
            [sys.executable, "-m", "stages.locks"],
            cwd=self.folder,
            env=self.environment,
            check=True,
        )
        dvc(self.folder, self.environment, *arguments)

    def runs(self) -> list[Any]:
        """The runs in the store."""
        from mlflow import MlflowClient

        client = MlflowClient(tracking_uri=f"sqlite:///{self.folder / 'mlflow.db'}")
        experiment = client.get_experiment_by_name("spikejoule")
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id]))

    def epochs_shown(self) -> list[int]:
        """The epochs of the only run, which must have been published."""
        from mlflow import MlflowClient

        (run,) = self.runs()
        assert run.info.status == "FINISHED", run.info.status
        client = MlflowClient(tracking_uri=f"sqlite:///{self.folder / 'mlflow.db'}")
        curve = client.get_metric_history(run.info.run_id, "by_epoch/train_loss")
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


def clone(folder: Path, draw: random.Random) -> Project:
    """A fresh clone of this working tree."""
    environment = clean_environment(folder.parent)
    clone_of_working_tree(REPOSITORY, folder, environment, PARAMETERS)
    return Project(folder, environment, draw)


def main(n_kills: int, seed: int, folder: Path) -> int:
    """Print every kill and every round; returns 1 if a round ended with other bytes."""
    draw = random.Random(seed)
    whole, project = clone(folder / "whole", draw), clone(folder / "killed", draw)
    lasted: dict[str, float] = {}
    for stage in ("encode", "baseline", "train"):
        started = time.monotonic()
        dvc(whole.folder, whole.environment, "repro", stage)
        lasted[stage] = time.monotonic() - started
    print(f"undisturbed: baseline {lasted['baseline']:.1f} s, train {lasted['train']:.1f} s")
    expected = whole.digests()
    dvc(project.folder, project.environment, "repro", "encode")
    told = rounds = different = 0
    while killed(project) < n_kills:
        for stage in ("baseline", "train"):
            some = draw.randint(1, 3)
            project.survive(some, lasted[stage], "repro", "-f", "-s", "--no-run-cache", stage)
        rounds += 1
        same = project.digests() == expected
        different += not same
        print(*project.kills[told:], sep="\n")
        print(f"round {rounds}: {'the same bytes' if same else 'OTHER BYTES'}", flush=True)
        told = len(project.kills)
    dvc(project.folder, project.environment, "repro")
    shown = project.epochs_shown()
    print(
        f"{killed(project)} kills, {rounds} results, {different} with other bytes; one MLflow run, "
        f"FINISHED, epochs {shown}; left in .resume: {list((project.folder / '.resume').iterdir())}"
    )
    return int(different > 0 or shown != list(range(1, PARAMETERS["train.max_epochs"] + 1)))


def killed(project: Project) -> int:
    """Kills that hit something."""
    return sum("no kill" not in line for line in project.kills)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as place:
        sys.exit(main(chosen.kills, chosen.seed, Path(place)))
