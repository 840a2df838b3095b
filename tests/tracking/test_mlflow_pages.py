"""MLflow's pages in a browser: what `make ui` shows of a pipeline that has run."""

import json
import re
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

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


@pytest.fixture
def page(browser: "Page") -> "Page":
    """A page without the assistant, which MLflow opens over a first visitor's pages."""
    browser.add_init_script("localStorage.setItem('mlflow.assistant.panelOpen_v1', 'false')")
    browser.add_init_script(
        "localStorage.setItem('mlflow.assistant.fab.autoOpenedOnFirstLoad_v1', 'true')"
    )
    return browser


def test_the_list_of_runs_shows_metrics_and_a_runs_page_its_curves(
    page: "Page", ui: str, recorded_project: Project
) -> None:
    from playwright.sync_api import expect

    (recorded,) = recorded_project.all_runs()
    experiment = f"{ui}/experiments/{recorded.info.experiment_id}"
    page.goto(f"{experiment}/runs?viewStateShareKey=overview")
    expect(page.get_by_role("link", name=recorded.info.run_name)).to_be_visible()
    paths = artifact_paths(recorded_project.folder)
    for name, file in (
        ("test_accuracy_percent", "evaluate_metrics"),
        ("synaptic_events_per_inference", "energy_metrics"),
    ):
        cell = page.locator(f"[role=gridcell][col-id='metrics.`{name}`']")
        figures = json.loads((recorded_project.folder / paths[file]).read_text(encoding="utf-8"))
        assert float(cell.inner_text()) == pytest.approx(figures[name], rel=1e-3)
    page.set_viewport_size({"width": 1440, "height": 900})
    for column in (
        "metrics.`test_accuracy_percent`", "metrics.`synaptic_events_per_inference`",
        "metrics.`energy_nj`", "metrics.`ratio`",
        "params.`encode.encoding`", "tags.`data.source`",
    ):  # fmt: skip
        box = page.locator(f"[role=columnheader][col-id='{column}']").bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 1440, column
    name = "validation_accuracy_percent"
    page.goto(f"{experiment}/runs/{recorded.info.run_id}/model-metrics")
    page.get_by_placeholder("Search metric charts").fill(name)
    card = page.get_by_test_id("experiment-view-compare-runs-card").filter(
        has=page.get_by_text(name, exact=True)
    )
    curve = card.locator("path.js-line").first
    curve.wait_for(state="attached")
    # One point per epoch
    assert len(re.findall(r"[ML]", curve.get_attribute("d") or "")) == 2
