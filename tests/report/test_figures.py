"""Figures: pure, the same bytes for the same values, and drawable at every edge of their input."""

from collections.abc import Callable, Iterator
from typing import Any

import matplotlib
import numpy as np
import pytest

from spikejoule.encoding.events import EventList
from spikejoule.evaluation.accuracy import accuracy
from spikejoule.evaluation.evaluation import evaluate_predictions
from spikejoule.evaluation.front_rows import FrontRow
from spikejoule.report import figures
from spikejoule.report.charts.front import SETTINGS_SHOWN, run_label
from spikejoule.report.charts.raster import SpikeRaster
from tests.tools.processes import exit_status_of

SOURCE = "mnist5k: 5,000 MNIST digits"


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


def confusion(seed: int = 0) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(seed)
    matrix = generator.integers(0, 4, (10, 10))
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


def per_class() -> bytes:
    entries = [accuracy(90 + digit, 100) for digit in range(10)]
    return figures.per_class_accuracy(entries, accuracy(945, 1000), 0.95, SOURCE)


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


def front(n_points: int = 8, first_events: float = 5000.0) -> list[FrontRow]:
    return [
        point(
            first_events * (1 + index), 90 + 5 * index / n_points,
            index % 4 < 2, index % 2 == 0, f"[{100 * index}]",
        )
        for index in range(n_points)
    ]  # fmt: skip


DRAWINGS: dict[str, Callable[[], bytes]] = {
    "training curves": lambda: figures.training_curves(
        history(20), ("input", "hidden", "output"), 20, SOURCE
    ),
    "confusion matrix": lambda: figures.confusion_matrix(confusion(), SOURCE),
    "per-class accuracy": per_class,
    "spike raster": lambda: figures.spike_raster(raster(), SOURCE),
    "accuracy front": lambda: figures.accuracy_front(front(), 93, SOURCE),
}


def chunks(png: bytes) -> Iterator[bytes]:
    """The types of the PNG's chunks."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    position = 8
    while position < len(png):
        length = int.from_bytes(png[position : position + 4], "big")
        yield png[position + 4 : position + 8]
        position += 12 + length


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=DRAWINGS)
class TestEveryFigure:
    def test_same_bytes_again_and_no_clock_in_them(self, draw: Callable[[], bytes]) -> None:
        png = draw()
        assert png == draw()
        kinds = list(chunks(png))
        assert kinds[-1] == b"IEND"
        assert not {b"tEXt", b"iTXt", b"zTXt", b"tIME"} & set(kinds)

    def test_the_readers_settings_change_nothing(self, draw: Callable[[], bytes]) -> None:
        png = draw()
        with matplotlib.rc_context(
            {"font.size": 30, "figure.dpi": 20, "savefig.dpi": 20, "axes.facecolor": "red"}
        ):
            assert draw() == png
            assert matplotlib.rcParams["font.size"] == 30

    def test_it_is_large_enough_to_read(self, draw: Callable[[], bytes]) -> None:
        png = draw()
        width, height = (int.from_bytes(png[at : at + 4], "big") for at in (16, 20))
        assert 1000 <= width <= 2000
        assert 600 <= height <= 2000


def test_different_values_give_different_figures() -> None:
    assert figures.confusion_matrix(confusion(0), SOURCE) != figures.confusion_matrix(
        confusion(1), SOURCE
    )
    assert figures.confusion_matrix(confusion(0), SOURCE) != figures.confusion_matrix(
        confusion(0), "MNIST"
    )


def test_no_pyplot() -> None:
    code = "import sys, spikejoule.report.figures; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert exit_status_of(code) == 0


class TestTrainingCurves:
    @pytest.mark.parametrize("n_epochs", [1, 2, 11, 300])
    def test_any_number_of_epochs(self, n_epochs: int) -> None:
        png = figures.training_curves(
            history(n_epochs), ("input", "hidden", "output"), n_epochs, SOURCE
        )
        assert list(chunks(png))[-1] == b"IEND"

    def test_several_hidden_layers(self) -> None:
        names = ("input", "hidden1", "hidden2", "hidden3", "hidden4", "output")
        assert figures.training_curves(history(3, len(names)), names, 2, SOURCE)

    def test_validation_on_the_test_set_shows(self) -> None:
        names = ("input", "hidden", "output")
        assert figures.training_curves(
            history(3), names, 2, SOURCE, validated_on_test=True
        ) != figures.training_curves(history(3), names, 2, SOURCE)

    def test_silent_network(self) -> None:
        silent = [{**record, "spikes": (0, 0, 0)} for record in history(3)]
        assert figures.training_curves(silent, ("input", "hidden", "output"), 1, SOURCE)


class TestAccuracyFront:
    @pytest.mark.parametrize("n_points", [1, 2, 60])
    def test_any_number_of_runs(self, n_points: int) -> None:
        assert figures.accuracy_front(front(n_points), 93, SOURCE)

    @pytest.mark.parametrize("target_percent", [0, 93, 100])
    def test_any_target(self, target_percent: float) -> None:
        assert figures.accuracy_front(front(), target_percent, SOURCE)

    def test_equal_runs_without_an_error(self) -> None:
        perfect = point(1.0, 100.0, True)
        assert figures.accuracy_front([perfect, perfect], 98, SOURCE)

    @pytest.mark.parametrize("n_settings", [1, 3, 4, 30])
    def test_settings_beside_a_point_leave_the_chart_its_place(self, n_settings: int) -> None:
        """A label that is too long would squeeze the axes: the figure is laid out to hold it."""
        settings = {f"train.parameter_{k}": "0.123456" for k in range(n_settings)}
        runs = [FrontRow(**(run.model_dump() | settings)) for run in front()]
        labels = [run_label(run) for run in runs]
        assert all(len(label) < 120 for label in labels)
        assert [run.name in label for run, label in zip(runs, labels, strict=True)] == (
            [n_settings + 1 > SETTINGS_SHOWN] * len(runs)
        )

    def test_silent_networks_have_no_place(self) -> None:
        silent = point(0.0, 10.0, True)
        assert figures.accuracy_front([*front(), silent], 93, SOURCE) == figures.accuracy_front(
            front(), 93, SOURCE
        )
        with pytest.raises(ValueError, match="no run has synaptic events"):
            figures.accuracy_front([silent], 93, SOURCE)

    def test_a_front_that_is_silent_alone(self) -> None:
        runs = [point(0.0, 99.0, True), point(10.0, 98.0, False)]
        assert figures.accuracy_front(runs, 93, SOURCE)

    def test_the_front_shows(self) -> None:
        off = [
            run.model_copy(update={"on_front": run.synaptic_events_per_inference == 5000})
            for run in front()
        ]
        assert figures.accuracy_front(off, 93, SOURCE) != figures.accuracy_front(
            front(), 93, SOURCE
        )


class TestConfusionMatrix:
    def test_no_errors_at_all(self) -> None:
        assert figures.confusion_matrix(np.diag(np.full(10, 100)), SOURCE)

    def test_a_class_without_samples(self) -> None:
        matrix = confusion()
        matrix[4] = 0
        assert figures.confusion_matrix(matrix, SOURCE)

    def test_matrix_of_an_evaluation(self) -> None:
        labels = np.arange(100) % 10
        assert figures.confusion_matrix(
            evaluate_predictions(labels, labels[::-1].copy(), 10).confusion, SOURCE
        )


class TestPerClassAccuracy:
    def test_a_class_without_samples_is_left_out(self) -> None:
        entries = [accuracy(9, 10), accuracy(0, 0), accuracy(3, 3)]
        assert figures.per_class_accuracy(entries, accuracy(12, 13), 0.95, SOURCE)

    @pytest.mark.parametrize("n_correct", [0, 100])
    def test_both_ends(self, n_correct: int) -> None:
        entries = [accuracy(n_correct, 100)] * 10
        assert figures.per_class_accuracy(entries, accuracy(n_correct, 100), 0.95, SOURCE)

    def test_no_samples(self) -> None:
        with pytest.raises(ValueError, match="no class"):
            figures.per_class_accuracy([accuracy(0, 0)], accuracy(0, 0), 0.95, SOURCE)


class TestSpikeRaster:
    @pytest.mark.parametrize("density", [0.0, 1.0])
    def test_silent_and_full(self, density: float) -> None:
        assert figures.spike_raster(raster(density=density), SOURCE)

    def test_several_hidden_layers(self) -> None:
        assert figures.spike_raster(raster((40, 30)), SOURCE)

    def test_more_than_one_sample(self) -> None:
        example = raster()
        doubled = EventList.from_dense(np.zeros((2, 50, 10)))
        with pytest.raises(ValueError, match="one sample"):
            figures.spike_raster(
                SpikeRaster(example.image, 3, [*example.layers[:-1], doubled], example.layer_names),
                SOURCE,
            )

    def test_layers_of_different_windows(self) -> None:
        example = raster()
        shorter = EventList.from_dense(np.zeros((1, 40, 10)))
        with pytest.raises(ValueError, match="number of steps"):
            figures.spike_raster(
                SpikeRaster(example.image, 3, [*example.layers[:-1], shorter], example.layer_names),
                SOURCE,
            )
