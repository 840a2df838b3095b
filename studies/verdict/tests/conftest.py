"""Fixtures: the study's command in the tests' process, and a project with runs."""

from pathlib import Path

import pytest

from spikejoule.data.images import Dataset, LabelledImages
from studies.verdict import recording
from studies.verdict.__main__ import main
from studies.verdict.tests.runs import known_networks, write_test_images
from tests.tools.cli import Cli
from tests.tools.recorded import project as project_with_store

__all__ = ["project_with_store"]


@pytest.fixture
def project(
    project_with_store: Path, mnist5k: Dataset, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """A project whose runs have the networks that tests say."""
    images = mnist5k.test.select(slice(4))
    assert isinstance(images, LabelledImages)
    write_test_images(project_with_store, images)
    monkeypatch.setattr(recording, "counted_networks", known_networks)
    return project_with_store


@pytest.fixture
def study(capsys: pytest.CaptureFixture[str]) -> Cli:
    """`python -m studies.verdict judge`."""
    return Cli(capsys, lambda arguments: main(["judge", *arguments]))
