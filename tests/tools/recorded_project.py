"""A clone in which DVC has run the pipeline: once for all workers, a copy for each."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.tools.made_once import made_once
from tests.tools.pipeline_tools import (
    artifact_paths,
    clean_environment,
    clone_of_working_tree,
    commit,
    dvc,
    git,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

PARAMETERS = {
    "data.source": "mnist5k",
    "train.max_epochs": 2,
    # Half of the time of the report, which every experiment makes again.
    "energy_report.bootstrap_samples": 100,
    "baseline.family_hidden": [30],
}


@dataclass(frozen=True)
class Project:
    """A clone of the project in which the pipeline has run, with its results committed.

    Attributes:
        folder: its root.
        environment: of a shell in which the tests' virtual environment is active.
        output: DVC's output when it ran the pipeline.
    """

    folder: Path
    environment: Mapping[str, str]
    output: str = ""

    def path(self, name: str) -> Path:
        """Path of an artifact."""
        return self.folder / artifact_paths(self.folder)[name]

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def client(self) -> "MlflowClient":
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.tracking_uri)

    def dvc(self, *arguments: str) -> str:
        return dvc(self.folder, self.environment, *arguments)

    def git(self, *arguments: str) -> str:
        return git(self.folder, self.environment, *arguments)

    def all_runs(self) -> list[Any]:
        """List the runs in the project's store, oldest first."""
        return runs_of(self.client)

    def runs(self) -> dict[str, Any]:
        """Return the runs by name; AssertionError if a name occurs twice."""
        everything = self.all_runs()
        by_name = {run.info.run_name: run for run in everything}
        assert len(by_name) == len(everything)
        return by_name

    def copy_to(self, folder: Path) -> Path:
        """Copy the project and its cache, without its store; return `folder`."""
        aside = shutil.ignore_patterns(
            "mlflow.db*", "mlartifacts", "dvc_plots", ".cache"
        )
        shutil.copytree(self.folder, folder, symlinks=True, ignore=aside)
        shutil.rmtree(folder / ".dvc" / "tmp")
        return folder


def runs_of(client: "MlflowClient") -> list[Any]:
    """List the runs of the experiment `spikejoule`, oldest first."""
    experiment = client.get_experiment_by_name("spikejoule")
    assert experiment is not None
    order = ["attributes.start_time"]
    return list(client.search_runs([experiment.experiment_id], order_by=order))


@pytest.fixture(scope="session")
def recorded_project(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Project:
    """This worker's copy, at a path with a space; its store links to the original's."""

    def record(folder: Path) -> None:
        output = run_pipeline(repository, folder / "a project")
        (folder / "output").write_text(output, encoding="utf-8")

    original = made_once(tmp_path_factory, "recorded", record)
    folder = tmp_path_factory.mktemp("copy of recorded") / "a project"
    shutil.copytree(original / "a project", folder, symlinks=True)
    # MLflow keeps absolute addresses: the runs' files are those of the original.
    shutil.rmtree(folder / "mlartifacts")
    (folder / "mlartifacts").symlink_to(original / "a project" / "mlartifacts")
    build_environment(folder)
    output = (original / "output").read_text(encoding="utf-8")
    return Project(folder, clean_environment(folder.parent), output)


def build_environment(folder: Path) -> None:
    """Make the tests' environment look like the .venv that make built, with extras."""
    environment = folder / ".venv"
    environment.mkdir()
    for part in ("bin", "lib", "pyvenv.cfg"):
        (environment / part).symlink_to(Path(sys.prefix) / part)
    # Newer than their prerequisites, so that make installs nothing.
    for extra in ("", "-dev", "-docs", "-plots", "-search"):
        (environment / f".installed{extra}").touch()


def run_pipeline(repository: Path, folder: Path) -> str:
    """Make a clone, run the pipeline there, commit the results; return DVC's output."""
    environment = clean_environment(folder.parent)
    clone_of_working_tree(repository, folder, environment, PARAMETERS)
    output = dvc(folder, environment, "repro")
    commit(folder, environment, "Results")
    return output
