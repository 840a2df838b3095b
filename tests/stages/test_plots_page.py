"""The page of `make plots` in a browser: every chart is drawn, without a network."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools.pipeline_tools import pipeline_definition, run
from tests.tools.recorded_project import Project

if TYPE_CHECKING:
    from playwright.sync_api import Page

BUILT = ("--old-file=.venv/.installed", "--old-file=.venv/.installed-plots")


@pytest.mark.slow
@pytest.mark.xdist_group("pipeline")
def test_every_chart_is_drawn_without_a_network(
    recorded_project: Project, tmp_path: Path, browser: "Page"
) -> None:
    pytest.importorskip("vl_convert", reason="needs vl-convert-python from PyPI")
    folder = recorded_project.copy_to(tmp_path / "drawn")
    run(["make", *BUILT, "plots"], folder, recorded_project.environment)
    entries = pipeline_definition(folder)["plots"]
    charts = dict(next(iter(one.items())) for one in entries if isinstance(one, dict))
    templates = {path.stem for path in (folder / ".dvc" / "plots").glob("*.json")}
    # That template is for the table of `make seeds`.
    assert templates - {"accuracy_of_settings"} == {
        chart["template"] for chart in charts.values()
    }
    browser.goto((folder / "dvc_plots" / "index.html").as_uri())
    browser.wait_for_selector("body[data-drawn]", state="attached")
    for name, chart in charts.items():
        marks = browser.locator(f"#{name} svg .role-mark").locator("path, text")
        assert marks.count() > 0, (name, chart["title"])
