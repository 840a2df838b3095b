"""A clone in which DVC has run the whole pipeline: once for all workers, and a copy for each."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

from tests.tools.pipeline_tools import clean_environment, clone_of_working_tree, commit, dvc

PARAMETERS = {
    "data.source": "mnist5k",
    "train.max_epochs": 2,
    # A third of what the report takes, which every experiment makes anew
    "energy_report.bootstrap_samples": 100,
}


@dataclass(frozen=True)
class Project:
    """A clone of the project in which the pipeline has run, with its results committed.

    Attributes:
        folder: its root; the path has a space.
        environment: of a shell in which the tests' virtual environment is active.
        output: what DVC said when it ran the pipeline.
    """

    folder: Path
    environment: Mapping[str, str]
    output: str

    @property
    def tracking_uri(self) -> str:
        return f"sqlite:///{self.folder / 'mlflow.db'}"


@pytest.fixture(scope="session")
def recorded_project(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """This worker's copy; the files in its MLflow store are those of the original."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    original, output = shared / "recorded" / "a project", shared / "recorded" / "output"
    with FileLock(shared / "recorded.lock"):
        if not output.exists():
            shutil.rmtree(output.parent, ignore_errors=True)
            output.parent.mkdir()
            output.write_text(run_pipeline(repository, original), encoding="utf-8")
    folder = tmp_path_factory.mktemp("recorded") / "a project"
    shutil.copytree(original, folder, symlinks=True)
    # The environment of these tests, where the Makefile would have built it
    (folder / ".venv").symlink_to(sys.prefix)
    with (folder / ".git" / "info" / "exclude").open("a", encoding="utf-8") as stream:
        stream.write("/.venv\n")
    return Project(folder, clean_environment(folder.parent), output.read_text(encoding="utf-8"))


def run_pipeline(repository: Path, folder: Path) -> str:
    """Make `folder` a clone, run the pipeline there and commit its results; what DVC said."""
    environment = clean_environment(folder.parent)
    clone_of_working_tree(repository, folder, environment, PARAMETERS)
    output = dvc(folder, environment, "repro")
    commit(folder, environment, "Results")
    return output
