"""Fixtures that several test modules share."""

import gc
import logging
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from spikejoule.data.dataset import Dataset
from spikejoule.data.sources.mnist5k import load_mnist5k
from tests.tools.made_once import made_once
from tests.tools.without_torch import WITH_TORCH

# Tests that a shell starts in the background would ignore Ctrl-C otherwise.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Workers of pytest-xdist share the cores: a waiting thread must not spin.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# What commands print follows it.
os.environ["COLUMNS"] = "100"

# Fixtures that start other programs
pytest_plugins = [
    "tests.tools.browser",
    "tests.tools.cli",
    "tests.tools.committed",
    *(["tests.tools.finished_project"] if WITH_TORCH else []),
    "tests.tools.recorded_project",
    "tests.tools.services",
]

REPOSITORY = Path(__file__).resolve().parent

# Machines for tests are shared: a slow example is not a failure, and a failure must
# repeat. Most spaces are small; a test of a large one sets its own number of examples.
settings.register_profile(
    "spikejoule", deadline=None, derandomize=True, print_blob=True, max_examples=50
)
settings.load_profile("spikejoule")


def restore_logging() -> None:
    """Undo what stages and MLflow's database migrations do to logging."""
    root = logging.getLogger()
    for handler in list(root.handlers):
        if type(handler.formatter).__module__ == "stages.shared.common":
            root.removeHandler(handler)
    for name in list(root.manager.loggerDict):
        if name.partition(".")[0] in ("spikejoule", "stages"):
            logging.getLogger(name).disabled = False


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Skip a module that cannot be imported without PyTorch, if it is not installed."""
    report = yield
    if (
        not WITH_TORCH
        and report.failed
        and "No module named 'torch'" in str(report.longrepr)
    ):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, "Skipped: needs PyTorch")
    return report


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> Generator[None, int, int]:
    """Use two more workers than cores for slow tests, which wait for servers."""
    n_workers = yield
    return n_workers + 2 * (config.getoption("markexpr") == "slow")


def pytest_collection_finish() -> None:
    """Exclude the objects of imports from garbage collection."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long tests first, so that short ones fill the workers at the end.

    Tests that one worker must run alone come first. Those that need the recorded
    project, which take longest of the others, come before the rest; among the first
    they come last: while one worker records it, others have something to do.
    """

    def priority(item: pytest.Item) -> int:
        is_recorded = "recorded_project" in getattr(item, "fixturenames", ())
        if item.get_closest_marker("xdist_group") is None:
            return 2 if is_recorded else 3
        return 1 if is_recorded else 0

    items.sort(key=priority)


@pytest.fixture(autouse=True)
def logging_of_pytest() -> Iterator[None]:
    """Remove handlers of stages, before and after: their streams may be closed."""
    restore_logging()
    yield
    restore_logging()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_mnist_directory() -> Path:
    """The directory with the four files of MNIST; without it, the test is skipped."""
    given = os.environ.get("MNIST_DIR")
    directory = Path(given) if given else REPOSITORY.parent / "shared" / "mnist"
    if not directory.is_dir():
        pytest.skip(f"needs the real MNIST in $MNIST_DIR or {directory}")
    return directory


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database without experiments, to copy: making one takes seconds."""
    from mlflow import MlflowClient

    def create(folder: Path) -> None:
        MlflowClient(
            tracking_uri=f"sqlite:///{folder / 'mlflow.db'}"
        ).search_experiments()

    return made_once(tmp_path_factory, "database", create) / "mlflow.db"


@pytest.fixture(scope="session")
def mnist5k() -> Dataset:
    """The packaged digits: 4,000 and 1,000 images."""
    return load_mnist5k()
