"""The built site in a browser: every page, on a desktop and on a phone; the search."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools.pipeline_tools import run
from tests.tools.services import served

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("site"),  # one worker builds it
    pytest.mark.skipif(
        None in map(find_spec, ("material", "mkdocstrings")),
        reason="needs the extra docs",
    ),
]
# Pixels.
NARROWEST_COLUMN = 60
FROM_DOCSTRINGS = "reference/api/energy.html"


@pytest.fixture(scope="module")
def site(
    repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Path]]:
    """Address and folder of the site, built as strictly as by `make docs`."""
    folder = tmp_path_factory.mktemp("site")
    options = ["build", "--strict", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    run([sys.executable, "-m", "mkdocs", *options], repository, environment)
    with served(folder) as url:
        yield url, folder


def test_it_is_built_without_a_warning(site: tuple[str, Path]) -> None:
    """Also where there is no browser."""
    assert len(list(site[1].rglob("*.html"))) > 50


def test_no_page_is_wider_than_its_window(
    browser: "Page", site: tuple[str, Path]
) -> None:
    """And no column of a table is too narrow to read; the fixture fails on errors."""
    address, folder = site
    wide = []
    narrow = []
    for path in sorted(folder.rglob("*.html")):
        page = path.relative_to(folder).as_posix()
        # The report has tests of its own, and the fifteen pages made from docstrings
        # are alike.
        is_alike = page.startswith("reference/api/") and page != FROM_DOCSTRINGS
        if page.startswith("reports/") or is_alike:
            continue
        browser.goto(f"{address}/{page}")
        for width in (390, 1440):
            browser.set_viewport_size({"width": width, "height": 900})
            if browser.evaluate("document.documentElement.scrollWidth") > width:
                wide.append((page, width))
            columns = browser.locator("article th:visible, article td:visible")
            widths = columns.evaluate_all("cells => cells.map(one => one.offsetWidth)")
            if min(widths, default=NARROWEST_COLUMN) < NARROWEST_COLUMN:
                narrow.append((page, width, min(widths)))
    assert not wide
    assert not narrow


@pytest.mark.parametrize("width", [390, 1440])
def test_the_playground_on_the_first_page_needs_no_scroll_bar(
    browser: "Page", site: tuple[str, Path], width: int
) -> None:
    """Also from disk, where a frame cannot be read by the page around it."""
    browser.set_viewport_size({"width": width, "height": 900})
    browser.goto((site[1] / "index.html").as_uri())
    # The page in the frame says how high it is.
    browser.wait_for_function(
        "document.querySelector('iframe.playground').style.height !== ''"
    )
    frame = next(frame for frame in browser.frames if "draw.html" in frame.url)
    inner, content = frame.evaluate(
        "[innerHeight, document.body.getBoundingClientRect().height]"
    )
    assert content <= inner < content + 2
    assert frame.locator("#drawing").is_visible()
    assert not frame.locator("#why-text").is_visible()
    frame.locator(".gallery button").nth(3).click()
    assert frame.locator("#source").inner_text().endswith("labelled 3")


def test_a_search_works_without_a_server(
    browser: "Page", site: tuple[str, Path]
) -> None:
    """And loads nothing from elsewhere."""
    _, folder = site
    elsewhere: list[str] = []
    browser.on(
        "request",
        lambda request: (
            elsewhere.append(request.url) if request.url.startswith("http") else None
        ),
    )
    browser.goto((folder / "how-to" / "sweep.html").as_uri())
    browser.locator(".md-search__input").fill("synaptic event")
    browser.locator(".md-search-result__link").first.click()
    browser.wait_for_url("file://**/*.html?h=*")
    assert elsewhere == []
