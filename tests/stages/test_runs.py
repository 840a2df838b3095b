"""Every run is in the one store, however DVC was started: real digits, in a clone."""

import shutil
import sys
from pathlib import Path

import psutil
import pytest

from spikejoule.params import load_params
from spikejoule.tracking.registry import SHOWN_METRICS
from spikejoule.tracking.store import opened, project_store
from tests.tools.pipeline_tools import (
    queue_workers,
    run,
    set_parameters,
    stages_that_ran,
)
from tests.tools.recorded_project import Project
from tests.tools.services import on_one_worker

# One worker for both: each worker copies the recorded project for itself.
pytestmark = [pytest.mark.slow, *on_one_worker("runs")]

CHANGED = "energy_report.figure_sample"
QUEUED = {"image-1": "1", "image-2": "2"}
CURVE = "by_epoch/validation_accuracy_percent"


def run_queued(workspace: Project) -> None:
    """Run queued experiments on two workers.

    Meanwhile the code of the workspace is broken: a queued experiment has its own.
    """
    for name, value in QUEUED.items():
        setting = f"{CHANGED}={value}"
        workspace.dvc("exp", "run", "--queue", "--name", name, "-S", setting)
    code = workspace.folder / "stages" / "publish.py"
    before = code.read_text(encoding="utf-8")
    code.write_text("raise SystemExit('the code of the workspace')\n", encoding="utf-8")
    try:
        dvc = [sys.executable, "-m", "dvc", "exp", "run", "--run-all", "--jobs", "2"]
        command = [sys.executable, "-m", "stages.group", "sweep", "of", "images", "--"]
        run([*command, *dvc], workspace.folder, workspace.environment)
        status = workspace.dvc("queue", "status")
    finally:
        workspace.dvc("queue", "stop", "--kill")
        code.write_text(before, encoding="utf-8")
        stop_workers(workspace.folder)
    assert status.count("Success") == len(QUEUED), status


def stop_workers(folder: Path) -> None:
    """Kill the queue's workers that outlive the test."""
    _, alive = psutil.wait_procs(queue_workers(folder), timeout=20)
    for process in alive:
        process.kill()


def test_queued_experiments_are_complete_runs(
    recorded_project: Project, tmp_path: Path
) -> None:
    """In a copy without a store, which both workers would create."""
    workspace = Project(
        recorded_project.copy_to(tmp_path / "a workspace"), recorded_project.environment
    )
    run_queued(workspace)
    assert workspace.git("status", "--porcelain") == "", "the workspace has not changed"
    runs = workspace.runs()
    parent = runs.pop("sweep of images")
    assert set(runs) == set(QUEUED)
    parameters = load_params(workspace.folder / "params.yaml").flattened()
    for name, queued in runs.items():
        assert queued.info.status == "FINISHED"
        assert queued.data.tags["mlflow.parentRunId"] == parent.info.run_id
        expected = {key: str(value) for key, value in parameters.items()}
        assert queued.data.params == expected | {CHANGED: QUEUED[name]}
        curve = workspace.client.get_metric_history(queued.info.run_id, CURVE)
        assert [point.step for point in curve] == [1, 2]


def test_a_late_change_is_a_new_run_even_if_the_store_fails_at_first(
    recorded_project: Project, tmp_path: Path
) -> None:
    """In a copy with its store, at a path that URIs quote."""
    folder = tmp_path / "copied?%20"
    shutil.copytree(recorded_project.folder, folder, symlinks=True)
    clone = Project(folder, recorded_project.environment)
    set_parameters(folder, {CHANGED: 1})

    # A store that cannot be written: the result is kept, the run is not.
    database = folder.parent / "read-only.db"
    shutil.copy(folder / "mlflow.db", database)
    read_only = {"MLFLOW_TRACKING_URI": f"sqlite:///file:{database}?mode=ro&uri=true"}
    environment = {**clone.environment, **read_only}
    command = [sys.executable, "-m", "dvc", "repro"]
    output = run(command, folder, environment, status=255)
    assert stages_that_ran(output) == ["parameters", "energy_report", "publish"]
    (line,) = (line for line in output.splitlines() if line.startswith("error: "))
    assert "(attempt to write a readonly database)" in line
    assert "Traceback" not in output

    # The project's own store.
    assert stages_that_ran(clone.dvc("repro")) == ["publish"]
    with opened(project_store(folder, "spikejoule", {})) as (client, experiment_id):
        runs = client.search_runs([experiment_id], order_by=["attributes.start_time"])
        versions = client.search_model_versions()
        models = client.search_logged_models([experiment_id])
    earlier, new = runs
    (before,) = recorded_project.all_runs()
    assert earlier.info.run_id == before.info.run_id
    assert new.info.status == "FINISHED"
    assert new.data.params[CHANGED] == "1"
    assert len(client.get_metric_history(new.info.run_id, CURVE)) == 2
    # Each run's model is on the experiment's page of models, with its metrics.
    sources = {version.run_id: version.source for version in versions}
    assert sources == {model.source_run_id: model.artifact_location for model in models}
    assert sources.keys() == {recorded.info.run_id for recorded in runs}
    for model in models:
        assert model.status == "READY"
        assert {metric.key for metric in model.metrics} == {*SHOWN_METRICS}
