"""Fixtures: the study's command in the tests' process, and a project with runs."""

from pathlib import Path

import pytest

from spikejoule.data.dataset import Dataset
from spikejoule.data.images import LabelledImages
from studies.verdict.__main__ import main
from tests.tools.cli import Cli
from tests.tools.recorded import project as project_with_store

__all__ = ["project_with_store"]


@pytest.fixture
def project(project_with_store: Path, mnist5k: Dataset) -> Path:
    """A project with 40 test images and an empty store."""
    # Imported here, because other tests of the study need no PyTorch.
    from studies.verdict.tests.runs import write_test_images

    images = mnist5k.test.select(slice(40))
    assert isinstance(images, LabelledImages)
    write_test_images(project_with_store, images)
    return project_with_store


@pytest.fixture
def study(capsys: pytest.CaptureFixture[str]) -> Cli:
    """`python -m studies.verdict judge`."""
    return Cli(capsys, lambda arguments: main(["judge", *arguments]))
