"""Searches for real: workers that are killed, a launcher that is stopped, PostgreSQL, Slurm."""

import json
import os
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

optuna = pytest.importorskip("optuna", reason="needs optuna: the extra `search`")
pytest.importorskip("submitit", reason="needs submitit: the extra `search`")


from spikejoule.core.provenance import file_digest  # noqa: E402
from spikejoule.data.images import Dataset  # noqa: E402
from spikejoule.search.front import FoundTable  # noqa: E402
from spikejoule.search.tally import HANDED_BACK  # noqa: E402
from tests.tools.finished_project import call, finish_project, isolate, path_of  # noqa: E402
from tests.tools.pipeline_tools import (  # noqa: E402
    artifact_paths,
    clean_environment,
    set_parameters,
    write_lock,
)
from tests.tools.searches import Search  # noqa: E402
from tests.tools.services import SHARED, PostgreSQL  # noqa: E402
from tests.tools.slurm import slurm_cluster  # noqa: E402

pytestmark = SHARED

EPOCHS = 60
STUDY = "tiny"
ARTIFACTS = ("train", "validation", "data_metrics")


@pytest.fixture
def small(
    repository: Path,
    mnist5k: Dataset,
    empty_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Search]:
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
            "encode.encoding": ["latency", "poisson"],
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
    search = Search(folder, environment, STUDY, EPOCHS)
    yield search
    for process in search.processes:
        if process.poll() is None:
            process.kill()
        process.wait()


class TestTwoLocalWorkers:
    TRIALS = 4

    def test_killed_and_stopped_and_started_again(self, small: Search) -> None:
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

    def check_commands(self, small: Search, said: str) -> None:
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
    def test_four_workers(self, small: Search, postgresql: PostgreSQL) -> None:
        small.storage = postgresql.create_database("search")
        said = small.said_by(small.start("--workers", "4", "--trials", "8"))
        small.check(8)
        assert postgresql.password not in said
        assert "***" in said


class TestSlurm:
    TRIALS = 2

    def test_a_job_that_is_preempted_goes_on(self, small: Search, tmp_path: Path) -> None:
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
