"""MLflow's pages in a browser: as `make ui` shows them after a run, and of a sweep."""

import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil
import pytest

from spikejoule.core.provenance import file_digest
from spikejoule.tracking.curves import Curves
from spikejoule.tracking.datasets import DataSplit
from spikejoule.tracking.groups import environment_of_group
from spikejoule.tracking.live import LiveRun
from spikejoule.tracking.publishing import publish
from spikejoule.tracking.store import Store
from tests.tools.examples import trained_network
from tests.tools.recorded_project import Project
from tests.tools.services import WITHOUT_JOBS, answers, free_port, running
from tests.tracking.test_live import EPOCHS, has_step, wait_until
from tests.tracking.test_registry import record_of

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
        text = log.read_text(encoding="utf-8")
        printed = re.findall(r".*http://.*", text)
        assert len(printed) == 1, "the plain address opens a page without runs"
        assert len(printed[0]) <= 100, "the address has a line of its own"
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


SWEEP = "sweep train.lr=0.001,0.003"
CURVE = "by_epoch/validation_accuracy_percent"


def trained_and_published(store: Store, folder: Path, lr: float) -> str:
    """Train for three samples of the machine's load, publish, and return the run."""
    curves = Curves(trained_network().checkpoint(), None)
    name = f"lr-{lr}"
    weights = folder / f"{name}.pth"
    record = record_of(weights, name, accuracy=87.0)
    load = "system/cpu_utilization_percentage"
    with LiveRun(store, {"train.lr": lr}, curves, name, psutil.Process()) as run:
        run.on_epoch(EPOCHS[0], 0.5)
        wait_until(partial(has_step, store, load, 2))
        run.trained(weights)
    published = replace(
        record,
        parameters={"train.lr": lr},
        metrics={"accuracy": 86.0, "accuracy_val": 87.0, "events": 1000.0},
        tags={
            **record.tags,
            "mlflow.runName": name,
            "trained.sha256": file_digest(weights, "sha256"),
        },
        splits=[
            DataSplit("mnist5k", context, Path(f"data/{context}.npz"), context, 100)
            for context in ("training", "validation", "testing")
        ],
    )
    return publish(published, store).run_id


def test_a_sweep_its_models_its_comparison_and_the_machines_load(
    browser: "Page",
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from playwright.sync_api import expect

    monkeypatch.setattr("spikejoule.tracking.live._SAMPLING_SECONDS", 0.1)
    context = environment_of_group(store, SWEEP, {})["MLFLOW_RUN_CONTEXT"]
    monkeypatch.setenv("MLFLOW_RUN_CONTEXT", context)
    ids = [trained_and_published(store, tmp_path, lr) for lr in (0.001, 0.003)]
    page = browser
    for key, value in WITHOUT_ASSISTANT.items():
        page.add_init_script(f"localStorage.setItem('{key}', '{value}')")
    page.set_viewport_size({"width": 1900, "height": 1000})
    port = free_port()
    server = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "mlflow", "ui", "--workers", "1"]
    with running(
        [*command, "--port", str(port), "--backend-store-uri", store.tracking_uri],
        log=tmp_path / "ui.log",
        ready=partial(answers, f"{server}/health"),
        env={**os.environ, **WITHOUT_JOBS},
        cwd=tmp_path,
    ):
        experiment = f"{server}/#/experiments/1"
        training = "workflowType=machine_learning"

        # The sweep is one row, which opens.
        page.goto(f"{experiment}/runs?{training}&viewStateShareKey=overview")
        expect(page.get_by_role("link", name=SWEEP)).to_be_visible()
        expect(page.get_by_role("link", name="lr-0.001")).to_have_count(0)
        row = page.get_by_role("row").filter(has_text=SWEEP)
        row.get_by_role("button").first.click()
        expect(page.get_by_role("link", name="lr-0.001")).to_be_visible()
        cell = page.locator("[role=gridcell][col-id='metrics.`accuracy_val`']")
        expect(cell.filter(has_text="87").first).to_be_visible()

        page.goto(f"{experiment}/models?{training}")
        expect(page.get_by_role("link", name="lr-0.003")).to_be_visible()
        expect(page.get_by_text("mnist5k testing (#testing)").first).to_be_visible()
        expect(page.get_by_text("v2", exact=True)).to_be_visible()

        compared = quote(json.dumps(ids))
        page.goto(f"{server}/#/compare-runs?runs={compared}&experiments=%5B%221%22%5D")
        chosen = page.locator("[class*=select-selection-item-content]")
        expect(chosen).to_have_text(["train.lr", CURVE])

        page.goto(f"{experiment}/runs/{ids[0]}/system-metrics")
        expect(page.get_by_text("cpu_utilization_percentage").first).to_be_visible()
        # Close the page before its server stops.
        page.close()
