"""The study's command, called in the tests' own process, and projects with recorded runs."""

import shutil
from pathlib import Path

import pytest

from studies.verdict.__main__ import main
from tests.tools.cli import Cli
from tests.tools.pipeline_tools import artifact_paths, set_parameters
from tests.tools.recorded import project_folder


@pytest.fixture
def study(capsys: pytest.CaptureFixture[str]) -> Cli:
    """`python -m studies.verdict judge` with some arguments."""
    return Cli(capsys, lambda arguments: main(["judge", *arguments]))


@pytest.fixture
def project(
    tmp_path: Path, repository: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project with prices and an empty store."""
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)
    folder = project_folder(tmp_path / "project", repository, empty_database)
    set_parameters(folder, {"energy_report.bootstrap_samples": 100})
    prices = artifact_paths(repository)["hardware"]
    (folder / prices).parent.mkdir(parents=True)
    shutil.copy(repository / prices, folder / prices)
    return folder
