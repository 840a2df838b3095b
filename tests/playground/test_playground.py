"""The playground in Chromium equals the pipeline."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from spikejoule.data.dataset import Dataset
from spikejoule.energy.ledger import Variant, spiking_variant
from spikejoule.energy.prices import factors_of, prices_pj
from spikejoule.evaluation.early_exit import exit_steps, step_outcomes
from spikejoule.evaluation.inference import measure_network
from spikejoule.evaluation.runs import EARLY_EXIT, WHOLE_WINDOW, counted_runs
from spikejoule.playground.content import (
    PlaygroundRecord,
    check_playable,
    playground_record,
    price_lists,
)
from spikejoule.playground.page import page_of_record
from spikejoule.playground.prices import PlaygroundError
from spikejoule.report.names import way
from tests.playground.pages import (
    DEEP,
    DEFAULT,
    INTEGER_POTENTIALS,
    INTEGERS,
    POTENTIALS,
    REGULAR,
    Playground,
    build,
)
from tests.tools.networks import firing_network

if TYPE_CHECKING:
    from playwright.sync_api import Page

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


DIGITS = Path(__file__).with_name("digits.yaml")
KINDS = {
    "default": DEFAULT,
    "4-bit": INTEGERS,
    "deep": DEEP,
    "regular": REGULAR,
    "potentials": POTENTIALS,
    "integer potentials": INTEGER_POTENTIALS,
}


@pytest.fixture(scope="module", params=KINDS.values(), ids=KINDS)
def playground(
    request: pytest.FixtureRequest,
    repository: Path,
    mnist5k: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> Playground:
    """The page of a network of each kind."""
    folder = tmp_path_factory.mktemp("playground")
    return build(repository, mnist5k, folder, request.param)


@pytest.fixture
def opened(browser: "Page", playground: Playground) -> "Page":
    """The page, from disk, as soon as it can be used."""
    from playwright.sync_api import expect

    browser.goto(playground.path.as_uri())
    expect(browser.locator("#answer")).not_to_be_empty()
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
        step_outcomes(measured, inputs.images.labels), inputs.early.margin
    )
    np.testing.assert_array_equal(column("exit"), exits)
    assert inputs.opponent is not None
    np.testing.assert_array_equal(column("products"), inputs.opponent.products)

    for name, variant in energies_by_ledger(playground, exits).items():
        for profile in inputs.profiles:
            low, _, high = factors_of(prices_pj(variant.operations.columns, profile))
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
    encoder = inputs.checkpoint.encoder
    runs = counted_runs(inputs.measured, encoder, inputs.images.images, exits)
    spiking = {way(one): one for one in map(spiking_variant, runs)}
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
        inputs.early.margin if inputs.early else None,
    )
    variants = energies_by_ledger(playground, steps)
    for entry in price_lists(playground_record(inputs), inputs.profiles):
        (profile,) = (one for one in inputs.profiles if one.id == entry["id"])
        for name, variant in variants.items():
            if entry[f"{name}Mean"] is not None:
                low, _, high = factors_of(
                    prices_pj(variant.operations.columns, profile)
                )
                means = variant.operations.means
                expected = [means @ low, means @ high]
                np.testing.assert_allclose(entry[f"{name}Mean"], expected, rtol=1e-9)


def test_a_drawing_gets_the_pipelines_answer(
    opened: "Page", playground: Playground
) -> None:
    """Ten scripted digits, small and large, each with its own spikes."""
    points = yaml.safe_load(DIGITS.read_text(encoding="utf-8"))
    drawn = [
        [[{"x": size * x, "y": size * y} for x, y in stroke] for stroke in strokes]
        for strokes in points.values()
        for size in (0.4, 1)
    ]
    results = opened.evaluate(
        """drawings => drawings.map((strokes, number) => {
          const { drawing } = spikejoule.page;
          const { height, width, inkSide } = spikejoule.content.images;
          drawing.setStrokes(strokes);
          const pixels = drawing.pixels(height, width, inkSide);
          const run = spikejoule.runImage(pixels, 1000 + number);
          return { pixels: Array.from(pixels), answer: run.moments.at(-1).answer };
        })""",
        drawn,
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


@pytest.mark.parametrize("playground", [DEEP], ids=["deep"], indirect=True)
def test_a_record_gives_the_same_page(playground: Playground, tmp_path: Path) -> None:
    """Which the documentation does: prices are added when its page is made."""
    inputs = playground.inputs
    path = tmp_path / "record.json"
    path.write_text(playground_record(inputs).model_dump_json(), encoding="utf-8")
    record = PlaygroundRecord.model_validate_json(path.read_bytes())
    page = page_of_record(record, inputs.profiles)
    assert page == playground.path.read_text(encoding="utf-8")
    # The page names its data: here not the full MNIST.
    assert "5,000 MNIST digits" in page.partition("<script")[0]


def test_what_it_cannot_run_is_said() -> None:
    network, _ = firing_network(4, 3, 2)
    check_playable(network, "poisson", 18)
    with pytest.raises(PlaygroundError, match="at least 18 test images"):
        check_playable(network, "poisson", 17)
    with pytest.raises(PlaygroundError, match="does not support 'direct'"):
        check_playable(network, "direct", 18)
