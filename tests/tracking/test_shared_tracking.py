"""A team's MLflow: PostgreSQL behind it, artifacts in an S3 store, chosen by variables
alone.
"""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.tools.pipeline_tools import COMMAND_SECONDS, artifact_paths, dvc, git
from tests.tools.pipeline_tools import run as run_command
from tests.tools.recorded_project import Project, runs_of
from tests.tools.services import SHARED, PostgreSQL, S3Store, mlflow_server

pytestmark = SHARED

DVC_EXPERIMENT = (sys.executable, "-m", "dvc", "exp", "run", "--temp")
EXPERIMENTS = {
    "slower": ("train.lr", "0.002"),
    "another-image": ("energy_report.figure_sample", "1"),
}
# DVC waits three seconds for the lock that another holds while it begins; a busy
# machine takes longer.
LOCKED_TRIES = 10


def assert_equal_artifacts(
    project: Project, tracking_uri: str, run: Any, folder: Path
) -> None:
    """The run's artifacts, downloaded into `folder`, are the outputs in the project's
    folder.
    """
    folder.mkdir()
    client = MlflowClient(tracking_uri=tracking_uri)
    client.download_artifacts(run.info.run_id, "", str(folder))
    # Not the model's copy of the checkpoint, which lies deeper
    found = {
        file.name: file.read_bytes() for file in folder.glob("*/*") if file.is_file()
    }
    paths = artifact_paths(project.folder)
    for name in ("checkpoint", "spike_raster", "history", "energy_metrics"):
        output = project.folder / paths[name]
        assert found[output.name] == output.read_bytes(), output


def test_two_experiments_at_once_have_one_complete_run_each(
    recorded_project: Project, postgresql: PostgreSQL, s3: S3Store, tmp_path: Path
) -> None:
    """On the page's server: it alone knows the database's password and the store's
    keys.
    """
    # A copy: the experiments stay in the repository that they were run in.
    folder = tmp_path / "a project"
    shutil.copytree(recorded_project.folder, folder, symlinks=True)
    project = replace(recorded_project, folder=folder)
    before = len(project.all_runs())

    def run_on(server: str, name: str) -> None:
        for _ in range(LOCKED_TRIES):
            done = subprocess.run(
                [*DVC_EXPERIMENT, "--name", name, "-S", "=".join(EXPERIMENTS[name])],
                cwd=folder,
                env={**project.environment, "MLFLOW_TRACKING_URI": server},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=COMMAND_SECONDS,
            )
            if "Unable to acquire lock" not in done.stdout:
                break
        assert done.returncode == 0, f"{name}:\n{done.stdout}"
        assert "Traceback" not in done.stdout

    database = postgresql.create_database("mlflow")
    arguments = [
        "--backend-store-uri",
        database,
        "--artifacts-destination",
        s3.bucket("mlflow"),
    ]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **s3.environment()}
    with mlflow_server(arguments, environment, tmp_path) as server:
        with ThreadPoolExecutor() as pool:
            list(pool.map(run_on, [server] * len(EXPERIMENTS), EXPERIMENTS))
        client = MlflowClient(tracking_uri=server)
        runs = runs_of(client)
        assert sorted(run.info.run_name for run in runs) == sorted(EXPERIMENTS)
        for run in runs:
            name = run.info.run_name
            assert run.info.status == "FINISHED"
            key, value = EXPERIMENTS[name]
            assert run.data.params[key] == value
            assert run.info.artifact_uri.startswith("mlflow-artifacts:")
            curve = "by_epoch/validation_accuracy_percent"
            points = client.get_metric_history(run.info.run_id, curve)
            assert [point.step for point in points] == [1, 2]
            dvc(folder, project.environment, "exp", "apply", name)
            assert_equal_artifacts(project, server, run, tmp_path / name)
    git(folder, project.environment, "checkout", "-q", "--", ".")
    dvc(folder, project.environment, "checkout")
    # The project's own store is left alone.
    assert len(project.all_runs()) == before
    assert git(folder, project.environment, "status", "--porcelain") == ""


def test_a_database_without_a_server_is_enough(
    recorded_project: Project,
    postgresql: PostgreSQL,
    s3: S3Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever may reach the database and the store needs no server of MLflow's."""
    database, bucket = postgresql.create_database("direct"), s3.bucket("direct")
    folder, variables = recorded_project.folder, s3.environment()
    environment = {
        **recorded_project.environment,
        **variables,
        "PYTHONPATH": str(folder / "src"),
        "MLFLOW_TRACKING_URI": database,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": bucket,
    }
    program = Path(sys.executable).with_name("spikejoule")
    said = [run_command([program, "publish"], folder, environment) for _ in range(2)]
    (published,) = runs_of(MlflowClient(tracking_uri=database))
    assert published.info.status == "FINISHED"
    assert published.info.artifact_uri.startswith(f"{bucket}/")
    assert postgresql.password not in "".join(said)
    # The client reads the store's keys from the environment of these tests
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert_equal_artifacts(
        recorded_project, database, published, tmp_path / "downloaded"
    )
