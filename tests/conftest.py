"""Fixtures that several test modules share."""

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from spikejoule.data import Dataset
from spikejoule.sources import load_directory, load_mnist5k

REPOSITORY = Path(__file__).resolve().parents[1]

# The machines that run the tests are shared: a slow example is no failure, and a failure must
# repeat.
settings.register_profile("spikejoule", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("spikejoule")


@pytest.fixture(autouse=True)
def root_logging() -> Iterator[None]:
    """Leave the root logger as it was: a handler of a stage would outlive its stream."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_mnist_directory() -> Path:
    """The directory with the four real files of MNIST; the test is skipped where there is none."""
    given = os.environ.get("MNIST_DIR")
    directory = Path(given) if given else REPOSITORY.parent / "shared" / "mnist"
    if not directory.is_dir():
        pytest.skip(f"needs the real MNIST in $MNIST_DIR or {directory}")
    return directory


@pytest.fixture(scope="session")
def real_mnist(real_mnist_directory: Path) -> Dataset:
    """The full MNIST: 60,000 and 10,000 images."""
    return load_directory(real_mnist_directory)


@pytest.fixture(scope="session")
def mnist5k() -> Dataset:
    """The 5,000 real digits that need no network: 4,000 and 1,000 images."""
    return load_mnist5k()
