"""MLflow's pages in a browser: what `make ui` shows of a pipeline that has run."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient

from tests.tools.pipeline_tools import artifact_paths
from tests.tools.recorded_project import Project
from tests.tools.services import WITHOUT_JOBS, answers, free_port, running

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("pages"),
    pytest.mark.skipif(shutil.which("make") is None, reason="needs make"),
]


@pytest.fixture
def noise() -> tuple[str, ...]:
    return (
        # MLflow asks who is logged in, and its server without log-in has no answer to that.
        r"/mlflow/users/current\b",
        # The browser put a change of size off to its next frame.
        r"ResizeObserver loop completed with undelivered notifications",
    )


@pytest.fixture(scope="module")
def ui(recorded_project: Project) -> Iterator[str]:
    """What `make ui` serves, in the environment that is there: nothing is installed."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with running(
        ["make", "--old-file=.venv/.installed", "ui", f"PORT={port}"],
        log=recorded_project.folder.parent / "ui.log",
        ready=lambda: answers(f"{url}/health"),
        environment={**recorded_project.environment, **WITHOUT_JOBS},
        folder=recorded_project.folder,
    ):
        yield f"{url}/#"


@pytest.fixture(scope="module")
def client(recorded_project: Project) -> MlflowClient:
    return MlflowClient(tracking_uri=recorded_project.tracking_uri)


@pytest.fixture(scope="module")
def recorded(client: MlflowClient) -> Any:
    """The pipeline's one run."""
    experiment = client.get_experiment_by_name("spikejoule")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    return run


@pytest.fixture
def page(browser: "Page") -> "Page":
    """A page without the assistant, which MLflow opens over a first visitor's pages."""
    browser.add_init_script("localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false')")
    browser.add_init_script(
        "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
    )
    return browser


def metric(project: Project, file: str, name: str) -> float:
    """A figure of the pipeline's metrics files."""
    path = project.folder / artifact_paths(project.folder)[file]
    value: float = json.loads(path.read_text(encoding="utf-8"))[name]
    return value


def run_address(ui: str, run: Any) -> str:
    return f"{ui}/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"


def test_run_list_shows_runs_with_their_metrics(
    page: "Page", ui: str, recorded: Any, recorded_project: Project
) -> None:
    from playwright.sync_api import expect

    page.goto(f"{ui}/experiments/{recorded.info.experiment_id}/runs?viewStateShareKey=overview")
    expect(page.get_by_role("link", name=recorded.info.run_name)).to_be_visible()
    for name, file in (
        ("test_accuracy_percent", "evaluate_metrics"),
        ("synaptic_events_per_inference", "energy_metrics"),
    ):
        cell = page.locator(f"[role=gridcell][col-id='metrics.`{name}`']")
        assert float(cell.inner_text()) == pytest.approx(
            metric(recorded_project, file, name), rel=1e-3
        )


def test_run_page_shows_curves(page: "Page", ui: str, recorded: Any) -> None:
    name = "validation_accuracy_percent"
    page.goto(f"{run_address(ui, recorded)}/model-metrics")
    page.get_by_placeholder("Search metric charts").fill(name)
    card = page.get_by_test_id("experiment-view-compare-runs-card").filter(
        has=page.get_by_text(name, exact=True)
    )
    curve = card.locator("path.js-line").first
    curve.wait_for(state="attached")
    # One point per epoch
    assert len(re.findall(r"[ML]", curve.get_attribute("d") or "")) == 2
