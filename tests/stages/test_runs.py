"""Every run is in the one store, however DVC was started: real digits, in a clone."""

import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest

from spikejoule.params import load_params
from spikejoule.tracking.store import opened, project_store
from tests.tools.pipeline_tools import queue_workers, set_parameters, stages_that_ran
from tests.tools.pipeline_tools import run as run_command
from tests.tools.recorded_project import Project

pytestmark = [
    pytest.mark.slow,
    # One worker for all: others would queue the experiments again for themselves.
    pytest.mark.xdist_group("runs"),
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"),
    pytest.mark.skipif(
        os.name != "posix", reason="the stages' launcher is a shell script"
    ),
]

QUEUED = {
    "image-1": ("energy_report.figure_sample", "1"),  # trains nothing
    "slower": ("train.lr", "1e-05"),  # which DVC writes as text
}
CURVE = "by_epoch/validation_accuracy_percent"


class Workspace(Project):
    """A clone with results and without a store."""

    def spikejoule(self, *arguments: str) -> str:
        return run_command(["spikejoule", *arguments], self.folder, self.environment)


def copy_of(project: Project, folder: Path) -> Workspace:
    """The project and its cache, without its store."""
    return Workspace(project.copy_to(folder), project.environment)


@pytest.fixture(scope="module")
def workspace(
    recorded_project: Project, tmp_path_factory: pytest.TempPathFactory
) -> Workspace:
    return copy_of(recorded_project, tmp_path_factory.mktemp("runs") / "a workspace")


@pytest.fixture(scope="module")
def queued(workspace: Workspace) -> Mapping[str, Any]:
    """Run queued experiments on two workers; their runs by name.

    Meanwhile the code of the workspace is broken: a queued experiment has its own.
    """
    for name, (key, value) in QUEUED.items():
        workspace.dvc("exp", "run", "--queue", "--name", name, "-S", f"{key}={value}")
    code = workspace.folder / "stages" / "publish.py"
    before = code.read_text(encoding="utf-8")
    code.write_text("raise SystemExit('the code of the workspace')\n", encoding="utf-8")
    try:
        workspace.dvc("exp", "run", "--run-all", "--jobs", "2")
        status = workspace.dvc("queue", "status")
    finally:
        workspace.dvc("queue", "stop", "--kill")
        code.write_text(before, encoding="utf-8")
        stop_workers(workspace.folder)
    assert status.count("Success") == len(QUEUED), status
    return workspace.runs()


def stop_workers(folder: Path) -> None:
    """Kill the queue's workers that outlive the test."""
    _, alive = psutil.wait_procs(queue_workers(folder), timeout=20)
    for process in alive:
        process.kill()


def test_every_queued_experiment_is_a_complete_run(
    queued: Mapping[str, Any], workspace: Workspace
) -> None:
    assert set(queued) == set(QUEUED)
    parameters = load_params(workspace.folder / "params.yaml").flattened()
    for name, run in queued.items():
        assert run.info.status == "FINISHED"
        changed, value = QUEUED[name]
        expected = {key: str(given) for key, given in parameters.items()} | {
            changed: value
        }
        assert run.data.params == expected
        curve = workspace.client.get_metric_history(run.info.run_id, CURVE)
        assert [point.step for point in curve] == [1, 2]


def test_a_result_is_published_by_hand_under_the_name_of_its_experiment(
    queued: Mapping[str, Any], workspace: Workspace
) -> None:
    """In a copy without the store, as the documentation says."""
    copy = copy_of(workspace, workspace.folder.parent / "a copy")
    copy.dvc("exp", "apply", "slower")
    named = {**copy.environment, "DVC_EXP_NAME": "slower"}
    for _ in range(2):
        output = Workspace(copy.folder, named).spikejoule("publish")
    assert "holds this result already" in output
    (run,) = copy.all_runs()
    before = queued["slower"]
    assert run.info.run_name == "slower"
    assert run.info.status == "FINISHED"
    assert run.data.params == before.data.params
    assert run.data.metrics == before.data.metrics
    tag = "spikejoule.result_id"
    assert run.data.tags[tag] == before.data.tags[tag]
    assert copy.client.list_artifacts(run.info.run_id, "checkpoint")


def test_a_late_change_is_a_new_run_even_if_the_store_fails_at_first(
    recorded_project: Project, tmp_path: Path
) -> None:
    """In a copy with its store, at a path that URIs quote."""
    folder = tmp_path / "copied?%20"
    shutil.copytree(recorded_project.folder, folder, symlinks=True)
    clone = Workspace(folder, recorded_project.environment)
    set_parameters(folder, {"energy_report.figure_sample": 1})

    # A store that cannot be written: the result is kept, the run is not.
    database = folder.parent / "read-only.db"
    shutil.copy(folder / "mlflow.db", database)
    read_only = {"MLFLOW_TRACKING_URI": f"sqlite:///file:{database}?mode=ro&uri=true"}
    environment = {**clone.environment, **read_only}
    command = [sys.executable, "-m", "dvc", "repro"]
    output = run_command(command, folder, environment, status=255)
    assert stages_that_ran(output) == ["energy_report", "publish"]
    (line,) = (line for line in output.splitlines() if line.startswith("error: "))
    assert "(attempt to write a readonly database)" in line
    assert "Traceback" not in output

    # The project's own store.
    assert stages_that_ran(clone.dvc("repro")) == ["publish"]
    again = clone.dvc("repro", "--force", "--single-item", "publish")
    assert "holds this result already; nothing added" in again
    with opened(project_store(folder, "spikejoule", {})) as (client, experiment_id):
        runs = client.search_runs([experiment_id], order_by=["attributes.start_time"])
        versions = client.search_model_versions()
    earlier, new = runs
    (before,) = recorded_project.all_runs()
    assert earlier.info.run_id == before.info.run_id
    assert new.info.status == "FINISHED"
    assert new.data.params["energy_report.figure_sample"] == "1"
    assert len(client.get_metric_history(new.info.run_id, CURVE)) == 2
    models = {version.run_id: version.source for version in versions}
    assert models == {run.info.run_id: f"{run.info.artifact_uri}/model" for run in runs}
