"""Ending a trial early that another one beats without doubt.

Optuna's pruners know one objective alone. With two, a trial is hopeless when another that has been
trained to the end was better in both respects at the same point of its training: more accurate on
validation images by a margin, for no more synaptic events per training image, and with weights no
wider. A trial that removes synapses is judged after the last is gone: before, it has events that
it will not have.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from spikejoule.engine.interface import BatchOutcome
from spikejoule.search.settings import StopSettings
from spikejoule.training.course import EpochRecord
from spikejoule.training.settings import TrainingSettings

_REFRESH_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Curve:
    """How a trial went, epoch by epoch.

    Attributes:
        accuracies: on validation images, in percent.
        events: synaptic events per training image.
        weight_bits: width of its weights.
    """

    accuracies: tuple[float, ...]
    events: tuple[float, ...]
    weight_bits: int

    def at(self, fraction: float) -> tuple[float, float]:
        """Accuracy and events after a fraction of the training, above 0 to 1."""
        place = max(math.ceil(fraction * len(self.accuracies) - 1e-9), 1) - 1
        return self.accuracies[place], self.events[place]

    def as_text(self) -> str:
        """The curve as JSON, for the study."""
        rows = [round(value, 4) for value in self.accuracies], [round(e, 1) for e in self.events]
        return json.dumps([*rows, self.weight_bits])

    @classmethod
    def of_text(cls, text: str) -> "Curve":
        """The curve of `as_text`."""
        accuracies, events, bits = json.loads(text)
        return cls(tuple(accuracies), tuple(events), int(bits))


class HopelessError(Exception):
    """The trial need not go on; says why."""


class CurveKeeper:
    """An observer that keeps the curve of a trial, and ends the trial where it is hopeless.

    Args:
        settings: how the trial is trained.
        weight_bits: width of its weights.
        stop: when a trial may be ended.
        others: the curves of the trials that were trained to the end.
    """

    def __init__(
        self,
        settings: TrainingSettings,
        weight_bits: int,
        stop: StopSettings,
        others: Callable[[], Sequence[Curve]],
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._others = others
        self._known: Sequence[Curve] = ()
        self._refreshed = -math.inf
        self.curve = Curve((), (), weight_bits)

    def on_batch(self, epoch: int, samples: int, outcome: BatchOutcome) -> None:
        """After each step: nothing to do."""

    def on_resume(self, history: Sequence[EpochRecord], seconds: Sequence[float]) -> None:
        """Take over the epochs of a trial that goes on."""
        for record in history:
            self._add(record)

    def on_epoch(self, record: EpochRecord, seconds: float) -> None:
        """Keep the epoch; raises HopelessError where another trial beats this one."""
        self._add(record)
        epoch, last = record.epoch, self._settings.max_epochs
        after = self._stop.after_fraction
        if after is None or epoch == last or epoch < after * last:
            return
        if not self._settings.is_pruned_by(epoch, last):
            return
        if time.monotonic() >= self._refreshed + _REFRESH_SECONDS:
            self._known, self._refreshed = self._others(), time.monotonic()
        reason = hopeless(self.curve, epoch / last, self._known, self._stop.margin_percent)
        if reason:
            raise HopelessError(f"after epoch {epoch} of {last}: {reason}")

    def _add(self, record: EpochRecord) -> None:
        events = sum(record.synaptic_events) / record.samples
        self.curve = Curve(
            (*self.curve.accuracies, record.validation_accuracy_percent),
            (*self.curve.events, events),
            self.curve.weight_bits,
        )


def hopeless(curve: Curve, fraction: float, others: Sequence[Curve], margin_percent: float) -> str:
    """In words why another trial beats this one; nothing if none does.

    Args:
        curve: of the trial so far.
        fraction: of its epochs that are over.
        others: curves of trials that were trained to the end.
        margin_percent: by how many percentage points the other must be ahead.
    """
    accuracy, events = curve.accuracies[-1], curve.events[-1]
    for other in others:
        its_accuracy, its_events = other.at(fraction)
        ahead = its_accuracy - accuracy >= margin_percent
        if ahead and its_events <= events and other.weight_bits <= curve.weight_bits:
            return (
                f"{accuracy:.2f} % for {events:,.0f} synaptic events, where another trial had "
                f"{its_accuracy:.2f} % for {its_events:,.0f}"
            )
    return ""


def curves_of(values: Sequence[dict[str, Any]], name: str) -> tuple[Curve, ...]:
    """The curves among the attributes of trials."""
    return tuple(Curve.of_text(attributes[name]) for attributes in values if name in attributes)
