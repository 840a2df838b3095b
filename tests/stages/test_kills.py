"""kill -9 of the stage, of DVC, and of both while networks are trained, in a clone."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.tools.kills import Project
from tests.tools.pipeline_tools import stages_that_ran
from tests.tools.recorded_project import Project as RecordedProject

pytestmark = [
    pytest.mark.slow,
    # Minutes of one worker: a group begins early.
    pytest.mark.xdist_group("kills"),
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"),
    pytest.mark.skipif(os.name != "posix", reason="the stages' launcher is a shell script"),
]


@pytest.fixture
def project(recorded_project: RecordedProject, tmp_path: Path) -> Project:
    """The project without its store, whose results are those of an undisturbed run."""
    folder = recorded_project.copy_to(tmp_path / "a clone")
    return Project(folder, recorded_project.environment, draw=random.Random(5))


def test_six_kills_end_with_the_same_bytes_and_one_run(project: Project) -> None:
    expected = project.digests()
    longest = max(project.training_seconds(stage) for stage in ("baseline", "train"))
    project.forget_training()
    project.survive(6, longest)
    assert project.digests() == expected
    assert len(project.kills) >= 4, "too quick for the kills"
    output = project.dvc("repro")
    assert stages_that_ran(output)[-1] == "publish"
    assert len(project.all_runs()) == 1
    assert project.epochs_shown() == [1, 2]
    assert not list((project.folder / ".resume").iterdir())
