"""Fixtures of the tests that follow pages."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.tools.pages import Reader
from tests.tools.recorded_project import Project
from tests.tools.services import WITHOUT_JOBS, free_port


@pytest.fixture
def reader(recorded_project: Project, tmp_path: Path) -> Iterator[Reader]:
    """A reader with a copy of the project and its environment."""
    folder = tmp_path / "spikejoule"
    shutil.copytree(recorded_project.folder, folder, symlinks=True)
    port = free_port()
    variables = {
        "PYTHONPATH": f"{folder / 'src'}:{folder}",
        "TEST_PORT": str(port),
        "TEST_SERVER": f"http://127.0.0.1:{port}",
    }
    environment = {**recorded_project.environment, **WITHOUT_JOBS, **variables}
    with ExitStack() as servers:
        yield Reader(folder, environment, servers)
