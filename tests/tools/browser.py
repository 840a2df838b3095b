"""Pages in headless Chromium, driven by Playwright.

    def test_title(browser: Page) -> None:
        browser.goto(path.as_uri())
        expect(browser.get_by_role("heading", name="Energy")).to_be_visible()

A test with the fixture `browser` is skipped where Chromium or Playwright is missing,
and fails at its end if the page reported errors. Playwright's `expect` and locators
wait by themselves. A module imports `expect` where it is used, or begins with
`pytest.importorskip("playwright.sync_api")`: without Playwright, it is skipped.
"""

import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response

PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
WAIT_SECONDS = 30.0
DESKTOP: Mapping[str, Any] = {"viewport": {"width": 1440, "height": 1000}}


def chromium_program() -> str:
    """Find an installed Chromium, or skip the test."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if found is None:
        pytest.skip(
            f"needs {PROGRAMS[0]} on the PATH (Debian: apt install {PROGRAMS[0]})"
        )
    return found


# One per module, not per session: Playwright's event loop occupies the thread while it
# is open, and other modules may need their own.
@pytest.fixture(scope="module")
def chromium() -> "Iterator[Browser]":
    """A running Chromium."""
    program = chromium_program()
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="needs Playwright from PyPI"
    )
    playwright.expect.set_options(timeout=1000 * WAIT_SECONDS)
    with playwright.sync_playwright() as driver:
        # Without a sandbox, which root cannot have; the pages are this project's and
        # MLflow's.
        running = driver.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def noise() -> tuple[str, ...]:
    """Regular expressions of errors that are not ours; modules override it."""
    return ()


@pytest.fixture
def browser(chromium: "Browser", noise: tuple[str, ...]) -> "Iterator[Page]":
    """An empty page in its own profile; its errors fail the test."""
    with watched_page(chromium, noise) as page:
        yield page


@contextmanager
def watched_page(
    chromium: "Browser",
    noise: Sequence[str] = (),
    settings: Mapping[str, Any] = DESKTOP,
) -> "Iterator[Page]":
    """Open a new page; at the end, AssertionError with its errors.

    `settings` are those of the browser's context, such as the size of the screen.

    An error is one on the console, an exception, a failed request, or an answer with a
    status of 400 or more; those that match `noise` are ignored.
    """
    complaints: list[str] = []

    def on_console(message: "ConsoleMessage") -> None:
        if message.type == "error":
            complaints.append(f"console: {message.text} ({message.location['url']})")

    def on_answer(response: "Response") -> None:
        if response.status >= 400:
            complaints.append(f"answer: {response.status} {response.url}")

    def on_failed_request(request: "Request") -> None:
        # A page that is left stops loading what it no longer needs.
        if request.failure != "net::ERR_ABORTED":
            complaints.append(f"request: {request.failure} {request.url}")

    context = chromium.new_context(**settings)
    context.set_default_timeout(1000 * WAIT_SECONDS)
    page = context.new_page()
    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(f"exception: {error}"))
    page.on("response", on_answer)
    page.on("requestfailed", on_failed_request)
    try:
        yield page
    finally:
        context.close()
    ours = [
        text for text in complaints if not any(re.search(rule, text) for rule in noise)
    ]
    assert not ours, "the page complained:\n" + "\n".join(ours)
