"""`Tracker`: counts a training while the user's loop runs, and reports afterwards."""

from contextlib import ExitStack
from typing import Any, Self

from torch import nn

from spikejoule.core.errors import ParameterError
from spikejoule.core.host_energy import HostEnergy
from spikejoule.pricing.neurons import Known
from spikejoule.tracker.passes import PassCounter, Steps
from spikejoule.tracker.records import Recorded, recorded
from spikejoule.tracker.steps import StepCounter, learns_now, optimizers_of


class Tracker:
    """The energy of a training."""

    def __init__(
        self, model: nn.Module, optimizer: Any, known: Known, steps: Steps
    ) -> None:
        self._model = model
        self._passes = PassCounter(model, known, steps)
        self._steps = StepCounter(
            model,
            optimizers_of(optimizer),
            lambda: self._passes.training.total,
            lambda: self._passes.training.end_step(),
        )
        self._learns = learns_now(model)
        self._accuracies: list[float | None] = []
        self._hooks = ExitStack()
        self._recorded: Recorded | None = None

    def __enter__(self) -> Self:
        self._hooks.enter_context(self._passes.hooked())
        self._hooks.enter_context(self._steps.hooked())
        return self

    def __exit__(self, *error: object) -> None:
        self._hooks.close()
        if error[0] is None:
            self._finish()

    def end_epoch(self, accuracy_percent: float | None = None) -> None:
        """End an epoch."""
        self._accuracies.append(accuracy_percent)
        self._passes.training.open_row()
        self._steps.open_row()

    def _finish(self) -> None:
        self._recorded = recorded(
            self._model, self._passes.training, self._steps, self._accuracies
        )
