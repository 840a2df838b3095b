"""Charts: the same bytes for the same values, as PNG and as SVG, at every edge of their input."""

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib
import numpy as np
import pytest

from spikejoule.encoding.events import EventList
from spikejoule.evaluation.accuracy import accuracy
from spikejoule.evaluation.evaluation import ClassRow
from spikejoule.evaluation.front_rows import FrontRow
from spikejoule.report.charts.accuracy import (
    SETTINGS_SHOWN,
    Point,
    accuracy_front,
    run_label,
    search_front,
)
from spikejoule.report.charts.canvas import PALETTE, Chart
from spikejoule.report.charts.learning import confusion_matrix, per_class_accuracy, training_curves
from spikejoule.report.charts.raster import SpikeRaster, spike_raster

SOURCE = "mnist5k: 5,000 MNIST digits"
LAYERS = ("input", "hidden", "output")


def history(n_epochs: int, n_layers: int = 3) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "learning_rate": 0.003 / epoch,
            "train_loss": 1 / epoch,
            "train_accuracy_percent": 99 - 10 / epoch,
            "validation_accuracy_percent": 98 - 10 / epoch,
            "spikes": tuple(40_000 + 1000 * layer for layer in range(n_layers)),
            "samples": 100,
        }
        for epoch in range(1, n_epochs + 1)
    ]


def confusion() -> np.ndarray[Any, Any]:
    matrix = np.random.default_rng(0).integers(0, 4, (10, 10))
    np.fill_diagonal(matrix, 95)
    return matrix


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


def front(n_points: int = 8) -> list[FrontRow]:
    return [
        point(
            5000.0 * (1 + index), 90 + 5 * index / n_points,
            index % 4 < 2, index % 2 == 0, f"[{100 * index}]",
        )
        for index in range(n_points)
    ]  # fmt: skip


def class_rows(*counts: tuple[int, int]) -> list[ClassRow]:
    """Rows of classes of which so many samples of so many are read right."""
    return [
        ClassRow.model_validate({"class": label, "n_samples": n, **accuracy(right, n).entries()})
        for label, (right, n) in enumerate(counts)
    ]


CHARTS: dict[str, Callable[[], Chart]] = {
    "training curves": lambda: training_curves(history(20), LAYERS, 20, SOURCE),
    "confusion matrix": lambda: confusion_matrix(confusion(), SOURCE),
    "per-class accuracy": lambda: per_class_accuracy(
        class_rows(*((90 + digit, 100) for digit in range(10))), 94.5, 0.95, SOURCE
    ),
    "spike raster": lambda: spike_raster(raster(), SOURCE),
    "accuracy front": lambda: accuracy_front(front(), 93, SOURCE),
    "search": lambda: search_front([Point(2, 97, "3"), Point(9, 99, "5", False)], "nJ", SOURCE),
}


def chunks(png: bytes) -> Iterator[bytes]:
    """The types of the PNG's chunks."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    position = 8
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        yield png[position + 4 : position + 8]
        position += 12 + length


@pytest.mark.parametrize("draw", CHARTS.values(), ids=CHARTS)
class TestEveryChart:
    def test_same_bytes_again_whatever_the_readers_settings(
        self, draw: Callable[[], Chart]
    ) -> None:
        png, svg = draw().png(), draw().svg()
        with matplotlib.rc_context(
            {"font.size": 30, "figure.dpi": 20, "savefig.dpi": 20, "axes.facecolor": "red"}
        ):
            assert (draw().png(), draw().svg()) == (png, svg)
            assert matplotlib.rcParams["font.size"] == 30

    def test_png_has_no_clock_and_is_large_enough_to_read(self, draw: Callable[[], Chart]) -> None:
        png = draw().png()
        kinds = list(chunks(png))
        assert kinds[-1] == b"IEND"
        assert not {b"tEXt", b"iTXt", b"zTXt", b"tIME"} & set(kinds)
        width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
        assert 1000 <= width <= 2000
        assert 600 <= height <= 2000

    def test_svg_is_described_and_refers_to_itself_alone(self, draw: Callable[[], Chart]) -> None:
        chart = replace(draw(), description="a < b")
        svg = chart.svg()
        root = ElementTree.fromstring(svg)
        (title, description), ids = list(root)[:2], [node.get("id") for node in root.iter()]
        assert (title.text, description.text) == (chart.finding, "a < b")
        assert root.get("aria-labelledby") == f"{title.get('id')} {description.get('id')}"
        named = [name for name in ids if name is not None]
        assert len(set(named)) == len(named)
        assert all(name.startswith(chart.key) for name in named)
        for node in root.iter():
            for key, value in node.attrib.items():
                for reference in re.findall(r"url\(#(.*?)\)", value):
                    assert reference in named
                if key == "href":
                    assert value.startswith("data:") or value.removeprefix("#") in named
        assert "http" not in svg

    def test_svg_has_the_colours_of_the_page(self, draw: Callable[[], Chart]) -> None:
        svg = draw().svg()
        used = set(re.findall(r"var\(--([a-z]+)\)", svg))
        assert len(used) > 3
        assert used <= set(PALETTE)
        if draw is not CHARTS["confusion matrix"]:  # whose colours are a scale
            assert not re.search(r"#[0-9a-f]{6}\b", svg)


def test_every_colour_is_a_different_one_on_either_ground() -> None:
    for grounds in zip(*PALETTE.values(), strict=True):
        assert len(set(grounds)) == len(PALETTE)


def test_no_pyplot(repository: Path) -> None:
    for file in (repository / "src/spikejoule/report/charts").iterdir():
        assert "matplotlib.pyplot" not in (file.read_text("utf-8") if file.is_file() else "")


# Two dollar signs enclose a formula for matplotlib, and this one has an unknown symbol.
@pytest.mark.parametrize("text", [r"digits of /data/$\broken$", "<b> & \"x\" id='y'"])
def test_words_of_others_are_drawn_as_they_are(text: str) -> None:
    runs = [point(5000.0, 97.0, True, hidden=text)]
    plain = accuracy_front(runs, 95.0, text.replace("$", ""))
    assert accuracy_front(runs, 95.0, text + "$").png() != plain.png()
    drawn = " ".join(ElementTree.fromstring(accuracy_front(runs, 95.0, text).svg()).itertext())
    assert f"hidden {text}" in drawn
    assert f"run-{text}: 97.00 % on validation" in drawn  # shown when the point is pointed at


class TestEdges:
    @pytest.mark.parametrize("n_epochs", [1, 11, 300])
    def test_any_number_of_epochs(self, n_epochs: int) -> None:
        assert training_curves(history(n_epochs), LAYERS, n_epochs, SOURCE).png()

    @pytest.mark.parametrize(("n_points", "target_percent"), [(1, 0), (2, 100), (60, None)])
    def test_any_number_of_runs_and_any_target(
        self, n_points: int, target_percent: float | None
    ) -> None:
        assert accuracy_front(front(n_points), target_percent, SOURCE).png()

    def test_runs_without_an_error_or_without_an_event(self) -> None:
        perfect, silent = point(1.0, 100.0, True), point(0.0, 99.0, True)
        assert accuracy_front([perfect, perfect], 98, SOURCE).png()
        assert accuracy_front([silent, point(10.0, 98.0, False)], 93, SOURCE).png()
        with pytest.raises(ValueError, match="no run has synaptic events"):
            accuracy_front([silent], 93, SOURCE)
        with pytest.raises(ValueError, match="no trial has a positive energy"):
            search_front([Point(0, 97, "3")], "nJ", SOURCE)

    @pytest.mark.parametrize("n_settings", [1, 3, 4, 30])
    def test_settings_beside_a_point_leave_the_chart_its_place(self, n_settings: int) -> None:
        settings = {f"train.parameter_{k}": "0.123456" for k in range(n_settings)}
        runs = [FrontRow(**(run.model_dump() | settings)) for run in front()]
        labels = [run_label(run) for run in runs]
        assert all(len(label) < 120 for label in labels)
        assert [run.name in label for run, label in zip(runs, labels, strict=True)] == (
            [n_settings + 1 > SETTINGS_SHOWN] * len(runs)
        )

    def test_confusion_without_errors_or_without_a_class(self) -> None:
        matrix = confusion()
        matrix[4] = 0
        assert confusion_matrix(matrix, SOURCE).png()
        perfect = confusion_matrix(np.diag(np.full(10, 100)), SOURCE)
        assert perfect.finding == "100.00 % of 1,000 digits read correctly"

    def test_classes_without_samples(self) -> None:
        assert per_class_accuracy(class_rows((9, 10), (0, 0), (0, 10)), 45, 0.95, SOURCE).png()
        with pytest.raises(ValueError, match="no class"):
            per_class_accuracy(class_rows((0, 0)), 0, 0.95, SOURCE)

    @pytest.mark.parametrize("density", [0.0, 1.0])
    def test_silent_and_full_rasters_of_deep_networks(self, density: float) -> None:
        assert spike_raster(raster((40, 30), density), SOURCE).png()

    @pytest.mark.parametrize(
        ("shape", "message"), [((2, 50, 10), "one sample"), ((1, 40, 10), "number of steps")]
    )
    def test_layers_that_do_not_fit(self, shape: tuple[int, ...], message: str) -> None:
        example, odd = raster(), EventList.from_dense(np.zeros(shape))
        with pytest.raises(ValueError, match=message):
            SpikeRaster(example.image, 3, [*example.layers[:-1], odd], example.layer_names)
