"""Charts: equal bytes for equal values, as PNG and SVG, and nothing cut off."""

import re
from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from spikejoule.data.sources.fashion_mnist import FashionMnist
from spikejoule.data.subject import DIGITS
from spikejoule.encoding.events import EventList
from spikejoule.network.sections import EpochRecord
from spikejoule.report.charts.accuracy import conventional_front
from spikejoule.report.charts.canvas import (
    PALETTE,
    Chart,
)
from spikejoule.report.charts.learning import (
    confusion_matrix,
    training_curves,
    training_energy,
)
from spikejoule.report.charts.raster import SpikeRaster, spike_raster
from tests.energy.by_hand import analysis, baseline, inputs, training
from tests.tools.examples import trained_network


def raster() -> SpikeRaster:
    generator = np.random.default_rng(1)
    return SpikeRaster(
        image=generator.integers(0, 256, (28, 28)).astype(np.uint8),
        label=3,
        layers=[
            EventList.from_dense(generator.random((1, 50, size)) < 0.02)
            for size in (784, 400, 10)
        ],
        layer_names=("input", "hidden", "output"),
    )


def front(*percents: float, name: str = "ReLU 9") -> Chart:
    """Draw a conventional network at each accuracy, in order of energy."""
    networks = tuple(
        baseline(
            100 * n, [9 * n] * 4, f"{name} {n}", validation_accuracy_percent=percent
        )
        for n, percent in enumerate(percents, start=1)
    )
    return conventional_front(analysis(inputs(networks)))


def by_epoch(*percents: float) -> Chart:
    """Draw a training of two epochs with these accuracies."""
    trained = training(validation_accuracies_percent=np.array(percents))
    chart = training_energy(analysis(replace(inputs(), training=trained)))
    assert chart is not None
    return chart


CHARTS: dict[str, Callable[[], Chart]] = {
    "spike raster": lambda: spike_raster(raster()),
    "conventional front": lambda: front(85.0, 97.0, 98.5),
    "energy of training": lambda: by_epoch(60.0, 90.0),
}


def test_training_and_confusion_state_their_figures() -> None:
    """Also those of one epoch, and of many classes."""
    curves = training_curves(history(3), 2, "digits")
    assert curves.finding == "Validation accuracy peaks at 93.00 % in epoch 2 of 3"
    assert training_curves(history(1), 1, "digits").png()
    many = replace(DIGITS, class_names=tuple(str(label) for label in range(45)))
    confusion = 3 * np.eye(45, dtype=np.int64) + np.eye(45, k=1, dtype=np.int64)
    chart = confusion_matrix(confusion, "digits", many)
    assert chart.finding.startswith("75.42 % of 179 digits")
    assert chart.png()


@pytest.mark.parametrize("draw", CHARTS.values(), ids=CHARTS)
def test_same_bytes_again_described_in_the_pages_colours(
    draw: Callable[[], Chart],
) -> None:
    """Regardless of the user's settings and clock."""
    chart = replace(draw(), description="a < b")
    png = draw().png()
    svg = chart.svg()
    settings = {
        "font.size": 30,
        "figure.dpi": 20,
        "savefig.dpi": 20,
        "axes.facecolor": "red",
    }
    with matplotlib.rc_context(settings):
        assert (draw().png(), replace(draw(), description="a < b").svg()) == (png, svg)
        assert matplotlib.rcParams["font.size"] == 30
    assert not re.search(rb"tEXt|iTXt|zTXt|tIME", png)

    root = ElementTree.fromstring(svg)
    title, description = list(root)[:2]
    assert (title.text, description.text) == (chart.finding, "a < b")
    assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
    assert "http" not in svg

    used = set(re.findall(r"var\(--([a-z]+)\)", svg))
    assert used <= set(PALETTE)
    assert len(used) > 3
    assert not re.search(r"#[0-9a-f]{6}\b", svg)


def history(n_epochs: int) -> list[EpochRecord]:
    """Return epochs of a training."""
    (record, *_) = trained_network().history
    return [
        record.model_copy(
            update={
                "epoch": epoch,
                "train_loss": 1 / epoch,
                "train_accuracy_percent": 99 - 10 / epoch,
                "validation_accuracy_percent": 98 - 10 / epoch,
            }
        )
        for epoch in range(1, n_epochs + 1)
    ]


MNIST5K = (
    "mnist5k: 5,000 MNIST digits (4,000 training and 1,000 test images), not "
    "the full MNIST"
)
MISREAD = replace(
    raster(), subject=FashionMnist.subject, source=f"{MNIST5K}; test image 999"
)


# Each chart as it is used: a file of figures/, or part of the page.
@pytest.mark.parametrize(
    ("form", "draw"),
    [
        (Chart.png, lambda: spike_raster(MISREAD)),
        (Chart.svg, lambda: spike_raster(MISREAD)),
        (Chart.png, lambda: training_curves(history(3), 2, MNIST5K)),
        (Chart.png, lambda: confusion_matrix(np.diag([3] * 10), MNIST5K)),
        (Chart.svg, lambda: front(85.0, 97.0, 98.5)),
    ],
)
def test_no_text_is_cut_off(
    form: Callable[[Chart], object], draw: Callable[[], Chart]
) -> None:
    chart = draw()
    form(chart)
    figure = chart.figure
    drawn = figure.get_tightbbox(FigureCanvasAgg(figure).get_renderer())
    width, height = figure.get_size_inches()
    assert 0 <= drawn.x0 < drawn.x1 <= width
    assert 0 <= drawn.y0 < drawn.y1 <= height


# For matplotlib, two dollar signs enclose a formula; this one has an unknown symbol.
@pytest.mark.parametrize("text", [r"digits of /data/$\broken$", "<b> & \"x\" id='y'"])
def test_words_of_others_are_drawn_as_they_are(text: str) -> None:
    plain = replace(front(97.0), source=text.replace("$", ""))
    assert replace(front(97.0), source=text + "$").png() != plain.png()
    drawn = " ".join(ElementTree.fromstring(front(97.0, name=text).svg()).itertext())
    # The tooltip of the point.
    assert f"{text} 1, dense: 97.00 %, 464 pJ" in drawn


def test_without_networks_there_is_no_front() -> None:
    assert conventional_front(analysis(inputs())) is None
