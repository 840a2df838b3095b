"""Fixtures of the tests of recorded runs."""

from pathlib import Path

import pytest

from spikejoule.tracking.store import Store
from tests.tools.recorded import project, store_of

__all__ = ["project"]


@pytest.fixture
def store(project: Path) -> Store:
    """Its store."""
    return store_of(project)
