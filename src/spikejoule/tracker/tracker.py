"""`Tracker`: counts a training while the user's loop runs, and reports afterwards."""

import os
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from typing import Any, Final, Self

import pandas as pd
from torch import nn

from spikejoule.core.errors import ArtifactError, ParameterError
from spikejoule.core.host_energy import HostEnergy
from spikejoule.core.store import write_text
from spikejoule.counts.records import Activity
from spikejoule.counts.training import TrainingRecord
from spikejoule.energy.prices import HardwareProfile
from spikejoule.pricing.printed import html_table, in_lines
from spikejoule.report.names import architecture
from spikejoule.tracker.drawn import GpuEnergy, Meter
from spikejoule.tracker.energies import COUNTED, WAYS, Range, TrainingEnergies, Way
from spikejoule.tracker.engine_passes import EnginePassCounter
from spikejoule.tracker.page import in_words, training_page
from spikejoule.tracker.passes import PassCounter
from spikejoule.tracker.records import Recorded, activity_of_passes, recorded
from spikejoule.tracker.steps import StepCounter, learns_now, optimizers_of

_IN_WORDS: Final[dict[Way, str]] = {
    "by events": "by events",
    "dense": "as PyTorch computes it",
}
_PROCESSORS: Final = "processors"
_GPUS: Final = "GPUs"


class Tracker:
    """The energy of a training in the user's own loop: a context manager.

    Counts are complete when the block ends; then print it, or see `table`, `energies`,
    `save` and `log_to_mlflow`.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: Any,
        passes: PassCounter | EnginePassCounter,
        prices: HardwareProfile,
    ) -> None:
        self._model = model
        self._prices = prices
        self._passes = passes
        self._steps = StepCounter(
            model,
            optimizers_of(optimizer),
            lambda: self._passes.training.total,
            self._passes.training.end_step,
        )
        self._learns = learns_now(model)
        self._accuracies: list[float | None] = []
        self._hooks = ExitStack()
        # By what draws; empty before the block begins.
        self._meters: dict[str, Meter] = {}
        self._recorded: Recorded | None = None
        self._apart: Activity | None = None

    # While the loop runs

    def __enter__(self) -> Self:
        if self._recorded is not None:
            raise ParameterError(
                "a tracker counts one block: call spikejoule.track again for another."
            )
        self._hooks.enter_context(self._passes.hooked())
        self._hooks.enter_context(self._steps.hooked())
        self._meters = {
            _PROCESSORS: Meter(HostEnergy.read),
            _GPUS: Meter(GpuEnergy.read),
        }
        return self

    def __exit__(self, *error: object) -> None:
        self._note_drawn()
        self._hooks.close()
        if error[0] is None:
            self._finish()

    def end_epoch(self, accuracy_percent: float | None = None) -> None:
        """End an epoch: later passes are counted in the next.

        Args:
            accuracy_percent: the accuracy after this epoch, 0 to 100, for the page's
                chart of joules against accuracy; None if it is not known.

        Raises:
            ParameterError: the accuracy is out of range, or the epoch has no pass.
        """
        if accuracy_percent is not None and not 0 <= accuracy_percent <= 100:
            raise ParameterError(
                f"accuracy_percent is {accuracy_percent}; allowed: 0 to 100."
            )
        if not self._passes.training.batches[-1]:
            raise ParameterError(
                "end_epoch ends an epoch without a forward pass in training mode; "
                "call it after each epoch."
            )
        self._note_drawn()
        self._accuracies.append(accuracy_percent)
        self._passes.training.open_row()
        self._steps.open_row()

    def _note_drawn(self) -> None:
        """Read the machine's counters, some of which start over at their range."""
        for meter in self._meters.values():
            meter.note()

    def _finish(self) -> None:
        if learns_now(self._model) != self._learns:
            raise ParameterError(
                "parameters were frozen or unfrozen inside the block: track each part "
                "of the training in a block of its own."
            )
        self._recorded = recorded(
            self._model, self._passes.training, self._steps, self._accuracies
        )
        if self._passes.apart.total:
            self._apart = activity_of_passes(self._passes.apart, 1)

    # Afterwards

    @property
    def _result(self) -> Recorded:
        if self._recorded is None:
            raise ArtifactError(
                "the training is still being counted: its energy is known when the "
                "block of spikejoule.track has ended."
            )
        return self._recorded

    @property
    def record(self) -> TrainingRecord:
        """The counts, in a row for each epoch."""
        return self._result.record

    @property
    def not_counted(self) -> tuple[str, ...]:
        """What ran and is not counted."""
        return self._result.not_counted

    @property
    def evaluation(self) -> Activity | None:
        """The counts of passes that did not train, in one row; None without one."""
        return self._apart

    @property
    def host_joules(self) -> float | None:
        """Joules that the processor packages drew in the block (RAPL).

        Everything on the machine draws them. None where counters cannot be read.
        """
        return self._drawn_joules.get(_PROCESSORS)

    @property
    def gpu_joules(self) -> float | None:
        """Joules that NVIDIA GPUs drew in the block (NVML), all that count them.

        Everything on the machine draws them. None where counters cannot be read.
        """
        return self._drawn_joules.get(_GPUS)

    @property
    def _drawn_joules(self) -> dict[str, float]:
        """What was measured, by what drew it."""
        return {
            name: meter.joules
            for name, meter in self._meters.items()
            if meter.joules is not None
        }

    @cached_property
    def energies(self) -> TrainingEnergies:
        """The joules, by way of running the training, epoch, phase and place."""
        return TrainingEnergies(self.record, self._prices)

    @cached_property
    def table(self) -> pd.DataFrame:
        """Every term at every place in every epoch, counted and priced, both ways."""
        return pd.DataFrame(
            [asdict(share) for way in WAYS for share in self.energies.shares(way)]
        )

    @property
    def rows(self) -> list[tuple[str, str]]:
        """The printed lines, label and value."""
        return [*self._totals, *self._rows_of_epochs, *self._remarks]

    @property
    def _totals(self) -> list[tuple[str, str]]:
        """The lines of the whole training."""
        record = self.record
        activity = record.activity
        totals = {way: in_words(self.energies.total(way)) for way in WAYS}
        rows = [
            (f"energy {_IN_WORDS[way]}", f"{words} under {self._prices.id}")
            for way, words in totals.items()
        ]
        rows += [(phase, self._both_ways(phase)) for phase in COUNTED]
        drawn = [f"{name} {j:,.4g} J" for name, j in self._drawn_joules.items()]
        network = architecture(record.network)
        if activity.time_window > 1:
            network += f", {activity.time_window} steps"
        rows += [
            ("drawn by the host", ", ".join(drawn) or "not measured"),
            ("network", network),
            ("samples", f"{record.samples:,} in {len(record.batches)} epochs"),
            ("neuron spikes", self._spikes_words),
            ("synaptic events", f"{int(activity.events.sum()):,}"),
        ]
        macs = int(activity.macs.sum())
        if macs:
            rows.append(("multiply-accumulates", f"{macs:,}"))
        rows.append(("by layer", self._layers_words))
        return rows

    @property
    def _remarks(self) -> list[tuple[str, str]]:
        """The lines of what is not part of the training."""
        rows = []
        if self._apart is not None:
            samples = int(self._apart.samples_of_row.sum())
            words = f"{samples:,} samples, {int(self._apart.events.sum()):,} events"
            rows.append(("counted apart", f"{words} in passes that do not train"))
        rows.append(("not counted", ", ".join(self.not_counted)))
        return rows

    def _both_ways(self, phase: str) -> str:
        return "; ".join(
            f"{in_words(self.energies.total(way, phase))} {words}"
            for way, words in _IN_WORDS.items()
        )

    @property
    def _spikes_words(self) -> str:
        activity = self.record.activity
        layers = self.record.network.layer_names[1:]
        by_layer = {name: int(activity.spikes_of(name).sum()) for name in layers}
        words = [f"{name} {spikes:,}" for name, spikes in by_layer.items() if spikes]
        return ", ".join(words) or "none"

    @property
    def _layers_words(self) -> str:
        places = {
            name: sum(by_phase.values())
            for name, by_phase in self.energies.by_place("by events").items()
        }
        total = sum(places.values()) or 1.0
        shares = {name: round(100 * pj / total) for name, pj in places.items()}
        return ", ".join(f"{name} {share} %" for name, share in shares.items() if share)

    @property
    def _rows_of_epochs(self) -> list[tuple[str, str]]:
        """A line for each epoch; the middle ones of many are left out."""
        by_way = {way: self.energies.by_epoch(way) for way in WAYS}
        rows = []
        n_epochs = len(self.record.batches)
        for epoch in range(n_epochs):
            if 2 < epoch < n_epochs - 3:
                continue
            words = "; ".join(
                f"{in_words(Range(*ends[:, epoch]))} {_IN_WORDS[way]}"
                for way, ends in by_way.items()
            )
            rows.append((f"epoch {epoch + 1}", words))
        return rows

    def __str__(self) -> str:
        if self._recorded is None:
            passes = self._passes.training.total
            return f"a training that is being counted: {passes:,} batches so far"
        return in_lines(self.rows, label_width=32)

    def _repr_html_(self) -> str:
        return html_table(self.rows)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page, a self-contained HTML file."""
        write_text(path, self._page)

    @property
    def _page(self) -> str:
        return training_page(
            self.energies, [*self._totals, *self._remarks], self._accuracies
        )

    def log_to_mlflow(self) -> None:
        """Log joules, spikes and events, by epoch and in total, and the page.

        They go to the active MLflow run, or to a new one, which then ends.

        Raises:
            StoreError: the store fails.
        """
        from spikejoule.tracking.own_loops import log_training

        log_training(
            metrics=self._metrics,
            curves=self._curves,
            tags={"spikejoule.profile": self._prices.id},
            page=self._page,
        )

    @property
    def _metrics(self) -> dict[str, float]:
        """Joules of the whole training."""
        metrics: dict[str, float] = {}
        for way in WAYS:
            total = self.energies.total(way)
            name = f"training_{way.replace(' ', '_')}"
            metrics |= {f"{name}_low_j": total.low_j, f"{name}_high_j": total.high_j}
        if self.host_joules is not None:
            metrics["training_host_j"] = self.host_joules
        if self.gpu_joules is not None:
            metrics["training_gpu_j"] = self.gpu_joules
        return metrics

    @property
    def _curves(self) -> list[dict[str, float]]:
        """Metrics of each epoch."""
        activity = self.record.activity
        layers = self.record.network.layer_names[1:]
        spikes = activity.sum_of(*(activity.spikes_of(name) for name in layers))
        curves = [
            {"spikes": float(of_epoch), "synaptic_events": float(events)}
            for of_epoch, events in zip(spikes, activity.events, strict=True)
        ]
        for way in WAYS:
            name = f"joules_{way.replace(' ', '_')}"
            ends = self.energies.by_epoch(way).T.tolist()
            for row, (low_j, high_j) in zip(curves, ends, strict=True):
                row |= {f"{name}_low": low_j, f"{name}_high": high_j}
        for row, percent in zip(curves, self._accuracies, strict=False):
            if percent is not None:
                row["accuracy_percent"] = percent
        return curves
