"""Every run in the one store, whatever way DVC was started: real digits, in a clone."""

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
OUTPUTS_OF_TRAINING = (
    "models/trained.pth",
    "results/train.json",
    "metrics/history.csv",
)
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
    """The runs of the queued experiments on two workers, by name.

    After they were queued, the workspace's code is broken; it is mended before the
    fixture ends.
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
    """See to it that no worker of the queue outlives the test, whatever became of
    it.
    """
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


def test_experiments_are_published_from_the_workspace(
    queued: Mapping[str, Any], workspace: Workspace
) -> None:
    """In a copy without the store, as the page says."""
    copy = copy_of(workspace, workspace.folder.parent / "a copy")
    for name in ("slower", "slower", "image-1"):
        copy.dvc("exp", "apply", name)
        named = {**copy.environment, "DVC_EXP_NAME": name}
        Workspace(copy.folder, named).spikejoule("publish")
    runs = copy.runs()
    assert set(runs) == {"slower", "image-1"}
    for name, run in runs.items():
        before = queued[name]
        assert run.info.status == "FINISHED"
        assert run.data.params == before.data.params
        assert run.data.metrics == before.data.metrics
        tag = "spikejoule.result_id"
        assert run.data.tags[tag] == before.data.tags[tag]
        assert copy.client.list_artifacts(run.info.run_id, "checkpoint")


def test_a_late_change_makes_a_complete_run_and_doing_it_again_adds_nothing(
    recorded_project: Project, tmp_path: Path
) -> None:
    """In a copy with its store."""
    folder = tmp_path / "copied?%20"
    shutil.copytree(recorded_project.folder, folder, symlinks=True)
    clone = Workspace(folder, recorded_project.environment)
    (before,) = recorded_project.all_runs()
    set_parameters(clone.folder, {"energy_report.figure_sample": 1})
    assert stages_that_ran(clone.dvc("repro")) == ["energy_report", "publish"]
    again = clone.dvc("repro", "--force", "--single-item", "publish")
    assert "holds this result already; nothing added" in again
    assert "holds this result already" in clone.spikejoule("publish")
    with opened(project_store(folder, "spikejoule", {})) as (client, experiment_id):
        runs = client.search_runs([experiment_id], order_by=["attributes.start_time"])
        versions = client.search_model_versions()
    earlier, new = runs
    assert earlier.info.run_id == before.info.run_id
    assert new.info.status == "FINISHED"
    assert new.data.params["energy_report.figure_sample"] == "1"
    assert len(client.get_metric_history(new.info.run_id, CURVE)) == 2
    models = {version.run_id: version.source for version in versions}
    assert models == {run.info.run_id: f"{run.info.artifact_uri}/model" for run in runs}


def test_a_refused_parameter_costs_no_result(
    recorded_project: Project, tmp_path: Path
) -> None:
    """DVC removes outputs before the stage refuses; the message says how they come
    back.
    """
    clone = copy_of(recorded_project, tmp_path / "clone")
    shutil.copy(recorded_project.folder / "mlflow.db", clone.folder)
    outputs = [clone.folder / name for name in OUTPUTS_OF_TRAINING]
    before = [path.read_bytes() for path in outputs]
    command = [sys.executable, "-m", "dvc", "exp", "run", "-S", "train.lr=fast"]
    said = run_command(command, clone.folder, clone.environment, status=255)
    errors = [line for line in said.splitlines() if line.startswith("error: ")]
    assert "train.lr: 'fast'" in errors[0]
    assert not any(path.exists() for path in outputs)
    restore, repeat = errors[1].split("`")[1::2]
    run_command(restore.split(), clone.folder, clone.environment)
    assert not stages_that_ran(
        run_command(repeat.split(), clone.folder, clone.environment)
    )
    assert [path.read_bytes() for path in outputs] == before
    assert not clone.git("status", "--porcelain")


def test_what_a_store_did_not_take_is_recorded_by_the_next_repro(
    recorded_project: Project, tmp_path: Path
) -> None:
    clone = copy_of(recorded_project, tmp_path / "clone")
    database = clone.folder.parent / "store.db"
    shutil.copy(recorded_project.folder / "mlflow.db", database)
    unwritable = {"MLFLOW_TRACKING_URI": f"sqlite:///file:{database}?mode=ro&uri=true"}
    environment = {**clone.environment, **unwritable}
    set_parameters(clone.folder, {"energy_report.figure_sample": 1})
    command = [sys.executable, "-m", "dvc", "repro"]
    said = run_command(command, clone.folder, environment, status=255)
    assert stages_that_ran(said) == ["energy_report", "publish"]
    (line,) = (line for line in said.splitlines() if line.startswith("error: "))
    assert "(attempt to write a readonly database)" in line
    assert "Traceback" not in said
    assert stages_that_ran(clone.dvc("repro")) == ["publish"], "all before it was kept"
    (run,) = clone.all_runs()
    assert run.info.status == "FINISHED"
    (version,) = clone.client.search_model_versions()
    assert version.run_id == run.info.run_id
