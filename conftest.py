"""Fixtures that several test modules share."""

import gc
import logging
import os
import signal
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from spikejoule.data.images import Dataset
from spikejoule.data.sources.mnist5k import load_mnist5k
from tests.tools.made_once import made_once
from tests.tools.without_torch import WITH_TORCH

# A shell that starts tests in the background has them, and what they start, ignore
# Ctrl-C.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Workers of pytest-xdist share the cores: a thread that waits leaves its core to
# another worker.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
    os.environ.setdefault("OMP_NUM_THREADS", "1")

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

# The machines that run the tests are shared: a slow example is no failure, and a
# failure must repeat. Most spaces are small; where one is large, its test says so.
settings.register_profile(
    "spikejoule", deadline=None, derandomize=True, print_blob=True, max_examples=50
)
settings.load_profile("spikejoule")


def restore_logging() -> None:
    """Undo what stages and MLflow's database migrations do to the logging of their
    process.
    """
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
    """Skip a module that cannot be imported without PyTorch, where there is none."""
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
    """Slow tests wait for servers, queues and heartbeats: two workers more than there
    are cores.
    """
    n_workers = yield
    return n_workers + 2 * (config.getoption("markexpr") == "slow")


def pytest_collection_finish() -> None:
    """Search what tests make for garbage, and not what imports have made."""
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What one worker must do alone comes first: at the end, the others would wait for
    it.

    Of that, what needs the recorded project comes last: while one worker records it,
    another has something else to do.
    """
    grouped = {
        item: item.get_closest_marker("xdist_group") is not None for item in items
    }
    items.sort(
        key=lambda item: (
            not grouped[item],
            grouped[item] and "recorded_project" in getattr(item, "fixturenames", ()),
        )
    )


@pytest.fixture(autouse=True)
def logging_of_pytest() -> Iterator[None]:
    """A stage's handler must not outlive its stream; what a wider fixture left goes
    too.
    """
    restore_logging()
    yield
    restore_logging()


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the repository."""
    return REPOSITORY


@pytest.fixture(scope="session")
def real_mnist_directory() -> Path:
    """The directory with the four real files of MNIST; the test is skipped where there
    is none.
    """
    given = os.environ.get("MNIST_DIR")
    directory = Path(given) if given else REPOSITORY.parent / "shared" / "mnist"
    if not directory.is_dir():
        pytest.skip(f"needs the real MNIST in $MNIST_DIR or {directory}")
    return directory


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow's database without experiments, to copy: it takes seconds to create
    one.
    """
    from mlflow import MlflowClient

    def create(folder: Path) -> None:
        MlflowClient(
            tracking_uri=f"sqlite:///{folder / 'mlflow.db'}"
        ).search_experiments()

    return made_once(tmp_path_factory, "database", create) / "mlflow.db"


@pytest.fixture(scope="session")
def mnist5k() -> Dataset:
    """The 5,000 real digits that need no network: 4,000 and 1,000 images."""
    return load_mnist5k()
