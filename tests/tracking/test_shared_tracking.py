"""A result published by hand in a team's store, chosen by variables only.

Runs are in PostgreSQL, artifacts in S3. The page on sharing a server, which is a
test too, runs an experiment on MLflow's server in front of both.
"""

import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.tools.pipeline_tools import run
from tests.tools.recorded_project import Project, runs_of
from tests.tools.services import SHARED, PostgreSQL, S3Store

pytestmark = [pytest.mark.slow, *SHARED]


def test_a_database_without_a_server_is_enough(
    recorded_project: Project,
    postgresql: PostgreSQL,
    s3: S3Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = postgresql.create_database("direct")
    bucket = s3.bucket("direct")
    folder = recorded_project.folder
    environment = {
        **recorded_project.environment,
        **s3.environment(),
        "PYTHONPATH": str(folder / "src"),
        "DVC_EXP_NAME": "by-hand",
        "MLFLOW_TRACKING_URI": database,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": bucket,
    }
    program = Path(sys.executable).with_name("spikejoule")
    output = run([program, "publish"], folder, environment)
    assert postgresql.password not in output
    client = MlflowClient(tracking_uri=database)
    (published,) = runs_of(client)
    assert published.info.status == "FINISHED"
    assert published.info.run_name == "by-hand"
    (recorded,) = recorded_project.all_runs()
    assert published.data.params == recorded.data.params
    of_machine = {name for name in recorded.data.metrics if name.startswith("system/")}
    assert published.data.metrics.keys() == recorded.data.metrics.keys() - of_machine
    tag = "spikejoule.result_id"
    assert published.data.tags[tag] == recorded.data.tags[tag]
    assert published.info.artifact_uri.startswith(f"{bucket}/")

    # MLflow's client reads the keys from the environment of this test.
    for name, value in s3.environment().items():
        monkeypatch.setenv(name, value)
    client.download_artifacts(published.info.run_id, "", str(tmp_path))
    # Not the model's copy of the checkpoint, which is in a deeper folder.
    files = {file.name: file for file in tmp_path.glob("*/*") if file.is_file()}
    for name in ("checkpoint", "spike_raster", "history", "energy_metrics"):
        output_file = recorded_project.path(name)
        assert files[output_file.name].read_bytes() == output_file.read_bytes()
