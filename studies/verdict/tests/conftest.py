"""The study's command, called in the tests' own process, and projects with recorded runs."""

import shutil
from pathlib import Path

import pytest

from studies.verdict.__main__ import main
from tests.tools.pipeline_tools import artifact_paths, set_parameters
from tests.tools.recorded import project_folder


class Study:
    """`python -m studies.verdict judge` with some arguments: what it prints, or how it fails."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def text(self, *arguments: str | Path) -> str:
        assert main(["judge", *map(str, arguments)]) == 0
        return self._capsys.readouterr().out

    def refusal(self, *arguments: str | Path) -> str:
        """The one line of an error."""
        assert main(["judge", *map(str, arguments)]) == 1
        said = self._capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("error: ")
        assert said.err.count("\n") == 1
        return said.err


@pytest.fixture
def study(capsys: pytest.CaptureFixture[str]) -> Study:
    return Study(capsys)


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
