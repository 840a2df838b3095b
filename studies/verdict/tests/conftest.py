"""Fixtures: the study's command in the tests' process, and a project with runs."""

import pytest

from studies.verdict.__main__ import main
from tests.tools.cli import Cli
from tests.tools.recorded import project

__all__ = ["project"]


@pytest.fixture
def study(capsys: pytest.CaptureFixture[str]) -> Cli:
    """`python -m studies.verdict judge`."""
    return Cli(capsys, lambda arguments: main(["judge", *arguments]))
