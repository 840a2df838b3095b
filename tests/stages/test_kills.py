"""kill -9 of the stage, of DVC, and of both while networks are trained, in a clone.

A few; SPIKEJOULE_KILLS=50 makes a campaign of as many, on longer trainings.
"""

import os
import random
import shutil
from pathlib import Path

import pytest

from spikejoule.params import load_params
from tests.tools.kills import LONGER, Project
from tests.tools.pipeline_tools import set_parameters, stages_that_ran
from tests.tools.recorded_project import Project as RecordedProject

pytestmark = [
    pytest.mark.slow,
    # Minutes of one worker: a group begins early.
    pytest.mark.xdist_group("kills"),
    pytest.mark.skipif(shutil.which("git") is None, reason="needs git"),
    pytest.mark.skipif(os.name != "posix", reason="the stages' launcher is a shell script"),
]


KILLS = int(os.environ.get("SPIKEJOULE_KILLS", "4"))
"""So many; a campaign of more kills longer trainings."""
WRITING_SECONDS = 2.0
"""After the last epoch, in which outputs are written, and hashed by DVC."""


@pytest.fixture
def project(recorded_project: RecordedProject, tmp_path: Path) -> Project:
    """The project without its store, whose results are those of an undisturbed run."""
    folder = recorded_project.copy_to(tmp_path / "a clone")
    project = Project(folder, recorded_project.environment, draw=random.Random(5))
    if "SPIKEJOULE_KILLS" in os.environ:
        set_parameters(folder, LONGER)
        project.dvc("repro", "train")
    return project


def test_kills_end_with_the_same_bytes_and_one_run(project: Project) -> None:
    expected = project.digests()
    longest = max(project.training_seconds(stage) for stage in ("baseline", "train"))
    while len(project.kills) < KILLS:
        project.forget_training()
        project.survive(6, longest + WRITING_SECONDS)
        assert project.digests() == expected, project.kills
    output = project.dvc("repro")
    assert stages_that_ran(output)[-1] == "publish"
    assert len(project.all_runs()) == 1
    epochs = load_params(project.folder / "params.yaml").train.max_epochs
    assert project.epochs_shown() == list(range(1, epochs + 1))
    assert not list((project.folder / ".resume").iterdir())
