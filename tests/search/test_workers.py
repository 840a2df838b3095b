"""Real searches: killed workers, a stopped launcher, Slurm with PostgreSQL."""

import os
import shlex
import shutil
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

optuna = pytest.importorskip("optuna", reason="needs optuna: the extra `search`")
pytest.importorskip("submitit", reason="needs submitit: the extra `search`")

from optuna.trial import TrialState  # noqa: E402

from spikejoule.core.provenance import file_digest  # noqa: E402
from spikejoule.core.store import read_csv  # noqa: E402
from spikejoule.data.dataset import Dataset  # noqa: E402
from spikejoule.search.study import by_state  # noqa: E402
from stages.shared.common import run_stage  # noqa: E402
from tests.search.running_search import Search  # noqa: E402
from tests.search.slurm import slurm_cluster  # noqa: E402
from tests.tools.finished_project import finish_project, isolate, path_of  # noqa: E402
from tests.tools.pipeline_tools import (  # noqa: E402
    clean_environment,
    set_parameters,
)
from tests.tools.recorded import runs, store_of  # noqa: E402
from tests.tools.services import PostgreSQL, on_one_worker  # noqa: E402

pytestmark = [pytest.mark.slow, *on_one_worker("search")]

EPOCHS = 160
RUNNING = TrialState.RUNNING
TRAINED = TrialState.COMPLETE
STUDY = "tiny"


@pytest.fixture
def small(
    repository: Path,
    mnist5k: Dataset,
    empty_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Search]:
    folder = tmp_path / "project"
    finish_project(repository, mnist5k, folder, last="prepare")
    shutil.copy(empty_database, folder)
    content = {
        "study": STUDY,
        "trials": 3,
        "energy": "45nm-fp32",
        "fixed": {"train.max_epochs": EPOCHS},
        "space": {
            "encode.encoding": ["latency", "poisson"],
            "model.hidden": [16, [16, 8]],
            "model.weight_bits": [8, 32],
            "train.lr": {"from": 0.001, "to": 0.01, "log": True},
            "train.pruned_fraction": {"from": 0.0, "to": 0.5},
        },
    }
    (folder / "search.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    isolate(monkeypatch, folder)
    environment = {
        **clean_environment(tmp_path),
        "PYTHONPATH": f"{repository / 'src'}:{repository}",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    search = Search(folder, environment, STUDY, f"sqlite:///{folder}/search.db")
    yield search
    search.end()


def test_killed_and_stopped_and_started_again(small: Search) -> None:
    # A worker is killed in the middle of a trial ...
    process = small.start("--workers", "2")
    small.wait_for_a_state(process)
    os.kill(small.workers()[0], signal.SIGKILL)
    # ... and when a trial has ended, the search is stopped like by Ctrl-C.
    small.wait_for(lambda state: state[TRAINED], process)
    os.killpg(process.pid, signal.SIGINT)
    stopped = small.output_of(process, 130)
    assert "error: interrupted" in stopped
    assert "Traceback" not in stopped
    assert len(by_state(small.trials())[TRAINED]) < 3

    printed = small.output_of(small.start("--workers", "2"))
    small.check(3, workers=2)
    command = f"optuna-dashboard sqlite:///{small.folder}/search.db"
    assert command in " ".join(printed.split())
    assert shutil.which("optuna-dashboard")
    cache = small.folder / ".cache" / "search" / STUDY
    # Nobody else may put a pickle there, and no states are left.
    assert [stat.S_IMODE(path.stat().st_mode) for path in (cache, cache / "jobs")] == [
        0o700
    ] * 2
    assert not list((cache / "resume").glob("*.npz"))
    # A finished search ends at once and starts nothing.
    n_trials = len(small.trials())
    again = small.output_of(small.start())
    assert (
        again[again.index("On the front") :] == printed[printed.index("On the front") :]
    )
    assert len(small.trials()) == n_trials
    parent, *children = sorted(
        runs(store_of(small.folder)), key=lambda run: run.info.start_time
    )
    assert parent.info.run_name == f"search {STUDY}"
    assert len(children) == len(by_state(small.trials())[TRAINED])
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {
        parent.info.run_id
    }
    check_commands(small, printed)


def check_commands(small: Search, printed: str) -> None:
    """The commands give the same weights, one after the other in one workspace."""
    rows = read_csv(
        small.folder / "metrics/search.csv", ["command", "trained_sha256", "on_front"]
    )
    commands = [
        line.strip()
        for line in printed.splitlines()
        if line.startswith("  dvc exp run")
    ]
    assert commands == [row["command"] for row in rows if row["on_front"] == "1"]
    assert len(rows) >= 2
    for row in rows[:2]:
        settings = [word for word in shlex.split(row["command"])[3:] if word != "-S"]
        set_parameters(
            small.folder, dict(setting.split("=", 1) for setting in settings)
        )
        for stage in ("encode", "train"):
            assert run_stage(stage) == 0
        assert file_digest(path_of("trained"), "sha256") == row["trained_sha256"]


def test_a_job_of_slurm_that_is_preempted_resumes(
    small: Search, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """Its trials are in PostgreSQL, which the machines of a cluster share."""
    small.storage = postgresql.create_database("search")
    with slurm_cluster(tmp_path / "slurm") as slurm:
        small.environment = {
            **small.environment,
            **{name: slurm.environment[name] for name in ("SLURM_CONF", "PATH")},
        }
        process = small.start(
            *("--cluster", "slurm", "--slurm", "partition=debug", "--workers", "1"),
            *("--minutes", "5", "--trials", "2", "--slurm", "comment=tiny"),
        )
        small.wait_for_a_state(process)
        slurm.client(
            *("sbatch", "--partition", "high", "--cpus-per-task", "2"),
            *("--output", "/dev/null", "--wrap", "true"),
        )
        printed = small.output_of(process)
    assert "On the front" in printed
    assert postgresql.password not in printed
    small.check(2, workers=1)
    assert len(small.trials()) == 3  # one of them run again
    jobs = small.folder / ".cache/search" / STUDY / "jobs"
    assert len(list(jobs.glob("*_submitted.pkl"))) == 1  # the same job, queued again
