"""The browser's fixtures: a page that complains is not passed over."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.tools import browser as module
from tests.tools.browser import chromium_program, watched_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CALM = "<!doctype html><title>Energy</title><p>42 pJ"


@pytest.fixture
def page_file(tmp_path: Path) -> Path:
    return tmp_path / "page.html"


def test_shows_a_file(browser: "Page", page_file: Path) -> None:
    page_file.write_text(CALM, encoding="utf-8")
    browser.goto(page_file.as_uri())
    assert browser.title() == "Energy"
    assert browser.get_by_text("pJ").inner_text() == "42 pJ"


@pytest.mark.parametrize(
    ("faulty", "complaint"),
    [
        ("<script>console.error('broken')</script>", "console: broken"),
        ("<script>undefined_function()</script>", "exception: undefined_function is not defined"),
        ("<img src='absent.png'>", "request: net::ERR_FILE_NOT_FOUND"),
    ],
)
def test_a_complaint_fails(
    chromium: "Browser", page_file: Path, faulty: str, complaint: str
) -> None:
    page_file.write_text(CALM + faulty, encoding="utf-8")
    with pytest.raises(AssertionError, match=complaint), watched_page(chromium) as page:
        page.goto(page_file.as_uri())


def test_stated_noise_is_passed_over_and_nothing_else(chromium: "Browser", page_file: Path) -> None:
    page_file.write_text(CALM + "<script>console.error('a'); console.error('b')</script>")
    with watched_page(chromium, noise=[r"^console: a ", r"^console: b "]) as page:
        page.goto(page_file.as_uri())
    with (
        pytest.raises(AssertionError, match=r"console: b") as error,
        watched_page(chromium, noise=[r"^console: a "]) as page,
    ):
        page.goto(page_file.as_uri())
    assert "console: a" not in str(error.value)


def test_absent_chromium_is_a_skip_with_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    with pytest.raises(pytest.skip.Exception, match="needs chromium on the PATH"):
        chromium_program()
