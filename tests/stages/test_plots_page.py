"""The page of `dvc plots` in a browser: every chart drawn, and nothing taken from the network."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.tools.pipeline_tools import pipeline_definition

if TYPE_CHECKING:
    from playwright.sync_api import Page

TEMPLATES = Path(".dvc") / "plots"
REVISIONS = ("main", "workspace")


def rows_of(plot: str) -> list[dict[str, Any]]:
    """A few data points of each plot, as DVC hands them to a template."""
    if plot == "confusion":
        classes = [str(digit) for digit in range(10)]
        return [
            {"actual": one, "predicted": other, "n_samples": str(7 * (one == other))}
            for one in classes
            for other in classes
        ]
    percent = ("train_accuracy", "validation_accuracy", "accuracy", "accuracy_low", "accuracy_high")
    return [
        dict.fromkeys(("epoch", "step", "class", "train_loss"), str(step))
        | dict.fromkeys(("hidden_spikes_per_sample", "n_samples"), str(400 + step))
        | {"synaptic_events_per_inference": str(3000 * step)}
        | {f"{name}_percent": str(98 - 10 / step) for name in percent}
        for step in range(1, 10)
    ]


@pytest.fixture
def plots(repository: Path) -> list[tuple[str, dict[str, Any]]]:
    """Name and definition of every chart in dvc.yaml."""
    entries = pipeline_definition(repository)["plots"]
    return [next(iter(entry.items())) for entry in entries if isinstance(entry, dict)]


def test_templates_are_those_of_the_project(
    repository: Path, plots: list[tuple[str, dict[str, Any]]]
) -> None:
    used = {definition["template"] for _, definition in plots}
    assert used == {path.stem for path in (repository / TEMPLATES).glob("*.json")}
    assert {definition["x"] for _, definition in plots} <= {
        column for name, _ in plots for column in rows_of(name)[0]
    }


def test_every_chart_is_drawn_without_a_network(
    repository: Path, plots: list[tuple[str, dict[str, Any]]], tmp_path: Path, browser: "Page"
) -> None:
    vl_convert = pytest.importorskip("vl_convert", reason="needs vl-convert-python from PyPI")
    from dvc_render.html import render_html
    from dvc_render.vega import VegaRenderer

    renderers = []
    for name, definition in plots:
        ((file, fields),) = definition["y"].items()
        fields = [fields] if isinstance(fields, str) else fields
        y = fields[0] if len(fields) == 1 else "dvc_inferred_y_value"
        points = [
            {**row, y: row[field], "rev": revision, "filename": file, "field": field}
            for revision in REVISIONS
            for field in fields
            for row in rows_of(name)
        ]
        renderers.append(
            VegaRenderer(
                points,
                name,
                **{key: value for key, value in definition.items() if key not in ("y", "template")},
                y=y,
                template=definition["template"],
                template_dir=str(repository / TEMPLATES),
                revs_with_datapoints=list(REVISIONS),
                anchors_y_definitions=[{"filename": file, "field": field} for field in fields],
            )
        )
    page = tmp_path / "dvc_plots" / "index.html"
    render_html(renderers, page, repository / TEMPLATES / "page.html")
    vega = tmp_path / ".cache" / "vega.js"
    vega.parent.mkdir()
    vega.write_text("(() => {" + vl_convert.javascript_bundle() + "})();", encoding="utf-8")
    browser.goto(page.as_uri())
    browser.wait_for_selector(f"body[data-drawn='{len(plots)}']", state="attached")
    for name, definition in plots:
        marks = browser.locator(f"#{name} svg .role-mark").locator("path, text")
        assert marks.count() >= len(REVISIONS), (name, definition["title"])
