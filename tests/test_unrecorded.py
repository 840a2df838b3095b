"""What was not recorded in MLflow: how it is noted. (That it is recorded later: test_runs.py.)"""

import json
import logging
import shutil
from pathlib import Path

import pytest

from spikejoule.foundation.errors import StoreError
from stages import publish, unrecorded
from tests.pipeline_tools import clean_environment, git

NUMBER = Path("metrics/unrecorded.json")


@pytest.fixture
def project(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project under git, with an experiment's folder, which is the working directory."""
    root = tmp_path / "project"
    folder = root / ".dvc" / "tmp" / "exps" / "tmp1"
    for place in (root, folder):
        (place / NUMBER).parent.mkdir(parents=True)
        shutil.copy(repository / NUMBER, place / NUMBER)
    git(root, clean_environment(tmp_path), "init", "-q")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_EXP_NAME", "away")
    return root


def number(folder: Path) -> int:
    return int(json.loads((folder / NUMBER).read_text())["recording_failures"])


def test_an_experiment_is_noted_in_its_folder_and_at_the_root(project: Path) -> None:
    before, size = number(project), (project / NUMBER).stat().st_size
    inode = (project / NUMBER).stat().st_ino
    unrecorded.remember(project)
    unrecorded.remember(project)
    assert number(project) == number(Path()) == before + 2
    # A full disk has room for neither another file nor a longer one.
    assert ((project / NUMBER).stat().st_ino, (project / NUMBER).stat().st_size) == (inode, size)
    assert [note.name for note in (project / ".cache" / "unrecorded").iterdir()] == ["away"]


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_an_experiment_that_dvc_has_not_committed_yet_is_waited_for(project: Path) -> None:
    unrecorded.remember(project)
    assert not unrecorded.record_experiments(project)
    assert (project / ".cache" / "unrecorded" / "away").exists()


def test_what_cannot_even_be_noted_is_said(project: Path, caplog: pytest.LogCaptureFixture) -> None:
    (project / NUMBER).unlink()
    with caplog.at_level(logging.WARNING):
        publish._remember(project, StoreError("the run was not recorded"))
    (warning,) = caplog.messages
    assert warning.startswith("the run was not recorded; all other outputs are complete, and")
    assert "`spikejoule publish` records it, since this could not be noted" in warning
    assert str(NUMBER) in warning
