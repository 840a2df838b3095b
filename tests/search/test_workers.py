"""Searches for real: workers that are killed, a launcher that is stopped, PostgreSQL, Slurm."""

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

optuna = pytest.importorskip("optuna", reason="needs optuna: the extra `search`")
pytest.importorskip("submitit", reason="needs submitit: the extra `search`")

from mlflow import MlflowClient  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from spikejoule.data.images import Dataset  # noqa: E402
from spikejoule.foundation.provenance import file_digest  # noqa: E402
from spikejoule.search.database import StudyPlace  # noqa: E402
from spikejoule.search.front import FoundTable  # noqa: E402
from spikejoule.search.study import KEEPER, close_study, open_study, state_of  # noqa: E402
from spikejoule.search.tally import HANDED_BACK, Tally, root_number  # noqa: E402
from spikejoule.tracking.keeper import PROCESS_TAG  # noqa: E402
from spikejoule.tracking.search_runs import PARENT_TAG, TRIAL_TAG  # noqa: E402
from tests.tools.finished_project import call, finish_project, isolate, path_of  # noqa: E402
from tests.tools.pipeline_tools import (  # noqa: E402
    artifact_paths,
    clean_environment,
    set_parameters,
    write_lock,
)
from tests.tools.services import SHARED, PostgreSQL  # noqa: E402
from tests.tools.slurm import slurm_cluster  # noqa: E402

pytestmark = SHARED

SECONDS = 300
EPOCHS = 60
STUDY = "tiny"
ARTIFACTS = ("train", "validation", "data_metrics")


@dataclass
class SmallSearch:
    """A project of few digits, and searches in it."""

    folder: Path
    environment: Mapping[str, str]
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

    def said_by(self, process: subprocess.Popen[str], status: int = 0) -> str:
        """All that a search said, when it has ended."""
        said, _ = process.communicate(timeout=SECONDS)
        assert process.returncode == status, said
        return said

    @property
    def place(self) -> StudyPlace:
        return StudyPlace(self.storage, STUDY)

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
        return any((self.folder / ".cache/search" / STUDY / "resume").glob("*.npz"))

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

    def check(self, trials: int) -> None:
        """There are exactly so many trials, each with one finished run whose curve is whole."""
        state = self.state()
        assert len(state.complete) == state.begun == trials
        parent, children = self.runs()
        assert parent.info.status == "FINISHED"
        assert Counter(run.info.status for run in children) == {"FINISHED": trials}
        numbers = sorted(int(run.data.tags[TRIAL_TAG]) for run in children)
        assert numbers == sorted(root_number(trial) for trial in state.complete)
        client = self.client()
        for run in children:
            points = client.get_metric_history(
                run.info.run_id, "by_epoch/validation_accuracy_percent"
            )
            assert [point.step for point in points] == list(range(1, EPOCHS + 1))

    def pid_of(self, trial: Any) -> int | None:
        """The process that runs a trial, once it is training."""
        keeper = trial.user_attrs.get(KEEPER)
        return int(keeper[PROCESS_TAG].split()[0]) if keeper else None


@pytest.fixture
def small(
    repository: Path,
    mnist5k: Dataset,
    empty_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[SmallSearch]:
    folder = tmp_path / "project"
    finish_project(repository, mnist5k, folder, {"train.max_epochs": 3}, last="encode")
    shutil.copy(empty_database, folder)
    paths = artifact_paths(folder)
    write_lock(folder, [Path(paths[name]) for name in ARTIFACTS], [])
    content = {
        "study": STUDY,
        "trials": 4,
        "energy": "45nm-fp32",
        "fixed": {"train.max_epochs": EPOCHS},
        "space": {
            "encode.code": ["latency", "poisson"],
            "model.hidden": [16, [16, 8]],
            "model.weight_bits": [8, 32],
            "train.lr": {"from": 0.001, "to": 0.01, "log": True},
            "train.pruned_fraction": {"from": 0.0, "to": 0.5},
        },
        "stop": {"after_fraction": None, "margin_percent": 1.0},
    }
    (folder / "search.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    isolate(monkeypatch, folder)
    environment = {
        **clean_environment(tmp_path),
        "PYTHONPATH": f"{repository / 'src'}:{repository}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    search = SmallSearch(folder, environment)
    yield search
    for process in search.processes:
        if process.poll() is None:
            process.kill()
        process.wait()


class TestTwoLocalWorkers:
    TRIALS = 4

    def test_killed_and_stopped_and_started_again(self, small: SmallSearch) -> None:
        # A worker is killed in the middle of a trial ...
        process = small.start("--workers", "2", "--trials", str(self.TRIALS))
        victim = small.wait_for(
            lambda state: (
                small.epochs_kept()
                and next((pid for one in state.running if (pid := small.pid_of(one))), None)
            ),
            process,
        )
        os.kill(victim, signal.SIGKILL)
        # ... and when a trial is through, the launcher is stopped.
        small.wait_for(lambda state: state.settled >= 1, process)
        process.terminate()
        assert "error: interrupted" in small.said_by(process, 130)
        before = small.state()
        assert before.settled < self.TRIALS
        parent, children = small.runs()
        assert parent.info.status == "KILLED"
        assert "RUNNING" not in {run.info.status for run in children}

        said = small.said_by(small.start("--workers", "2", "--trials", str(self.TRIALS)))
        small.check(self.TRIALS)
        kills = [one for one in small.failed() if HANDED_BACK not in one.user_attrs]
        assert len(kills) == 1
        assert f"optuna-dashboard sqlite:///{small.folder}/search.db" in said
        self.check_folder(small.folder / ".cache" / "search" / STUDY)
        # Nothing is left to do, which is done at once, and nothing else is begun.
        again = small.said_by(small.start("--trials", str(self.TRIALS)))
        assert again[again.index("On the front") :] == said[said.index("On the front") :]
        small.check(self.TRIALS)
        self.check_commands(small, said)
        assert (small.folder / "figures/search.png").read_bytes().startswith(b"\x89PNG")

    def check_folder(self, folder: Path) -> None:
        """Nobody else may put a pickle where one is read, and of trials no state is left."""
        for path in (folder, folder / "jobs"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert not list((folder / "resume").glob("*.npz"))

    def check_commands(self, small: SmallSearch, said: str) -> None:
        """The pipeline's own stages give the same file for the same parameters."""
        front = FoundTable.read(small.folder / "metrics/search.csv").front
        commands = [line.strip() for line in said.splitlines() if line.startswith("  dvc exp run")]
        assert commands == [row.command for row in front]
        point = front[0]
        words = point.command.replace("'", "").split(" -S ")[1:]
        set_parameters(small.folder, dict(word.split("=", 1) for word in words))
        for stage in ("encode", "baseline", "train"):
            assert call(stage) == 0
        assert file_digest(path_of("trained"), "sha256") == point.trained_sha256


class TestPostgreSQL:
    def test_four_workers(self, small: SmallSearch, postgresql: PostgreSQL) -> None:
        small.storage = postgresql.create_database("search")
        said = small.said_by(small.start("--workers", "4", "--trials", "8"))
        small.check(8)
        assert postgresql.password not in said
        assert "***" in said


class TestSlurm:
    TRIALS = 2

    def test_a_job_that_is_preempted_goes_on(self, small: SmallSearch, tmp_path: Path) -> None:
        with slurm_cluster(tmp_path / "slurm") as slurm:
            small.environment = {
                **small.environment,
                **{name: slurm.environment[name] for name in ("SLURM_CONF", "PATH")},
            }
            process = small.start(
                *("--cluster", "slurm", "--partition", "debug", "--workers", "1"),
                *("--minutes", "5", "--trials", str(self.TRIALS), "--slurm", "comment=tiny"),
            )
            small.wait_for(lambda state: state.running and small.epochs_kept(), process)
            slurm.client(
                *("sbatch", "--partition", "high", "--cpus-per-task", "2"),
                *("--output", "/dev/null", "--wrap", "true"),
            )
            said = small.said_by(process)
            assert "On the front" in said
        small.check(self.TRIALS)
        (back,) = small.failed()
        assert HANDED_BACK in back.user_attrs
        jobs = json.loads((small.folder / ".cache/search" / STUDY / "jobs.json").read_text())
        assert len(jobs) == 1  # the same job, queued again
