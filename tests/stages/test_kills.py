"""kill -9 of a stage, of DVC, and of both, while another user's clone is computed.

SPIKEJOULE_KILLS=50 kills up to 50 times.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from spikejoule.core.errors import ArtifactError
from spikejoule.core.npz import read_npz
from spikejoule.core.resume import SCHEMA
from tests.tools.pipeline_tools import (
    COMMAND_SECONDS,
    artifact_paths,
    clean_environment,
    clone_of_working_tree,
    run,
    stages_that_ran,
    start_dvc,
)
from tests.tools.recorded_project import PARAMETERS, Project, build_environment
from tests.tools.services import on_one_worker

pytestmark = [pytest.mark.slow, *on_one_worker("kills")]

KILLS = int(os.environ.get("SPIKEJOULE_KILLS", "2"))
# Outputs that hold clocks and differ from run to run.
CLOCKS = ("checkpoint", "baseline_timings", "train_timings", "inference_timings")
VICTIMS = ("the stage", "dvc", "both")
# Kills fall into the training and this time after it, when outputs are written and
# hashed by DVC.
WRITING_SECONDS = 2.0
# The last kill falls into this time after the first output of the report.
REPORT_SECONDS = 0.5


class Clone(Project):
    """A clone in which pipelines are killed."""

    def digests(self) -> dict[str, str]:
        """Digest every output without clocks."""
        return {
            name: hashlib.sha256(self.path(name).read_bytes()).hexdigest()
            for name in artifact_paths(self.folder)
            if name not in CLOCKS
        }

    def training_seconds(self, stage: str) -> float:
        timings = json.loads(self.path(f"{stage}_timings").read_text())
        return float(timings["training_time_seconds"])

    def trainings(self) -> set[str]:
        """The trainings that run or ran, by their process."""
        with suppress(OSError):  # removed at this moment
            return {
                lock.read_text() for lock in (self.folder / ".resume").glob("*.lock")
            }
        return set()

    def epochs_kept(self) -> dict[str, int]:
        """Count the epochs in each state of a training."""
        kept = {}
        for state in (self.folder / ".resume").glob("*.npz"):
            with suppress(ArtifactError):  # removed at this moment
                plain = json.loads(read_npz(state, SCHEMA)["plain"].tobytes())
                kept[state.name] = len(plain["training"]["seconds"])
        return kept

    def repair(self) -> None:
        """Repair damaged lists, like the Makefile before it starts DVC."""
        run([sys.executable, "-m", "stages.locks"], self.folder, self.environment)


def wait_for(process: subprocess.Popen[str], what: Callable[[], object]) -> None:
    while process.poll() is None and not what():
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


def survive_kills(clone: Clone, most_seconds: float) -> list[str]:
    """Start the pipeline and kill it, again and again; return the kills.

    The last kill comes while the report is written. Of the others, three in four come
    within `most_seconds` of the start of a training, the rest within as many of the
    start of DVC. Raises AssertionError if a finished epoch is lost.
    """
    draw = random.Random(5)
    kills = []
    epochs: dict[str, int] = {}
    for number in range(KILLS):
        clone.repair()
        before = clone.trainings()
        process = start_dvc(clone.folder, clone.environment, "repro", "energy_report")
        seconds = draw.uniform(0, most_seconds)
        if number == KILLS - 1:
            wait_for(process, clone.path("checkpoint").exists)
            seconds = draw.uniform(0, REPORT_SECONDS)
        elif draw.random() < 0.75:
            wait_for(process, lambda before=before: clone.trainings() - before)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            victim = draw.choice(VICTIMS)
            kill(process, victim)
            kept = clone.epochs_kept()
            kills.append(f"{victim} after {seconds:.1f} s, whole: {kept}")
            for state, n_epochs in kept.items():
                assert n_epochs >= epochs.get(state, 0), kills
            epochs |= kept
    clone.repair()
    return kills


def test_a_killed_pipeline_of_another_user_ends_with_the_same_bytes_and_one_run(
    recorded_project: Project, repository: Path, tmp_path: Path
) -> None:
    """In a clone with nothing cached or activated, one core, and other habits."""
    environment = clean_environment(tmp_path, activated=False) | {
        "NUMBA_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
        "LC_ALL": "C",
    }
    clone = Clone(tmp_path / "clone", environment)
    clone_of_working_tree(repository, clone.folder, environment, PARAMETERS)
    build_environment(clone.folder)
    undisturbed = Clone(recorded_project.folder, recorded_project.environment)
    trained = ("baseline", "train")
    longest = max(map(undisturbed.training_seconds, trained))
    kills = survive_kills(clone, longest + WRITING_SECONDS)
    assert stages_that_ran(clone.dvc("repro"))[-1] == "publish", kills
    assert clone.digests() == undisturbed.digests(), kills
    for stage in trained:
        seconds = clone.training_seconds(stage)
        assert seconds != undisturbed.training_seconds(stage), "nothing was compared"
    (published,) = clone.all_runs()
    assert published.info.status == "FINISHED"
    curve = clone.client.get_metric_history(
        published.info.run_id, "by_epoch/train_loss"
    )
    n_epochs = PARAMETERS["train.max_epochs"]
    assert [point.step for point in curve] == list(range(1, n_epochs + 1))
    assert not list((clone.folder / ".resume").iterdir())
