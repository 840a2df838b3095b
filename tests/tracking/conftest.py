"""Fixtures of the tests of recorded runs."""

from pathlib import Path

import pytest

from spikejoule.tracking.store import Store
from tests.tools.recorded import project_folder, store_of


@pytest.fixture
def project(
    tmp_path: Path, repository: Path, empty_database: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """The folder of a project with a name that URIs quote, without a result, but with a store."""
    for variable in ("MLFLOW_TRACKING_URI", "MLFLOW_EXPERIMENT_NAME", "DVC_EXP_NAME"):
        monkeypatch.delenv(variable, raising=False)
    return project_folder(tmp_path / "a project, with 100 % odd name", repository, empty_database)


@pytest.fixture
def store(project: Path) -> Store:
    """Its store."""
    return store_of(project)
