"""The playground in Chromium as people use it: with mouse, finger or keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from spikejoule.data.dataset import Dataset
from tests.playground.pages import SMALL, Playground, build
from tests.tools.browser import watched_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Frame, Page

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("playground")]

PHONE = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
    "color_scheme": "dark",
    "reduced_motion": "reduce",
}
"""A small dark screen, for a finger, without motion."""

MS_PER_FRAME = 1000 / 60
MS_PER_IMAGE = 50


@pytest.fixture(scope="module")
def playground(
    repository: Path, mnist5k: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> Playground:
    """The page of a small network."""
    folder = tmp_path_factory.mktemp("playground")
    return build(repository, mnist5k, folder, SMALL)


@pytest.fixture
def opened(browser: "Page", playground: Playground) -> "Page":
    """The page, from disk, as soon as it can be used."""
    return opened_in(browser, playground.path)


@pytest.fixture
def phone(chromium: "Browser", playground: Playground) -> "Iterator[Page]":
    """The page on a phone; its errors fail the test."""
    with watched_page(chromium, settings=PHONE) as page:
        yield opened_in(page, playground.path)


def opened_in(page: "Page", path: Path) -> "Page":
    """Open a page from disk; it must request nothing else."""
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(path.as_uri())
    is_ready(page)
    assert requests == [path.as_uri()]
    return page


def is_ready(page: "Page | Frame") -> None:
    """Wait until the page shows an answer.

    Its content security policy forbids Playwright's `wait_for_function`.
    """
    from playwright.sync_api import expect

    expect(page.locator("#answer")).not_to_be_empty()


def ink(page: "Page") -> int:
    """Pixels of the image on the page that are not black."""
    pixels: int = page.evaluate(
        "spikejoule.page.shownPixels.filter((level) => level > 0).length"
    )
    return pixels


def violations(page: "Page") -> Any:
    """What axe finds (WCAG and best practices)."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    results = axe.Axe().run(page)
    return results.generate_report() if results.violations_count else ""


def width(page: "Page") -> int:
    """Pixels that the page takes from left to right."""
    pixels: int = page.evaluate("document.documentElement.scrollWidth")
    return pixels


def test_a_mouse_draws_and_the_run_is_played(opened: "Page") -> None:
    from playwright.sync_api import expect

    box = opened.locator("#drawing").bounding_box()
    assert box is not None
    opened.mouse.move(box["x"] + 140, box["y"] + 40)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 140, box["y"] + 240, steps=10)
    opened.mouse.up()
    assert ink(opened) > 20
    assert opened.locator("#source").inner_text() == "your drawing"
    expect(opened.locator("#position")).to_have_value("20")  # played to the end
    expect(opened.locator("#verdict")).to_contain_text("For this digit the")
    expect(opened.locator("#verdict")).to_contain_text("one for each synaptic event")
    opened.get_by_role("button", name="Clear").click()
    assert ink(opened) == 0
    line = "Draw a digit, or choose a test image."
    expect(opened.locator("#verdict")).to_have_text(line)
    expect(opened.locator("#bars")).to_be_empty()
    expect(opened.locator("#answer")).to_have_text("–")
    expect(opened.locator("#why-text")).not_to_be_visible()
    assert "J" not in opened.locator(".ledgers tbody").first.inner_text()


def test_the_keyboard_alone_is_enough(opened: "Page") -> None:
    """Draw, and step through the run; focus moves by Tab."""
    from playwright.sync_api import expect

    keyboard = opened.keyboard
    keyboard.press("Tab")
    expect(opened.locator("#drawing")).to_be_focused()
    keyboard.press("Space")
    for _ in range(10):
        keyboard.press("ArrowDown")
    assert ink(opened) > 20
    for name in ("Clear", "Other spikes", "Start"):
        keyboard.press("Tab")
        expect(opened.get_by_role("button", name=name)).to_be_focused()
    keyboard.press("Enter")
    keyboard.press("ArrowRight")
    keyboard.press("ArrowRight")
    expect(opened.locator("#position")).to_have_value("2")


def test_a_finger_draws_on_a_phone(phone: "Page", playground: Playground) -> None:
    """Without motion, a run is shown at its end."""
    phone.locator("#drawing").tap()
    assert ink(phone) > 0
    phone.locator(".gallery button").first.tap()
    n_steps = playground.inputs.measured.time_window
    assert phone.locator("#position").input_value() == str(n_steps)


def test_it_is_accessible_on_a_wide_light_screen(opened: "Page") -> None:
    opened.set_viewport_size({"width": 1440, "height": 900})
    assert width(opened) == 1440
    assert violations(opened) == ""


def test_it_is_accessible_on_a_dark_phone(phone: "Page") -> None:
    assert width(phone) == 390
    assert violations(phone) == ""


def test_a_run_plays_steps_and_stops(opened: "Page", playground: Playground) -> None:
    from playwright.sync_api import expect

    n_steps = playground.inputs.measured.time_window
    position = opened.locator("#position")
    opened.locator("#speed").fill("5")
    opened.locator(".gallery button").nth(3).click()
    expect(position).to_have_value(str(n_steps))  # played to the end
    opened.get_by_role("button", name="Start").click()
    opened.locator("body").press("ArrowRight")
    opened.get_by_role("button", name="Next").click()
    expect(position).to_have_value("2")
    opened.get_by_label("Stop as soon as one class leads by").check()
    exit_step = opened.evaluate("spikejoule.page.run.exitStep")
    expect(position).to_have_value(str(exit_step))
    expect(opened.locator("#verdict")).to_contain_text("Stopping early, the spiking")
    expect(opened.locator("#bars")).to_contain_text(f"step {exit_step} of {n_steps}")


def test_an_output_shows_its_drivers_and_a_neuron_its_weights(opened: "Page") -> None:
    from playwright.sync_api import expect

    answer = opened.locator("#answer").inner_text()
    why = opened.locator("#why-text")
    expect(why).to_contain_text(f"Over all 20 steps, the output for {answer} spiked")
    opened.locator("#unit").fill("4")
    expect(why).to_contain_text("the output for 4 spiked")
    opened.locator("#unit").fill(answer)
    opened.locator("#drivers button").first.click()
    expect(why).to_contain_text("of the hidden layer spiked")
    expect(opened.locator("#weights")).to_be_visible()
    opened.locator("#unit").fill("900")
    expect(why).to_have_text("The hidden layer has neurons 0 to 29.")
    expect(opened.locator("#unit")).to_have_value("900")


def test_price_lists_of_chips_stand_apart(opened: "Page") -> None:
    from playwright.sync_api import expect

    prices = opened.locator("#price-list")
    groups = prices.locator("optgroup").evaluate_all("all => all.map((e) => e.label)")
    assert groups[0] == "Compare both networks"
    assert groups[-1] == "Spiking chips only"
    prices.select_option(label="Intel Loihi")
    expect(opened.locator("#verdict")).to_contain_text("runs spiking networks only")


def test_a_step_is_shown_within_a_frame_and_an_image_runs_within_its_time(
    opened: "Page",
) -> None:
    """Medians of the script's and the layout's time, which other programs disturb
    least.
    """
    step, image = opened.evaluate(
        """() => {
          const { page, runImage } = spikejoule;
          const median = (task) => {
            const times = Array.from({ length: 100 }, (_, number) => {
              const start = performance.now();
              task(number);
              return performance.now() - start;
            });
            return times.sort((a, b) => a - b)[50];
          };
          const show = (number) => {
            page.player.moveTo(number % page.player.nSteps);
            document.body.getBoundingClientRect();
          };
          return [median(show), median((number) => runImage(page.shownPixels, number))];
        }"""
    )
    assert step < MS_PER_FRAME
    assert image < MS_PER_IMAGE


def test_it_runs_in_a_sandbox(
    browser: "Page", playground: Playground, tmp_path: Path
) -> None:
    """MLflow shows artifacts in such a frame, which may only run scripts."""
    from playwright.sync_api import expect

    around = tmp_path / "around.html"
    around.write_text(
        f'<iframe src="{playground.path.as_uri()}" sandbox="allow-scripts"></iframe>'
    )
    browser.goto(around.as_uri())
    frame = browser.frames[1]
    is_ready(frame)
    frame.locator(".gallery button").nth(3).click()
    expect(frame.locator("#position")).to_have_value("20")
