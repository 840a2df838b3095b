"""MLflow's pages in a browser, as `make ui` shows them after a run."""

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.tools.recorded_project import Project
from tests.tools.services import WITHOUT_JOBS, answers, free_port, running

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("pages"),
    pytest.mark.skipif(shutil.which("make") is None, reason="needs make"),
]


# MLflow shows its assistant to first visitors.
WITHOUT_ASSISTANT = {
    "mlflow.assistant.panelOpen_v1": "false",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
}


@pytest.fixture
def noise() -> tuple[str, ...]:
    return (
        # MLflow asks who is logged in, which its server without log-in refuses.
        r"/mlflow/users/current\b",
        # The browser deferred a change of size to its next frame.
        r"ResizeObserver loop completed with undelivered notifications",
    )


@pytest.fixture
def runs_address(recorded_project: Project) -> Iterator[str]:
    """The address that `make ui` prints, while its server runs."""
    log = recorded_project.folder.parent / "ui.log"
    port = free_port()
    with running(
        # In the present environment: nothing is installed.
        ["make", "--old-file=.venv/.installed", "ui", f"PORT={port}"],
        log=log,
        ready=partial(answers, f"http://127.0.0.1:{port}/health"),
        env={**recorded_project.environment, **WITHOUT_JOBS},
        cwd=recorded_project.folder,
    ):
        printed = re.findall(r"http://\S+", log.read_text(encoding="utf-8"))
        assert len(printed) == 1, "the plain address opens a page without runs"
        yield printed[0]


def test_the_list_of_runs_shows_metrics_and_a_runs_page_its_curves(
    browser: "Page", runs_address: str, recorded_project: Project
) -> None:
    from playwright.sync_api import expect

    page = browser
    for key, value in WITHOUT_ASSISTANT.items():
        page.add_init_script(f"localStorage.setItem('{key}', '{value}')")
    (recorded,) = recorded_project.all_runs()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(runs_address)
    expect(page.get_by_role("link", name=recorded.info.run_name)).to_be_visible()
    summary = recorded_project.path("summary")
    figures = json.loads(summary.read_text(encoding="utf-8"))
    metrics = ("accuracy", "events", "energy_nj", "ratio")
    for name in metrics:
        cell = page.locator(f"[role=gridcell][col-id='metrics.`{name}`']").first
        assert float(cell.inner_text()) == pytest.approx(figures[name], rel=1e-3)
    dataset = page.locator("[role=gridcell][col-id='attributes.`Dataset`']").first
    expect(dataset).to_contain_text("mnist5k training")
    name = "validation_accuracy_percent"
    experiment, _, _ = runs_address.partition("/runs?")
    page.goto(f"{experiment}/runs/{recorded.info.run_id}/model-metrics")
    page.get_by_placeholder("Search metric charts").fill(name)
    card = page.get_by_test_id("experiment-view-compare-runs-card").filter(
        has=page.get_by_text(name, exact=True)
    )
    curve = card.locator("path.js-line").first
    curve.wait_for(state="attached")
    # One point per epoch
    assert len(re.findall(r"[ML]", curve.get_attribute("d") or "")) == 2
