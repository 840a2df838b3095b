"""The playground in Chromium: it equals the pipeline, and people can use it."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikejoule.data.images import Dataset
from spikejoule.energy.ledger import (
    EARLY_EXIT,
    WHOLE_WINDOW,
    Execution,
    Variant,
    spiking_variants,
)
from spikejoule.energy.prices import prices_pj, weights_of
from spikejoule.evaluation.accuracy import exit_steps, step_outcomes
from spikejoule.evaluation.inference import measure_network
from spikejoule.playground import PlaygroundError
from spikejoule.playground.content import check_playable, playground_content
from tests.playground.handwriting import STYLES, strokes
from tests.playground.pages import FLOAT, INTEGERS, REGULAR, Playground, build
from tests.tools.networks import firing_network

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("playground")]

RUN_ALL = """images => images.map(({ pixels, index }) => {
  const { content, runImage, spikingFeatures, conventionalFeatures } = spikejoule;
  const { energiesPj, sumPj } = spikejoule;
  const run = runImage(Uint8Array.from(pixels), index);
  const last = run.moments.at(-1);
  const energies = (list) => ({
    spiking: sumPj(energiesPj(list.spiking, spikingFeatures(run, run.moments.length))),
    stopping: sumPj(energiesPj(list.stopping, spikingFeatures(run, run.exitStep))),
    conventional: list.conventional &&
      sumPj(energiesPj(list.conventional, conventionalFeatures(run.conventional))),
  });
  return {
    answer: last.answer,
    spikes: last.spikeTotals,
    events: last.eventTotals,
    exit: run.exitStep,
    scores: run.conventional.scores,
    products: run.conventional.products,
    energies: Object.fromEntries(
      content.priceLists.map((list) => [list.id, energies(list)])),
  };
})"""
"""Everything that the page computes of images."""


@pytest.fixture(
    scope="module", params=[FLOAT, INTEGERS, REGULAR], ids=["float", "4-bit", "regular"]
)
def playground(
    request: pytest.FixtureRequest,
    repository: Path,
    mnist5k: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Playground:
    """The page of a small network of each kind."""
    folder = tmp_path_factory.mktemp("playground")
    return build(repository, mnist5k, folder, request.param)


@pytest.fixture
def opened(browser: "Page", playground: Playground) -> "Page":
    """The page, from disk, as soon as it can be used."""
    browser.goto(playground.path.as_uri())
    browser.wait_for_function("window.spikejoule !== undefined")
    return browser


def test_every_image_gives_what_the_pipeline_counted(
    opened: "Page", playground: Playground
) -> None:
    """Predictions, spikes, events, early exits, products and joules."""
    inputs = playground.inputs
    indices = inputs.images.index.tolist()
    images = [
        {"pixels": pixels, "index": index}
        for pixels, index in zip(playground.images.tolist(), indices, strict=True)
    ]
    results = opened.evaluate(RUN_ALL, images)

    def column(name: str) -> NDArray[Any]:
        return np.array([result[name] for result in results])

    measured = inputs.measured
    np.testing.assert_array_equal(column("answer"), measured.predictions)
    spikes = [layer.counts_per_sample() for layer in measured.layers]
    np.testing.assert_array_equal(column("spikes"), np.stack(spikes, axis=1))
    np.testing.assert_array_equal(column("events"), measured.synaptic_events)
    assert inputs.early is not None
    exits = exit_steps(
        step_outcomes(measured, inputs.images.labels), inputs.early.margin_spikes
    )
    np.testing.assert_array_equal(column("exit"), exits)
    assert inputs.opponent is not None
    np.testing.assert_array_equal(column("products"), inputs.opponent.products)

    for name, variant in energies_by_ledger(playground, exits).items():
        for profile in inputs.profiles:
            low, _, high = weights_of(prices_pj(variant.operations.columns, profile))
            expected = variant.operations.counts @ np.stack([low, high], axis=1)
            shown = [result["energies"].get(profile.id) for result in results]
            if shown[0] is None or shown[0][name] is None:
                continue
            energies = np.array([energy[name] for energy in shown])
            np.testing.assert_allclose(energies, expected, rtol=1e-12)


def energies_by_ledger(
    playground: Playground, exits: NDArray[np.int64]
) -> dict[str, Variant]:
    """The networks as the energy ledger counts them, by their names on the page."""
    inputs = playground.inputs
    ways = (Execution(WHOLE_WINDOW), Execution(EARLY_EXIT, exit_steps=exits))
    encoder = inputs.checkpoint.encoder
    spiking = {
        variant.method: variant
        for variant in spiking_variants(
            "spiking", inputs.measured, encoder, inputs.images.images, ways
        )
    }
    assert inputs.opponent is not None
    return {
        "spiking": spiking[WHOLE_WINDOW],
        "stopping": spiking[EARLY_EXIT],
        "conventional": inputs.opponent.variant,
    }


def test_means_on_the_page_are_those_of_the_test_images(playground: Playground) -> None:
    """They follow from mean counts; here every image is priced."""
    inputs = playground.inputs
    steps = exit_steps(
        step_outcomes(inputs.measured, inputs.images.labels),
        inputs.early.margin_spikes if inputs.early else None,
    )
    variants = energies_by_ledger(playground, steps)
    for entry in playground_content(inputs)["priceLists"]:
        (profile,) = (one for one in inputs.profiles if one.id == entry["id"])
        for name, variant in variants.items():
            if entry[f"{name}Mean"] is not None:
                low, _, high = weights_of(
                    prices_pj(variant.operations.columns, profile)
                )
                means = variant.operations.means
                expected = [means @ low, means @ high]
                np.testing.assert_allclose(entry[f"{name}Mean"], expected, rtol=1e-9)


def test_a_drawing_gets_the_pipelines_answer(
    opened: "Page", playground: Playground
) -> None:
    """Twenty scripted digits in ten handwriting styles, each with its own spikes."""
    drawn = [(digit, style) for style in STYLES for digit in (3, 8)]
    results = opened.evaluate(
        """drawings => drawings.map((strokes, number) => {
          const { drawing } = spikejoule.page;
          const { height, width, inkSide } = spikejoule.content.images;
          drawing.setStrokes(strokes);
          const pixels = drawing.pixels(height, width, inkSide);
          const run = spikejoule.runImage(pixels, 1000 + number);
          return { pixels: Array.from(pixels), answer: run.moments.at(-1).answer };
        })""",
        [strokes(digit, style) for digit, style in drawn],
    )
    pixels = np.array([result["pixels"] for result in results], dtype=np.uint8)
    assert (pixels.max(axis=1) > 200).all()
    inputs = playground.inputs
    checkpoint = inputs.checkpoint
    seed = checkpoint.file.spikejoule.seed
    assert seed is not None
    events = checkpoint.encoder.events(
        pixels.reshape(-1, *inputs.images.images.shape[1:]),
        checkpoint.encoder.draw_key(seed, "test", 0),
        np.arange(1000, 1000 + len(pixels)),
    )
    measured = measure_network(
        checkpoint.state, checkpoint.network, events, pruned=checkpoint.pruned
    )
    answers = [result["answer"] for result in results]
    np.testing.assert_array_equal(answers, measured.predictions)


def ink(page: "Page") -> int:
    """Pixels of the image on the page that are not black."""
    pixels: int = page.evaluate(
        "spikejoule.page.shownPixels.filter((level) => level > 0).length"
    )
    return pixels


def test_mouse_and_keyboard_draw(opened: "Page") -> None:
    area = opened.locator("#drawing")
    box = area.bounding_box()
    assert box is not None
    opened.mouse.move(box["x"] + 140, box["y"] + 40)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 140, box["y"] + 240, steps=10)
    opened.mouse.up()
    assert ink(opened) > 20
    assert opened.locator("#source").inner_text() == "your drawing"
    opened.get_by_role("button", name="Clear").click()
    assert ink(opened) == 0
    area.focus()
    opened.keyboard.press("Space")
    for _ in range(10):
        opened.keyboard.press("ArrowDown")
    assert ink(opened) > 20


@pytest.mark.parametrize("playground", [FLOAT], ids=["float"], indirect=True)
def test_a_finger_draws_on_a_phone(chromium: "Browser", playground: Playground) -> None:
    """At 390 pixels, dark, without motion, and without scrolling sideways."""
    context = chromium.new_context(
        viewport={"width": 390, "height": 844},
        has_touch=True,
        is_mobile=True,
        color_scheme="dark",
        reduced_motion="reduce",
    )
    page = context.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(playground.path.as_uri())
    page.wait_for_function("window.spikejoule !== undefined")
    page.locator("#drawing").tap()
    assert ink(page) > 0
    page.locator(".gallery button").first.tap()
    # Without motion, a run is shown at its end.
    n_steps = playground.inputs.measured.time_window
    assert page.locator("#position").input_value() == str(n_steps)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert requests == [playground.path.as_uri()]
    context.close()


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
    opened.get_by_label("Stop early").check()
    expect(position).to_have_value(str(opened.evaluate("spikejoule.page.run.exitStep")))


def test_a_neuron_shows_its_weights_and_an_output_its_drivers(opened: "Page") -> None:
    from playwright.sync_api import expect

    layers = opened.locator("#layer option")
    opened.locator("#layer").select_option(index=layers.count() - 1)
    opened.locator("#unit").fill("4")
    expect(opened.locator("#why-text")).to_contain_text("Output 4 spiked")
    opened.locator("#drivers button").first.click()
    opened.locator("#layer").select_option(index=0)
    expect(opened.locator("#weights")).to_be_visible()


def test_it_is_accessible(opened: "Page") -> None:
    """Axe finds no violation (WCAG and best practices)."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    results = axe.Axe().run(opened)
    assert results.violations_count == 0, results.generate_report()


def test_what_it_cannot_run_is_said() -> None:
    network, _ = firing_network(4, 3, 2)
    check_playable(network, "poisson", 18)
    with pytest.raises(PlaygroundError, match="at least 18 test images"):
        check_playable(network, "poisson", 17)
    with pytest.raises(PlaygroundError, match="no encoding 'direct'"):
        check_playable(network, "direct", 18)
