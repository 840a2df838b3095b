"""What accuracy costs: the runs of a sweep, and the line of those that nothing beats."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from spikejoule.evaluation.front_rows import FrontRow
from spikejoule.report.charts.scales import Scale, accuracy_scale, decade_scale, error_percent

EVENTS_TITLE: Final = "Synaptic events per inference, mean over the test set, log scale"
VALIDATION_WORDS: Final = "validation, on the front"
TEST_WORDS: Final = "test, of the same"
OTHERS_WORDS: Final = "validation, all others"
SETTINGS_SHOWN: Final = 4
"""Parameters that fit beside a point."""


@dataclass(frozen=True)
class FrontChart:
    """Accuracy against synaptic events; validation decides the front, the test stands beside it.

    Attributes:
        runs: those with synaptic events, which alone have a place on the logarithmic axis; the
            cheapest first.
        x: synaptic events per inference.
        y: the errors of all accuracies, validation and test.
    """

    runs: tuple[FrontRow, ...]
    x: Scale
    y: Scale

    @property
    def on_front(self) -> tuple[FrontRow, ...]:
        """The runs that no other beats."""
        return tuple(run for run in self.runs if run.on_front)

    @property
    def best(self) -> FrontRow:
        """The run of the highest validation accuracy."""
        return max(self.on_front or self.runs, key=lambda run: run.validation_accuracy_percent)

    def stairs(self) -> list[tuple[float, float]]:
        """The front as a line, which holds a value until the next, to the dearest of all runs.

        What so many events buy is the best run that needs no more: a stair, no slope.
        """
        points = [validated_point(run) for run in self.on_front]
        ends = [(self.runs[-1].synaptic_events_per_inference, y) for _, y in points[-1:]]
        return points + ends


def front_chart(runs: Iterable[FrontRow]) -> FrontChart | None:
    """The chart of some runs; None if none of them has synaptic events."""
    drawn = sorted(
        (run for run in runs if run.synaptic_events_per_inference > 0),
        key=lambda run: (run.synaptic_events_per_inference, -run.validation_accuracy_percent),
    )
    if not drawn:
        return None
    accuracies = [(run.validation_accuracy_percent, run.test_accuracy_percent) for run in drawn]
    return FrontChart(
        tuple(drawn),
        decade_scale(run.synaptic_events_per_inference for run in drawn),
        accuracy_scale(value for pair in accuracies for value in pair),
    )


def validated_point(run: FrontRow) -> tuple[float, float]:
    """Where the validation accuracy of a run is drawn."""
    return run.synaptic_events_per_inference, error_percent(run.validation_accuracy_percent)


def tested_point(run: FrontRow) -> tuple[float, float]:
    """Where the test accuracy of a run is drawn."""
    return run.synaptic_events_per_inference, error_percent(run.test_accuracy_percent)


def run_settings(run: FrontRow) -> str:
    """What distinguishes a run, shortly: `early exit, hidden 100, time_window 25`.

    Of its parameters nothing, where there are more than :data:`SETTINGS_SHOWN`.
    """
    values = [
        f"{name.rpartition('.')[2]} {setting_text(text)}" for name, text in run.settings.items()
    ]
    if len(values) > SETTINGS_SHOWN:
        values = []
    return ", ".join(["early exit", *values] if run.early_exit else values)


def run_label(run: FrontRow) -> str:
    """The same beside a point that bears no name: with the name where parameters are too many."""
    settings = run_settings(run)
    if len(run.settings) <= SETTINGS_SHOWN:
        return settings
    return f"{run.name}, {settings}" if settings else run.name


def setting_text(text: str) -> str:
    """A parameter as text; a list of one, such as one hidden layer, as its only item."""
    text = text or "-"
    return text[1:-1] if text.startswith("[") and "," not in text else text
