"""What was not recorded in MLflow: how it is noted. (That it is recorded later: test_runs.py.)"""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from spikejoule.core.errors import StoreError
from spikejoule.params import load_params
from spikejoule.tracking import Publication
from stages import publish, unrecorded
from tests.tools.pipeline_tools import clean_environment, git

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


def call_publish(
    project: Path, monkeypatch: pytest.MonkeyPatch, outcome: Publication | StoreError
) -> None:
    """The stage in the experiment's folder, up to what the store answers."""

    def answer(*_: Any, **__: Any) -> Publication:
        if isinstance(outcome, StoreError):
            raise outcome
        return outcome

    monkeypatch.setattr(publish, "check_against_lock", lambda *_: {})
    monkeypatch.setattr(publish, "build_run_record", lambda *_, **__: None)
    monkeypatch.setattr(publish, "project_root", lambda: project)
    monkeypatch.setattr(publish, "publish", answer)
    paths = {name: Path(name) for name in publish.PATHS}
    params = load_params(Path(__file__).parents[2] / "params.yaml")
    publish.main(paths, params)


def test_a_version_that_is_missing_is_noted_like_a_run(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = number(project)
    call_publish(project, monkeypatch, Publication("run", added=True, is_complete=False))
    assert number(project) == number(Path()) == before + 1
    assert [note.name for note in (project / ".cache" / "unrecorded").iterdir()] == ["away"]


@pytest.mark.parametrize(
    "outcome",
    [StoreError("the run was not recorded"), Publication("run", added=True, is_complete=False)],
    ids=["run", "version"],
)
def test_what_cannot_even_be_noted_is_said(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    outcome: Publication | StoreError,
) -> None:
    (project / NUMBER).unlink()
    with caplog.at_level(logging.INFO, logger="stages.publish"):
        call_publish(project, monkeypatch, outcome)
    warning = caplog.messages[-1]
    assert warning.startswith(("the run was not recorded; all other outputs are", "its version"))
    assert "`spikejoule publish` records it, since this could not be noted" in warning
    assert str(NUMBER) in warning
