"""What searches begin with."""

from pathlib import Path

import pytest

from spikejoule.params import Params, load_params


@pytest.fixture
def params(repository: Path) -> Params:
    """Those of the project."""
    return load_params(repository / "params.yaml")
