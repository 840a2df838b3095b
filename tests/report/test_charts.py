"""Charts: the same bytes for the same values, as PNG and as SVG, at every edge of their input."""

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from spikejoule.data.subject import DIGITS
from spikejoule.encoding.events import EventList
from spikejoule.evaluation.front_rows import FrontRow
from spikejoule.model.network import Network
from spikejoule.report.charts.accuracy import accuracy_front
from spikejoule.report.charts.canvas import (
    BLUE,
    PALETTE,
    VERMILION,
    Chart,
    layer_colours,
    place_colours,
)
from spikejoule.report.charts.learning import confusion_matrix, training_curves
from spikejoule.report.charts.raster import SpikeRaster, spike_raster

SOURCE = "mnist5k: 5,000 MNIST digits"


def raster(hidden: tuple[int, ...] = (400,), density: float = 0.02) -> SpikeRaster:
    generator = np.random.default_rng(1)
    sizes = (784, *hidden, 10)
    return SpikeRaster(
        image=generator.integers(0, 256, (28, 28)).astype(np.uint8),
        label=3,
        layers=[EventList.from_dense(generator.random((1, 50, size)) < density) for size in sizes],
        layer_names=("input", *(f"hidden{k + 1}" for k in range(len(hidden))), "output"),
    )


def point(
    events: float, validation: float, on_front: bool, early_exit: bool = False, hidden: str = ""
) -> FrontRow:
    return FrontRow(
        name=f"run-{hidden}",
        early_exit=early_exit,
        on_front=on_front,
        validation_accuracy_percent=validation,
        test_accuracy_percent=max(validation - 0.5, 0.0),
        synaptic_events_per_inference=events,
        data_source="mnist5k",
        git_commit="c0ffee",
        run_id="a" * 32,
        **{"model.hidden": hidden},
    )


def front(n_points: int) -> Chart:
    rows = [
        point(5000.0 * (1 + n), 90 + 5 * n / n_points, n % 4 < 2, n % 2 == 0, f"[{100 * n}]")
        for n in range(n_points)
    ]
    return front_of(*rows)


def front_of(*runs: FrontRow, source: str = SOURCE) -> Chart:
    chart = accuracy_front(runs, source)
    assert chart is not None
    return chart


def curves(n_epochs: int) -> Chart:
    history = [
        {
            "epoch": epoch,
            "train_loss": 1 / epoch,
            "train_accuracy_percent": 99 - 10 / epoch,
            "validation_accuracy_percent": 98 - 10 / epoch,
        }
        for epoch in range(1, n_epochs + 1)
    ]
    return training_curves(history, n_epochs, SOURCE)


def confusion(n_classes: int = 10) -> Chart:
    """Without a sample of the last class, and without an error of the first."""
    matrix = np.random.default_rng(0).integers(0, 4, (n_classes, n_classes))
    np.fill_diagonal(matrix, 95)
    matrix[-1], matrix[0, 1:] = 0, 0
    names = tuple(str(label) for label in range(n_classes))
    return confusion_matrix(matrix, SOURCE, replace(DIGITS, class_names=names))


CHARTS: dict[str, Callable[[], Chart]] = {
    "training curves": lambda: curves(20),
    "confusion matrix": confusion,
    "spike raster": lambda: spike_raster(raster()),
    "accuracy front": lambda: front(8),
}


@pytest.mark.parametrize("draw", CHARTS.values(), ids=CHARTS)
def test_same_bytes_again_described_in_the_pages_colours(draw: Callable[[], Chart]) -> None:
    """Whatever the reader's settings and clock; an SVG refers to itself alone."""
    chart, png = replace(draw(), description="a < b"), draw().png()
    svg = chart.svg()
    settings = {"font.size": 30, "figure.dpi": 20, "savefig.dpi": 20, "axes.facecolor": "red"}
    with matplotlib.rc_context(settings):
        assert (draw().png(), replace(draw(), description="a < b").svg()) == (png, svg)
        assert matplotlib.rcParams["font.size"] == 30
    assert not re.search(rb"tEXt|iTXt|zTXt|tIME", png)

    root = ElementTree.fromstring(svg)
    (title, description), ids = list(root)[:2], [node.get("id") for node in root.iter()]
    assert (title.text, description.text) == (chart.finding, "a < b")
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    named = [name for name in ids if name is not None]
    assert len(set(named)) == len(named)
    for node in root.iter():
        for key, value in node.attrib.items():
            assert set(re.findall(r"url\(#(.*?)\)", value)) <= set(named)
            if key == "href":
                assert value.startswith("data:") or value.removeprefix("#") in named
    assert "http" not in svg

    used = set(re.findall(r"var\(--([a-z]+)\)", svg))
    assert used <= set(PALETTE)
    if chart.key != "confusion":  # whose colours are a scale
        assert len(used) > 3
        assert not re.search(r"#[0-9a-f]{6}\b", svg)


def test_every_colour_is_a_different_one_on_either_ground() -> None:
    for grounds in zip(*PALETTE.values(), strict=True):
        assert len(set(grounds)) == len(PALETTE)


@pytest.mark.parametrize("n_layers", [1, 2, 3, 6])
def test_a_layer_has_the_colour_of_no_neighbour_and_of_neither_side(n_layers: int) -> None:
    names = [str(layer) for layer in range(n_layers)]
    colours = layer_colours(names)
    assert [*colours] == names
    found = [*colours.values()]
    assert all(one != other for one, other in pairwise(found))
    assert not {BLUE, VERMILION} & set(found)
    network = Network.of_layers(5, (4,) * n_layers, 3)
    of_nodes = place_colours(network)
    for name in network.connection_names:
        assert of_nodes[name] == of_nodes[name.partition("_to_")[0]]


# Two dollar signs enclose a formula for matplotlib, and this one has an unknown symbol.
@pytest.mark.parametrize("text", [r"digits of /data/$\broken$", "<b> & \"x\" id='y'"])
def test_words_of_others_are_drawn_as_they_are(text: str) -> None:
    run = point(5000.0, 97.0, True, hidden=text)
    plain = front_of(run, source=text.replace("$", ""))
    assert front_of(run, source=text + "$").png() != plain.png()
    drawn = " ".join(ElementTree.fromstring(front_of(run).svg()).itertext())
    # Shown when the point is pointed at
    assert f"run-{text}: 97.00 % on validation, 5,000 events, hidden {text}" in drawn


PERFECT, SILENT = point(1.0, 100.0, True), point(0.0, 99.0, True)


@pytest.mark.parametrize(
    "draw",
    [
        lambda: front_of(PERFECT, PERFECT),
        lambda: front_of(SILENT, point(10.0, 98.0, False)),
        lambda: curves(1),
        lambda: confusion(45),
        lambda: spike_raster(raster((40, 30), 0.0)),
        lambda: spike_raster(raster((40, 30), 1.0)),
    ],
)
def test_edges_are_drawn(draw: Callable[[], Chart]) -> None:
    assert draw().png()


def test_without_events_there_is_no_front() -> None:
    assert accuracy_front([SILENT], SOURCE) is None
